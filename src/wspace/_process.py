# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of the whole process, and what an array costs."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from wspace import _arena, _complaints, _errors
from wspace._config import _read_alignment
from wspace._creators import _dims
from wspace._stats import WorkspaceStats
from wspace._summary import table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStats:
    """Say which workspace has done what.

    Attributes
    ----------
    name : str
        Of the workspace; need not be unique.
    is_open : bool
        Whether it is open, on whichever thread.
    stats : WorkspaceStats
        Its figures.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     [each.name for each in wspace.stats().workspaces if each.is_open]
    ['demo']
    """

    name: str
    is_open: bool
    stats: WorkspaceStats


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStats:
    """Hold a snapshot of all workspaces of the process, of all threads.

    Each figure is the sum over the workspaces, as `WorkspaceStats` explains it.

    Attributes
    ----------
    workspaces : tuple of NamedStats
        Those that are there, by name.
    cycles, allocations, spills, escaped_count, passed_small, passed_foreign : int
        Counts, since they were made.
    upstream_calls : int
        Count of requests to upstream.
    capacity, used, spilled, retained, escaped, reserved, resident : int
        Sizes, in bytes.
    process_resident : int or None
        Memory of the whole process that is in RAM, in bytes, as the operating system
        says; None where it does not say.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo", initial_size="1MiB") as ws:
    ...     x = ws.zeros(1000)
    ...     wspace.stats().reserved >= 2**20
    True
    """

    workspaces: tuple[NamedStats, ...]
    cycles: int
    allocations: int
    spills: int
    escaped_count: int
    passed_small: int
    passed_foreign: int
    upstream_calls: int
    capacity: int
    used: int
    spilled: int
    retained: int
    escaped: int
    reserved: int
    resident: int
    process_resident: int | None


_OWN = ("workspaces", "process_resident")
SUMS = [field.name for field in fields(ProcessStats) if field.name not in _OWN]


def stats() -> ProcessStats:
    """Return the statistics of all workspaces, of all threads.

    Returns
    -------
    ProcessStats

    See Also
    --------
    summary : The same as a table.
    Workspace.stats : Those of one workspace.

    Notes
    -----
    Arrays may outlive their workspace; what they hold is in `process_resident` only.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo", initial_size="1MiB")
    >>> before = wspace.stats()
    >>> with ws:
    ...     x = ws.zeros(1000)
    >>> wspace.stats().allocations - before.allocations
    1
    """
    found = []
    for arena in _arena.all_arenas():
        workspace = arena.owner
        if workspace is not None and workspace._arena is arena:
            figures = WorkspaceStats(**arena.stats())
            is_open = arena.is_open
            found.append(
                NamedStats(name=workspace.name, is_open=is_open, stats=figures)
            )
    found.sort(key=lambda each: each.name)
    sums = {name: sum(getattr(each.stats, name) for each in found) for name in SUMS}
    return ProcessStats(
        workspaces=tuple(found), process_resident=_process_resident(), **sums
    )


def _process_resident() -> int | None:
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def summary() -> str:
    """Return a table of all workspaces, of all threads.

    Returns
    -------
    str
        Drawn by rich where that is installed, else in plain text.

    See Also
    --------
    stats : The figures.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo")
    >>> "demo" in wspace.summary()
    True
    """
    now = stats()
    rows = [
        _row(each.name, "open" if each.is_open else "idle", each.stats)
        for each in now.workspaces
    ]
    return table_of(_COLUMNS, rows, _row("all", "", now), now.process_resident)


_SIZES = ("used", "capacity", "spilled", "retained", "reserved", "resident")
_COUNTS = ("cycles", "allocations", "spills", "escaped_count")
_COLUMNS = ("workspace", "state", *_COUNTS, *_SIZES)


def _row(name: str, state: str, of: WorkspaceStats | ProcessStats) -> list[str | int]:
    counts = [f"{getattr(of, each):,}" for each in _COUNTS]
    return [name, state, *counts, *(getattr(of, each) for each in _SIZES)]


def bytes_for(
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: npt.DTypeLike = float,
    *,
    alignment: int = 64,
) -> int:
    """Return what an array takes of a workspace, header and rounding included.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype_like
        Without Python references.
    alignment : int
        Of the workspace, in bytes.

    Returns
    -------
    int
        In bytes: what `WorkspaceStats.used` rises by. A block needs a header and an
        alignment more than the sum over its arrays.

    Raises
    ------
    TypeError
        If the dtype holds references.
    ValueError
        If `shape` is negative, or the alignment not one that a workspace can have.
    OverflowError
        If the array is larger than an address space.

    Examples
    --------
    >>> import wspace
    >>> wspace.bytes_for((32, 32), "f4")
    4160
    """
    descr = np.dtype(dtype)
    if descr.hasobject:
        raise _complaints.holds_references(descr)
    dims = _dims(shape)
    if min(dims, default=0) < 0:
        raise _errors.not_allowed("shape", "of no negative lengths", min(dims))
    nbytes = math.prod(dims) * descr.itemsize
    alignment = _read_alignment(alignment, "alignment")
    cost = 0 if nbytes > sys.maxsize else _arena.bytes_for(max(nbytes, 1), alignment)
    if cost == 0:
        raise _errors.too_big(dims, str(descr), nbytes)
    return cost
