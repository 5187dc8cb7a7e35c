// clang-format off
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wsp_raw.h - raw allocations: scratch memory of the open cycle, a few nanoseconds each.
 * Part of wsp.h, whose words and rules hold here.
 *
 *   pad          an ordinary allocation, 64 KiB or more, through which raw ones are bumped
 *   level        what lies between a mark and the next one
 *
 * A raw allocation ends with its cycle, or with a rewind to a mark made before it.  It may
 * be pinned, which keeps it until it is unpinned, or adopted, which makes an ordinary
 * allocation of it.  Both take its whole pad apart, once, into single allocations.
 *
 * Every function but those of references is OWNER: on another thread, or while the arena
 * is not open, WSP_ETHREAD (in the child of a fork WSP_EFORKED) and nothing is done.
 * Arguments that must not be NULL are WSP_EINVAL when they are.  A pointer must be one
 * that was given for this arena; one of something else is WSP_EINVAL, one that was
 * rewound past or freed is WSP_EINVAL or WSP_ESTALE.
 *
 * If another thread ends the cycle while its owner is at work (wsp_arena_abandon, and
 * an enter), its raw memory is set aside until the arena is freed: what the owner still
 * writes to is nobody else's. */
// clang-format on
#ifndef WSP_RAW_H
#define WSP_RAW_H

#include "wsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef WSP_SHARED
#pragma GCC visibility push(default)
#endif

/* Take `size` bytes, aligned as the arena says, 64 at least.  Size 0 gives a unique
 * pointer.  Errors: WSP_EFULL, WSP_ENOMEM, WSP_EOVERFLOW, WSP_EBUSY (in a cleanup). */
WSP_NODISCARD wsp_status wsp_raw_alloc(wsp_arena *arena, size_t size, void **out);

/* The same, and the bytes read as zero. */
WSP_NODISCARD wsp_status wsp_raw_zeroed(wsp_arena *arena, size_t size, void **out);

/* Room for `count` things of `size` bytes; WSP_EOVERFLOW when the product wraps. */
WSP_NODISCARD wsp_status wsp_raw_array(wsp_arena *arena, size_t count, size_t size,
                                       void **out);

/* NULL instead of a status, for callers that have no use for one. */
void *wsp_raw_take(wsp_arena *arena, size_t size);

/* Change the size, in place for the last allocation, else by a copy; then the old one
 * stays until it is rewound past.  ptr NULL: as wsp_raw_alloc.  Errors: as there, and
 * WSP_EINVAL; WSP_EBUSY for a pinned one that would move. */
WSP_NODISCARD wsp_status wsp_raw_realloc(wsp_arena *arena, void *ptr, size_t size,
                                         void **out);

/* Change the size in place.  Errors: WSP_EORDER (not the last allocation, or a mark was
 * made since), WSP_EFULL (no room behind it), WSP_EINVAL, WSP_EOVERFLOW. */
WSP_NODISCARD wsp_status wsp_raw_extend(wsp_arena *arena, void *ptr, size_t size);

/* Free the last allocation.  Errors: WSP_EORDER (not the last, or a mark was made
 * since), WSP_EINVAL, WSP_ENOMEM (to note that a reference to it has died). */
WSP_NODISCARD wsp_status wsp_raw_free_last(wsp_arena *arena, void *ptr);

/* Bound the bytes of raw allocations, with header and rounding, of the open cycle; it
 * may be below what is in use.  SIZE_MAX: none.  Ends with the cycle. */
WSP_NODISCARD wsp_status wsp_raw_limit(wsp_arena *arena, size_t bytes);

/* What raw allocations of the open cycle use and may use; zeros on other threads. */
typedef struct wsp_raw_figures {
  size_t used, high_water, limit;
  uint64_t allocations; /* of this cycle */
  uint32_t pads, depth; /* counts */
} wsp_raw_figures;
wsp_raw_figures wsp_raw_stats(wsp_arena *arena);

/* ---- marks ----------------------------------------------------------------- */

/* Remember this moment.  With nothing allocated since the last mark, that one again. */
WSP_NODISCARD wsp_status wsp_checkpoint(wsp_arena *arena, wsp_mark *out);

/* Run the cleanups registered and end the raw allocations made since the mark; ordinary
 * allocations stay.  The mark may be rewound to again, marks made after it are stale.
 * Errors: WSP_ESTALE (of another arena or cycle, or rewound past), WSP_EORDER (an inner
 * scope is open), WSP_EBUSY (in a cleanup). */
WSP_NODISCARD wsp_status wsp_rewind(wsp_arena *arena, const wsp_mark *mark);

/* A mark that is closed again: wsp_scope_pop rewinds to it and forgets it.  Scopes
 * close inside out: else WSP_EORDER, and nothing is done. */
WSP_NODISCARD wsp_status wsp_scope_push(wsp_arena *arena, wsp_mark *out);
WSP_NODISCARD wsp_status wsp_scope_pop(wsp_arena *arena, const wsp_mark *mark);

/* ---- references and pins --------------------------------------------------- */

/* A reference to a raw allocation.  Errors: WSP_EINVAL (none of this arena). */
WSP_NODISCARD wsp_status wsp_ref_make(wsp_arena *arena, void *ptr, wsp_ref *out);

/* WSP_OK: what it refers to is there.  WSP_ESTALE: it is not, or the reference was
 * dropped.  WSP_ETHREAD: the cycle is another thread's, and only that one can tell;
 * with a pin any thread can. */
WSP_NODISCARD wsp_status wsp_ref_alive(const wsp_ref *ref);

/* Unpin what it has pinned and clear it; a second time nothing.  Any thread. */
void wsp_ref_drop(wsp_ref *ref);

/* Keep the allocation where it is until as many unpins, whatever is rewound or ends.
 * Errors: WSP_ESTALE, WSP_ENOMEM, WSP_EOVERFLOW (of the count), WSP_ETHREAD. */
WSP_NODISCARD wsp_status wsp_pin(wsp_ref *ref);

/* Any thread.  Errors: WSP_EINVAL (not pinned by this reference). */
WSP_NODISCARD wsp_status wsp_unpin(wsp_ref *ref);

/* Make an ordinary allocation of a raw one: it lives until wsp_arena_free.  References
 * to it are stale.  Errors: WSP_EINVAL, WSP_EBUSY (pinned), WSP_ENOMEM. */
WSP_NODISCARD wsp_status wsp_raw_adopt(wsp_arena *arena, void *ptr);

/* The size, as asked, of a raw allocation; errors: WSP_EINVAL. */
WSP_NODISCARD wsp_status wsp_raw_size(wsp_arena *arena, void *ptr, size_t *out);

/* ---- cleanups -------------------------------------------------------------- */

/* Have node->fn called with node->arg, once, when the cycle ends or is rewound to a
 * mark made before, last registered first.  The node is the caller's and may lie in raw
 * memory.  A cleanup may read that memory, and must not call functions of the arena or
 * unwind past this one.  A cycle whose thread has died is cleaned up by the thread that
 * finds it.  Errors: WSP_EINVAL (no fn), WSP_EBUSY (in a cleanup). */
WSP_NODISCARD wsp_status wsp_on_end(wsp_arena *arena, wsp_cleanup *node);

/* Run all of them now; for hosts, before they end the cycle. */
void wsp_run_cleanups(wsp_arena *arena);

/* ---- pools ----------------------------------------------------------------- */

/* Arenas for threads that work side by side: each takes one, which is then open on it,
 * and gives it back, which ends its cycle.  Blocks start with `initial` bytes, 0: as
 * learned, and grow to what a cycle needed.  Any thread; in the child of a fork
 * WSP_EFORKED. */
WSP_NODISCARD wsp_status wsp_pool_new(size_t initial, wsp_pool **out);

/* Errors: WSP_ENOMEM. */
WSP_NODISCARD wsp_status wsp_pool_take(wsp_pool *pool, wsp_arena **out);

/* On the thread that took it.  Errors: WSP_ETHREAD, WSP_EINVAL (not of this pool). */
WSP_NODISCARD wsp_status wsp_pool_give(wsp_pool *pool, wsp_arena *arena);

/* Errors: WSP_EBUSY (a living thread has one), and nothing is done. */
WSP_NODISCARD wsp_status wsp_pool_free(wsp_pool *pool);

#ifdef WSP_SHARED
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif
#endif
