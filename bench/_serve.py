# SPDX-License-Identifier: BSD-3-Clause
"""``python -m bench._serve``: a worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench import _own, _registry
from bench._case import Loop, digest
from bench._system import page_faults, peak_resident, reset_peak, system_ns
from bench._worker import has_mapped, serve

# Whether it is exact, and what came of each cycle: its hash and its sum.
Results = tuple[bool, list[tuple[str, float]]]

COMPARED = 3  # cycles: the one that learns, the first in the block, a steady one


class Session:
    """The state of a worker that is sampled."""

    _loop: Loop
    _floor: int

    def prepare(self, benchmark: str, case: str, variant: str) -> Results | None:
        """Get ready; return what came of the first cycles."""
        chosen = _registry.variant(benchmark, case, variant)
        compares = _registry.row(benchmark, case).compare
        reset_peak()
        self._floor = peak_resident()
        prepared = chosen.prepare()
        self._loop = prepared.loop
        found = []
        if prepared.cycle is not None:
            # One by one: a result may be a buffer that the next cycle writes to.
            for _ in range(COMPARED):
                result = prepared.cycle()
                if compares:
                    found.append(digest(result))
                del result
        self._loop(1)
        reset_peak()  # what prepared it is over
        return (prepared.is_exact, found) if found else None

    def calibrate(self, least_ns: int, most: int) -> int:
        """Return how many operations take as long as that.

        All variants take about as long, so that they are interrupted as often.
        """
        n = 1
        while n < most:
            start = time.perf_counter_ns()
            self._loop(n)
            if time.perf_counter_ns() - start >= least_ns:
                break
            n *= 2
        return min(n, most)

    def sample(self, n: int, times: int) -> list[tuple[int, int, int]]:
        """Return nanoseconds, page faults and the system's nanoseconds of each."""
        self._loop(1)  # the caches were somebody else's
        samples = []
        for _ in range(times):
            faults, system = page_faults(), system_ns()
            ns = self._loop(n)
            samples.append((ns, page_faults() - faults, system_ns() - system))
        return samples

    def peak(self) -> int:
        return peak_resident() - self._floor


def call(benchmark: str, function: str, *arguments: object) -> object:
    return _registry.function(benchmark, function)(*arguments)


def functions() -> dict[str, Callable[..., object]]:
    session = Session()
    return {
        "prepare": session.prepare,
        "calibrate": session.calibrate,
        "sample": session.sample,
        "peak": session.peak,
        "call": call,
        "names": _own.names,
        "has_mapped": has_mapped,
    }


if __name__ == "__main__":
    serve(functions())
