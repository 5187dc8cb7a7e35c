/* SPDX-License-Identifier: BSD-3-Clause
 * The block of an arena: growing it, bounds, refusals, moving on, giving pages back. */
#include "wsp_internal.h"

#include "support.h"

static wsp_options options_over(watch *w, wsp_upstream real) {
  wsp_options options = wsp_options_default();
  options.upstream = watch_upstream(w, real);
  return options;
}

static wsp_stats stats_less_calls(const wsp_arena *arena) {
  wsp_stats stats = wsp_arena_stats(arena);
  stats.upstream_calls = 0;
  return stats;
}

/* A survivor of 1000 bytes; ends the cycle. */
static char *leave_survivor(wsp_arena *arena) {
  enter(arena);
  char *ptr = take(arena, 1000);
  memset(ptr, 0x5A, 1000);
  (void)leave(arena);
  return ptr;
}

/* ---- size ---------------------------------------------------------------- */

static void a_block_grows_in_place_where_addresses_allow(void) {
  watch w;
  wsp_options options = options_over(&w, wsp_upstream_pages());
  wsp_arena *arena = make_arena(&options);
  CHECK_EQ(wsp_arena_resize(arena, 64 * KIB), WSP_OK);
  char *stays = leave_survivor(arena);
  size_t live = w.live;
  for (size_t size = 100 * KIB; size < 64 * MIB; size *= 3) {
    CHECK_EQ(wsp_arena_resize(arena, size), WSP_OK);
    wsp_stats stats = wsp_arena_stats(arena);
    CHECK(stats.capacity == size && stats.blocks == 1 && w.live == live);
    enter(arena);
    char *big = take(arena, size - 2 * KIB - size / 16);
    CHECK(big > stays && wsp_arena_stats(arena).spills == 0);
    wsp_arena_free(arena, big);
    (void)leave(arena);
  }
  CHECK(holds(stays, 1000, 0x5A) && wsp_arena_check(arena));
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

static void a_block_grows_by_a_new_one_elsewhere(void) {
  watch w;
  wsp_options options = options_over(&w, wsp_upstream_malloc());
  wsp_arena *arena = make_arena(&options);
  CHECK_EQ(wsp_arena_resize(arena, 64 * KIB), WSP_OK);
  CHECK_EQ(wsp_arena_resize(arena, 128 * KIB), WSP_OK);
  CHECK(wsp_arena_stats(arena).blocks == 1); /* nobody lived in the old one */
  char *stays = leave_survivor(arena);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
  CHECK(wsp_arena_stats(arena).capacity == MIB && wsp_arena_stats(arena).blocks == 2);
  CHECK(holds(stays, 1000, 0x5A) && wsp_arena_owns(arena, stays));
  enter(arena);
  char *big = take(arena, 900 * KIB);
  memset(big, 1, 900 * KIB);
  CHECK(wsp_arena_stats(arena).spills == 0 && holds(stays, 1000, 0x5A));
  wsp_arena_free(arena, big);
  (void)leave(arena);
  CHECK(wsp_arena_check(arena));
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

static void a_smaller_size_changes_nothing(void) {
  wsp_arena *arena = make_arena_of(0, 0);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
  wsp_stats before = wsp_arena_stats(arena);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
  CHECK_EQ(wsp_arena_resize(arena, MIB - 1), WSP_OK);
  CHECK_EQ(wsp_arena_resize(arena, 0), WSP_OK);
  wsp_stats after = wsp_arena_stats(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
  wsp_arena_unref(arena);
}

static void the_block_stays_within_its_bound(void) {
  for (int kind = 0; kind < 2; ++kind) {
    wsp_options options = wsp_options_default();
    if (kind == 1) options.upstream = wsp_upstream_malloc();
    options.max_block = 100000;
    options.initial = 200000;
    wsp_arena *arena = make_arena(&options);
    enter(arena);
    wsp_arena_free(arena, take(arena, 1000));
    CHECK_EQ(wsp_arena_stats(arena).capacity, 100000);
    wsp_arena_free(arena, take(arena, 150000));
    CHECK_EQ(wsp_arena_stats(arena).spills, 1);
    (void)leave(arena);
    CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
    CHECK_EQ(wsp_arena_stats(arena).capacity, 100000);
    wsp_arena_unref(arena);
  }
}

/* Addresses for such a block are asked for, more than the machine has memory. */
static void a_bound_may_be_far_away(void) {
  for (unsigned bit = 40; bit < 64; bit += 3) {
    wsp_options options = wsp_options_default();
    options.max_block = (size_t)1 << bit;
    wsp_arena *arena = make_arena(&options);
    CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
    CHECK_EQ(wsp_arena_resize(arena, 5 * MIB), WSP_OK);
    CHECK_EQ(wsp_arena_stats(arena).capacity, 5 * MIB);
    enter(arena);
    memset(take(arena, 4 * MIB), 1, 4 * MIB);
    CHECK_EQ(wsp_arena_stats(arena).spills, 0);
    (void)leave(arena);
    wsp_arena_unref(arena);
  }
}

static void the_limit_bounds_block_and_outside_together(void) {
  wsp_options options = wsp_options_default();
  options.limit = 200000;
  options.initial = 100000;
  wsp_arena *arena = make_arena(&options);
  enter(arena);
  char *inside = take(arena, 60000), *spill = take(arena, 60000);
  void *ptr = NULL;
  CHECK_EQ(wsp_arena_alloc(arena, 60000, 0, 0, &ptr), WSP_EFULL);
  CHECK_EQ(wsp_arena_refusal(arena).status, WSP_EFULL);
  wsp_arena_free(arena, spill);
  spill = take(arena, 90000); /* as much as the limit leaves */
  CHECK_EQ(wsp_arena_alloc(arena, 40000, 0, 0, &ptr), WSP_EFULL);
  wsp_arena_free(arena, inside);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK); /* cut: the spill is still alive */
  size_t rest = 200000 - wsp_arena_bytes_for(arena, 90000); /* but for whole pages */
  CHECK(wsp_arena_stats(arena).capacity <= rest);
  CHECK(wsp_arena_stats(arena).capacity + 3 * options.upstream.page >= rest);
  wsp_arena_free(arena, spill);
  CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).capacity, 200000);
  wsp_arena_unref(arena);
}

/* ---- refusals ------------------------------------------------------------ */

static void a_full_block_without_spills_says_by_how_much(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, WSP_NO_SPILL);
  enter(arena);
  char *a = take(arena, 30000), *b = take(arena, 10000);
  memset(a, 1, 30000);
  wsp_stats before = stats_less_calls(arena);
  void *ptr = &ptr;
  CHECK_EQ(wsp_arena_alloc(arena, 40000, 0, 0, &ptr), WSP_EFULL);
  wsp_refusal refusal = wsp_arena_refusal(arena);
  CHECK(refusal.status == WSP_EFULL && refusal.requested == 40000);
  CHECK_EQ(refusal.capacity, 64 * KIB);
  CHECK_EQ(refusal.free, 64 * KIB - before.used);
  wsp_stats after = stats_less_calls(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && ptr == &ptr);
  CHECK(holds(a, 30000, 1) && wsp_arena_check(arena));
  (void)take(arena, 20000); /* what fits is still served */
  wsp_arena_free(arena, b);
  (void)leave(arena); /* survivors are not free, either */
  CHECK_EQ(wsp_arena_refusal(arena).requested, 40000);
  enter(arena);
  CHECK_EQ(wsp_arena_refusal(arena).status, WSP_OK); /* none in this cycle */
  CHECK_EQ(wsp_arena_alloc(arena, 40000, 0, 0, &ptr), WSP_EFULL);
  size_t kept = wsp_arena_bytes_for(arena, 30000) + wsp_arena_bytes_for(arena, 20000);
  CHECK_EQ(wsp_arena_refusal(arena).free, 64 * KIB - kept);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void an_upstream_that_gives_nothing_is_out_of_memory(void) {
  watch w;
  wsp_options options = options_over(&w, wsp_upstream_pages());
  options.initial = 64 * KIB;
  wsp_arena *arena = make_arena(&options);
  enter(arena);
  char *a = take(arena, 1000);
  memset(a, 1, 1000);
  wsp_stats before = stats_less_calls(arena);
  w.fail_at = 1;
  w.fail_on = true;
  void *ptr = &ptr;
  CHECK_EQ(wsp_arena_alloc(arena, MIB, WSP_ZERO, 0, &ptr), WSP_ENOMEM);
  wsp_refusal refusal = wsp_arena_refusal(arena);
  CHECK(refusal.status == WSP_ENOMEM && refusal.requested == MIB && ptr == &ptr);
  wsp_stats after = stats_less_calls(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && wsp_arena_check(arena));
  (void)leave(arena);
  before = stats_less_calls(arena);
  CHECK_EQ(wsp_arena_resize(arena, 8 * MIB), WSP_ENOMEM);
  CHECK_EQ(wsp_arena_move(arena), WSP_ENOMEM);
  after = stats_less_calls(arena);
  CHECK(memcmp(&before, &after, sizeof before) == 0 && wsp_arena_check(arena));
  CHECK(holds(a, 1000, 1));
  w.fail_at = 0;
  CHECK_EQ(wsp_arena_resize(arena, 8 * MIB), WSP_OK);
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

/* ---- moving on ----------------------------------------------------------- */

/* The move leaves survivors where they are; when they have died, the emptied block is
 * what the next move goes to. */
static void moving_leaves_survivors_and_comes_back_to_the_spare(void) {
  for (int kind = 0; kind < 2; ++kind) {
    watch w;
    wsp_options options =
        options_over(&w, kind == 0 ? wsp_upstream_pages() : wsp_upstream_malloc());
    options.initial = MIB;
    wsp_arena *arena = make_arena(&options);
    CHECK_EQ(wsp_arena_move(arena), WSP_OK); /* from nowhere to nowhere */
    char *first = leave_survivor(arena);
    CHECK_EQ(wsp_arena_move(arena), WSP_OK);
    wsp_stats stats = wsp_arena_stats(arena);
    CHECK(stats.capacity == MIB && stats.blocks == 2 && stats.retained == 1000);
    char *second = leave_survivor(arena);
    CHECK(second > first + MIB - KIB || second < first - MIB + KIB);
    CHECK(holds(first, 1000, 0x5A) && wsp_arena_check(arena));
    wsp_arena_free(arena, first);
    enter(arena);
    (void)leave(arena);
    uint64_t attempts = w.attempts;
    CHECK_EQ(wsp_arena_move(arena), WSP_OK);
    CHECK(w.attempts == attempts && wsp_arena_stats(arena).blocks == 2);
    CHECK(leave_survivor(arena) == first && holds(second, 1000, 0x5A));
    CHECK(wsp_arena_check(arena));
    wsp_arena_unref(arena);
    CHECK(w.live == 0 && !w.misused);
  }
}

static void the_free_pages_of_a_retired_block_go_back_at_once(void) {
  wsp_arena *arena = make_arena_of(8 * MIB, 0);
  enter(arena);
  char *stays = take(arena, 1000), *big = take(arena, 4 * MIB),
       *last = take(arena, 1000);
  memset(stays, 1, 1000);
  memset(big, 1, 4 * MIB);
  memset(last, 2, 1000);
  wsp_arena_free(arena, big);
  (void)leave(arena);
  CHECK(wsp_arena_resident(arena) >= 4 * MIB);
  CHECK_EQ(wsp_arena_move(arena), WSP_OK);
  CHECK(wsp_arena_resident(arena) <= 64 * KIB);
  CHECK(holds(stays, 1000, 1) && holds(last, 1000, 2));
  wsp_arena_unref(arena);
}

/* ---- pages --------------------------------------------------------------- */

static void trimming_gives_back_what_is_free_and_keeps_addresses(void) {
  wsp_arena *arena = make_arena_of(8 * MIB, 0);
  enter(arena);
  char *a = take(arena, MIB), *stays = take(arena, 1000), *b = take(arena, 4 * MIB);
  memset(a, 1, MIB);
  memset(stays, 2, 1000);
  memset(b, 3, 4 * MIB);
  wsp_arena_free(arena, a);
  wsp_arena_free(arena, b);
  (void)leave(arena);
  size_t resident = wsp_arena_resident(arena), given = wsp_arena_trim(arena);
  CHECK(resident >= 5 * MIB && given >= 5 * MIB - 64 * KIB);
  CHECK(wsp_arena_resident(arena) <= 64 * KIB && wsp_arena_owns(arena, b));
  CHECK(holds(stays, 1000, 2) && wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_stats(arena).capacity, 8 * MIB);
  wsp_arena_free(arena, stays);
  (void)wsp_arena_trim(arena);
  CHECK(wsp_arena_check(arena) && wsp_arena_resident(arena) <= wsp_os_page());
  enter(arena);
  CHECK(holds(take_flagged(arena, 6 * MIB, WSP_ZERO), 6 * MIB, 0));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void pages_are_asked_for_as_the_flags_say(void) {
  static const uint32_t flags[] = {0, WSP_POPULATE, WSP_HUGE_PAGES,
                                   WSP_POPULATE | WSP_HUGE_PAGES};
  for (size_t i = 0; i < 4; ++i) {
    watch w;
    wsp_options options = options_over(&w, wsp_upstream_pages());
    options.flags = flags[i];
    wsp_arena *arena = make_arena(&options);
    CHECK_EQ(wsp_arena_resize(arena, 3 * MIB + 5), WSP_OK);
    wsp_stats stats = wsp_arena_stats(arena);
    CHECK(stats.capacity >= 3 * MIB + 5 && stats.reserved >= stats.capacity);
    CHECK_EQ(w.advised[WSP_ADVICE_POPULATE] != 0, (flags[i] & WSP_POPULATE) != 0);
    CHECK_EQ(w.advised[WSP_ADVICE_HUGE] != 0, (flags[i] & WSP_HUGE_PAGES) != 0);
    if (flags[i] & WSP_HUGE_PAGES) CHECK_EQ(stats.reserved % (2 * MIB), 0);
    if (flags[i] & WSP_POPULATE) CHECK(wsp_arena_resident(arena) >= 3 * MIB);
    if (flags[i] == 0) CHECK(wsp_arena_resident(arena) < MIB);
    wsp_arena_unref(arena);
    CHECK(w.live == 0 && !w.misused);
  }
}

/* Spills of a cycle, and what lived in them, do not stay behind. */
static void spills_go_back_at_the_end_of_the_cycle(void) {
  for (int kind = 0; kind < 2; ++kind) {
    watch w;
    wsp_options options =
        options_over(&w, kind == 0 ? wsp_upstream_pages() : wsp_upstream_malloc());
    options.initial = 64 * KIB;
    wsp_arena *arena = make_arena(&options);
    enter(arena);
    char *spills[4];
    for (size_t i = 0; i < 4; ++i)
      memset(spills[i] = take(arena, 3 * MIB), (int)i, 3 * MIB);
    for (size_t i = 0; i < 3; ++i) wsp_arena_free(arena, spills[i]);
    (void)leave(arena);
    CHECK_EQ(wsp_arena_stats(arena).spilled, wsp_arena_bytes_for(arena, 3 * MIB));
    if (kind == 0) CHECK(wsp_arena_resident(arena) < 4 * MIB);
    if (kind == 1) CHECK(w.live < 8 * MIB);
    CHECK(holds(spills[3], 3 * MIB, 3) && wsp_arena_check(arena));
    wsp_arena_free(arena, spills[3]);
    enter(arena);
    (void)leave(arena);
    CHECK_EQ(wsp_arena_stats(arena).spilled, 0);
    if (kind == 0) CHECK(wsp_arena_resident(arena) < MIB);
    wsp_arena_unref(arena);
    CHECK(w.live == 0 && !w.misused);
  }
}

int main(void) {
  a_block_grows_in_place_where_addresses_allow();
  a_block_grows_by_a_new_one_elsewhere();
  a_smaller_size_changes_nothing();
  the_block_stays_within_its_bound();
  a_bound_may_be_far_away();
  the_limit_bounds_block_and_outside_together();
  a_full_block_without_spills_says_by_how_much();
  an_upstream_that_gives_nothing_is_out_of_memory();
  moving_leaves_survivors_and_comes_back_to_the_spare();
  the_free_pages_of_a_retired_block_go_back_at_once();
  trimming_gives_back_what_is_free_and_keeps_addresses();
  pages_are_asked_for_as_the_flags_say();
  spills_go_back_at_the_end_of_the_cycle();
  return CHECK_SUMMARY();
}
