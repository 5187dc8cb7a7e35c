# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False
"""Running medians: without the GIL in a workspace, and on many threads with a pool."""

from cpython.object cimport PyObject
from cython.parallel cimport parallel, prange
from libc.string cimport memcpy

cimport wspace
from wspace cimport (
    WSP_OK,
    wsp_arena,
    wsp_mark,
    wsp_pool,
    wsp_status,
    wspace_array,
    wspace_pool_free,
    wspace_pool_give,
    wspace_pool_new,
    wspace_pool_take,
    wspace_raise,
    wspace_rewind,
    wspace_checkpoint,
)

wspace.import_wspace()


cdef wsp_status median(
    wsp_arena *arena, const double *x, Py_ssize_t n, double *out
) noexcept nogil:
    """The median of n values, whose copy is sorted in scratch memory."""
    cdef void *room
    cdef double *copy
    cdef double value
    cdef Py_ssize_t i, k
    cdef wsp_mark mark
    cdef wsp_status status = wspace_checkpoint(arena, &mark)
    if status == WSP_OK:
        status = wspace_array(arena, n, sizeof(double), &room)
    if status != WSP_OK:
        return status
    copy = <double *>room
    memcpy(copy, x, n * sizeof(double))
    for i in range(1, n):
        value = copy[i]
        k = i
        while k > 0 and copy[k - 1] > value:
            copy[k] = copy[k - 1]
            k = k - 1
        copy[k] = value
    out[0] = copy[n // 2]
    return wspace_rewind(arena, &mark)


def running(ws, const double[::1] x, Py_ssize_t n, double[::1] out):
    """Write the medians of all windows of n values to `out`, on this thread."""
    cdef wsp_arena *arena
    cdef wsp_status status = WSP_OK
    cdef Py_ssize_t i
    wspace.wspace_arena_of(ws, &arena)
    with nogil:
        for i in range(out.shape[0]):
            status = median(arena, &x[i], n, &out[i])
            if status != WSP_OK:
                break
    wspace_raise(status, <PyObject *>ws)


def running_parallel(const double[::1] x, Py_ssize_t n, double[::1] out, int threads):
    """The same on several threads, each with an arena of a pool."""
    cdef wsp_pool *pool
    cdef wsp_arena *arena
    cdef Py_ssize_t i
    cdef int failed = 0
    wspace_raise(wspace_pool_new(0, &pool), NULL)
    with nogil, parallel(num_threads=threads):
        arena = NULL
        if wspace_pool_take(pool, &arena) != WSP_OK:
            arena = NULL
        for i in prange(out.shape[0], schedule="static"):
            if median(arena, &x[i], n, &out[i]) != WSP_OK:  # of NULL: WSP_EINVAL
                failed += 1
        if arena != NULL and wspace_pool_give(pool, arena) != WSP_OK:
            with gil:
                raise RuntimeError("an arena could not be given back")
    wspace_raise(wspace_pool_free(pool), NULL)
    if failed:
        raise MemoryError(f"{failed} windows had no scratch memory")
