# SPDX-License-Identifier: BSD-3-Clause
"""A long run: 100,000 cycles whose sizes vary, resident memory over time.

Each cycle draws its sizes, 16 KiB to 1 MiB, and keeps an array of every fifth for some
cycles, as a service does. What is resident is asked from the system fifty times on the
way. Claim: under wspace it is at most twice what was alive at once at the peak, and
does not grow over the second half.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Any

import numpy as np

import wspace
from bench import _peers
from bench._case import Count, Skip
from bench._report import Report, Verdict, format_count, format_ns, format_size
from bench._system import page_faults, resident
from bench._worker import NOTHING, Worker

CYCLES, QUICK_CYCLES = 100_000, 500
MOMENTS = 50
WHEN = ("resident, early", "middle", "end")
SMALLEST, LARGEST = 14, 20  # powers of two, bytes
ARRAYS = 6
KEPT = 8
MOST_RESIDENT = 2.0
MOST_GROWTH = 1.02


def program(cycles: int, in_workspace: bool, malloc: str) -> dict[str, Any]:
    """Run all cycles; return what was resident above the start, at each moment."""
    if malloc == _peers.TUNED:
        _peers.tune_malloc()
    elif malloc == _peers.WARMED:
        _peers.warm_malloc()
    rng = np.random.default_rng(0)
    workspace = wspace.Workspace("bench")
    scope = workspace if in_workspace else contextlib.nullcontext()
    kept: deque[np.ndarray] = deque(maxlen=KEPT)
    floor, faults, start = resident(), page_faults(), time.thread_time_ns()
    found, alive = [], 0
    for cycle in range(1, cycles + 1):
        sizes = 2 ** rng.uniform(SMALLEST - 3, LARGEST - 3, ARRAYS)
        with scope:
            arrays = [np.full(int(size), 1.0) for size in sizes]
            total = sum(array.nbytes for array in arrays)
            alive = max(alive, total + sum(array.nbytes for array in kept))
            if cycle % 5 == 0:
                kept.append(arrays[0])
            del arrays
        if cycle % (cycles // MOMENTS) == 0:
            found.append(resident() - floor)
    return {
        "resident": found,
        "alive": alive,
        "faults": (page_faults() - faults) / cycles,
        "ns": (time.thread_time_ns() - start) / cycles,
    }


# What is preloaded, and whether it is in a workspace.
PEERS: dict[str, tuple[str | None, bool]] = {
    _peers.DEFAULT: (None, False),
    _peers.WARMED: (None, False),
    _peers.TUNED: (None, False),
    _peers.JEMALLOC: (_peers.JEMALLOC, False),
    _peers.MIMALLOC: (_peers.MIMALLOC, False),
    _peers.TCMALLOC: (_peers.TCMALLOC, False),
    _peers.SCOPE: (None, True),
}


def judge(figures: dict[str, Any]) -> list[Verdict]:
    seen, alive = figures["resident"], figures["alive"]
    half, last = max(seen[: len(seen) // 2]), max(seen[len(seen) // 2 :])
    most = max(seen) / alive
    return [
        Verdict(
            f"resident at most {MOST_RESIDENT} of what was alive at once",
            most <= MOST_RESIDENT,
            f"{most:.2f}",
        ),
        Verdict(
            f"the second half has at most {MOST_GROWTH} of what the first half had",
            last <= MOST_GROWTH * half,
            f"{format_size(half)}, then {format_size(last)}",
        ),
    ]


def measure(quick: bool) -> Report:
    report = Report(
        ["peer", "alive at once", *WHEN, "most", "faults", "time"],
    )
    for name, (preload, in_workspace) in PEERS.items():
        try:
            extra = _peers.preload(preload) if preload else NOTHING
            extra = _peers.needs_glibc() or extra if name == _peers.TUNED else extra
        except Skip as reason:
            report.rows.append((name, f"skipped ({reason})"))
            continue
        with Worker(extra) as worker:
            worker.check_preload()
            cycles = QUICK_CYCLES if quick else CYCLES
            figures = worker.ask(
                "call", "long_run", "program", cycles, in_workspace, name
            )
        seen = figures["resident"]
        moments = [seen[0], seen[len(seen) // 2], seen[-1], max(seen)]
        report.rows.append(
            (
                name,
                format_size(figures["alive"]),
                *map(format_size, moments),
                format_count(figures["faults"]),
                format_ns(figures["ns"]),
            )
        )
        report.data.append({"case": name, **figures})
        if name == _peers.SCOPE and not quick:
            report.verdicts += judge(figures)
    report.notes.append("faults and time: of a cycle")
    return report


BENCHMARK = Count("long_run", __doc__, measure, {"program": program})
