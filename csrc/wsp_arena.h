/* SPDX-License-Identifier: BSD-3-Clause
 * The arena's fields, for the files that implement wsp.h. */
#ifndef WSP_ARENA_H
#define WSP_ARENA_H

#include "wsp_heap.h"

enum { WSP_POISON_ON_FREE = 1u << 16 }; /* a flag besides those of wsp.h */

/* Figures of the open cycle.  "size" sums bytes as asked, "used" spans. */
typedef struct wsp_tally {
  _Atomic size_t used, spilled_peak;
  _Atomic size_t peak;    /* since the cycle began, or the peak was taken */
  _Atomic size_t earlier; /* what it was before that */
  size_t live, size;
  size_t excused_live, excused_size;
  size_t carried; /* by survivors in the block when the cycle began */
  uint64_t allocations;
  bool outside; /* something was served while there was no block */
} wsp_tally;

typedef struct wsp_slot_state {
  wsp_heap *heap; /* NULL: none yet */
  uint64_t generation, cycles, held;
  size_t high_water;
} wsp_slot_state;

/* invariant: the heap of the arena is NULL or that of the slot `at` */
typedef struct wsp_ring {
  size_t count, at; /* at: the slot whose turn was last */
  size_t size;      /* that blocks should have; 0: not known yet */
  uint64_t held_turn;
  bool outside; /* the last cycle has no slot: something lived in it */
  wsp_slot_state slots[];
} wsp_ring;

struct wsp_arena {
  /* hot: read by every allocation */
  _Atomic(wsp_thread *)
      owner; /* who works without the lock; NULL: everybody takes it */
  _Atomic(struct wsp_scratch *) scratch; /* of raw allocations; NULL: none yet */
  wsp_heap *heap;                        /* of the block; NULL: none yet */
  size_t granule;
  uint64_t serial; /* of the last allocation, goes up for ever */
  _Atomic uint64_t generation;
  uint64_t open_generation; /* == generation while a cycle is open, else 0 */
  wsp_tally tally;
  uint32_t flags;
  bool learns; /* no block yet, and none is wanted before the first resize */
  _Atomic uint64_t allocations;

  /* the range of a file that is mapped, and from data there to its header, wrapping */
  _Atomic uintptr_t mapped;
  _Atomic size_t mapped_size;
  uintptr_t mapped_shift;
  wsp_file *file; /* owned reference until the arena is closed; NULL: none */

  /* who owns an address: the window, or with `beside` blocks outside it, the table */
  _Atomic uintptr_t window;
  _Atomic size_t window_size, beside;
  _Atomic(wsp_chunk *) remote; /* freed by other threads, linked through their data */

  wsp_chunk *listed; /* raw, and with WSP_RECORD all of the cycle; newest first */
  wsp_heap **heaps;  /* index -> heap, with holes */
  wsp_heap *outside; /* the heap that spills go to first; NULL: none yet */
  wsp_heap *spare;   /* an emptied block, for the next move */
  wsp_ring *ring;    /* owned; NULL: none */
  uint16_t heaps_room;
  bool in_cycle, closed;
  bool untidy;    /* something died that a cycle's end or begin can make use of */
  uint32_t epoch; /* the process it was made in */
  atomic_uint refs, holds;
  struct wsp_scratch *orphans; /* of cycles that others ended; until the arena dies */
  uint64_t id;
  wsp_lock *lock;
  size_t initial, max_block, limit;
  wsp_source source;

  _Atomic uint64_t cycles, spills, escaped_count;
  _Atomic size_t high_water, last_high_water;
  _Atomic size_t peak; /* of the cycles that ended since the peak was taken */
  _Atomic size_t capacity, spilled, retained, escaped, outside_used, reserved, blocks;
  wsp_refusal refusal;
};
_Static_assert(sizeof(struct wsp_arena) <= 1024, "captured arrays may pin it for ever");

static inline bool wsp_owned_by_me(const wsp_arena *arena) {
  wsp_thread *owner = WSP_GET(arena->owner);
  return owner != NULL && owner == wsp_self;
}

static inline bool wsp_in_file(const wsp_arena *arena, const void *ptr) {
  /* Whoever sees the size sees where, and how far the headers are. */
  size_t size = atomic_load_explicit(&arena->mapped_size, memory_order_acquire);
  return (uintptr_t)ptr - WSP_GET(arena->mapped) < size;
}

/* The header of an allocation. */
static inline wsp_chunk *wsp_chunk_of(const wsp_arena *arena, const void *data) {
  uintptr_t at = (uintptr_t)data - sizeof(wsp_chunk);
  if (WSP_UNLIKELY(wsp_in_file(arena, data))) at -= arena->mapped_shift;
  return (wsp_chunk *)at;
}

static inline bool wsp_in_window(const wsp_arena *arena, const void *ptr) {
  size_t size = WSP_GET(arena->window_size);
  return (uintptr_t)ptr - WSP_GET(arena->window) < size;
}

/* Most bytes in use at once by the open cycle. */
static inline size_t wsp_cycle_peak(const wsp_arena *arena) {
  size_t peak = WSP_GET(arena->tally.peak), earlier = WSP_GET(arena->tally.earlier);
  return peak > earlier ? peak : earlier;
}

/* As wsp_arena_owns, inline for those who ask about every small array that dies. */
static inline bool wsp_owns(const wsp_arena *arena, const void *ptr) {
  if (wsp_in_window(arena, ptr)) return true;
  return WSP_UNLIKELY(WSP_GET(arena->beside) != 0) && wsp_arena_owns(arena, ptr);
}

static inline bool wsp_is_forked(const wsp_arena *arena) {
  return arena->epoch != wsp_fork_epoch();
}

/* ---- wsp_place.c: blocks of an arena --------------------------------------- */

/* All need the lock, or the owner. */
WSP_NODISCARD wsp_status wsp_place_block(wsp_arena *arena, size_t capacity);
wsp_heap *wsp_place_outside(wsp_arena *arena, wsp_need need); /* room, or NULL */
void wsp_place_retire(wsp_arena *arena, wsp_heap *heap);
void wsp_place_drop(wsp_arena *arena, wsp_heap *heap); /* give it back; nothing lives */
void wsp_place_drop_all(wsp_arena *arena);             /* retire or drop every heap */
void wsp_place_tidy_retired(wsp_arena *arena); /* drop those without survivors */
/* Bring what the statistics say of the blocks up to date. */
void wsp_place_publish(wsp_arena *arena);

/* ---- wsp_ring.c ------------------------------------------------------------ */

bool wsp_ring_new(wsp_arena *arena, size_t count); /* false: no memory */
/* The rest needs the lock.  Take a slot for the cycle that begins: WSP_OK, WSP_EHELD.
 */
WSP_NODISCARD wsp_status wsp_ring_take(wsp_arena *arena);
void wsp_ring_end_cycle(wsp_arena *arena, const wsp_cycle *cycle);
/* Size of the block that the open cycle should have; 0: none. */
size_t wsp_ring_wants(const wsp_arena *arena);
void wsp_ring_adopt(wsp_arena *arena); /* the arena's heap is the present slot's */
void wsp_ring_forget(wsp_arena *arena, wsp_heap *heap);
void wsp_ring_resize(wsp_arena *arena, size_t size);
bool wsp_ring_check(const wsp_arena *arena);

/* ---- wsp_alloc.c ----------------------------------------------------------- */

/* A chunk for raw allocations, whose headers lie in it, too: never in a block that
 * holds data only.  Excused, and not counted as an allocation. */
WSP_NODISCARD wsp_status wsp_chunk_take(wsp_arena *arena, size_t size, wsp_chunk **out);
/* Give a live chunk back; needs the lock, or the owner. */
void wsp_chunk_free(wsp_arena *arena, wsp_chunk *chunk);
/* Free what other threads have pushed; false: nothing. */
bool wsp_drain(wsp_arena *arena);

/* ---- wsp_cycle.c ----------------------------------------------------------- */

/* Both need the lock. */
void wsp_end_cycle(wsp_arena *arena, wsp_cycle *out);
void wsp_tidy(wsp_arena *arena);

/* ---- wsp_mark.c: the list of raw and recorded allocations ------------------ */

void wsp_list_add(wsp_arena *arena, wsp_chunk *chunk);
void wsp_list_remove(wsp_arena *arena, wsp_chunk *chunk);
/* Free the raw allocations with a serial above `serial`. */
void wsp_list_rewind(wsp_arena *arena, uint64_t serial);
void wsp_list_forget(wsp_arena *arena);

#endif
