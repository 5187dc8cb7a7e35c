# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, auto_pickle=False, autotestdict=False
"""Scopes: who has which arena open, and in which order they close.

The stack of scopes is per context. A frame of it says what was entered, which memory
handler that installed, and which one was current before. Frames in a context that was
copied may be of cycles that are over; they are passed over.

Enter and exit are here, and not in Python, because together they must cost less than a
microsecond.
"""

cimport cython
from cpython.contextvars cimport PyContextVar_New, PyContextVar_Set, get_value
from libc.stdint cimport uint64_t

from wspace._arena cimport Arena, current_handler, is_closed_handler, set_handler
from wspace._core cimport (
    WSP_EBUSY,
    WSP_ECLOSED,
    WSP_EFORKED,
    WSP_ETHREAD,
    WSP_OK,
    wsp_cycle,
    wsp_status,
)

import sys
import threading
import warnings

from wspace import _errors


cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()


cdef object _stack = PyContextVar_New("wspace.stack", NULL)

# What a frame is: the outermost enter of a workspace, a further one, borrow, scope_out.
cdef enum Kind:
    CYCLE
    AGAIN
    BORROW
    OUT

# What a workspace wants to hear of at the end of a cycle: bits of Scope._watch.
cdef enum Watch:
    ON_ALLOCATIONS = 1
    ON_SPILLS = 2
    ON_ESCAPES = 4

WATCH_ALLOCATIONS = ON_ALLOCATIONS
WATCH_SPILLS = ON_SPILLS
WATCH_ESCAPES = ON_ESCAPES


@cython.final
@cython.freelist(32)
cdef class Frame:
    cdef Scope scope         # None: scope_out
    cdef Arena arena         # that of the scope when it was entered
    cdef Frame below
    cdef object handler      # the capsule that it installed; None: none
    cdef object before       # the capsule that was current
    cdef uint64_t generation
    cdef Kind kind
    cdef bint left           # it was left too early, and closes with those above it


cdef inline bint is_running(Frame frame) noexcept:
    """Whether the cycle in which the frame was made is still open."""
    return frame.scope is None or frame.arena.runs(frame.generation)


cdef Frame top_frame():
    """The uppermost frame of this context that is still of use, or None."""
    cdef Frame frame = <Frame>get_value(_stack)
    while frame is not None and not is_running(frame):
        frame = frame.below
    return frame


cdef Frame frame_of(Scope scope, Frame frame):
    """The uppermost running frame of a scope at or below `frame`, or None."""
    while frame is not None:
        if frame.scope is scope and frame.kind <= AGAIN and not frame.left:
            if is_running(frame):
                return frame
        frame = frame.below
    return None


# ---- push and pop --------------------------------------------------------------------


cdef Frame push(Scope scope, Arena arena, Kind kind, object handler):
    """Put a frame on the stack of this context and install its handler, or neither.

    `handler` None: none is installed, but for scope_out, which installs NumPy's own.
    """
    cdef Frame frame = Frame.__new__(Frame)
    frame.scope = scope
    frame.arena = arena
    frame.kind = kind
    frame.below = top_frame()
    if arena is not None:
        frame.generation = arena.generation_now()
    if handler is not None or kind == OUT:
        frame.before = set_handler(handler)
        frame.handler = current_handler() if handler is None else handler
    try:
        PyContextVar_Set(_stack, frame)
    except BaseException:
        if frame.handler is not None:
            set_handler(frame.before)
        raise
    return frame


cdef object handler_below(Frame frame):
    """What to restore: the nearest handler below that is not a closed workspace's."""
    while frame is not None:
        if frame.handler is not None and not is_closed_handler(frame.before):
            return frame.before
        frame = frame.below
    return None


cdef bint restore_handler(Frame frame) except -1:
    """Restore the handler below; False: somebody else's is current and was left."""
    if frame.handler is None:
        return True
    if current_handler() is not frame.handler:
        return False
    set_handler(handler_below(frame))
    return True


cdef int pop(Frame frame, object error) except -1:
    """Close the top frame, and those below it that were left too early.

    The order is: handler, stale, reset, closed, and only then anything that can run
    Python code. An exception that is passing, `error`, is never replaced.
    """
    cdef bint restored
    cdef Scope scope
    cdef Frame below
    while True:
        scope, below = frame.scope, frame.below
        if frame.kind == CYCLE and is_running(frame):
            scope._prepare_end(frame)
        restored = restore_handler(frame)
        if frame.kind == CYCLE and is_running(frame):
            scope._end(frame)
        PyContextVar_Set(_stack, below)
        if not restored:
            report_handler(frame, error)
        if frame.kind == CYCLE:
            scope._report(error)
        if below is None or not below.left:
            return 0
        frame = below


cdef int report_handler(Frame frame, object error) except -1:
    text = _errors.foreign_handler(frame_name(frame))
    if error is None:
        warnings.warn(text, stacklevel=2)
    else:
        error.add_note(str(text))
    return 0


cdef int leave(Frame frame, object error) except -1:
    """Pop a frame that should be on top; if it is not, remember that it was left."""
    cdef Frame top = top_frame()
    if frame is top:
        return pop(frame, error)
    if not is_running(frame):
        return 0
    while top is not None and top.below is not frame:
        top = top.below
    if top is None:
        return 0  # of another context, which goes on without us
    frame.left = True
    problem = _errors.wrong_order(frame_name(frame), frame_name(top_frame()))
    return complain(problem, error)


cdef int complain(object problem, object error) except -1:
    """Raise, or add a note to the exception that is passing already."""
    if error is None:
        raise problem
    error.add_note(str(problem))
    return 0


# ---- names for messages --------------------------------------------------------------


cdef str frame_name(Frame frame):
    return "scope_out" if frame.scope is None else frame.scope.name


cdef str task_name():
    """The name of the running asyncio task, or None."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:  # an exception where no loop runs would cost more than all else of an enter
        if asyncio._get_running_loop() is None:
            return None
        task = asyncio.current_task()
    except AttributeError:  # asyncio is just being imported
        return None
    return None if task is None else task.get_name()


cdef str thread_name(unsigned long ident):
    for thread in threading.enumerate():
        if thread.ident == ident:
            return thread.name
    return f"thread {ident}"


# ---- scopes --------------------------------------------------------------------------


cdef class Scope:
    """Enter and leave one arena; `wspace.Workspace` adds all policy.

    A subclass sets `_watch` to what it wants to hear of, and defines ``_new_arena()``,
    ``_settle(cycle, sites, is_passing)``, called at the end of such a cycle, and
    ``_explain_refusal(error)``, called when a ``MemoryError`` passes.
    """

    cdef readonly str name
    cdef readonly Arena _arena
    cdef readonly bint _capture
    cdef public int _watch
    cdef Frame _cycle            # of the open cycle, in whichever context it is
    cdef unsigned long _thread   # who opened it
    cdef str _task
    cdef int _forgiven           # exits that may still come after one too early
    cdef bint _noteworthy
    cdef wsp_cycle _figures      # of the cycle that ended last
    cdef list _sites
    cdef object __weakref__

    def __init__(self, str name, bint capture):
        self.name = name
        self._capture = capture
        self._renew()

    def _renew(self):
        self._arena = self._new_arena()
        self._arena.bind(self)

    def __enter__(self):
        cdef wsp_status status = self._arena.begin()
        if status == WSP_EFORKED and frame_of(self, top_frame()) is None:
            self._renew()
            status = self._arena.begin()
        if status == WSP_OK:
            self._open()
        else:
            self._enter_again(status)
        return self

    cdef int _open(self) except -1:
        try:
            self._cycle = push(self, self._arena, CYCLE, self._handler())
        except BaseException:
            self._arena.end(&self._figures)
            raise
        self._forgiven = 0
        self._thread = PyThread_get_thread_ident()
        self._task = task_name()
        return 0

    cdef object _handler(self):
        return self._arena._capsule if self._capture else None

    cdef int _enter_again(self, wsp_status status) except -1:
        if status == WSP_EBUSY or status == WSP_EFORKED:
            if frame_of(self, top_frame()) is None:
                raise _errors.other_task(self.name, self._task, task_name())
            push(self, self._arena, AGAIN, self._handler())
            return 0
        if status == WSP_ETHREAD:
            raise self._wrong_thread()
        if status == WSP_ECLOSED:
            raise _errors.closed(self.name, "enter")
        raise MemoryError

    def __exit__(self, kind, error, trace):
        cdef Frame frame = <Frame>get_value(_stack)
        cdef Frame top = top_frame()
        if frame is not None and frame is not top and frame.scope is self:
            top = frame  # of a cycle that is over: its enter was this context's
        if top is not None and top.scope is self and top.kind <= AGAIN and not top.left:
            if top.kind == CYCLE and self._arena.is_others():
                self._arena.leave_open()
            pop(top, error)
            return
        frame = frame_of(self, top)
        if frame is not None:
            self._forgiven += 1
            leave(frame, error)
        elif self._forgiven > 0:
            self._forgiven -= 1
        elif self._cycle is not None and is_running(self._cycle):
            self._exit_from_afar(self._cycle, error)
        else:
            complain(_errors.not_entered(self.name), error)

    cdef int _exit_from_afar(self, Frame frame, object error) except -1:
        """Leave a cycle that was entered in another context or thread."""
        if not self._arena.mine():
            self._arena.leave_open()
            return 0
        self._prepare_end(frame)
        restored = restore_handler(frame)
        self._end(frame)
        if not restored:
            report_handler(frame, error)
        self._report(error)
        return 0

    cdef int _prepare_end(self, Frame frame) except -1:
        """Collect what only the open cycle knows."""
        self._sites = frame.arena.escaping_sites() if self._watch & ON_ESCAPES else []
        return 0

    cdef void _end(self, Frame frame) noexcept:
        """End the cycle; no Python code runs."""
        frame.arena.end(&self._figures)
        self._cycle = None
        self._noteworthy = (
            (self._watch & ON_ALLOCATIONS and self._figures.allocations != 0)
            or (self._watch & ON_SPILLS and self._figures.spilled != 0)
            or (self._watch & ON_ESCAPES and self._figures.escaped_count != 0)
        )

    cdef int _report(self, object error) except -1:
        if self._noteworthy:
            self._noteworthy = False
            self._settle(self._figures, self._sites, error is not None)
        if error is not None and isinstance(error, MemoryError):
            self._explain_refusal(error)
        return 0

    cdef object _wrong_thread(self):
        here = thread_name(PyThread_get_thread_ident())
        return _errors.wrong_thread(self.name, thread_name(self._thread), here)

    def _check_open(self, str action="allocate in"):
        """Raise unless the scope is open on this thread."""
        if self._arena.mine():
            return
        if self._arena.is_others():
            raise self._wrong_thread()
        raise _errors.not_open(self.name, action)

    @property
    def is_open(self):
        """Whether the scope is open, on whichever thread."""
        return self._arena.is_open

    @property
    def generation(self):
        """Number of the current cycle, or of the last one; 0 before the first."""
        return self._arena.generation_now()

    def borrow(self):
        """Make this workspace the current one for a block, without a cycle of its own.

        Returns
        -------
        context manager
            Entering it gives the workspace.

        Raises
        ------
        WorkspaceStateError
            On entering, if the workspace is not open.
        WrongThreadError
            On entering, if it is open in another thread.

        See Also
        --------
        wspace.scope_out : Turn capture off for a block.

        Examples
        --------
        >>> import wspace
        >>> with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        ...     with outer.borrow():
        ...         wspace.current().name
        'outer'
        """
        return Borrow.__new__(Borrow, self)


@cython.final
cdef class Borrow:
    """The block of `Workspace.borrow`."""

    cdef Scope _scope
    cdef list _frames

    def __cinit__(self, Scope scope):
        self._scope = scope
        self._frames = []

    def __enter__(self):
        self._scope._check_open("borrow")
        cdef Arena arena = self._scope._arena
        self._frames.append(push(self._scope, arena, BORROW, self._scope._handler()))
        return self._scope

    def __exit__(self, kind, error, trace):
        leave(<Frame>self._frames.pop(), error)


@cython.final
cdef class ScopeOut:
    """The block of `scope_out`."""

    cdef list _frames

    def __cinit__(self):
        self._frames = []

    def __enter__(self):
        self._frames.append(push(None, None, OUT, None))

    def __exit__(self, kind, error, trace):
        leave(<Frame>self._frames.pop(), error)


def scope_out():
    """Turn capture off for a block: arrays made there are NumPy's own.

    Returns
    -------
    context manager

    Notes
    -----
    For what a cycle makes and others keep, such as a cache. `Workspace.borrow`, and
    entering a workspace, turn capture on again inside. The creators of a workspace
    place in it all the same.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     with wspace.scope_out():
    ...         x = np.zeros(1000)
    >>> wspace.is_attached(x)
    False
    """
    return ScopeOut.__new__(ScopeOut)


# ---- questions -----------------------------------------------------------------------


cdef Frame current_frame():
    """The frame that decides here: of a workspace open on this thread, or scope_out."""
    cdef Frame frame = top_frame()
    while frame is not None:
        if frame.scope is None or (is_running(frame) and frame.arena.mine()):
            return frame
        frame = frame.below
    return None


def current():
    """Return the workspace that is current, innermost in this thread and context.

    Returns
    -------
    Workspace or None
        None outside all scopes and in a block of `scope_out`.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     wspace.current().name
    'demo'
    """
    cdef Frame frame = current_frame()
    return None if frame is None else frame.scope


def open_scopes():
    """Return the workspaces that are open here, innermost first, each once."""
    cdef Frame frame = top_frame()
    found = []
    while frame is not None:
        if frame.scope is not None and is_running(frame) and frame.arena.mine():
            if frame.scope not in found:
                found.append(frame.scope)
        frame = frame.below
    return found
