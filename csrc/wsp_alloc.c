/* SPDX-License-Identifier: BSD-3-Clause
 * Allocate, free, resize. */
#include "wsp_arena.h"

static wsp_status refuse(wsp_arena *arena, size_t size, wsp_status status) {
  const wsp_heap *heap = arena->heap;
  size_t capacity = heap == NULL ? 0 : heap->capacity;
  size_t used = heap == NULL ? 0 : WSP_GET(heap->used);
  if (heap == NULL && arena->limit != SIZE_MAX) { /* the limit is all there is */
    capacity = arena->limit;
    used = WSP_GET(arena->outside_used);
  }
  arena->refusal = (wsp_refusal){.status = status,
                                 .requested = size,
                                 .free = capacity > used ? capacity - used : 0,
                                 .capacity = capacity};
  return status;
}

/* Fill in a chunk that was just taken and count it.  `dirty` is where the heap's
 * unused memory began before: what lies beyond its header was zero if the heap is. */
static void *hand_out(wsp_arena *arena, wsp_heap *heap, wsp_chunk *chunk, size_t size,
                      uint32_t flags, uint32_t site, const char *dirty) {
  char *data = wsp_heap_data(heap, chunk);
  chunk->size = size;
  chunk->generation = arena->open_generation;
  chunk->serial = ++arena->serial;
  chunk->site = (uint16_t)(site <= UINT16_MAX ? site : 0);
  chunk->flags = 0;
  WSP_ADD(heap->used, chunk->span);
  WSP_ADD(heap->live, 1);
  wsp_tally *tally = &arena->tally;
  size_t used = WSP_GET(tally->used) + chunk->span;
  WSP_SET(tally->used, used);
  if (used > WSP_GET(tally->peak)) WSP_SET(tally->peak, used);
  tally->live += 1;
  tally->size += size;
  tally->allocations += 1;
  WSP_ADD(arena->allocations, 1);
  if (flags & WSP_ZERO) {
    wsp_unbury(data, size);
    size_t clear = size;
    if (heap->zeroed) {
      const char *clean = dirty + sizeof(wsp_chunk);
      clear = data >= clean ? 0 : (size_t)(clean - data);
      if (clear > size) clear = size;
    }
    memset(data, 0, clear);
  } else {
    wsp_unbury_fresh(data, size);
  }
  if (WSP_UNLIKELY((flags & WSP_RAW) || (arena->flags & WSP_RECORD))) {
    if (flags & WSP_RAW) chunk->flags |= WSP_IS_RAW;
    wsp_list_add(arena, chunk);
  }
  return data;
}

static void count_outside(wsp_arena *arena, wsp_chunk *chunk) {
  WSP_ADD(arena->outside_used, chunk->span);
  if (arena->heap == NULL) arena->tally.outside = true;
  if (arena->learns) return;
  chunk->flags |= WSP_SPILL;
  WSP_ADD(arena->spills, 1);
  size_t spilled = WSP_GET(arena->spilled) + chunk->span;
  WSP_SET(arena->spilled, spilled);
  if (spilled > WSP_GET(arena->tally.spilled_peak))
    WSP_SET(arena->tally.spilled_peak, spilled);
}

static wsp_status take_outside(wsp_arena *arena, wsp_need need, size_t size,
                               uint32_t flags, uint32_t site, void **out) {
  size_t held = WSP_GET(arena->outside_used);
  if (arena->heap != NULL) held += arena->heap->capacity;
  if (need.span > arena->limit - (held < arena->limit ? held : arena->limit))
    return refuse(arena, size, WSP_EFULL);
  wsp_heap *heap = NULL;
  wsp_chunk *chunk = NULL;
  const char *dirty = NULL;
  for (size_t i = 0; chunk == NULL && i < arena->heaps_room; ++i) {
    heap = arena->heaps[i];
    if (heap == NULL || !heap->outside || heap->retired) continue;
    dirty = heap->dirty;
    chunk = wsp_heap_take(heap, need);
  }
  if (chunk == NULL) {
    wsp_lock_take(arena->lock); /* other threads may be looking at the table */
    heap = wsp_place_outside(arena, need);
    wsp_lock_give(arena->lock);
    if (heap == NULL) return refuse(arena, size, WSP_ENOMEM);
    dirty = heap->dirty;
    chunk = wsp_heap_take(heap, need);
    if (chunk == NULL) return refuse(arena, size, WSP_ENOMEM);
  }
  if (!heap->touched) {
    heap->touched = true;
    heap->given = 0;
    wsp_place_publish(arena);
  }
  *out = hand_out(arena, heap, chunk, size, flags, site, dirty);
  count_outside(arena, chunk);
  return WSP_OK;
}

/* Out of line: no block yet, or it is full. */
static WSP_NOINLINE wsp_status alloc_slow(wsp_arena *arena, wsp_need need, size_t size,
                                          uint32_t flags, uint32_t site, void **out) {
  wsp_status placed = WSP_OK;
  size_t first = arena->ring == NULL ? arena->initial : wsp_ring_wants(arena);
  if (arena->heap == NULL && first != 0) {
    wsp_lock_take(arena->lock);
    placed = wsp_place_block(arena, first);
    if (arena->ring != NULL) wsp_ring_adopt(arena);
    wsp_lock_give(arena->lock);
  }
  (void)wsp_drain(arena);
  wsp_heap *heap = arena->heap;
  if (heap != NULL) {
    const char *dirty = heap->dirty;
    wsp_chunk *chunk = heap->map.file == NULL ? wsp_heap_take(heap, need)
                                              : wsp_heap_take_file(heap, need, size);
    if (chunk != NULL) {
      *out = hand_out(arena, heap, chunk, size, flags, site, dirty);
      return WSP_OK;
    }
  }
  if ((arena->flags & WSP_NO_SPILL) && !arena->learns)
    return refuse(arena, size, placed == WSP_OK ? WSP_EFULL : placed);
  return take_outside(arena, need, size, flags, site, out);
}

wsp_status wsp_arena_alloc(wsp_arena *arena, size_t size, uint32_t flags, uint32_t site,
                           void **out) {
  if (WSP_UNLIKELY(!wsp_owned_by_me(arena)))
    return wsp_is_forked(arena) ? WSP_EFORKED : WSP_ETHREAD;
  wsp_need need;
  if (WSP_UNLIKELY(!wsp_need_of(size, arena->granule, &need)))
    return refuse(arena, size, WSP_EOVERFLOW);
  wsp_heap *heap = arena->heap;
  if (WSP_LIKELY(heap != NULL && heap->shift == 0)) {
    const char *dirty = heap->dirty;
    wsp_chunk *chunk = wsp_heap_take(heap, need);
    if (WSP_LIKELY(chunk != NULL)) {
      *out = hand_out(arena, heap, chunk, size, flags, site, dirty);
      return WSP_OK;
    }
  }
  return alloc_slow(arena, need, size, flags, site, out);
}

wsp_status wsp_chunk_take(wsp_arena *arena, size_t size, wsp_chunk **out) {
  void *data;
  wsp_need need;
  wsp_status status;
  if (arena->file == NULL)
    status = wsp_arena_alloc(arena, size, 0, 0, &data);
  else if (!wsp_need_of(size, arena->granule, &need))
    status = refuse(arena, size, WSP_EOVERFLOW);
  else /* the file holds what arrays hold, and nothing else */
    status = take_outside(arena, need, size, 0, 0, &data);
  if (status != WSP_OK) return status;
  wsp_arena_excuse(arena, data); /* its end is nobody's mistake */
  arena->tally.allocations -= 1; /* what is taken from it is counted */
  WSP_SUB(arena->allocations, 1);
  *out = wsp_chunk_of(arena, data);
  return WSP_OK;
}

/* ---- free ------------------------------------------------------------------ */

/* Take a chunk that dies out of the figures. */
static void uncount(wsp_arena *arena, wsp_heap *heap, wsp_chunk *chunk) {
  WSP_SUB(heap->used, chunk->span);
  WSP_SUB(heap->live, 1);
  bool excused = chunk->flags & WSP_EXCUSED;
  if (WSP_LIKELY(chunk->generation == arena->open_generation)) {
    wsp_tally *tally = &arena->tally;
    WSP_SUB(tally->used, chunk->span);
    tally->live -= 1;
    tally->size -= chunk->size;
    if (excused) tally->excused_live -= 1, tally->excused_size -= chunk->size;
  } else {
    WSP_SUB(arena->retained, chunk->size);
    if (!excused && arena->ring == NULL) WSP_SUB(arena->escaped, chunk->size);
  }
  if (WSP_UNLIKELY(heap->outside)) {
    heap->touched = true;
    WSP_SUB(arena->outside_used, chunk->span);
    if (chunk->flags & WSP_SPILL) WSP_SUB(arena->spilled, chunk->span);
  }
}

/* What dead memory holds: the byte that makes a NaN of every floating-point type. */
enum { POISON = 0xFF };

/* Of the data of an allocation, `size` bytes as asked; `span` more or less. */
static void lay_to_rest(const wsp_arena *arena, const wsp_heap *heap, void *data,
                        size_t size, size_t span) {
  bool is_file = heap->map.file != NULL, poisons = arena->flags & WSP_POISON_ON_FREE;
  if (WSP_LIKELY(!(arena->flags & (WSP_ZERO_ON_FREE | WSP_POISON_ON_FREE)))) {
    if (WSP_ASAN || !is_file) wsp_bury(data, span); /* a file keeps its bytes */
    return;
  }
  if (arena->flags & WSP_ZERO_ON_FREE || !is_file)
    memset(data, poisons && !is_file ? POISON : 0, size);
  if (poisons) wsp_forbid(data, span);
}

/* A survivor of a retired block dies: its pages go back.  The block itself follows at
 * the next occasion with the lock, since other threads may be looking at the table. */
static WSP_NOINLINE void free_retired(wsp_arena *arena, wsp_heap *heap,
                                      wsp_chunk *chunk) {
  size_t page = arena->source.up.page;
  char *from = (char *)chunk - (uintptr_t)chunk % page;
  char *to = (char *)chunk + chunk->span;
  to += (page - (uintptr_t)to % page) % page;
  wsp_chunk *merged = wsp_heap_merge(heap, chunk);
  arena->untidy = true;
  char *data = wsp_data(merged), *limit = (char *)merged + merged->span;
  heap->given += wsp_block_purge(&heap->block, &arena->source,
                                 from > data ? from : data, to < limit ? to : limit);
}

void wsp_chunk_free(wsp_arena *arena, wsp_chunk *chunk) {
  assert(chunk->state == WSP_LIVE);
  wsp_heap *heap = arena->heaps[chunk->heap];
  if (WSP_UNLIKELY(chunk->flags & WSP_LISTED)) wsp_list_remove(arena, chunk);
  uncount(arena, heap, chunk);
  lay_to_rest(arena, heap, wsp_heap_data(heap, chunk), chunk->size,
              wsp_heap_room(heap, chunk));
  if (WSP_UNLIKELY(heap->retired)) {
    free_retired(arena, heap, chunk);
    return;
  }
  wsp_heap_give(heap, chunk);
}

/* The arena may be open on another thread, which does not take the lock: push the chunk
 * on a list, linked through what is behind its header: the dead data, and nothing where
 * headers lie apart. */
static void push_remote(wsp_arena *arena, wsp_chunk *chunk) {
  wsp_chunk **link = wsp_data(chunk);
  wsp_unbury(link, sizeof *link);
  wsp_chunk *head = atomic_load_explicit(&arena->remote, memory_order_relaxed);
  do {
    *link = head;
  } while (!atomic_compare_exchange_weak_explicit(
      &arena->remote, &head, chunk, memory_order_release, memory_order_relaxed));
}

bool wsp_drain(wsp_arena *arena) {
  if (atomic_load_explicit(&arena->remote, memory_order_relaxed) == NULL) return false;
  wsp_chunk *chunk =
      atomic_exchange_explicit(&arena->remote, NULL, memory_order_acquire);
  while (chunk != NULL) {
    wsp_chunk *next = *(wsp_chunk **)wsp_data(chunk);
    wsp_chunk_free(arena, chunk);
    chunk = next;
  }
  return true;
}

static WSP_NOINLINE void free_elsewhere(wsp_arena *arena, wsp_chunk *chunk) {
  if (wsp_is_forked(arena)) return; /* the lock may be held by a thread of the parent */
  push_remote(arena, chunk);
  /* The owner drains the list, at the end of its cycle at the latest; it may just have
   * done so for the last time. */
  if (WSP_GET(arena->owner) != NULL) return;
  wsp_lock_take(arena->lock);
  if (WSP_GET(arena->owner) == NULL) {
    (void)wsp_drain(arena);
    if (arena->untidy) wsp_place_tidy_retired(arena);
    arena->untidy = true; /* the next cycle may find better ranges */
  }
  wsp_lock_give(arena->lock);
}

void wsp_arena_free(wsp_arena *arena, void *ptr) {
  if (WSP_UNLIKELY(ptr == NULL)) return;
  wsp_chunk *chunk = wsp_chunk_of(arena, ptr);
  if (WSP_LIKELY(wsp_owned_by_me(arena)))
    wsp_chunk_free(arena, chunk);
  else
    free_elsewhere(arena, chunk);
}

/* ---- resize ---------------------------------------------------------------- */

bool wsp_arena_try_resize(wsp_arena *arena, void *ptr, size_t size) {
  wsp_chunk *chunk = wsp_chunk_of(arena, ptr);
  wsp_need need;
  if (!wsp_owned_by_me(arena) || chunk->generation != arena->open_generation)
    return false;
  if (!wsp_need_of(size, arena->granule, &need)) return false;
  wsp_heap *heap = arena->heaps[chunk->heap];
  size_t old_span = chunk->span, old_size = chunk->size;
  if (heap->map.file != NULL) return false; /* it could end behind the file */
  if (need.span != old_span) {
    if (heap->outside || !wsp_heap_resize_top(heap, chunk, need)) return false;
    WSP_ADD(heap->used, need.span - old_span); /* wraps when smaller, and back */
    WSP_ADD(arena->tally.used, need.span - old_span);
    size_t used = WSP_GET(arena->tally.used);
    if (used > WSP_GET(arena->tally.peak)) WSP_SET(arena->tally.peak, used);
  }
  chunk->size = size;
  arena->tally.size += size - old_size;
  if (chunk->flags & WSP_EXCUSED) arena->tally.excused_size += size - old_size;
  if (size > old_size)
    wsp_unbury_fresh((char *)ptr + old_size, size - old_size);
  else
    lay_to_rest(arena, heap, (char *)ptr + size, old_size - size, old_size - size);
  return true;
}
