# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, auto_pickle=False, autotestdict=False, nonecheck=True
"""Scopes: who has which arena open, and in which order they close.

The stack of scopes is per context. A frame of it says what was entered, which memory
handler that installed, and which one was current before. Frames in a context that was
copied may be of cycles that are over; they are passed over.

Enter and exit are here, and not in Python, because together they must cost less than a
microsecond.
"""

cimport cython
from cpython.contextvars cimport (
    PyContextVar_New,
    PyContextVar_Reset,
    PyContextVar_Set,
    get_value,
)
from libc.stdint cimport uint64_t

from wspace._arena cimport (
    Arena,
    current_handler,
    is_closed_handler,
    note_arena,
    set_current_source,
    set_handler,
)
from wspace._core cimport (
    WSP_EBUSY,
    WSP_ECLOSED,
    WSP_EFORKED,
    WSP_EHELD,
    WSP_ETHREAD,
    WSP_OK,
    wsp_arena,
    wsp_cycle,
    wsp_status,
)

import sys
import threading
import warnings

from wspace import _errors


cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()
    bint PyGC_Disable() noexcept
    bint PyGC_Enable() noexcept


cdef object _stack = PyContextVar_New("wspace.stack", NULL)

# What a frame is: the outermost enter of a workspace, a further one, borrow, paused,
# scope_out.
cdef enum Kind:
    CYCLE
    AGAIN
    BORROW
    PAUSE
    OUT

# What a workspace wants to hear of at the end of a cycle: bits of Scope._watch.
cdef enum Watch:
    ON_ALLOCATIONS = 1
    ON_SPILLS = 2
    ON_ESCAPES = 4
    ON_CARRIED = 8

WATCH_ALLOCATIONS = ON_ALLOCATIONS
WATCH_SPILLS = ON_SPILLS
WATCH_ESCAPES = ON_ESCAPES
WATCH_CARRIED = ON_CARRIED


@cython.final
@cython.freelist(32)
@cython.trashcan(True)
cdef class Frame:
    cdef Scope scope         # None: scope_out
    cdef Arena arena         # that of the scope when it was entered
    cdef Frame below
    cdef object handler      # the capsule that it installed; None: none
    cdef object before       # the capsule that was current
    cdef uint64_t generation
    cdef object token        # of the stack; of use in the very context that pushed it
    cdef Kind kind
    cdef bint left           # it was left too early, and closes with those above it
    cdef bint dropped        # its cycle was abandoned; its own exit is still to come
    cdef bint done           # it was left, perhaps in another context than this one


cdef inline bint is_running(Frame frame) noexcept:
    """Whether the frame was not left and its cycle is still open."""
    return not (frame.done or frame.dropped) and (
        frame.scope is None or frame.arena.runs(frame.generation)
    )


cdef Frame raw_frame():
    """The top of the stack of this context, running or not; None: it is empty.

    The variable can be had from a copied context, and set to anything.
    """
    value = get_value(_stack)
    return <Frame>value if isinstance(value, Frame) else None


cdef Frame top_frame():
    """The uppermost running frame of this context, or None."""
    cdef Frame frame = raw_frame()
    while frame is not None and not is_running(frame):
        frame = frame.below
    return frame


cdef Frame frame_of(Scope scope, bint even_left):
    """The uppermost running frame of a scope in this context, or None."""
    cdef Frame frame = top_frame()
    while frame is not None:
        if frame.scope is scope and frame.kind <= AGAIN and is_running(frame):
            if even_left or not frame.left:
                return frame
        frame = frame.below
    return None


cdef bint is_pushed_here(Frame frame) except -1:
    """Whether the frame was pushed in this very context, not in one it is copied of."""
    cdef Frame raw = raw_frame()
    if not take_off(frame):
        return False
    frame.token = PyContextVar_Set(_stack, raw)  # as it was, with a token for later
    return True


cdef bint is_on_stack(Frame frame, Frame above):
    """Whether `frame` lies at `above` or below it."""
    while above is not None and above is not frame:
        above = above.below
    return above is not None


# ---- push and pop --------------------------------------------------------------------


cdef Frame push(Scope scope, Arena arena, Kind kind, object handler):
    """Put a frame on the stack of this context and install its handler, or neither.

    `handler` None: none is installed, but for paused and scope_out, which install
    NumPy's own.
    """
    cdef Frame frame = Frame.__new__(Frame)
    cdef Frame raw = raw_frame()
    frame.scope = scope
    frame.arena = arena
    frame.kind = kind
    frame.below = raw
    while frame.below is not None and frame.below.done:
        frame.below = frame.below.below
    if frame.below is not raw:  # left in other contexts: forget them here, too
        PyContextVar_Set(_stack, frame.below)
    if arena is not None:
        frame.generation = arena.generation_now()
    if handler is not None or kind >= PAUSE:
        frame.before = set_handler(handler)
        frame.handler = current_handler() if handler is None else handler
    try:
        frame.token = PyContextVar_Set(_stack, frame)
    except BaseException:
        if frame.handler is not None:
            set_handler(frame.before)
        raise
    note_arena(NULL if kind >= PAUSE else arena._ptr)
    return frame


cdef bint take_off(Frame frame) except -1:
    """Set the stack to what it was before the frame; False: it was not pushed here.

    A copied context shows the frames of the one that it was copied from.
    """
    token, frame.token = frame.token, None
    if token is None:
        return False
    try:
        PyContextVar_Reset(_stack, token)
    except ValueError:
        frame.token = token
        return False
    return True


cdef object handler_below(Frame frame):
    """What to restore: the nearest handler below that is not a closed workspace's."""
    while frame is not None:
        if frame.handler is not None and not is_closed_handler(frame.before):
            return frame.before
        frame = frame.below
    return None


cdef bint is_of_frames(object handler, Frame above, Frame frame) noexcept:
    """Whether frames that are over, from `above` down to `frame`, have installed it."""
    while above is not None and above is not frame:
        if above.handler is handler and not is_running(above):
            return True
        above = above.below
    return False


cdef bint restore_handler(Frame frame, Frame raw) except -1:
    """Restore the handler below; False: somebody else's is current and was left alone.

    That of a workspace that has closed, or of a block that was left in another context,
    is nobody's. `raw` is the top of the stack before the frame was taken off.
    """
    if frame.handler is None:
        return True
    current = current_handler()
    if (
        current is frame.handler
        or is_closed_handler(current)
        or is_of_frames(current, raw, frame)
    ):
        set_handler(handler_below(frame))
        return True
    # Of a cycle that is over or was abandoned there is nothing to say.
    return not is_running(frame) or (
        frame.arena is not None and not frame.arena.opened()
    )


cdef int close(Frame frame, bint is_here, list reports) except -1:
    """Leave one frame, and end its cycle if it is its cycle's outermost.

    `is_here`: it is on the stack of this context. The order is: handler, stale, reset,
    closed, and only then anything that can run Python code; the collector waits.
    """
    cdef Scope scope = frame.scope
    cdef Frame raw = raw_frame()
    cdef bint restored = True
    cdef bint ends = (
        frame.kind == CYCLE and is_running(frame) and not frame.arena.is_others()
    )
    cdef bint collects = PyGC_Disable()
    try:
        if ends:
            scope._prepare_end(frame)
        elif frame.kind == AGAIN:
            scope._forget_again(frame)
        elif frame.kind == PAUSE and is_running(frame):
            scope._pauses -= 1
        # In a context that has not got the block its handler was never set.
        if is_here or frame.kind not in (PAUSE, OUT):
            restored = restore_handler(frame, raw)
    finally:
        if ends:
            scope._end(frame)
        frame.done = True
        try:
            if is_here and not take_off(frame):
                PyContextVar_Set(_stack, frame.below)
        finally:
            # As a rule what lies below is on top now: no need to ask the context.
            note_arena(arena_at(frame.below) if is_here and raw is frame
                       else current_arena())
            if collects:
                PyGC_Enable()
    if not restored or (ends and scope._noteworthy):
        reports.append((frame, restored))
    return 0


cdef int pop(Frame frame, bint is_here, object error) except -1:
    """Close a frame and those below it that were left too early; then report.

    An exception that is passing, `error`, is never replaced.
    """
    cdef list reports = []
    while frame is not None:
        close(frame, is_here, reports)
        if error is not None and isinstance(error, MemoryError) and frame.kind == CYCLE:
            frame.scope._explain_refusal(error)
        frame = frame.below
        while frame is not None and not is_running(frame):
            frame = frame.below
        if frame is not None and not frame.left:
            frame = None
    if reports:
        tell(reports, error)
    return 0


cdef int tell(list reports, object error) except -1:
    """Warn and raise; the first problem is raised, and has the others as notes."""
    cdef Frame frame
    first = None
    for frame, restored in reports:
        for part in range(2):
            try:
                if part == 1 and not restored:
                    tell_handler(frame, error)
                elif part == 0 and frame.kind == CYCLE and frame.scope._noteworthy:
                    frame.scope._report(error is not None)
            except Exception as problem:
                if first is None:
                    first = problem
                else:
                    first.add_note(str(problem))
    if first is not None:
        raise first
    return 0


cdef int tell_handler(Frame frame, object error) except -1:
    warning = _errors.foreign_handler(frame_name(frame))
    if error is None:
        warnings.warn(warning, stacklevel=1)  # the frame of the with statement
    else:
        error.add_note(str(warning))
    return 0


cdef int leave(Frame frame, object error) except -1:
    """Leave the block of a borrow, of paused or of scope_out."""
    cdef Frame top = top_frame()
    cdef Frame raw = raw_frame()
    if frame is top:
        return pop(frame, True, error)
    if is_on_stack(frame, top):
        if not is_running(frame):
            frame.done = True
            return 0
        frame.left = True
        problem = _errors.wrong_order(frame_name(frame), frame_name(top))
        return complain(problem, error)
    # Its cycle is over, or it is of another context.
    return pop(frame, is_on_stack(frame, raw), error)


cdef int complain(object problem, object error) except -1:
    """Raise, or add a note to the exception that is passing already."""
    if error is None:
        raise problem
    error.add_note(str(problem))
    return 0


# ---- names for messages --------------------------------------------------------------


cdef str frame_name(Frame frame):
    if frame.scope is None:
        return "scope_out"
    return "paused" if frame.kind == PAUSE else frame.scope.name


cdef object current_task():
    """The running asyncio task, or None."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:  # an exception where no loop runs would cost more than all else of an enter
        if asyncio._get_running_loop() is None:
            return None
        return asyncio.current_task()
    except AttributeError:  # asyncio is just being imported
        return None


cdef str thread_name(unsigned long ident):
    for thread in threading.enumerate():
        if thread.ident == ident:
            return thread.name
    return f"thread {ident}"


# ---- scopes --------------------------------------------------------------------------


cdef class Scope:
    """Enter and leave one arena; `wspace.Workspace` adds all policy.

    A subclass sets `_watch` to what it wants to hear of, and defines ``_new_arena()``,
    ``_settle(cycle, sites, is_passing)``, called at the end of such a cycle,
    ``_explain_refusal(error)``, called when a ``MemoryError`` passes, and
    ``_await_slot()``, called when a ring refuses, which returns to try again.
    """

    cdef readonly str name
    cdef readonly Arena _arena
    cdef readonly bint _capture
    cdef public int _watch
    cdef Frame _cycle            # of the open cycle, in whichever context it is
    cdef list _again             # frames of further enters of it, all contexts
    cdef unsigned long _thread   # who opened it
    cdef object _task            # name of the asyncio task that did, or None
    cdef int _pauses             # frames of paused in the open cycle, all contexts
    cdef int _forgiven           # exits that may still come after one too early
    cdef bint _noteworthy
    cdef wsp_cycle _figures      # of the cycle that ended last
    cdef wsp_cycle _most         # of the one that needed most; fit 0: of none
    cdef list _sites
    cdef object __weakref__

    def __init__(self, str name not None, bint capture):
        self.name = name
        self._capture = capture
        self._again = []
        self._renew()

    def _renew(self):
        self._arena = self._new_arena()
        self._arena.bind(self)

    def __enter__(self):
        # Asked first: once the frame is on the stack nothing may fail any more.
        cdef object task = current_task()
        cdef object name = None if task is None else task.get_name()
        # The collector could run Python code while the scope is half open.
        cdef bint collects = PyGC_Disable()
        cdef wsp_status status
        try:
            status = self._arena.begin()
            if status == WSP_OK:
                self._open(name)
        finally:
            if collects:
                PyGC_Enable()
        if status == WSP_EFORKED and frame_of(self, True) is None:
            self._renew()
            return self.__enter__()
        if status == WSP_EHELD:
            self._await_slot()
            return self.__enter__()
        if status != WSP_OK:
            self._enter_again(status, task)
        return self

    cdef int _open(self, object name) except -1:
        try:
            self._cycle = push(self, self._arena, CYCLE, self._handler())
        except BaseException:
            self._arena.end(&self._figures)
            raise
        self._task = name
        self._again.clear()
        self._forgiven = self._pauses = 0
        self._thread = PyThread_get_thread_ident()
        return 0

    cdef object _handler(self):
        captures = self._capture and not self._arena._bypasses
        return self._arena._capsule if captures else None

    cdef int _enter_again(self, wsp_status status, object task) except -1:
        cdef Frame frame
        if status == WSP_EBUSY or status == WSP_EFORKED:
            if frame_of(self, True) is None:
                here = None if task is None else task.get_name()
                problem = _errors.other_task(self.name, self._task, here)
                raise _errors.with_open(problem)
            frame = push(self, self._arena, AGAIN, self._handler())
            self._again.append(frame)
            return 0
        if status == WSP_ETHREAD:
            raise self._wrong_thread()
        if status == WSP_ECLOSED:
            raise _errors.closed(self.name, "enter")
        raise MemoryError

    def __exit__(self, kind, error, trace):
        cdef Frame top = top_frame()
        if top is None or top.scope is not self or top.kind > AGAIN or top.left:
            self._exit_oddly(top, error)
        elif top.kind == CYCLE and self._arena.is_others():
            self._drop(top)
            if is_pushed_here(top):
                pop(top, True, error)
        elif top.kind == CYCLE and self._again and not is_pushed_here(top):
            self._exit_again()
        else:
            pop(top, True, error)

    cdef int _exit_oddly(self, Frame top, object error) except -1:
        """Leave when the uppermost running frame of this context is not ours."""
        cdef Frame frame = frame_of(self, False)
        if frame is not None:
            self._forgiven += 1
            frame.left = True
            problem = _errors.wrong_order(frame_name(frame), frame_name(top))
            return complain(problem, error)
        frame = raw_frame()
        while frame is not top:
            if frame.scope is self and frame.kind <= AGAIN and not frame.done:
                if is_pushed_here(frame):
                    return pop(frame, True, error)  # ours: its cycle ended elsewhere
            frame = frame.below
        if self._forgiven > 0:
            self._forgiven -= 1
            return 0
        if self._cycle is None or not is_running(self._cycle):
            return complain(_errors.not_entered(self.name), error)
        if not self._arena.mine():
            return self._drop(self._cycle)
        # Entered in another context of this thread.
        return self._exit_again() if self._again else pop(self._cycle, False, error)

    cdef int _exit_again(self) except -1:
        """Take an exit for that of the last enter of the cycle in another context."""
        cdef Frame frame = <Frame>self._again.pop()
        frame.done = True
        return 0

    cdef int _drop(self, Frame frame) except -1:
        """Leave a cycle open that another thread has, for the next enter to end."""
        self._arena.leave_open()
        frame.dropped = True
        self._cycle = None
        return 0

    cdef int _forget_again(self, Frame frame) except -1:
        cdef list again = self._again
        if again and again[-1] is frame:
            again.pop()
        elif frame in again:
            again.remove(frame)
        return 0

    cdef int _prepare_end(self, Frame frame) except -1:
        """Collect what only the open cycle knows."""
        self._sites = frame.arena.escaping_sites() if self._watch & ON_ESCAPES else []
        return 0

    cdef void _end(self, Frame frame) noexcept:
        """End the cycle; no Python code runs."""
        frame.arena.end(&self._figures)
        self._cycle = None
        if self._figures.fit > self._most.fit:
            self._most = self._figures
        self._noteworthy = (
            (self._watch & ON_ALLOCATIONS and self._figures.allocations != 0)
            or (self._watch & ON_SPILLS and self._figures.spilled != 0)
            or (self._watch & ON_CARRIED and self._figures.carried != 0)
            or (self._watch & ON_ESCAPES and self._figures.escaped_count != 0)
        )

    cdef int _report(self, bint is_passing) except -1:
        self._noteworthy = False
        self._settle(self._figures, self._sites, is_passing)
        return 0

    @property
    def _largest(self):
        """Figures of the cycle that would need the largest block; None: none has."""
        return self._most if self._most.fit != 0 else None

    def _forget_largest(self):
        self._most.fit = 0

    cdef object _wrong_thread(self):
        here = thread_name(PyThread_get_thread_ident())
        problem = _errors.wrong_thread(self.name, thread_name(self._thread), here)
        return _errors.with_open(problem)

    def _check_open(self, str action="allocate in"):
        """Raise unless the scope is open on this thread."""
        if self._arena.mine():
            return
        if self._arena.is_others():
            raise self._wrong_thread()
        raise _errors.with_open(_errors.not_open(self.name, action))

    @property
    def _is_off(self):
        """Whether the creators of the open scope place nothing: paused, or bypassed."""
        return self._arena._bypasses or (self._pauses > 0 and is_paused(self))

    @property
    def _is_mine(self):
        """Whether the scope is open on this thread, in whichever context."""
        return self._arena.mine()

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
        return Block.__new__(Block, self, BORROW)

    def paused(self):
        """Turn this workspace off for a block: all arrays made there are NumPy's own.

        What its creators make is, too: a plain array that is never stale. An array of
        the cycle that is there already stays one, also where `asarray` gives it back.

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
        wspace.scope_out : Turn capture off only, for whichever workspace is current.

        Notes
        -----
        `borrow`, and entering this or another workspace, turn it on again inside.

        Examples
        --------
        >>> import wspace
        >>> with wspace.Workspace("demo") as ws:
        ...     with ws.paused():
        ...         x = ws.ones(3)
        >>> float(x.sum()), wspace.is_attached(x)
        (3.0, False)
        """
        return Block.__new__(Block, self, PAUSE)


@cython.final
cdef class Block:
    """The block of `Workspace.borrow` or of `Workspace.paused`."""

    cdef Scope _scope
    cdef Kind _kind
    cdef list _frames

    def __cinit__(self, Scope scope not None, int kind):
        self._scope = scope
        self._kind = <Kind>kind
        self._frames = []

    def __enter__(self):
        cdef Scope scope = self._scope
        cdef bint pauses = self._kind == PAUSE
        scope._check_open("pause" if pauses else "borrow")
        handler = None if pauses else scope._handler()
        self._frames.append(push(scope, scope._arena, self._kind, handler))
        scope._pauses += pauses
        return scope

    def __exit__(self, kind, error, trace):
        if self._frames:
            leave(<Frame>self._frames.pop(), error)
        else:
            complain(_errors.not_entered(self._scope.name), error)


@cython.final
cdef class ScopeOut:
    """The block of `scope_out`."""

    cdef list _frames

    def __cinit__(self):
        self._frames = []

    def __enter__(self):
        self._frames.append(push(None, None, OUT, None))

    def __exit__(self, kind, error, trace):
        if self._frames:
            leave(<Frame>self._frames.pop(), error)
        else:
            complain(_errors.not_entered("scope_out"), error)


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


cdef Frame deciding_frame(Frame frame):
    """The frame that decides, from `frame` down: see `current_frame`."""
    while frame is not None:
        if is_running(frame) and (frame.scope is None or frame.arena.mine()):
            return frame
        frame = frame.below
    return None


cdef Frame current_frame():
    """The frame that decides here: of a workspace open on this thread, or scope_out."""
    return deciding_frame(raw_frame())


cdef wsp_arena *arena_at(Frame top) noexcept:
    """The arena that is current where `top` is the top of the stack; NULL: none is."""
    cdef Frame frame = deciding_frame(top)
    return NULL if frame is None or frame.kind >= PAUSE else frame.arena._ptr


cdef wsp_arena *current_arena() noexcept:
    return arena_at(raw_frame())


set_current_source(current_arena)


def current():
    """Return the workspace that is current, innermost in this thread and context.

    Returns
    -------
    Workspace or None
        None outside all scopes and in a block of `scope_out` or of `paused`.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     wspace.current().name
    'demo'
    """
    cdef Frame frame = current_frame()
    return None if frame is None or frame.kind == PAUSE else frame.scope


cdef bint is_paused(Scope scope):
    """Whether the uppermost running frame of a scope in this context is of paused."""
    cdef Frame frame = top_frame()
    while frame is not None:
        if frame.scope is scope and is_running(frame):
            return frame.kind == PAUSE
        frame = frame.below
    return False


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


_errors.ask_open(lambda: [scope.name for scope in open_scopes()])
