# SPDX-License-Identifier: BSD-3-Clause
"""Enter and exit of a workspace: against a lock and an empty context manager.

Claims: enter and exit together take at most 1 us; an exit with 10,000 arrays still
alive from earlier cycles takes at most 5 us more than one without, whether they lie
side by side or with a hole in front of each. A time includes that of one step of a
Python loop, or that of reading the clock once. A whole cycle makes sixteen arrays of
1 to 128 KiB; no claim is made of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from time import perf_counter_ns  # cheaper to read than the CPU time
from typing import Any

import numpy as np

import wspace
from bench._case import Benchmark, Case, Loop, Outcome, Prepared, Variant
from bench._report import Verdict, format_ns, format_size
from bench._system import clock

MANAGER, AGAIN, LOCK = "empty manager", "empty manager again (A/A)", "threading.Lock"
SCOPE, NESTED, BORROW = "wspace", "wspace, nested", "wspace, borrow"
CLEAN, CLEAN_AGAIN = "clean", "clean again (A/A)"
ADJACENT, HOLES = "10,000 side by side", "10,000 with holes"

ENTER_AND_EXIT, EXIT, CYCLE = "enter and exit", "exit", "whole cycle"

OLD = 10_000
OLD_SIZE = 2048  # bytes
CYCLE_SIZES = [1 << shift for shift in range(10, 18)] * 2  # bytes, made in each cycle
LONGEST_SCOPE_NS = 1000
MOST_MORE_NS = 5000


class Empty:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass


# ---- enter and exit ------------------------------------------------------------------


def with_loop(manager: Any) -> Loop:
    def loop(n: int) -> int:
        start = clock()
        for _ in repeat(None, n):
            with manager:
                pass
        return clock() - start

    return loop


def settled() -> wspace.Workspace:
    ws = wspace.Workspace("bench")
    for _ in range(3):
        with ws:
            np.empty(OLD_SIZE, "u1")
    return ws


def nested() -> Loop:
    ws = settled()
    inner = with_loop(ws)

    def loop(n: int) -> int:
        with ws:
            return inner(n)

    return loop


def borrowed() -> Loop:
    ws = settled()

    def loop(n: int) -> int:
        with ws:
            return with_loop(ws.borrow())(n)

    return loop


# ---- exit with survivors of earlier cycles -------------------------------------------


def exit_loop(survivors: Callable[[], list[np.ndarray]], case: str) -> Loop:
    """Time exits of cycles that make and drop a few arrays, or whole cycles."""
    ws = wspace.Workspace("bench")
    old: list[np.ndarray] = []
    for _ in range(2):  # in the first one it learns
        with ws:
            old.clear()
            old += survivors()
            work()
    assert ws.stats.retained == sum(array.nbytes for array in old)

    def loop(n: int) -> int:
        elapsed = 0
        for _ in repeat(None, n):
            start = perf_counter_ns()
            ws.__enter__()
            work()
            if case == EXIT:
                start = perf_counter_ns()
            ws.__exit__(None, None, None)
            elapsed += perf_counter_ns() - start
        assert all(array[0] == 1 for array in old[::100])
        return elapsed

    return loop


def work() -> None:
    arrays = [np.empty(size, "u1") for size in CYCLE_SIZES]
    del arrays[::2]


def adjacent() -> list[np.ndarray]:
    return [np.full(OLD_SIZE, 1, "u1") for _ in range(OLD)]


def with_holes() -> list[np.ndarray]:
    arrays = [np.full(OLD_SIZE, 1, "u1") for _ in range(2 * OLD)]
    return arrays[1::2]


def variant(name: str, make: Callable[[], Loop]) -> Variant:
    return Variant(name, lambda: Prepared(make()))


SCOPES = [
    variant(MANAGER, lambda: with_loop(Empty())),
    variant(AGAIN, lambda: with_loop(Empty())),
    variant(LOCK, lambda: with_loop(threading.Lock())),
    variant(SCOPE, lambda: with_loop(settled())),
    variant(NESTED, nested),
    variant(BORROW, borrowed),
]


def exits(case: str) -> list[Variant]:
    return [
        variant(CLEAN, partial(exit_loop, list, case)),
        variant(CLEAN_AGAIN, partial(exit_loop, list, case)),
        variant(ADJACENT, partial(exit_loop, adjacent, case)),
        variant(HOLES, partial(exit_loop, with_holes, case)),
    ]


def judge_scope(outcome: Outcome) -> Sequence[Verdict]:
    ns = float(np.median(outcome.rows[SCOPE].ns))
    claim = f"enter and exit take at most {format_ns(LONGEST_SCOPE_NS)}"
    lock = outcome.ratio(LOCK, SCOPE)
    numbers = f"{format_ns(ns)}, {lock} times that of a lock"
    return [Verdict(claim, ns <= LONGEST_SCOPE_NS, numbers)]


def judge_exit(outcome: Outcome) -> Sequence[Verdict]:
    verdicts = []
    for variant in (ADJACENT, HOLES):
        more = outcome.more(variant, CLEAN)
        numbers = f"{more.median:.0f} [{more.low:.0f}, {more.high:.0f}] ns more"
        claim = (
            f"exit with {variant} ({format_size(OLD_SIZE)} each) takes at most "
            f"{format_ns(MOST_MORE_NS)} more than a clean one"
        )
        verdicts.append(Verdict(claim, more.median <= MOST_MORE_NS, numbers))
    return verdicts


BENCHMARK = Benchmark(
    "scope",
    __doc__,
    [
        Case(ENTER_AND_EXIT, SCOPES, judge_scope),
        Case(EXIT, exits(EXIT), judge_exit),
        Case(CYCLE, exits(CYCLE)),
    ],
)
