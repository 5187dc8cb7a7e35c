# SPDX-License-Identifier: BSD-3-Clause
"""`Workspace`: the policies over a scope."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar, Unpack, overload

from wspace import _errors, _of_thread
from wspace._arena import Arena
from wspace._calls import in_scope_of
from wspace._config import (
    AllocationPolicy,
    ConfigFields,
    EscapePolicy,
    LearningPolicy,
    SpillPolicy,
    WorkspaceConfig,
)
from wspace._creators import Creators
from wspace._default import effective
from wspace._errors import CallSite
from wspace._scope import (
    WATCH_ALLOCATIONS,
    WATCH_CARRIED,
    WATCH_ESCAPES,
    WATCH_SPILLS,
)
from wspace._sizes import format_bytes
from wspace._stats import WorkspaceStats

_F = TypeVar("_F", bound=Callable[..., Any])

# Cycles in a row that spill before a block that may not grow is complained of.
_PERSISTS = 3

# Of a block that arrays are carried through: what fits into the free ranges between
# survivors is less than their sum, by this factor; and the share of a cycle's bytes
# from which on that matters.
_WALLS = 1.2
_CARRIES = 1 / 32

_OURS = os.path.join(os.path.dirname(__file__), "_")  # files of wspace itself

_numbers = itertools.count(1)


def _warn(warning: Warning) -> None:
    """Warn at the line of the program that left the scope, which `scoped` may have."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


class Cycle(TypedDict):
    """What the core says of a cycle that has ended; see ``wsp_cycle`` in ``wsp.h``."""

    generation: int
    high_water: int
    need: int
    spilled: int
    carried: int
    escaped: int
    escaped_count: int
    allocations: int
    outside: bool


class Workspace(Creators):
    """Hold a scoped, bounded piece of aligned memory that each cycle uses again.

    ``with ws:`` is a cycle. In it NumPy's arrays of `min_block` bytes or more are
    placed in the workspace; when it ends the memory is rewound. Arrays that are still
    alive then keep their bytes: a `numpy.ndarray` stays valid, a `wspace.Array` is
    stale and raises when it is used.

    Parameters
    ----------
    name : str, optional
        For messages and statistics; need not be unique.
    config : WorkspaceConfig, optional
        The configuration; by default that of `set_default_config`.
    **fields
        Single fields of the configuration, which override `config`.

    Raises
    ------
    TypeError, ValueError
        If a field is unknown, of a wrong type, or conflicts with another one.

    See Also
    --------
    scoped : Run a function in a workspace; its result is detached.
    get : The workspace of a name in this thread.

    Notes
    -----
    A workspace is open in one thread at a time; when it is closed any thread may open
    it. Opening it again where it is open only counts: the cycle ends with the outermost
    exit. Enter and exit cost less than a microsecond; the memory is taken at first use.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> ws = wspace.Workspace("demo")
    >>> for _ in range(3):
    ...     with ws:
    ...         noise = np.ones((100, 100)) + 1.0
    ...         mean = wspace.detach(noise.mean(axis=0))
    >>> mean.shape, ws.stats.cycles
    ((100,), 3)
    """

    config: WorkspaceConfig

    def __init__(
        self,
        name: str | None = None,
        config: WorkspaceConfig | None = None,
        **fields: Unpack[ConfigFields],
    ) -> None:
        if name is None:
            name = f"workspace-{next(_numbers)}"
        elif not isinstance(name, str):
            raise _errors.wrong_type("name", "a string", name)
        self.config = effective(config, fields)
        self._checked = self.config.checked
        self._bound = "initial_size" if self.config.max_size is None else "max_size"
        self._start_learning()
        super().__init__(name, self.config.capture)
        self._spans: list[Any] = []  # of the counters that are open on it
        _of_thread.remember(self)

    # ---- hooks of Scope --------------------------------------------------------------

    def _new_arena(self) -> Arena:
        config = self.config
        no_spill = config.spill is SpillPolicy.FAIL
        return Arena(
            self.name,
            alignment=config.alignment,
            min_block=config.min_block,
            initial=config.initial_size,
            max_block=config.max_size,
            limit=config.max_size if no_spill else None,
            no_spill=no_spill,
            learn=config.initial_size == 0 and self._may_learn,
            huge_pages=config.huge_pages,
            populate=config.populate,
            zero_on_free=config.zero_on_reset,
            record=config.record,
        )

    @property
    def _may_learn(self) -> bool:
        return self.config.learning is LearningPolicy.FIRST_LOOP

    def _start_learning(self) -> None:
        """Forget what was learned, as before the first cycle."""
        self._learning = self._may_learn and self.config.initial_size == 0
        self._last_spill = 0  # generation of the last cycle that spilled
        self._spills_in_a_row = 0
        self._complained = False
        self._carries = False  # and is sized and warmed for it
        self._watch = WATCH_SPILLS
        if self._learning:
            self._watch |= WATCH_ALLOCATIONS
        else:
            self._watch_learned()

    def _watch_learned(self) -> None:
        self._watch = WATCH_SPILLS | WATCH_CARRIED
        if self.config.escape is not EscapePolicy.IGNORE:
            self._watch |= WATCH_ESCAPES

    def _settle(self, cycle: Cycle, sites: list[CallSite], is_passing: bool) -> None:
        """Do what the policies say at the end of a noteworthy cycle.

        An exception that `is_passing` must not be replaced: nothing is raised then, and
        no warning given, which a filter could turn into one.
        """
        was_learning = self._learning
        if self._learning:
            self._learn(cycle)
        if cycle["carried"] and not self._carries:
            self._after_carried(cycle)
        if cycle["spilled"]:
            self._after_spill(cycle, is_passing)
        if cycle["escaped_count"] and not was_learning and not is_passing:
            self._after_escape(cycle, sites)

    def _explain_refusal(self, error: MemoryError) -> None:
        """Add to NumPy's error that it was this workspace that had no room."""
        if isinstance(error, _errors.WorkspaceFullError):
            return
        full = self._no_memory(error)
        if isinstance(full, _errors.WorkspaceFullError):
            for line in (str(full), *full.__notes__):
                error.add_note(line)

    # ---- policies --------------------------------------------------------------------

    def _learned(self, need: int) -> int:
        """Return the size of block for what a cycle needed, in bytes."""
        config = self.config
        size = float(need)
        if config.allocation is AllocationPolicy.OVERALLOCATE:
            size *= 1.0 + config.overallocation
        size = min(size, sys.maxsize // 4)
        size = max(int(size), config.min_size)
        return size if config.max_size is None else min(size, config.max_size)

    def _learn(self, cycle: Cycle) -> None:
        self._learning = False
        self._watch_learned()
        # Refused by the system: what does not fit is spilled, and it is tried again.
        self._arena.resize(self._learned(self._need(cycle)))

    def _need(self, cycle: Cycle) -> int:
        """Return what a block must hold for such a cycle, in bytes."""
        high_water, carried = cycle["high_water"], cycle["carried"]
        if carried < _CARRIES * high_water:
            return cycle["need"]
        return max(cycle["need"], int(_WALLS * (high_water + carried)))

    def _after_carried(self, cycle: Cycle) -> None:
        """Fit the block to arrays that are carried from cycle to cycle, once.

        Which of its ranges are free differs from one cycle to the next, so it is
        brought into memory whole: else new pages would be touched now and then.
        """
        self._carries = True
        self._watch &= ~WATCH_CARRIED
        size = self._learned(self._need(cycle))
        if self._may_grow:
            self._arena.resize(size)
        self._arena.warm(size)

    def _after_spill(self, cycle: Cycle, is_passing: bool) -> None:
        in_a_row = self._last_spill == cycle["generation"] - 1
        self._last_spill = cycle["generation"]
        self._spills_in_a_row = self._spills_in_a_row + 1 if in_a_row else 1
        if self._grow(cycle):
            self._spills_in_a_row = 0
            return
        fits = cycle["high_water"] < self._arena.capacity
        if self._spills_in_a_row >= 2 and fits:
            # It would fit into a block without survivors.
            self._arena.move()
            self._spills_in_a_row = 0
        elif not is_passing:
            self._complain_of_spills(cycle)

    def _grow(self, cycle: Cycle) -> bool:
        """Grow the block to what was needed; say whether it is larger now."""
        if not self._may_grow:
            return False
        before = self._arena.capacity
        self._arena.resize(self._learned(self._need(cycle)))
        if self._carries:
            self._arena.warm(self._arena.capacity)
        return self._arena.capacity > before

    @property
    def _may_grow(self) -> bool:
        return self._may_learn and self.config.spill is SpillPolicy.REALLOCATE

    def _complain_of_spills(self, cycle: Cycle) -> None:
        if self.config.spill is not SpillPolicy.EXTERNAL or self._complained:
            return
        if self._spills_in_a_row >= _PERSISTS:
            self._complained = True
            count, nbytes = self._spills_in_a_row, cycle["spilled"]
            warning = _errors.spills_persist(self.name, count, nbytes)
            _warn(warning)

    def _after_escape(self, cycle: Cycle, sites: list[CallSite]) -> None:
        told = (
            self.name,
            cycle["generation"],
            cycle["escaped_count"],
            cycle["escaped"],
            sites,
        )
        if self.config.escape is EscapePolicy.RAISE:
            raise _errors.escaped(*told)
        if self.config.escape is EscapePolicy.WARN:
            _warn(_errors.escape_warning(*told))

    # ---- what users call -------------------------------------------------------------

    @overload
    def scoped(self, function: _F, /, *, result: str = "detach") -> _F: ...
    @overload
    def scoped(
        self, function: None = None, /, *, result: str = "detach"
    ) -> Callable[[_F], _F]: ...

    def scoped(
        self, function: _F | None = None, /, *, result: str = "detach"
    ) -> _F | Callable[[_F], _F]:
        """Run a function in a cycle of this workspace; decorator.

        Parameters
        ----------
        function : callable
            What is decorated; not a generator function, not an ``async def``.
        result : {"detach", "keep", "leverage"}
            What is done with what the function returns: see `wspace.detach`,
            `wspace.keep` and `wspace.leverage`.

        Returns
        -------
        callable
            The function in a scope, or without `function` a decorator.

        Raises
        ------
        TypeError
            If `function` is a generator function or a coroutine function.
        ValueError
            If `result` is none of the three.

        See Also
        --------
        wspace.scoped : The same with the workspace of the calling thread.

        Examples
        --------
        >>> import numpy as np
        >>> import wspace
        >>> ws = wspace.Workspace("demo")
        >>> @ws.scoped
        ... def norm(n):
        ...     x = np.arange(n) * 2.0
        ...     return np.sqrt(x @ x)
        >>> float(norm(2))
        2.0
        """
        if function is None:
            return lambda given: in_scope_of(lambda: self, given, result)
        return in_scope_of(lambda: self, function, result)

    def release(self) -> None:
        """Give the memory back and leave the workspace as new.

        Its size is learned again; generation and counts go on. Arrays that are alive
        keep their pages until they die.

        Raises
        ------
        WorkspaceStateError
            If the workspace is open or closed for good.

        Examples
        --------
        >>> import wspace
        >>> ws = wspace.Workspace("demo", initial_size="1MiB")
        >>> with ws:
        ...     ws.zeros(1000).sum()
        np.float64(0.0)
        >>> ws.release()
        >>> ws.stats.reserved
        0
        """
        self._check_idle("release")
        if not self._arena.release():
            raise _errors.must_be_closed(self.name, "release")
        self._start_learning()

    def close(self) -> None:
        """Give the memory back for good; closing again does nothing.

        Arrays that are alive keep their pages until they die.

        Raises
        ------
        WorkspaceStateError
            If the workspace is open.

        Examples
        --------
        >>> import wspace
        >>> ws = wspace.Workspace("demo")
        >>> ws.close()
        >>> ws
        <Workspace 'demo' closed, generation 0>
        """
        if self._is_closed:
            return
        self._check_idle("close")
        if not self._arena.close():
            raise _errors.must_be_closed(self.name, "close")
        self._is_closed = True

    def trim(self) -> int:
        """Give back the memory behind all that is free, and keep the learned size.

        Returns
        -------
        int
            What was given back, in bytes. The next cycle takes it again, with a page
            fault for each page.

        Raises
        ------
        WorkspaceStateError
            If the workspace is open or closed for good.

        Examples
        --------
        >>> import wspace
        >>> ws = wspace.Workspace("demo", initial_size="1MiB")
        >>> with ws:
        ...     x = ws.zeros(100_000).sum()
        >>> ws.trim() >= 800_000
        True
        """
        self._check_idle("trim")
        return int(self._arena.trim())

    _is_closed = False

    def _check_open(self, action: str = "allocate in") -> None:
        if self._is_closed:
            raise _errors.closed(self.name, action)
        super()._check_open(action)

    def _check_idle(self, action: str) -> None:
        if self._arena.is_inherited:
            self._renew()  # the memory is the parent's, and left alone here
        if self._is_closed:
            raise _errors.closed(self.name, action)
        if self._arena.is_open:
            raise _errors.must_be_closed(self.name, action)
        self._arena.recover()

    @property
    def stats(self) -> WorkspaceStats:
        """A snapshot of the figures of this workspace; any thread may ask."""
        return WorkspaceStats(**self._arena.stats())

    def __repr__(self) -> str:
        figures = self._arena.stats()
        state = (
            "open"
            if self.is_open
            else "closed"
            if self._is_closed
            else "idle"
            if figures["generation"]
            else "new"
        )
        text = f"<Workspace {self.name!r} {state}, generation {figures['generation']}"
        if figures["capacity"]:
            used = format_bytes(figures["used"], figures["capacity"])
            text += f", {used} used"
        if figures["spills"]:
            plural = "" if figures["spills"] == 1 else "s"
            text += f", {figures['spills']} spill{plural}"
        return text + ">"
