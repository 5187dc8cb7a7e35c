/* SPDX-License-Identifier: BSD-3-Clause
 * Random programs against a list of what should be alive.  After every step the arena's
 * own check, and its statistics as the list has them; the bytes when something dies and
 * now and then.  Whatever fails is named by seed and step. */
#include "support.h"

enum { PROGRAMS = 300, STEPS = 400, PIECES = 70, MARKS = 6 };

typedef struct piece {
  unsigned char *ptr, fill;
  size_t size, span;
  uint64_t generation, born;
  bool raw, excused, spill;
} piece;

typedef struct model {
  wsp_arena *arena;
  wsp_options options;
  watch upstream;
  uint64_t random, clock;
  size_t granule, largest;
  piece pieces[PIECES];
  size_t count;
  bool open, in_cycle, learns;
  struct {
    wsp_mark mark;
    uint64_t generation, made;
  } marks[MARKS];
  size_t mark_count;
  wsp_stats expected; /* totals and peaks; sums over pieces are made when compared */
} model;

/* ---- what must hold ------------------------------------------------------ */

static bool is_of_this_cycle(const model *m, const piece *p) {
  return m->in_cycle && p->generation == m->expected.generation;
}

static size_t used(const model *m) {
  size_t sum = 0;
  for (size_t i = 0; i < m->count; ++i)
    if (is_of_this_cycle(m, &m->pieces[i])) sum += m->pieces[i].span;
  return sum;
}

static void note_peak(model *m) {
  size_t now = used(m);
  if (now > m->expected.cycle_high_water) m->expected.cycle_high_water = now;
  if (now > m->expected.high_water) m->expected.high_water = now;
}

static bool statistics_hold(const model *m) {
  wsp_stats e = m->expected, s = wsp_arena_stats(m->arena);
  for (size_t i = 0; i < m->count; ++i) {
    const piece *p = &m->pieces[i];
    if (p->spill) e.spilled += p->span;
    if (is_of_this_cycle(m, p)) continue;
    e.retained += p->size;
    if (!p->excused) e.escaped += p->size;
  }
  bool ok = CHECK_EQ(s.used, used(m)) && CHECK_EQ(s.retained, e.retained);
  ok = ok && CHECK_EQ(s.escaped, e.escaped) && CHECK_EQ(s.spilled, e.spilled);
  ok = ok && CHECK_EQ(s.generation, e.generation) && CHECK_EQ(s.cycles, e.cycles);
  ok = ok && CHECK_EQ(s.allocations, e.allocations) && CHECK_EQ(s.spills, e.spills);
  ok = ok && CHECK_EQ(s.escaped_count, e.escaped_count);
  ok = ok && CHECK_EQ(s.high_water, e.high_water);
  ok = ok && CHECK_EQ(s.last_high_water, e.last_high_water);
  ok = ok && CHECK_EQ(s.cycle_high_water, e.cycle_high_water);
  ok = ok && CHECK(s.reserved == 0 || s.blocks != 0);
  ok = ok && CHECK(s.capacity <= m->options.max_block);
  return ok && CHECK(s.capacity + s.spilled <= m->options.limit);
}

static bool bytes_hold(const model *m, const piece *p) {
  return CHECK(holds(p->ptr, p->size, p->fill) &&
               wsp_size(m->arena, p->ptr) == p->size &&
               wsp_generation(m->arena, p->ptr) == p->generation &&
               wsp_arena_owns(m->arena, p->ptr));
}

static bool all_bytes_hold(const model *m) {
  for (size_t i = 0; i < m->count; ++i)
    if (!bytes_hold(m, &m->pieces[i])) return false;
  return true;
}

static bool is_apart_from_others(const model *m, const unsigned char *ptr,
                                 size_t span) {
  for (size_t i = 0; i < m->count; ++i) {
    const piece *p = &m->pieces[i];
    size_t taken = p->span - 64; /* the header in front of its data is its own, too */
    if (ptr - 64 < p->ptr + taken && p->ptr - 64 < ptr + span - 64) return false;
  }
  return true;
}

static bool state_holds(const model *m) {
  return CHECK(wsp_arena_check(m->arena)) && CHECK(!m->upstream.misused) &&
         CHECK_EQ(wsp_arena_is_mine(m->arena), m->open) &&
         CHECK_EQ(wsp_arena_in_cycle(m->arena), m->in_cycle) && statistics_hold(m);
}

/* ---- steps while the arena is open --------------------------------------- */

static size_t random_size(model *m) {
  size_t kind = random_below(&m->random, 20);
  if (kind == 0) return random_below(&m->random, 3);
  if (kind == 1) return (size_t)64 << random_below(&m->random, 10);
  if (kind == 2) return random_below(&m->random, 4 * m->largest);
  return random_below(&m->random, m->largest);
}

static void write_bytes(model *m, piece *p) {
  p->fill = (unsigned char)next_random(&m->random);
  memset(p->ptr, p->fill, p->size);
}

/* Full: allowed when the options say so, and when not even an empty block would do. */
static bool refusal_is_right(const model *m, wsp_status status, size_t size,
                             size_t span) {
  wsp_stats s = wsp_arena_stats(m->arena);
  bool bounded = (m->options.flags & WSP_NO_SPILL) || m->options.limit != SIZE_MAX;
  bool fits = m->count == 0 && s.capacity >= span + 2 * m->granule;
  size_t limit = m->options.limit; /* all there is while there is no block */
  size_t bound = s.capacity != 0 || limit == SIZE_MAX ? s.capacity : limit;
  return CHECK(status == WSP_EFULL && bounded && !fits) &&
         CHECK(wsp_arena_refusal(m->arena).status == WSP_EFULL) &&
         CHECK(wsp_arena_refusal(m->arena).requested == size) &&
         CHECK(wsp_arena_refusal(m->arena).capacity == bound);
}

/* What the limit leaves may be less than the least block. */
static bool resize_is_right(const model *m, wsp_status status) {
  return CHECK(status == WSP_OK ||
               (status == WSP_ENOMEM && m->options.limit != SIZE_MAX));
}

static bool allocate(model *m) {
  if (m->count == PIECES) return true;
  size_t size = random_size(m);
  uint32_t flags = (random_chance(&m->random, 25) ? WSP_ZERO : 0u) |
                   (random_chance(&m->random, 25) ? WSP_RAW : 0u);
  void *ptr = m;
  size_t span = wsp_arena_bytes_for(m->arena, size);
  wsp_status status = wsp_arena_alloc(m->arena, size, flags, 0, &ptr);
  if (status != WSP_OK)
    return CHECK(ptr == m) && refusal_is_right(m, status, size, span);
  if (!CHECK((uintptr_t)ptr % m->granule == 0)) return false;
  if (!CHECK(is_apart_from_others(m, ptr, span))) return false;
  if ((flags & WSP_ZERO) && !CHECK(holds(ptr, size, 0))) return false;
  uint64_t spills = wsp_arena_stats(m->arena).spills;
  piece *p = &m->pieces[m->count++];
  *p = (piece){.ptr = ptr,
               .size = size,
               .span = span,
               .generation = m->expected.generation,
               .born = ++m->clock,
               .raw = flags & WSP_RAW,
               .spill = spills != m->expected.spills};
  if (!CHECK(!p->spill || !m->learns)) return false;
  m->expected.spills += p->spill;
  m->expected.allocations += 1;
  note_peak(m);
  write_bytes(m, p);
  return bytes_hold(m, p);
}

/* Likely one of the last, as programs do. */
static size_t choose(model *m) {
  size_t i = random_below(&m->random, m->count);
  if (random_chance(&m->random, 60)) i = m->count - 1 - i / 4;
  return i;
}

static bool release_piece(model *m) {
  if (m->count == 0) return true;
  size_t i = choose(m);
  if (!bytes_hold(m, &m->pieces[i])) return false;
  wsp_arena_free(m->arena, m->pieces[i].ptr);
  /* Order is kept: the last pieces are the likely top. */
  memmove(&m->pieces[i], &m->pieces[i + 1], (--m->count - i) * sizeof(piece));
  return true;
}

static bool resize_piece(model *m) {
  if (m->count == 0) return true;
  piece *p = &m->pieces[choose(m)];
  if (!is_of_this_cycle(m, p)) return true;
  size_t size = random_chance(&m->random, 30) ? p->size + 1 : random_size(m);
  size_t span = wsp_arena_bytes_for(m->arena, size), kept = p->size;
  bool done = wsp_arena_try_resize(m->arena, p->ptr, size);
  if (!CHECK(done ? span == p->span || !p->spill : span != p->span)) return false;
  if (!done) return bytes_hold(m, p);
  if (kept > size) kept = size;
  p->size = size;
  p->span = span;
  note_peak(m);
  if (!CHECK(holds(p->ptr, kept, p->fill))) return false;
  write_bytes(m, p);
  return bytes_hold(m, p);
}

static bool excuse_piece(model *m) {
  if (m->count == 0) return true;
  piece *p = &m->pieces[choose(m)];
  wsp_arena_excuse(m->arena, p->ptr);
  p->excused = true;
  return true;
}

static void forget_raw(model *m, uint64_t born_after) {
  size_t kept = 0;
  for (size_t i = 0; i < m->count; ++i)
    if (!m->pieces[i].raw || m->pieces[i].born <= born_after)
      m->pieces[kept++] = m->pieces[i];
  m->count = kept;
}

static bool set_mark(model *m) {
  size_t i = m->mark_count < MARKS ? m->mark_count++ : MARKS - 1;
  m->marks[i].generation = m->expected.generation;
  m->marks[i].made = ++m->clock;
  return CHECK_EQ(wsp_checkpoint(m->arena, &m->marks[i].mark), WSP_OK);
}

static bool rewind_to_mark(model *m) {
  if (m->mark_count == 0) return true;
  size_t i = random_below(&m->random, m->mark_count);
  wsp_status status = wsp_rewind(m->arena, &m->marks[i].mark);
  if (m->marks[i].generation != m->expected.generation)
    return CHECK_EQ(status, WSP_ESTALE);
  forget_raw(m, m->marks[i].made);
  m->mark_count = i + 1; /* later ones are stale */
  return CHECK_EQ(status, WSP_OK);
}

static void count_visit(void *ctx, size_t size, uint32_t site) {
  (void)site;
  ((size_t *)ctx)[0] += 1;
  ((size_t *)ctx)[1] += size;
}

static bool visit(model *m) {
  size_t seen[2] = {0, 0}, wanted[2] = {0, 0};
  for (size_t i = 0; i < m->count && (m->options.flags & WSP_RECORD); ++i) {
    if (!is_of_this_cycle(m, &m->pieces[i]) || m->pieces[i].excused) continue;
    wanted[0] += 1;
    wanted[1] += m->pieces[i].size;
  }
  wsp_arena_visit(m->arena, count_visit, seen);
  return CHECK_EQ(seen[0], wanted[0]) && CHECK_EQ(seen[1], wanted[1]);
}

/* ---- ends and beginnings of cycles --------------------------------------- */

static void expect_end(model *m) {
  forget_raw(m, 0);
  for (size_t i = 0; i < m->count; ++i)
    m->expected.escaped_count +=
        is_of_this_cycle(m, &m->pieces[i]) && !m->pieces[i].excused;
  m->expected.cycles += 1;
  m->expected.last_high_water = m->expected.cycle_high_water;
  m->expected.cycle_high_water = 0;
  m->open = m->in_cycle = false;
}

static bool reset(model *m) {
  wsp_cycle cycle, expected = {.generation = m->expected.generation};
  forget_raw(m, 0);
  for (size_t i = 0; i < m->count; ++i) {
    if (!is_of_this_cycle(m, &m->pieces[i]) || m->pieces[i].excused) continue;
    expected.escaped += m->pieces[i].size;
    expected.escaped_count += 1;
  }
  expected.high_water = m->expected.cycle_high_water;
  if (!CHECK_EQ(wsp_arena_reset(m->arena, &cycle), WSP_OK)) return false;
  expect_end(m);
  bool ok = CHECK(cycle.generation == expected.generation &&
                  cycle.escaped == expected.escaped &&
                  cycle.escaped_count == expected.escaped_count &&
                  cycle.high_water == expected.high_water);
  if (ok && cycle.spilled != 0 && random_chance(&m->random, 50)) {
    wsp_status status = wsp_arena_resize(m->arena, cycle.need / 10 * 13);
    ok = resize_is_right(m, status);
    if (status == WSP_OK) m->learns = false;
  }
  return ok;
}

static bool abandon(model *m) {
  wsp_arena_abandon(m->arena);
  m->open = false;
  return true;
}

static bool begin(model *m) {
  if (m->in_cycle) expect_end(m);
  m->open = m->in_cycle = true;
  m->expected.generation += 1;
  return CHECK_EQ(wsp_arena_enter(m->arena), WSP_OK) &&
         CHECK_EQ(wsp_arena_refusal(m->arena).status, WSP_OK);
}

/* Everything that an idle arena can be asked; an abandoned cycle ends first. */
static bool do_idle(model *m, size_t which) {
  if (m->in_cycle) expect_end(m);
  if (which < 40) {
    size_t capacity = 1000 + random_below(&m->random, 500000);
    wsp_status status = wsp_arena_resize(m->arena, capacity);
    if (status == WSP_OK) m->learns = false;
    return resize_is_right(m, status);
  }
  if (which < 60) return resize_is_right(m, wsp_arena_move(m->arena));
  if (which < 75) {
    m->learns = m->options.flags & WSP_LEARN;
    return CHECK_EQ(wsp_arena_release(m->arena), WSP_OK);
  }
  if (which < 90) return CHECK(wsp_arena_trim(m->arena) % m->upstream.real.page == 0);
  return CHECK_EQ(wsp_arena_recover(m->arena), WSP_OK);
}

static bool step(model *m) {
  size_t which = random_below(&m->random, 100);
  if (!m->open) {
    if (which < 60) return begin(m);
    if (which < 75) return release_piece(m);
    if (which < 80) return excuse_piece(m);
    return do_idle(m, random_below(&m->random, 100));
  }
  if (which < 47) return allocate(m);
  if (which < 75) return release_piece(m);
  if (which < 82) return resize_piece(m);
  if (which < 85) return excuse_piece(m);
  if (which < 88) return set_mark(m);
  if (which < 91) return rewind_to_mark(m);
  if (which < 93) return visit(m);
  if (which < 94) return abandon(m);
  return reset(m);
}

/* ---- programs ------------------------------------------------------------ */

static void choose_options(model *m) {
  uint64_t *random = &m->random;
  size_t source = random_below(random, 3);
  wsp_upstream real = source == 1 ? wsp_upstream_malloc() : wsp_upstream_pages();
  if (source == 2) real.sparse = false;
  m->options = wsp_options_default();
  m->options.upstream = watch_upstream(&m->upstream, real);
  m->options.alignment = (size_t)1 << random_below(random, 9);
  m->granule = m->options.alignment < 64 ? 64 : m->options.alignment;
  m->largest = random_chance(random, 50) ? 2000 : 20000;
  uint32_t *flags = &m->options.flags;
  if (random_chance(random, 50))
    m->options.initial = 4096 + random_below(random, 200000);
  if (random_chance(random, 30)) *flags |= WSP_RECORD;
  if (random_chance(random, 25)) *flags |= WSP_ZERO_ON_FREE;
  if (random_chance(random, 25)) *flags |= WSP_NO_SPILL;
  if (random_chance(random, 25)) m->options.max_block = 200000;
  if (random_chance(random, 20)) m->options.limit = 400000;
  if (m->options.initial == 0 && random_chance(random, 60)) *flags |= WSP_LEARN;
  m->learns = *flags & WSP_LEARN;
}

static bool finish(model *m) {
  if (m->open && !reset(m)) return false;
  if (m->in_cycle) expect_end(m);
  if (!CHECK_EQ(wsp_arena_close(m->arena), WSP_OK)) return false;
  while (m->count > 0)
    if (!release_piece(m) || !state_holds(m)) return false;
  return CHECK_EQ(wsp_arena_stats(m->arena).blocks, 0) && CHECK_EQ(m->upstream.live, 0);
}

static bool run(uint64_t seed) {
  model m = {.random = seed * UINT64_C(0x9E3779B97F4A7C15)};
  for (int i = 0; i < 8; ++i) (void)next_random(&m.random);
  choose_options(&m);
  m.arena = make_arena(&m.options);
  for (unsigned at = 0; at < STEPS; ++at) {
    if (step(&m) && state_holds(&m) && (at % 32 != 0 || all_bytes_hold(&m))) continue;
    fprintf(stderr, "seed %llu, step %u\n", (unsigned long long)seed, at);
    return false;
  }
  bool ok = finish(&m);
  if (!ok) fprintf(stderr, "seed %llu, at its end\n", (unsigned long long)seed);
  wsp_arena_unref(m.arena);
  return CHECK(m.upstream.live == 0) && ok;
}

/* With a number: that seed alone. */
int main(int argc, char **argv) {
  if (argc > 1) return !run(strtoull(argv[1], NULL, 10));
  for (uint64_t seed = 1; seed <= PROGRAMS; ++seed)
    if (!run(seed)) break;
  return CHECK_SUMMARY();
}
