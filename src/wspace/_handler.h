/* SPDX-License-Identifier: BSD-3-Clause
 * NumPy's memory handler (NEP 49) over an arena.
 *
 * A ws_handler is what an array keeps alive: each array that owns data holds the
 * handler's capsule, the capsule holds the ws_handler, and that holds the core of the
 * arena.  None of them holds the workspace.  The capsule's context is the generation it
 * was made for, so that small arrays, which have no header, know theirs too.
 *
 * Threads: NumPy calls malloc, calloc and free with the GIL, realloc now and then
 * without; none of them takes it.  All else here needs it. */
#ifndef WS_HANDLER_H
#define WS_HANDLER_H

#include <Python.h>
#include <numpy/ndarraytypes.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "wsp.h"

typedef struct ws_link ws_link; /* _array.h */

/* The caller's number for the place in the program that allocates. */
typedef uint32_t (*ws_site_fn)(void *ctx);

typedef struct ws_handler {
  PyDataMem_Handler handler; /* what the capsule points to */
  size_t refs;               /* the arena object, each capsule, each checked array */
  wsp_arena *arena;          /* owned reference */
  size_t min_block;          /* smaller requests are NumPy's own */
  bool separate; /* NumPy's heap serves all of this cycle; set between cycles */
  _Atomic uint64_t passed_small, passed_foreign, passed_separate;
  ws_site_fn site; /* NULL: sites are not recorded */
  void *site_ctx;  /* borrowed: valid while the arena object lives, which clears it */
  PyObject *name;  /* owned; for messages */
  PyObject *owner; /* weak reference to the workspace, or None; owned */
  ws_link *linked; /* checked arrays that are not stale, newest first; borrowed */
  bool keeps;      /* they outlive their cycle, as in a ring: until they are `over` */
  uint64_t over;   /* with `keeps`: the last generation that is */
} ws_handler;

/* Once, before all else; -1 with an exception. */
int ws_handler_setup(void);

/* Have the core told when the calling thread ends: when its Python thread state is
 * cleared, which is before others see it joined.  -1 with an exception. */
int ws_watch_thread(void);

/* Take over the caller's reference to `arena`.  NULL with an exception. */
ws_handler *ws_handler_new(wsp_arena *arena, PyObject *name, size_t min_block);
void ws_handler_ref(ws_handler *handler);
void ws_handler_unref(ws_handler *handler);

/* A new capsule for NumPy; NULL with an exception. */
PyObject *ws_handler_capsule(ws_handler *handler, uint64_t generation);
/* Mark a capsule that nobody else holds with another generation. */
int ws_handler_remark(PyObject *capsule, uint64_t generation);

/* The ws_handler behind a capsule; NULL: it is not one of ours.  Never an exception. */
ws_handler *ws_handler_of(PyObject *capsule);
uint64_t ws_handler_mark(PyObject *capsule);
/* Was it made for a cycle whose allocations are separate. */
bool ws_handler_is_separate(PyObject *capsule);

#endif
