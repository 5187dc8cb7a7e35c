# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3
cimport numpy as cnp
from libc.stdint cimport uint64_t

from wspace._core cimport (
    ws_current_fn,
    ws_handler,
    wsp_arena,
    wsp_cycle,
    wsp_status,
)


cdef class Arena:
    cdef wsp_arena *_ptr        # borrowed from _handler; NULL only while being made
    cdef ws_handler *_handler   # owned reference; keeps the core alive
    cdef object _capsule        # of the present or of the last cycle
    cdef readonly str name
    cdef readonly bint _bypasses  # the open cycle places nothing
    cdef dict _sites            # (code, line) -> number; None: not recorded
    cdef list _places           # number -> (file, line, function)
    cdef object __weakref__

    cdef wsp_status begin(self) except *
    cdef void end(self, wsp_cycle *out) noexcept
    cdef bint runs(self, uint64_t generation) noexcept
    cdef bint mine(self) noexcept
    cdef bint opened(self) noexcept
    cdef bint is_others(self) noexcept
    cdef uint64_t generation_now(self) noexcept
    cdef void leave_open(self) noexcept
    cdef list escaping_sites(self)
    cdef bint _has_made(self, cnp.ndarray made) noexcept
    cdef object _place_copy(self, cnp.ndarray made)


cdef object current_handler()
cdef object set_handler(object capsule)
cdef bint is_closed_handler(object capsule) noexcept
cdef void set_current_source(ws_current_fn source) noexcept
cdef void note_arena(wsp_arena *current) noexcept
