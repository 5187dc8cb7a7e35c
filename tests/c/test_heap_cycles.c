/* SPDX-License-Identifier: BSD-3-Clause
 * One heap between cycles: clear, settle, purge, retire, extend. */
#include "heap_support.h"

/* Unpoison before reading what nobody has been given. */
static bool reads_as_zero(char *from, char *to) {
  wsp_unbury(from, (size_t)(to - from));
  return holds(from, (size_t)(to - from), 0);
}

static void scribble(wsp_chunk *chunk) {
  wsp_unbury(wsp_data(chunk), chunk->size);
  memset(wsp_data(chunk), 0xA5, chunk->size);
}

static bool is_scribbled(wsp_chunk *chunk) {
  return holds(wsp_data(chunk), chunk->size, 0xA5);
}

static void a_cleared_heap_serves_as_a_fresh_one_and_knows_what_is_dirty(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *c[6];
  for (size_t i = 0; i < 6; ++i) c[i] = grab(10);
  char *virgin = heap.virgin;
  for (size_t i = 0; i < 6; i += 2) give(c[i]); /* quick */
  for (size_t i = 1; i < 6; i += 2) (void)merge(c[i]);
  wsp_heap_clear(&heap);
  CHECK(wsp_heap_check(&heap) && heap.quick_count == 0 && heap.fit.summary == 0);
  CHECK(heap.virgin == heap.first && heap.bump == heap.first && heap.dirty == virgin);
  for (size_t i = 0; i < 6; ++i) CHECK(grab(10) == c[i]);
  CHECK(heap.virgin == virgin && heap.dirty == virgin);
  close_heap();
}

static void clearing_a_fresh_heap_changes_nothing(void) {
  open_heap(64 * KIB, 64);
  wsp_heap_clear(&heap);
  CHECK(wsp_heap_check(&heap) && heap.virgin == heap.first && heap.bump == heap.first);
  CHECK(start(grab(3)) == heap.first);
  close_heap();
}

static void after_settling_the_smallest_free_range_that_serves_comes_first(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *c[7];
  for (size_t i = 0; i < 7; ++i) c[i] = grab(i == 1 ? 30 : i == 3 ? 20 : 10);
  for (size_t i = 1; i < 7; i += 2) give(c[i]);
  wsp_heap_settle(&heap);
  CHECK(wsp_heap_check(&heap) && heap.quick_count == 0 && heap.bump == heap.limit);
  char *virgin = heap.virgin;
  CHECK(grab(9) == c[5]);
  CHECK(grab(16) == c[3]);
  CHECK(grab(25) == c[1]);
  CHECK(heap.virgin == virgin);
  CHECK(start(grab(30)) == virgin);
  close_heap();
}

static void settling_frees_what_is_left_of_the_current_range(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *a = grab(10), *wall = grab(1), *b = grab(40);
  give(a);
  give(b); /* falls */
  wsp_heap_settle(&heap);
  CHECK(wsp_heap_check(&heap) && heap.bump == heap.limit);
  CHECK(a->state == WSP_FREE && b->state == WSP_FREE && end(b) == heap.virgin);
  CHECK(merge(wall) == a && end(a) == heap.virgin); /* all of it is one */
  wsp_heap_settle(&heap);
  CHECK(wsp_heap_check(&heap) && grab(50) == a);
  close_heap();
}

/* Cycle after cycle with one survivor in the middle: the walls do not eat the heap. */
static void a_survivor_costs_its_own_bytes_only(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *survivor = NULL;
  char *virgin = NULL;
  for (size_t cycle = 0; cycle < 12; ++cycle) {
    wsp_chunk *c[9];
    for (size_t i = 0; i < 9; ++i) c[i] = grab(16);
    if (survivor != NULL) give(survivor);
    for (size_t i = 0; i < 9; ++i)
      if (i != 4) give(c[i]);
    survivor = c[4];
    wsp_heap_settle(&heap);
    CHECK(wsp_heap_check(&heap));
    if (cycle == 4) virgin = heap.virgin;
    CHECK(cycle < 4 || heap.virgin == virgin);
  }
  CHECK((size_t)(virgin - heap.first) <= 12 * need_of(16).span);
  close_heap();
}

static void purging_an_empty_heap_makes_it_fresh(void) {
  open_heap(256 * KIB, 64);
  wsp_chunk *a = grab(1000), *b = grab(1000);
  scribble(a);
  scribble(b);
  give(a);
  give(b);
  size_t given = wsp_heap_purge(&heap, &source);
  CHECK(wsp_heap_check(&heap) && heap.virgin == heap.first && heap.bump == heap.first);
  CHECK(given >= 2 * 64000 && given % source.up.page == 0);
  CHECK(reads_as_zero(heap.first + sizeof(wsp_chunk), heap.end));
  CHECK(start(grab(1000)) == heap.first);
  close_heap();
}

/* Whole pages of free chunks and of the current range go; bytes of the living stay. */
static void purging_around_survivors_gives_back_whole_pages(void) {
  open_heap(256 * KIB, 64);
  wsp_chunk *c[5];
  for (size_t i = 0; i < 5; ++i) scribble(c[i] = grab(i % 2 == 0 ? 30 : 512));
  wsp_chunk *top = grab(512);
  scribble(top);
  give(top);
  give(c[1]);
  give(c[3]);
  size_t free_bytes = c[1]->span + c[3]->span + (size_t)(heap.limit - heap.bump);
  size_t page = source.up.page, given = wsp_heap_purge(&heap, &source);
  CHECK(wsp_heap_check(&heap) && heap.quick_count == 0);
  for (size_t i = 0; i < 5; i += 2) CHECK(is_scribbled(c[i]));
  CHECK(given % page == 0 && given <= free_bytes && given + 6 * page >= free_bytes);
  char *from = start(c[1]) + page, *to = end(c[1]) - page;
  CHECK(reads_as_zero(from, to));
  CHECK(grab(512) != NULL && grab(512) != NULL && grab(512) != NULL);
  close_heap();
}

static void a_retired_heap_only_gives_back(void) {
  open_heap(64 * KIB, 64);
  wsp_chunk *c[5];
  for (size_t i = 0; i < 5; ++i) c[i] = grab(8);
  give(grab(50)); /* something is left of the current range */
  give(c[0]);
  give(c[2]);
  wsp_heap_retire(&heap);
  CHECK(wsp_heap_check(&heap) && heap.retired && heap.quick_count == 0);
  CHECK(heap.bump == heap.limit);
  CHECK(merge(c[3]) == c[2] && merge(c[1]) == c[0]);
  CHECK(merge(c[4]) == c[0] && start(c[0]) == heap.first);
  CHECK(end(c[0]) == heap.virgin && WSP_GET(heap.live) == 0);
  CHECK(wsp_heap_purge(&heap, &source) > 0); /* and may be used again */
  CHECK(!heap.retired && start(grab(8)) == heap.first);
  close_heap();
}

static size_t resident(void) {
  return wsp_os_resident(heap.block.base, heap.block.committed);
}

static void warming_brings_untouched_memory_in_once_and_no_further_than_asked(void) {
  open_heap(MIB, 64);
  wsp_chunk *survivor = grab(10);
  wsp_unbury(wsp_data(survivor), 64);
  memset(wsp_data(survivor), 7, 64);
  CHECK(resident() < 64 * KIB);
  wsp_heap_warm(&heap, &source, 256 * KIB);
  size_t warm = resident();
  CHECK(warm >= 256 * KIB - 2 * source.up.page && warm < 512 * KIB);
  uint64_t calls = WSP_GET(source.calls);
  wsp_heap_warm(&heap, &source, 256 * KIB);
  CHECK_EQ(WSP_GET(source.calls), calls);
  wsp_heap_warm(&heap, &source, 64 * MIB);
  CHECK(resident() + 4 * source.up.page >= MIB && !heap.block.in_window);
  CHECK(*(char *)wsp_data(survivor) == 7 && wsp_heap_check(&heap));
  give(survivor);
  close_heap();
}

static void extending_gives_room_at_the_end(void) {
  open_heap(16 * KIB, 64);
  wsp_chunk *a = grab(100), *b = grab(100);
  CHECK(grab(100) == NULL);
  CHECK(wsp_block_commit(&heap.block, &source, 32 * KIB));
  wsp_heap_extend(&heap, 32 * KIB);
  CHECK(wsp_heap_check(&heap));
  wsp_chunk *c = grab(100);
  CHECK(start(c) == end(b) && b->prev_span == a->span && c->prev_span == b->span);
  close_heap();
}

int main(void) {
  a_cleared_heap_serves_as_a_fresh_one_and_knows_what_is_dirty();
  clearing_a_fresh_heap_changes_nothing();
  after_settling_the_smallest_free_range_that_serves_comes_first();
  settling_frees_what_is_left_of_the_current_range();
  a_survivor_costs_its_own_bytes_only();
  purging_an_empty_heap_makes_it_fresh();
  purging_around_survivors_gives_back_whole_pages();
  a_retired_heap_only_gives_back();
  warming_brings_untouched_memory_in_once_and_no_further_than_asked();
  extending_gives_room_at_the_end();
  return CHECK_SUMMARY();
}
