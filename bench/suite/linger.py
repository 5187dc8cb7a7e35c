# SPDX-License-Identifier: BSD-3-Clause
"""Locals that linger after the `with` in a loop: memory over 10,000 cycles.

Claim: bounded, no growth. Each cycle leaves arrays that die only when the next one
binds their names again, so no cycle ends clean. Capacity, reserved and resident memory
at cycle 10,000 are at most what they were at cycle 100 where the sizes repeat. Where
each cycle draws its sizes anew, the largest cycle so far grows for long; there, and
everywhere, resident memory is at most twice what can have been alive at once: the
high-water mark and what lingers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import wspace
from bench._case import Count
from bench._report import Report, Verdict, format_size
from bench._runner import alone

KEYS = ("capacity", "reserved", "resident")
MOMENTS, QUICK_MOMENTS = [10, 100, 1000, 10_000], [10, 100, 1000]
SETTLED = 100
MOST_RESIDENT = 2.0

Cycle = Callable[[wspace.Workspace, int], None]


def one_local() -> Cycle:
    kept: list[np.ndarray] = [np.empty(0)]

    def cycle(ws: wspace.Workspace, _: int) -> None:
        with ws:
            a = np.full(20_000, 1.0)
            b = a + 1.0
            kept[0] = a * b

    return cycle


def eight_locals() -> Cycle:
    kept = [np.empty(0)] * 8

    def cycle(ws: wspace.Workspace, number: int) -> None:
        with ws:
            x = np.full(5000, float(number))
            for i in range(8):
                x = x + 1.0
                kept[i] = x[: 500 * (i + 1)] * 2.0

    return cycle


def random_sizes() -> Cycle:
    kept = [np.empty(0)] * 4

    def cycle(ws: wspace.Workspace, number: int) -> None:
        rng = np.random.default_rng(number)
        with ws:
            for size in 2 ** rng.uniform(7, 15, 16):
                kept[int(rng.integers(4))] = np.full(int(size), 1.0)

    return cycle


# Whether sizes repeat, so that nothing may grow once the workspace has learned.
PROGRAMS: dict[str, tuple[Callable[[], Cycle], bool]] = {
    "one local": (one_local, True),
    "eight locals": (eight_locals, True),
    "four of random sizes": (random_sizes, False),
}


def run(name: str, moments: list[int]) -> dict[str, list[int]]:
    """Return the figures at each moment, and what can have been alive at once."""
    prepare, _ = PROGRAMS[name]
    cycle = prepare()
    ws = wspace.Workspace("bench")
    found = {}
    for number in range(1, moments[-1] + 1):
        cycle(ws, number)
        if number in moments:
            stats = ws.stats
            alive = stats.high_water + stats.retained
            found[str(number)] = [*(getattr(stats, key) for key in KEYS), alive]
    if ws.stats.escaped_count < moments[-1]:
        raise SystemExit("nothing lingered")
    return found


def judge(name: str, repeats: bool, figures: dict[str, list[int]]) -> list[Verdict]:
    last = max(map(int, figures))
    early, late = figures[str(SETTLED)], figures[str(last)]
    verdicts = []
    if repeats:
        grown = [
            f"{key} {format_size(before)} -> {format_size(after)}"
            for key, before, after in zip(KEYS, early, late, strict=False)
            if after > before
        ]
        claim = f"{name}: no growth from cycle {SETTLED} to {last:,}"
        verdicts.append(Verdict(claim, not grown, ", ".join(grown) or "none"))
    ratio = late[KEYS.index("resident")] / late[-1]
    claim = f"{name}: resident at most {MOST_RESIDENT} of what was alive at once"
    verdicts.append(Verdict(claim, ratio <= MOST_RESIDENT, f"{ratio:.2f}"))
    return verdicts


def measure(quick: bool) -> Report:
    report = Report(["what lingers", "cycle", *KEYS, "alive at once, at most"])
    for name, (_, repeats) in PROGRAMS.items():
        figures = alone("linger", "run", name, QUICK_MOMENTS if quick else MOMENTS)
        for moment, sizes in figures.items():
            cells = [f"{int(moment):,}", *map(format_size, sizes)]
            report.rows.append([name, *cells])
        report.verdicts += judge(name, repeats, figures)
        report.data.append({"case": name, **figures})
    return report


BENCHMARK = Count("linger", __doc__, measure, {"run": run})
