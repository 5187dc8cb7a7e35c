/* SPDX-License-Identifier: BSD-3-Clause
 * Checked arrays.
 *
 * ws_Array_Type is a final subclass of ndarray whose instances are linked, when they
 * are made, to the handler of the open workspace that their memory belongs to.  At the
 * end of the cycle ws_make_stale turns each that is still alive into a
 * ws_StaleArray_Type: the same object, laid out the same, but no ndarray, and every use
 * of it raises.
 *
 * All functions need the GIL. */
#ifndef WS_ARRAY_H
#define WS_ARRAY_H

#include "_handler.h"

extern PyTypeObject ws_Array_Type, ws_StaleArray_Type;

/* Sits behind the fields of ndarray in both types. */
struct ws_link {
  PyObject *owner;      /* of the data, owned; NULL: not linked, or the array itself */
  ws_handler *home;     /* owned reference; NULL: not linked */
  uint64_t generation;  /* in which it was linked */
  ws_link *prev, *next; /* in home->linked until it is stale */
};

/* Ready the types.  `stand_in` is the type that numpy.lib.stride_tricks puts between an
 * array and its view; `stale` is called with (name, shape, dtype, made, now, last), the
 * open generation or None and the last one, and returns the exception for a use of a
 * stale array.  -1 with an exception. */
int ws_array_setup(PyObject *stale, PyObject *stand_in);
int ws_stale_setup(PyObject *stale);
int ws_iterate_setup(void);

int ws_is_checked(PyObject *object); /* exactly an Array */
int ws_is_stale(PyObject *object);

/* The link of an Array or a StaleArray. */
ws_link *ws_link_of(PyObject *array);

/* The array at the end of the chain of bases, which owns the data; borrowed, NULL:
 * none. */
PyArrayObject *ws_data_owner(PyObject *array);

/* The start of that owner's data; NULL: no owner. */
const void *ws_data_of(PyObject *array);

/* The handler in whose arena the memory of a plain array lies; NULL: none. */
ws_handler *ws_home_of_memory(PyObject *array);

/* The same for one that a cycle made apart, on NumPy's own heap, and the generation of
 * that cycle; what is too small to be captured is nobody's. */
ws_handler *ws_home_of_separate(PyObject *array, uint64_t *made);

/* Did `home` serve, or pass on, the request for the memory of the array. */
int ws_is_made_by(const ws_handler *home, PyObject *array);

/* A new array, placed in the open arena whatever its size, with a plain owner
 * underneath when it is to be checked.  Takes `descr`.  NULL with an exception. */
PyObject *ws_array_new(ws_handler *home, PyObject *capsule, PyArray_Descr *descr,
                       int nd, npy_intp *dims, int fortran, int zero, int checked);

/* A checked array over a plain one, which does not count as escaped then. */
PyObject *ws_checked_view(PyObject *plain);

/* The same if its memory is of the open cycle, else the plain one. */
PyObject *ws_checked_if_linked(PyObject *plain);

/* For the Array type. */
PyObject *ws_array_iter(PyObject *self);
extern PyGetSetDef ws_array_getset[];

/* A plain copy on NumPy's own heap, whatever is open; shape, dtype, memory order kept.
 */
PyObject *ws_copy_out(PyObject *array);

/* A plain array over the same memory, which does not count as escaped. */
PyObject *ws_keep(PyObject *array);

/* How many references to the owner of some data valid checked arrays hold. */
Py_ssize_t ws_linked_references(PyObject *owner);

/* Swap the type of every linked array. */
void ws_make_stale(ws_handler *home);

/* Set the exception for the use of a stale array; always NULL. */
PyObject *ws_raise_stale(PyObject *array);

#endif
