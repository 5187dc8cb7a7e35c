# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of staged programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from wspace._counters import ALLOCATIONS, SPILLS, Span
from wspace._workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStats:
    """Hold what the stages of one name have done.

    A stage in a stage is counted in both.

    Attributes
    ----------
    entries : int
        Count of stages that have ended.
    allocations : int
        Count of allocations in the workspaces of the run.
    spills : int
        Count of allocations that did not fit into a block.
    copied : int
        Copied by `StagedWorkspace.result`, in bytes.
    high_water : int
        Most in use at once, in bytes, by the workspaces of the run: that of each,
        summed, though the two need not have come at the same moment.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.StagedWorkspace("demo") as run, run.stage("forward"):
    ...     x = np.zeros(1000)
    >>> run.stats.stages["forward"].allocations
    1
    """

    entries: int
    allocations: int
    spills: int
    copied: int
    high_water: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedStats:
    """Hold a snapshot of a staged workspace since its mode was set.

    Attributes
    ----------
    mode : str
        The mode.
    cycles : int
        Count of cycles that have ended.
    copied : int
        Copied by `StagedWorkspace.result`, in bytes.
    stages : mapping of str to StageStats
        By the names of the stages, in the order of their first end.
    high_water : int
        Most in use at once in a stage or a cycle, in bytes; see `StageStats`.
    capacity, used, spilled, retained, escaped, reserved, resident : int
        Sums over both workspaces and their spills, in bytes, as `WorkspaceStats`
        explains them.
    allocations, spills, escaped_count, upstream_calls : int
        Counts, summed likewise.

    Examples
    --------
    >>> import wspace
    >>> wspace.StagedWorkspace("demo", mode="single").stats.mode
    'single'
    """

    mode: str
    cycles: int
    copied: int
    stages: Mapping[str, StageStats]
    high_water: int
    capacity: int
    used: int
    spilled: int
    retained: int
    escaped: int
    reserved: int
    resident: int
    allocations: int
    spills: int
    escaped_count: int
    upstream_calls: int


_SUMS = (
    "capacity",
    "used",
    "spilled",
    "retained",
    "escaped",
    "reserved",
    "resident",
    "allocations",
    "spills",
    "escaped_count",
    "upstream_calls",
)


class Entry:
    """A stage that is open."""

    __slots__ = ("copied", "name", "spans")

    def __init__(self, name: str, workspaces: Iterable[Workspace]) -> None:
        self.name = name
        self.copied = 0
        self.spans: list[Span] = []
        try:
            for workspace in workspaces:
                self.spans.append(Span(workspace))
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Let the figures be what they are now."""
        for span in self.spans:
            span.end()


class _Sums:
    """What the stages of one name have done so far; see `StageStats`."""

    __slots__ = ("allocations", "copied", "entries", "high_water", "spills")

    def __init__(self) -> None:
        self.entries = self.allocations = self.spills = self.copied = 0
        self.high_water = 0

    def add(self, entry: Entry) -> None:
        self.entries += 1
        self.copied += entry.copied
        mark = 0
        for span in entry.spans:
            self.allocations += span.total(ALLOCATIONS)
            self.spills += span.total(SPILLS)
            mark += span.peak
        self.high_water = max(self.high_water, mark)

    @property
    def stats(self) -> StageStats:
        return StageStats(**{name: getattr(self, name) for name in self.__slots__})


class Tally:
    """What a run counts by itself."""

    def __init__(self) -> None:
        self.cycles = 0  # of mode NONE, where no workspace counts them
        self.copied = 0
        self.stages: dict[str, _Sums] = {}
        self.open: list[Entry] = []

    def begin(self, name: str, workspaces: Iterable[Workspace]) -> Entry:
        """Begin a stage."""
        entry = Entry(name, workspaces)
        self.open.append(entry)
        return entry

    def end(self, entry: Entry) -> None:
        """End a stage, and add it to those of its name; once."""
        if entry not in self.open:
            return  # its cycle ended first
        self.open.remove(entry)
        entry.end()
        sums = self.stages.get(entry.name)
        if sums is None:
            sums = self.stages[entry.name] = _Sums()
        sums.add(entry)

    def abandon(self) -> list[str]:
        """End what its cycle has left open; return the names."""
        names = [entry.name for entry in self.open]
        for entry in reversed(list(self.open)):
            self.end(entry)
        return names

    def note_copy(self, nbytes: int) -> None:
        """Count a copy, for the run and for the stages that are open."""
        self.copied += nbytes
        for entry in self.open:
            entry.copied += nbytes


def staged_stats(
    mode: str, tally: Tally, workspaces: Sequence[Workspace]
) -> StagedStats:
    """Put the figures of a run together; the cycle's workspace is the first."""
    stages = {name: sums.stats for name, sums in list(tally.stages.items())}
    each = [workspace.stats for workspace in workspaces]
    marks = [stage.high_water for stage in stages.values()]
    return StagedStats(
        mode=mode,
        cycles=tally.cycles + each[0].cycles,
        copied=tally.copied,
        stages=MappingProxyType(stages),
        high_water=max(each[0].high_water, *marks, 0),
        **{name: sum(getattr(stats, name) for stats in each) for name in _SUMS},
    )
