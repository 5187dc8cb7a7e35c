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
                         WSP_NO_SPILL | WSP_RECORD | WSP_LEARN;
  size_t align = o->alignment, page = o->upstream.page;
  return align != 0 && align <= WSP_MAX_ALIGN && (align & (align - 1)) == 0 &&
         page >= WSP_MAX_ALIGN && (page & (page - 1)) == 0 && (o->flags & ~known) == 0;
}

wsp_status wsp_arena_new(const wsp_options *options, wsp_arena **out) {
  if (!options_are_valid(options)) return WSP_EINVAL;
  if (wsp_thread_self() == NULL)
    return WSP_ENOMEM; /* sets up the watch for forks, too */
  wsp_arena *arena = calloc(1, sizeof *arena);
  if (arena == NULL) return WSP_ENOMEM;
  arena->lock = wsp_lock_new();
  if (arena->lock == NULL) {
    free(arena);
    return WSP_ENOMEM;
  }
  atomic_init(&arena->refs, 1);
  arena->epoch = wsp_fork_epoch();
  arena->id = wsp_new_id();
  arena->granule =
      options->alignment < WSP_MIN_ALIGN ? WSP_MIN_ALIGN : options->alignment;
  arena->flags = options->flags;
  arena->learns = options->flags & WSP_LEARN;
  arena->initial = options->initial;
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
  free(arena->heaps);
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
  arena->learns = arena->flags & WSP_LEARN;
  wsp_place_drop_all(arena);
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

wsp_status wsp_arena_close(wsp_arena *arena) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  arena->closed = true;
  wsp_place_drop_all(arena);
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

wsp_status wsp_arena_resize(wsp_arena *arena, size_t capacity) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  status = arena->closed ? WSP_ECLOSED : wsp_place_block(arena, capacity);
  wsp_lock_give(arena->lock);
  return status;
}

/* Swap the spare in, or a new block of the same size. */
static wsp_status move_locked(wsp_arena *arena) {
  wsp_heap *old = arena->heap, *spare = arena->spare;
  if (old == NULL) return WSP_OK;
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

wsp_status wsp_arena_warm(wsp_arena *arena, size_t size) {
  wsp_status status = lock_idle(arena);
  if (status != WSP_OK) return status;
  if (arena->heap != NULL) wsp_heap_warm(arena->heap, &arena->source, size);
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
    if (heap == NULL || ptr < heap->block.base) continue;
    if ((size_t)(ptr - heap->block.base) >= heap->block.reserved) continue;
    wsp_chunk *chunk = wsp_heap_find(heap, ptr);
    return chunk == NULL ? NULL : wsp_data(chunk);
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

size_t wsp_size(const void *ptr) { return wsp_chunk_of(ptr)->size; }

uint32_t wsp_site(const void *ptr) { return wsp_chunk_of(ptr)->site; }

uint64_t wsp_generation(const void *ptr) { return wsp_chunk_of(ptr)->generation; }

void wsp_arena_excuse(wsp_arena *arena, void *ptr) {
  wsp_chunk *chunk = wsp_chunk_of(ptr);
  if (chunk->flags & WSP_EXCUSED) return;
  chunk->flags |= WSP_EXCUSED;
  if (chunk->generation == arena->open_generation) {
    arena->tally.excused_live += 1;
    arena->tally.excused_size += chunk->size;
  } else {
    WSP_SUB(arena->escaped, chunk->size);
  }
}

size_t wsp_arena_bytes_for(const wsp_arena *arena, size_t size) {
  wsp_need need;
  return wsp_need_of(size, arena->granule, &need) ? need.span : 0;
}

wsp_refusal wsp_arena_refusal(const wsp_arena *arena) { return arena->refusal; }

wsp_stats wsp_arena_stats(const wsp_arena *arena) {
  const wsp_tally *tally = &arena->tally;
  size_t peak = WSP_GET(tally->peak), high = WSP_GET(arena->high_water);
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

size_t wsp_arena_resident(wsp_arena *arena) {
  size_t total = 0;
  bool shared = !wsp_is_forked(arena);
  if (shared) wsp_lock_take(arena->lock);
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    const wsp_heap *heap = arena->heaps[i];
    if (heap != NULL) total += wsp_os_resident(heap->block.base, heap->block.committed);
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
  return outside == WSP_GET(arena->outside_used);
}
