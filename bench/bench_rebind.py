# SPDX-License-Identifier: BSD-3-Clause
"""c = a + b in a loop inside one scope: against NumPy's default.

Claim: not slower, 16 KiB to 64 MiB, with `a` and `b` made in the scope and with `a` and
`b` made before it. Two results live in turn, since the old one dies after the new one
is made: memory that is bumped through without being used again would be cold.
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
    clock,
    main,
    not_slower,
)
from _report import Report, format_size

import wspace

SIZES = [1 << shift for shift in range(14, 27, 2)] + [1 << 17]
QUICK_SIZES = [1 << 14, 1 << 18]
DEFAULT, AGAIN = "default", "default again (A/A)"
INSIDE, BEFORE = "wspace, all in it", "wspace, a and b before"


def operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(size // 8, 1.5), np.full(size // 8, 2.5)


def rebind_loop(a: np.ndarray, b: np.ndarray) -> Loop:
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


def default(size: int) -> Loop:
    return rebind_loop(*operands(size))


def opened(size: int) -> wspace.Workspace:
    """Return a workspace that is open, for as long as the worker lives."""
    ws = wspace.Workspace("bench")
    with ws:
        rebind_loop(*operands(size))(2)  # the cycle in which it learns
    return ws.__enter__()


def inside(size: int) -> Loop:
    opened(size)
    return rebind_loop(*operands(size))


def before(size: int) -> Loop:
    a, b = operands(size)
    opened(size)
    return rebind_loop(a, b)


PAIRS = Pairs(
    [
        Variant(DEFAULT, default),
        Variant(AGAIN, default),
        Variant(INSIDE, inside),
        Variant(BEFORE, before),
    ]
)


def measure(quick: bool) -> Report:
    report = Report(PAIR_HEADINGS)
    for size in QUICK_SIZES if quick else sorted(SIZES):
        outcome = PAIRS.run(size, quick)
        label = format_size(size)
        add_outcome(report, outcome, label)
        for variant in (INSIDE, BEFORE):
            claim = f"c = a + b of {label} is not slower in {variant}"
            control = (AGAIN, DEFAULT)
            verdict = not_slower(outcome, claim, variant, DEFAULT, control)
            report.verdicts.append(verdict)
    return report


if __name__ == "__main__":
    main(__doc__, measure, PAIRS.functions)
