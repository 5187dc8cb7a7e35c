# SPDX-License-Identifier: BSD-3-Clause
"""What leaves the cycle: nothing, one array, all of them, or a ring of twenty.

Four operations on 256 KiB arrays in a scope. What is kept stays in the arena, valid,
and is gone around until it is dropped; *detached* results are copied to NumPy's own
malloc, and fault like it. Claim: not slower than the default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import wspace
from bench import _peers
from bench._case import Benchmark, Case, Outcome, Step
from bench._peers import AGAIN, DEFAULT, SCOPE
from bench._report import Verdict, format_size
from bench._verdicts import not_slower
from bench.suite.chain import operands

SIZE = 1 << 18
RING = 20


def four(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    t1 = x + y
    t2 = t1 * x
    t3 = t2 - y
    return [t1, t2, t3, np.maximum(t1, t3)]


def nothing() -> Step:
    x, y = operands(SIZE)
    return lambda: float(four(x, y)[-1].sum())


def kept(choose: Callable[[list[np.ndarray]], list[np.ndarray]], cycles: int) -> Step:
    """Keep what is chosen for some cycles."""
    x, y = operands(SIZE)
    ring: deque[list[np.ndarray]] = deque(maxlen=cycles)

    def step() -> np.ndarray:
        ring.append(choose(four(x, y)))
        return ring[0][-1]

    return step


def last(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return arrays[-1:]


def detached() -> Step:
    x, y = operands(SIZE)
    results: list[np.ndarray] = []

    def step() -> np.ndarray:
        results[:] = wspace.detach(last(four(x, y)))
        return results[0]

    return step


STEPS: dict[str, Callable[[], Step]] = {
    "none": nothing,
    "one": partial(kept, last, 1),
    "all": partial(kept, list, 1),
    f"ring of {RING}": partial(kept, last, RING),
    "one, detached": detached,
}


def judge(outcome: Outcome) -> Sequence[Verdict]:
    claim = f"escaping {outcome.case}: four of {format_size(SIZE)} are not slower"
    return [not_slower(outcome, claim, SCOPE, DEFAULT, (AGAIN, DEFAULT))]


BENCHMARK = Benchmark(
    "escapes",
    __doc__,
    [
        Case(name, _peers.variants(_peers.Program(step=step)), judge)
        for name, step in STEPS.items()
    ],
)
