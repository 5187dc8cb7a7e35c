/* SPDX-License-Identifier: BSD-3-Clause
 * Iteration over checked arrays.  An iterator that was taken while the array was valid
 * goes on reading the right bytes when it is stale, so it holds a plain view: what
 * NumPy makes on the way would be of the type of the array, which is StaleArray then.
 */
#include <numpy/arrayobject.h>

#include "_array.h"

typedef struct {
  PyObject_HEAD PyObject *plain;
  Py_ssize_t next;
} ws_iterator;

static void iterator_dealloc(PyObject *self) {
  Py_XDECREF(((ws_iterator *)self)->plain);
  Py_TYPE(self)->tp_free(self);
}

/* A row is checked while the cycle is open, and plain afterwards. */
static PyObject *iterator_next(PyObject *self) {
  ws_iterator *it = (ws_iterator *)self;
  PyArrayObject *plain = (PyArrayObject *)it->plain;
  /* It can be reached by way of the rows' bases, and reshaped. */
  if (PyArray_NDIM(plain) == 0 || it->next >= PyArray_DIM(plain, 0)) return NULL;
  PyObject *item = PySequence_GetItem(it->plain, it->next++);
  if (item == NULL || !PyArray_CheckExact(item)) return item;
  PyObject *checked = ws_checked_if_linked(item);
  Py_DECREF(item);
  return checked;
}

static PyTypeObject iterator_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wspace._arena.Iterator",
    .tp_basicsize = sizeof(ws_iterator),
    .tp_dealloc = iterator_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = iterator_next,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "Iterate over the first dimension of a checked array.",
};

static PyObject *plain_view(PyObject *array) {
  return PyArray_View((PyArrayObject *)array, NULL, &PyArray_Type);
}

PyObject *ws_array_iter(PyObject *self) {
  if (PyArray_NDIM((PyArrayObject *)self) == 0) {
    PyErr_SetString(PyExc_TypeError, "iteration over a 0-d array");
    return NULL;
  }
  ws_iterator *it = PyObject_New(ws_iterator, &iterator_type);
  if (it == NULL) return NULL;
  it->next = 0;
  it->plain = plain_view(self);
  if (it->plain == NULL) Py_CLEAR(it);
  return (PyObject *)it;
}

static PyObject *flat_get(PyObject *self, void *closure) {
  (void)closure;
  PyObject *plain = plain_view(self);
  if (plain == NULL) return NULL;
  PyObject *flat = PyArray_IterNew(plain);
  Py_DECREF(plain);
  return flat;
}

static int flat_set(PyObject *self, PyObject *value, void *closure) {
  (void)closure;
  if (value == NULL) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete the attribute 'flat'");
    return -1;
  }
  PyObject *plain = plain_view(self);
  if (plain == NULL) return -1;
  int failed = PyObject_SetAttrString(plain, "flat", value);
  Py_DECREF(plain);
  return failed;
}

PyGetSetDef ws_array_getset[] = {
    {"flat", flat_get, flat_set,
     "A 1-d iterator over the elements, which outlives the cycle.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int ws_iterate_setup(void) {
  import_array1(-1);
  return PyType_Ready(&iterator_type);
}
