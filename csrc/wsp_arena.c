/* SPDX-License-Identifier: BSD-3-Clause
 * Life of an arena, its size, and what can be asked of it. */
#include <stdlib.h>

#include "wsp_scratch.h"

const char *wsp_status_name(wsp_status status) {
  static const char *const names[] = {
      "WSP_OK",      "WSP_ENOMEM", "WSP_EFULL", "WSP_EINVAL",  "WSP_EOVERFLOW",
      "WSP_ETHREAD", "WSP_ESTALE", "WSP_EBUSY", "WSP_ECLOSED", "WSP_EFORKED",
      "WSP_EFILE",   "WSP_EHELD",  "WSP_EORDER"};
  size_t i = (size_t)status;
  return i < sizeof names / sizeof *names ? names[i] : "unknown";
}

/* ---- life ------------------------------------------------------------------ */

wsp_options wsp_options_default(void) {
  return (wsp_options){.upstream = wsp_upstream_pages(),
                       .alignment = WSP_MIN_ALIGN,
                       .max_block = SIZE_MAX,
                       .limit = SIZE_MAX};
}

static bool options_are_valid(const wsp_options *o) {
  const uint32_t known = WSP_HUGE_PAGES | WSP_POPULATE | WSP_ZERO_ON_FREE |
                         WSP_NO_SPILL | WSP_RECORD | WSP_LEARN | WSP_RING_SKIP |
                         WSP_RING_REFUSE;
  size_t align = o->alignment, page = o->upstream.page;
  if (o->file != NULL && o->slots != 0) return false;
  return align != 0 && align <= WSP_MAX_ALIGN && (align & (align - 1)) == 0 &&
         o->slots <= WSP_MAX_SLOTS && page >= WSP_MAX_ALIGN &&
         (page & (page - 1)) == 0 && (o->flags & ~known) == 0;
}

wsp_status wsp_arena_new(const wsp_options *options, wsp_arena **out) {
  if (!options_are_valid(options)) return WSP_EINVAL;
  if (wsp_thread_self() == NULL)
    return WSP_ENOMEM; /* sets up the watch for forks, too */
  wsp_arena *arena = calloc(1, sizeof *arena);
  if (arena == NULL) return WSP_ENOMEM;
  arena->initial = options->initial;
  if (options->file != NULL) arena->initial = wsp_file_size(options->file);
  arena->lock = wsp_lock_new();
  bool has_ring = options->slots == 0 || wsp_ring_new(arena, options->slots);
  if (arena->lock == NULL || !has_ring) {
    if (arena->lock != NULL) wsp_lock_free(arena->lock);
    free(arena->ring);
    free(arena);
    return WSP_ENOMEM;
  }
  atomic_init(&arena->refs, 1);
  arena->epoch = wsp_fork_epoch();
  arena->id = wsp_new_id();
  if (options->file != NULL) {
    wsp_os_file_ref(options->file);
    arena->file = options->file;
  }
  arena->granule =
      options->alignment < WSP_MIN_ALIGN ? WSP_MIN_ALIGN : options->alignment;
  /* Where headers lie apart there must be room between them for a link. */
  if (options->file != NULL && arena->granule == WSP_MIN_ALIGN) arena->granule *= 2;
  arena->flags = options->flags;
  arena->learns = options->flags & WSP_LEARN;
  arena->max_block = options->max_block;
  arena->limit = options->limit;
  arena->source.up = options->upstream;
  arena->source.huge = options->flags & WSP_HUGE_PAGES;
  arena->source.populate = options->flags & WSP_POPULATE;
  *out = arena;
  return WSP_OK;
}

void wsp_arena_ref(wsp_arena *arena) {
  atomic_fetch_add_explicit(&arena->refs, 1, memory_order_relaxed);
}

void wsp_arena_unref(wsp_arena *arena) {
  if (atomic_fetch_sub_explicit(&arena->refs, 1, memory_order_acq_rel) != 1) return;
  /* Inherited by a fork: the parent's threads may hold the lock, and the pages are
   * shared with it anyway.  The child leaves all of it alone. */
  if (wsp_is_forked(arena)) return;
  wsp_thread *owner = WSP_GET(arena->owner);
  if (owner != NULL) wsp_thread_unref(owner);
  wsp_scratch_free_all(arena);
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    wsp_heap *heap = arena->heaps[i];
    if (heap == NULL) continue;
    WSP_SET(heap->live, 0); /* raw allocations and pending frees end here */
    WSP_SET(heap->used, 0);
    wsp_place_drop(arena, heap);
  }
  if (arena->file != NULL) wsp_file_unref(arena->file);
  free(arena->heaps);
  free(arena->ring);
  wsp_lock_free(arena->lock);
  free(arena);
}

/* ---- between cycles -------------------------------------------------------- */

/* Take the lock of an arena that is not in a cycle; a status other than WSP_OK: not
 * taken. */
static wsp_status lock_idle(wsp_arena *arena) {
  wsp_status status = wsp_arena_recover(arena);
  if (status != WSP_OK) return status;
  wsp_lock_take(arena->lock);
  if (WSP_GET(arena->owner) == NULL) {
    if (wsp_drain(arena) || arena->untidy) wsp_tidy(arena);
    return WSP_OK;
  }
  wsp_lock_give(arena->lock);
  return WSP_EBUSY;
}

wsp_status wsp_arena_release(wsp_arena *arena) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  wsp_place_drop_all(arena);
  if (arena->ring != NULL) wsp_ring_resize(arena, arena->initial);
  arena->learns = arena->flags & WSP_LEARN;
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

wsp_status wsp_arena_close(wsp_arena *arena) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  arena->closed = true;
  wsp_place_drop_all(arena);
  if (arena->file != NULL) wsp_file_unref(arena->file);
  arena->file = NULL;
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

static wsp_status grow_locked(wsp_arena *arena, size_t capacity) {
  if (arena->closed) return WSP_ECLOSED;
  if (arena->ring == NULL) return wsp_place_block(arena, capacity);
  if (capacity > arena->ring->size) wsp_ring_resize(arena, capacity);
  return WSP_OK;
}

wsp_status wsp_arena_resize(wsp_arena *arena, size_t capacity) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  status = grow_locked(arena, capacity);
  wsp_lock_give(arena->lock);
  return status;
}

/* The old block goes first where nothing lives in it, else it is left to that. */
static wsp_status shrink_locked(wsp_arena *arena, size_t capacity) {
  wsp_heap *old = arena->heap;
  bool lives = WSP_GET(old->live) != 0;
  if (lives && arena->limit != SIZE_MAX) return WSP_OK;
  if (arena->spare != NULL) wsp_place_drop(arena, arena->spare);
  if (!lives) {
    wsp_place_drop(arena, old);
    return wsp_place_block(arena, capacity);
  }
  arena->heap = NULL;
  wsp_status status = wsp_place_block(arena, capacity);
  if (status == WSP_OK)
    wsp_place_retire(arena, old);
  else
    arena->heap = old;
  return status;
}

wsp_status wsp_arena_fit(wsp_arena *arena, size_t capacity) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  bool shrinks = capacity < WSP_GET(arena->capacity) && !arena->closed;
  shrinks = shrinks && arena->file == NULL; /* that has the size that it has */
  if (!shrinks)
    status = grow_locked(arena, capacity);
  else if (arena->ring != NULL)
    wsp_ring_resize(arena, capacity);
  else
    status = shrink_locked(arena, capacity);
  wsp_lock_give(arena->lock);
  return status;
}

/* Swap the spare in, or a new block of the same size. */
static wsp_status move_locked(wsp_arena *arena) {
  wsp_heap *old = arena->heap, *spare = arena->spare;
  if (old == NULL || arena->ring != NULL || arena->file != NULL) return WSP_OK;
  arena->heap = NULL;
  if (spare != NULL && spare->capacity >= old->capacity) {
    arena->spare = NULL;
    arena->heap = spare;
    spare->retired = false;
  } else if (wsp_place_block(arena, old->capacity) != WSP_OK) {
    arena->heap = old;
    return WSP_ENOMEM;
  }
  wsp_place_retire(arena, old);
  return WSP_OK;
}

wsp_status wsp_arena_move(wsp_arena *arena) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  status = move_locked(arena);
  wsp_lock_give(arena->lock);
  return status;
}

wsp_status wsp_arena_poison(wsp_arena *arena, bool on) {
  if (!wsp_owned_by_me(arena)) return WSP_ETHREAD;
  arena->flags &= ~(uint32_t)WSP_POISON_ON_FREE;
  if (on) arena->flags |= WSP_POISON_ON_FREE;
  return WSP_OK;
}

wsp_status wsp_arena_warm(wsp_arena *arena, size_t size) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  if (arena->heap != NULL && arena->file == NULL)
    wsp_heap_warm(arena->heap, &arena->source, size);
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

size_t wsp_arena_trim(wsp_arena *arena) {
  size_t given = 0;
  if (lock_idle(arena) != WSP_OK) return 0;
  for (size_t i = 0; i < arena->heaps_room; ++i)
    if (arena->heaps[i] != NULL)
      given += wsp_heap_purge(arena->heaps[i], &arena->source);
  wsp_place_publish(arena);
  wsp_lock_give(arena->lock);
  return given;
}

/* ---- questions ------------------------------------------------------------- */

static WSP_NOINLINE bool owns_beside(const wsp_arena *arena, const char *ptr) {
  if (wsp_in_file(arena, ptr)) return true;
  bool found = false, shared = !wsp_is_forked(arena);
  if (shared) wsp_lock_take(arena->lock);
  for (size_t i = 0; !found && i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    found = heap != NULL && ptr >= heap->block.base &&
            (size_t)(ptr - heap->block.base) < heap->block.reserved;
  }
  if (shared) wsp_lock_give(arena->lock);
  return found;
}

bool wsp_arena_owns(const wsp_arena *arena, const void *ptr) {
  if (wsp_in_window(arena, ptr)) return true;
  return WSP_UNLIKELY(WSP_GET(arena->beside) != 0) && owns_beside(arena, ptr);
}

static const void *find(wsp_arena *arena, const char *ptr) {
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    wsp_heap *heap = arena->heaps[i];
    if (heap == NULL) continue;
    const char *base = heap->map.file ? heap->map.data : heap->block.base;
    size_t size = heap->map.file ? heap->map.data_size : heap->block.reserved;
    if (ptr < base || (size_t)(ptr - base) >= size) continue;
    wsp_chunk *chunk = wsp_heap_find(heap, ptr);
    return chunk == NULL ? NULL : wsp_heap_data(heap, chunk);
  }
  return NULL;
}

const void *wsp_arena_find(wsp_arena *arena, const void *ptr) {
  if (wsp_owned_by_me(arena) || wsp_is_forked(arena)) return find(arena, ptr);
  const void *found = NULL;
  wsp_lock_take(arena->lock);
  if (WSP_GET(arena->owner) == NULL) found = find(arena, ptr);
  wsp_lock_give(arena->lock);
  return found;
}

bool wsp_arena_is_inherited(const wsp_arena *arena) { return wsp_is_forked(arena); }

size_t wsp_size(const wsp_arena *arena, const void *ptr) {
  return wsp_chunk_of(arena, ptr)->size;
}

uint32_t wsp_site(const wsp_arena *arena, const void *ptr) {
  return wsp_chunk_of(arena, ptr)->site;
}

uint64_t wsp_generation(const wsp_arena *arena, const void *ptr) {
  return wsp_chunk_of(arena, ptr)->generation;
}

void wsp_arena_excuse(wsp_arena *arena, void *ptr) {
  wsp_chunk *chunk = wsp_chunk_of(arena, ptr);
  if (chunk->flags & WSP_EXCUSED) return;
  chunk->flags |= WSP_EXCUSED;
  if (chunk->generation == arena->open_generation) {
    arena->tally.excused_live += 1;
    arena->tally.excused_size += chunk->size;
  } else if (arena->ring == NULL) {
    WSP_SUB(arena->escaped, chunk->size);
  }
}

size_t wsp_bytes_for(size_t size, size_t alignment) {
  wsp_need need;
  size_t granule = alignment < WSP_MIN_ALIGN ? WSP_MIN_ALIGN : alignment;
  return wsp_need_of(size, granule, &need) ? need.span : 0;
}

size_t wsp_arena_bytes_for(const wsp_arena *arena, size_t size) {
  return wsp_bytes_for(size, arena->granule);
}

wsp_refusal wsp_arena_refusal(const wsp_arena *arena) { return arena->refusal; }

wsp_stats wsp_arena_stats(const wsp_arena *arena) {
  const wsp_tally *tally = &arena->tally;
  size_t peak = wsp_cycle_peak(arena), high = WSP_GET(arena->high_water);
  return (wsp_stats){.generation = WSP_GET(arena->generation),
                     .cycles = WSP_GET(arena->cycles),
                     .capacity = WSP_GET(arena->capacity),
                     .used = WSP_GET(tally->used),
                     .high_water = peak > high ? peak : high,
                     .last_high_water = WSP_GET(arena->last_high_water),
                     .cycle_high_water = peak,
                     .spilled = WSP_GET(arena->spilled),
                     .retained = WSP_GET(arena->retained),
                     .escaped = WSP_GET(arena->escaped),
                     .reserved = WSP_GET(arena->reserved),
                     .blocks = WSP_GET(arena->blocks),
                     .allocations = WSP_GET(arena->allocations),
                     .spills = WSP_GET(arena->spills),
                     .escaped_count = WSP_GET(arena->escaped_count),
                     .upstream_calls = WSP_GET(arena->source.calls)};
}

size_t wsp_arena_peak(const wsp_arena *arena) {
  size_t ended = WSP_GET(arena->peak), now = WSP_GET(arena->tally.peak);
  return ended > now ? ended : now;
}

wsp_status wsp_arena_take_peak(wsp_arena *arena, size_t *out) {
  if (wsp_is_forked(arena)) return WSP_EFORKED;
  bool mine = wsp_owned_by_me(arena);
  if (!mine) wsp_lock_take(arena->lock);
  bool allowed = mine || WSP_GET(arena->owner) == NULL;
  if (allowed) {
    *out = wsp_arena_peak(arena);
    WSP_SET(arena->peak, 0);
    WSP_SET(arena->tally.earlier, wsp_cycle_peak(arena));
    WSP_SET(arena->tally.peak, WSP_GET(arena->tally.used));
  }
  if (!mine) wsp_lock_give(arena->lock);
  return allowed ? WSP_OK : WSP_ETHREAD;
}

size_t wsp_arena_resident(wsp_arena *arena) {
  size_t total = 0;
  bool shared = !wsp_is_forked(arena);
  if (shared) wsp_lock_take(arena->lock);
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap == NULL) continue;
    total += wsp_os_resident(heap->block.base, heap->block.committed);
    if (heap->map.file != NULL)
      total += wsp_os_resident(heap->map.data, heap->map.data_size);
  }
  if (shared) wsp_lock_give(arena->lock);
  return total;
}

bool wsp_arena_check(wsp_arena *arena) {
  size_t outside = 0;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap == NULL) continue;
    if (heap->index != i || !wsp_heap_check(heap)) return false;
    if (heap->outside) outside += WSP_GET(heap->used);
  }
  if (arena->ring != NULL && !wsp_ring_check(arena)) return false;
  return outside == WSP_GET(arena->outside_used);
}
