/* SPDX-License-Identifier: BSD-3-Clause
 * Random programs of raw allocations, marks, scopes, references, pins and adoptions
 * against a list of what must be there.  With a seed as argument: that program alone.
 */
#include <stdlib.h>

#include "support.h"

enum { PIECES = 256, MARKS = 24, STEPS = 400, PROGRAMS = 250 };

typedef struct piece {
  char *ptr;
  size_t size;
  uint64_t born;
  unsigned char byte;
  bool raw;    /* still ends with a rewind */
  bool refers; /* ref is one */
  bool gone;   /* only the reference, or a pin of it, is left */
  wsp_ref ref;
} piece;

typedef struct model {
  wsp_arena *arena;
  uint64_t random, clock;
  piece pieces[PIECES];
  size_t count;
  struct {
    wsp_mark mark;
    uint64_t made;
    bool scoped, stale;
  } marks[MARKS];
  size_t mark_count;
} model;

static size_t random_size(model *m) {
  size_t most[] = {8, 300, 5000, 70000, 300000};
  return random_below(&m->random, most[random_below(&m->random, 5)]);
}

static bool add(model *m, void *ptr, size_t size, bool raw) {
  piece *p = &m->pieces[m->count++];
  unsigned char byte = (unsigned char)random_below(&m->random, 256);
  *p = (piece){.ptr = ptr, .size = size, .born = ++m->clock, .byte = byte, .raw = raw};
  memset(ptr, byte, size);
  return CHECK_EQ((uintptr_t)ptr % 64, 0);
}

static bool allocate(model *m) {
  if (m->count == PIECES) return true;
  size_t size = random_size(m);
  void *ptr = NULL;
  if (random_chance(&m->random, 15))
    return CHECK_EQ(wsp_arena_alloc(m->arena, size, 0, 0, &ptr), WSP_OK) &&
           add(m, ptr, size, false);
  if (random_chance(&m->random, 15))
    return CHECK_EQ(wsp_raw_zeroed(m->arena, size, &ptr), WSP_OK) &&
           CHECK(holds(ptr, size, 0)) && add(m, ptr, size, true);
  return CHECK_EQ(wsp_raw_alloc(m->arena, size, &ptr), WSP_OK) &&
         add(m, ptr, size, true);
}

/* A piece that is alive for the core; NULL: none was hit upon. */
static piece *pick(model *m) {
  if (m->count == 0) return NULL;
  bool last = random_chance(&m->random, 50);
  piece *p = &m->pieces[last ? m->count - 1 : random_below(&m->random, m->count)];
  return p->gone ? NULL : p;
}

static void forget(model *m, piece *p) {
  wsp_ref_drop(&p->ref);
  size_t i = (size_t)(p - m->pieces);
  m->count -= 1;
  memmove(p, p + 1, (m->count - i) * sizeof *p);
}

/* It has died: a reference must know. */
static bool died(model *m, piece *p) {
  if (!p->refers) {
    forget(m, p);
    return true;
  }
  p->gone = true;
  bool pinned = p->ref.pins != 0;
  return CHECK_EQ(wsp_ref_alive(&p->ref), pinned ? WSP_OK : WSP_ESTALE);
}

static bool die_after(model *m, uint64_t born) {
  for (size_t i = m->count; i-- > 0;) {
    piece *p = &m->pieces[i];
    if (p->raw && !p->gone && p->born > born && !died(m, p)) return false;
  }
  return true;
}

static bool resize(model *m) {
  piece *p = pick(m);
  if (p == NULL || !p->raw || p->ref.pins != 0) return true;
  size_t size = random_size(m), least = size < p->size ? size : p->size;
  if (random_chance(&m->random, 50)) {
    wsp_status status = wsp_raw_extend(m->arena, p->ptr, size);
    if (status != WSP_OK) return CHECK(status == WSP_EORDER || status == WSP_EFULL);
  } else {
    if (m->count == PIECES) return true;
    void *moved;
    if (!CHECK_EQ(wsp_raw_realloc(m->arena, p->ptr, size, &moved), WSP_OK))
      return false;
    if (moved != p->ptr) {
      unsigned char byte = p->byte;
      return CHECK(holds(moved, least, byte)) && add(m, moved, size, true);
    }
  }
  p->size = size;
  bool kept = CHECK(holds(p->ptr, least, p->byte));
  memset(p->ptr, p->byte, size);
  return kept;
}

static bool free_last(model *m) {
  piece *p = pick(m);
  if (p == NULL) return true;
  wsp_status status = wsp_raw_free_last(m->arena, p->ptr);
  if (!p->raw) return CHECK_EQ(status, WSP_EINVAL);
  if (status != WSP_OK) return CHECK_EQ(status, WSP_EORDER);
  for (size_t i = 0; i < m->mark_count; ++i)
    if (!CHECK(m->marks[i].stale || m->marks[i].made < p->born)) return false;
  return died(m, p);
}

static bool refer(model *m) {
  piece *p = pick(m);
  if (p == NULL || p->refers) return true;
  wsp_status status = wsp_ref_make(m->arena, p->ptr, &p->ref);
  if (!p->raw) return CHECK_EQ(status, WSP_EINVAL);
  p->refers = true;
  return CHECK_EQ(status, WSP_OK) && CHECK_EQ(wsp_ref_alive(&p->ref), WSP_OK);
}

static bool pin(model *m) {
  if (m->count == 0) return true;
  piece *p = &m->pieces[random_below(&m->random, m->count)];
  if (!p->refers) return true;
  if (p->ref.pins != 0 && random_chance(&m->random, 60)) {
    if (!CHECK_EQ(wsp_unpin(&p->ref), WSP_OK)) return false;
    if (p->gone && p->ref.pins == 0) forget(m, p);
    return true;
  }
  wsp_status status = wsp_pin(&p->ref);
  bool dead = (p->gone || !p->raw) && p->ref.pins == 0;
  return CHECK_EQ(status, dead ? WSP_ESTALE : WSP_OK);
}

static bool adopt(model *m) {
  piece *p = pick(m);
  if (p == NULL) return true;
  wsp_status status = wsp_raw_adopt(m->arena, p->ptr);
  if (!p->raw) return CHECK_EQ(status, WSP_EINVAL);
  if (p->ref.pins != 0) return CHECK_EQ(status, WSP_EBUSY);
  p->raw = false;
  return CHECK_EQ(status, WSP_OK) &&
         (!p->refers || CHECK_EQ(wsp_ref_alive(&p->ref), WSP_ESTALE));
}

static bool free_ordinary(model *m) {
  piece *p = pick(m);
  if (p == NULL || p->raw) return true;
  wsp_arena_free(m->arena, p->ptr);
  forget(m, p);
  return true;
}

static bool set_mark(model *m) {
  if (m->mark_count == MARKS) return true;
  bool scoped = random_chance(&m->random, 40);
  size_t i = m->mark_count++;
  m->marks[i].made = ++m->clock;
  m->marks[i].scoped = scoped;
  m->marks[i].stale = false;
  return CHECK_EQ(scoped ? wsp_scope_push(m->arena, &m->marks[i].mark)
                         : wsp_checkpoint(m->arena, &m->marks[i].mark),
                  WSP_OK);
}

/* What the status must be: marks made later than a stale one may be live again. */
static wsp_status expected_of(const model *m, size_t i, bool pop) {
  if (m->marks[i].stale) return WSP_ESTALE;
  size_t scope = MARKS;
  for (size_t k = 0; k < m->mark_count; ++k)
    if (m->marks[k].scoped && !m->marks[k].stale) scope = k;
  if (pop) return scope == i ? WSP_OK : WSP_EORDER;
  return scope != MARKS && i < scope ? WSP_EORDER : WSP_OK;
}

static bool go_back(model *m) {
  if (m->mark_count == 0) return true;
  size_t i = random_below(&m->random, m->mark_count);
  if (random_chance(&m->random, 50)) i = m->mark_count - 1;
  bool pop = m->marks[i].scoped && random_chance(&m->random, 70);
  wsp_status status = pop ? wsp_scope_pop(m->arena, &m->marks[i].mark)
                          : wsp_rewind(m->arena, &m->marks[i].mark);
  if (!CHECK_EQ(status, expected_of(m, i, pop))) return false;
  if (status != WSP_OK) return true;
  if (!die_after(m, m->marks[i].made)) return false;
  /* Marks with nothing in between are one and the same. */
  for (size_t k = i + 1; k < m->mark_count; ++k)
    if (pop || memcmp(&m->marks[k].mark, &m->marks[i].mark, sizeof(wsp_mark)) != 0)
      m->marks[k].stale = true;
  if (pop) m->marks[i].stale = true;
  while (m->mark_count > 0 && m->marks[m->mark_count - 1].stale &&
         random_chance(&m->random, 70))
    m->mark_count -= 1;
  return true;
}

static bool next_cycle(model *m) {
  for (size_t i = 0; i < m->mark_count; ++i) m->marks[i].stale = true;
  (void)leave(m->arena);
  enter(m->arena);
  if (m->mark_count > MARKS / 2) m->mark_count = 0;
  return die_after(m, 0) && CHECK(wsp_arena_check(m->arena));
}

static bool step(model *m) {
  size_t which = random_below(&m->random, 100);
  if (which < 40) return allocate(m);
  if (which < 50) return resize(m);
  if (which < 60) return free_last(m);
  if (which < 66) return refer(m);
  if (which < 72) return pin(m);
  if (which < 76) return adopt(m);
  if (which < 82) return free_ordinary(m);
  if (which < 90) return set_mark(m);
  if (which < 98) return go_back(m);
  return next_cycle(m);
}

static bool is_as_expected(model *m) {
  for (size_t i = 0; i < m->count; ++i) {
    const piece *p = &m->pieces[i];
    if (p->gone && p->ref.pins == 0) continue;
    if (!CHECK(holds(p->ptr, p->size, p->byte))) return false;
  }
  return CHECK(wsp_arena_check(m->arena));
}

static bool run_program(uint64_t seed) {
  static model m;
  static const size_t alignments[] = {64, 64, 128, 256};
  m = (model){.random = seed * 77 + 1};
  wsp_options options = wsp_options_default();
  options.alignment = alignments[seed % 4];
  options.initial = seed % 3 == 0 ? 0 : (size_t)100000 << seed % 5;
  options.flags = (seed % 2 ? WSP_RECORD : 0) | (seed % 5 ? 0 : WSP_ZERO_ON_FREE);
  m.arena = make_arena(&options);
  enter(m.arena);
  bool good = true;
  for (int i = 0; good && i < STEPS; ++i) good = step(&m) && is_as_expected(&m);
  (void)leave(m.arena);
  good = good && die_after(&m, 0);
  while (m.count > 0) {
    piece *p = &m.pieces[m.count - 1];
    if (!p->raw) wsp_arena_free(m.arena, p->ptr);
    forget(&m, p);
  }
  wsp_stats stats = wsp_arena_stats(m.arena);
  good = good && CHECK(wsp_arena_check(m.arena)) && CHECK_EQ(stats.retained, 0);
  wsp_arena_unref(m.arena);
  if (!good) fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
  return good;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    (void)run_program(strtoull(argv[1], NULL, 10));
    return CHECK_SUMMARY();
  }
  for (uint64_t seed = 1; seed <= PROGRAMS; ++seed)
    if (!run_program(seed)) break;
  return CHECK_SUMMARY();
}
