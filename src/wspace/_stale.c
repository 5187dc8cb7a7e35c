/* SPDX-License-Identifier: BSD-3-Clause
 * The StaleArray type: what an Array is after its cycle.  It has no instances of its
 * own; ws_make_stale changes the type of Arrays to it, even of some that NumPy is
 * working on. So what NumPy looks up on the way must be there, and raise when it is
 * called. */
#include <numpy/arrayobject.h>

#include "_array.h"

static PyObject *make_error;  /* (name, shape, dtype, made, now, last) -> exception */
static PyObject *array_names; /* the attributes of ndarray */
static PyObject *own_names;   /* those of StaleArray, from `object` too */

int ws_is_stale(PyObject *object) { return Py_IS_TYPE(object, &ws_StaleArray_Type); }

/* (shape, dtype) of an array, stale or not, as Python objects; -1 with an exception. */
static int describe(PyObject *self, PyObject **shape, PyObject **dtype) {
  PyArrayObject *array = (PyArrayObject *)self;
  *dtype = NULL;
  *shape = PyArray_IntTupleFromIntp(PyArray_NDIM(array), PyArray_DIMS(array));
  if (*shape != NULL) *dtype = PyObject_Str((PyObject *)PyArray_DESCR(array));
  if (*dtype != NULL) return 0;
  Py_CLEAR(*shape);
  return -1;
}

/* The generation that is open now; None: no cycle is. */
static PyObject *generation_now(const ws_handler *home) {
  if (home == NULL || !wsp_arena_is_open(home->arena)) Py_RETURN_NONE;
  return PyLong_FromUnsignedLongLong(wsp_arena_generation(home->arena));
}

PyObject *ws_raise_stale(PyObject *self) {
  ws_link *link = ws_link_of(self);
  PyObject *shape, *dtype;
  if (describe(self, &shape, &dtype) < 0) return NULL;
  PyObject *now = generation_now(link->home), *error = NULL;
  PyObject *name = link->home == NULL ? Py_None : link->home->name;
  unsigned long long last =
      link->home == NULL ? 0 : wsp_arena_generation(link->home->arena);
  if (now != NULL)
    error = PyObject_CallFunction(make_error, "OOOKOK", name, shape, dtype,
                                  (unsigned long long)link->generation, now, last);
  Py_DECREF(shape);
  Py_DECREF(dtype);
  Py_XDECREF(now);
  if (error == NULL) return NULL;
  PyErr_SetObject((PyObject *)Py_TYPE(error), error);
  Py_DECREF(error);
  return NULL;
}

static PyObject *stale_repr(PyObject *self) {
  ws_link *link = ws_link_of(self);
  PyObject *shape, *dtype, *text;
  PyObject *name = link->home == NULL ? Py_None : link->home->name;
  if (describe(self, &shape, &dtype) < 0) return NULL;
  text = PyUnicode_FromFormat(
      "<stale array %S %U of workspace %R, made in generation %llu>", shape, dtype,
      name, (unsigned long long)link->generation);
  Py_DECREF(shape);
  Py_DECREF(dtype);
  return text;
}

static void stale_dealloc(PyObject *self) {
  Py_SET_TYPE(self, &ws_Array_Type);
  ws_Array_Type.tp_dealloc(self);
}

/* ---- attributes ------------------------------------------------------------ */

static PyObject *stale_getattro(PyObject *self, PyObject *name) {
  if (!PyUnicode_Check(name)) {
    PyErr_SetString(PyExc_TypeError, "attribute name must be a string");
    return NULL;
  }
  /* What raises when it is called, and what introspection asks for. */
  int own = PySet_Contains(own_names, name);
  if (own < 0) return NULL;
  if (own) return PyObject_GenericGetAttr(self, name);
  if (PyUnicode_CompareWithASCIIString(name, "base") == 0) Py_RETURN_NONE;
  bool is_private = PyUnicode_GetLength(name) > 0 && PyUnicode_ReadChar(name, 0) == '_';
  int known = is_private ? PySet_Contains(array_names, name) : 1;
  if (known < 0) return NULL;
  if (known) return ws_raise_stale(self);
  return PyErr_Format(PyExc_AttributeError, "stale array has no attribute %R", name);
}

static int stale_setattro(PyObject *self, PyObject *name, PyObject *value) {
  (void)name, (void)value;
  (void)ws_raise_stale(self);
  return -1;
}

/* ---- every other use ------------------------------------------------------- */

static PyObject *no_unary(PyObject *self) { return ws_raise_stale(self); }

static PyObject *no_binary(PyObject *a, PyObject *b) {
  return ws_raise_stale(ws_is_stale(a) ? a : b);
}

static PyObject *no_ternary(PyObject *a, PyObject *b, PyObject *c) {
  return ws_raise_stale(ws_is_stale(a) ? a : ws_is_stale(b) ? b : c);
}

static PyObject *no_compare(PyObject *a, PyObject *b, int op) {
  (void)op;
  return no_binary(a, b);
}

static int no_bool(PyObject *self) { return ws_raise_stale(self), -1; }
static Py_ssize_t no_length(PyObject *self) { return ws_raise_stale(self), -1; }
static Py_hash_t no_hash(PyObject *self) { return ws_raise_stale(self), -1; }

static PyObject *no_item(PyObject *self, Py_ssize_t i) {
  (void)i;
  return ws_raise_stale(self);
}

static int no_set_subscript(PyObject *self, PyObject *key, PyObject *value) {
  (void)key, (void)value;
  return ws_raise_stale(self), -1;
}

static int no_contains(PyObject *self, PyObject *value) {
  (void)value;
  return ws_raise_stale(self), -1;
}

static int no_buffer(PyObject *self, Py_buffer *view, int flags) {
  (void)flags;
  view->obj = NULL;
  return ws_raise_stale(self), -1;
}

static PyObject *no_call(PyObject *self, PyObject *args, PyObject *kwargs) {
  (void)args, (void)kwargs;
  return ws_raise_stale(self);
}

/* Without a format it is introspection, as str() is. */
static PyObject *stale_format(PyObject *self, PyObject *format) {
  if (!PyUnicode_Check(format) || PyUnicode_GetLength(format) != 0)
    return ws_raise_stale(self);
  return PyObject_Str(self);
}

static PyNumberMethods no_number = {
    .nb_add = no_binary,
    .nb_subtract = no_binary,
    .nb_multiply = no_binary,
    .nb_remainder = no_binary,
    .nb_divmod = no_binary,
    .nb_power = no_ternary,
    .nb_negative = no_unary,
    .nb_positive = no_unary,
    .nb_absolute = no_unary,
    .nb_bool = no_bool,
    .nb_invert = no_unary,
    .nb_lshift = no_binary,
    .nb_rshift = no_binary,
    .nb_and = no_binary,
    .nb_xor = no_binary,
    .nb_or = no_binary,
    .nb_int = no_unary,
    .nb_float = no_unary,
    .nb_inplace_add = no_binary,
    .nb_inplace_subtract = no_binary,
    .nb_inplace_multiply = no_binary,
    .nb_inplace_remainder = no_binary,
    .nb_inplace_power = no_ternary,
    .nb_inplace_lshift = no_binary,
    .nb_inplace_rshift = no_binary,
    .nb_inplace_and = no_binary,
    .nb_inplace_xor = no_binary,
    .nb_inplace_or = no_binary,
    .nb_floor_divide = no_binary,
    .nb_true_divide = no_binary,
    .nb_inplace_floor_divide = no_binary,
    .nb_inplace_true_divide = no_binary,
    .nb_index = no_unary,
    .nb_matrix_multiply = no_binary,
    .nb_inplace_matrix_multiply = no_binary,
};

static PySequenceMethods no_sequence = {
    .sq_length = no_length,
    .sq_concat = no_binary,
    .sq_repeat = no_item,
    /* No sq_item: NumPy would take it for a sequence, and say so instead of why not. */
    .sq_contains = no_contains,
    .sq_inplace_concat = no_binary,
    .sq_inplace_repeat = no_item,
};

static PyMappingMethods no_mapping = {
    .mp_length = no_length,
    .mp_subscript = no_binary,
    .mp_ass_subscript = no_set_subscript,
};

static PyBufferProcs no_buffers = {.bf_getbuffer = no_buffer};

#define NO_METHOD(name) \
  {name, (PyCFunction)(void (*)(void))no_call, METH_VARARGS | METH_KEYWORDS, NULL}

/* NumPy's protocols are found, and raise when they are called; a lookup that failed
 * would be taken for "not an array-like", or worse. */
static PyMethodDef no_methods[] = {
    NO_METHOD("__array_wrap__"),
    NO_METHOD("__array_ufunc__"),
    NO_METHOD("__array_function__"),
    NO_METHOD("__reduce__"),
    NO_METHOD("__reduce_ex__"),
    NO_METHOD("__getstate__"),
    NO_METHOD("__copy__"),
    NO_METHOD("__deepcopy__"),
    NO_METHOD("__complex__"),
    NO_METHOD("__reversed__"),
    NO_METHOD("__dlpack__"),
    NO_METHOD("__dlpack_device__"),
    {"__format__", stale_format, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    stale_doc,
    "A checked array whose cycle is over.\n\n"
    "Any use raises `StaleArrayError`; `repr`, `type`, `id` and weak references\n"
    "work. It is no `numpy.ndarray`, and cannot be made or subclassed.\n\n"
    "Examples\n--------\n"
    ">>> import wspace\n"
    ">>> with wspace.Workspace(\"demo\") as ws:\n"
    "...     x = ws.ones(3)\n"
    ">>> x\n"
    "<stale array (3,) float64 of workspace 'demo', made in generation 1>");

PyTypeObject ws_StaleArray_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wspace.StaleArray",
    .tp_dealloc = stale_dealloc,
    .tp_repr = stale_repr,
    .tp_as_number = &no_number,
    .tp_as_sequence = &no_sequence,
    .tp_as_mapping = &no_mapping,
    .tp_as_buffer = &no_buffers,
    .tp_hash = no_hash,
    .tp_call = NULL,
    .tp_getattro = stale_getattro,
    .tp_setattro = stale_setattro,
    .tp_richcompare = no_compare,
    .tp_iter = no_unary,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = stale_doc,
    .tp_methods = no_methods,
};

/* Add the names of a type's own attributes to a set; -1 with an exception. */
static int add_names(PyObject *names, PyTypeObject *type) {
  PyObject *dict = PyObject_GetAttrString((PyObject *)type, "__dict__");
  if (dict == NULL) return -1;
  PyObject *done = PyObject_CallMethod(names, "update", "O", dict);
  Py_DECREF(dict);
  Py_XDECREF(done);
  return done == NULL ? -1 : 0;
}

int ws_stale_setup(PyObject *stale) {
  import_array1(-1);
  PyObject *priority = PyFloat_FromDouble(0.0);
  if (priority == NULL) return -1;
  int failed =
      PyDict_SetItemString(ws_StaleArray_Type.tp_dict, "__array_priority__", priority);
  Py_DECREF(priority);
  if (failed < 0 || PyType_Ready(&ws_StaleArray_Type) < 0) return -1;
  array_names = PySet_New(NULL);
  own_names = PySet_New(NULL);
  if (array_names == NULL || own_names == NULL) return -1;
  if (add_names(array_names, &PyArray_Type) < 0) return -1;
  if (add_names(own_names, &ws_StaleArray_Type) < 0) return -1;
  if (add_names(own_names, &PyBaseObject_Type) < 0) return -1;
  make_error = Py_NewRef(stale);
  return 0;
}
