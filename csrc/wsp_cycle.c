/* SPDX-License-Identifier: BSD-3-Clause
 * Begin and end of a cycle. */
#include "wsp_scratch.h"

/* Make what is free the next cycle's: all of a block, or what lies between survivors.
 * What was spilled goes back. */
void wsp_tidy(wsp_arena *arena) {
  arena->untidy = false;
  for (size_t i = 0; i < arena->heaps_room; ++i) {
    wsp_heap *heap = arena->heaps[i];
    if (heap == NULL || heap->retired || heap == arena->spare) continue;
    bool empty = WSP_GET(heap->live) == 0;
    if (!heap->outside) {
      if (empty)
        wsp_heap_clear(heap);
      else
        wsp_heap_settle(heap);
    } else if (empty) {
      wsp_place_drop(arena, heap);
    } else if (heap->touched) {
      (void)wsp_heap_purge(heap, &arena->source);
      heap->touched = false;
    }
  }
  wsp_place_tidy_retired(arena);
}

/* What a block would have had to hold: all at once, or, where it was large enough for
 * that and its free ranges were not, what was spilled on top of it. */
static size_t fit_of(const wsp_arena *arena) {
  const wsp_tally *tally = &arena->tally;
  size_t capacity = arena->heap == NULL ? 0 : arena->heap->capacity;
  size_t spilled = WSP_GET(tally->spilled_peak);
  size_t all = wsp_cycle_peak(arena) + tally->carried;
  size_t extra = arena->granule + sizeof(wsp_chunk);
  if (tally->allocations == 0) return 0;
  return capacity == 0 || all > capacity || spilled == 0 ? all + extra
                                                         : capacity + spilled + extra;
}

void wsp_end_cycle(wsp_arena *arena, wsp_cycle *out) {
  wsp_tally *tally = &arena->tally;
  (void)wsp_drain(arena);
  wsp_scratch_end(arena);
  if (arena->listed != NULL) {
    wsp_list_rewind(arena, 0);
    wsp_list_forget(arena);
  }
  size_t peak = wsp_cycle_peak(arena), since = WSP_GET(tally->peak);
  bool escapes = arena->ring == NULL; /* there it is meant to live on */
  bool unspilled = arena->heap != NULL && WSP_GET(tally->spilled_peak) == 0;
  *out = (wsp_cycle){.generation = arena->open_generation,
                     .high_water = peak,
                     .need = unspilled ? WSP_GET(arena->capacity) : fit_of(arena),
                     .fit = fit_of(arena),
                     .spilled = WSP_GET(tally->spilled_peak),
                     .carried = tally->carried,
                     .escaped = escapes ? tally->size - tally->excused_size : 0,
                     .escaped_count = escapes ? tally->live - tally->excused_live : 0,
                     .allocations = tally->allocations,
                     .outside = tally->outside};
  if (arena->ring != NULL) wsp_ring_end_cycle(arena, out);
  WSP_ADD(arena->retained, tally->size);
  WSP_ADD(arena->escaped, out->escaped);
  WSP_ADD(arena->escaped_count, out->escaped_count);
  WSP_ADD(arena->cycles, 1);
  WSP_SET(arena->last_high_water, peak);
  if (peak > WSP_GET(arena->high_water)) WSP_SET(arena->high_water, peak);
  if (since > WSP_GET(arena->peak)) WSP_SET(arena->peak, since);
  memset(tally, 0, sizeof *tally);
  arena->open_generation = 0;
  arena->in_cycle = false;
  wsp_tidy(arena);
}

static void disown(wsp_arena *arena) {
  wsp_thread *owner = WSP_GET(arena->owner);
  if (owner == NULL) return;
  atomic_store_explicit(&arena->owner, NULL, memory_order_release);
  wsp_thread_unref(owner);
}

/* Needs the lock.  WSP_OK: nobody has a cycle open any more. */
static wsp_status recover(wsp_arena *arena) {
  wsp_thread *owner = WSP_GET(arena->owner);
  if (owner != NULL && wsp_thread_is_alive(owner)) return WSP_EBUSY;
  disown(arena);
  if (arena->in_cycle) {
    wsp_cycle ignored;
    wsp_end_cycle(arena, &ignored);
  }
  return WSP_OK;
}

wsp_status wsp_arena_enter(wsp_arena *arena) {
  if (wsp_is_forked(arena)) return WSP_EFORKED;
  wsp_thread *self = wsp_thread_self();
  if (self == NULL) return WSP_ENOMEM;
  wsp_lock_take(arena->lock);
  wsp_status status = recover(arena);
  if (status == WSP_EBUSY && WSP_GET(arena->owner) != self) status = WSP_ETHREAD;
  if (status == WSP_OK && arena->closed) status = WSP_ECLOSED;
  if (status == WSP_OK) {
    if (wsp_drain(arena) || arena->untidy) wsp_tidy(arena);
    if (arena->ring != NULL) status = wsp_ring_take(arena);
  }
  if (status == WSP_OK) {
    wsp_heap *heap = arena->heap;
    if (heap != NULL) {
      arena->tally.carried = WSP_GET(heap->used);
      if (heap->given != 0) {
        heap->given = 0; /* about to be used again */
        wsp_place_publish(arena);
      }
    }
    WSP_ADD(arena->generation, 1);
    arena->open_generation = WSP_GET(arena->generation);
    arena->in_cycle = true;
    arena->refusal = (wsp_refusal){.status = WSP_OK};
    wsp_thread_ref(self);
    atomic_store_explicit(&arena->owner, self, memory_order_release);
  }
  wsp_lock_give(arena->lock);
  return status;
}

wsp_status wsp_arena_reset(wsp_arena *arena, wsp_cycle *out) {
  if (!wsp_owned_by_me(arena)) return WSP_ETHREAD;
  wsp_run_cleanups(arena); /* without the lock, while all is as it was */
  wsp_lock_take(arena->lock);
  wsp_end_cycle(arena, out);
  disown(arena);
  if (wsp_drain(arena)) arena->untidy = true; /* pushed while we were at it */
  wsp_lock_give(arena->lock);
  return WSP_OK;
}

void wsp_arena_abandon(wsp_arena *arena) {
  if (wsp_is_forked(arena)) return;
  wsp_lock_take(arena->lock);
  wsp_thread *owner = WSP_GET(arena->owner);
  if (owner != NULL && owner != wsp_self && wsp_thread_is_alive(owner))
    wsp_scratch_orphan(arena); /* that one may be writing to raw memory */
  disown(arena);
  wsp_lock_give(arena->lock);
  /* Its owner may be at work without the host's lock; it needs ours, not the host's. */
  atomic_thread_fence(memory_order_seq_cst);
  while (atomic_load(&arena->holds) != 0) wsp_os_yield();
}

/* The fences: either the one sees the other's hold, or that one sees no owner. */
void wsp_arena_hold(wsp_arena *arena) {
  atomic_fetch_add(&arena->holds, 1);
  atomic_thread_fence(memory_order_seq_cst);
}

void wsp_arena_let_go(wsp_arena *arena) { atomic_fetch_sub(&arena->holds, 1); }

wsp_status wsp_arena_recover(wsp_arena *arena) {
  if (wsp_is_forked(arena)) {
    arena->in_cycle = false;
    return WSP_EFORKED;
  }
  wsp_lock_take(arena->lock);
  wsp_status status = recover(arena);
  wsp_lock_give(arena->lock);
  return status;
}

bool wsp_arena_is_mine(const wsp_arena *arena) { return wsp_owned_by_me(arena); }

bool wsp_arena_is_open(const wsp_arena *arena) {
  wsp_thread *owner = atomic_load_explicit(&arena->owner, memory_order_acquire);
  return owner != NULL && !wsp_is_forked(arena) && wsp_thread_is_alive(owner);
}

bool wsp_arena_in_cycle(const wsp_arena *arena) { return arena->in_cycle; }

uint64_t wsp_arena_generation(const wsp_arena *arena) {
  return WSP_GET(arena->generation);
}
