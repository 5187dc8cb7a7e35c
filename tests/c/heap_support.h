/* SPDX-License-Identifier: BSD-3-Clause
 * One heap over pages, without an arena; chunks by their size in granules.  Every step
 * is followed by the check of all invariants. */
#ifndef WSP_HEAP_SUPPORT_H
#define WSP_HEAP_SUPPORT_H

#include "wsp_heap.h"

#include "support.h"

static wsp_source source;
static wsp_heap heap;

static inline void open_heap(size_t capacity, size_t granule) {
  source = (wsp_source){.up = wsp_upstream_pages()};
  wsp_block block = {.reserved = 4 * MIB};
  block.base = wsp_source_reserve(&source, block.reserved);
  if (!CHECK(block.base != NULL) || !CHECK(wsp_block_commit(&block, &source, capacity)))
    exit(CHECK_SUMMARY());
  wsp_heap_init(&heap, block, capacity, granule, true);
  CHECK(wsp_heap_check(&heap));
}

static inline void close_heap(void) {
  wsp_unbury(heap.block.base, heap.block.committed);
  wsp_source_release(&source, heap.block.base, heap.block.reserved);
}

static inline wsp_need need_of_span(size_t span) {
  return (wsp_need){.span = span, .cls = wsp_class_of_span(span, heap.granule)};
}

static inline wsp_need need_of(size_t granules) {
  wsp_need need = {.span = 0};
  CHECK(wsp_need_of(granules * heap.granule, heap.granule, &need));
  return need;
}

/* A chunk with room for so many granules; NULL: the heap is full. */
static inline wsp_chunk *grab(size_t granules) {
  wsp_chunk *chunk = wsp_heap_take(&heap, need_of(granules));
  if (chunk != NULL) {
    chunk->size = granules * heap.granule;
    WSP_ADD(heap.live, 1);
    WSP_ADD(heap.used, chunk->span);
  }
  CHECK(wsp_heap_check(&heap));
  return chunk;
}

static inline void uncount(const wsp_chunk *chunk) {
  WSP_SUB(heap.live, 1);
  WSP_SUB(heap.used, chunk->span);
}

/* As the arena does it: the top falls, all else is binned. */
static inline void give(wsp_chunk *chunk) {
  uncount(chunk);
  wsp_heap_give(&heap, chunk);
  CHECK(wsp_heap_check(&heap));
}

static inline wsp_chunk *merge(wsp_chunk *chunk) {
  uncount(chunk);
  chunk = wsp_heap_merge(&heap, chunk);
  CHECK(wsp_heap_check(&heap));
  return chunk;
}

static inline char *start(wsp_chunk *chunk) { return (char *)chunk; }
static inline char *end(wsp_chunk *chunk) { return (char *)chunk + chunk->span; }

#endif
