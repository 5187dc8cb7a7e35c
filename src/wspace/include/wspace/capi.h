// clang-format off
/* SPDX-License-Identifier: BSD-3-Clause
 *
 * wspace/capi.h - the memory of a workspace for extension modules.  C11 and C++17.
 *
 *   #include <Python.h>
 *   #include "wspace/capi.h"          compile with -I $(python -c "import wspace; print(wspace.get_include())")
 *
 *   if (import_wspace() < 0) return NULL;         once, when the module is initialised
 *
 * Nothing is linked: every call goes through a table that the running wspace gives out,
 * so a module keeps working with every later wspace of the same ABI major version.
 *
 * Several files in one module: each defines WSPACE_UNIQUE_SYMBOL to the same name of the
 * module's own, and all but the one that calls import_wspace define WSPACE_NO_IMPORT.
 * A module that calls functions of a later ABI minor version than 0 defines
 * WSPACE_TARGET_MINOR to it; older wspaces then refuse it with an ImportError.
 *
 * Words
 *   arena        the memory of one workspace
 *   cycle        from the outermost `with ws:` to its exit
 *   raw          what is allocated here: it ends with its cycle, or with a rewind to a
 *                mark made before it, and needs no free
 *   adopt        to make an array of a raw allocation, which lives as long as any array
 *
 * Threads
 *   An arena is open on one thread at a time, its owner.  Functions above the line "with
 *   the GIL" may be called without it, by the owner; on another thread, or while the
 *   workspace is not open, they return WSP_ETHREAD and do nothing.  A wsp_pool has arenas
 *   for threads that Python knows nothing of.
 *
 * Errors
 *   Functions that can fail return a wsp_status, and leave their results and the arena as
 *   they were.  wspace_raise makes a Python exception of one.
 *
 * Lifetimes
 *   A wsp_arena is borrowed from its workspace: keep that alive, or take a reference
 *   (wspace_arena_ref).  A raw pointer is invalid after its cycle and after a rewind past
 *   it, and nothing can tell but a wsp_ref. */
// clang-format on
#ifndef WSPACE_CAPI_H
#define WSPACE_CAPI_H

#include <Python.h>

#include "wsp_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WSPACE_ABI_MAJOR 1
#define WSPACE_ABI_MINOR 0 /* of this header */
#ifndef WSPACE_TARGET_MINOR
#define WSPACE_TARGET_MINOR 0
#endif
#define WSPACE_CAPSULE "wspace._C_API"

/* Figures of a workspace, in bytes but for the counts.  The caller sets struct_size to
 * sizeof(wspace_stats); no more than that is written. */
typedef struct wspace_stats {
  size_t struct_size;
  uint64_t generation;   /* number of the open cycle, or of the last one */
  size_t capacity;       /* of the block */
  size_t used;           /* in use by the open cycle, raw allocations' pads included */
  size_t high_water;     /* most in use at once, of all cycles */
  size_t spilled;        /* alive, beside the block */
  size_t retained;       /* of arrays that outlived their cycles */
  size_t reserved;       /* held from the system */
  size_t raw_used;       /* by raw allocations now; 0 on another thread */
  size_t raw_high_water; /* most of the open cycle */
  uint64_t allocations;  /* count, of all cycles that have ended, and NumPy's of this */
  uint64_t spills;       /* count */
} wspace_stats;

/* What wspace_array_new and wspace_array_over make; 0: a checked array in C order. */
enum {
  WSPACE_PLAIN = 1,   /* a numpy.ndarray, valid as long as anything refers to it */
  WSPACE_FORTRAN = 2, /* in Fortran order */
  WSPACE_ZERO = 4     /* the bytes are cleared */
};

/* The first three fields never move; functions are only appended. */
typedef struct wspace_table {
  uint32_t abi_major, abi_minor;
  size_t struct_size;
  /* 1.0 */
  const char *(*status_name)(wsp_status status);
  void (*arena_ref)(wsp_arena *arena);
  void (*arena_unref)(wsp_arena *arena);
  wsp_status (*current)(wsp_arena **out);
  int (*is_mine)(const wsp_arena *arena);
  uint64_t (*generation)(const wsp_arena *arena);
  wsp_status (*alloc)(wsp_arena *arena, size_t size, void **out);
  wsp_status (*zeroed)(wsp_arena *arena, size_t size, void **out);
  wsp_status (*array)(wsp_arena *arena, size_t count, size_t size, void **out);
  void *(*take)(wsp_arena *arena, size_t size);
  wsp_status (*realloc)(wsp_arena *arena, void *ptr, size_t size, void **out);
  wsp_status (*extend)(wsp_arena *arena, void *ptr, size_t size);
  wsp_status (*free_last)(wsp_arena *arena, void *ptr);
  wsp_status (*size)(wsp_arena *arena, void *ptr, size_t *out);
  wsp_status (*limit)(wsp_arena *arena, size_t bytes);
  wsp_status (*checkpoint)(wsp_arena *arena, wsp_mark *out);
  wsp_status (*rewind)(wsp_arena *arena, const wsp_mark *mark);
  wsp_status (*scope_push)(wsp_arena *arena, wsp_mark *out);
  wsp_status (*scope_pop)(wsp_arena *arena, const wsp_mark *mark);
  wsp_status (*ref_make)(wsp_arena *arena, void *ptr, wsp_ref *out);
  wsp_status (*ref_alive)(const wsp_ref *ref);
  void (*ref_drop)(wsp_ref *ref);
  wsp_status (*pin)(wsp_ref *ref);
  wsp_status (*unpin)(wsp_ref *ref);
  wsp_status (*on_end)(wsp_arena *arena, wsp_cleanup *node);
  wsp_status (*stats)(wsp_arena *arena, wspace_stats *out);
  wsp_status (*pool_new)(size_t initial, wsp_pool **out);
  wsp_status (*pool_take)(wsp_pool *pool, wsp_arena **out);
  wsp_status (*pool_give)(wsp_pool *pool, wsp_arena *arena);
  wsp_status (*pool_free)(wsp_pool *pool);
  int (*arena_of)(PyObject *workspace, wsp_arena **out);
  PyObject *(*array_new)(PyObject *workspace, PyObject *dtype, int nd,
                         const Py_ssize_t *dims, unsigned flags);
  PyObject *(*array_over)(PyObject *workspace, void *ptr, PyObject *dtype, int nd,
                          const Py_ssize_t *dims, unsigned flags);
  PyObject *(*owner)(PyObject *array);
  PyObject *(*detach)(PyObject *object);
  int (*raise)(wsp_status status, PyObject *workspace);
} wspace_table;

#ifdef WSPACE_UNIQUE_SYMBOL
#define wspace_api WSPACE_UNIQUE_SYMBOL
#ifdef WSPACE_NO_IMPORT
extern const wspace_table *wspace_api;
#else
const wspace_table *wspace_api = NULL;
#endif
#else
static const wspace_table *wspace_api = NULL;
#endif

#ifndef WSPACE_NO_IMPORT
/* Get the table.  0, or -1 with an ImportError that names both versions.  With the GIL.
 */
static inline int import_wspace(void) {
  const wspace_table *api = (const wspace_table *)PyCapsule_Import(WSPACE_CAPSULE, 0);
  if (api == NULL) return -1;
  if (api->abi_major != WSPACE_ABI_MAJOR ||
      api->abi_minor + 1 <= (uint32_t)WSPACE_TARGET_MINOR) {
    PyErr_Format(PyExc_ImportError,
                 "compiled for the C API %d.%d of wspace, the installed one has %u.%u: "
                 "%s",
                 WSPACE_ABI_MAJOR, WSPACE_TARGET_MINOR, (unsigned)api->abi_major,
                 (unsigned)api->abi_minor,
                 api->abi_major > WSPACE_ABI_MAJOR ? "compile it again"
                                                   : "install a newer wspace");
    return -1;
  }
  wspace_api = api;
  return 0;
}
#endif

/* ---- without the GIL: arenas ----------------------------------------------- */

/* The name of a status, such as "WSP_EFULL".  Never NULL. */
static inline const char *wspace_status_name(wsp_status status) {
  return wspace_api->status_name(status);
}

/* Take, give back a reference; NULL: nothing.  Any thread. */
static inline void wspace_arena_ref(wsp_arena *arena) { wspace_api->arena_ref(arena); }
static inline void wspace_arena_unref(wsp_arena *arena) {
  wspace_api->arena_unref(arena);
}

/* The arena of the workspace that is current on this thread, borrowed; WSP_ETHREAD:
 * none is.  Called with the GIL it looks at the context; without, it gives what was
 * current when this thread last entered or left a workspace, or asked with the GIL. */
static inline wsp_status wspace_current(wsp_arena **out) {
  return wspace_api->current(out);
}

/* Whether it is open on the calling thread. */
static inline int wspace_is_mine(const wsp_arena *arena) {
  return wspace_api->is_mine(arena);
}

/* Number of the open cycle, or of the last one; 0 before the first.  Any thread. */
static inline uint64_t wspace_generation(const wsp_arena *arena) {
  return wspace_api->generation(arena);
}

/* Errors: WSP_EINVAL (NULL, or a struct_size of less than the first field).  From
 * another thread than the owner's an approximate snapshot. */
static inline wsp_status wspace_get_stats(wsp_arena *arena, wspace_stats *out) {
  return wspace_api->stats(arena, out);
}

/* ---- without the GIL: raw allocations -------------------------------------- */

/* Take `size` bytes, aligned to 64 at least; size 0 gives a unique pointer.
 * Errors: WSP_EFULL, WSP_ENOMEM, WSP_EOVERFLOW, WSP_EINVAL (NULL), WSP_ETHREAD,
 * WSP_EFORKED, WSP_EBUSY (in a cleanup). */
static inline wsp_status wspace_alloc(wsp_arena *arena, size_t size, void **out) {
  return wspace_api->alloc(arena, size, out);
}

/* The same, and the bytes read as zero. */
static inline wsp_status wspace_zeroed(wsp_arena *arena, size_t size, void **out) {
  return wspace_api->zeroed(arena, size, out);
}

/* Room for `count` things of `size` bytes; WSP_EOVERFLOW when the product wraps. */
static inline wsp_status wspace_array(wsp_arena *arena, size_t count, size_t size,
                                      void **out) {
  return wspace_api->array(arena, count, size, out);
}

/* As wspace_alloc; NULL instead of a status. */
static inline void *wspace_take(wsp_arena *arena, size_t size) {
  return wspace_api->take(arena, size);
}

/* Change the size, in place for the last allocation, else by a copy: the old one then
 * stays until it is rewound past.  ptr NULL: as wspace_alloc.  Errors: as there; and
 * WSP_EINVAL (not a raw allocation of this arena), WSP_EBUSY (pinned). */
static inline wsp_status wspace_realloc(wsp_arena *arena, void *ptr, size_t size,
                                        void **out) {
  return wspace_api->realloc(arena, ptr, size, out);
}

/* Change the size in place.  Errors: WSP_EORDER (not the last allocation, or a mark was
 * made since), WSP_EFULL (no room behind it), WSP_EINVAL, WSP_EOVERFLOW, WSP_ETHREAD.
 */
static inline wsp_status wspace_extend(wsp_arena *arena, void *ptr, size_t size) {
  return wspace_api->extend(arena, ptr, size);
}

/* Free the last allocation.  Errors: WSP_EORDER (not the last, or a mark was made
 * since), WSP_EINVAL, WSP_ENOMEM (it was referred to), WSP_ETHREAD. */
static inline wsp_status wspace_free_last(wsp_arena *arena, void *ptr) {
  return wspace_api->free_last(arena, ptr);
}

/* The size, as asked.  Errors: WSP_EINVAL, WSP_ETHREAD. */
static inline wsp_status wspace_size(wsp_arena *arena, void *ptr, size_t *out) {
  return wspace_api->size(arena, ptr, out);
}

/* Bound the bytes of raw allocations, headers and rounding included, of the open cycle:
 * beyond it WSP_EFULL.  SIZE_MAX: no bound.  Ends with the cycle.  Errors: WSP_ETHREAD.
 */
static inline wsp_status wspace_limit(wsp_arena *arena, size_t bytes) {
  return wspace_api->limit(arena, bytes);
}

/* ---- without the GIL: marks ------------------------------------------------ */

/* Remember this moment.  Errors: WSP_ENOMEM, WSP_ETHREAD. */
static inline wsp_status wspace_checkpoint(wsp_arena *arena, wsp_mark *out) {
  return wspace_api->checkpoint(arena, out);
}

/* End the raw allocations made since, but for those that are pinned or adopted.  The
 * mark may be rewound to again; marks made after it are stale.  Errors: WSP_ESTALE (of
 * another arena or cycle, or rewound past), WSP_EORDER (an inner scope is open),
 * WSP_EBUSY (in a cleanup), WSP_ETHREAD. */
static inline wsp_status wspace_rewind(wsp_arena *arena, const wsp_mark *mark) {
  return wspace_api->rewind(arena, mark);
}

/* A mark that is closed again, which rewinds to it: inside out, else WSP_EORDER and
 * nothing is done.  Errors: as for the two above. */
static inline wsp_status wspace_scope_push(wsp_arena *arena, wsp_mark *out) {
  return wspace_api->scope_push(arena, out);
}
static inline wsp_status wspace_scope_pop(wsp_arena *arena, const wsp_mark *mark) {
  return wspace_api->scope_pop(arena, mark);
}

/* ---- without the GIL: references and pins ---------------------------------- */

/* Refer to a raw allocation; to be dropped.  Errors: WSP_EINVAL, WSP_ETHREAD. */
static inline wsp_status wspace_ref_make(wsp_arena *arena, void *ptr, wsp_ref *out) {
  return wspace_api->ref_make(arena, ptr, out);
}

/* WSP_OK: ref->ptr is valid.  WSP_ESTALE: it is not.  WSP_ETHREAD: only the owner can
 * tell, unless it is pinned. */
static inline wsp_status wspace_ref_alive(const wsp_ref *ref) {
  return wspace_api->ref_alive(ref);
}

/* Unpin and clear it; a second time nothing.  Any thread. */
static inline void wspace_ref_drop(wsp_ref *ref) { wspace_api->ref_drop(ref); }

/* Keep the allocation where it is, whatever is rewound or ends, until as many unpins.
 * Errors: WSP_ESTALE, WSP_ENOMEM, WSP_EOVERFLOW, WSP_ETHREAD. */
static inline wsp_status wspace_pin(wsp_ref *ref) { return wspace_api->pin(ref); }

/* Any thread.  Errors: WSP_EINVAL (not pinned by this reference). */
static inline wsp_status wspace_unpin(wsp_ref *ref) { return wspace_api->unpin(ref); }

/* ---- without the GIL: cleanups, pools -------------------------------------- */

/* Have node->fn called with node->arg, once, when the cycle ends or a mark made before
 * is rewound to; last registered first.  The node is the caller's and may lie in raw
 * memory. A cleanup may read that memory; it must not call Python, nor this arena, nor
 * unwind. Errors: WSP_EINVAL (no fn), WSP_EBUSY (in a cleanup), WSP_ETHREAD. */
static inline wsp_status wspace_on_end(wsp_arena *arena, wsp_cleanup *node) {
  return wspace_api->on_end(arena, node);
}

/* Arenas for threads that work side by side: one takes an arena, which is then open on
 * it, and gives it back, which ends its cycle.  Their blocks begin with `initial`
 * bytes, 0: as learned, and grow to what was needed.  Any thread.  Errors: WSP_ENOMEM,
 * WSP_EFORKED; give: WSP_EINVAL (not of this pool), WSP_ETHREAD; free: WSP_EBUSY (a
 * living thread has one). */
static inline wsp_status wspace_pool_new(size_t initial, wsp_pool **out) {
  return wspace_api->pool_new(initial, out);
}
static inline wsp_status wspace_pool_take(wsp_pool *pool, wsp_arena **out) {
  return wspace_api->pool_take(pool, out);
}
static inline wsp_status wspace_pool_give(wsp_pool *pool, wsp_arena *arena) {
  return wspace_api->pool_give(pool, arena);
}
static inline wsp_status wspace_pool_free(wsp_pool *pool) {
  return wspace_api->pool_free(pool);
}

/* ---- with the GIL ---------------------------------------------------------- */

/* The arena of a wspace.Workspace, borrowed from it.  0, or -1 with a TypeError. */
static inline int wspace_arena_of(PyObject *workspace, wsp_arena **out) {
  return wspace_api->arena_of(workspace, out);
}

/* A new array in the workspace, which must be open here.  `dtype` is anything that
 * numpy.dtype takes.  A new reference, or NULL with an exception. */
static inline PyObject *wspace_array_new(PyObject *workspace, PyObject *dtype, int nd,
                                         const Py_ssize_t *dims, unsigned flags) {
  return wspace_api->array_new(workspace, dtype, nd, dims, flags);
}

/* An array over a raw allocation, which it adopts: no rewind ends it any more, it is
 * freed with the last array over it, and references to it are stale.  A new reference,
 * or NULL with an exception: ValueError if the array is larger than the allocation. */
static inline PyObject *wspace_array_over(PyObject *workspace, void *ptr,
                                          PyObject *dtype, int nd,
                                          const Py_ssize_t *dims, unsigned flags) {
  return wspace_api->array_over(workspace, ptr, dtype, nd, dims, flags);
}

/* wspace.owner: the workspace of an array, or None.  A new reference, or NULL. */
static inline PyObject *wspace_owner(PyObject *array) {
  return wspace_api->owner(array);
}

/* wspace.detach: a copy outside all workspaces.  A new reference, or NULL. */
static inline PyObject *wspace_detach(PyObject *object) {
  return wspace_api->detach(object);
}

/* Set the exception that a status means: -1; WSP_OK means none: 0.  `workspace` is the
 * one to be named, or NULL. */
static inline int wspace_raise(wsp_status status, PyObject *workspace) {
  return wspace_api->raise(status, workspace);
}

#ifdef __cplusplus
}
#endif
#endif
