# SPDX-License-Identifier: BSD-3-Clause
"""What a cycle costs in counts: page faults, upstream calls, mallocs of array data.

Claim: steady cycles, and those from the 5th on that carry 5, 30 or 60 % of their live
bytes to the next one, take no page fault, no upstream call and no malloc of array data
of 1 KiB or more. All figures are exact, so they are the same on any day.

A cycle makes a hundred arrays whose sizes repeat, and as many temporaries. "same": the
same ones are carried each time, as a program's state is; "drawn": others each time.
Counted for the whole process: page faults, mallocs of 1 KiB or more, and calls of mmap,
munmap, mprotect and madvise; the workspace itself says what it asked of upstream.
"""

from __future__ import annotations

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

import wspace
from bench import _native
from bench._case import Count, Skip
from bench._report import Report, Verdict
from bench._system import page_faults
from bench._worker import Worker

PERCENTAGES = [0, 5, 30, 60]
ARRAYS = 100
FIRST_STEADY = 5
CYCLES, QUICK_CYCLES = 200, 30
COUNTS = ("page faults", "upstream calls", "mallocs", "system calls")


def sizes() -> list[int]:
    """1 KiB to 256 KiB, in bytes, small ones as frequent as large ones."""
    rng = np.random.default_rng(0)
    return [int(size) for size in 2 ** rng.uniform(10, 18, ARRAYS)]


class Program:
    """Makes arrays of the same sizes each cycle and carries a part of them over.

    Nothing here makes a list or a dict of 1 KiB or more, which would be a malloc too.
    """

    def __init__(self, percentage: int, drawn: bool) -> None:
        self._sizes = sizes()
        self._least = sum(self._sizes) * percentage / 100
        self._drawn = drawn
        self._rng = np.random.default_rng(1)
        self._order = self._rng.permutation(ARRAYS)
        self._carried: list[np.ndarray | None] = [None] * ARRAYS

    def cycle(self) -> None:
        arrays: list[np.ndarray | None] = [None] * ARRAYS
        for i, size in enumerate(self._sizes):
            x = np.full(size, i, "u1")
            old = self._carried[i]
            arrays[i] = x + 1 if old is None else x + old
            self._carried[i] = old = None
        self._carry(arrays)

    def _carry(self, arrays: list[np.ndarray | None]) -> None:
        if self._drawn:
            self._rng.shuffle(self._order)
        nbytes = 0
        for i in self._order:
            if nbytes >= self._least:
                break
            self._carried[i] = arrays[i]
            nbytes += self._sizes[i]


# ---- counters ------------------------------------------------------------------------


def counter() -> tuple[str | None, str]:
    """Compile what counts mallocs; return its path and how they are counted."""
    try:
        return _native.compiled("count_malloc"), "counted by a preloaded library"
    except Skip as reason:
        return None, f"arrays that the workspace passed on instead ({reason})"


def preloaded(name: str) -> ctypes.c_ulong | None:
    try:
        return ctypes.c_ulong.in_dll(ctypes.CDLL(None), name)
    except ValueError:
        return None


@dataclass(frozen=True)
class Meter:
    """Reads the counts of `COUNTS`, all totals."""

    workspace: wspace.Workspace | None
    mallocs: ctypes.c_ulong | None
    maps: ctypes.c_ulong | None

    def read(self) -> tuple[int, int, int, int]:
        faults = page_faults()
        mallocs = self.mallocs.value if self.mallocs is not None else 0
        maps = self.maps.value if self.maps is not None else 0
        if self.workspace is None:
            return faults, 0, mallocs, maps
        stats = self.workspace.stats
        if self.mallocs is None:
            mallocs = stats.passed_foreign
        return faults, stats.upstream_calls, mallocs, maps


def run(percentage: int, drawn: bool, in_workspace: bool, cycles: int) -> list[Any]:
    """Return the counts of each cycle, in the order of `COUNTS`."""
    with wspace.Workspace("warm-up"):  # Python's own memory is touched before
        warm = Program(percentage, drawn)
        for _ in range(20):
            warm.cycle()
        del warm
    program = Program(percentage, drawn)
    workspace = wspace.Workspace("bench") if in_workspace else None
    scope = workspace or contextlib.nullcontext()
    meter = Meter(workspace, preloaded("bench_mallocs"), preloaded("bench_maps"))
    counts = np.zeros((cycles, len(COUNTS)), dtype=int)
    meter.read()
    for cycle in range(cycles):
        before = meter.read()
        with scope:
            program.cycle()
        counts[cycle] = np.subtract(meter.read(), before)
    return counts.tolist()


# ---- the benchmark -------------------------------------------------------------------


def cases() -> list[tuple[str, int, bool, bool]]:
    """Label, percentage carried, whether drawn, whether in a workspace."""
    found = [
        ("default, none", 0, False, False),
        ("default, 30 % drawn", 30, True, False),
    ]
    for percentage in PERCENTAGES:
        for drawn in (False, True) if percentage else (False,):
            kind = f"{percentage} % {'drawn' if drawn else 'same'}"
            label = f"wspace, {kind if percentage else 'none'}"
            found.append((label, percentage, drawn, True))
    return found


def judge(label: str, counts: np.ndarray) -> Verdict:
    steady = counts[FIRST_STEADY - 1 :].sum(axis=0)
    dirty = np.flatnonzero(counts[:, :3].any(axis=1))
    last = int(dirty[-1]) + 1 if dirty.size else 0
    parts = [
        f"{total} {name}" for name, total in zip(COUNTS[:3], steady[:3], strict=True)
    ]
    claim = f"{label} carried: nothing from cycle {FIRST_STEADY} to {len(counts)}"
    numbers = ", ".join(parts) + f"; the last cycle with any is {last}"
    return Verdict(claim, last < FIRST_STEADY, numbers)


def measure(quick: bool) -> Report:
    first = range(1, FIRST_STEADY)
    steady = f"{FIRST_STEADY}-{QUICK_CYCLES if quick else CYCLES}"
    faults = [f"faults {cycle}" for cycle in first]
    report = Report(["carried", *faults, *(f"{name} {steady}" for name in COUNTS)])
    library, how = counter()
    for case in cases():
        add(report, case, library, QUICK_CYCLES if quick else CYCLES)
    report.notes.append(f"mallocs: {how}")
    return report


def add(
    report: Report, case: tuple[str, int, bool, bool], library: str | None, cycles: int
) -> None:
    label, *arguments = case
    with Worker({"LD_PRELOAD": library} if library else {}) as worker:
        worker.check_preload()
        counts = np.array(worker.ask("call", "cycles", "run", *arguments, cycles))
    steady = counts[FIRST_STEADY - 1 :].sum(axis=0)
    numbers = [*counts[: FIRST_STEADY - 1, 0], *steady]
    report.rows.append([label, *(f"{number:,}" for number in numbers)])
    report.data.append({"case": label, "counts": counts.tolist()})
    if case[-1]:
        report.verdicts.append(judge(label, counts))
    elif library is not None and steady[2] == 0:
        raise SystemExit("the counter of mallocs counts nothing")


BENCHMARK = Count("cycles", __doc__, measure, {"run": run})
