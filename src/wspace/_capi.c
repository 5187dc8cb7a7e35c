/* SPDX-License-Identifier: BSD-3-Clause
 * The table that include/wspace/capi.h explains. */
#define WSPACE_NO_IMPORT
#define WSPACE_UNIQUE_SYMBOL ws_unused
#include "_capi.h"

#include <numpy/arrayobject.h>
#include <string.h>

#include "include/wspace/capi.h"

static ws_parts_fn parts_of;
static ws_current_fn current_source;
static PyObject *make_error, *owner_call, *detach_call; /* owned, for ever */

/* ---- statuses -------------------------------------------------------------- */

static int capi_raise(wsp_status status, PyObject *workspace) {
  if (status == WSP_OK) return 0;
  PyObject *named = workspace == NULL ? Py_None : workspace;
  PyObject *error = PyObject_CallFunction(make_error, "isO", (int)status,
                                          wsp_status_name(status), named);
  if (error == NULL) return -1;
  PyErr_SetObject((PyObject *)Py_TYPE(error), error);
  Py_DECREF(error);
  return -1;
}

/* ---- what is current ------------------------------------------------------- */

/* Counted, so that who asks without the GIL finds it there; not among the fields of the
 * context, which cannot be read without it. */
static _Thread_local wsp_arena *noted;

void ws_capi_note(wsp_arena *arena) {
  if (arena == noted) return;
  if (arena != NULL) wsp_arena_ref(arena);
  if (noted != NULL) wsp_arena_unref(noted);
  noted = arena;
}

void ws_capi_set_source(ws_current_fn source) { current_source = source; }

static wsp_status capi_current(wsp_arena **out) {
  if (out == NULL) return WSP_EINVAL;
  if (PyGILState_Check()) ws_capi_note(current_source());
  wsp_arena *arena = noted;
  if (arena == NULL || !wsp_arena_is_mine(arena)) return WSP_ETHREAD;
  *out = arena;
  return WSP_OK;
}

/* ---- arenas --------------------------------------------------------------- */

static void capi_ref(wsp_arena *arena) {
  if (arena != NULL) wsp_arena_ref(arena);
}

static void capi_unref(wsp_arena *arena) {
  if (arena != NULL) wsp_arena_unref(arena);
}

static int capi_is_mine(const wsp_arena *arena) {
  return arena != NULL && wsp_arena_is_mine(arena);
}

static uint64_t capi_generation(const wsp_arena *arena) {
  return arena == NULL ? 0 : wsp_arena_generation(arena);
}

static wsp_status capi_stats(wsp_arena *arena, wspace_stats *out) {
  if (arena == NULL || out == NULL || out->struct_size < sizeof out->struct_size)
    return WSP_EINVAL;
  wsp_stats s = wsp_arena_stats(arena);
  wsp_raw_figures raw = wsp_raw_stats(arena);
  wspace_stats all = {.struct_size = out->struct_size,
                      .generation = s.generation,
                      .capacity = s.capacity,
                      .used = s.used,
                      .high_water = s.high_water,
                      .spilled = s.spilled,
                      .retained = s.retained,
                      .reserved = s.reserved,
                      .raw_used = raw.used,
                      .raw_high_water = raw.high_water,
                      .allocations = s.allocations,
                      .spills = s.spills};
  memcpy(out, &all, out->struct_size < sizeof all ? out->struct_size : sizeof all);
  return WSP_OK;
}

/* ---- arrays ---------------------------------------------------------------- */

static int capi_arena_of(PyObject *workspace, wsp_arena **out) {
  ws_handler *home;
  PyObject *capsule;
  if (parts_of(workspace, &home, &capsule) < 0) return -1;
  *out = home->arena;
  return 0;
}

/* A dtype without references, which the garbage collector would have to see. */
static PyArray_Descr *descr_of(PyObject *dtype) {
  PyArray_Descr *descr = NULL;
  if (!PyArray_DescrConverter(dtype, &descr)) return NULL;
  if (!PyDataType_REFCHK(descr)) return descr;
  PyErr_Format(PyExc_TypeError,
               "cannot place dtype %R in a workspace: it holds Python references",
               descr);
  Py_DECREF(descr);
  return NULL;
}

/* Bytes of such an array; -1 with an exception. */
static npy_intp bytes_of(const PyArray_Descr *descr, int nd, const Py_ssize_t *dims,
                         npy_intp *copy) {
  npy_intp total = PyDataType_ELSIZE(descr);
  if (nd < 0 || nd > 32 || (nd > 0 && dims == NULL)) {
    PyErr_Format(PyExc_ValueError, "nd must be from 0 to 32, with dims, got %d", nd);
    return -1;
  }
  for (int i = 0; i < nd; ++i) {
    copy[i] = dims[i];
    if (dims[i] < 0) {
      PyErr_Format(PyExc_ValueError, "dims must not be negative, got %zd", dims[i]);
      return -1;
    }
    if (dims[i] != 0 && total > NPY_MAX_INTP / dims[i]) {
      PyErr_SetString(PyExc_ValueError, "the array is larger than an address space");
      return -1;
    }
    total *= dims[i];
  }
  return total;
}

static PyObject *array_of(PyObject *workspace, PyObject *dtype, int nd,
                          const Py_ssize_t *dims, unsigned flags, void *ptr);

static PyObject *capi_array_new(PyObject *workspace, PyObject *dtype, int nd,
                                const Py_ssize_t *dims, unsigned flags) {
  return array_of(workspace, dtype, nd, dims, flags, NULL);
}

static PyObject *capi_array_over(PyObject *workspace, void *ptr, PyObject *dtype,
                                 int nd, const Py_ssize_t *dims, unsigned flags) {
  if (ptr != NULL) return array_of(workspace, dtype, nd, dims, flags, ptr);
  (void)capi_raise(WSP_EINVAL, workspace);
  return NULL;
}

/* What NumPy is to be given instead of fresh memory: its array then owns the raw
 * allocation as any other of the workspace.  With the GIL, and for one call. */
static struct {
  ws_handler *home;
  void *(*malloc)(void *ctx, size_t size);
  void *ptr;
  wsp_status status;
} gift;

static void gift_end(void) {
  if (gift.home != NULL) gift.home->handler.allocator.malloc = gift.malloc;
  gift.home = NULL;
}

static void *gift_malloc(void *ctx, size_t size) {
  (void)ctx, (void)size;
  wsp_arena *arena = gift.home->arena;
  gift_end();
  gift.status = wsp_raw_adopt(arena, gift.ptr);
  return gift.status == WSP_OK ? gift.ptr : NULL;
}

/* Whether an array of `bytes` may lie at `ptr`. */
static int check_room(PyObject *workspace, ws_handler *home, void *ptr,
                      npy_intp bytes) {
  size_t size;
  wsp_status status = wsp_raw_size(home->arena, ptr, &size);
  if (status != WSP_OK) return capi_raise(status, workspace);
  if ((size_t)bytes <= size) return 0;
  PyErr_Format(PyExc_ValueError, "the array needs %zd bytes, the allocation has %zu",
               (Py_ssize_t)bytes, size);
  return -1;
}

static PyObject *give(ws_handler *home, PyObject *capsule, PyArray_Descr *descr, int nd,
                      npy_intp *dims, unsigned flags, void *ptr, PyObject *workspace) {
  int collects = PyGC_Disable(); /* the collector could make arrays meanwhile */
  gift.home = home;
  gift.malloc = home->handler.allocator.malloc;
  gift.ptr = ptr;
  gift.status = WSP_OK;
  home->handler.allocator.malloc = gift_malloc;
  PyObject *array =
      ws_array_new(home, capsule, descr, nd, dims, (flags & WSPACE_FORTRAN) != 0, 0, 0);
  gift_end();
  if (collects) PyGC_Enable();
  if (array == NULL && gift.status != WSP_OK) {
    PyErr_Clear();
    (void)capi_raise(gift.status, workspace);
  }
  if (array == NULL) return NULL;
  if (flags & WSPACE_ZERO)
    memset(PyArray_DATA((PyArrayObject *)array), 0,
           (size_t)PyArray_NBYTES((PyArrayObject *)array));
  if (flags & WSPACE_PLAIN) return array;
  PyObject *view = ws_checked_view(array);
  Py_DECREF(array);
  return view;
}

static PyObject *array_of(PyObject *workspace, PyObject *dtype, int nd,
                          const Py_ssize_t *dims, unsigned flags, void *ptr) {
  npy_intp copy[32];
  ws_handler *home;
  PyObject *capsule;
  if (flags & ~(unsigned)(WSPACE_PLAIN | WSPACE_FORTRAN | WSPACE_ZERO)) {
    PyErr_Format(PyExc_ValueError, "flags must be those of WSPACE_..., got %u", flags);
    return NULL;
  }
  PyArray_Descr *descr = descr_of(dtype); /* may run code of others, so it is first */
  if (descr == NULL) return NULL;
  npy_intp bytes = bytes_of(descr, nd, dims, copy);
  /* Where nothing is to be stored NumPy stores one element. */
  npy_intp least = bytes == 0 ? PyDataType_ELSIZE(descr) : bytes;
  if (bytes < 0 || parts_of(workspace, &home, &capsule) < 0) goto refused;
  if (!wsp_arena_is_mine(home->arena)) {
    (void)capi_raise(WSP_ETHREAD, workspace);
    goto refused;
  }
  if (ptr != NULL) {
    if (check_room(workspace, home, ptr, least) < 0) goto refused;
    return give(home, capsule, descr, nd, copy, flags, ptr, workspace);
  }
  return ws_array_new(home, capsule, descr, nd, copy, (flags & WSPACE_FORTRAN) != 0,
                      (flags & WSPACE_ZERO) != 0, (flags & WSPACE_PLAIN) == 0);
refused:
  Py_DECREF(descr);
  return NULL;
}

static PyObject *capi_owner(PyObject *array) {
  return PyObject_CallOneArg(owner_call, array);
}

static PyObject *capi_detach(PyObject *object) {
  return PyObject_CallOneArg(detach_call, object);
}

/* ---- the table ------------------------------------------------------------- */

static const wspace_table table = {.abi_major = WSPACE_ABI_MAJOR,
                                   .abi_minor = WSPACE_ABI_MINOR,
                                   .struct_size = sizeof(wspace_table),
                                   .status_name = wsp_status_name,
                                   .arena_ref = capi_ref,
                                   .arena_unref = capi_unref,
                                   .current = capi_current,
                                   .is_mine = capi_is_mine,
                                   .generation = capi_generation,
                                   .alloc = wsp_raw_alloc,
                                   .zeroed = wsp_raw_zeroed,
                                   .array = wsp_raw_array,
                                   .take = wsp_raw_take,
                                   .realloc = wsp_raw_realloc,
                                   .extend = wsp_raw_extend,
                                   .free_last = wsp_raw_free_last,
                                   .size = wsp_raw_size,
                                   .limit = wsp_raw_limit,
                                   .checkpoint = wsp_checkpoint,
                                   .rewind = wsp_rewind,
                                   .scope_push = wsp_scope_push,
                                   .scope_pop = wsp_scope_pop,
                                   .ref_make = wsp_ref_make,
                                   .ref_alive = wsp_ref_alive,
                                   .ref_drop = wsp_ref_drop,
                                   .pin = wsp_pin,
                                   .unpin = wsp_unpin,
                                   .on_end = wsp_on_end,
                                   .stats = capi_stats,
                                   .pool_new = wsp_pool_new,
                                   .pool_take = wsp_pool_take,
                                   .pool_give = wsp_pool_give,
                                   .pool_free = wsp_pool_free,
                                   .arena_of = capi_arena_of,
                                   .array_new = capi_array_new,
                                   .array_over = capi_array_over,
                                   .owner = capi_owner,
                                   .detach = capi_detach,
                                   .raise = capi_raise};

/* In the order of the table. */
static const char *const names[] = {
    "status_name", "arena_ref", "arena_unref", "current",    "is_mine",   "generation",
    "alloc",       "zeroed",    "array",       "take",       "realloc",   "extend",
    "free_last",   "size",      "limit",       "checkpoint", "rewind",    "scope_push",
    "scope_pop",   "ref_make",  "ref_alive",   "ref_drop",   "pin",       "unpin",
    "on_end",      "stats",     "pool_new",    "pool_take",  "pool_give", "pool_free",
    "arena_of",    "array_new", "array_over",  "owner",      "detach",    "raise"};

enum { NAMES = sizeof names / sizeof *names };
_Static_assert(sizeof(wspace_table) ==
                   offsetof(wspace_table, status_name) + NAMES * sizeof(uintptr_t),
               "every function has its name");

PyObject *ws_capi_addresses(void) {
  uintptr_t addresses[NAMES];
  memcpy(addresses, (const char *)&table + offsetof(wspace_table, status_name),
         sizeof addresses);
  PyObject *found = PyDict_New();
  for (size_t i = 0; found != NULL && i < NAMES; ++i) {
    PyObject *address = PyLong_FromUnsignedLongLong(addresses[i]);
    if (address == NULL || PyDict_SetItemString(found, names[i], address) < 0)
      Py_CLEAR(found);
    Py_XDECREF(address);
  }
  return found;
}

PyObject *ws_capi_new(ws_parts_fn parts, PyObject *raise) {
  import_array1(NULL);
  parts_of = parts;
  make_error = Py_NewRef(raise);
  return PyCapsule_New((void *)(uintptr_t)&table, WSPACE_CAPSULE, NULL);
}

void ws_capi_set_calls(PyObject *owner, PyObject *detach) {
  Py_XSETREF(owner_call, Py_NewRef(owner));
  Py_XSETREF(detach_call, Py_NewRef(detach));
}
