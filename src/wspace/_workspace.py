# SPDX-License-Identifier: BSD-3-Clause
"""`Workspace`: the policies over a scope."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, Unpack, overload

from wspace import _errors, _of_thread
from wspace._arena import Arena
from wspace._calls import in_scope_of
from wspace._config import ConfigFields, WorkspaceConfig
from wspace._creators import Creators
from wspace._default import effective
from wspace._errors import CallSite
from wspace._policies import (
    BusyPolicy,
    EscapePolicy,
    LocationPolicy,
    ResetPolicy,
    SpillPolicy,
)
from wspace._ring import SlotStats, await_slot, slot_stats
from wspace._scope import WATCH_ESCAPES
from wspace._sizes import format_bytes
from wspace._sizing import Cycle, Sizing
from wspace._stats import WorkspaceStats

_F = TypeVar("_F", bound=Callable[..., Any])

_OURS = os.path.join(os.path.dirname(__file__), "_")  # files of wspace itself

_WITHOUT_SPILLS = (BusyPolicy.WAIT, BusyPolicy.RAISE)

_numbers = itertools.count(1)


def _warn(warning: Warning) -> None:
    """Warn at the line of the program that left the scope, which `scoped` may have."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


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
        path = self.config.path  # the same after a chdir, and in the child of a fork
        self._path = None if path is None else os.path.abspath(path)
        self._sizing = Sizing(name, self.config)
        super().__init__(name, self.config.capture)
        self._watch_anew()
        self._spans: list[Any] = []  # of the counters that are open on it
        _of_thread.remember(self)

    # ---- hooks of Scope --------------------------------------------------------------

    def _new_arena(self) -> Arena:
        if self._is_closed:  # and inherited by a fork
            raise _errors.closed(self.name, "enter")
        config = self.config
        no_spill = config.spill is SpillPolicy.FAIL
        slots = config.slots if config.reset is ResetPolicy.RING else 0
        limit = None
        if no_spill and config.max_size is not None:
            limit = config.max_size * max(slots, 1)
        return Arena(
            self.name,
            alignment=config.alignment,
            min_block=config.min_block,
            initial=self._sizing.first_size,
            max_block=config.max_size,
            limit=limit,
            slots=slots,
            ring_skip=config.on_busy is BusyPolicy.SKIP,
            ring_refuse=no_spill or config.on_busy in _WITHOUT_SPILLS,
            no_spill=no_spill,
            learn=self._sizing.is_learning and not self._sizing.first_size,
            huge_pages=config.huge_pages,
            populate=config.populate,
            zero_on_free=config.zero_on_reset,
            record=config.record,
            file=self._file(),
        )

    def _file(self) -> tuple[bytes, bool, int] | None:
        """Return what the arena is told of its file, if it has one."""
        config, size = self.config, self._sizing.first_size
        if config.location is not LocationPolicy.MMAP:
            return None
        path = self._path
        if path is None:
            return os.fsencode(tempfile.gettempdir()), True, size
        present = os.path.getsize(path) if os.path.exists(path) else 0
        if config.max_size is not None and present > config.max_size:
            raise _errors.file_too_large(path, present, config.max_size)
        return os.fsencode(path), False, size

    def _watch_anew(self) -> None:
        self._watch = self._sizing.watch
        wants = self.config.escape is not EscapePolicy.IGNORE
        if wants and not self._sizing.is_learning:
            self._watch |= WATCH_ESCAPES

    def _settle(self, cycle: Cycle, sites: list[CallSite], is_passing: bool) -> None:
        """Do what the policies say at the end of a noteworthy cycle.

        An exception that `is_passing` must not be replaced: nothing is raised then, and
        no warning given, which a filter could turn into one.
        """
        was_learning = self._sizing.is_learning
        warning = self._sizing.settle(self._arena, cycle, self._largest, is_passing)
        if was_learning and not self._sizing.is_learning:
            self._forget_largest()
        self._watch_anew()
        if warning is not None:
            _warn(warning)
        if cycle["escaped_count"] and not was_learning and not is_passing:
            self._after_escape(cycle, sites)

    def _await_slot(self) -> None:
        """Wait for the slot whose turn it is, or raise, as the policy says."""
        await_slot(self.name, self._arena, self.config)

    def _explain_refusal(self, error: MemoryError) -> None:
        """Add to NumPy's error that it was this workspace that had no room."""
        if isinstance(error, _errors.WorkspaceFullError):
            return
        full = self._no_memory(error)
        if isinstance(full, _errors.WorkspaceFullError):
            for line in (str(full), *full.__notes__):
                error.add_note(line)

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

    def learn(self) -> int:
        """Size the block now for the cycle that needed most since it was last learned.

        Works with every `LearningPolicy`, and makes the block smaller as well as
        larger; not smaller while arrays of earlier cycles live in it and memory is
        bounded (``spill="fail"`` with a `max_size`).

        Returns
        -------
        int
            The size of the block, in bytes.

        Raises
        ------
        WorkspaceStateError
            If the workspace is open or closed for good, its block is a file, or no
            cycle has allocated since the size was learned last.
        MemoryError
            If the system does not give the memory.

        Examples
        --------
        >>> import wspace
        >>> ws = wspace.Workspace("demo", learning="over_time", allocation="strict")
        >>> for size in (1000, 5000, 2000):
        ...     with ws:
        ...         x = ws.zeros(size).sum()
        >>> ws.stats.capacity
        0
        >>> ws.learn() >= 40_000
        True
        """
        self._check_idle("learn the size of")
        if self.config.location is LocationPolicy.MMAP:
            raise _errors.size_is_fixed(self.name)
        largest = self._largest
        if largest is None:
            raise _errors.nothing_to_learn(self.name)
        size = self._sizing.learn(self._arena, largest)
        if size is None:
            needed = self._sizing.size_for(largest["fit"])
            raise _errors.upstream_failed(self.name, needed)
        self._forget_largest()
        self._watch_anew()
        return size

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
        self._sizing.restart()
        self._forget_largest()
        self._watch_anew()

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
        is_inherited = self._arena.is_inherited  # the parent's, and left alone here
        if not is_inherited:
            self._check_idle("close")
        if not self._arena.close() and not is_inherited:
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

    @property
    def slot_stats(self) -> tuple[SlotStats, ...]:
        """Figures of each slot of the ring; empty unless ``reset="ring"``."""
        return slot_stats(self._arena)

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
