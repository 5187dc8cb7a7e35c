# SPDX-License-Identifier: BSD-3-Clause
"""``np.empty`` in an open scope, by size.

Claims: not slower than NumPy's default from 1 KiB on; at most 1.05 times its time
below, where a workspace passes the request on. The arrays are not written to, so there
is hardly a page fault to save, and each is freed before the next is made. *Pure bump*
uses nothing again: with large arrays its gigabyte is soon used up, and malloc serves.
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
from bench._verdicts import at_least, not_slower

SIZES = [64, 256, 512, 1008] + [1 << shift for shift in range(10, 27, 2)] + [1 << 17]
MIN_BLOCK = 1024  # the default of `min_block`


def empty_loop(size: int) -> Loop:
    """Nothing but the call, whose cost a function around it would hide."""
    empty, length = np.empty, size // np.dtype(float).itemsize

    def loop(n: int) -> int:
        start = clock()
        for _ in repeat(None, n):
            empty(length)
        return clock() - start

    return loop


def judge(outcome: Outcome, size: int) -> Sequence[Verdict]:
    label = outcome.case
    if size < MIN_BLOCK:
        claim = f"np.empty of {label} takes at most 1.05 of the default's time"
        return [at_least(outcome, claim, SCOPE, DEFAULT, 1 / 1.05)]
    claim = f"np.empty of {label} is not slower"
    return [not_slower(outcome, claim, SCOPE, DEFAULT, (AGAIN, DEFAULT))]


def case(size: int) -> Case:
    program = _peers.Program(loop=partial(empty_loop, size))
    return Case(format_size(size), _peers.variants(program), partial(judge, size=size))


BENCHMARK = Benchmark(
    "empty",
    __doc__,
    [case(size) for size in sorted(SIZES)],
)
