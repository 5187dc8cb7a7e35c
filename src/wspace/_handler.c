/* SPDX-License-Identifier: BSD-3-Clause */
#include "_handler.h"

#include <numpy/arrayobject.h>
#include <string.h>

#include "wsp_arena.h" /* for wsp_owns */

static const char capsule_name[] = "mem_handler"; /* NumPy's word for it */

/* NumPy's default handler: immortal, and the same for the life of the process. */
static const PyDataMemAllocator *numpy_own;

int ws_handler_setup(void) {
  import_array1(-1);
  PyDataMem_Handler *handler =
      PyCapsule_GetPointer(PyDataMem_DefaultHandler, capsule_name);
  if (handler == NULL) return -1;
  numpy_own = &handler->allocator;
  return 0;
}

/* ---- the four functions ---------------------------------------------------- */

static void count(_Atomic uint64_t *counter) {
  uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

/* Runs Python code: with the GIL, and before anything of the arena is touched. */
static uint32_t site_of(const ws_handler *handler, size_t size) {
  if (handler->site == NULL || size < handler->min_block || handler->separate) return 0;
  return wsp_arena_is_mine(handler->arena) ? handler->site(handler->site_ctx) : 0;
}

/* Serve from the arena: true, with NULL in *out when memory is out.  false: the request
 * is NumPy's own to serve. */
static bool serve(ws_handler *handler, size_t size, uint32_t flags, uint32_t site,
                  void **out) {
  if (size < handler->min_block) {
    count(&handler->passed_small);
    return false;
  }
  if (handler->separate) { /* from NumPy's own heap, where memory checkers see it */
    count(wsp_arena_is_mine(handler->arena) ? &handler->passed_separate
                                            : &handler->passed_foreign);
    return false;
  }
  *out = NULL;
  switch (wsp_arena_alloc(handler->arena, size, flags, site, out)) {
    case WSP_ETHREAD:
    case WSP_EFORKED:
      count(&handler->passed_foreign);
      return false;
    default: /* served, or there is no memory */
      return true;
  }
}

static void *handler_malloc(void *ctx, size_t size) {
  ws_handler *handler = ctx;
  void *ptr;
  if (size < handler->min_block) /* by far the most frequent, so without the call */
    count(&handler->passed_small);
  else if (serve(handler, size, 0, site_of(handler, size), &ptr))
    return ptr;
  return numpy_own->malloc(numpy_own->ctx, size);
}

static void *handler_calloc(void *ctx, size_t number, size_t size) {
  ws_handler *handler = ctx;
  void *ptr;
  if (size != 0 && number > SIZE_MAX / size) return NULL;
  size_t total = number * size;
  if (serve(handler, total, WSP_ZERO, site_of(handler, total), &ptr)) return ptr;
  return numpy_own->calloc(numpy_own->ctx, number, size);
}

static void handler_free(void *ctx, void *ptr, size_t size) {
  ws_handler *handler = ctx;
  if (ptr == NULL) return;
  if (wsp_owns(handler->arena, ptr))
    wsp_arena_free(handler->arena, ptr);
  else
    numpy_own->free(numpy_own->ctx, ptr, size);
}

static void *resize(ws_handler *handler, void *ptr, size_t size) {
  void *fresh;
  /* What NumPy serves stays there: its old size is not known here. */
  if (ptr != NULL && !wsp_arena_owns(handler->arena, ptr))
    return numpy_own->realloc(numpy_own->ctx, ptr, size);
  if (ptr != NULL && size >= handler->min_block &&
      wsp_arena_try_resize(handler->arena, ptr, size))
    return ptr;
  /* Its realloc rather than its malloc, which needs the GIL for its cache. */
  uint32_t site = ptr == NULL ? 0 : wsp_site(handler->arena, ptr);
  if (!serve(handler, size, 0, site, &fresh))
    fresh = numpy_own->realloc(numpy_own->ctx, NULL, size != 0 ? size : 1);
  if (fresh == NULL || ptr == NULL) return fresh;
  size_t old = wsp_size(handler->arena, ptr);
  memcpy(fresh, ptr, old < size ? old : size);
  wsp_arena_free(handler->arena, ptr);
  return fresh;
}

/* NumPy's readers of text call this without the GIL, so another thread might abandon
 * the cycle meanwhile: hold it. */
static void *handler_realloc(void *ctx, void *ptr, size_t size) {
  ws_handler *handler = ctx;
  wsp_arena_hold(handler->arena);
  void *fresh = resize(handler, ptr, size);
  wsp_arena_let_go(handler->arena);
  return fresh;
}

/* ---- threads --------------------------------------------------------------- */

static const char thread_key[] = "wspace.thread";

static _Thread_local wsp_thread *watched;

static void thread_state_dies(PyObject *capsule) {
  wsp_thread *thread = PyCapsule_GetPointer(capsule, thread_key);
  if (watched == thread) watched = NULL; /* its address may be another's next */
  wsp_thread_end(thread);
}

int ws_watch_thread(void) {
  wsp_thread *self = wsp_thread_self();
  if (self == watched) return 0;
  PyObject *dict = self == NULL ? NULL : PyThreadState_GetDict();
  if (dict == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  PyObject *capsule = PyCapsule_New(self, thread_key, thread_state_dies);
  if (capsule == NULL) return -1;
  wsp_thread_ref(self); /* the capsule's */
  int failed = PyDict_SetItemString(dict, thread_key, capsule);
  Py_DECREF(capsule);
  if (failed == 0) watched = self;
  return failed;
}

/* ---- lifetime -------------------------------------------------------------- */

ws_handler *ws_handler_new(wsp_arena *arena, PyObject *name, size_t min_block) {
  ws_handler *handler = PyMem_Calloc(1, sizeof *handler);
  if (handler == NULL) {
    wsp_arena_unref(arena);
    PyErr_NoMemory();
    return NULL;
  }
  memcpy(handler->handler.name, "wspace", sizeof "wspace");
  handler->handler.version = 1;
  handler->handler.allocator = (PyDataMemAllocator){.ctx = handler,
                                                    .malloc = handler_malloc,
                                                    .calloc = handler_calloc,
                                                    .realloc = handler_realloc,
                                                    .free = handler_free};
  handler->refs = 1;
  handler->arena = arena;
  handler->min_block = min_block;
  handler->name = Py_NewRef(name);
  handler->owner = Py_NewRef(Py_None);
  return handler;
}

void ws_handler_ref(ws_handler *handler) { handler->refs += 1; }

void ws_handler_unref(ws_handler *handler) {
  if (--handler->refs != 0) return;
  wsp_arena_unref(handler->arena);
  Py_DECREF(handler->name);
  Py_DECREF(handler->owner);
  PyMem_Free(handler);
}

static void capsule_dies(PyObject *capsule) {
  PyDataMem_Handler *handler = PyCapsule_GetPointer(capsule, capsule_name);
  ws_handler_unref(handler->allocator.ctx);
}

/* The top bit of a capsule's context: made for a cycle whose allocations are separate.
 */
static const uintptr_t separate_bit = (uintptr_t)1 << (sizeof(uintptr_t) * 8 - 1);

PyObject *ws_handler_capsule(ws_handler *handler, uint64_t generation) {
  PyObject *capsule = PyCapsule_New(&handler->handler, capsule_name, capsule_dies);
  if (capsule == NULL) return NULL;
  ws_handler_ref(handler);
  if (ws_handler_remark(capsule, generation) < 0) Py_CLEAR(capsule);
  return capsule;
}

int ws_handler_remark(PyObject *capsule, uint64_t generation) {
  PyDataMem_Handler *handler = PyCapsule_GetPointer(capsule, capsule_name);
  if (handler == NULL) return -1;
  const ws_handler *ours = handler->allocator.ctx;
  uintptr_t context = (uintptr_t)generation | (ours->separate ? separate_bit : 0);
  return PyCapsule_SetContext(capsule, (void *)context);
}

ws_handler *ws_handler_of(PyObject *capsule) {
  if (!PyCapsule_IsValid(capsule, capsule_name)) return NULL;
  PyDataMem_Handler *handler = PyCapsule_GetPointer(capsule, capsule_name);
  bool ours = handler->allocator.malloc == handler_malloc;
  return ours ? handler->allocator.ctx : NULL;
}

uint64_t ws_handler_mark(PyObject *capsule) {
  return (uint64_t)((uintptr_t)PyCapsule_GetContext(capsule) & ~separate_bit);
}

bool ws_handler_is_separate(PyObject *capsule) {
  return (uintptr_t)PyCapsule_GetContext(capsule) & separate_bit;
}
