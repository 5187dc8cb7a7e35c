# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3
"""Declarations of wspace/capi.h, which explains them.

No classes and no functions of Cython: every call goes through the table, so a module
that was compiled with these keeps working with later versions.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t


cdef extern from "wspace/wsp_abi.h" nogil:
    ctypedef enum wsp_status:
        WSP_OK
        WSP_ENOMEM
        WSP_EFULL
        WSP_EINVAL
        WSP_EOVERFLOW
        WSP_ETHREAD
        WSP_ESTALE
        WSP_EBUSY
        WSP_ECLOSED
        WSP_EFORKED
        WSP_EFILE
        WSP_EHELD
        WSP_EORDER

    ctypedef struct wsp_arena:
        pass

    ctypedef struct wsp_pool:
        pass

    ctypedef struct wsp_mark:
        uint64_t arena
        uint64_t generation
        uint64_t serial
        uint32_t depth

    ctypedef struct wsp_ref:
        wsp_arena *arena
        void *ptr
        uint64_t generation
        uint64_t serial
        uint32_t pins

    ctypedef struct wsp_cleanup:
        void (*fn)(void *arg) noexcept nogil
        void *arg


cdef extern from "wspace/capi.h" nogil:
    enum:
        WSPACE_ABI_MAJOR
        WSPACE_ABI_MINOR
        WSPACE_PLAIN
        WSPACE_FORTRAN
        WSPACE_ZERO

    ctypedef struct wspace_stats:
        size_t struct_size
        uint64_t generation
        size_t capacity
        size_t used
        size_t high_water
        size_t spilled
        size_t retained
        size_t reserved
        size_t raw_used
        size_t raw_high_water
        uint64_t allocations
        uint64_t spills

    const char *wspace_status_name(wsp_status status) noexcept
    void wspace_arena_ref(wsp_arena *arena) noexcept
    void wspace_arena_unref(wsp_arena *arena) noexcept
    wsp_status wspace_current(wsp_arena **out) noexcept
    bint wspace_is_mine(const wsp_arena *arena) noexcept
    uint64_t wspace_generation(const wsp_arena *arena) noexcept
    wsp_status wspace_get_stats(wsp_arena *arena, wspace_stats *out) noexcept
    wsp_status wspace_alloc(wsp_arena *arena, size_t size, void **out) noexcept
    wsp_status wspace_zeroed(wsp_arena *arena, size_t size, void **out) noexcept
    wsp_status wspace_array(
        wsp_arena *arena, size_t count, size_t size, void **out
    ) noexcept
    void *wspace_take(wsp_arena *arena, size_t size) noexcept
    wsp_status wspace_realloc(
        wsp_arena *arena, void *ptr, size_t size, void **out
    ) noexcept
    wsp_status wspace_extend(wsp_arena *arena, void *ptr, size_t size) noexcept
    wsp_status wspace_free_last(wsp_arena *arena, void *ptr) noexcept
    wsp_status wspace_size(wsp_arena *arena, void *ptr, size_t *out) noexcept
    wsp_status wspace_limit(wsp_arena *arena, size_t bytes) noexcept
    wsp_status wspace_checkpoint(wsp_arena *arena, wsp_mark *out) noexcept
    wsp_status wspace_rewind(wsp_arena *arena, const wsp_mark *mark) noexcept
    wsp_status wspace_scope_push(wsp_arena *arena, wsp_mark *out) noexcept
    wsp_status wspace_scope_pop(wsp_arena *arena, const wsp_mark *mark) noexcept
    wsp_status wspace_ref_make(wsp_arena *arena, void *ptr, wsp_ref *out) noexcept
    wsp_status wspace_ref_alive(const wsp_ref *ref) noexcept
    void wspace_ref_drop(wsp_ref *ref) noexcept
    wsp_status wspace_pin(wsp_ref *ref) noexcept
    wsp_status wspace_unpin(wsp_ref *ref) noexcept
    wsp_status wspace_on_end(wsp_arena *arena, wsp_cleanup *node) noexcept
    wsp_status wspace_pool_new(size_t initial, wsp_pool **out) noexcept
    wsp_status wspace_pool_take(wsp_pool *pool, wsp_arena **out) noexcept
    wsp_status wspace_pool_give(wsp_pool *pool, wsp_arena *arena) noexcept
    wsp_status wspace_pool_free(wsp_pool *pool) noexcept


cdef extern from "wspace/capi.h":
    int import_wspace() except -1
    int wspace_arena_of(object workspace, wsp_arena **out) except -1
    object wspace_array_new(
        object workspace, object dtype, int nd, const Py_ssize_t *dims, unsigned flags
    )
    object wspace_array_over(
        object workspace, void *ptr, object dtype, int nd, const Py_ssize_t *dims,
        unsigned flags
    )
    object wspace_owner(object array)
    object wspace_detach(object obj)
    int wspace_raise(wsp_status status, PyObject *workspace) except -1
