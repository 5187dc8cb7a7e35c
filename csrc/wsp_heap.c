/* SPDX-License-Identifier: BSD-3-Clause
 * Chunks of one block: the current range that is bumped through, quick bins, the fit,
 * and the memory beyond that was never used.  wsp_heap.h has the picture and the
 * invariants. */
#include "wsp_heap.h"

static wsp_chunk *after(wsp_chunk *chunk) {
  return (wsp_chunk *)((char *)chunk + chunk->span);
}

static wsp_chunk *before(wsp_chunk *chunk) {
  return (wsp_chunk *)((char *)chunk - chunk->prev_span);
}

static size_t range_left(const wsp_heap *heap) {
  return (size_t)(heap->limit - heap->bump);
}

static void put_sentinel(wsp_heap *heap, char *at) {
  wsp_chunk *sentinel = (wsp_chunk *)at;
  wsp_unbury(sentinel, sizeof *sentinel);
  heap->virgin = at;
  if (at > heap->dirty) heap->dirty = at;
  sentinel->state = WSP_SENTINEL;
  sentinel->span = 0;
}

void wsp_heap_extend(wsp_heap *heap, size_t capacity) {
  assert(capacity <= heap->block.committed);
  size_t front = (size_t)(heap->first - heap->block.base) + sizeof(wsp_chunk);
  size_t room = capacity < front ? 0 : capacity - front;
  heap->capacity = capacity;
  heap->end = heap->first + room / heap->granule * heap->granule;
  heap->quick_bytes_most = capacity / 4;
  char *unused = heap->dirty != NULL ? heap->dirty : heap->first;
  unused += sizeof(wsp_chunk);
  char *to = heap->block.base + heap->block.committed;
  if (unused < to) wsp_forbid(unused, (size_t)(to - unused));
}

/* Nothing is handed out. */
static void start_fresh(wsp_heap *heap) {
  heap->top_prev = 0;
  put_sentinel(heap, heap->first);
  ((wsp_chunk *)heap->virgin)->prev_span = 0;
  heap->bump = heap->limit = heap->virgin;
}

void wsp_heap_init(wsp_heap *heap, wsp_block block, size_t capacity, size_t granule,
                   bool zeroed) {
  memset(heap, 0, sizeof *heap);
  heap->block = block;
  heap->granule = granule;
  heap->zeroed = zeroed;
  /* Data is aligned, so headers end where it starts. */
  heap->first = block.base + granule - sizeof(wsp_chunk);
  wsp_heap_extend(heap, capacity);
  start_fresh(heap);
}

/* ---- the current range ----------------------------------------------------- */

/* Make what is left of it an ordinary free chunk, and have no range then: an empty one
 * at an address where no chunk can be. */
static void range_leave(wsp_heap *heap) {
  char *nowhere = (char *)heap;
  wsp_chunk *wall = (wsp_chunk *)heap->limit;
  size_t left = range_left(heap);
  if (heap->limit == nowhere) return;
  heap->limit = nowhere;
  if (left == 0) {
    heap->bump = nowhere;
    wall->prev_span = heap->top_prev;
    return;
  }
  wsp_chunk *chunk = (wsp_chunk *)heap->bump;
  wsp_unbury(chunk, sizeof *chunk);
  chunk->span = wall->prev_span = left;
  chunk->prev_span = heap->top_prev;
  chunk->state = WSP_FREE;
  wsp_fit_insert(&heap->fit, chunk, heap->granule);
  heap->bump = nowhere;
}

/* Go on in a free chunk, which is in no bin any more. */
static void range_enter(wsp_heap *heap, wsp_chunk *chunk) {
  heap->bump = (char *)chunk;
  heap->limit = heap->bump + chunk->span;
  heap->top_prev = chunk->prev_span;
}

static wsp_chunk *range_bump(wsp_heap *heap, wsp_need need) {
  size_t span = need.span;
  wsp_chunk *chunk = (wsp_chunk *)heap->bump;
  wsp_unbury(chunk, sizeof *chunk);
  chunk->span = span;
  chunk->prev_span = heap->top_prev;
  chunk->heap = heap->index;
  chunk->cls = (uint16_t)need.cls;
  chunk->state = WSP_LIVE;
  heap->top_prev = span;
  heap->bump += span;
  return chunk;
}

void wsp_heap_fall(wsp_heap *heap, wsp_chunk *chunk) {
  heap->bump = (char *)chunk;
  heap->top_prev = chunk->prev_span;
  if (chunk->prev_span == 0) return;
  wsp_chunk *front = before(chunk);
  if (front->state != WSP_FREE) return;
  wsp_fit_remove(&heap->fit, front, heap->granule);
  heap->bump = (char *)front;
  heap->top_prev = front->prev_span;
}

/* ---- free chunks ----------------------------------------------------------- */

wsp_chunk *wsp_heap_merge(wsp_heap *heap, wsp_chunk *chunk) {
  if ((char *)after(chunk) == heap->bump) {
    wsp_heap_fall(heap, chunk);
    return NULL;
  }
  wsp_chunk *next = after(chunk);
  if (next->state == WSP_FREE) {
    wsp_fit_remove(&heap->fit, next, heap->granule);
    chunk->span += next->span;
    next = after(chunk);
  }
  if ((char *)chunk == heap->limit) { /* the wall behind the current range falls */
    heap->limit = (char *)next;
    return NULL;
  }
  if (chunk->prev_span != 0 && before(chunk)->state == WSP_FREE) {
    wsp_chunk *front = before(chunk);
    wsp_fit_remove(&heap->fit, front, heap->granule);
    front->span += chunk->span;
    chunk = front;
  }
  next->prev_span = chunk->span;
  chunk->state = WSP_FREE;
  wsp_fit_insert(&heap->fit, chunk, heap->granule);
  return chunk;
}

/* Empty the quick bins: merge what is in them, or, when nothing is alive, forget it. */
static void quick_empty(wsp_heap *heap, bool merge) {
  for (unsigned word = 0; word < WSP_WORDS; ++word) {
    for (uint64_t map = heap->quick_map[word]; map != 0; map &= map - 1) {
      unsigned cls = word * 64 + wsp_lowest_bit(map);
      wsp_chunk *chunk = heap->quick[cls];
      heap->quick[cls] = NULL;
      while (merge && chunk != NULL) {
        wsp_chunk *next = chunk->next;
        (void)wsp_heap_merge(heap, chunk);
        chunk = next;
      }
    }
    heap->quick_map[word] = 0;
  }
  heap->quick_count = heap->quick_bytes = 0;
}

void wsp_heap_flush(wsp_heap *heap) {
  if (heap->quick_count != 0) quick_empty(heap, true);
}

/* Serve from a free chunk.  What is left of it becomes the current range if there is
 * none, so that requests that follow are bumped; a range that is there stays, since
 * leaving it for a larger one is next fit, which fragments more. */
static wsp_chunk *take_fit(wsp_heap *heap, wsp_need need) {
  wsp_chunk *chunk = wsp_fit_find(&heap->fit, need.cls);
  if (chunk == NULL) return NULL;
  wsp_fit_remove(&heap->fit, chunk, heap->granule);
  size_t left = chunk->span - need.span;
  if (left != 0 && range_left(heap) == 0) {
    range_leave(heap);
    range_enter(heap, chunk);
    return range_bump(heap, need);
  }
  chunk->state = WSP_LIVE;
  if (left != 0) {
    wsp_chunk *rest = (wsp_chunk *)((char *)chunk + need.span);
    wsp_unbury(rest, sizeof *rest);
    rest->span = left;
    rest->prev_span = chunk->span = need.span;
    rest->state = WSP_FREE;
    rest->heap = heap->index;
    after(rest)->prev_span = left;
    wsp_fit_insert(&heap->fit, rest, heap->granule);
  }
  chunk->heap = heap->index;
  chunk->cls = (uint16_t)need.cls;
  return chunk;
}

/* Where the end of the block can be entered: at what is free in front of the memory
 * that was never used, else there. */
static char *last_start(const wsp_heap *heap) {
  if (heap->limit == heap->virgin) return heap->bump;
  wsp_chunk *sentinel = (wsp_chunk *)heap->virgin;
  if (sentinel->prev_span == 0 || before(sentinel)->state != WSP_FREE)
    return heap->virgin;
  return (char *)before(sentinel);
}

/* Make the end of the block the current range. */
static void range_enter_last(wsp_heap *heap, char *start) {
  if (heap->limit == heap->virgin) return;
  range_leave(heap);
  if (start != heap->virgin) {
    wsp_fit_remove(&heap->fit, (wsp_chunk *)start, heap->granule);
    range_enter(heap, (wsp_chunk *)start);
  } else {
    heap->bump = heap->limit = heap->virgin;
    heap->top_prev = ((wsp_chunk *)heap->virgin)->prev_span;
  }
}

static wsp_chunk *take_virgin(wsp_heap *heap, wsp_need need) {
  char *start = last_start(heap);
  if (need.span > (size_t)(heap->end - start)) return NULL;
  range_enter_last(heap, start);
  if (need.span > range_left(heap)) {
    put_sentinel(heap, heap->bump + need.span);
    heap->limit = heap->virgin;
  }
  return range_bump(heap, need);
}

/* Out of line, so that the fast path in the header stays a few instructions.  Memory
 * that was touched before comes first: only what fits nowhere else costs a page fault.
 */
WSP_NOINLINE wsp_chunk *wsp_heap_take_slow(wsp_heap *heap, wsp_need need) {
  wsp_heap_flush(heap);
  if (need.span <= range_left(heap)) return range_bump(heap, need);
  wsp_chunk *chunk = take_fit(heap, need);
  return chunk != NULL ? chunk : take_virgin(heap, need);
}

bool wsp_heap_resize_top(wsp_heap *heap, wsp_chunk *chunk, wsp_need need) {
  size_t span = need.span;
  if ((char *)after(chunk) != heap->bump) return false;
  char *bump = (char *)chunk + span;
  if (span > chunk->span) {
    size_t more = span - chunk->span;
    if (more > range_left(heap)) {
      if (heap->limit != heap->virgin || more > (size_t)(heap->end - heap->bump))
        return false;
      put_sentinel(heap, bump);
      heap->limit = bump;
    }
  }
  heap->bump = bump;
  heap->top_prev = chunk->span = span;
  chunk->cls = (uint16_t)need.cls;
  return true;
}

/* ---- between cycles -------------------------------------------------------- */

void wsp_heap_clear(wsp_heap *heap) {
  assert(WSP_GET(heap->live) == 0 && WSP_GET(heap->used) == 0);
  if (heap->quick_count != 0) quick_empty(heap, false);
  wsp_fit_clear(&heap->fit);
  wsp_forbid(heap->first, (size_t)(heap->dirty - heap->first));
  /* Not one large range, which would be bumped through before anything is merged: every
   * cycle is packed as tightly as the first. */
  start_fresh(heap);
}

void wsp_heap_settle(wsp_heap *heap) {
  wsp_heap_flush(heap);
  range_leave(heap);
}

void wsp_heap_retire(wsp_heap *heap) {
  wsp_heap_settle(heap);
  heap->retired = true;
}

void wsp_heap_warm(wsp_heap *heap, wsp_source *source, size_t size) {
  const char *from = heap->dirty + sizeof(wsp_chunk);
  const char *to = heap->block.base + (size < heap->capacity ? size : heap->capacity);
  if (heap->warm > from) from = heap->warm;
  if (from >= to) return;
  wsp_block_populate(&heap->block, source, from, to);
  heap->warm = to;
}

/* Nothing is alive: the block is fresh again. */
static size_t purge_all(wsp_heap *heap, wsp_source *source) {
  if (heap->dirty == heap->first && heap->warm == NULL) return 0;
  const char *used = heap->warm > heap->dirty ? heap->warm : heap->dirty;
  size_t touched = (size_t)(used - heap->block.base) + sizeof(wsp_chunk);
  heap->retired = false;
  heap->warm = NULL;
  if (!wsp_align_up(touched, source->up.page, &touched)) return 0;
  if (touched > heap->block.committed) touched = heap->block.committed;
  wsp_heap_clear(heap);
  wsp_source_purge(source, heap->block.base, touched);
  heap->dirty = heap->first;
  start_fresh(heap); /* its sentinel went with the pages */
  heap->given = heap->block.committed;
  return touched;
}

size_t wsp_heap_purge(wsp_heap *heap, wsp_source *source) {
  if (WSP_GET(heap->live) == 0) return purge_all(heap, source);
  size_t given = 0;
  heap->warm = NULL;
  wsp_heap_settle(heap);
  for (unsigned cls = 0; cls < WSP_CLASSES; ++cls) {
    for (wsp_chunk *c = heap->fit.bins[cls]; c != NULL; c = c->next)
      given += wsp_block_purge(&heap->block, source, wsp_data(c), (char *)after(c));
  }
  size_t dirty = (size_t)(heap->dirty - heap->block.base) + sizeof(wsp_chunk);
  heap->given = given + heap->block.committed - dirty;
  return given;
}

wsp_chunk *wsp_heap_find(wsp_heap *heap, const char *ptr) {
  char *at = heap->first;
  while (at < heap->virgin) {
    if (at == heap->bump && heap->bump != heap->limit) {
      at = heap->limit;
      continue;
    }
    wsp_chunk *chunk = (wsp_chunk *)at;
    const char *data = wsp_heap_data(heap, chunk);
    if (ptr < data) return NULL;
    if (chunk->state == WSP_LIVE && (size_t)(ptr - data) < chunk->size) return chunk;
    at += chunk->span;
  }
  return NULL;
}

/* ---- checking -------------------------------------------------------------- */

static bool check_bins(const wsp_heap *heap, size_t free_chunks) {
  size_t binned = 0, quick = 0, quick_bytes = 0;
  for (unsigned cls = 0; cls < WSP_CLASSES; ++cls) {
    bool bit = (heap->fit.map[cls / 64] >> (cls % 64)) & 1u;
    if (bit != (heap->fit.bins[cls] != NULL)) return false;
    for (const wsp_chunk *c = heap->fit.bins[cls]; c != NULL; c = c->next) {
      if (c->state != WSP_FREE ||
          wsp_class_of_span(c->span + heap->fit.tight, heap->granule) != cls)
        return false;
      ++binned;
    }
    for (const wsp_chunk *c = heap->quick[cls]; c != NULL; c = c->next) {
      if (c->state != WSP_QUICK ||
          wsp_class_of_span(c->span + heap->fit.tight, heap->granule) != cls)
        return false;
      ++quick;
      quick_bytes += c->span;
    }
  }
  return binned == free_chunks && quick == heap->quick_count &&
         quick_bytes == heap->quick_bytes;
}

bool wsp_heap_check(const wsp_heap *heap) {
  size_t live = 0, used = 0, free_chunks = 0, prev_span = 0;
  bool prev_free = false, after_range = false;
  const char *at = heap->first;
  while (at < heap->virgin) {
    if (at == heap->bump) {
      if (heap->top_prev != prev_span || prev_free) return false;
      at = heap->limit;
      after_range = true;
      if (heap->bump != heap->limit) continue;
      if (at >= heap->virgin) break;
    }
    const wsp_chunk *chunk = (const wsp_chunk *)at;
    bool is_free = chunk->state == WSP_FREE;
    if (chunk->span == 0 || chunk->span % heap->granule != 0) return false;
    if (!after_range && chunk->prev_span != prev_span) return false;
    if (is_free && (prev_free || after_range)) return false;
    if (chunk->state == WSP_LIVE) ++live, used += chunk->span;
    if (is_free && chunk->span + heap->fit.tight > heap->granule) ++free_chunks;
    prev_span = chunk->span;
    prev_free = is_free;
    after_range = false;
    at += chunk->span;
  }
  if (at != heap->virgin || ((const wsp_chunk *)at)->state != WSP_SENTINEL)
    return false;
  if (heap->virgin > heap->end || heap->bump > heap->limit) return false;
  return live == WSP_GET(heap->live) && used == WSP_GET(heap->used) &&
         check_bins(heap, free_chunks);
}
