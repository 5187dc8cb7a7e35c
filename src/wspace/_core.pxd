# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3
"""Declarations of the C core and of the C half of the bridge; their headers explain."""

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint32_t, uint64_t

cimport numpy as cnp


cdef extern from "stdbool.h":
    ctypedef bint c_bool "bool"


cdef extern from "wsp.h" nogil:
    ctypedef struct wsp_arena:
        pass

    ctypedef enum wsp_status:
        WSP_OK
        WSP_ENOMEM
        WSP_EFULL
        WSP_EINVAL
        WSP_EOVERFLOW
        WSP_ETHREAD
        WSP_EBUSY
        WSP_ECLOSED
        WSP_EFORKED
        WSP_EFILE
        WSP_EHELD

    ctypedef struct wsp_upstream:
        void *ctx
        void *(*reserve)(void *ctx, size_t size) noexcept nogil
        c_bool (*commit)(void *ctx, void *base, size_t size) noexcept nogil
        void (*purge)(void *ctx, void *base, size_t size) noexcept nogil
        void (*release)(void *ctx, void *base, size_t size) noexcept nogil

    enum:
        WSP_HUGE_PAGES
        WSP_POPULATE
        WSP_ZERO_ON_FREE
        WSP_NO_SPILL
        WSP_RECORD
        WSP_LEARN
        WSP_RING_SKIP
        WSP_RING_REFUSE

    ctypedef struct wsp_file:
        pass

    ctypedef struct wsp_options:
        wsp_upstream upstream
        size_t alignment
        size_t initial
        size_t max_block
        size_t limit
        wsp_file *file
        size_t slots
        uint32_t flags

    ctypedef struct wsp_cycle:
        uint64_t generation
        size_t high_water
        size_t need
        size_t fit
        size_t spilled
        size_t carried
        size_t escaped
        uint64_t escaped_count
        uint64_t allocations
        bint outside

    ctypedef struct wsp_slot:
        size_t capacity
        size_t used
        size_t live
        size_t high_water
        uint64_t generation
        uint64_t cycles
        uint64_t held
        bint is_next

    ctypedef struct wsp_refusal:
        wsp_status status
        size_t requested
        size_t free
        size_t capacity

    ctypedef struct wsp_stats:
        uint64_t generation
        uint64_t cycles
        size_t capacity
        size_t used
        size_t high_water
        size_t last_high_water
        size_t cycle_high_water
        size_t spilled
        size_t retained
        size_t escaped
        size_t reserved
        size_t blocks
        uint64_t allocations
        uint64_t spills
        uint64_t escaped_count
        uint64_t upstream_calls

    wsp_options wsp_options_default()
    wsp_status wsp_arena_new(const wsp_options *options, wsp_arena **out)
    wsp_status wsp_arena_release(wsp_arena *arena)
    wsp_status wsp_arena_close(wsp_arena *arena)
    wsp_status wsp_arena_enter(wsp_arena *arena)
    wsp_status wsp_arena_reset(wsp_arena *arena, wsp_cycle *out)
    void wsp_arena_abandon(wsp_arena *arena)
    wsp_status wsp_arena_recover(wsp_arena *arena)
    bint wsp_arena_is_mine(const wsp_arena *arena)
    bint wsp_arena_is_open(const wsp_arena *arena)
    bint wsp_arena_in_cycle(const wsp_arena *arena)
    uint64_t wsp_arena_generation(const wsp_arena *arena)
    wsp_status wsp_arena_resize(wsp_arena *arena, size_t capacity)
    wsp_status wsp_arena_fit(wsp_arena *arena, size_t capacity)
    wsp_status wsp_arena_move(wsp_arena *arena)
    wsp_status wsp_arena_warm(wsp_arena *arena, size_t size)
    size_t wsp_arena_trim(wsp_arena *arena)
    bint wsp_arena_is_inherited(const wsp_arena *arena)
    bint wsp_arena_owns(const wsp_arena *arena, const void *ptr)
    size_t wsp_arena_slots(const wsp_arena *arena)
    wsp_slot wsp_arena_slot(wsp_arena *arena, size_t index)
    wsp_refusal wsp_arena_refusal(const wsp_arena *arena)
    wsp_stats wsp_arena_stats(const wsp_arena *arena)
    size_t wsp_arena_resident(wsp_arena *arena)
    bint wsp_arena_check(wsp_arena *arena)
    const void *wsp_arena_find(wsp_arena *arena, const void *ptr)
    void wsp_arena_excuse(wsp_arena *arena, void *ptr)
    uint64_t wsp_generation(const wsp_arena *arena, const void *ptr)
    wsp_status wsp_file_open(const char *path, bint temporary, size_t size,
                             wsp_file **out, int *reason)
    size_t wsp_file_size(const wsp_file *file)
    void wsp_file_unref(wsp_file *file)
    size_t wsp_arena_bytes_for(const wsp_arena *arena, size_t size)
    size_t wsp_bytes_for(size_t size, size_t alignment)
    wsp_status wsp_arena_poison(wsp_arena *arena, c_bool on)
    size_t wsp_arena_peak(const wsp_arena *arena)
    wsp_status wsp_arena_take_peak(wsp_arena *arena, size_t *out)


cdef extern from "wsp.h":
    ctypedef void (*wsp_visit_fn)(void *ctx, size_t size, uint32_t site) noexcept

    void wsp_arena_visit(wsp_arena *arena, wsp_visit_fn visit, void *ctx) noexcept


cdef extern from "_handler.h":
    ctypedef uint32_t (*ws_site_fn)(void *ctx) noexcept

    ctypedef struct ws_handler:
        wsp_arena *arena
        size_t min_block
        uint64_t passed_small
        uint64_t passed_foreign
        uint64_t passed_separate
        c_bool separate
        ws_site_fn site
        void *site_ctx
        PyObject *owner
        ws_link *linked
        bint keeps
        uint64_t over

    int ws_handler_setup() except -1
    int ws_watch_thread() except -1
    ws_handler *ws_handler_new(wsp_arena *arena, object name, size_t least) except NULL
    void ws_handler_unref(ws_handler *handler) noexcept
    object ws_handler_capsule(ws_handler *handler, uint64_t generation)
    int ws_handler_remark(object capsule, uint64_t generation) except -1
    ws_handler *ws_handler_of(object capsule) noexcept
    uint64_t ws_handler_mark(object capsule) noexcept


cdef extern from "_array.h":
    ctypedef struct ws_link:
        ws_handler *home
        uint64_t generation

    PyTypeObject ws_Array_Type
    PyTypeObject ws_StaleArray_Type
    int ws_array_setup(object stale, object stand_in) except -1
    bint ws_is_checked(object x) noexcept
    bint ws_is_stale(object x) noexcept
    ws_link *ws_link_of(object array) noexcept
    void *ws_data_owner(object array) noexcept
    const void *ws_data_of(object array) noexcept
    Py_ssize_t ws_linked_references(PyObject *owner) noexcept
    ws_handler *ws_home_of_memory(object array) noexcept
    ws_handler *ws_home_of_separate(object array, uint64_t *made) noexcept
    bint ws_is_made_by(const ws_handler *home, object array) noexcept
    object ws_array_new(ws_handler *home, object capsule, cnp.dtype descr, int nd,
                        cnp.npy_intp *dims, int fortran, int zero, int checked)
    object ws_checked_view(object plain)
    object ws_copy_out(object array)
    object ws_keep(object array)
    void ws_make_stale(ws_handler *home) noexcept
    object ws_raise_stale(object array)


cdef extern from "wsp_raw.h" nogil:
    void wsp_run_cleanups(wsp_arena *arena)


cdef extern from "_capi.h":
    ctypedef int (*ws_parts_fn)(
        object workspace, ws_handler **home, PyObject **capsule
    ) except -1
    ctypedef wsp_arena *(*ws_current_fn)() noexcept

    object ws_capi_new(ws_parts_fn parts, object raise_)
    void ws_capi_set_calls(object owner, object detach) noexcept
    void ws_capi_set_source(ws_current_fn source) noexcept
    void ws_capi_note(wsp_arena *arena) noexcept
    object ws_capi_addresses()


cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(PyObject *handler)
    object PyDataMem_GetHandler()
