/* SPDX-License-Identifier: BSD-3-Clause
 * Cycles of an arena: generations, survivors, what a cycle came to, abandoning,
 * closing. */
#include "support.h"

static void each_cycle_has_its_generation(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  CHECK(wsp_arena_generation(arena) == 0 && !wsp_arena_in_cycle(arena));
  for (uint64_t generation = 1; generation < 5; ++generation) {
    enter(arena);
    CHECK(wsp_arena_is_mine(arena) && wsp_arena_is_open(arena));
    CHECK(wsp_arena_in_cycle(arena) && wsp_arena_generation(arena) == generation);
    CHECK_EQ(wsp_generation(arena, take(arena, 100)), generation);
    CHECK_EQ(leave(arena).generation, generation);
    CHECK(!wsp_arena_is_mine(arena) && !wsp_arena_is_open(arena));
    CHECK(!wsp_arena_in_cycle(arena) && wsp_arena_generation(arena) == generation);
    CHECK_EQ(wsp_arena_stats(arena).cycles, generation);
  }
  wsp_arena_unref(arena);
}

static void what_needs_an_open_arena_says_so(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  wsp_cycle cycle = {.generation = 77};
  wsp_mark mark = {.serial = 0};
  void *ptr = &mark;
  CHECK_EQ(wsp_arena_reset(arena, &cycle), WSP_ETHREAD);
  CHECK_EQ(wsp_arena_alloc(arena, 10, 0, 0, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_checkpoint(arena, &mark), WSP_ETHREAD);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_ETHREAD);
  CHECK(ptr == &mark && cycle.generation == 77 && mark.serial == 0);
  CHECK(wsp_arena_stats(arena).allocations == 0 && wsp_arena_stats(arena).blocks == 0);
  wsp_arena_unref(arena);
}

static void what_needs_an_idle_arena_says_so(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *ptr = take(arena, 1000);
  wsp_stats before = wsp_arena_stats(arena);
  CHECK_EQ(wsp_arena_enter(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_release(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_close(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_EBUSY);
  CHECK_EQ(wsp_arena_move(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_recover(arena), WSP_EBUSY);
  CHECK_EQ(wsp_arena_trim(arena), 0);
  wsp_stats after = wsp_arena_stats(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && wsp_arena_is_mine(arena));
  memset(ptr, 1, 1000);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

/* ---- survivors ----------------------------------------------------------- */

static void survivors_that_nobody_excused_have_escaped(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *a = take(arena, 100), *b = take(arena, 2000), *kept = take(arena, 3000);
  wsp_arena_free(arena, take(arena, 500));
  (void)take_flagged(arena, 700, WSP_RAW);
  wsp_arena_excuse(arena, kept);
  wsp_arena_excuse(arena, kept);
  wsp_cycle cycle = leave(arena);
  CHECK(cycle.escaped == 2100 && cycle.escaped_count == 2 && cycle.allocations == 5);
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(stats.retained == 5100 && stats.escaped == 2100 && stats.escaped_count == 2);
  CHECK(stats.used == 0 && stats.allocations == 5);
  wsp_arena_excuse(arena, b); /* late */
  CHECK(wsp_arena_stats(arena).escaped == 100 &&
        wsp_arena_stats(arena).retained == 5100);
  wsp_arena_free(arena, kept);
  CHECK(wsp_arena_stats(arena).escaped == 100 &&
        wsp_arena_stats(arena).retained == 2100);
  enter(arena);
  wsp_arena_free(arena, a); /* in a later cycle */
  CHECK(wsp_arena_stats(arena).escaped == 0 && wsp_arena_stats(arena).retained == 2000);
  CHECK_EQ(wsp_arena_stats(arena).used, 0);
  cycle = leave(arena);
  CHECK(cycle.escaped == 0 && cycle.escaped_count == 0);
  wsp_arena_free(arena, b);
  CHECK(wsp_arena_stats(arena).retained == 0 &&
        wsp_arena_stats(arena).escaped_count == 2);
  wsp_arena_unref(arena);
}

static void excused_allocations_may_die_in_their_cycle(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  char *a = take(arena, 100), *b = take(arena, 200);
  wsp_arena_excuse(arena, a);
  wsp_arena_free(arena, a);
  wsp_cycle cycle = leave(arena);
  CHECK(cycle.escaped == 200 && cycle.escaped_count == 1);
  wsp_arena_free(arena, b);
  wsp_arena_unref(arena);
}

static void survivors_keep_their_bytes_through_later_cycles(void) {
  enum { CYCLES = 20, EACH = 8 };
  wsp_arena *arena = make_arena_of(256 * KIB, 0);
  unsigned char *kept[CYCLES];
  for (size_t c = 0; c < CYCLES; ++c) {
    enter(arena);
    for (size_t i = 0; i < EACH; ++i) {
      unsigned char *ptr = take(arena, 1000 + 100 * i);
      memset(ptr, (int)(0x80 + c), 1000 + 100 * i);
      if (i == c % EACH) kept[c] = ptr;
      if (i == c % EACH + 1) wsp_arena_free(arena, ptr);
    }
    (void)leave(arena);
    CHECK(wsp_arena_check(arena));
  }
  for (size_t c = 0; c < CYCLES; ++c) {
    size_t size = 1000 + 100 * (c % EACH);
    CHECK(wsp_size(arena, kept[c]) == size && wsp_generation(arena, kept[c]) == c + 1);
    CHECK(holds(kept[c], size, (unsigned char)(0x80 + c)));
  }
  wsp_arena_unref(arena); /* and all that lives in it */
}

static void a_cycle_without_survivors_leaves_nothing(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  char *first = NULL;
  for (size_t c = 0; c < 10; ++c) {
    enter(arena);
    char *held[12];
    for (size_t i = 0; i < 12; ++i) held[i] = take(arena, 100 + 300 * i);
    if (first == NULL) first = held[0];
    CHECK(held[0] == first); /* the same memory every cycle */
    for (size_t i = 0; i < 12; ++i) wsp_arena_free(arena, held[i * 5 % 12]);
    (void)leave(arena);
    CHECK(wsp_arena_check(arena));
  }
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(stats.retained == 0 && stats.escaped == 0 && stats.spills == 0);
  wsp_arena_unref(arena);
}

/* ---- what a cycle came to ------------------------------------------------ */

static void high_water_marks_are_the_most_at_once(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  size_t each = wsp_arena_bytes_for(arena, 10000);
  for (size_t c = 0; c < 3; ++c) {
    size_t most = c == 1 ? 9 : 4;
    char *held[9];
    enter(arena);
    for (size_t i = 0; i < most; ++i) held[i] = take(arena, 10000);
    for (size_t i = 0; i < most; ++i) wsp_arena_free(arena, held[i]);
    wsp_arena_free(arena, take(arena, 10000));
    CHECK_EQ(wsp_arena_stats(arena).cycle_high_water, most * each);
    CHECK_EQ(wsp_arena_stats(arena).high_water, (c == 0 ? 4 : 9) * each);
    CHECK_EQ(leave(arena).high_water, most * each);
    CHECK_EQ(wsp_arena_stats(arena).last_high_water, most * each);
    CHECK_EQ(wsp_arena_stats(arena).cycle_high_water, 0);
  }
  CHECK_EQ(wsp_arena_stats(arena).high_water, 9 * each);
  wsp_arena_unref(arena);
}

static wsp_cycle run_program(wsp_arena *arena) {
  char *held[30];
  enter(arena);
  for (size_t i = 0; i < 30; ++i) {
    held[i] = take(arena, 1000 + 977 * i);
    if (i % 3 == 2) wsp_arena_free(arena, held[i]);
  }
  for (size_t i = 0; i < 30; ++i)
    if (i % 3 != 2) wsp_arena_free(arena, held[i]);
  return leave(arena);
}

static void a_cycle_outside_teaches_the_size_of_the_block(void) {
  wsp_arena *arena = make_arena_of(0, WSP_LEARN);
  wsp_cycle cycle = run_program(arena);
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(cycle.outside && cycle.spilled == 0 && cycle.need >= cycle.high_water);
  CHECK(stats.spills == 0 && stats.capacity == 0);
  CHECK_EQ(wsp_arena_resize(arena, cycle.need), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, cycle.need);
  size_t need = cycle.need;
  cycle = run_program(arena);
  CHECK(!cycle.outside && cycle.spilled == 0 && cycle.need == need);
  CHECK(wsp_arena_stats(arena).spills == 0 && wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_release(arena), WSP_OK); /* learns again */
  cycle = run_program(arena);
  CHECK(cycle.outside && cycle.spilled == 0 && wsp_arena_stats(arena).spills == 0);
  wsp_arena_unref(arena);
}

static void spills_are_counted_and_say_what_is_needed(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  wsp_cycle cycle = run_program(arena);
  uint64_t spills = wsp_arena_stats(arena).spills;
  CHECK(!cycle.outside && cycle.spilled > 0 && spills > 0);
  CHECK(cycle.need > 64 * KIB && cycle.need >= cycle.high_water);
  CHECK_EQ(wsp_arena_stats(arena).spilled, 0);
  CHECK_EQ(wsp_arena_resize(arena, cycle.need), WSP_OK);
  cycle = run_program(arena);
  CHECK(cycle.spilled == 0 && wsp_arena_stats(arena).spills == spills);
  wsp_arena_unref(arena);
}

static void without_a_block_and_without_learning_all_is_spilled(void) {
  wsp_arena *arena = make_arena_of(0, 0);
  wsp_cycle cycle = run_program(arena);
  CHECK(cycle.outside && cycle.spilled == cycle.high_water && cycle.spilled > 0);
  CHECK_EQ(wsp_arena_stats(arena).spills, cycle.allocations);
  wsp_arena_unref(arena);
}

/* ---- recording ----------------------------------------------------------- */

typedef struct seen {
  size_t count, sizes[8];
  uint32_t sites[8];
} seen;

static void note(void *ctx, size_t size, uint32_t site) {
  seen *s = ctx;
  if (s->count < 8) s->sizes[s->count] = size, s->sites[s->count] = site;
  s->count += 1;
}

static void visiting_shows_the_living_of_this_cycle(void) {
  for (int record = 0; record < 2; ++record) {
    wsp_arena *arena = make_arena_of(64 * KIB, record ? WSP_RECORD : 0);
    enter(arena);
    (void)take(arena, 9); /* of an earlier cycle */
    (void)leave(arena);
    enter(arena);
    void *held[5];
    for (uint32_t i = 0; i < 5; ++i)
      CHECK_EQ(wsp_arena_alloc(arena, 10 + i, i == 4 ? WSP_RAW : 0, 100 + i, &held[i]),
               0);
    wsp_arena_free(arena, held[1]);
    wsp_arena_excuse(arena, held[2]);
    seen s = {.count = 0};
    wsp_arena_visit(arena, note, &s);
    CHECK_EQ(s.count, record ? 3 : 0);
    if (record) {
      CHECK(s.sizes[0] == 14 && s.sizes[1] == 13 && s.sizes[2] == 10);
      CHECK(s.sites[0] == 104 && s.sites[1] == 103 && s.sites[2] == 100);
    }
    (void)leave(arena);
    s.count = 0;
    wsp_arena_visit(arena, note, &s); /* not open */
    CHECK_EQ(s.count, 0);
    wsp_arena_unref(arena);
  }
}

int main(void) {
  each_cycle_has_its_generation();
  what_needs_an_open_arena_says_so();
  what_needs_an_idle_arena_says_so();
  survivors_that_nobody_excused_have_escaped();
  excused_allocations_may_die_in_their_cycle();
  survivors_keep_their_bytes_through_later_cycles();
  a_cycle_without_survivors_leaves_nothing();
  high_water_marks_are_the_most_at_once();
  a_cycle_outside_teaches_the_size_of_the_block();
  spills_are_counted_and_say_what_is_needed();
  without_a_block_and_without_learning_all_is_spilled();
  visiting_shows_the_living_of_this_cycle();
  return CHECK_SUMMARY();
}
