/* SPDX-License-Identifier: BSD-3-Clause
 * Raw allocations: misuse is a status and no change; limits, pins, cleanups, pools. */
#include "support.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define DEAD(ptr, size) (__asan_region_is_poisoned((ptr), (size)) != NULL)
#else
#define DEAD(ptr, size) ((void)(ptr), (void)(size), true)
#endif

static void *raw(wsp_arena *arena, size_t size) {
  void *ptr = NULL;
  if (!CHECK_EQ(wsp_raw_alloc(arena, size, &ptr), WSP_OK)) exit(CHECK_SUMMARY());
  return ptr;
}

static wsp_mark mark_of(wsp_arena *arena) {
  wsp_mark mark = {.serial = 0};
  CHECK_EQ(wsp_checkpoint(arena, &mark), WSP_OK);
  return mark;
}

static size_t raw_used(wsp_arena *arena) { return wsp_raw_stats(arena).used; }

static void null_is_refused(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  void *ptr = raw(arena, 10);
  size_t used = raw_used(arena), size;
  wsp_mark mark;
  wsp_ref ref;
  CHECK_EQ(wsp_raw_alloc(NULL, 1, &ptr), WSP_EINVAL);
  CHECK_EQ(wsp_raw_alloc(arena, 1, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_zeroed(arena, 1, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_array(NULL, 1, 1, &ptr), WSP_EINVAL);
  CHECK(wsp_raw_take(NULL, 1) == NULL);
  CHECK_EQ(wsp_raw_realloc(arena, ptr, 1, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_extend(NULL, ptr, 1), WSP_EINVAL);
  CHECK_EQ(wsp_raw_extend(arena, NULL, 1), WSP_EINVAL);
  CHECK_EQ(wsp_raw_free_last(arena, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_size(arena, NULL, &size), WSP_EINVAL);
  CHECK_EQ(wsp_raw_size(arena, ptr, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_adopt(arena, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_raw_limit(NULL, 1), WSP_EINVAL);
  CHECK_EQ(wsp_checkpoint(arena, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_checkpoint(NULL, &mark), WSP_EINVAL);
  CHECK_EQ(wsp_rewind(arena, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_scope_pop(arena, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_ref_make(arena, NULL, &ref), WSP_EINVAL);
  CHECK_EQ(wsp_ref_make(arena, ptr, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_ref_alive(NULL), WSP_EINVAL);
  CHECK_EQ(wsp_pin(NULL), WSP_EINVAL);
  CHECK_EQ(wsp_unpin(NULL), WSP_EINVAL);
  CHECK_EQ(wsp_on_end(arena, NULL), WSP_EINVAL);
  wsp_ref_drop(NULL);
  wsp_run_cleanups(NULL);
  CHECK(wsp_raw_stats(NULL).used == 0 && raw_used(arena) == used);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void sizes_that_wrap_are_refused(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  void *ptr = NULL, *last = raw(arena, 10);
  size_t used = raw_used(arena);
  const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 63, SIZE_MAX / 2,
                          (size_t)PTRDIFF_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    CHECK_EQ(wsp_raw_alloc(arena, sizes[i], &ptr), WSP_EOVERFLOW);
    CHECK_EQ(wsp_raw_zeroed(arena, sizes[i], &ptr), WSP_EOVERFLOW);
    CHECK_EQ(wsp_raw_extend(arena, last, sizes[i]), WSP_EOVERFLOW);
    CHECK_EQ(wsp_raw_realloc(arena, last, sizes[i], &ptr), WSP_EOVERFLOW);
  }
  CHECK_EQ(wsp_raw_array(arena, SIZE_MAX / 8 + 1, 8, &ptr), WSP_EOVERFLOW);
  CHECK_EQ(wsp_raw_array(arena, 3, SIZE_MAX / 2, &ptr), WSP_EOVERFLOW);
  CHECK_EQ(wsp_raw_array(arena, SIZE_MAX, 0, &ptr), WSP_OK); /* of nothing */
  CHECK_EQ(wsp_raw_free_last(arena, ptr), WSP_OK);
  CHECK(raw_used(arena) == used && wsp_arena_check(arena));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void pointers_of_others_are_refused(void) {
  wsp_arena *arena = make_arena_of(MIB, 0), *other = make_arena_of(MIB, 0);
  enter(arena);
  enter(other);
  char *mine = raw(arena, 1000), on_stack[256];
  char *ordinary = take(arena, 1000), *foreign = raw(other, 1000);
  memset(mine, 0, 1000);
  char *bad[] = {mine + 1, mine + 64, mine - 64,   on_stack,
                 ordinary, foreign,   mine + 1024, ordinary + 64};
  size_t used = raw_used(arena);
  wsp_ref ref;
  void *moved;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
    CHECK_EQ(wsp_raw_free_last(arena, bad[i]), WSP_EINVAL);
    CHECK_EQ(wsp_raw_extend(arena, bad[i], 1), WSP_EINVAL);
    CHECK_EQ(wsp_raw_realloc(arena, bad[i], 1, &moved), WSP_EINVAL);
    CHECK_EQ(wsp_ref_make(arena, bad[i], &ref), WSP_EINVAL);
    CHECK_EQ(wsp_raw_adopt(arena, bad[i]), WSP_EINVAL);
  }
  CHECK(raw_used(arena) == used && holds(mine, 1000, 0));
  wsp_arena_free(arena, ordinary);
  (void)leave(arena);
  (void)leave(other);
  wsp_arena_unref(arena);
  wsp_arena_unref(other);
}

/* The header of a dead one may still lie inside another's data, which nobody cleared.
 */
static void a_dead_allocation_is_not_found_inside_a_live_one(void) {
  for (int rewound = 0; rewound < 2; ++rewound) {
    wsp_arena *arena = make_arena_of(MIB, 0);
    enter(arena);
    wsp_mark mark = mark_of(arena);
    char *first = raw(arena, 64), *dead = raw(arena, 64);
    if (rewound) {
      CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
    } else {
      CHECK_EQ(wsp_raw_free_last(arena, dead), WSP_OK);
      CHECK_EQ(wsp_raw_free_last(arena, first), WSP_OK);
    }
    CHECK(raw(arena, 4096) == first);
    wsp_ref ref;
    CHECK_EQ(wsp_ref_make(arena, dead, &ref), WSP_EINVAL);
    CHECK_EQ(wsp_raw_free_last(arena, dead), WSP_EINVAL);
    (void)leave(arena);
    wsp_arena_unref(arena);
  }
}

static void what_is_freed_out_of_order_stays(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  char *first = raw(arena, 100), *second = raw(arena, 100);
  CHECK_EQ(wsp_raw_free_last(arena, first), WSP_EORDER);
  CHECK_EQ(wsp_raw_extend(arena, first, 5000), WSP_EORDER);
  wsp_mark mark = mark_of(arena);
  CHECK_EQ(wsp_raw_free_last(arena, second), WSP_EORDER); /* the mark's */
  CHECK_EQ(wsp_raw_extend(arena, second, 5000), WSP_EORDER);
  char *third = raw(arena, 100);
  CHECK_EQ(wsp_raw_extend(arena, third, 5000), WSP_OK);
  memset(third, 3, 5000);
  CHECK_EQ(wsp_raw_free_last(arena, third), WSP_OK);
  CHECK_EQ(wsp_raw_free_last(arena, third), WSP_EINVAL);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void foreign_and_old_marks_change_nothing(void) {
  wsp_arena *arena = make_arena_of(MIB, 0), *other = make_arena_of(MIB, 0);
  enter(arena);
  enter(other);
  (void)raw(arena, 100);
  (void)raw(other, 100);
  wsp_mark outer = mark_of(arena), foreign = mark_of(other);
  (void)raw(arena, 100);
  wsp_mark inner = mark_of(arena);
  (void)raw(arena, 100);
  CHECK_EQ(wsp_rewind(arena, &foreign), WSP_ESTALE);
  CHECK_EQ(wsp_rewind(arena, &outer), WSP_OK);
  for (size_t i = 0; i < 20; ++i) { /* its depth and its place are somebody's again */
    (void)raw(arena, 100);
    (void)mark_of(arena);
  }
  size_t used = raw_used(arena);
  CHECK_EQ(wsp_rewind(arena, &inner), WSP_ESTALE);
  CHECK_EQ(wsp_scope_pop(arena, &inner), WSP_ESTALE);
  wsp_mark forged = outer;
  forged.depth = 0;
  CHECK_EQ(wsp_rewind(arena, &forged), WSP_ESTALE);
  forged.depth = UINT32_MAX;
  CHECK_EQ(wsp_rewind(arena, &forged), WSP_ESTALE);
  CHECK_EQ(raw_used(arena), used);
  (void)leave(arena);
  enter(arena);
  (void)raw(arena, 100);
  used = raw_used(arena);
  CHECK_EQ(wsp_rewind(arena, &outer), WSP_ESTALE);
  CHECK_EQ(raw_used(arena), used);
  (void)leave(arena);
  (void)leave(other);
  wsp_arena_unref(arena);
  wsp_arena_unref(other);
}

static void scopes_close_inside_out(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  wsp_mark before = mark_of(arena), outer, inner;
  (void)raw(arena, 100);
  CHECK_EQ(wsp_scope_push(arena, &outer), WSP_OK);
  char *kept = raw(arena, 100);
  CHECK_EQ(wsp_scope_push(arena, &inner), WSP_OK);
  (void)raw(arena, 100);
  size_t used = raw_used(arena);
  CHECK_EQ(wsp_scope_pop(arena, &outer), WSP_EORDER);
  CHECK_EQ(wsp_rewind(arena, &outer), WSP_EORDER);
  CHECK_EQ(wsp_rewind(arena, &before), WSP_EORDER);
  CHECK_EQ(wsp_scope_pop(arena, &before), WSP_EORDER);
  CHECK_EQ(raw_used(arena), used);
  CHECK_EQ(wsp_scope_pop(arena, &inner), WSP_OK);
  CHECK_EQ(wsp_scope_pop(arena, &inner), WSP_ESTALE);
  memset(kept, 1, 100);
  CHECK_EQ(wsp_scope_pop(arena, &outer), WSP_OK);
  CHECK_EQ(wsp_rewind(arena, &before), WSP_OK);
  CHECK_EQ(raw_used(arena), 0);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void loops_of_marks_and_scopes_do_not_grow(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  for (size_t i = 0; i < 1000; ++i) {
    wsp_mark mark = mark_of(arena), scope;
    void *ptr = raw(arena, 200);
    CHECK_EQ(wsp_scope_push(arena, &scope), WSP_OK);
    (void)raw(arena, 30000 + 70000 * (i % 3));
    CHECK_EQ(wsp_scope_pop(arena, &scope), WSP_OK);
    (void)ptr;
    CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  }
  wsp_raw_figures figures = wsp_raw_stats(arena);
  CHECK(figures.depth <= 2 && figures.pads <= 2 && figures.used == 0);
  CHECK_EQ(figures.allocations, 2000);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void a_limit_bounds_the_cycle(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  void *ptr = NULL, *first = raw(arena, 1000);
  CHECK_EQ(wsp_raw_limit(arena, 4096), WSP_OK);
  CHECK_EQ(wsp_raw_stats(arena).limit, 4096);
  size_t count = 0;
  while (wsp_raw_alloc(arena, 64, &ptr) == WSP_OK) ++count;
  CHECK(count == (4096 - 1088) / 128 && raw_used(arena) <= 4096);
  CHECK_EQ(wsp_raw_alloc(arena, 64, &ptr), WSP_EFULL);
  CHECK_EQ(wsp_raw_realloc(arena, first, 2000, &ptr), WSP_EFULL);
  CHECK_EQ(wsp_raw_limit(arena, 10), WSP_OK); /* below what is in use */
  CHECK_EQ(wsp_raw_alloc(arena, 0, &ptr), WSP_EFULL);
  CHECK_EQ(wsp_raw_limit(arena, SIZE_MAX), WSP_OK);
  (void)raw(arena, 200000);
  CHECK_EQ(wsp_raw_limit(arena, 1), WSP_OK);
  (void)leave(arena);
  enter(arena);
  (void)raw(arena, 10000); /* it ended with the cycle */
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void a_full_block_is_a_status(void) {
  wsp_arena *arena = make_arena_of(32 * KIB, WSP_NO_SPILL);
  enter(arena);
  void *ptr = NULL;
  (void)raw(arena, 20000);
  CHECK_EQ(wsp_raw_alloc(arena, 20000, &ptr), WSP_EFULL);
  CHECK(ptr == NULL && wsp_arena_check(arena));
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void pinned_bytes_outlive_everything(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  (void)raw(arena, 100);
  wsp_mark mark = mark_of(arena);
  char *ptr = raw(arena, 5000), *next = raw(arena, 500);
  wsp_ref ref, second;
  CHECK_EQ(wsp_ref_make(arena, ptr, &ref), WSP_OK);
  CHECK_EQ(wsp_ref_make(arena, ptr, &second), WSP_OK);
  CHECK_EQ(wsp_unpin(&ref), WSP_EINVAL);
  CHECK(wsp_pin(&ref) == WSP_OK && wsp_pin(&ref) == WSP_OK);
  memset(ptr, 7, 5000);
  memset(next, 8, 500);
  CHECK_EQ(wsp_raw_adopt(arena, ptr), WSP_EBUSY);
  void *moved;
  CHECK_EQ(wsp_raw_realloc(arena, ptr, 9000, &moved), WSP_EBUSY);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(wsp_ref_alive(&ref) == WSP_OK && wsp_ref_alive(&second) == WSP_ESTALE);
  CHECK_EQ(wsp_pin(&second), WSP_ESTALE);
  for (size_t i = 0; i < 20; ++i) memset(raw(arena, 3000), 9, 3000);
  CHECK(holds(ptr, 5000, 7) && wsp_arena_check(arena));
  CHECK_EQ(leave(arena).escaped, 0);
  CHECK_EQ(wsp_arena_stats(arena).retained, 5000);
  enter(arena);
  for (size_t i = 0; i < 20; ++i) memset(raw(arena, 3000), 9, 3000);
  CHECK(holds(ptr, 5000, 7));
  CHECK(wsp_unpin(&ref) == WSP_OK && wsp_ref_alive(&ref) == WSP_OK);
  CHECK(wsp_unpin(&ref) == WSP_OK && wsp_ref_alive(&ref) == WSP_ESTALE);
  CHECK_EQ(wsp_arena_stats(arena).retained, 0);
  wsp_ref_drop(&ref);
  wsp_ref_drop(&ref); /* nothing */
  wsp_ref_drop(&second);
  CHECK_EQ(wsp_ref_alive(&ref), WSP_ESTALE);
  (void)leave(arena);
  CHECK(wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void a_reference_outlives_the_arena(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  char *ptr = raw(arena, 100);
  wsp_ref ref;
  CHECK_EQ(wsp_ref_make(arena, ptr, &ref), WSP_OK);
  CHECK_EQ(wsp_pin(&ref), WSP_OK);
  memset(ptr, 5, 100);
  (void)leave(arena);
  CHECK_EQ(wsp_arena_close(arena), WSP_OK);
  wsp_arena_unref(arena);
  CHECK(wsp_ref_alive(&ref) == WSP_OK && holds(ptr, 100, 5));
  wsp_ref_drop(&ref);
}

static void an_adopted_allocation_is_an_ordinary_one(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  char *ptr = raw(arena, 3000);
  memset(ptr, 4, 3000);
  CHECK_EQ(wsp_raw_adopt(arena, ptr), WSP_OK);
  CHECK_EQ(wsp_raw_adopt(arena, ptr), WSP_EINVAL);
  CHECK(wsp_size(arena, ptr) == 3000 && wsp_generation(arena, ptr) == 1);
  wsp_cycle cycle = leave(arena);
  CHECK(cycle.escaped == 3000 && cycle.escaped_count == 1 && cycle.allocations == 1);
  enter(arena);
  memset(raw(arena, 100000), 1, 100000);
  CHECK(holds(ptr, 3000, 4));
  (void)leave(arena);
  wsp_arena_free(arena, ptr);
  CHECK(wsp_arena_stats(arena).retained == 0 && wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void a_steady_cycle_has_one_pad_and_asks_upstream_for_nothing(void) {
  wsp_arena *arena = make_arena_of(8 * MIB, 0);
  uint64_t calls = 0;
  for (size_t c = 0; c < 10; ++c) {
    if (c == 2) calls = wsp_arena_stats(arena).upstream_calls;
    enter(arena);
    for (size_t i = 0; i < 100; ++i) memset(raw(arena, 100 * i), 1, 100 * i);
    if (c > 0) CHECK_EQ(wsp_raw_stats(arena).pads, 1);
    CHECK_EQ(leave(arena).allocations, 100);
  }
  CHECK_EQ(wsp_arena_stats(arena).upstream_calls, calls);
  wsp_arena_unref(arena);
}

static void dead_ranges_are_poisoned(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  wsp_mark mark = mark_of(arena);
  char *first = raw(arena, 1000), *second = raw(arena, 1000);
  memset(second, 1, 1000);
  CHECK(DEAD(second + 1000, 1)); /* behind its end */
  CHECK_EQ(wsp_raw_extend(arena, second, 100), WSP_OK);
  CHECK(DEAD(second + 100, 1));
  CHECK_EQ(wsp_raw_free_last(arena, second), WSP_OK);
  CHECK(DEAD(second, 1));
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(DEAD(first, 1) && DEAD(first + 999, 1));
  CHECK(raw(arena, 1000) == first);
  memset(first, 2, 1000);
  (void)leave(arena);
  CHECK(DEAD(first, 1) && DEAD(first + 999, 1));
  wsp_arena_unref(arena);
}

/* ---- cleanups ------------------------------------------------------------ */

static char said[32];
static wsp_arena *cleaned;

static void say(void *arg) {
  strcat(said, arg);
  if (cleaned == NULL) return;
  void *ptr;
  wsp_cleanup node = {.fn = say};
  wsp_mark mark;
  CHECK_EQ(wsp_raw_alloc(cleaned, 1, &ptr), WSP_EBUSY);
  CHECK_EQ(wsp_raw_zeroed(cleaned, 0, &ptr), WSP_EBUSY);
  CHECK_EQ(wsp_on_end(cleaned, &node), WSP_EBUSY);
  CHECK_EQ(wsp_checkpoint(cleaned, &mark), WSP_OK);
  CHECK_EQ(wsp_rewind(cleaned, &mark), WSP_EBUSY);
}

static void hear(wsp_arena *arena, const char *what) {
  wsp_cleanup *node = raw(arena, sizeof *node);
  *node = (wsp_cleanup){.fn = say, .arg = (void *)(uintptr_t)what};
  CHECK_EQ(wsp_on_end(arena, node), WSP_OK);
}

static void cleanups_run_last_first_when_their_memory_ends(void) {
  wsp_arena *arena = cleaned = make_arena_of(MIB, 0);
  wsp_cleanup empty = {.fn = NULL};
  enter(arena);
  CHECK_EQ(wsp_on_end(arena, &empty), WSP_EINVAL);
  hear(arena, "a");
  hear(arena, "b");
  wsp_mark mark = mark_of(arena);
  hear(arena, "c");
  hear(arena, "d");
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(strcmp(said, "dc") == 0);
  hear(arena, "e");
  (void)leave(arena);
  CHECK(strcmp(said, "dceba") == 0);
  enter(arena);
  (void)leave(arena);
  CHECK(strcmp(said, "dceba") == 0);
  cleaned = NULL;
  enter(arena);
  hear(arena, "f");
  wsp_arena_abandon(arena);
  CHECK_EQ(wsp_arena_recover(arena), WSP_OK);
  CHECK(strcmp(said, "dcebaf") == 0);
  wsp_arena_unref(arena);
}

/* ---- pools --------------------------------------------------------------- */

static void a_pool_lends_and_learns(void) {
  wsp_pool *pool, *other;
  wsp_arena *first, *second, *again;
  CHECK_EQ(wsp_pool_new(0, NULL), WSP_EINVAL);
  CHECK(wsp_pool_new(0, &pool) == WSP_OK && wsp_pool_new(MIB, &other) == WSP_OK);
  CHECK_EQ(wsp_pool_take(NULL, &first), WSP_EINVAL);
  CHECK_EQ(wsp_pool_take(pool, &first), WSP_OK);
  CHECK_EQ(wsp_pool_take(pool, &second), WSP_OK);
  CHECK(first != second && wsp_arena_is_mine(second));
  memset(raw(first, 500000), 1, 500000);
  CHECK_EQ(wsp_pool_give(other, first), WSP_EINVAL);
  CHECK_EQ(wsp_pool_give(pool, NULL), WSP_EINVAL);
  CHECK_EQ(wsp_pool_free(pool), WSP_EBUSY);
  CHECK_EQ(wsp_pool_give(pool, first), WSP_OK);
  CHECK_EQ(wsp_pool_give(pool, first), WSP_EINVAL);
  CHECK_EQ(wsp_pool_take(pool, &again), WSP_OK);
  CHECK(again == first && wsp_arena_stats(again).capacity >= 500000);
  CHECK_EQ(wsp_pool_give(pool, again), WSP_OK);
  CHECK_EQ(wsp_pool_give(pool, second), WSP_OK);
  CHECK(wsp_pool_free(pool) == WSP_OK && wsp_pool_free(other) == WSP_OK);
  CHECK_EQ(wsp_pool_free(NULL), WSP_OK);
}

int main(void) {
  null_is_refused();
  sizes_that_wrap_are_refused();
  pointers_of_others_are_refused();
  a_dead_allocation_is_not_found_inside_a_live_one();
  what_is_freed_out_of_order_stays();
  foreign_and_old_marks_change_nothing();
  scopes_close_inside_out();
  loops_of_marks_and_scopes_do_not_grow();
  a_limit_bounds_the_cycle();
  a_full_block_is_a_status();
  pinned_bytes_outlive_everything();
  a_reference_outlives_the_arena();
  an_adopted_allocation_is_an_ordinary_one();
  a_steady_cycle_has_one_pad_and_asks_upstream_for_nothing();
  dead_ranges_are_poisoned();
  cleanups_run_last_first_when_their_memory_ends();
  a_pool_lends_and_learns();
  return CHECK_SUMMARY();
}
