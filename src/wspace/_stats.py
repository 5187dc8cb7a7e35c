# SPDX-License-Identifier: BSD-3-Clause
"""`WorkspaceStats`: what a workspace has done and holds."""

from __future__ import annotations

from dataclasses import dataclass

from wspace._sizes import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceStats:
    """Hold a snapshot of a workspace; subtract two for what happened between.

    Bytes in use count the header and the rounding of each allocation.

    Attributes
    ----------
    generation : int
        Number of the current cycle, or of the last one; 0 before the first.
    cycles : int
        Count of cycles that have ended.
    capacity : int
        Size of the block, or of each slot of a ring, in bytes.
    used : int
        In use by the open cycle now, in bytes.
    high_water : int
        Most in use at once, of all cycles, in bytes.
    last_high_water : int
        Most in use at once in the last cycle that ended, in bytes.
    spilled : int
        In spills that are alive, in bytes.
    retained : int
        Held by all arrays that outlived their cycle, in bytes as asked.
    reserved : int
        Memory held from upstream, in bytes.
    resident : int
        Part of it that is in RAM, in bytes, as the operating system says.
    cycle_high_water : int
        Most in use at once in the open cycle so far, in bytes.
    escaped : int
        Held by captured arrays that escaped, in bytes as asked; part of `retained`.
    allocations : int
        Count of allocations, in the block and outside, since creation.
    spills : int
        Count of allocations that did not fit into the block, since creation.
    escaped_count : int
        Count of captured arrays that were alive at the end of their cycle, since
        creation.
    passed_small : int
        Count of allocations left to NumPy because they were smaller than `min_block`,
        since creation.
    passed_foreign : int
        Count of allocations left to NumPy because the calling thread did not have the
        workspace open, since creation.
    upstream_calls : int
        Count of requests to upstream, since creation.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.zeros(1000)
    ...     ws.stats.allocations
    1
    """

    generation: int
    cycles: int
    capacity: int
    used: int
    high_water: int
    last_high_water: int
    spilled: int
    retained: int
    reserved: int
    resident: int
    cycle_high_water: int
    escaped: int
    allocations: int
    spills: int
    escaped_count: int
    passed_small: int
    passed_foreign: int
    upstream_calls: int

    def __str__(self) -> str:
        return (
            f"generation {self.generation}, "
            f"{format_bytes(self.used, self.capacity)} used, "
            f"high-water mark {format_bytes(self.high_water)}, "
            f"{format_bytes(self.retained)} retained, "
            f"{self.spills:,} spill{'' if self.spills == 1 else 's'}"
        )
