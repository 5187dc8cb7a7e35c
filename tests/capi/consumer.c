/* SPDX-License-Identifier: BSD-3-Clause
 * An extension module that uses the C API; compiled by the tests against the installed
 * header and against the first one. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "wspace/capi.h"

/* The arena of a workspace; NULL with an exception. */
static wsp_arena *arena_of(PyObject *ws) {
  wsp_arena *arena = NULL;
  return wspace_arena_of(ws, &arena) < 0 ? NULL : arena;
}

static PyObject *result_of(wsp_status status, PyObject *ws, PyObject *result) {
  if (wspace_raise(status, ws) < 0) Py_CLEAR(result);
  return result;
}

/* 0 + 1 + ... squared, in scratch memory and without the GIL. */
static PyObject *sum_of_squares(PyObject *self, PyObject *args) {
  PyObject *ws;
  Py_ssize_t n;
  (void)self;
  if (!PyArg_ParseTuple(args, "On", &ws, &n)) return NULL;
  wsp_arena *arena = arena_of(ws);
  if (arena == NULL) return NULL;
  double sum = 0;
  wsp_status status;
  Py_BEGIN_ALLOW_THREADS;
  wsp_mark mark;
  status = wspace_scope_push(arena, &mark);
  if (status == WSP_OK) {
    void *room;
    status = wspace_array(arena, (size_t)n, sizeof(double), &room);
    if (status == WSP_OK) {
      double *x = (double *)room;
      for (Py_ssize_t i = 0; i < n; ++i) x[i] = (double)i;
      for (Py_ssize_t i = 0; i < n; ++i) sum += x[i] * x[i];
    }
    wsp_status popped = wspace_scope_pop(arena, &mark);
    if (status == WSP_OK) status = popped;
  }
  Py_END_ALLOW_THREADS;
  return result_of(status, ws, PyFloat_FromDouble(sum));
}

/* Whether that workspace is current: asked with the GIL, and without it. */
static PyObject *is_current(PyObject *self, PyObject *ws) {
  (void)self;
  wsp_arena *arena = arena_of(ws), *with = NULL, *without = NULL;
  wsp_status status;
  if (arena == NULL) return NULL;
  Py_BEGIN_ALLOW_THREADS;
  status = wspace_current(&without);
  Py_END_ALLOW_THREADS;
  if (wspace_current(&with) != status) return PyUnicode_FromString("they differ");
  return Py_BuildValue("NN", PyBool_FromLong(with == arena),
                       PyBool_FromLong(without == arena));
}

/* An array of n doubles, 0 to n - 1, over a raw allocation with room for `room`. */
static PyObject *array_over(PyObject *self, PyObject *args) {
  PyObject *ws, *dtype;
  Py_ssize_t n, room;
  unsigned flags;
  (void)self;
  if (!PyArg_ParseTuple(args, "OOnnI", &ws, &dtype, &n, &room, &flags)) return NULL;
  wsp_arena *arena = arena_of(ws);
  void *ptr;
  if (arena == NULL) return NULL;
  wsp_status status = wspace_array(arena, (size_t)room, sizeof(double), &ptr);
  if (wspace_raise(status, ws) < 0) return NULL;
  for (Py_ssize_t i = 0; i < room; ++i) ((double *)ptr)[i] = (double)i;
  return wspace_array_over(ws, ptr, dtype, 1, &n, flags);
}

static PyObject *array_new(PyObject *self, PyObject *args) {
  PyObject *ws, *dtype;
  Py_ssize_t dims[2];
  unsigned flags;
  (void)self;
  if (!PyArg_ParseTuple(args, "OOnnI", &ws, &dtype, &dims[0], &dims[1], &flags))
    return NULL;
  return wspace_array_new(ws, dtype, 2, dims, flags);
}

static PyObject *over_a_foreign_pointer(PyObject *self, PyObject *ws) {
  static double mine[4];
  Py_ssize_t n = 4;
  (void)self;
  PyObject *name = PyUnicode_FromString("f8");
  PyObject *array = wspace_array_over(ws, mine, name, 1, &n, 0);
  Py_DECREF(name);
  return array;
}

static PyObject *owner(PyObject *self, PyObject *x) {
  (void)self;
  return wspace_owner(x);
}

static PyObject *detach(PyObject *self, PyObject *x) {
  (void)self;
  return wspace_detach(x);
}

static PyObject *raise_status(PyObject *self, PyObject *args) {
  PyObject *ws;
  int status;
  (void)self;
  if (!PyArg_ParseTuple(args, "iO", &status, &ws)) return NULL;
  return result_of((wsp_status)status, ws == Py_None ? NULL : ws, Py_NewRef(Py_None));
}

static PyObject *version(PyObject *self, PyObject *ignored) {
  (void)self, (void)ignored;
  return Py_BuildValue("IIn", wspace_api->abi_major, wspace_api->abi_minor,
                       (Py_ssize_t)wspace_api->struct_size);
}

/* ---- references ------------------------------------------------------------ */

static wsp_ref kept;

static PyObject *keep_reference(PyObject *self, PyObject *args) {
  PyObject *ws;
  int pinned;
  (void)self;
  if (!PyArg_ParseTuple(args, "Op", &ws, &pinned)) return NULL;
  wsp_arena *arena = arena_of(ws);
  void *ptr;
  if (arena == NULL) return NULL;
  wspace_ref_drop(&kept);
  wsp_status status = wspace_alloc(arena, sizeof(double), &ptr);
  if (status == WSP_OK) status = wspace_ref_make(arena, ptr, &kept);
  if (status == WSP_OK && pinned) status = wspace_pin(&kept);
  if (status == WSP_OK) *(double *)ptr = 42;
  return result_of(status, ws, Py_NewRef(Py_None));
}

static PyObject *use_reference(PyObject *self, PyObject *ws) {
  (void)self;
  wsp_status status = wspace_ref_alive(&kept);
  return result_of(status, ws,
                   PyFloat_FromDouble(status == WSP_OK ? *(double *)kept.ptr : 0));
}

static PyObject *drop_reference(PyObject *self, PyObject *ignored) {
  (void)self, (void)ignored;
  wspace_ref_drop(&kept);
  Py_RETURN_NONE;
}

/* Read through a raw pointer of a cycle that is over: a mistake, for sanitizers. */
static double *stale;

static PyObject *leave_stale(PyObject *self, PyObject *ws) {
  (void)self;
  wsp_arena *arena = arena_of(ws);
  if (arena == NULL) return NULL;
  stale = (double *)wspace_take(arena, 1000);
  if (stale == NULL) return PyErr_NoMemory();
  stale[10] = 1;
  Py_RETURN_NONE;
}

static PyObject *read_stale(PyObject *self, PyObject *ignored) {
  (void)self, (void)ignored;
  return PyFloat_FromDouble(((volatile double *)stale)[10]);
}

/* ---- cleanups -------------------------------------------------------------- */

static char cleaned[16];
static size_t cleaned_count;

static void clean(void *arg) {
  if (cleaned_count + 1 < sizeof cleaned) cleaned[cleaned_count++] = *(char *)arg;
}

static PyObject *clean_later(PyObject *self, PyObject *args) {
  PyObject *ws;
  int letter;
  void *room, *arg;
  (void)self;
  if (!PyArg_ParseTuple(args, "OC", &ws, &letter)) return NULL;
  wsp_arena *arena = arena_of(ws);
  if (arena == NULL) return NULL;
  wsp_status status = wspace_zeroed(arena, sizeof(wsp_cleanup), &room);
  if (status == WSP_OK) status = wspace_alloc(arena, 1, &arg);
  if (status == WSP_OK) {
    wsp_cleanup *node = (wsp_cleanup *)room;
    *(char *)arg = (char)letter;
    node->fn = clean;
    node->arg = arg;
    status = wspace_on_end(arena, node);
  }
  return result_of(status, ws, Py_NewRef(Py_None));
}

static PyObject *cleaned_up(PyObject *self, PyObject *ignored) {
  (void)self, (void)ignored;
  return PyUnicode_FromStringAndSize(cleaned, (Py_ssize_t)cleaned_count);
}

/* ---- threads --------------------------------------------------------------- */

typedef struct worker {
  pthread_t thread;
  wsp_pool *pool;
  wsp_arena *foreign;
  long sum;
  wsp_status status, refused;
} worker;

static void *work(void *arg) {
  worker *w = (worker *)arg;
  wsp_arena *arena;
  void *room;
  w->refused = wspace_alloc(w->foreign, 8, &room);
  w->status = wspace_pool_take(w->pool, &arena);
  for (int i = 0; w->status == WSP_OK && i < 100; ++i) {
    w->status = wspace_array(arena, 100, sizeof(long), &room);
    for (long k = 0; w->status == WSP_OK && k < 100; ++k)
      w->sum += ((long *)room)[k] = k;
  }
  if (w->status == WSP_OK) w->status = wspace_pool_give(w->pool, arena);
  return NULL;
}

/* Four threads with arenas of a pool: their sums, and what the workspace's said. */
static PyObject *threads(PyObject *self, PyObject *ws) {
  worker workers[4];
  wsp_pool *pool;
  (void)self;
  wsp_arena *arena = arena_of(ws);
  if (arena == NULL || wspace_raise(wspace_pool_new(0, &pool), ws) < 0) return NULL;
  for (int i = 0; i < 4; ++i) {
    memset(&workers[i], 0, sizeof workers[i]);
    workers[i].pool = pool;
    workers[i].foreign = arena;
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) abort();
  }
  long sum = 0;
  wsp_status refused = WSP_ETHREAD, status = WSP_OK;
  for (int i = 0; i < 4; ++i) {
    pthread_join(workers[i].thread, NULL);
    sum += workers[i].sum;
    if (workers[i].refused != WSP_ETHREAD) refused = workers[i].refused;
    if (workers[i].status != WSP_OK) status = workers[i].status;
  }
  if (status == WSP_OK) status = wspace_pool_free(pool);
  return result_of(status, ws, Py_BuildValue("ls", sum, wspace_status_name(refused)));
}

static PyMethodDef methods[] = {
    {"sum_of_squares", sum_of_squares, METH_VARARGS, NULL},
    {"is_current", is_current, METH_O, NULL},
    {"array_over", array_over, METH_VARARGS, NULL},
    {"array_new", array_new, METH_VARARGS, NULL},
    {"over_a_foreign_pointer", over_a_foreign_pointer, METH_O, NULL},
    {"owner", owner, METH_O, NULL},
    {"detach", detach, METH_O, NULL},
    {"raise_status", raise_status, METH_VARARGS, NULL},
    {"version", version, METH_NOARGS, NULL},
    {"keep_reference", keep_reference, METH_VARARGS, NULL},
    {"use_reference", use_reference, METH_O, NULL},
    {"drop_reference", drop_reference, METH_NOARGS, NULL},
    {"leave_stale", leave_stale, METH_O, NULL},
    {"read_stale", read_stale, METH_NOARGS, NULL},
    {"clean_later", clean_later, METH_VARARGS, NULL},
    {"cleaned_up", cleaned_up, METH_NOARGS, NULL},
    {"threads", threads, METH_O, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "consumer", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_consumer(void) {
  if (import_wspace() < 0) return NULL;
  return PyModule_Create(&module);
}
