# SPDX-License-Identifier: BSD-3-Clause
"""A million cycles of two arrays of 4,097 elements, and their latencies.

What a service sees: not the mean of a cycle but its slowest ones. A cycle makes
``x = a + b`` and ``y = x * a``; each is timed on its own, elapsed time, reading the
clock included. The peers take turns, a twentieth of the cycles at a time. The slowest
cycles are the machine's; no claim is made of them, nor of the median.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

import wspace
from bench import _peers
from bench._case import Count, Skip
from bench._report import Report, format_count, format_ns
from bench._system import page_faults
from bench._worker import NOTHING, Worker

CYCLES, QUICK_CYCLES = 1_000_000, 20_000
TURNS = 20
ELEMENTS = 4097
PERCENTILES = (50, 90, 99, 99.9)
NO_SCOPE, WARM, CAPTURED, CHECKED = "none", "warm", "captured", "checked"

PEERS = {
    _peers.DEFAULT: (NO_SCOPE, None),
    _peers.AGAIN: (NO_SCOPE, None),
    _peers.WARMED: (WARM, None),
    _peers.JEMALLOC: (NO_SCOPE, _peers.JEMALLOC),
    _peers.MIMALLOC: (NO_SCOPE, _peers.MIMALLOC),
    _peers.TCMALLOC: (NO_SCOPE, _peers.TCMALLOC),
    _peers.SCOPE: (CAPTURED, None),
    _peers.CHECKED: (CHECKED, None),
}


class Cycles:
    """The program, in a worker."""

    _run: Callable[[], np.ndarray]

    def prepare(self, kind: str) -> None:
        a, b = np.linspace(0, 1, ELEMENTS), np.linspace(1, 2, ELEMENTS)
        workspace = wspace.Workspace("bench")
        scope = workspace if kind == CAPTURED else contextlib.nullcontext()
        if kind == WARM:
            _peers.warm_malloc()

        def plain() -> np.ndarray:
            with scope:
                x = a + b
                return x * a

        def checked() -> np.ndarray:
            with workspace:
                x = np.add(a, b, out=workspace.empty(ELEMENTS))
                return x * a

        self._run = checked if kind == CHECKED else plain
        for _ in range(10):
            self._run()

    def turn(self, cycles: int) -> dict[str, Any]:
        """Return how often each latency was seen, in tens of nanoseconds."""
        run, latencies = self._run, np.empty(cycles, dtype=np.int64)
        faults = page_faults()
        for cycle in range(cycles):
            start = perf_counter_ns()
            run()
            latencies[cycle] = perf_counter_ns() - start
        faults = page_faults() - faults
        values, counts = np.unique(latencies // 10, return_counts=True)
        return {"tens": values.tolist(), "counts": counts.tolist(), "faults": faults}


def percentile(turns: list[dict[str, Any]], percent: float) -> float:
    tens = np.concatenate([turn["tens"] for turn in turns])
    counts = np.concatenate([turn["counts"] for turn in turns])
    order = np.argsort(tens)
    reached = np.cumsum(counts[order]) >= percent / 100 * counts.sum()
    return float(tens[order][np.argmax(reached)]) * 10


def measure(quick: bool) -> Report:
    report = Report(["peer", *(f"p{p:g}" for p in PERCENTILES), "slowest", "faults"])
    cycles = (QUICK_CYCLES if quick else CYCLES) // TURNS
    turns: dict[str, list[dict[str, Any]]] = {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, (kind, preload) in PEERS.items():
            try:
                extra = _peers.preload(preload) if preload else NOTHING
            except Skip as reason:
                report.rows.append((name, f"skipped ({reason})"))
                continue
            workers[name] = stack.enter_context(Worker(extra))
            workers[name].check_preload()
            workers[name].ask("call", "million", "prepare", kind)
        for _ in range(TURNS):
            for name, worker in workers.items():
                turn = worker.ask("call", "million", "turn", cycles)
                turns.setdefault(name, []).append(turn)
    for name, found in turns.items():
        cells = [format_ns(percentile(found, p)) for p in (*PERCENTILES, 100)]
        faults = format_count(sum(turn["faults"] for turn in found))
        report.rows.append((name, *cells, faults))
        ns = {str(p): percentile(found, p) for p in (*PERCENTILES, 100)}
        report.data.append({"case": name, "ns": ns, "cycles": cycles * TURNS})
    report.notes.append("faults: of all cycles")
    return report


_CYCLES = Cycles()
BENCHMARK = Count(
    "million",
    __doc__,
    measure,
    {"prepare": _CYCLES.prepare, "turn": _CYCLES.turn},
)
