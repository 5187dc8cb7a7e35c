# SPDX-License-Identifier: BSD-3-Clause
"""`counters`: what workspaces do in a block of the program, and the most they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from wspace import _complaints, _errors
from wspace._of_thread import mine
from wspace._workspace import Workspace

# Places in `Arena.totals`.
CYCLES, ALLOCATIONS, SPILLS, ESCAPED, UPSTREAM = 0, 1, 2, 3, 6


class Span:
    """What one workspace has done since a moment; part of counters."""

    __slots__ = ("_arena", "_peak", "_start", "_stop", "_workspace")

    def __init__(self, workspace: Workspace) -> None:
        arena = workspace._arena
        if arena.is_inherited and not workspace.is_open:
            workspace._check_idle("count in")  # renews it in the child of a fork
            arena = workspace._arena
        taken = arena.take_peak()
        if taken is None and not arena.is_inherited:
            workspace._check_open("count in")  # raises: it is open in another thread
        for other in workspace._spans:
            other._peak = max(other._peak, taken or 0)
        self._workspace = workspace
        self._arena = arena
        self._peak = 0
        self._start = arena.totals()
        self._stop: tuple[int, ...] | None = None
        workspace._spans.append(self)

    @property
    def peak(self) -> int:
        """Most bytes in use at once."""
        return self._peak if self._stop else max(self._peak, self._arena.peak())

    def total(self, which: int) -> int:
        """Return a difference of two of the arena's totals."""
        return (self._stop or self._arena.totals())[which] - self._start[which]

    def end(self) -> None:
        """Let the figures be what they are now."""
        if self._stop is None:
            self._peak, self._stop = self.peak, self._arena.totals()
            self._workspace._spans.remove(self)


class Counters:
    """Count what workspaces do in a block; `counters` makes them.

    Each figure is that of the block so far, and afterwards that of the whole block.

    Attributes
    ----------
    peak : int
        Most in use at once, in bytes, header and rounding included: summed over the
        workspaces, whose peaks need not have come at the same moment.
    cycles : int
        Count of cycles that ended.
    allocations : int
        Count of allocations.
    spills : int
        Count of allocations that did not fit into a block.
    escaped_count : int
        Count of captured arrays that were alive at the end of their cycle.
    upstream_calls : int
        Count of requests to upstream.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo")
    >>> with wspace.counters(ws) as counted, ws:
    ...     x = ws.zeros(1000)
    >>> counted
    <Counters: peak 8,256 bytes, 1 cycle, 1 allocation, 0 spills>
    """

    __module__ = "wspace"

    def __init__(self, workspaces: Sequence[Workspace]) -> None:
        self._given = workspaces
        self._spans: list[Span] = []
        self._watchers: list[Callable[[Workspace], None]] = []

    def __enter__(self) -> Self:
        if self._spans or self._watchers:
            raise _complaints.counting_already()
        try:
            for workspace in self._given or _countable():
                self._add(workspace)
        except BaseException:
            self._end()
            self._spans = []
            raise
        if not self._given:
            self._watchers = mine.watchers
            self._watchers.append(self._add)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _add(self, workspace: Workspace) -> None:
        self._spans.append(Span(workspace))

    def _end(self) -> None:
        if self._add in self._watchers:
            self._watchers.remove(self._add)
        for span in self._spans:
            span.end()

    def _total(self, which: int) -> int:
        return sum(span.total(which) for span in self._spans)

    @property
    def peak(self) -> int:
        return sum(span.peak for span in self._spans)

    @property
    def cycles(self) -> int:
        return self._total(CYCLES)

    @property
    def allocations(self) -> int:
        return self._total(ALLOCATIONS)

    @property
    def spills(self) -> int:
        return self._total(SPILLS)

    @property
    def escaped_count(self) -> int:
        return self._total(ESCAPED)

    @property
    def upstream_calls(self) -> int:
        return self._total(UPSTREAM)

    def __repr__(self) -> str:
        figures = [
            f"peak {self.peak:,} bytes",
            _errors._count(self.cycles, "cycle"),
            _errors._count(self.allocations, "allocation"),
            _errors._count(self.spills, "spill"),
        ]
        return f"<Counters: {', '.join(figures)}>"


def _countable() -> list[Workspace]:
    """Return this thread's workspaces, less those that are open in another one."""
    return [each for each in mine.created if each._is_mine or not each.is_open]


def counters(*workspaces: Workspace) -> Counters:
    """Count what workspaces do in a block, and the most they hold at once.

    Parameters
    ----------
    *workspaces : Workspace
        By default all that the calling thread has made, and those that it makes in the
        block.

    Returns
    -------
    Counters
        A context manager, which gives itself; the figures may be read at any time.

    Raises
    ------
    TypeError
        If one of them is not a workspace.
    WrongThreadError
        On entering, if one of `workspaces` is open in another thread.

    See Also
    --------
    Workspace.stats : What a workspace has done since it was made.

    Notes
    -----
    Blocks may be nested, and end in any order: each has the peak of its own. They
    change no other figure, and cost the same whatever is done in them.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo", initial_size="1MiB") as ws:
    ...     large = ws.zeros(10_000)
    ...     del large
    ...     with wspace.counters(ws) as counted:
    ...         small = ws.zeros(100)
    >>> counted.peak == wspace.bytes_for(100)
    True
    """
    for workspace in workspaces:
        if not isinstance(workspace, Workspace):
            raise _errors.wrong_type("workspaces", "Workspace objects", workspace)
    return Counters(workspaces)
