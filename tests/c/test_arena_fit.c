/* SPDX-License-Identifier: BSD-3-Clause
 * A block that is made as large as is told, smaller ones included, and what a cycle
 * says that it would need. */
#include "support.h"

static void a_block_is_made_smaller_and_its_memory_goes_back(void) {
  for (int kind = 0; kind < 2; ++kind) {
    watch w;
    wsp_options options = wsp_options_default();
    options.upstream =
        watch_upstream(&w, kind == 0 ? wsp_upstream_pages() : wsp_upstream_malloc());
    options.initial = 4 * MIB;
    wsp_arena *arena = make_arena(&options);
    enter(arena);
    char *all = take(arena, 3 * MIB);
    memset(all, 1, 3 * MIB);
    wsp_arena_free(arena, all);
    CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_EBUSY);
    (void)leave(arena);
    CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_OK);
    CHECK_EQ(wsp_arena_stats(arena).capacity, MIB);
    CHECK_EQ(wsp_arena_stats(arena).reserved, MIB);
    if (kind == 0) CHECK(wsp_arena_resident(arena) <= 64 * KIB);
    enter(arena);
    all = take_flagged(arena, 900 * KIB, WSP_ZERO);
    CHECK(holds(all, 900 * KIB, 0) && wsp_arena_check(arena));
    CHECK_EQ(wsp_arena_stats(arena).spills, 0);
    wsp_arena_free(arena, all);
    (void)leave(arena);
    CHECK_EQ(wsp_arena_fit(arena, 2 * MIB), WSP_OK); /* and larger again */
    CHECK_EQ(wsp_arena_stats(arena).capacity, 2 * MIB);
    CHECK_EQ(wsp_arena_close(arena), WSP_OK);
    CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_ECLOSED);
    wsp_arena_unref(arena);
    CHECK(w.live == 0 && !w.misused);
  }
}

static void survivors_keep_a_block_that_is_made_smaller(void) {
  wsp_arena *arena = make_arena_of(4 * MIB, 0);
  enter(arena);
  char *survivor = take(arena, 10000);
  memset(survivor, 7, 10000);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, MIB);
  enter(arena);
  char *other = take(arena, MIB / 2);
  memset(other, 8, MIB / 2);
  CHECK(holds(survivor, 10000, 7) && wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_stats(arena).spills, 0);
  wsp_arena_free(arena, other);
  wsp_arena_free(arena, survivor);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_stats(arena).reserved, MIB); /* what is spare has no memory */
  wsp_arena_unref(arena);
}

/* Both blocks together would be over the limit. */
static void a_limit_keeps_a_block_with_survivors_as_it_is(void) {
  wsp_options options = wsp_options_default();
  options.initial = options.limit = options.max_block = MIB;
  options.flags = WSP_NO_SPILL;
  wsp_arena *arena = make_arena(&options);
  enter(arena);
  char *survivor = take(arena, 10000);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_fit(arena, MIB / 2), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, MIB);
  wsp_arena_free(arena, survivor);
  CHECK_EQ(wsp_arena_fit(arena, MIB / 2), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, MIB / 2);
  wsp_arena_unref(arena);
}

static void an_upstream_that_refuses_leaves_the_old_block_to_its_survivors(void) {
  watch w;
  wsp_options options = wsp_options_default();
  options.upstream = watch_upstream(&w, wsp_upstream_malloc());
  options.initial = 4 * MIB;
  wsp_arena *arena = make_arena(&options);
  enter(arena);
  char *survivor = take(arena, 10000);
  memset(survivor, 7, 10000);
  (void)leave(arena);
  w.fail_at = w.attempts + 1;
  CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_ENOMEM);
  CHECK(w.failures == 1 && wsp_arena_stats(arena).capacity == 4 * MIB);
  wsp_arena_free(arena, survivor);
  w.fail_at = w.attempts + 1;
  CHECK_EQ(wsp_arena_fit(arena, MIB), WSP_ENOMEM);
  enter(arena); /* without a block */
  survivor = take(arena, 10000);
  memset(survivor, 7, 10000);
  CHECK(wsp_arena_check(arena));
  wsp_arena_free(arena, survivor);
  (void)leave(arena);
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

/* Whatever block it had: none, one too small, one far too large. */
static void the_fit_of_a_cycle_is_a_block_that_holds_it(void) {
  static const size_t blocks[] = {0, 300 * KIB, 16 * MIB};
  size_t fit = 0;
  for (size_t i = 0; i < 3; ++i) {
    wsp_arena *arena = make_arena_of(blocks[i], 0);
    for (int turn = 0; turn < 2; ++turn) {
      enter(arena);
      char *held[] = {take(arena, 200 * KIB), take(arena, 250 * KIB)};
      wsp_arena_free(arena, held[1]);
      wsp_arena_free(arena, held[0]);
      wsp_cycle cycle = leave(arena);
      if (fit == 0) fit = cycle.fit;
      CHECK_EQ(cycle.fit, fit);
      if (turn == 0 && blocks[i] == 16 * MIB) CHECK_EQ(cycle.need, 16 * MIB);
      if (turn == 0) CHECK_EQ(wsp_arena_fit(arena, cycle.fit), WSP_OK);
      if (turn == 1) CHECK_EQ(cycle.spilled, 0);
    }
    wsp_arena_unref(arena);
  }
}

int main(void) {
  a_block_is_made_smaller_and_its_memory_goes_back();
  survivors_keep_a_block_that_is_made_smaller();
  a_limit_keeps_a_block_with_survivors_as_it_is();
  an_upstream_that_refuses_leaves_the_old_block_to_its_survivors();
  the_fit_of_a_cycle_is_a_block_that_holds_it();
  return CHECK_SUMMARY();
}
