/* SPDX-License-Identifier: BSD-3-Clause
 * A ring of blocks.  Each cycle takes the next one, and only one in which nothing lives
 * any more: so what a cycle made keeps its memory for as long as anybody refers to it,
 * and by then other cycles have other blocks. */
#include <stdlib.h>

#include "wsp_arena.h"

bool wsp_ring_new(wsp_arena *arena, size_t count) {
  wsp_ring *ring = calloc(1, sizeof *ring + count * sizeof *ring->slots);
  if (ring == NULL) return false;
  ring->count = count;
  ring->at = count - 1; /* the first cycle takes slot 0 */
  ring->size = arena->initial;
  arena->ring = ring;
  return true;
}

static bool is_held(const wsp_ring *ring, size_t slot) {
  const wsp_heap *heap = ring->slots[slot].heap;
  return heap != NULL && WSP_GET(heap->live) != 0;
}

static size_t after(const wsp_ring *ring, size_t slot) {
  return slot + 1 < ring->count ? slot + 1 : 0;
}

void wsp_ring_adopt(wsp_arena *arena) {
  wsp_ring *ring = arena->ring;
  ring->slots[ring->at].heap = arena->heap;
  if (arena->heap != NULL) arena->heap->slot = (uint16_t)(ring->at + 1);
}

void wsp_ring_forget(wsp_arena *arena, wsp_heap *heap) {
  if (heap->slot == 0) return;
  arena->ring->slots[heap->slot - 1].heap = NULL;
  heap->slot = 0;
}

size_t wsp_ring_wants(const wsp_arena *arena) {
  return arena->ring->outside ? 0 : arena->ring->size;
}

/* Blocks get the size that all should have when their turn comes. */
static void fit_slot(wsp_arena *arena) {
  wsp_ring *ring = arena->ring;
  wsp_heap *heap = ring->slots[ring->at].heap;
  arena->heap = heap;
  if (heap == NULL) return;
  if (heap->capacity > ring->size)
    wsp_place_drop(arena, heap); /* the first allocation makes another */
  else if (wsp_place_block(arena, ring->size) != WSP_OK)
    arena->heap = heap; /* refused: it stays as it is */
  wsp_ring_adopt(arena);
}

wsp_status wsp_ring_take(wsp_arena *arena) {
  wsp_ring *ring = arena->ring;
  size_t next = after(ring, ring->at), slot = next;
  bool skips = arena->flags & WSP_RING_SKIP;
  if (is_held(ring, next)) {
    uint64_t turn = WSP_GET(arena->generation) + 1;
    if (ring->held_turn != turn) ring->slots[next].held += 1; /* not once a try */
    ring->held_turn = turn;
    do slot = after(ring, slot);
    while (skips && slot != next && is_held(ring, slot));
    if (!skips || slot == next) {
      if (arena->flags & WSP_RING_REFUSE) return WSP_EHELD;
      ring->at = next;
      ring->outside = true;
      arena->heap = NULL;
      wsp_place_publish(arena);
      return WSP_OK;
    }
  }
  ring->at = slot;
  ring->outside = false;
  fit_slot(arena);
  wsp_place_publish(arena);
  return WSP_OK;
}

void wsp_ring_end_cycle(wsp_arena *arena, const wsp_cycle *cycle) {
  wsp_ring *ring = arena->ring;
  if (ring->outside) return;
  wsp_slot_state *slot = &ring->slots[ring->at];
  slot->generation = cycle->generation;
  slot->cycles += 1;
  if (cycle->high_water > slot->high_water) slot->high_water = cycle->high_water;
}

void wsp_ring_resize(wsp_arena *arena, size_t size) {
  arena->ring->size = size < arena->max_block ? size : arena->max_block;
  arena->learns = false;
  for (size_t i = 0; i < arena->ring->count; ++i) { /* too large: given back at once */
    wsp_heap *heap = arena->ring->slots[i].heap;
    if (heap != NULL && heap->capacity > size && WSP_GET(heap->live) == 0)
      wsp_place_drop(arena, heap);
  }
  wsp_place_publish(arena);
}

bool wsp_ring_check(const wsp_arena *arena) {
  const wsp_ring *ring = arena->ring;
  for (size_t i = 0; i < ring->count; ++i) {
    const wsp_heap *heap = ring->slots[i].heap;
    if (heap == NULL) continue;
    if (heap->slot != i + 1 || heap->retired || heap->outside) return false;
    if (arena->heaps[heap->index] != heap) return false;
  }
  return arena->heap == NULL || arena->heap == ring->slots[ring->at].heap;
}

/* ---- questions ------------------------------------------------------------- */

size_t wsp_arena_slots(const wsp_arena *arena) {
  return arena->ring == NULL ? 0 : arena->ring->count;
}

wsp_slot wsp_arena_slot(wsp_arena *arena, size_t index) {
  bool shared = !wsp_is_forked(arena);
  if (shared) wsp_lock_take(arena->lock);
  const wsp_ring *ring = arena->ring;
  const wsp_slot_state *slot = &ring->slots[index];
  const wsp_heap *heap = slot->heap;
  wsp_slot answer = {.generation = slot->generation,
                     .cycles = slot->cycles,
                     .held = slot->held,
                     .high_water = slot->high_water,
                     .is_next = after(ring, ring->at) == index};
  if (heap != NULL) {
    answer.capacity = heap->capacity;
    answer.used = WSP_GET(heap->used);
    answer.live = WSP_GET(heap->live);
  }
  if (shared) wsp_lock_give(arena->lock);
  return answer;
}
