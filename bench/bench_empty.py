# SPDX-License-Identifier: BSD-3-Clause
"""np.empty, made and dropped: in an open workspace against NumPy's default.

Claim: not slower from 1 KiB to 64 MiB, and at most 1.05 times the time below, where a
workspace only passes the request on. The memory is not touched. A time includes that
of one step of a Python loop. The call is the cheapest there is, so that nothing hides
what the memory costs: one dimension, the default dtype.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
from _pairs import (
    PAIR_HEADINGS,
    Loop,
    Pairs,
    Variant,
    add_outcome,
    at_least,
    clock,
    main,
    not_slower,
)
from _report import Report, format_size

import wspace

SIZES = [64, 256, 512, 1008] + [1 << shift for shift in range(10, 27, 2)] + [1 << 17]
QUICK_SIZES = [64, 1 << 16]
DEFAULT, AGAIN, SCOPE = "default", "default again (A/A)", "wspace"
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


def in_scope(size: int) -> Loop:
    ws = wspace.Workspace("bench")
    loop = empty_loop(size)
    with ws:
        loop(1)  # the cycle in which it learns

    def scoped_loop(n: int) -> int:
        with ws:
            return loop(n)

    return scoped_loop


PAIRS = Pairs(
    [
        Variant(DEFAULT, empty_loop),
        Variant(AGAIN, empty_loop),
        Variant(SCOPE, in_scope),
    ]
)


def measure(quick: bool) -> Report:
    report = Report(PAIR_HEADINGS)
    for size in QUICK_SIZES if quick else sorted(SIZES):
        outcome = PAIRS.run(size, quick)
        label = format_size(size)
        add_outcome(report, outcome, label)
        if size < MIN_BLOCK:
            claim = f"np.empty of {label} takes at most 1.05 of the default's time"
            verdict = at_least(outcome, claim, SCOPE, DEFAULT, 1 / 1.05)
        else:
            claim = f"np.empty of {label} is not slower"
            verdict = not_slower(outcome, claim, SCOPE, DEFAULT, (AGAIN, DEFAULT))
        report.verdicts.append(verdict)
    return report


if __name__ == "__main__":
    main(__doc__, measure, PAIRS.functions)
