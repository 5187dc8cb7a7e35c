# SPDX-License-Identifier: BSD-3-Clause
"""``c = a + b`` in a loop in one scope, by size.

Claim: not slower than NumPy's default. Each new `c` is made before the old one is
dropped, so two buffers take turns. By hand it is one, and nothing is allocated. The
operands are made by the malloc of the row, and in the wspace rows in the scope, so that
they are aligned to 64 bytes there, as they are by hand. With *pure bump* nothing is
used again: each operation faults new memory in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import repeat

import numpy as np

from bench import _peers
from bench._case import Benchmark, Case, Loop, Outcome
from bench._peers import AGAIN, DEFAULT, SCOPE
from bench._report import Verdict, format_size
from bench._system import clock
from bench._verdicts import not_slower
from bench.workloads._aligned import aligned_copy, aligned_empty

SIZES = [1 << shift for shift in range(14, 27, 2)] + [1 << 17]


def operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(size // 8, 1.5), np.full(size // 8, 2.5)


def rebind_loop(size: int) -> Loop:
    a, b = operands(size)
    kept = [a + b]  # from one sample to the next, so that the loop never begins anew

    def loop(n: int) -> int:
        c = kept.pop()
        start = clock()
        for _ in repeat(None, n):
            c = a + b
        elapsed = clock() - start
        assert c[-1] == 4.0
        kept.append(c)
        return elapsed

    return loop


def by_hand_loop(size: int) -> Loop:
    a, b = map(aligned_copy, operands(size))
    c = aligned_empty(a.shape, a.dtype)

    def loop(n: int) -> int:
        start = clock()
        for _ in repeat(None, n):
            np.add(a, b, out=c)
        elapsed = clock() - start
        assert c[-1] == 4.0
        return elapsed

    return loop


def judge(outcome: Outcome) -> Sequence[Verdict]:
    claim = f"c = a + b of {outcome.case} is not slower"
    return [not_slower(outcome, claim, SCOPE, DEFAULT, (AGAIN, DEFAULT))]


def case(size: int) -> Case:
    program = _peers.Program(
        loop=partial(rebind_loop, size), by_hand_loop=partial(by_hand_loop, size)
    )
    return Case(format_size(size), _peers.variants(program), judge)


BENCHMARK = Benchmark(
    "rebind",
    __doc__,
    [case(size) for size in sorted(SIZES)],
)
