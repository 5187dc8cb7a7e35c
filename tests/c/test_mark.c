/* SPDX-License-Identifier: BSD-3-Clause
 * Checkpoints and raw allocations. */
#include "support.h"

static wsp_mark checkpoint(wsp_arena *arena) {
  wsp_mark mark = {.serial = 0};
  CHECK_EQ(wsp_checkpoint(arena, &mark), WSP_OK);
  return mark;
}

static void *raw(wsp_arena *arena, size_t size) {
  return take_flagged(arena, size, WSP_RAW);
}

static size_t used(const wsp_arena *arena) { return wsp_arena_stats(arena).used; }

static void rewinding_frees_the_raw_allocations_made_since(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  char *before = raw(arena, 1000);
  memset(before, 1, 1000);
  size_t in_use = used(arena);
  wsp_mark mark = checkpoint(arena);
  char *first = raw(arena, 2000);
  for (size_t i = 0; i < 10; ++i) (void)raw(arena, 100 * i);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(used(arena) == in_use && holds(before, 1000, 1) && wsp_arena_check(arena));
  CHECK(raw(arena, 2000) == first); /* the memory is served again */
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void a_mark_may_be_rewound_to_again(void) {
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  wsp_mark mark = checkpoint(arena);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK); /* nothing to do */
  char *first = NULL;
  for (size_t i = 0; i < 5; ++i) {
    char *ptr = raw(arena, 5000);
    if (first == NULL) first = ptr;
    CHECK(ptr == first);
    (void)raw(arena, 100 + i);
    CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
    CHECK_EQ(used(arena), 0);
  }
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void other_allocations_stay_as_walls(void) {
  for (int record = 0; record < 2; ++record) {
    wsp_arena *arena = make_arena_of(MIB, record ? WSP_RECORD : 0);
    enter(arena);
    wsp_mark mark = checkpoint(arena);
    char *walls[8];
    for (size_t i = 0; i < 8; ++i) {
      (void)raw(arena, 3000 * i);
      walls[i] = take(arena, 700);
      memset(walls[i], (int)i, 700);
    }
    CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
    CHECK_EQ(used(arena), 8 * wsp_arena_bytes_for(arena, 700));
    for (size_t i = 0; i < 8; ++i) memset(raw(arena, 20000), 0xA5, 20000);
    for (size_t i = 0; i < 8; ++i) CHECK(holds(walls[i], 700, (unsigned char)i));
    CHECK(wsp_arena_check(arena));
    wsp_cycle cycle = leave(arena);
    CHECK(cycle.escaped == 8 * 700 && cycle.escaped_count == 8);
    for (size_t i = 0; i < 8; ++i) wsp_arena_free(arena, walls[i]);
    wsp_arena_unref(arena);
  }
}

static void raw_allocations_end_with_their_cycle(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  for (size_t c = 0; c < 3; ++c) {
    enter(arena);
    (void)raw(arena, 1000);
    (void)raw(arena, 200000); /* a spill */
    char *stays = take(arena, 100);
    (void)raw(arena, 3000);
    CHECK_EQ(wsp_arena_stats(arena).spilled, wsp_arena_bytes_for(arena, 200000));
    wsp_cycle cycle = leave(arena);
    CHECK(cycle.escaped == 100 && cycle.escaped_count == 1 && cycle.allocations == 4);
    CHECK(wsp_arena_stats(arena).spilled == 0 &&
          wsp_arena_stats(arena).retained == 100);
    wsp_arena_free(arena, stays);
    CHECK(wsp_arena_check(arena));
  }
  wsp_arena_unref(arena);
}

static void raw_allocations_may_be_freed_by_hand(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  wsp_mark mark = checkpoint(arena);
  char *ptrs[9];
  for (size_t i = 0; i < 9; ++i) ptrs[i] = raw(arena, 500);
  for (size_t i = 0; i < 9; i += 4) wsp_arena_free(arena, ptrs[i]);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_OK);
  CHECK(used(arena) == 0 && wsp_arena_check(arena));
  for (size_t i = 0; i < 9; ++i) ptrs[i] = raw(arena, 500);
  wsp_arena_free(arena, ptrs[8]);
  wsp_arena_free(arena, ptrs[0]);
  CHECK(leave(arena).escaped_count == 0 && wsp_arena_check(arena));
  wsp_arena_unref(arena);
}

static void nested_marks_unwind_inside_out(void) {
  enum { DEPTH = 6 };
  wsp_arena *arena = make_arena_of(MIB, 0);
  enter(arena);
  wsp_mark marks[DEPTH];
  size_t in_use[DEPTH];
  for (size_t i = 0; i < DEPTH; ++i) {
    in_use[i] = used(arena);
    marks[i] = checkpoint(arena);
    (void)raw(arena, 1000);
    (void)raw(arena, 4000);
  }
  for (size_t i = DEPTH; i-- > 0;) {
    CHECK_EQ(wsp_rewind(arena, &marks[i]), WSP_OK);
    CHECK(used(arena) == in_use[i] && wsp_arena_check(arena));
  }
  (void)leave(arena);
  wsp_arena_unref(arena);
}

static void a_mark_of_another_cycle_is_stale(void) {
  wsp_arena *arena = make_arena_of(64 * KIB, 0);
  enter(arena);
  wsp_mark mark = checkpoint(arena);
  (void)leave(arena);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_ETHREAD);
  enter(arena);
  (void)raw(arena, 1000);
  size_t in_use = used(arena);
  CHECK_EQ(wsp_rewind(arena, &mark), WSP_ESTALE);
  CHECK_EQ(used(arena), in_use);
  (void)leave(arena);
  wsp_arena_unref(arena);
}

int main(void) {
  rewinding_frees_the_raw_allocations_made_since();
  a_mark_may_be_rewound_to_again();
  other_allocations_stay_as_walls();
  raw_allocations_end_with_their_cycle();
  raw_allocations_may_be_freed_by_hand();
  nested_marks_unwind_inside_out();
  a_mark_of_another_cycle_is_stale();
  return CHECK_SUMMARY();
}
