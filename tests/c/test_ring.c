/* SPDX-License-Identifier: BSD-3-Clause
 * Rings: each cycle has a block in which nothing lives any more. */
#include "support.h"

static wsp_arena *make_ring(size_t slots, size_t initial, uint32_t flags) {
  wsp_options options = wsp_options_default();
  options.slots = slots;
  options.initial = initial;
  options.flags = flags;
  return make_arena(&options);
}

/* A cycle that leaves an allocation of so many bytes, all of them `fill`. */
static char *produce(wsp_arena *arena, size_t size, int fill) {
  enter(arena);
  char *ptr = take(arena, size);
  memset(ptr, fill, size);
  (void)leave(arena);
  return ptr;
}

static size_t slot_of_generation(wsp_arena *arena, uint64_t generation) {
  for (size_t i = 0; i < wsp_arena_slots(arena); ++i)
    if (wsp_arena_slot(arena, i).generation == generation) return i;
  return SIZE_MAX;
}

static void cycles_take_slots_in_turn_and_reuse_their_memory(void) {
  wsp_arena *arena = make_ring(3, MIB, 0);
  char *first[3];
  for (int i = 0; i < 9; ++i) {
    char *ptr = produce(arena, 100000, i);
    if (i < 3)
      first[i] = ptr;
    else
      CHECK(ptr == first[i % 3]); /* the same place, three cycles later */
    CHECK_EQ(slot_of_generation(arena, (uint64_t)i + 1), i % 3);
    CHECK(holds(ptr, 100000, (unsigned char)i) && wsp_arena_check(arena));
    wsp_arena_free(arena, ptr);
  }
  CHECK(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
  CHECK_EQ(wsp_arena_slot(arena, 0).cycles, 3);
  CHECK_EQ(wsp_arena_stats(arena).spills, 0);
  CHECK_EQ(wsp_arena_stats(arena).escaped_count, 0);
  wsp_arena_unref(arena);
}

static void a_slot_in_which_something_lives_is_left_alone(void) {
  wsp_arena *arena = make_ring(2, MIB, 0);
  char *held = produce(arena, 50000, 1);
  wsp_arena_free(arena, produce(arena, 50000, 2));
  char *spill = produce(arena, 50000, 3); /* its turn, and it is held */
  CHECK_EQ(wsp_arena_slot(arena, 0).held, 1);
  CHECK_EQ(wsp_arena_slot(arena, 0).generation, 1);
  CHECK_EQ(wsp_arena_stats(arena).spills, 1);
  wsp_arena_free(arena, produce(arena, 50000, 4)); /* the next is free */
  CHECK_EQ(slot_of_generation(arena, 4), 1);
  CHECK_EQ(wsp_arena_stats(arena).spills, 1);
  CHECK(holds(held, 50000, 1) && holds(spill, 50000, 3));
  wsp_arena_free(arena, held);
  wsp_arena_free(arena, spill);
  CHECK_EQ(wsp_arena_stats(arena).retained, 0);
  CHECK_EQ(wsp_arena_stats(arena).escaped, 0);
  wsp_arena_free(arena, produce(arena, 50000, 5));
  CHECK_EQ(slot_of_generation(arena, 5), 0);
  wsp_arena_unref(arena);
}

static void a_ring_may_pass_over_held_slots(void) {
  wsp_arena *arena = make_ring(3, MIB, WSP_RING_SKIP);
  char *held[3];
  held[0] = produce(arena, 1000, 1);
  wsp_arena_free(arena, produce(arena, 1000, 2));
  wsp_arena_free(arena, produce(arena, 1000, 3));
  held[1] = produce(arena, 1000, 4); /* the turn of slot 0 */
  CHECK_EQ(slot_of_generation(arena, 4), 1);
  held[2] = produce(arena, 1000, 5);
  CHECK_EQ(slot_of_generation(arena, 5), 2);
  CHECK_EQ(wsp_arena_stats(arena).spills, 0);
  wsp_arena_free(arena, produce(arena, 1000, 6)); /* all are held */
  CHECK_EQ(wsp_arena_stats(arena).spills, 1);
  for (int i = 0; i < 3; ++i) wsp_arena_free(arena, held[i]);
  wsp_arena_unref(arena);
}

static void a_ring_may_refuse_and_changes_nothing_then(void) {
  for (uint32_t skip = 0; skip < 2; ++skip) {
    wsp_arena *arena =
        make_ring(2, MIB, WSP_RING_REFUSE | (skip ? (uint32_t)WSP_RING_SKIP : 0));
    char *held[] = {produce(arena, 1000, 1), produce(arena, 1000, 2)};
    for (int tries = 0; tries < 3; ++tries) {
      CHECK_EQ(wsp_arena_enter(arena), WSP_EHELD);
      CHECK(!wsp_arena_is_open(arena) && wsp_arena_generation(arena) == 2);
      CHECK(wsp_arena_slot(arena, 0).is_next && !wsp_arena_slot(arena, 1).is_next);
      CHECK_EQ(wsp_arena_slot(arena, 0).held, 1);
    }
    wsp_arena_free(arena, held[1]); /* the wrong one, but when skipping */
    if (skip) {
      wsp_arena_free(arena, produce(arena, 1000, 3));
      CHECK_EQ(slot_of_generation(arena, 3), 1);
    } else {
      CHECK_EQ(wsp_arena_enter(arena), WSP_EHELD);
    }
    wsp_arena_free(arena, held[0]);
    wsp_arena_free(arena, produce(arena, 1000, 3));
    CHECK_EQ(slot_of_generation(arena, skip ? 4 : 3), 0);
    wsp_arena_unref(arena);
  }
}

static void slots_get_another_size_when_their_turn_comes(void) {
  wsp_arena *arena = make_ring(2, 0, WSP_LEARN);
  char *outside = produce(arena, 300 * KIB, 9);
  CHECK_EQ(wsp_arena_stats(arena).spills, 0);
  CHECK_EQ(wsp_arena_resize(arena, 400 * KIB), WSP_OK);
  char *held = produce(arena, 300 * KIB, 1);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
  wsp_arena_free(arena, produce(arena, 900 * KIB, 2));
  char *spill = produce(arena, 900 * KIB, 3); /* slot 1 is held */
  CHECK_EQ(wsp_arena_slot(arena, 1).capacity, 400 * KIB);
  CHECK(holds(held, 300 * KIB, 1) && holds(outside, 300 * KIB, 9));
  wsp_arena_free(arena, held);
  wsp_arena_free(arena, produce(arena, 900 * KIB, 4));
  wsp_arena_free(arena, produce(arena, 900 * KIB, 5));
  CHECK_EQ(wsp_arena_slot(arena, 1).capacity, MIB);
  CHECK_EQ(wsp_arena_stats(arena).spills, 1);
  CHECK_EQ(wsp_arena_fit(arena, 100 * KIB), WSP_OK); /* smaller again */
  wsp_arena_free(arena, spill);
  wsp_arena_free(arena, outside);
  wsp_arena_free(arena, produce(arena, 10 * KIB, 6));
  CHECK(wsp_arena_stats(arena).reserved <= 200 * KIB && wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void a_ring_is_released_and_closed_with_survivors(void) {
  watch w;
  wsp_options options = wsp_options_default();
  options.upstream = watch_upstream(&w, wsp_upstream_malloc());
  options.slots = 3;
  options.initial = MIB;
  wsp_arena *arena = make_arena(&options);
  char *held[] = {produce(arena, 1000, 1), produce(arena, 1000, 2)};
  CHECK_EQ(wsp_arena_release(arena), WSP_OK);
  char *more = produce(arena, 1000, 3);
  CHECK(holds(held[0], 1000, 1) && holds(held[1], 1000, 2) && wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_move(arena), WSP_OK);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  CHECK(holds(more, 1000, 3) && w.live >= 3 * MIB);
  wsp_arena_free(arena, held[0]);
  wsp_arena_free(arena, held[1]);
  wsp_arena_free(arena, more);
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

static void too_many_slots_are_refused(void) {
  wsp_options options = wsp_options_default();
  options.slots = WSP_MAX_SLOTS + 1;
  wsp_arena *arena = NULL;
  CHECK_EQ(wsp_arena_new(&options, &arena), WSP_EINVAL);
  CHECK(arena == NULL);
}

/* ---- random programs against a list of what lives -------------------------- */

enum { HELD = 64, SLOTS = 4 };

typedef struct piece {
  char *ptr;
  size_t size, slot; /* SLOTS: outside */
  unsigned char fill;
} piece;

static bool slot_is_held(const piece *held, size_t count, size_t slot) {
  for (size_t i = 0; i < count; ++i)
    if (held[i].slot == slot) return true;
  return false;
}

static void free_at_random(wsp_arena *arena, piece *held, size_t *count,
                           uint64_t *seed) {
  size_t i = random_below(seed, *count);
  CHECK(holds(held[i].ptr, held[i].size, held[i].fill));
  wsp_arena_free(arena, held[i].ptr);
  held[i] = held[--*count];
}

static void one_cycle(wsp_arena *arena, piece *held, size_t *count, size_t *turn,
                      uint64_t *seed) {
  size_t slot = *turn = (*turn + 1) % SLOTS;
  if (slot_is_held(held, *count, slot)) slot = SLOTS;
  enter(arena);
  for (size_t n = random_below(seed, 6); n > 0 && *count < HELD; --n) {
    uint64_t spills = wsp_arena_stats(arena).spills;
    piece *p = &held[*count];
    *p = (piece){.size = random_below(seed, random_chance(seed, 10) ? MIB : 9000),
                 .fill = (unsigned char)next_random(seed)};
    p->ptr = take(arena, p->size);
    memset(p->ptr, p->fill, p->size);
    p->slot = wsp_arena_stats(arena).spills != spills ? SLOTS : slot;
    CHECK(slot != SLOTS || p->slot == SLOTS); /* a held slot gives nothing */
    *count += 1;
    if (random_chance(seed, 40)) free_at_random(arena, held, count, seed);
  }
  (void)leave(arena);
}

static void random_programs_never_reuse_what_lives(void) {
  for (uint64_t run = 1; run <= 40; ++run) {
    uint64_t seed = run * 7919;
    wsp_arena *arena = make_ring(SLOTS, 256 * KIB, 0);
    piece held[HELD];
    size_t count = 0, turn = SLOTS - 1;
    for (int cycle = 0; cycle < 60; ++cycle) {
      one_cycle(arena, held, &count, &turn, &seed);
      CHECK(wsp_arena_check(arena));
      while (count > 0 && random_chance(&seed, 60))
        free_at_random(arena, held, &count, &seed);
      if (random_chance(&seed, 5))
        CHECK_EQ(wsp_arena_fit(arena, (1 + random_below(&seed, 8)) * 64 * KIB), WSP_OK);
      if (random_chance(&seed, 5)) (void)wsp_arena_trim(arena);
    }
    while (count > 0) free_at_random(arena, held, &count, &seed);
    CHECK_EQ(wsp_arena_stats(arena).retained, 0);
    wsp_arena_unref(arena);
  }
}

int main(void) {
  cycles_take_slots_in_turn_and_reuse_their_memory();
  a_slot_in_which_something_lives_is_left_alone();
  a_ring_may_pass_over_held_slots();
  a_ring_may_refuse_and_changes_nothing_then();
  slots_get_another_size_when_their_turn_comes();
  a_ring_is_released_and_closed_with_survivors();
  too_many_slots_are_refused();
  random_programs_never_reuse_what_lives();
  return CHECK_SUMMARY();
}
