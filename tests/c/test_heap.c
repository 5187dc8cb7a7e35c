/* SPDX-License-Identifier: BSD-3-Clause
 * One heap within a cycle: bumping, falling back, merging, splitting. */
#include "heap_support.h"

/* ---- bump and top -------------------------------------------------------- */

static void bumping_leaves_no_gaps_and_aligns_data(void) {
  for (size_t granule = 64; granule <= 256; granule *= 2) {
    open_heap(64 * KIB, granule);
    char *expected = heap.first;
    for (size_t i = 0; i < 20; ++i) {
      wsp_chunk *chunk = grab(i % 5 + 1);
      CHECK(start(chunk) == expected && (uintptr_t)wsp_data(chunk) % granule == 0);
      CHECK_EQ(chunk->span, (i % 5 + 2) * granule);
      expected = end(chunk);
    }
    CHECK(heap.bump == expected && heap.virgin == expected);
    close_heap();
  }
}

static void a_block_is_used_to_the_last_granule(void) {
  for (size_t granule = 64; granule <= 256; granule *= 2) {
    open_heap(10 * granule, granule); /* one for the front and the sentinel, 9 for it */
    CHECK(grab(9) == NULL);
    CHECK(grab(8) != NULL);
    CHECK(grab(1) == NULL);
    close_heap();
    open_heap(10 * granule - 1, granule);
    CHECK(grab(8) == NULL);
    CHECK(grab(7) != NULL);
    close_heap();
  }
}

static void the_top_falls_back(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(3), *b = grab(5);
  give(b);
  CHECK(grab(9) == b);
  give(b);
  give(a);
  CHECK(heap.bump == heap.first && heap.quick_count == 0);
  CHECK(grab(1) == a);
  close_heap();
}

static void the_top_falls_through_free_chunks_in_front(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(3), *b = grab(5), *c = grab(2), *d = grab(2);
  (void)merge(b);
  (void)merge(c);
  give(d);
  CHECK(heap.bump == start(b) && heap.top_prev == a->span);
  CHECK(heap.fit.summary == 0);
  close_heap();
}

static void the_top_grows_and_shrinks_in_place(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(3), *b = grab(5);
  size_t all = (size_t)(heap.end - start(b));
  CHECK(!wsp_heap_resize_top(&heap, a, need_of(4)));
  for (size_t granules = 1; granules < 20; granules += 3) {
    WSP_ADD(heap.used, need_of(granules).span - b->span);
    CHECK(wsp_heap_resize_top(&heap, b, need_of(granules)));
    CHECK(wsp_heap_check(&heap) && heap.bump == end(b));
  }
  CHECK(!wsp_heap_resize_top(&heap, b, need_of_span(all + 64)));
  WSP_ADD(heap.used, all - b->span);
  CHECK(wsp_heap_resize_top(&heap, b, need_of_span(all)));
  CHECK(wsp_heap_check(&heap) && heap.bump == heap.end && heap.virgin == heap.end);
  close_heap();
}

static void the_top_does_not_grow_into_a_wall(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(8), *wall = grab(1);
  (void)merge(a);
  wsp_chunk *b = grab(2); /* from a, whose rest is the current range now */
  CHECK(b == a && heap.limit == start(wall));
  size_t room = (size_t)(start(wall) - start(b));
  CHECK(!wsp_heap_resize_top(&heap, b, need_of_span(room + 64)));
  WSP_ADD(heap.used, room - b->span);
  CHECK(wsp_heap_resize_top(&heap, b, need_of_span(room)) && wsp_heap_check(&heap));
  close_heap();
}

/* ---- bins, merging, splitting -------------------------------------------- */

static void a_quick_chunk_serves_its_own_class_only(void) {
  open_heap(64 * KIB, 64);
  give(grab(100)); /* a range to bump in */
  wsp_chunk *a = grab(6), *b = grab(1);
  give(a);
  CHECK(a->state == WSP_QUICK && heap.quick_bytes == a->span);
  CHECK(start(grab(5)) == end(b));
  CHECK(grab(6) == a && heap.quick_count == 0 && heap.quick_bytes == 0);
  close_heap();
}

static void quick_bins_are_bounded_in_count_and_bytes(void) {
  wsp_chunk *held[2 * WSP_QUICK_MOST + 2];
  open_heap(MIB, 64);
  for (size_t i = 0; i < 2 * WSP_QUICK_MOST + 2; ++i) held[i] = grab(1);
  for (size_t i = 0; i < 2 * WSP_QUICK_MOST + 2; i += 2) give(held[i]);
  CHECK_EQ(heap.quick_count, WSP_QUICK_MOST);
  CHECK_EQ(held[2 * WSP_QUICK_MOST]->state, WSP_FREE);
  close_heap();
  open_heap(64 * KIB, 64);
  for (size_t i = 0; i < 6; ++i) held[i] = grab(100);
  for (size_t i = 0; i < 6; i += 2) give(held[i]);
  CHECK(heap.quick_bytes <= heap.capacity / 4 && heap.quick_count == 2);
  CHECK_EQ(held[4]->state, WSP_FREE);
  close_heap();
}

/* The middle three of five die in each order: one chunk is left of them. */
static void neighbors_merge_in_any_order(void) {
  static const int orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                   {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
  for (size_t o = 0; o < 6; ++o) {
    open_heap(64 * KIB, 64);
    wsp_chunk *c[5];
    for (size_t i = 0; i < 5; ++i) c[i] = grab(i + 2);
    size_t sum = c[1]->span + c[2]->span + c[3]->span;
    wsp_chunk *merged = NULL;
    for (size_t i = 0; i < 3; ++i) merged = merge(c[orders[o][i]]);
    CHECK(merged == c[1] && merged->span == sum && c[4]->prev_span == sum);
    close_heap();
  }
}

static void flushing_merges_what_lies_in_quick_bins(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *c[6];
  for (size_t i = 0; i < 6; ++i) c[i] = grab(4 + i % 2);
  for (size_t i = 1; i < 5; ++i) give(c[i]);
  size_t sum = (size_t)(start(c[5]) - start(c[1]));
  wsp_heap_flush(&heap);
  CHECK(wsp_heap_check(&heap) && heap.quick_count == 0 && heap.quick_bytes == 0);
  CHECK(c[1]->state == WSP_FREE && c[1]->span == sum);
  close_heap();
}

/* The chunk at the limit of the current range dies, a free one behind it or not. */
static void the_wall_behind_the_current_range_falls(void) {
  for (int with_next = 0; with_next < 2; ++with_next) {
    open_heap(64 * KIB, 64);
    wsp_chunk *a = grab(20), *wall = grab(4), *next = grab(6), *last = grab(1);
    (void)merge(a);
    CHECK(grab(2) == a && heap.limit == start(wall));
    if (with_next) (void)merge(next);
    CHECK(merge(wall) == NULL);
    CHECK(heap.limit == (with_next ? start(last) : start(next)));
    char *virgin = heap.virgin, *bump = heap.bump;
    wsp_chunk *b = grab(with_next ? 24 : 20); /* larger than what was left of a */
    CHECK(start(b) == bump && heap.virgin == virgin);
    close_heap();
  }
}

/* As above, the range being empty: its limit is where it bumps. */
static void the_wall_behind_an_empty_range_falls(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(20), *wall = grab(4), *next = grab(1);
  (void)merge(a);
  wsp_chunk *low = grab(9), *high = grab(10);
  CHECK(low == a && heap.bump == heap.limit && heap.limit == start(wall));
  CHECK(merge(wall) == NULL);
  CHECK(heap.bump == start(wall) && heap.limit == start(next));
  CHECK(grab(4) == wall && wall->prev_span == high->span);
  close_heap();
}

/* The last chunk before the sentinel dies while the range is elsewhere: with the memory
 * behind it, which was never used, it serves what neither could alone. */
static void the_chunk_before_the_sentinel_joins_unused_memory(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(8), *wall = grab(1), *b = grab(10), *last = grab(12);
  (void)merge(a);
  CHECK(grab(2) == a && heap.limit == start(wall)); /* the range is in a */
  (void)merge(last);
  CHECK(merge(b) == b);
  CHECK_EQ(((wsp_chunk *)heap.virgin)->prev_span, b->span);
  wsp_chunk *big = grab(40);
  CHECK(big == b && heap.virgin == end(big) && big->prev_span == wall->span);
  close_heap();
}

/* Neither what is free before the sentinel nor what lies behind it is enough alone. */
static void the_end_of_the_block_counts_as_one(void) {
  open_heap(20 * 64, 64); /* 19 granules of room */
  wsp_chunk *a = grab(1), *b = grab(9);
  give(b);
  wsp_heap_settle(&heap); /* 10 free, 7 never used */
  CHECK(a->span == 128 && grab(17) == NULL);
  CHECK(grab(16) == b && heap.virgin == heap.end);
  close_heap();
}

/* A live chunk before the sentinel: unused memory is entered behind it. */
static void unused_memory_is_entered_behind_a_live_chunk(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(8), *wall = grab(1), *b = grab(10), *last = grab(12);
  (void)merge(a);
  CHECK(grab(2) == a && heap.limit == start(wall));
  (void)merge(b);
  CHECK_EQ(((wsp_chunk *)heap.virgin)->prev_span, last->span);
  wsp_chunk *big = grab(40);
  CHECK(start(big) == end(last) && big->prev_span == last->span);
  give(big);
  give(last); /* falls, and b with it */
  CHECK(heap.bump == start(b));
  close_heap();
}

/* A free chunk `a` of `granules` with a wall behind it, and elsewhere a current range
 * of `left` granules. */
static wsp_chunk *with_free_chunk_and_range(size_t granules, size_t left) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(granules - 1), *wall = grab(3), *b = grab(31), *last = grab(1);
  (void)merge(b);
  CHECK(grab(28 - left) == b && heap.limit == start(last));
  (void)grab(2);
  CHECK_EQ(heap.limit - heap.bump, (ptrdiff_t)left * 64);
  CHECK(merge(a) == a && start(wall) == end(a));
  return a;
}

static void what_is_left_of_a_split_chunk_stays_free(void) {
  wsp_chunk *a = with_free_chunk_and_range(21, 10);
  char *bump = heap.bump;
  CHECK(grab(12) == a && heap.bump == bump);
  wsp_chunk *rest = (wsp_chunk *)end(a), *wall = (wsp_chunk *)end(rest);
  CHECK(rest->state == WSP_FREE && rest->span == 8 * 64 && rest->prev_span == a->span);
  CHECK(wall->prev_span == rest->span && merge(wall) == rest);
  CHECK(rest->span == 12 * 64);
  close_heap();
}

/* Leaving a range for a larger one would be next fit. */
static void the_current_range_stays_while_there_is_one(void) {
  wsp_chunk *a = with_free_chunk_and_range(21, 7);
  char *bump = heap.bump;
  CHECK(grab(12) == a && heap.bump == bump);
  wsp_heap_settle(&heap); /* no range any more */
  wsp_chunk *b = grab(1);
  CHECK(heap.bump == end(b) && wsp_heap_check(&heap));
  close_heap();
}

/* One granule is left: a header without room for data, until a neighbor dies. */
static void a_remainder_of_one_header_waits_for_a_neighbor(void) {
  wsp_chunk *a = with_free_chunk_and_range(10, 2);
  CHECK(grab(8) == a);
  wsp_chunk *rest = (wsp_chunk *)end(a), *wall = (wsp_chunk *)end(rest);
  CHECK(rest->span == 64 && rest->state == WSP_FREE && wall->prev_span == 64);
  CHECK_EQ(heap.fit.summary, 0);
  CHECK(merge(wall) == rest && rest->span == 5 * 64);
  CHECK(grab(4) == rest);
  close_heap();
}

int main(void) {
  bumping_leaves_no_gaps_and_aligns_data();
  a_block_is_used_to_the_last_granule();
  the_top_falls_back();
  the_top_falls_through_free_chunks_in_front();
  the_top_grows_and_shrinks_in_place();
  the_top_does_not_grow_into_a_wall();
  a_quick_chunk_serves_its_own_class_only();
  quick_bins_are_bounded_in_count_and_bytes();
  neighbors_merge_in_any_order();
  flushing_merges_what_lies_in_quick_bins();
  the_wall_behind_the_current_range_falls();
  the_wall_behind_an_empty_range_falls();
  the_chunk_before_the_sentinel_joins_unused_memory();
  the_end_of_the_block_counts_as_one();
  unused_memory_is_entered_behind_a_live_chunk();
  what_is_left_of_a_split_chunk_stays_free();
  the_current_range_stays_while_there_is_one();
  a_remainder_of_one_header_waits_for_a_neighbor();
  return CHECK_SUMMARY();
}
