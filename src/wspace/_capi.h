/* SPDX-License-Identifier: BSD-3-Clause
 * The table of functions for extension modules, include/wspace/capi.h: what it needs of
 * the objects above. */
#ifndef WS_CAPI_H
#define WS_CAPI_H

#include "_array.h"
#include "wsp_raw.h"

/* Of a wspace.Workspace: its handler and the capsule of its cycle, borrowed.  -1 with a
 * TypeError. */
typedef int (*ws_parts_fn)(PyObject *workspace, ws_handler **home, PyObject **capsule);

/* The arena that is current in this context, borrowed; NULL: none.  With the GIL. */
typedef wsp_arena *(*ws_current_fn)(void);

/* `raise` is called with (status, name of it, workspace or None) and returns the
 * exception; `owner` and `detach` are those of wspace.  The capsule; NULL with an
 * exception. */
PyObject *ws_capi_new(ws_parts_fn parts, PyObject *raise);
void ws_capi_set_calls(PyObject *owner, PyObject *detach);

/* Who knows what is current; told whenever that may have changed on this thread. */
void ws_capi_set_source(ws_current_fn source);
void ws_capi_note(wsp_arena *arena);

/* A dict of the addresses of all functions by name; NULL with an exception. */
PyObject *ws_capi_addresses(void);

#endif
