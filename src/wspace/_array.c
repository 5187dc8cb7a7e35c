/* SPDX-License-Identifier: BSD-3-Clause
 * The Array type: linking, wrapping, leaving the workspace. */
#include "_array.h"

#include <numpy/arrayobject.h>
#include <string.h>

static PyTypeObject *stand_in_type; /* of numpy.lib.stride_tricks */
static Py_ssize_t link_offset; /* the size of an ndarray, as NumPy says at run time */

ws_link *ws_link_of(PyObject *array) {
  return (ws_link *)((char *)array + link_offset);
}

static PyObject *array_of(ws_link *link) {
  return (PyObject *)((char *)link - link_offset);
}

int ws_is_checked(PyObject *object) { return Py_IS_TYPE(object, &ws_Array_Type); }

/* ---- whose memory it is ---------------------------------------------------- */

/* What stands between a plain array and a checked one that owns its data itself, so
 * that nobody who walks along `.base` meets the checked one. */
typedef struct {
  PyObject_HEAD PyObject *array;
} ws_keeper;

static void keeper_dealloc(PyObject *self) {
  Py_XDECREF(((ws_keeper *)self)->array);
  Py_TYPE(self)->tp_free(self);
}

static PyTypeObject keeper_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wspace._arena.Keeper",
    .tp_basicsize = sizeof(ws_keeper),
    .tp_dealloc = keeper_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = "What a kept array holds its memory by.",
};

/* One step down a chain of bases that is not an array: memoryviews, and the stand-in
 * that numpy.lib.stride_tricks puts underneath.  Borrowed; NULL: the chain ends here.
 */
static PyObject *below(PyObject *base) {
  PyObject *next = NULL;
  if (Py_IS_TYPE(base, &keeper_type)) return ((ws_keeper *)base)->array;
  if (PyMemoryView_Check(base)) {
    next = PyObject_GetAttrString(base, "obj"); /* refused when it was released */
    Py_XDECREF(next);                           /* the view holds it */
  } else if (Py_IS_TYPE(base, stand_in_type)) {
    /* From its dict, since looking up an attribute could run code of others. */
    PyObject *dict = PyObject_GenericGetDict(base, NULL);
    if (dict != NULL) next = PyDict_GetItemString(dict, "base");
    Py_XDECREF(dict);
  }
  if (PyErr_Occurred()) PyErr_Clear();
  return next;
}

PyArrayObject *ws_data_owner(PyObject *array) {
  /* Bases cannot be set in a circle, but those of stand-ins can. */
  for (int steps = 0; array != NULL && steps < 1000; ++steps) {
    if (!PyArray_Check(array) && !ws_is_stale(array)) {
      array = below(array);
      continue;
    }
    PyArrayObject *arr = (PyArrayObject *)array;
    if (PyArray_CHKFLAGS(arr, NPY_ARRAY_OWNDATA)) return arr;
    array = PyArray_BASE(arr);
  }
  return NULL;
}

const void *ws_data_of(PyObject *array) {
  PyArrayObject *owner = ws_data_owner(array);
  return owner == NULL ? NULL : PyArray_DATA(owner);
}

/* The handler that made the data of `owner`, and the generation it was made in. */
static ws_handler *home_of_owner(PyArrayObject *owner, uint64_t *made) {
  PyObject *capsule = PyArray_HANDLER(owner);
  ws_handler *home = capsule == NULL ? NULL : ws_handler_of(capsule);
  if (home == NULL) return NULL;
  const void *data = PyArray_DATA(owner);
  *made = wsp_arena_owns(home->arena, data) ? wsp_generation(home->arena, data)
                                            : ws_handler_mark(capsule);
  return home;
}

ws_handler *ws_home_of_memory(PyObject *array) {
  PyArrayObject *owner = ws_data_owner(array);
  uint64_t made;
  ws_handler *home = owner == NULL ? NULL : home_of_owner(owner, &made);
  if (home == NULL || !wsp_arena_owns(home->arena, PyArray_DATA(owner))) return NULL;
  return home;
}

ws_handler *ws_home_of_separate(PyObject *array, uint64_t *made) {
  PyArrayObject *owner = ws_data_owner(array);
  PyObject *capsule = owner == NULL ? NULL : PyArray_HANDLER(owner);
  ws_handler *home = capsule == NULL ? NULL : ws_handler_of(capsule);
  if (home == NULL || !ws_handler_is_separate(capsule)) return NULL;
  if ((size_t)PyArray_NBYTES(owner) < home->min_block) return NULL;
  *made = ws_handler_mark(capsule);
  return home;
}

int ws_is_made_by(const ws_handler *home, PyObject *array) {
  PyArrayObject *owner = ws_data_owner(array);
  PyObject *capsule = owner == NULL ? NULL : PyArray_HANDLER(owner);
  return capsule != NULL && ws_handler_of(capsule) == home;
}

/* Its survival is nobody's mistake. */
static void excuse(PyArrayObject *owner) {
  ws_handler *home = ws_home_of_memory((PyObject *)owner);
  if (home == NULL) return;
  /* Otherwise its owner may be at work there, without the GIL. */
  if (wsp_arena_is_mine(home->arena) || !wsp_arena_is_open(home->arena))
    wsp_arena_excuse(home->arena, PyArray_DATA(owner));
}

/* ---- linking --------------------------------------------------------------- */

static void link_insert(ws_link *link, ws_handler *home, uint64_t generation) {
  ws_handler_ref(home);
  link->home = home;
  link->generation = generation;
  link->prev = NULL;
  link->next = home->linked;
  if (link->next != NULL) link->next->prev = link;
  home->linked = link;
}

static void link_remove(ws_link *link) {
  if (link->next != NULL) link->next->prev = link->prev;
  if (link->prev != NULL)
    link->prev->next = link->next;
  else if (link->home->linked == link)
    link->home->linked = link->next;
  link->prev = link->next = NULL;
}

/* Whether what was made in a generation is valid, and will not always be. */
static bool goes_stale(const ws_handler *home, uint64_t made) {
  if (home->keeps) return made > home->over;
  return wsp_arena_is_open(home->arena) && wsp_arena_in_cycle(home->arena) &&
         made == wsp_arena_generation(home->arena);
}

/* Called by NumPy for each new Array, and more than once for some: the first call that
 * finds an owner of the current generation decides. */
static int array_finalize(PyArrayObject *self, PyObject *parent) {
  (void)parent;
  if (!ws_is_checked((PyObject *)self)) return 0; /* somebody's who borrowed this */
  ws_link *link = ws_link_of((PyObject *)self);
  if (link->home != NULL) return 0;
  PyArrayObject *owner = ws_data_owner((PyObject *)self);
  uint64_t made;
  ws_handler *home = owner == NULL ? NULL : home_of_owner(owner, &made);
  if (home == NULL || !goes_stale(home, made)) return 0;
  link_insert(link, home, made);
  if (owner == self)
    excuse(owner);
  else /* a second reference: ndarray.resize does not move what has more than one */
    link->owner = Py_NewRef(owner);
  return 0;
}

static void array_dealloc(PyObject *self) {
  ws_link *link = ws_link_of(self);
  ws_handler *home = link->home;
  PyObject *owner = link->owner;
  if (home != NULL) link_remove(link);
  /* ndarray's frees the object: nothing of it may be touched afterwards. */
  PyArray_Type.tp_dealloc(self);
  Py_XDECREF(owner);
  if (home != NULL) ws_handler_unref(home);
}

void ws_make_stale(ws_handler *home) {
  ws_link *link = home->linked;
  home->linked = NULL;
  while (link != NULL) {
    ws_link *next = link->next;
    PyObject *array = array_of(link);
    link->prev = link->next = NULL;
    assert(Py_IS_TYPE(array, &ws_Array_Type));
    Py_SET_TYPE(array, &ws_StaleArray_Type);
    link = next;
  }
}

Py_ssize_t ws_linked_references(PyObject *owner) {
  uint64_t made;
  ws_handler *home = home_of_owner((PyArrayObject *)owner, &made);
  Py_ssize_t count = 0;
  for (ws_link *link = home == NULL ? NULL : home->linked; link; link = link->next)
    if (link->owner == owner)
      count += PyArray_BASE((PyArrayObject *)array_of(link)) == owner ? 2 : 1;
  return count;
}

/* ---- making ---------------------------------------------------------------- */

PyObject *ws_checked_view(PyObject *plain) {
  PyObject *view = PyArray_View((PyArrayObject *)plain, NULL, &ws_Array_Type);
  if (view == NULL) return NULL;
  PyArrayObject *owner = ws_data_owner(plain);
  if (owner != NULL && ws_link_of(view)->home != NULL) excuse(owner);
  return view;
}

PyObject *ws_checked_if_linked(PyObject *plain) {
  PyObject *view = ws_checked_view(plain);
  if (view == NULL || ws_link_of(view)->home != NULL) return view;
  Py_DECREF(view);
  return Py_NewRef(plain);
}

/* Like PyArray_Empty, under the handler of `home` and without its lower bound. */
static PyObject *place(ws_handler *home, PyObject *capsule, PyArray_Descr *descr,
                       int nd, npy_intp *dims, int fortran, int zero) {
  PyObject *current = PyDataMem_GetHandler();
  if (current == NULL) {
    Py_DECREF(descr);
    return NULL;
  }
  bool elsewhere = current != capsule;
  Py_DECREF(current);
  PyObject *before = NULL, *array;
  if (elsewhere && (before = PyDataMem_SetHandler(capsule)) == NULL) {
    Py_DECREF(descr);
    return NULL;
  }
  size_t min_block = home->min_block;
  home->min_block = 0;
  array = zero ? PyArray_Zeros(nd, dims, descr, fortran)
               : PyArray_Empty(nd, dims, descr, fortran);
  home->min_block = min_block;
  if (elsewhere) {
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    Py_XDECREF(PyDataMem_SetHandler(before));
    Py_DECREF(before);
    PyErr_Restore(type, value, trace);
  }
  return array;
}

PyObject *ws_array_new(ws_handler *home, PyObject *capsule, PyArray_Descr *descr,
                       int nd, npy_intp *dims, int fortran, int zero, int checked) {
  PyObject *plain = place(home, capsule, descr, nd, dims, fortran, zero);
  if (plain == NULL || !checked) return plain;
  PyObject *view = ws_checked_view(plain);
  Py_DECREF(plain);
  return view;
}

/* ---- leaving --------------------------------------------------------------- */

PyObject *ws_copy_out(PyObject *array) {
  PyArrayObject *from = (PyArrayObject *)array;
  PyObject *before = PyDataMem_SetHandler(NULL);
  if (before == NULL) return NULL;
  PyObject *copy = PyArray_NewLikeArray(from, NPY_KEEPORDER, NULL, 0);
  PyObject *swapped = PyDataMem_SetHandler(before);
  Py_DECREF(before);
  Py_XDECREF(swapped);
  if (swapped == NULL) Py_CLEAR(copy);
  if (copy != NULL && PyArray_CopyInto((PyArrayObject *)copy, from) < 0) Py_CLEAR(copy);
  return copy;
}

/* A plain view whose base is a keeper of `array`. */
static PyObject *keeper_view(PyArrayObject *array) {
  ws_keeper *keeper = PyObject_New(ws_keeper, &keeper_type);
  if (keeper == NULL) return NULL;
  keeper->array = Py_NewRef(array);
  PyArray_Descr *descr = PyArray_DESCR(array);
  Py_INCREF(descr);
  int flags = PyArray_FLAGS(array) & ~NPY_ARRAY_OWNDATA;
  PyObject *view = PyArray_NewFromDescr(&PyArray_Type, descr, PyArray_NDIM(array),
                                        PyArray_DIMS(array), PyArray_STRIDES(array),
                                        PyArray_DATA(array), flags, NULL);
  if (view == NULL) {
    Py_DECREF(keeper);
    return NULL;
  }
  if (PyArray_SetBaseObject((PyArrayObject *)view, (PyObject *)keeper) < 0)
    Py_CLEAR(view);
  return view;
}

PyObject *ws_keep(PyObject *array) {
  PyArrayObject *owner = ws_data_owner(array);
  if (owner != NULL) excuse(owner);
  if (!ws_is_checked(array)) return Py_NewRef(array);
  /* The chain of bases of a checked view collapses to its owner when that is plain. */
  if (owner != NULL && PyArray_CheckExact(owner)) {
    PyObject *view = PyArray_View((PyArrayObject *)array, NULL, &PyArray_Type);
    PyObject *base = view == NULL ? NULL : PyArray_BASE((PyArrayObject *)view);
    if (view == NULL || base == NULL || PyArray_CheckExact(base)) return view;
    Py_DECREF(view);
  }
  return keeper_view((PyArrayObject *)array);
}

/* ---- methods --------------------------------------------------------------- */

PyDoc_STRVAR(
    wrap_doc,
    "__array_wrap__($self, array, context=None, return_scalar=False, /)\n--\n\n"
    "Make the result of a ufunc what it would be for a plain array: a scalar, or\n"
    "an array, which is checked when its memory is the workspace's.");

static PyObject *array_wrap(PyObject *self, PyObject *args) {
  PyObject *array, *context = NULL;
  int return_scalar = 0;
  (void)self;
  if (!PyArg_ParseTuple(args, "O!|Op:__array_wrap__", &PyArray_Type, &array, &context,
                        &return_scalar))
    return NULL;
  PyArrayObject *arr = (PyArrayObject *)array;
  if (return_scalar && PyArray_NDIM(arr) == 0)
    return PyArray_ToScalar(PyArray_DATA(arr), arr);
  if (!PyArray_CheckExact(array)) return Py_NewRef(array);
  return ws_checked_if_linked(array);
}

PyDoc_STRVAR(
    detach_doc,
    "detach($self, /)\n--\n\n"
    "Copy the array out of its workspace: `wspace.detach(self)`.\n\n"
    "Returns\n-------\nnumpy.ndarray\n"
    "    A plain array of the same shape, dtype and memory order on NumPy's own\n"
    "    heap, whatever scope is open.");

static PyObject *array_detach(PyObject *self, PyObject *ignored) {
  if (ws_is_stale(self)) return ws_raise_stale(self); /* bound before */
  (void)ignored;
  return ws_copy_out(self);
}

PyDoc_STRVAR(reduce_doc,
             "__reduce_ex__($self, protocol, /)\n--\n\n"
             "Pickle a detached plain array with the same values.");

static PyObject *array_reduce_ex(PyObject *self, PyObject *protocol) {
  if (ws_is_stale(self)) return ws_raise_stale(self); /* bound before */
  PyObject *copy = ws_copy_out(self);
  if (copy == NULL) return NULL;
  PyObject *result = PyObject_CallMethod(copy, "__reduce_ex__", "O", protocol);
  Py_DECREF(copy);
  return result;
}

static PyObject *array_reduce(PyObject *self, PyObject *ignored) {
  (void)ignored;
  PyObject *protocol = PyLong_FromLong(2);
  if (protocol == NULL) return NULL;
  PyObject *result = array_reduce_ex(self, protocol);
  Py_DECREF(protocol);
  return result;
}

PyDoc_STRVAR(deepcopy_doc,
             "__deepcopy__($self, memo, /)\n--\n\n"
             "Deep-copy into a detached plain array.");

static PyObject *array_deepcopy(PyObject *self, PyObject *memo) {
  if (ws_is_stale(self)) return ws_raise_stale(self); /* bound before */
  PyObject *plain = PyArray_View((PyArrayObject *)self, NULL, &PyArray_Type);
  if (plain == NULL) return NULL;
  PyObject *before = PyDataMem_SetHandler(NULL), *copy = NULL;
  if (before != NULL) {
    copy = PyObject_CallMethod(plain, "__deepcopy__", "O", memo);
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    Py_XDECREF(PyDataMem_SetHandler(before));
    Py_DECREF(before);
    PyErr_Restore(type, value, trace);
  }
  Py_DECREF(plain);
  return copy;
}

PyDoc_STRVAR(tofile_doc,
             "tofile($self, fid, /, sep='', format='%s')\n--\n\n"
             "Write the elements to a file: `numpy.ndarray.tofile`.");

/* Call a method of the plain view: of those that call back in the middle and trust that
 * `self` is still an ndarray then, which it is not when the cycle has ended. */
static PyObject *call_plain(PyObject *self, const char *name, PyObject *args,
                            PyObject *kwargs) {
  if (ws_is_stale(self)) return ws_raise_stale(self); /* bound before */
  PyObject *plain = PyArray_View((PyArrayObject *)self, NULL, &PyArray_Type);
  PyObject *method = plain == NULL ? NULL : PyObject_GetAttrString(plain, name);
  PyObject *result = method == NULL ? NULL : PyObject_Call(method, args, kwargs);
  Py_XDECREF(method);
  Py_XDECREF(plain);
  return result;
}

static PyObject *array_tofile(PyObject *self, PyObject *args, PyObject *kwargs) {
  return call_plain(self, "tofile", args, kwargs);
}

PyDoc_STRVAR(put_doc, "Set elements by their flat indices: `numpy.ndarray.put`.");

static PyObject *array_put(PyObject *self, PyObject *args, PyObject *kwargs) {
  return call_plain(self, "put", args, kwargs);
}

static PyObject *numpy_putmask; /* the function of the kind above */

PyDoc_STRVAR(function_doc, "Run a NumPy function as for plain arrays.");

static PyObject *array_function(PyObject *self, PyObject *args) {
  PyObject *function, *types, *given, *kwargs;
  if (!PyArg_ParseTuple(args, "OOO!O!:__array_function__", &function, &types,
                        &PyTuple_Type, &given, &PyDict_Type, &kwargs))
    return NULL;
  if (function == numpy_putmask && PyTuple_GET_SIZE(given) > 0 &&
      ws_is_checked(PyTuple_GET_ITEM(given, 0))) {
    PyObject *first = PyTuple_GET_ITEM(given, 0);
    PyObject *plain = PyArray_View((PyArrayObject *)first, NULL, &PyArray_Type);
    PyObject *rest = PyTuple_GetSlice(given, 1, PyTuple_GET_SIZE(given));
    PyObject *one = plain == NULL ? NULL : PyTuple_Pack(1, plain);
    PyObject *all = one == NULL || rest == NULL ? NULL : PySequence_Concat(one, rest);
    PyObject *result = all == NULL ? NULL : PyObject_Call(function, all, kwargs);
    Py_XDECREF(all);
    Py_XDECREF(one);
    Py_XDECREF(rest);
    Py_XDECREF(plain);
    return result;
  }
  return PyObject_CallMethod((PyObject *)&PyArray_Type, "__array_function__", "OOOOO",
                             self, function, types, given, kwargs);
}

/* NumPy before 2.4 makes an array of `other` once more when there is no loop, and
 * trusts that it got one.  When only `other` is checked, Python asks it first. */
static PyObject *array_richcompare(PyObject *self, PyObject *other, int operation) {
  if (!ws_is_checked(other)) return PyArray_Type.tp_richcompare(self, other, operation);
  PyObject *plain = PyArray_View((PyArrayObject *)other, NULL, &PyArray_Type);
  if (plain == NULL) return NULL;
  PyObject *result = PyArray_Type.tp_richcompare(self, plain, operation);
  Py_DECREF(plain);
  return result;
}

static PyMethodDef array_methods[] = {
    {"__array_wrap__", array_wrap, METH_VARARGS, wrap_doc},
    {"__reduce__", array_reduce, METH_NOARGS, reduce_doc},
    {"__reduce_ex__", array_reduce_ex, METH_O, reduce_doc},
    {"__deepcopy__", array_deepcopy, METH_O, deepcopy_doc},
    {"detach", array_detach, METH_NOARGS, detach_doc},
    {"__array_function__", array_function, METH_VARARGS, function_doc},
    {"put", (PyCFunction)(void (*)(void))array_put, METH_VARARGS | METH_KEYWORDS,
     put_doc},
    {"tofile", (PyCFunction)(void (*)(void))array_tofile, METH_VARARGS | METH_KEYWORDS,
     tofile_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    array_doc,
    "Array(shape, dtype=float, buffer=None, offset=0, strides=None, order=None)\n"
    "--\n\n"
    "A checked array: it dies with its cycle.\n\n"
    "Made by the creators of a workspace, computed from another one, or a view\n"
    "of one. When the cycle ends it becomes a `StaleArray`, and any use of it\n"
    "raises `StaleArrayError`. Results that should outlive the cycle are handed\n"
    "out with `detach`, or `wspace.keep` without a copy.\n\n"
    "See Also\n--------\n"
    "wspace.detach : Copy arrays out of their workspace.\n"
    "wspace.keep : Hand an array out without a copy.\n\n"
    "Examples\n--------\n"
    ">>> import wspace\n"
    ">>> with wspace.Workspace(\"demo\") as ws:\n"
    "...     x = ws.ones(3) + 1.0\n"
    "...     kept = x.detach()\n"
    "...     type(x).__name__, type(kept).__name__\n"
    "('Array', 'ndarray')");

PyTypeObject ws_Array_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wspace.Array",
    .tp_dealloc = array_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT, /* no BASETYPE: final */
    .tp_doc = array_doc,
    .tp_iter = ws_array_iter,
    .tp_methods = array_methods,
    .tp_getset = ws_array_getset,
};

/* ---- __array_finalize__ ---------------------------------------------------- */

/* NumPy looks it up on the type and takes a capsule for a C function; library code
 * looks on an instance and calls what it finds there unless that is None. */
typedef struct {
  PyObject_HEAD PyObject *capsule;
} ws_finalizer;

static void finalizer_dealloc(PyObject *self) {
  Py_XDECREF(((ws_finalizer *)self)->capsule);
  Py_TYPE(self)->tp_free(self);
}

static PyObject *finalizer_get(PyObject *self, PyObject *instance, PyObject *type) {
  (void)type;
  return Py_NewRef(instance == NULL ? ((ws_finalizer *)self)->capsule : Py_None);
}

static PyTypeObject finalizer_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "wspace._arena.Finalizer",
    .tp_basicsize = sizeof(ws_finalizer),
    .tp_dealloc = finalizer_dealloc,
    .tp_descr_get = finalizer_get,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc =
        "The __array_finalize__ of a type, as NumPy expects it of one written in C.",
};

/* NumPy up to 2.4.0 gives back the handler of an array whose finalizer fails, and again
 * when that array dies; found out at import. */
static bool numpy_drops_twice;

/* NumPy raises when the function returns -1, and keeps the exception that is set. */
static int stale_finalize(PyArrayObject *self, PyObject *parent) {
  if (parent != NULL && ws_is_stale(parent))
    (void)ws_raise_stale(parent);
  else if (ws_is_stale((PyObject *)self))
    (void)ws_raise_stale((PyObject *)self);
  else
    PyErr_SetString(PyExc_TypeError, "the finalizer of StaleArray is its own");
  if (numpy_drops_twice && PyArray_CHKFLAGS(self, NPY_ARRAY_OWNDATA))
    Py_XINCREF(PyArray_HANDLER(self));
  return -1;
}

static int find_out_drops(void) {
  npy_intp dims[] = {1};
  PyObject *handler = PyDataMem_GetHandler();
  if (handler == NULL) return -1;
  Py_ssize_t before = Py_REFCNT(handler);
  PyArray_Descr *descr = PyArray_DescrFromType(NPY_DOUBLE);
  PyObject *none =
      PyArray_NewFromDescr(&ws_StaleArray_Type, descr, 1, dims, NULL, NULL, 0, NULL);
  Py_XDECREF(none); /* there is none: the finalizer has refused */
  PyErr_Clear();
  numpy_drops_twice = Py_REFCNT(handler) < before;
  if (numpy_drops_twice) Py_INCREF(handler);
  Py_DECREF(handler);
  return 0;
}

/* A dict for a type with its __array_finalize__. */
static PyObject *dict_with_finalizer(int (*function)(PyArrayObject *, PyObject *)) {
  ws_finalizer *finalizer = PyObject_New(ws_finalizer, &finalizer_type);
  if (finalizer == NULL) return NULL;
  finalizer->capsule = PyCapsule_New((void *)(uintptr_t)function, NULL, NULL);
  PyObject *dict = PyDict_New();
  if (finalizer->capsule == NULL || dict == NULL ||
      PyDict_SetItemString(dict, "__array_finalize__", (PyObject *)finalizer) < 0)
    Py_CLEAR(dict);
  Py_DECREF(finalizer);
  return dict;
}

int ws_array_setup(PyObject *stale, PyObject *stand_in) {
  import_array1(-1);
  if (PyArray_Type.tp_itemsize != 0) {
    PyErr_SetString(PyExc_ImportError, "cannot extend numpy.ndarray: it has items");
    return -1;
  }
  stand_in_type = (PyTypeObject *)Py_NewRef(stand_in);
  if (PyType_Ready(&keeper_type) < 0 || PyType_Ready(&finalizer_type) < 0) return -1;
  Py_ssize_t align = (Py_ssize_t) _Alignof(ws_link);
  link_offset = (PyArray_Type.tp_basicsize + align - 1) / align * align;
  PyTypeObject *types[] = {&ws_Array_Type, &ws_StaleArray_Type};
  for (int i = 0; i < 2; ++i) {
    types[i]->tp_basicsize = link_offset + (Py_ssize_t)sizeof(ws_link);
    types[i]->tp_dict = dict_with_finalizer(i == 0 ? array_finalize : stale_finalize);
    if (types[i]->tp_dict == NULL) return -1;
  }
  ws_Array_Type.tp_base = &PyArray_Type;
  if (PyArray_GetNDArrayCFeatureVersion() < 0x15) { /* 2.4's; older headers lack it */
    ws_Array_Type.tp_richcompare = array_richcompare;
    ws_Array_Type.tp_hash = PyObject_HashNotImplemented;
  }
  /* The swap needs the weak references at the same place. */
  ws_StaleArray_Type.tp_weaklistoffset = PyArray_Type.tp_weaklistoffset;
  if (ws_stale_setup(stale) < 0 || ws_iterate_setup() < 0) return -1;
  if (PyType_Ready(&ws_Array_Type) < 0) return -1;
  PyObject *numpy = PyImport_ImportModule("numpy");
  numpy_putmask = numpy == NULL ? NULL : PyObject_GetAttrString(numpy, "putmask");
  Py_XDECREF(numpy);
  return numpy_putmask == NULL ? -1 : find_out_drops();
}
