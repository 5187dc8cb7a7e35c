# SPDX-License-Identifier: BSD-3-Clause
"""How much memory a cycle takes, against the bytes that are alive at their peak.

Claim, for arrays of 1 KiB and more: the high-water mark is at most 1.2 times the live
bytes where sizes repeat, and at most 1.6 times on growth and on random sizes. The
high-water mark counts headers and rounding. What is touched is more: the pages of the
block that are in RAM after the last cycle, with the holes between what lives; judged by
the same bounds. The block's capacity has a reserve that is never touched unless needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import wspace
from bench._case import Count
from bench._report import Report, Verdict, format_size
from bench._runner import alone

REPEATING, OTHERS = 1.2, 1.6
CYCLES, QUICK_CYCLES = 30, 4


class Live:
    """A fixed number of places for arrays; knows how many bytes they have at most."""

    def __init__(self, places: int) -> None:
        self._arrays: list[np.ndarray | None] = [None] * places
        self._bytes = 0
        self.peak = 0

    def put(self, place: int, size: int) -> None:
        """Make an array of `size` bytes, then drop the one that had the place."""
        array = np.full(size, 1, "u1")
        self.note(array.nbytes)
        old, self._arrays[place] = self._arrays[place], array
        if old is not None:
            self._bytes -= old.nbytes

    def append(self, place: int, chunk: int) -> None:
        """Grow the array of the place by a chunk, as x = np.concatenate([x, chunk])."""
        tail, old = np.full(chunk, 1, "u1"), self._arrays[place]
        self.note(chunk)
        array = tail if old is None else np.concatenate([old, tail])
        if old is not None:
            self.note(array.nbytes)
            self._bytes -= old.nbytes + chunk
        self._arrays[place] = array

    def note(self, size: int) -> None:
        self._bytes += size
        self.peak = max(self.peak, self._bytes)


def ring(sizes: list[int], places: int, steps: int) -> int:
    live = Live(places)
    for step in range(steps):
        live.put(step % places, sizes[step % len(sizes)])
    return live.peak


def one_size(_: int) -> int:
    return ring([1 << 16], 50, 1000)


def least_size(_: int) -> int:
    return ring([1024], 2000, 10_000)


def powers_of_two(_: int) -> int:
    return ring([1 << shift for shift in range(10, 21)], 48, 1000)


def odd_sizes(_: int) -> int:
    return ring([1100, 5000, 17_777, 70_001, 300_300, 1_000_003], 50, 1000)


def hundred_sizes(_: int) -> int:
    """Each array is made from a temporary of its size, which the next one replaces."""
    live = Live(101)
    for place, size in enumerate(2 ** np.random.default_rng(0).uniform(10, 18, 100)):
        live.put(100, int(size))
        live.put(place, int(size))
    return live.peak


def growth(_: int) -> int:
    live = Live(1)
    for _ in range(250):
        live.append(0, 8192)
    return live.peak


def growth_of_eight(_: int) -> int:
    live = Live(8)
    for step in range(800):
        live.append(step % 8, 4096 + 512 * (step % 8))
    return live.peak


def random_sizes(cycle: int, low: float = 10, high: float = 20) -> int:
    rng = np.random.default_rng(cycle)  # no cycle is like another
    live = Live(100)
    for size in 2 ** rng.uniform(low, high, 2000):
        live.put(int(rng.integers(100)), int(size))
    return live.peak


def random_large_sizes(cycle: int) -> int:
    return random_sizes(cycle, 16, 20)


PROGRAMS: dict[str, tuple[Callable[[int], int], float]] = {
    "50 of 64 KiB": (one_size, REPEATING),
    "2,000 of 1 KiB": (least_size, REPEATING),
    "powers of two, 1 KiB to 1 MiB": (powers_of_two, REPEATING),
    "six odd sizes, 1 KiB to 1 MiB": (odd_sizes, REPEATING),
    "a hundred sizes, temporaries": (hundred_sizes, REPEATING),
    "growth by concatenate": (growth, OTHERS),
    "growth of eight in turn": (growth_of_eight, OTHERS),
    "random, 1 KiB to 1 MiB": (random_sizes, OTHERS),
    "random, 64 KiB to 1 MiB": (random_large_sizes, OTHERS),
}


def run(name: str, cycles: int) -> dict[str, int]:
    program, _ = PROGRAMS[name]
    ws = wspace.Workspace("bench")
    live = 0
    for cycle in range(cycles):
        with ws:
            live = max(live, program(cycle))
    stats = ws.stats
    return {
        "live": live,
        "high_water": stats.high_water,
        "touched": stats.resident,
        "capacity": stats.capacity,
        "spills": stats.spills,
        "allocations": stats.allocations,
    }


def judge(name: str, figures: dict[str, Any], bound: float) -> list[Verdict]:
    verdicts = []
    for what, key in (("high-water mark", "high_water"), ("touched", "touched")):
        ratio = figures[key] / figures["live"]
        claim = f"{name}: {what} at most {bound} of the live bytes"
        verdicts.append(Verdict(claim, ratio <= bound, f"{ratio:.3f}"))
    return verdicts


def measure(quick: bool) -> Report:
    report = Report(
        ["program", "live", "high water", "touched", "capacity", "as ratios", "spills"]
    )
    for name, (_, bound) in PROGRAMS.items():
        figures = alone("footprint", "run", name, QUICK_CYCLES if quick else CYCLES)
        if figures["allocations"] == 0:
            raise SystemExit("the workspace served nothing")
        keys = ("live", "high_water", "touched", "capacity")
        sizes = [figures[key] for key in keys]
        ratios = " ".join(f"{size / sizes[0]:.2f}" for size in sizes[1:])
        spills = f"{figures['spills']:,}"
        report.rows.append([name, *map(format_size, sizes), ratios, spills])
        report.verdicts += judge(name, figures, bound)
        report.data.append({"case": name, **figures})
    return report


BENCHMARK = Count("footprint", __doc__, measure, {"run": run})
