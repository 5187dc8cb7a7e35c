/* SPDX-License-Identifier: BSD-3-Clause
 * Power in bands of a heart-rate trace, window by window, in scratch memory.
 *
 * The same pipeline runs over two ways to get memory: raw allocations of a workspace,
 * and malloc and free. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "wspace/capi.h"

typedef struct memory {
  wsp_arena *arena; /* NULL: malloc and free */
  wsp_status status;
} memory;

static void *take(memory *m, size_t count, size_t size) {
  void *room = NULL;
  if (m->arena == NULL) return malloc(count * size);
  m->status = wspace_array(m->arena, count, size, &room);
  return room;
}

static void give(const memory *m, void *room) {
  if (m->arena == NULL) free(room);
}

enum { BANDS = 4 };

/* In place, of a power of two; `turn` are the n / 2 roots of unity. */
static void transform(double complex *x, const double complex *turn, size_t n) {
  for (size_t i = 1, k = 0; i < n; ++i) {
    size_t bit = n >> 1;
    for (; k & bit; bit >>= 1) k ^= bit;
    k ^= bit;
    if (i < k) {
      double complex swap = x[i];
      x[i] = x[k], x[k] = swap;
    }
  }
  for (size_t half = 1; half < n; half *= 2) {
    for (size_t i = 0; i < n; i += 2 * half) {
      for (size_t k = 0; k < half; ++k) {
        double complex odd = x[i + k + half] * turn[k * (n / 2 / half)];
        x[i + k + half] = x[i + k] - odd;
        x[i + k] += odd;
      }
    }
  }
}

/* The numbers of the work: `count` windows of n values, `step` apart. */
typedef struct plan {
  size_t n, step, count;
  const double complex *turn;
  const double *weight;
} plan;

/* Each stage takes room for its own result, as a library of such steps does. */
static double *detrend(memory *m, const plan *p, const double *trace) {
  double *flat = take(m, p->count * p->n, sizeof(double));
  double middle = ((double)p->n - 1) / 2, norm = 0;
  for (size_t i = 0; i < p->n; ++i) norm += ((double)i - middle) * ((double)i - middle);
  for (size_t w = 0; flat != NULL && w < p->count; ++w) {
    const double *from = trace + w * p->step;
    double *to = flat + w * p->n, mean = 0, slope = 0;
    for (size_t i = 0; i < p->n; ++i) mean += from[i];
    mean /= (double)p->n;
    for (size_t i = 0; i < p->n; ++i) slope += ((double)i - middle) * from[i];
    slope /= norm;
    for (size_t i = 0; i < p->n; ++i)
      to[i] = from[i] - mean - slope * ((double)i - middle);
  }
  return flat;
}

static double complex *spectra(memory *m, const plan *p, const double *flat) {
  double complex *x = take(m, p->count * p->n, sizeof(double complex));
  for (size_t w = 0; x != NULL && w < p->count; ++w) {
    for (size_t i = 0; i < p->n; ++i)
      x[w * p->n + i] = flat[w * p->n + i] * p->weight[i];
    transform(x + w * p->n, p->turn, p->n);
  }
  return x;
}

static double *powers_of(memory *m, const plan *p, const double complex *x) {
  double *power = take(m, p->count * p->n / 2, sizeof(double));
  for (size_t w = 0; power != NULL && w < p->count; ++w) {
    for (size_t i = 0; i < p->n / 2; ++i) {
      double complex value = x[w * p->n + i];
      power[w * p->n / 2 + i] =
          creal(value) * creal(value) + cimag(value) * cimag(value);
    }
  }
  return power;
}

static bool run(memory *m, plan *p, const double *trace, double *bands) {
  double complex *turn = take(m, p->n / 2, sizeof *turn);
  double *weight = take(m, p->n, sizeof *weight), *flat = NULL, *power = NULL;
  double complex *x = NULL;
  if (turn != NULL && weight != NULL) {
    double middle = ((double)p->n - 1) / 2;
    for (size_t i = 0; i < p->n / 2; ++i)
      turn[i] = cexp(-2 * acos(-1) * I * (double)i / (double)p->n);
    for (size_t i = 0; i < p->n; ++i) /* Welch's window */
      weight[i] = 1 - ((double)i - middle) / middle * (((double)i - middle) / middle);
    p->turn = turn, p->weight = weight;
    flat = detrend(m, p, trace);
    if (flat != NULL) x = spectra(m, p, flat);
    if (x != NULL) power = powers_of(m, p, x);
  }
  for (size_t i = 0; power != NULL && i < p->count * BANDS; ++i) bands[i] = 0;
  for (size_t w = 0; power != NULL && w < p->count; ++w)
    for (size_t i = 1; i < p->n / 2; ++i)
      bands[w * BANDS + i * BANDS / (p->n / 2)] += power[w * p->n / 2 + i];
  bool good = power != NULL;
  give(m, power), give(m, x), give(m, flat), give(m, weight), give(m, turn);
  return good;
}

/* What the stages took ends here; the bands, taken before, stay. */
static bool run_in_scope(memory *m, plan *p, const double *trace, double *bands) {
  wsp_mark mark;
  if (m->arena == NULL) return run(m, p, trace, bands);
  m->status = wspace_scope_push(m->arena, &mark);
  bool good = m->status == WSP_OK && run(m, p, trace, bands);
  if (m->status == WSP_OK) m->status = wspace_scope_pop(m->arena, &mark);
  return good && m->status == WSP_OK;
}

/* powers(ws, trace, n, step) -> array (windows, 4) of the workspace; ws None: malloc,
 * and its bytes. */
static PyObject *powers(PyObject *self, PyObject *args) {
  PyObject *ws;
  Py_buffer trace;
  Py_ssize_t n, step;
  (void)self;
  if (!PyArg_ParseTuple(args, "Oy*nn", &ws, &trace, &n, &step)) return NULL;
  size_t length = (size_t)trace.len / sizeof(double);
  PyObject *result = NULL;
  memory m = {NULL, WSP_OK};
  void *bands = NULL;
  if (n < 8 || (n & (n - 1)) != 0 || (size_t)n > length || step < 1) {
    PyErr_SetString(PyExc_ValueError, "n must be a power of two within the trace");
    goto done;
  }
  if (ws != Py_None && wspace_arena_of(ws, &m.arena) < 0) goto done;
  Py_ssize_t dims[2] = {((Py_ssize_t)length - n) / step + 1, BANDS};
  plan p = {.n = (size_t)n, .step = (size_t)step, .count = (size_t)dims[0]};
  bands = take(&m, p.count * BANDS, sizeof(double));
  bool good = bands != NULL;
  if (good) {
    Py_BEGIN_ALLOW_THREADS;
    good = run_in_scope(&m, &p, trace.buf, bands);
    Py_END_ALLOW_THREADS;
  }
  if (!good) {
    wspace_raise(m.status == WSP_OK ? WSP_ENOMEM : m.status, ws == Py_None ? NULL : ws);
  } else if (m.arena != NULL) {
    PyObject *dtype = PyUnicode_FromString("f8");
    if (dtype != NULL) result = wspace_array_over(ws, bands, dtype, 2, dims, 0);
    Py_XDECREF(dtype);
  } else {
    result = PyBytes_FromStringAndSize(bands, dims[0] * BANDS * 8);
  }
  if (bands != NULL) give(&m, bands);
done:
  PyBuffer_Release(&trace);
  return result;
}

static PyMethodDef methods[] = {{"powers", powers, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT,
                                    .m_name = "spectra",
                                    .m_size = -1,
                                    .m_methods = methods};

PyMODINIT_FUNC PyInit_spectra(void) {
  return import_wspace() < 0 ? NULL : PyModule_Create(&module);
}
