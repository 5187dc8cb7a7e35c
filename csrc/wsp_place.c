/* SPDX-License-Identifier: BSD-3-Clause
 * Where an arena's heaps lie: in its window of addresses, so that two comparisons tell
 * its pointers from others, or beside it where the window is refused or full. */
#include <stdlib.h>

#include "wsp_arena.h"

static void window_open(wsp_arena *arena) {
  if (!arena->source.up.sparse || WSP_GET(arena->window_size) != 0) return;
  size_t size = wsp_os_window(), least = (size_t)1 << 26;
  while (arena->max_block != SIZE_MAX && size / 4 < arena->max_block &&
         size <= SIZE_MAX / 4)
    size *= 2;
  for (; size >= least; size /= 2) {
    char *base = wsp_source_reserve(&arena->source, size);
    if (base == NULL) continue;
    WSP_SET(arena->window, (uintptr_t)base);
    WSP_SET(arena->window_size, size);
    return;
  }
}

static void window_close(wsp_arena *arena) {
  size_t size = WSP_GET(arena->window_size);
  if (size == 0 || WSP_GET(arena->blocks) != 0) return;
  char *base = (char *)WSP_GET(arena->window);
  WSP_SET(arena->window_size, 0);
  WSP_SET(arena->window, 0);
  wsp_source_release(&arena->source, base, size);
}

static bool overlaps(const wsp_heap *heap, const char *from, size_t size) {
  const wsp_block *block = &heap->block;
  return block->in_window && block->base < from + size &&
         from < block->base + block->reserved;
}

/* The lowest free addresses of the window: at least `least` bytes, at most `most`. */
static wsp_block window_take(wsp_arena *arena, size_t least, size_t most) {
  wsp_block none = {.base = NULL};
  size_t size = WSP_GET(arena->window_size);
  char *base = (char *)WSP_GET(arena->window), *at = base;
  if (least > size) return none;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap == NULL || !overlaps(heap, at, least)) continue;
    at = heap->block.base + heap->block.reserved;
    if (least > size - (size_t)(at - base)) return none;
    i = SIZE_MAX; /* look at all of them again from the new place */
  }
  size_t room = size - (size_t)(at - base);
  if (room > most) room = most;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap != NULL && overlaps(heap, at, room))
      room = (size_t)(heap->block.base - at);
  }
  return (wsp_block){.base = at, .reserved = room, .in_window = true};
}

/* A free index of the table, growing it; UINT16_MAX: no memory, or too many. */
static uint16_t table_slot(wsp_arena *arena) {
  for (uint16_t i = 0; i < arena->heaps_room; ++i)
    if (arena->heaps[i] == NULL) return i;
  size_t room = arena->heaps_room == 0 ? 8 : (size_t)arena->heaps_room * 2;
  if (room > UINT16_MAX / 2) return UINT16_MAX;
  wsp_heap **heaps = realloc(arena->heaps, room * sizeof *heaps);
  if (heaps == NULL) return UINT16_MAX;
  uint16_t slot = arena->heaps_room;
  for (size_t i = slot; i < room; ++i) heaps[i] = NULL;
  arena->heaps = heaps;
  arena->heaps_room = (uint16_t)room;
  return slot;
}

void wsp_place_publish(wsp_arena *arena) {
  size_t reserved = 0, blocks = 0, beside = 0;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap == NULL) continue;
    reserved += heap->block.committed - heap->given;
    blocks += 1;
    beside += !heap->block.in_window;
  }
  WSP_SET(arena->reserved, reserved);
  WSP_SET(arena->blocks, blocks);
  WSP_SET(arena->beside, beside);
  size_t capacity = arena->heap == NULL ? 0 : arena->heap->capacity;
  WSP_SET(arena->capacity, arena->ring == NULL ? capacity : arena->ring->size);
}

/* Commit more of a heap's block, and count it. */
static bool heap_grow(wsp_arena *arena, wsp_heap *heap, size_t capacity) {
  if (capacity > heap->block.reserved) return false;
  if (!wsp_block_commit(&heap->block, &arena->source, capacity)) return false;
  wsp_heap_extend(heap, heap->outside ? heap->block.committed : capacity);
  wsp_place_publish(arena);
  return true;
}

/* A heap of `capacity` bytes that can grow to `most` where addresses are to be had. */
static wsp_heap *heap_new(wsp_arena *arena, size_t capacity, size_t most,
                          bool outside) {
  size_t least;
  if (!wsp_align_up(capacity, wsp_source_grain(&arena->source), &least)) return NULL;
  if (!wsp_align_up(most, wsp_source_grain(&arena->source), &most) || most < least)
    most = least;
  uint16_t slot = table_slot(arena);
  wsp_heap *heap = slot == UINT16_MAX ? NULL : malloc(sizeof *heap);
  if (heap == NULL) return NULL;
  window_open(arena);
  wsp_block block = window_take(arena, least, most);
  if (block.base == NULL) {
    block.base = wsp_source_reserve(&arena->source, least);
    block.reserved = least;
  }
  if (block.base == NULL || !wsp_block_commit(&block, &arena->source, capacity)) {
    if (block.base != NULL && !block.in_window)
      wsp_source_release(&arena->source, block.base, block.reserved);
    free(heap);
    window_close(arena);
    return NULL;
  }
  wsp_heap_init(heap, block, outside ? block.committed : capacity, arena->granule,
                arena->source.up.zeroed);
  heap->index = slot;
  heap->outside = outside;
  arena->heaps[slot] = heap;
  wsp_place_publish(arena);
  return heap;
}

/* The file is one block, and there is never a second over it: what survived in the
 * first would be in both. */
static wsp_status place_file(wsp_arena *arena) {
  if (arena->heap != NULL) return WSP_OK;
  if (WSP_GET(arena->mapped_size) != 0) return WSP_ENOMEM;
  uint16_t slot = table_slot(arena);
  wsp_heap *heap = slot == UINT16_MAX ? NULL : malloc(sizeof *heap);
  wsp_mapping map;
  if (heap == NULL || !wsp_os_map(arena->file, 3 * arena->granule, &map)) {
    free(heap);
    return WSP_ENOMEM;
  }
  wsp_heap_init_file(heap, map, arena->granule);
  heap->index = slot;
  arena->heaps[slot] = arena->heap = heap;
  arena->mapped_shift = heap->shift;
  WSP_SET(arena->mapped, (uintptr_t)map.data);
  atomic_store_explicit(&arena->mapped_size, map.data_size, memory_order_release);
  wsp_place_publish(arena);
  return WSP_OK;
}

static void drop_file(wsp_arena *arena, const wsp_heap *heap) {
  wsp_unbury(heap->map.data, heap->map.data_size);
  WSP_SET(arena->mapped_size, 0);
  WSP_SET(arena->mapped, 0);
  wsp_os_unmap(&heap->map);
}

void wsp_place_drop(wsp_arena *arena, wsp_heap *heap) {
  assert(WSP_GET(heap->live) == 0);
  arena->heaps[heap->index] = NULL;
  if (arena->outside == heap) arena->outside = NULL;
  if (arena->spare == heap) arena->spare = NULL;
  wsp_ring_forget(arena, heap);
  if (arena->heap == heap) arena->heap = NULL;
  if (heap->block.in_window) {
    (void)wsp_heap_purge(heap, &arena->source);
    /* A heap that comes to lie over it takes what it never used for zero. */
    wsp_unbury(heap->first, sizeof(wsp_chunk));
    memset(heap->first, 0, sizeof(wsp_chunk));
  }
  wsp_unbury(heap->block.base, heap->block.committed); /* somebody else's next */
  if (heap->map.file != NULL)
    drop_file(arena, heap);
  else if (!heap->block.in_window)
    wsp_source_release(&arena->source, heap->block.base, heap->block.reserved);
  free(heap);
  wsp_place_publish(arena);
  window_close(arena);
}

void wsp_place_retire(wsp_arena *arena, wsp_heap *heap) {
  wsp_ring_forget(arena, heap);
  if (arena->heap == heap) arena->heap = NULL;
  if (arena->outside == heap) arena->outside = NULL;
  if (WSP_GET(heap->live) == 0) {
    wsp_place_drop(arena, heap);
    return;
  }
  if (!heap->retired) {
    wsp_heap_retire(heap);
    (void)wsp_heap_purge(heap, &arena->source);
  }
  wsp_place_publish(arena);
}

void wsp_place_tidy_retired(wsp_arena *arena) {
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    wsp_heap *heap = arena->heaps[i];
    if (heap == NULL || !heap->retired || WSP_GET(heap->live) != 0) continue;
    bool too_small = arena->heap == NULL || heap->capacity < arena->heap->capacity;
    if (heap->outside || heap->map.file || arena->ring || arena->spare != NULL ||
        too_small) {
      wsp_place_drop(arena, heap);
    } else {
      (void)wsp_heap_purge(heap, &arena->source);
      arena->spare = heap;
      wsp_place_publish(arena);
    }
  }
}

void wsp_place_drop_all(wsp_arena *arena) {
  for (size_t i = 0; i < arena->heaps_room; ++i)
    if (arena->heaps[i] != NULL) wsp_place_retire(arena, arena->heaps[i]);
  if (arena->spare != NULL) wsp_place_drop(arena, arena->spare);
  window_close(arena);
}

static size_t held_outside(const wsp_arena *arena) {
  size_t held = 0;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap == NULL || heap == arena->heap) continue;
    /* The limit of a ring is that of its slots together, whose pages may be more. */
    held += heap->slot != 0 ? heap->capacity : heap->block.committed - heap->given;
  }
  return held;
}

/* What max_block and the limit leave of a wanted capacity. */
static size_t allowed(const wsp_arena *arena, size_t capacity) {
  size_t outside = held_outside(arena);
  size_t bound = arena->limit - (outside < arena->limit ? outside : arena->limit);
  /* Both ranges are whole pages in the end. */
  if (outside != 0 && bound > arena->source.up.page && arena->ring == NULL)
    bound -= bound % arena->source.up.page;
  if (bound > arena->max_block) bound = arena->max_block;
  return capacity < bound ? capacity : bound;
}

wsp_status wsp_place_block(wsp_arena *arena, size_t capacity) {
  if (arena->file != NULL) return place_file(arena);
  capacity = allowed(arena, capacity);
  wsp_heap *old = arena->heap;
  if (old != NULL && capacity <= old->capacity) return WSP_OK;
  if (old != NULL && heap_grow(arena, old, capacity)) return WSP_OK;
  if (capacity < arena->granule + sizeof(wsp_chunk)) return WSP_ENOMEM;
  size_t most = arena->max_block;
  if (most == SIZE_MAX) most = WSP_GET(arena->window_size) / 2;
  if (most == 0) most = wsp_os_window() / 2; /* the window opens with the first heap */
  if (arena->ring != NULL) most /= arena->ring->count;
  wsp_heap *heap = heap_new(arena, capacity, most, false);
  if (heap == NULL) return WSP_ENOMEM;
  if (old != NULL) wsp_place_retire(arena, old);
  arena->heap = heap;
  arena->learns = false;
  wsp_place_publish(arena);
  return WSP_OK;
}

/* The first heap for spills lies in the window and grows there in steps, each as large
 * as all before; where that is not to be had, or near the limit, there are more heaps,
 * or smaller steps. */
wsp_heap *wsp_place_outside(wsp_arena *arena, wsp_need need) {
  if (need.span > PTRDIFF_MAX / 2) return NULL;
  size_t least = need.span + arena->granule + sizeof(wsp_chunk);
  wsp_heap *heap = arena->outside;
  if (heap != NULL) {
    size_t held = heap->capacity, more = least > held ? least : held;
    if (held + more <= arena->limit && heap_grow(arena, heap, held + more)) return heap;
    if (heap_grow(arena, heap, held + least)) return heap;
  }
  size_t capacity = (size_t)1 << 20;
  if (capacity < least || capacity > arena->limit) capacity = least;
  size_t most = arena->source.up.sparse ? wsp_os_window() / 4 : capacity;
  heap = heap_new(arena, capacity, heap == NULL ? most : capacity, true);
  if (heap != NULL && arena->outside == NULL) arena->outside = heap;
  return heap;
}
