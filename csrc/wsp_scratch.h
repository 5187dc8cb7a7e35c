/* SPDX-License-Identifier: BSD-3-Clause
 * Raw allocations: how those of wsp_raw.h are kept.
 *
 *   pad:   | header | H data | H data | ... cursor ...            | end
 *                     first
 *
 * A pad is a live chunk of the heap.  Raw allocations lie in it one after another, each
 * with a header of the same shape as a chunk's, of which only these fields are filled:
 * span, prev_span (of the one in front, 0 for the first), size, serial, state, flags,
 * and `next`, which names the scratch.  So taking a pad apart makes chunks of them
 * where they lie.
 *
 * What is alive is told by serials alone, never by a header that may be old:
 *   - levels[d] lies between a mark and the next; levels[0] begins with the cycle
 *   - level d holds serials in [born, serial of level d + 1)
 *   - a rewind to level d moves its `born` beyond all serials given out
 *   - those in `gone` were freed or adopted one by one, while referred to
 *
 * The fields belong to the thread that `owner` names; the slow paths hold the arena
 * (wsp_arena_hold), so that who abandons the cycle waits for them.  The fast path does
 * not: it touches only the scratch and its pads, which are set aside, as an orphan,
 * when another thread ends the cycle. */
#ifndef WSP_SCRATCH_H
#define WSP_SCRATCH_H

#include "wsp_arena.h"

typedef struct wsp_pad {
  wsp_chunk *chunk; /* NULL: taken apart, and nothing was left */
  char *first, *cursor, *end;
  wsp_chunk *last; /* header of the last allocation in it */
} wsp_pad;

typedef struct wsp_level {
  uint64_t serial; /* it begins behind this one */
  uint64_t name;   /* of its mark; 0: its scope was closed, nobody has a mark of it */
  uint64_t born;   /* the first serial that is alive in it */
  uint64_t stamp;  /* the last serial when there was nothing in it yet */
  uint64_t single; /* arena->serial of that moment */
  size_t used;     /* bytes */
  uint32_t pad;
  uint32_t outer; /* the scope around, when it is a scope: see wsp_scratch.scope */
  char *cursor;   /* NULL: the first place of the pad */
  wsp_chunk *last;
} wsp_level;

/* One holder each: the open cycle, and every pin. */
typedef struct wsp_pinned {
  _Atomic size_t holders;
  wsp_arena *arena; /* kept alive by the references that have pinned */
  void *ptr;
} wsp_pinned;

/* A raw allocation that is a chunk of its own. */
typedef struct wsp_loose {
  wsp_chunk *chunk;
  uint64_t serial;
  wsp_pinned *pinned; /* NULL: it is not */
} wsp_loose;

typedef struct wsp_scratch {
  _Atomic(wsp_thread *) owner; /* counted; itself, cast: no cycle is open */
  char *cursor, *end;          /* of the last pad */
  size_t granule;
  wsp_chunk *last;
  uint64_t serial, count;

  size_t below;      /* bytes used in the pads below the last */
  size_t limit;      /* of all pads */
  size_t high, want; /* most bytes used in this cycle; what the first pad should hold */
  wsp_pad *pads;
  wsp_level *levels;
  wsp_loose *loose;
  uint64_t *gone;
  uint32_t pad_count, pad_room, level_count, level_room, loose_room, gone_room;
  size_t loose_count, gone_count;
  uint32_t scope; /* the level of the innermost open scope; 0: none */
  bool cleaning;  /* cleanups are running */
  wsp_cleanup *cleanups;
  struct wsp_scratch *next; /* orphans */
} wsp_scratch;

/* ---- wsp_scratch.c: its life, its pads --------------------------------------- */

/* For slow paths: the scratch of the open cycle, made if need be, with the arena held;
 * another status than WSP_OK: not held. */
WSP_NODISCARD wsp_status wsp_scratch_hold(wsp_arena *arena, wsp_scratch **out);

/* A vector with room for `count` + 1 elements of `size` bytes; false: no memory. */
WSP_NODISCARD bool wsp_reserve(void **items, size_t count, uint32_t *room, size_t size);

/* Room for `size` bytes at the cursor. */
WSP_NODISCARD wsp_status wsp_pad_push(wsp_arena *arena, wsp_scratch *s, size_t size);
/* Free all pads but the first `keep`. */
void wsp_pads_drop(wsp_arena *arena, wsp_scratch *s, uint32_t keep);
/* Make the last pad, or none, the one that is bumped through. */
void wsp_pad_resume(wsp_scratch *s);
/* The same for the one that is already, whose bounds have changed. */
void wsp_pad_refresh(wsp_scratch *s);
/* Let the pad of that index stand at `cursor` again, NULL: its first place; what was
 * behind it, and in later pads, is dead. */
void wsp_pads_rewind(wsp_arena *arena, wsp_scratch *s, uint32_t pad, char *cursor,
                     wsp_chunk *last);
/* What is dead: poisoned, and cleared before where that was asked for. */
void wsp_pad_bury(const wsp_arena *arena, char *from, size_t size);
/* Bytes in use now; notes the most. */
size_t wsp_scratch_used(wsp_scratch *s);

/* With the lock: end what the cycle has; leave it to its owner, who may be at work;
 * free it for good. */
void wsp_scratch_end(wsp_arena *arena);
void wsp_scratch_orphan(wsp_arena *arena);
void wsp_scratch_free_all(wsp_arena *arena);

/* ---- wsp_mark.c -------------------------------------------------------------- */

/* Is the allocation of that serial alive, as far as rewinds tell. */
bool wsp_serial_is_live(const wsp_scratch *s, uint64_t serial);
/* After something was freed: is the last level empty again. */
void wsp_level_settle(wsp_scratch *s);
/* Run the cleanups registered after `serial`. */
void wsp_clean(wsp_scratch *s, uint64_t serial);

/* ---- wsp_loose.c: allocations of their own, references, pins ------------------- */

/* The header of a raw allocation that is alive; NULL: it is none.  `loose`: its index
 * there, SIZE_MAX: it lies in a pad, whose index is `pad`. */
typedef struct wsp_found {
  wsp_chunk *chunk;
  size_t loose;
  uint32_t pad;
} wsp_found;
wsp_found wsp_raw_find(wsp_scratch *s, void *ptr);

/* Note that a live allocation of that serial is one no more; false: no memory. */
WSP_NODISCARD bool wsp_gone_add(wsp_scratch *s, const wsp_chunk *chunk,
                                uint64_t serial);
/* Drop what is loose, or noted as gone, and has a later serial. */
void wsp_loose_rewind(wsp_arena *arena, wsp_scratch *s, uint64_t serial);

/* ---- wsp_apart.c ------------------------------------------------------------- */

/* Make loose chunks of all allocations in a pad, and a pad of what is left of it. */
WSP_NODISCARD bool wsp_pad_take_apart(wsp_arena *arena, wsp_scratch *s, uint32_t pad);

static inline bool wsp_scratch_is_mine(const wsp_scratch *s) {
  return s != NULL && WSP_GET(s->owner) == wsp_self;
}

#endif
