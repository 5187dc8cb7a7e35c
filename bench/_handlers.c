/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two handlers of NumPy's memory to compare with.
 *
 *   passthrough  asks NumPy's default: what it costs to have a handler at all
 *   bump         takes the next bytes of one large range and frees nothing before the
 *                range is rewound, which it is only when nothing in it is alive; what
 *                does not fit goes to malloc.  What an arena is without recycling.
 *
 * A Python module: install(name), rewind().  For one thread. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64 };
#define RANGE ((size_t)1 << 30)

/* ---- passthrough ----------------------------------------------------------- */

static PyDataMemAllocator next; /* NumPy's own */

static void *pass_malloc(void *ctx, size_t size) {
  (void)ctx;
  return next.malloc(next.ctx, size);
}
static void *pass_calloc(void *ctx, size_t count, size_t size) {
  (void)ctx;
  return next.calloc(next.ctx, count, size);
}
static void *pass_realloc(void *ctx, void *ptr, size_t size) {
  (void)ctx;
  return next.realloc(next.ctx, ptr, size);
}
static void pass_free(void *ctx, void *ptr, size_t size) {
  (void)ctx;
  next.free(next.ctx, ptr, size);
}

/* ---- bump ------------------------------------------------------------------ */

static char *base, *top;
static size_t alive;

static int is_ours(const void *ptr) { return (uintptr_t)ptr - (uintptr_t)base < RANGE; }

static void *bump_malloc(void *ctx, size_t size) {
  (void)ctx;
  size_t left = RANGE - (size_t)(top - base);
  if (size > left || left - size < ALIGN) return malloc(size);
  void *ptr = top;
  top += (size + ALIGN - 1) / ALIGN * ALIGN + (size == 0 ? ALIGN : 0);
  ++alive;
  return ptr;
}

static void *bump_calloc(void *ctx, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  void *ptr = bump_malloc(ctx, count * size);
  return ptr == NULL ? NULL : memset(ptr, 0, count * size);
}

static void bump_free(void *ctx, void *ptr, size_t size) {
  (void)ctx;
  (void)size;
  if (is_ours(ptr))
    --alive;
  else
    free(ptr);
}

/* The old size is not known, but it ends before `top`. */
static void *bump_realloc(void *ctx, void *ptr, size_t size) {
  if (ptr == NULL) return bump_malloc(ctx, size);
  if (!is_ours(ptr)) return realloc(ptr, size);
  size_t most = (size_t)(top - (char *)ptr);
  void *fresh = bump_malloc(ctx, size);
  if (fresh == NULL) return NULL;
  memmove(fresh, ptr, size < most ? size : most);
  bump_free(ctx, ptr, 0);
  return fresh;
}

/* ---- the module ------------------------------------------------------------ */

static PyDataMem_Handler passthrough = {
    "bench_passthrough", 1, {NULL, pass_malloc, pass_calloc, pass_realloc, pass_free}};
static PyDataMem_Handler bump = {
    "bench_bump", 1, {NULL, bump_malloc, bump_calloc, bump_realloc, bump_free}};

static int find_next(void) {
  PyObject *capsule = PyDataMem_GetHandler();
  if (capsule == NULL) return -1;
  PyDataMem_Handler *handler = PyCapsule_GetPointer(capsule, "mem_handler");
  if (handler != NULL) next = handler->allocator;
  Py_DECREF(capsule);
  return handler == NULL ? -1 : 0;
}

static int map_range(void) {
  if (base != NULL) return 0;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void *range = mmap(NULL, RANGE, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (range == MAP_FAILED) {
    PyErr_NoMemory();
    return -1;
  }
  base = top = range;
  return 0;
}

static PyObject *install(PyObject *self, PyObject *name) {
  (void)self;
  int is_bump = PyUnicode_CompareWithASCIIString(name, "bump") == 0;
  if ((is_bump ? map_range() : find_next()) < 0) return NULL;
  PyObject *capsule =
      PyCapsule_New(is_bump ? &bump : &passthrough, "mem_handler", NULL);
  if (capsule == NULL) return NULL;
  PyObject *old = PyDataMem_SetHandler(capsule);
  Py_DECREF(capsule);
  if (old == NULL) return NULL;
  Py_DECREF(old);
  Py_RETURN_NONE;
}

static PyObject *rewind_range(PyObject *self, PyObject *none) {
  (void)self;
  (void)none;
  if (alive == 0) top = base;
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"install", install, METH_O, "Install 'passthrough' or 'bump' in this context."},
    {"rewind", rewind_range, METH_NOARGS, "Use the range again if nothing is alive."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "handlers",
                                    .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_handlers(void);
PyMODINIT_FUNC PyInit_handlers(void) {
  import_array();
  return PyModule_Create(&module);
}
