# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, auto_pickle=False, autotestdict=False
"""The arena of a workspace, and what an array says of its memory.

Pointers end here: below is C, above are objects. No policy: who enters when, what size
is learned and what is said about it is decided above.
"""

cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport malloc

from wspace._core cimport (
    c_bool,
    PyDataMem_GetHandler,
    PyDataMem_SetHandler,
    WSP_EBUSY,
    WSP_EFILE,
    WSP_EFULL,
    WSP_EINVAL,
    WSP_HUGE_PAGES,
    WSP_LEARN,
    WSP_NO_SPILL,
    WSP_OK,
    WSP_POPULATE,
    WSP_RECORD,
    WSP_RING_REFUSE,
    WSP_RING_SKIP,
    WSP_ZERO_ON_FREE,
    ws_Array_Type,
    ws_array_new,
    ws_array_setup,
    ws_capi_addresses,
    ws_capi_new,
    ws_capi_note,
    ws_capi_set_calls,
    ws_capi_set_source,
    ws_checked_view,
    ws_copy_out,
    ws_current_fn,
    ws_data_of,
    ws_data_owner,
    ws_handler,
    ws_handler_capsule,
    ws_handler_mark,
    ws_handler_new,
    ws_handler_of,
    ws_handler_remark,
    ws_handler_setup,
    ws_handler_unref,
    ws_home_of_memory,
    ws_home_of_separate,
    ws_is_checked,
    ws_is_made_by,
    ws_is_stale,
    ws_keep,
    ws_link_of,
    ws_linked_references,
    ws_make_stale,
    ws_raise_stale,
    ws_StaleArray_Type,
    ws_watch_thread,
    wsp_arena,
    wsp_arena_abandon,
    wsp_arena_bytes_for,
    wsp_arena_check,
    wsp_arena_close,
    wsp_arena_enter,
    wsp_arena_excuse,
    wsp_arena_find,
    wsp_arena_fit,
    wsp_arena_generation,
    wsp_arena_in_cycle,
    wsp_arena_is_inherited,
    wsp_arena_is_mine,
    wsp_arena_is_open,
    wsp_arena_move,
    wsp_arena_new,
    wsp_arena_owns,
    wsp_arena_peak,
    wsp_arena_poison,
    wsp_arena_recover,
    wsp_arena_refusal,
    wsp_arena_release,
    wsp_arena_reset,
    wsp_arena_resident,
    wsp_arena_resize,
    wsp_arena_slot,
    wsp_arena_slots,
    wsp_arena_stats,
    wsp_arena_take_peak,
    wsp_arena_trim,
    wsp_arena_visit,
    wsp_arena_warm,
    wsp_bytes_for,
    wsp_cycle,
    wsp_file,
    wsp_file_open,
    wsp_file_size,
    wsp_file_unref,
    wsp_generation,
    wsp_options,
    wsp_options_default,
    wsp_refusal,
    wsp_run_cleanups,
    wsp_stats,
    wsp_status,
    wsp_upstream,
)

import os
import weakref

import numpy

from wspace import _errors, _status

cnp.import_array()
ws_handler_setup()


def stale_error(*args):
    """Build the exception for a stale array, with what is open where it is used."""
    return _errors.with_open(_errors.stale(*args))


ws_array_setup(
    stale_error, type(numpy.lib.stride_tricks.as_strided(numpy.empty(1)).base)
)


cdef extern from "Python.h":
    int Py_REFCNT(PyObject *x)
    PyObject *PyList_GET_ITEM(object items, Py_ssize_t i)
    Py_ssize_t PyList_GET_SIZE(PyObject *items)
    PyObject *PyTuple_GET_ITEM(PyObject *items, Py_ssize_t i)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *items)
    bint PyDict_Next(PyObject *d, Py_ssize_t *at, PyObject **key, PyObject **value)
    bint PyTuple_CheckExact(PyObject *x)
    bint PyList_CheckExact(PyObject *x)
    bint PyDict_CheckExact(PyObject *x)
    bint PyLong_CheckExact(PyObject *x)
    bint PyFloat_CheckExact(PyObject *x)
    bint PyUnicode_CheckExact(PyObject *x)
    object PyWeakref_NewRef(object x, PyObject *callback)
    void PyErr_Fetch(PyObject **kind, PyObject **value, PyObject **trace)
    void PyErr_Restore(PyObject *kind, PyObject *value, PyObject *trace)


cdef extern from "numpy/arrayobject.h":
    bint PyArray_Check(PyObject *x)


cdef extern from *:
    """
    /* The functions of frames, on plain objects. */
    static PyObject *ws_frame(void) { return (PyObject *)PyEval_GetFrame(); }
    static PyObject *ws_frame_back(PyObject *frame) {
      return (PyObject *)PyFrame_GetBack((PyFrameObject *)frame);
    }
    static PyObject *ws_frame_code(PyObject *frame) {
      return (PyObject *)PyFrame_GetCode((PyFrameObject *)frame);
    }
    static int ws_frame_line(PyObject *frame) {
      return PyFrame_GetLineNumber((PyFrameObject *)frame);
    }
    """
    PyObject *ws_frame()
    PyObject *ws_frame_back(PyObject *frame)
    PyObject *ws_frame_code(PyObject *frame)
    int ws_frame_line(PyObject *frame)


Array = <object><PyObject *>&ws_Array_Type
StaleArray = <object><PyObject *>&ws_StaleArray_Type

# Every arena object that is alive: where to look for an address whose array does not
# tell.
_arenas = weakref.WeakSet()

# What cycles that begin from now on do with their memory: bits of Debugging. Of the
# whole process, as `wspace.set_debug` is.
cdef int _debugging = 0

cdef enum Debugging:
    SEPARATE = 1  # NumPy's heap serves each allocation apart
    BYPASS = 2    # nothing is placed
    POISON = 4    # what dies is filled with NaN

DEBUG_SEPARATE = SEPARATE
DEBUG_BYPASS = BYPASS
DEBUG_POISON = POISON

# Where no program is: inside NumPy, and in the modules of wspace itself.
_LIBRARIES = (
    os.path.dirname(numpy.__file__) + os.sep,
    os.path.join(os.path.dirname(_errors.__file__), "_"),
)


cdef class Arena:
    """Hold the C arena of one workspace and the memory handler over it.

    Parameters
    ----------
    name : str
        For messages.
    alignment, min_block, initial : int
        In bytes; `initial` is the size of the block that the first allocation makes.
    max_block, limit : int or None
        In bytes: bound of the block, and of all memory in use.
    slots : int
        Of a ring; 0: none.
    ring_skip, ring_refuse, no_spill, learn : bool
        The flags of ``wsp_options``.
    huge_pages, populate, zero_on_free, record : bool
        The flags of ``wsp_options``.
    file : (bytes, bool, int), optional
        Path of the file that is the block, or with True the directory for a temporary
        one; and its least size in bytes.
    faults : (int, bool), optional
        For tests: let this upstream call fail, counted from 1, and with True all later
        ones too.

    Notes
    -----
    Methods need the GIL. Those that change a workspace that is open elsewhere report it
    and change nothing.
    """

    def __cinit__(
        self, str name, *, size_t alignment=64, size_t min_block=1024, size_t initial=0,
        max_block=None, limit=None, size_t slots=0, bint ring_skip=False,
        bint ring_refuse=False, bint no_spill=False, bint learn=False,
        bint huge_pages=False, bint populate=False, bint zero_on_free=False,
        bint record=False, file=None, faults=None,
    ):
        cdef wsp_options options = wsp_options_default()
        cdef wsp_status status
        cdef wsp_arena *core = NULL
        cdef wsp_file *opened = NULL
        options.alignment = alignment
        options.initial = initial
        options.slots = slots
        if max_block is not None:
            options.max_block = max_block
        if limit is not None:
            options.limit = limit
        options.flags = (
            (WSP_NO_SPILL if no_spill else 0) | (WSP_LEARN if learn else 0)
            | (WSP_RING_SKIP if ring_skip else 0)
            | (WSP_RING_REFUSE if ring_refuse else 0)
            | (WSP_HUGE_PAGES if huge_pages else 0) | (WSP_POPULATE if populate else 0)
            | (WSP_ZERO_ON_FREE if zero_on_free else 0) | (WSP_RECORD if record else 0)
        )
        if faults is not None:
            _make_faulty(&options.upstream, faults[0], faults[1])
        if file is not None:
            opened = open_file(name, file[0], file[1], file[2])
            options.file = opened
            if no_spill:
                options.limit = wsp_file_size(opened)
        status = wsp_arena_new(&options, &core)
        if opened != NULL:
            wsp_file_unref(opened)
        if status == WSP_EINVAL:
            raise _errors.bad_alignment(alignment, field="alignment")
        if status != WSP_OK:
            raise MemoryError
        self.name = name
        self._handler = ws_handler_new(core, name, min_block)
        self._handler.keeps = slots != 0
        self._ptr = core
        if record:
            self._sites = {}
            self._places = [("an unknown place", 0, "no Python function")]
            self._handler.site_ctx = <void *>self
            self._handler.site = record_site
        _arenas.add(self)

    def __dealloc__(self):
        # Survivors hold the handler's capsule; all that is not theirs goes back now.
        if self._handler == NULL:
            return
        self._handler.site = NULL
        end_arrays(self)
        wsp_arena_abandon(self._ptr)
        if wsp_arena_close(self._ptr) != WSP_OK:
            pass  # inherited by a fork: left alone
        ws_handler_unref(self._handler)

    # ---- cycles, for the scope -------------------------------------------------------

    cdef wsp_status begin(self) except *:
        """Begin a cycle on this thread and prepare the capsule for it."""
        cdef wsp_status status
        ws_watch_thread()
        status = wsp_arena_enter(self._ptr)
        if status != WSP_OK:
            return status
        end_arrays(self)  # of a cycle that was abandoned
        self._bypasses = _debugging & BYPASS
        self._handler.separate = _debugging & SEPARATE
        status = wsp_arena_poison(self._ptr, _debugging & POISON)
        # Set anew unless arrays or contexts of an earlier cycle still refer to it.
        cdef uint64_t generation = wsp_arena_generation(self._ptr)
        cdef wsp_cycle ignored
        if self._capsule is None or Py_REFCNT(<PyObject *>self._capsule) > 1:
            try:
                self._capsule = ws_handler_capsule(self._handler, generation)
            except BaseException:  # no scope will end the cycle
                self.end(&ignored)
                raise
        else:
            ws_handler_remark(self._capsule, generation)
        return status

    cdef void end(self, wsp_cycle *out) noexcept:
        """End the cycle: stale, reset, closed; no Python code runs."""
        wsp_run_cleanups(self._ptr)  # those of C, while all is as it was
        end_arrays(self)
        if wsp_arena_reset(self._ptr, out) == WSP_OK:
            return
        # Abandoned meanwhile: nobody else has entered, or runs() would be false.
        if wsp_arena_recover(self._ptr) != WSP_OK:
            pass  # forked
        out.generation = wsp_arena_generation(self._ptr)
        out.high_water = out.need = out.fit = out.spilled = out.carried = 0
        out.escaped = out.escaped_count = out.allocations = 0
        out.outside = False

    cdef bint runs(self, uint64_t generation) noexcept:
        """Say whether the cycle of that generation has begun and not ended."""
        return (
            wsp_arena_in_cycle(self._ptr)
            and wsp_arena_generation(self._ptr) == generation
        )

    cdef list escaping_sites(self):
        """Return (file, line, function, bytes, times) of what would escape now."""
        if self._sites is None:
            return []
        tally = {}
        wsp_arena_visit(self._ptr, count_site, <void *>tally)
        return [
            (*self._places[site], nbytes, times)
            for site, (nbytes, times) in tally.items()
        ]

    cdef bint mine(self) noexcept:
        """Whether it is open on the calling thread."""
        return wsp_arena_is_mine(self._ptr)

    cdef bint opened(self) noexcept:
        """Whether it is open on a living thread of this process."""
        return wsp_arena_is_open(self._ptr)

    cdef bint is_others(self) noexcept:
        """Whether it is open on another thread, which is alive."""
        return wsp_arena_is_open(self._ptr) and not wsp_arena_is_mine(self._ptr)

    cdef uint64_t generation_now(self) noexcept:
        return wsp_arena_generation(self._ptr)

    cdef void leave_open(self) noexcept:
        """Leave the open cycle to the next one that enters; any thread."""
        wsp_arena_abandon(self._ptr)

    def recover(self):
        """End a cycle that was abandoned; say whether the arena is idle now."""
        if not wsp_arena_is_open(self._ptr):
            end_arrays(self)
        return wsp_arena_recover(self._ptr) == WSP_OK

    def lend(self):
        """Let checked arrays outlive their cycle, until `take_back`."""
        self._handler.keeps = True

    def take_back(self, uint64_t generation):
        """Make stale what was made up to a generation, if it is still the last."""
        if generation == wsp_arena_generation(self._ptr):
            self._handler.over = generation
            ws_make_stale(self._handler)

    def usage(self):
        """Return (most in use in the open cycle, retained), in bytes."""
        cdef wsp_stats s = wsp_arena_stats(self._ptr)
        return s.cycle_high_water, s.retained

    @property
    def capacity(self):
        """Size of the block, in bytes."""
        return wsp_arena_stats(self._ptr).capacity

    @property
    def is_inherited(self):
        """Whether it was made in the process that this one was forked from."""
        return wsp_arena_is_inherited(self._ptr)

    @property
    def is_open(self):
        """Whether it is open on a living thread."""
        return wsp_arena_is_open(self._ptr)

    # ---- memory ----------------------------------------------------------------------

    def resize(self, size_t capacity):
        """Make the block this large, in bytes; say whether upstream gave it."""
        return wsp_arena_resize(self._ptr, capacity) == WSP_OK

    def fit(self, size_t capacity):
        """Make the block exactly this large, in bytes; say whether upstream gave it."""
        return wsp_arena_fit(self._ptr, capacity) == WSP_OK

    def move(self):
        """Go on in another block of the same size; say whether upstream gave it."""
        return wsp_arena_move(self._ptr) == WSP_OK

    def warm(self, size_t size):
        """Bring the first bytes of the block into memory."""
        if wsp_arena_warm(self._ptr, size) != WSP_OK:
            pass  # open elsewhere by now: a hint, no more

    def trim(self):
        """Give back the memory behind what is free; return the bytes."""
        return wsp_arena_trim(self._ptr)

    def release(self):
        """Give all memory back but the survivors'; say whether it was idle."""
        ws_make_stale_if_idle(self)
        return wsp_arena_release(self._ptr) == WSP_OK

    def close(self):
        """As `release`, for good."""
        ws_make_stale_if_idle(self)
        return wsp_arena_close(self._ptr) == WSP_OK

    def bind(self, owner):
        """Remember the workspace, weakly, as the answer to `owner_of`."""
        old = <object>self._handler.owner
        reference = weakref.ref(owner)
        Py_INCREF(reference)
        self._handler.owner = <PyObject *>reference
        Py_XDECREF(<PyObject *>old)

    @property
    def owner(self):
        """The workspace, or None when it is gone."""
        reference = <object>self._handler.owner
        return None if reference is None else reference()

    def stats(self):
        """Return the figures of `WorkspaceStats` by name."""
        cdef wsp_stats s = wsp_arena_stats(self._ptr)
        cdef uint64_t separate = self._handler.passed_separate
        return {
            "generation": s.generation,
            "cycles": s.cycles,
            "capacity": s.capacity,
            "used": s.used,
            "high_water": s.high_water,
            "last_high_water": s.last_high_water,
            "spilled": s.spilled,
            "retained": s.retained,
            "reserved": s.reserved,
            "resident": wsp_arena_resident(self._ptr),
            "cycle_high_water": s.cycle_high_water,
            "escaped": s.escaped,
            "allocations": s.allocations + separate,
            "spills": s.spills + separate,
            "escaped_count": s.escaped_count,
            "passed_small": self._handler.passed_small,
            "passed_foreign": self._handler.passed_foreign,
            "upstream_calls": s.upstream_calls,
        }

    def slots(self):
        """Return the figures of each slot of the ring by name."""
        return [
            wsp_arena_slot(self._ptr, i) for i in range(wsp_arena_slots(self._ptr))
        ]

    def totals(self):
        """Return the counts of `stats`, which cost no question to the system."""
        cdef wsp_stats s = wsp_arena_stats(self._ptr)
        cdef uint64_t separate = self._handler.passed_separate
        return (
            s.cycles, s.allocations + separate, s.spills + separate, s.escaped_count,
            self._handler.passed_small, self._handler.passed_foreign, s.upstream_calls,
        )

    def peak(self):
        """Return the most bytes in use at once since `take_peak`."""
        return wsp_arena_peak(self._ptr)

    def take_peak(self):
        """As `peak`, and begin anew; None: it is open on another thread."""
        cdef size_t peak = 0
        cdef wsp_status status = wsp_arena_take_peak(self._ptr, &peak)
        return peak if status == WSP_OK else None

    def refusal(self):
        """Return (is_full, requested, free, capacity) of the last failed allocation."""
        cdef wsp_refusal r = wsp_arena_refusal(self._ptr)
        return r.status == WSP_EFULL, r.requested, r.free, r.capacity

    def bytes_for(self, size_t nbytes):
        """Return what an allocation takes of a block, in bytes; 0: too much."""
        return wsp_arena_bytes_for(self._ptr, nbytes)

    def check(self):
        """Walk all memory and check the invariants of the core; for tests."""
        return wsp_arena_check(self._ptr)

    # ---- arrays ----------------------------------------------------------------------

    def empty(self, tuple shape, dtype, bint fortran, bint zero, bint checked):
        """Make an array in the open arena, whatever its size and whoever is current.

        The caller has made sure that the arena is open on this thread, that `dtype` is
        one, and that it holds no references.
        """
        cdef cnp.npy_intp dims[64]
        cdef int nd = len(shape)
        if nd > 64:
            raise ValueError(f"maximum supported dimension is 64, found {nd}")
        for i in range(nd):
            dims[i] = shape[i]
        Py_INCREF(dtype)  # taken
        return ws_array_new(
            self._handler, self._capsule, dtype, nd, dims, fortran, zero, checked
        )

    def place(self, bint checked, function, *args, **kwargs):
        """Call a function that makes an array, and have it made in the open arena."""
        cdef size_t least = self._handler.min_block
        capsule = self._capsule
        before = set_handler(capsule)
        self._handler.min_block = 0
        try:
            made = function(*args, **kwargs)
        finally:
            self._handler.min_block = least
            # The function may have left the scope, by way of an __array__.
            if current_handler() is capsule:
                set_handler(before)
        if not isinstance(made, numpy.ndarray):  # of an __array_function__
            raise _errors.wrong_type("the result", "an array", made)
        if made.nbytes and not self._has_made(made):
            made = self._place_copy(made)
        if not checked or ws_is_checked(made):
            return made
        return ws_checked_view(made)

    cdef bint _has_made(self, cnp.ndarray made) noexcept:
        """Whether the memory of an array is this workspace's."""
        if wsp_arena_owns(self._ptr, cnp.PyArray_DATA(made)):
            return True
        return self._handler.separate and ws_is_made_by(self._handler, made)

    cdef object _place_copy(self, cnp.ndarray made):
        """Copy what was made elsewhere, since the function changed the scope."""
        if not wsp_arena_is_mine(self._ptr):
            raise _errors.not_open(self.name)
        return self.place(False, numpy.array, made, copy=True, order="K")

    def contains(self, array):
        """Say whether the data of an array lies in the arena, by its address."""
        return wsp_arena_owns(self._ptr, cnp.PyArray_DATA(array))


cdef void end_arrays(Arena arena) noexcept:
    """Make stale what a cycle has made, unless it is to outlive it."""
    if not arena._handler.keeps:
        ws_make_stale(arena._handler)


cdef void ws_make_stale_if_idle(Arena arena) noexcept:
    if not wsp_arena_is_open(arena._ptr):
        arena._handler.over = wsp_arena_generation(arena._ptr)
        ws_make_stale(arena._handler)


cdef wsp_file *open_file(
    str name, bytes path, bint temporary, size_t size
) except NULL:
    cdef wsp_file *opened = NULL
    cdef int reason = 0
    cdef wsp_status status = wsp_file_open(path, temporary, size, &opened, &reason)
    if status == WSP_OK:
        return opened
    shown = os.fsdecode(path)
    if status == WSP_EBUSY:
        raise _errors.file_in_use(name, shown)
    if status == WSP_EINVAL and os.path.exists(path) and not os.path.isfile(path):
        raise _errors.no_file(name, shown)
    if status == WSP_EINVAL:
        raise _errors.file_without_size(shown)
    if status == WSP_EFILE:
        raise _errors.file_refused(name, shown, size, reason)
    raise MemoryError


# ---- handlers, for the scope ---------------------------------------------------------


cdef object current_handler():
    return PyDataMem_GetHandler()


cdef object set_handler(object capsule):
    """Install a handler, None for NumPy's own; return the one that was current."""
    return PyDataMem_SetHandler(NULL if capsule is None else <PyObject *>capsule)


cdef bint is_closed_handler(object capsule) noexcept:
    """Whether it is a workspace's handler whose cycle is over, or was abandoned."""
    cdef ws_handler *handler = ws_handler_of(capsule)
    if handler == NULL:
        return False
    cdef bint is_open = wsp_arena_is_open(handler.arena) or (
        # In the child of a fork it stays where it is, and passes everything through.
        wsp_arena_is_inherited(handler.arena) and wsp_arena_in_cycle(handler.arena)
    )
    return not is_open or (
        wsp_arena_generation(handler.arena) != ws_handler_mark(capsule)
    )


# ---- the C API -----------------------------------------------------------------------


cdef int parts_of(
    object workspace, ws_handler **home, PyObject **capsule
) except -1:
    """What the C API needs of a workspace; borrowed from it."""
    found = getattr(workspace, "_arena", None)
    if not isinstance(found, Arena):
        raise _errors.wrong_type("workspace", "a wspace.Workspace", workspace)
    home[0] = (<Arena>found)._handler
    capsule[0] = <PyObject *>(<Arena>found)._capsule
    return 0


_C_API = ws_capi_new(parts_of, _status.error_of)


cdef void set_current_source(ws_current_fn source) noexcept:
    """Say who knows what is current in this context."""
    ws_capi_set_source(source)


cdef void note_arena(wsp_arena *current) noexcept:
    """Note what is current on this thread, for calls without the GIL; NULL: nothing."""
    ws_capi_note(current)


def set_calls(owner, detach):
    """Say which functions the C API calls for `owner` and `detach`."""
    ws_capi_set_calls(owner, detach)


def function_addresses():
    """Return the addresses of the functions of the C API by name."""
    return ws_capi_addresses()


def arena_address(workspace):
    """Return the address of the arena of a workspace."""
    cdef ws_handler *home
    cdef PyObject *capsule
    parts_of(workspace, &home, &capsule)
    return <size_t>home.arena


# ---- what an array says of its memory ------------------------------------------------


def is_checked(x):
    """Say whether `x` is a valid checked array."""
    return ws_is_checked(x)


def is_stale(x):
    """Say whether `x` is a checked array whose cycle is over."""
    return ws_is_stale(x)


def raise_stale(x):
    """Raise the `StaleArrayError` of a stale array."""
    ws_raise_stale(x)


def stale_generations(x):
    """Return (made, last) of a stale array: generations of its workspace."""
    cdef ws_handler *home = ws_link_of(x).home
    last = 0 if home == NULL else wsp_arena_generation(home.arena)
    return ws_link_of(x).generation, last


def is_linked(x):
    """Say whether `x` is a checked array, valid or stale, of a workspace."""
    return (ws_is_checked(x) or ws_is_stale(x)) and ws_link_of(x).home != NULL


def set_debugging(int what):
    """Set what cycles that begin from now on do with their memory: bits DEBUG_*."""
    global _debugging
    _debugging = what


def bytes_for(size_t nbytes, size_t alignment):
    """Return what an allocation takes of a block, in bytes; 0: too much."""
    return wsp_bytes_for(nbytes, alignment)


def all_arenas():
    """Return the arenas that are there now, of all threads."""
    while True:
        try:
            return list(_arenas)
        except RuntimeError:  # another thread has made one meanwhile
            continue


def in_scope(x):
    """Say whether the memory of `x` was allocated in a cycle that is open now."""
    cdef ws_handler *home
    cdef const void *data
    cdef uint64_t made = 0
    if ws_is_stale(x):
        return False
    if ws_is_checked(x):
        home = ws_link_of(x).home
        made = ws_link_of(x).generation
    else:
        data = allocation_of(x, &home)
        if data != NULL:
            made = wsp_generation(home.arena, data)
        elif home == NULL:
            home = ws_home_of_separate(x, &made)
    return (
        home != NULL
        and wsp_arena_is_open(home.arena)
        and wsp_arena_generation(home.arena) == made
    )


def owner_of(x):
    """Return (found, workspace): by the link of a checked array, else by the address.

    The workspace is None when its object is gone, though the memory is there.
    """
    cdef ws_handler *home
    cdef uint64_t made
    if ws_is_checked(x) or ws_is_stale(x):
        home = ws_link_of(x).home
    else:
        home = home_of_plain(x)
        if home == NULL:
            home = ws_home_of_separate(x, &made)
    if home == NULL:
        return False, None
    reference = <object>home.owner
    return True, None if reference is None else reference()


cdef ws_handler *home_of_plain(cnp.ndarray x) noexcept:
    cdef ws_handler *home = ws_home_of_memory(x)
    cdef void *data = cnp.PyArray_DATA(x)
    cdef Arena arena
    if home != NULL or ws_data_of(x) != NULL:
        return home
    # No array owns the data: it came by way of a buffer, and only its address tells.
    for arena in all_arenas():
        if wsp_arena_owns(arena._ptr, data):
            return arena._handler
    return NULL


cdef const void *allocation_of(cnp.ndarray x, ws_handler **home) noexcept:
    """The start of the allocation under a plain array, and its handler; or NULL."""
    home[0] = home_of_plain(x)
    if home[0] == NULL:
        return NULL
    cdef const void *data = ws_data_of(x)
    if data != NULL:
        return data
    return wsp_arena_find(home[0].arena, cnp.PyArray_DATA(x))


def data_owner(x):
    """Return the array at the end of the chain of bases that owns the data, or None."""
    cdef void *owner = ws_data_owner(x)
    return None if owner == NULL else <object><PyObject *>owner


def checked_view(cnp.ndarray x):
    """Return a checked array over the same memory."""
    return ws_checked_view(x)


def raw_references(list owners):
    """Count the references to each owner of data that no valid checked array holds.

    The list itself is to be the only other one who holds them.
    """
    return [
        Py_REFCNT(PyList_GET_ITEM(owners, i)) - 1
        - ws_linked_references(PyList_GET_ITEM(owners, i))
        for i in range(len(owners))
    ]


def sole_leases(Arena arena, list held, Py_ssize_t spare):
    """Return (leases, lent) of a batch to which nobody else refers; None: not so.

    `held` holds the batch and nobody else does, but for `spare` times: an array, or a
    tuple, list or dict of arrays and numbers. Leases are weak references to its arrays
    that are of the arena; lent are the arrays that one other refers to.
    """
    cdef PyObject *batch = PyList_GET_ITEM(held, 0)
    cdef PyObject *child = NULL
    cdef Py_ssize_t i = 0
    cdef list leases = []
    cdef list lent = []
    if not PyArray_Check(batch) and Py_REFCNT(batch) > 1 + spare:
        return None
    if PyTuple_CheckExact(batch):
        for i in range(PyTuple_GET_SIZE(batch)):
            if not lease_sole(arena, PyTuple_GET_ITEM(batch, i), leases, lent):
                return None
    elif PyDict_CheckExact(batch):
        while PyDict_Next(batch, &i, NULL, &child):
            if not lease_sole(arena, child, leases, lent):
                return None
    elif PyList_CheckExact(batch):
        for i in range(PyList_GET_SIZE(batch)):
            if not lease_sole(arena, PyList_GET_ITEM(<object>batch, i), leases, lent):
                return None
    elif not lease_sole(arena, batch, leases, lent):
        return None
    return leases, lent


cdef bint lease_sole(
    Arena arena, PyObject *item, list leases, list lent
) except -1:
    """Refer weakly to an array that at most one other refers to; False: it is not."""
    cdef cnp.ndarray array
    if not PyArray_Check(item):
        return (
            item == <PyObject *>None or PyLong_CheckExact(item)
            or PyFloat_CheckExact(item) or PyUnicode_CheckExact(item)
        )
    cdef Py_ssize_t count = Py_REFCNT(item)
    if count > 2:
        return False
    array = <cnp.ndarray>item
    if type(array) is not numpy.ndarray or array.dtype.hasobject:
        return False
    if not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_OWNDATA):
        return False
    if arena is not None and wsp_arena_owns(arena._ptr, cnp.PyArray_DATA(array)):
        leases.append(PyWeakref_NewRef(array, NULL))
    if count == 2:
        lent.append(array)
    return True


def copy_out(cnp.ndarray x):
    """Copy into a plain array on NumPy's own heap, whatever scope is open."""
    return ws_copy_out(x)


def keep_in_place(cnp.ndarray x):
    """Return a plain array over the same memory, which does not count as escaped."""
    cdef ws_handler *home
    cdef const void *data
    if ws_data_of(x) == NULL:
        data = allocation_of(x, &home)
        if data != NULL:
            wsp_arena_excuse(home.arena, <void *>data)
    return ws_keep(x)


# ---- call sites ----------------------------------------------------------------------


# As many as a header has bits for.
cdef enum:
    _MOST_SITES = 65_535


cdef uint32_t record_site(void *ctx) noexcept:
    """Number the place in the program that allocates; NumPy calls this with the GIL."""
    cdef Arena arena = <Arena>ctx
    cdef PyObject *kind
    cdef PyObject *value
    cdef PyObject *trace
    cdef uint32_t number = 0
    PyErr_Fetch(&kind, &value, &trace)
    try:
        number = site_number(arena)
    except Exception:
        number = 0  # no memory for a note about memory
    PyErr_Restore(kind, value, trace)
    return number


cdef uint32_t site_number(Arena arena) except *:
    cdef PyObject *frame = ws_frame()
    cdef PyObject *back
    if frame == NULL:
        return 0
    held = <object>frame
    code = take(ws_frame_code(frame))
    while code.co_filename.startswith(_LIBRARIES):
        back = ws_frame_back(<PyObject *>held)
        if back == NULL:
            break
        held = take(back)
        code = take(ws_frame_code(<PyObject *>held))
    key = (code, ws_frame_line(<PyObject *>held))
    number = arena._sites.get(key)
    if number is None:
        number = len(arena._places)
        if number > _MOST_SITES:
            return 0
        arena._places.append((code.co_filename, key[1], code.co_qualname))
        arena._sites[key] = number
    return number


cdef object take(PyObject *owned):
    """Make an object of a reference that is ours."""
    result = <object>owned
    Py_XDECREF(owned)
    return result


cdef void count_site(void *ctx, size_t size, uint32_t site) noexcept:
    tally = <dict>ctx
    nbytes, times = tally.get(site, (0, 0))
    tally[site] = (nbytes + size, times + 1)


# ---- an upstream that fails, for tests -----------------------------------------------


cdef struct Faults:
    wsp_upstream real
    int64_t countdown
    bint persistent


cdef bint fails(Faults *faults) noexcept nogil:
    faults.countdown -= 1
    return faults.countdown == 0 or (faults.persistent and faults.countdown < 0)


cdef void *faulty_reserve(void *ctx, size_t size) noexcept nogil:
    cdef Faults *faults = <Faults *>ctx
    return NULL if fails(faults) else faults.real.reserve(faults.real.ctx, size)


cdef c_bool faulty_commit(void *ctx, void *base, size_t size) noexcept nogil:
    cdef Faults *faults = <Faults *>ctx
    return not fails(faults) and faults.real.commit(faults.real.ctx, base, size)


cdef int _make_faulty(wsp_upstream *upstream, int64_t nth, bint persistent) except -1:
    # Never freed: the core may outlive the arena object.
    cdef Faults *faults = <Faults *>malloc(sizeof(Faults))
    if faults == NULL:
        raise MemoryError
    faults.real = upstream[0]
    faults.countdown = nth
    faults.persistent = persistent
    upstream.ctx = faults
    upstream.reserve = faulty_reserve
    upstream.commit = faulty_commit
    return 0
