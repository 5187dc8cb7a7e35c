/* SPDX-License-Identifier: BSD-3-Clause
 * Life of an arena: abandoning and recovering a cycle, release, close, references. */
#include "wsp_internal.h"

#include "support.h"

/* ---- abandoned cycles ---------------------------------------------------- */

/* Allocates 100 bytes raw, 200 to stay; gives the latter. */
static char *open_and_abandon(wsp_arena *arena) {
  enter(arena);
  char *stays = take(arena, 200);
  (void)take_flagged(arena, 100, WSP_RAW);
  memset(stays, 0x5A, 200);
  wsp_arena_abandon(arena);
  CHECK(!wsp_arena_is_mine(arena) && !wsp_arena_is_open(arena));
  CHECK(wsp_arena_in_cycle(arena));
  return stays;
}

static void an_abandoned_cycle_ends_at_the_next_enter(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  char *stays = open_and_abandon(arena);
  void *ptr = NULL;
  wsp_cycle cycle = {.generation = 0};
  CHECK_EQ(wsp_arena_alloc(arena, 10, 0, 0, &ptr), WSP_ETHREAD);
  CHECK_EQ(wsp_arena_reset(arena, &cycle), WSP_ETHREAD);
  CHECK(wsp_arena_stats(arena).cycles == 0 && wsp_arena_stats(arena).used > 0);
  enter(arena);
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(stats.generation == 2 && stats.cycles == 1 && stats.used == 0);
  CHECK(stats.retained == 200 && stats.escaped == 200 && stats.escaped_count == 1);
  CHECK(holds(stays, 200, 0x5A) && wsp_arena_check(arena));
  wsp_arena_free(arena, stays);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void recovering_ends_an_abandoned_cycle(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  CHECK_EQ(wsp_arena_recover(arena), WSP_OK); /* nothing to do */
  char *stays = open_and_abandon(arena);
  CHECK_EQ(wsp_arena_recover(arena), WSP_OK);
  CHECK(!wsp_arena_in_cycle(arena) && wsp_arena_generation(arena) == 1);
  CHECK(wsp_arena_stats(arena).cycles == 1 && wsp_arena_stats(arena).retained == 200);
  CHECK_EQ(wsp_arena_recover(arena), WSP_OK);
  CHECK_EQ(wsp_arena_stats(arena).cycles, 1);
  wsp_arena_free(arena, stays);
  CHECK(wsp_arena_stats(arena).retained == 0);
  wsp_arena_unref(arena);
}

static void what_an_abandoned_cycle_made_can_be_freed_before_it_ends(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  char *stays = open_and_abandon(arena);
  wsp_arena_free(arena, stays);
  CHECK(wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_recover(arena), WSP_OK);
  CHECK(wsp_arena_stats(arena).retained == 0 &&
        wsp_arena_stats(arena).escaped_count == 0);
  wsp_arena_unref(arena);
}

static void idle_functions_end_an_abandoned_cycle_first(void) {
  for (int which = 0; which < 5; ++which) {
    wsp_arena *arena = make_arena_of(64 * KIB, 0);
    char *stays = open_and_abandon(arena);
    if (which == 0) CHECK_EQ(wsp_arena_resize(arena, MIB), WSP_OK);
    if (which == 1) CHECK_EQ(wsp_arena_move(arena), WSP_OK);
    if (which == 2) CHECK_EQ(wsp_arena_release(arena), WSP_OK);
    if (which == 3) CHECK_EQ(wsp_arena_close(arena), WSP_OK);
    if (which == 4) (void)wsp_arena_trim(arena);
    CHECK(!wsp_arena_in_cycle(arena) && wsp_arena_stats(arena).cycles == 1);
    CHECK(holds(stays, 200, 0x5A) && wsp_arena_check(arena));
    wsp_arena_unref(arena);
  }
}

/* ---- release and close --------------------------------------------------- */

/* An arena over a watched upstream, with a block, a spill and a survivor in each. */
static wsp_arena *with_survivors(watch *w, char *stays[2], uint32_t flags) {
  wsp_options options = wsp_options_default();
  options.upstream = watch_upstream(w, wsp_upstream_malloc());
  options.initial = 64 * KIB;
  options.flags = flags;
  wsp_arena *arena = make_arena(&options);
  enter(arena);
  stays[0] = take(arena, 1000);
  stays[1] = take(arena, 100000);
  memset(stays[0], 1, 1000);
  memset(stays[1], 2, 100000);
  (void)leave(arena);
  return arena;
}

static void a_released_arena_is_as_new(void) {
  watch w;
  char *stays[2];
  wsp_arena *arena = with_survivors(&w, stays, 0);
  CHECK_EQ(wsp_arena_release(arena), WSP_OK);
  wsp_stats stats = wsp_arena_stats(arena);
  CHECK(stats.capacity == 0 && stats.retained == 101000 && stats.blocks == 2);
  CHECK(holds(stays[0], 1000, 1) && holds(stays[1], 100000, 2) &&
        wsp_arena_check(arena));
  wsp_arena_free(arena, stays[0]);
  wsp_arena_free(arena, stays[1]);
  stats = wsp_arena_stats(arena);
  CHECK(stats.retained == 0 && stats.blocks == 0 && stats.reserved == 0 && w.live == 0);
  CHECK(stats.generation == 1 && stats.cycles == 1 && stats.allocations == 2);
  enter(arena); /* goes on, with a new block */
  (void)take(arena, 1000);
  CHECK(wsp_arena_stats(arena).capacity == 64 * KIB &&
        wsp_arena_generation(arena) == 2);
  (void)leave(arena);
  wsp_arena_unref(arena);
  CHECK(w.live == 0 && !w.misused);
}

static void survivors_outlive_a_closed_arena(void) {
  watch w;
  char *stays[2];
  wsp_arena *arena = with_survivors(&w, stays, 0);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  CHECK_EQ(wsp_arena_enter(arena), WSP_ECLOSED);
  CHECK(!wsp_arena_is_open(arena) && wsp_arena_generation(arena) == 1);
  CHECK(wsp_arena_owns(arena, stays[0]) && wsp_arena_owns(arena, stays[1]));
  CHECK(holds(stays[0], 1000, 1) && holds(stays[1], 100000, 2));
  wsp_arena_free(arena, stays[1]);
  CHECK(holds(stays[0], 1000, 1) && wsp_arena_stats(arena).blocks == 1);
  wsp_arena_free(arena, stays[0]);
  CHECK(wsp_arena_stats(arena).blocks == 0 && w.live == 0);
  CHECK(!wsp_arena_owns(arena, stays[0]) && wsp_arena_check(arena));
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  wsp_arena_unref(arena);
}

static void closing_without_survivors_gives_everything_back(void) {
  watch w;
  wsp_options options = wsp_options_default();
  options.upstream = watch_upstream(&w, wsp_upstream_pages());
  options.initial = 64 * KIB;
  wsp_arena *arena = make_arena(&options);
  CHECK(w.live == 0 && w.attempts == 0); /* takes no memory yet */
  enter(arena);
  char *a = take(arena, 1000), *b = take(arena, 100000);
  wsp_arena_free(arena, a);
  wsp_arena_free(arena, b);
  (void)leave(arena);
  CHECK(w.live > 0);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  CHECK(w.live == 0 && !wsp_arena_owns(arena, a));
  CHECK(wsp_arena_stats(arena).upstream_calls > 0);
  wsp_arena_unref(arena);
}

static void the_last_reference_frees_what_is_alive(void) {
  for (int open = 0; open < 2; ++open) {
    watch w;
    char *stays[2];
    wsp_arena *arena = with_survivors(&w, stays, WSP_RECORD);
    wsp_arena_ref(arena);
    if (open) {
      enter(arena);
      (void)take_flagged(arena, 100, WSP_RAW);
    }
    wsp_arena_unref(arena);
    CHECK(holds(stays[0], 1000, 1) && w.live > 0);
    wsp_arena_unref(arena);
    CHECK(w.live == 0 && !w.misused);
  }
}

/* ---- poison ---------------------------------------------------------------- */

/* What the program sees of dead memory through a pointer that it should not have. */
#if defined(__SANITIZE_ADDRESS__) || defined(WSP_VALGRIND)
#define PEEKS 0 /* it would be told */
#else
#define PEEKS 1
#endif

static void poison_fills_what_dies_until_it_is_turned_off(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  CHECK_EQ(wsp_arena_poison(arena, true), WSP_ETHREAD); /* not open */
  for (int on = 1; on >= 0; --on) {
    enter(arena);
    CHECK_EQ(wsp_arena_poison(arena, on), WSP_OK);
    char *survivor = take(arena, 2000), *stays = take(arena, 1000);
    char *raw = take_flagged(arena, 3000, WSP_RAW), *dies = take(arena, 1500);
    memset(survivor, 1, 2000), memset(stays, 2, 1000);
    memset(raw, 3, 3000), memset(dies, 4, 1500);
    wsp_arena_free(arena, dies);
    if (PEEKS) CHECK(holds(dies, 1500, 0xFF) == on);
    leave(arena);
    if (PEEKS) CHECK(holds(raw, 3000, 0xFF) == on);
    CHECK(holds(survivor, 2000, 1) && holds(stays, 1000, 2));
    wsp_arena_free(arena, survivor);
    if (PEEKS) CHECK(holds(survivor, 2000, 0xFF) == on);
    CHECK(holds(stays, 1000, 2) && wsp_arena_check(arena));
    wsp_arena_free(arena, stays);
  }
  enter(arena);
  CHECK(holds(take_flagged(arena, 9000, WSP_ZERO), 9000, 0));
  leave(arena);
  wsp_arena_unref(arena);
}

/* ---- peaks ----------------------------------------------------------------- */

static void a_peak_that_is_taken_begins_anew_and_changes_no_other_figure(void) {
  wsp_arena *arena = make_arena_of(256 * KIB, 0);
  size_t taken = 77, small = wsp_arena_bytes_for(arena, 5000);
  size_t large = wsp_arena_bytes_for(arena, 50000);
  CHECK_EQ(wsp_arena_take_peak(arena, &taken), WSP_OK);
  CHECK(taken == 0);
  enter(arena);
  wsp_arena_free(arena, take(arena, 50000));
  CHECK(wsp_arena_peak(arena) == large);
  void *kept = take(arena, 5000);
  CHECK_EQ(wsp_arena_take_peak(arena, &taken), WSP_OK);
  CHECK(taken == large && wsp_arena_peak(arena) == small);
  CHECK(wsp_arena_stats(arena).cycle_high_water == large);
  wsp_arena_free(arena, kept);
  CHECK(wsp_arena_peak(arena) == small);
  CHECK(leave(arena).high_water == large);
  CHECK(wsp_arena_stats(arena).high_water == large);
  CHECK(wsp_arena_peak(arena) == small); /* of the cycle that ended since */
  enter(arena);
  wsp_arena_free(arena, take(arena, 1000));
  CHECK(leave(arena).high_water == wsp_arena_bytes_for(arena, 1000));
  CHECK_EQ(wsp_arena_take_peak(arena, &taken), WSP_OK);
  CHECK(taken == small && wsp_arena_peak(arena) == 0);
  wsp_arena_unref(arena);
}

static void bytes_for_an_alignment_are_those_for_an_arena_of_it(void) {
  for (size_t alignment = 1; alignment <= WSP_MAX_ALIGN; alignment *= 2) {
    wsp_options options = wsp_options_default();
    options.alignment = alignment;
    wsp_arena *arena = make_arena(&options);
    for (size_t size = 0; size < 5000; size += 777)
      CHECK(wsp_bytes_for(size, alignment) == wsp_arena_bytes_for(arena, size));
    CHECK(wsp_bytes_for(SIZE_MAX, alignment) == 0);
    wsp_arena_unref(arena);
  }
}

/* ---- names --------------------------------------------------------------- */

static void every_status_has_its_name(void) {
  static const struct {
    wsp_status status;
    const char *name;
  } all[] = {{WSP_OK, "WSP_OK"},
             {WSP_ENOMEM, "WSP_ENOMEM"},
             {WSP_EFULL, "WSP_EFULL"},
             {WSP_EINVAL, "WSP_EINVAL"},
             {WSP_EOVERFLOW, "WSP_EOVERFLOW"},
             {WSP_ETHREAD, "WSP_ETHREAD"},
             {WSP_ESTALE, "WSP_ESTALE"},
             {WSP_EBUSY, "WSP_EBUSY"},
             {WSP_ECLOSED, "WSP_ECLOSED"},
             {WSP_EFORKED, "WSP_EFORKED"}};
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
    CHECK(strcmp(wsp_status_name(all[i].status), all[i].name) == 0);
  CHECK(wsp_status_name((wsp_status)1000) != NULL);
}

int main(void) {
  an_abandoned_cycle_ends_at_the_next_enter();
  recovering_ends_an_abandoned_cycle();
  what_an_abandoned_cycle_made_can_be_freed_before_it_ends();
  idle_functions_end_an_abandoned_cycle_first();
  a_released_arena_is_as_new();
  survivors_outlive_a_closed_arena();
  closing_without_survivors_gives_everything_back();
  the_last_reference_frees_what_is_alive();
  poison_fills_what_dies_until_it_is_turned_off();
  a_peak_that_is_taken_begins_anew_and_changes_no_other_figure();
  bytes_for_an_alignment_are_those_for_an_arena_of_it();
  every_status_has_its_name();
  return CHECK_SUMMARY();
}
