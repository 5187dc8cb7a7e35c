# SPDX-License-Identifier: BSD-3-Clause
"""`StagedWorkspace`: the cycles of programs that run in stages, in four modes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from wspace import _complaints, _errors
from wspace._config import (
    ConfigFields,
    WorkspaceConfig,
    _read_policy,
)
from wspace._default import effective
from wspace._policies import LocationPolicy, Policy, ResetPolicy
from wspace._scope import current
from wspace._staged_stats import Entry, StagedStats, Tally, staged_stats
from wspace._transfer import hand_on
from wspace._workspace import Workspace

_T = TypeVar("_T")


class WorkspaceMode(Policy):
    """Choose how the stages of a cycle share memory.

    Attributes
    ----------
    NONE
        No workspaces: NumPy's own heap.
    ENABLED
        A workspace for the cycle, and a working one that all stages share and that is
        rewound at the end of each. What is made under `StagedWorkspace.results` is made
        in the cycle's.
    SINGLE
        One workspace for the cycle; a stage opens nothing.
    SEPARATE
        As `ENABLED`, but every result is made in the working workspace and copied.

    Examples
    --------
    >>> import wspace
    >>> wspace.WorkspaceMode("separate")
    <WorkspaceMode.SEPARATE: 'separate'>
    """

    NONE = "none"
    ENABLED = "enabled"
    SINGLE = "single"
    SEPARATE = "separate"


_WORKING = (WorkspaceMode.ENABLED, WorkspaceMode.SEPARATE)


class StagedWorkspace:
    """Run the cycles of a program in stages, whose temporaries share memory.

    ``with run:`` is a cycle, ``with run.stage("name"):`` a stage of it. What a stage
    makes dies with it, but for what is made in a block of ``run.results()`` and what
    ``run.result(x)`` hands on: that lives until the end of the cycle.

    Parameters
    ----------
    name : str, optional
        For messages and statistics.
    mode : WorkspaceMode or str
        How memory is shared; the values are the same in every mode.
    config : WorkspaceConfig, optional
        The configuration of both workspaces; by default that of `set_default_config`.
    **fields
        Single fields of the configuration, which override `config`.

    Raises
    ------
    TypeError, ValueError
        As for `Workspace`, and if there is no such mode.

    See Also
    --------
    Workspace : A cycle without stages.

    Notes
    -----
    As a workspace, it is open in one thread at a time, and entering it again where it
    is open only counts. A stage in a stage is a part of it.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> run = wspace.StagedWorkspace("demo", mode="enabled")
    >>> for _ in range(3):
    ...     with run:
    ...         with run.stage("noise"):
    ...             noise = np.sqrt(np.ones((100, 100)) * 4.0) - 1.0
    ...             with run.results():
    ...                 smooth = noise[1:] + noise[:-1]
    ...         with run.stage("sum"):
    ...             total = wspace.detach(smooth.sum(axis=0))
    >>> float(total[0]), run.stats.cycles, run.stats.copied
    (198.0, 3, 0)
    """

    name: str
    config: WorkspaceConfig

    def __init__(
        self,
        name: str | None = None,
        mode: WorkspaceMode | str = WorkspaceMode.ENABLED,
        config: WorkspaceConfig | None = None,
        **fields: Unpack[ConfigFields],
    ) -> None:
        self._mode = _read_policy(mode, "mode", WorkspaceMode)
        self.config = effective(config, fields)
        if self.config.reset is not ResetPolicy.BLOCK_LEFT:
            raise _complaints.not_staged("reset", self.config.reset)
        if self.config.location is not LocationPolicy.RAM:
            raise _complaints.not_staged("location", self.config.location)
        self._make(name)

    def _make(self, name: str | None) -> None:
        """Begin as new, with workspaces that have learned nothing yet."""
        self._cycle = Workspace(name, self.config)
        self.name = self._cycle.name
        self._working = Workspace(f"{self.name}/working", self.config)
        self._tally = Tally()
        self._outside: list[threading.Thread] = []  # who has a cycle of NONE open

    # ---- the cycle -------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._mode is not WorkspaceMode.NONE:
            self._cycle.__enter__()
            return self
        here = threading.current_thread()
        for thread in list(self._outside):
            if thread is not here and thread.is_alive():
                raise _errors.wrong_thread(self.name, thread.name, here.name)
        self._outside.append(here)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mode is not WorkspaceMode.NONE:
            self._cycle.__exit__(kind, error, trace)
        else:
            here = threading.current_thread()
            if here in self._outside:
                self._outside.remove(here)
                self._tally.cycles += here not in self._outside
            elif error is None:
                raise _complaints.stage_not_entered(self.name, "a cycle")
        if self._tally.open and not self.is_open:
            left = self._tally.abandon()
            if error is None:
                raise _complaints.stages_left_open(self.name, left)

    def _check_open(self, action: str) -> None:
        """Raise unless a cycle is open on this thread."""
        if self._mode is WorkspaceMode.NONE:
            if threading.current_thread() not in self._outside:
                raise _errors.with_open(_complaints.cycle_not_open(self.name, action))
        elif not self._cycle._is_mine:
            if not self._cycle.is_open:
                raise _errors.with_open(_complaints.cycle_not_open(self.name, action))
            self._cycle._check_open(action)  # of another thread

    # ---- what is in it ---------------------------------------------------------------

    def stage(self, name: str) -> _Stage:
        """Run a block as a stage of the cycle.

        Parameters
        ----------
        name : str
            For the statistics; a name may come again, in this cycle and in others.

        Returns
        -------
        context manager

        Raises
        ------
        TypeError
            If `name` is no string.
        WorkspaceStateError
            On entering, if no cycle is open here.
        WrongThreadError
            On entering, if a cycle is open in another thread.

        Examples
        --------
        >>> import wspace
        >>> with wspace.StagedWorkspace("demo") as run, run.stage("forward"):
        ...     wspace.current().name
        'demo/working'
        """
        if not isinstance(name, str):
            raise _errors.wrong_type("name", "a string", name)
        return _Stage(self, name)

    def results(self) -> _Results:
        """Make what a block makes where it outlives the stage.

        Returns
        -------
        context manager

        Raises
        ------
        WorkspaceStateError
            On entering, if no cycle is open here.
        WrongThreadError
            On entering, if a cycle is open in another thread.

        See Also
        --------
        result : Hand on what was made already.

        Notes
        -----
        In mode ``"enabled"`` that is the cycle's workspace, and nothing is copied. The
        temporaries of the block are made there, too: keep it short. In the other modes
        it does nothing.

        Examples
        --------
        >>> import numpy as np
        >>> import wspace
        >>> with wspace.StagedWorkspace("demo") as run, run.stage("forward"):
        ...     with run.results():
        ...         x = np.zeros(1000)
        ...     wspace.owner(x).name, run.result(x) is x
        ('demo', True)
        """
        return _Results(self)

    def result(self, x: _T) -> _T:
        """Hand a result of a stage on to the rest of the cycle.

        Parameters
        ----------
        x : object
            As for `wspace.detach`.

        Returns
        -------
        object
            With the stages' arrays copied into the cycle's workspace in modes
            ``"separate"`` and ``"enabled"``; all others, and all in the other modes,
            as they are.

        Raises
        ------
        WorkspaceStateError
            If no cycle is open here.
        WrongThreadError
            If a cycle is open in another thread.
        StaleArrayError, TypeError, WorkspaceFullError, MemoryError
            As for `wspace.leverage`.

        See Also
        --------
        results : Make it where it stays, without a copy.
        wspace.detach : Take it out of the cycle.

        Examples
        --------
        >>> import numpy as np
        >>> import wspace
        >>> run = wspace.StagedWorkspace("demo", mode="separate")
        >>> with run:
        ...     with run.stage("forward"):
        ...         x = run.result(np.zeros(1000))
        ...     wspace.owner(x).name, run.stats.copied
        ('demo', 8000)
        """
        self._check_open("hand on a result of")
        if self._mode not in _WORKING:
            return x
        return hand_on(x, self._working, self._cycle, self._tally.note_copy)

    @property
    def current(self) -> Workspace | None:
        """The workspace of this run that is current, or None.

        Where a program makes checked arrays, ``(run.current or np).zeros(shape)`` does
        in every mode.
        """
        here = current()
        return here if here is self._cycle or here is self._working else None

    # ---- the whole of it -------------------------------------------------------------

    @property
    def mode(self) -> WorkspaceMode:
        """How memory is shared; can be set between cycles.

        Another mode begins as new: sizes are learned again, statistics start anew, and
        the memory of the former one goes back. Arrays that are alive keep theirs.
        """
        return self._mode

    @mode.setter
    def mode(self, mode: WorkspaceMode | str) -> None:
        chosen = _read_policy(mode, "mode", WorkspaceMode)
        if chosen is self._mode:
            return
        if self.is_open:
            raise _complaints.mode_while_open(self.name, self._mode.value, chosen.value)
        self.close()
        self._mode = chosen
        self._make(self.name)

    @property
    def is_open(self) -> bool:
        """Whether a cycle is open, on whichever thread."""
        if any(thread.is_alive() for thread in list(self._outside)):
            return True
        return any(workspace.is_open for workspace in self.workspaces)

    @property
    def workspaces(self) -> tuple[Workspace, Workspace]:
        """The cycle's workspace and the one that the stages share."""
        return self._cycle, self._working

    @property
    def stats(self) -> StagedStats:
        """A snapshot of the figures of all stages, workspaces and spills."""
        return staged_stats(self._mode.value, self._tally, self.workspaces)

    def release(self) -> None:
        """Give the memory back and leave the workspaces as new.

        Raises
        ------
        WorkspaceStateError
            If a cycle is open, or the workspaces are closed for good.
        """
        self._check_idle("release")
        for workspace in self.workspaces:
            workspace.release()

    def close(self) -> None:
        """Give the memory back for good; closing again does nothing.

        Raises
        ------
        WorkspaceStateError
            If a cycle is open.
        """
        self._check_idle("close")
        for workspace in self.workspaces:
            workspace.close()

    def _check_idle(self, action: str) -> None:
        if self.is_open:
            raise _errors.must_be_closed(self.name, action)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "idle"
        cycles = self._tally.cycles + self._cycle.stats.cycles
        return (
            f"<StagedWorkspace {self.name!r} {self._mode.value} {state}, "
            f"{_errors._count(cycles, 'cycle')}>"
        )


class _Stage:
    """The block of `StagedWorkspace.stage`; may be entered while it is entered."""

    def __init__(self, run: StagedWorkspace, name: str) -> None:
        self._run = run
        self._name = name
        self._entered: list[tuple[Tally, Entry, Workspace | None]] = []

    def __enter__(self) -> StagedWorkspace:
        run = self._run
        run._check_open("enter a stage of")
        counted = () if run._mode is WorkspaceMode.NONE else run.workspaces
        working = run._working if run._mode in _WORKING else None
        tally = run._tally
        entry = tally.begin(self._name, counted)
        if working is not None:
            try:
                working.__enter__()
            except BaseException:
                tally.end(entry)
                raise
        self._entered.append((tally, entry, working))
        return run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        run = self._run
        if not self._entered:
            if error is None:
                raise _complaints.stage_not_entered(run.name, "a stage")
            return
        tally, entry, working = self._entered.pop()
        try:
            if working is not None:
                working.__exit__(kind, error, trace)
        finally:
            tally.end(entry)


class _Results:
    """The block of `StagedWorkspace.results`; may be entered while it is entered."""

    def __init__(self, run: StagedWorkspace) -> None:
        self._run = run
        self._entered: list[AbstractContextManager[Any, None] | None] = []

    def __enter__(self) -> StagedWorkspace:
        run, block = self._run, None
        run._check_open("make results of")
        if run._mode is WorkspaceMode.ENABLED:
            block = run._cycle.borrow()
            block.__enter__()
        self._entered.append(block)
        return run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._entered:
            if error is None:
                raise _complaints.stage_not_entered(self._run.name, "the results")
            return
        block = self._entered.pop()
        if block is not None:
            block.__exit__(kind, error, trace)
