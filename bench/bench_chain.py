# SPDX-License-Identifier: BSD-3-Clause
"""Twelve elementwise operations with named temporaries, a scope around each chain.

Claim: at 1 MiB arrays at least 2.5 times as fast as NumPy's default in a fresh process,
and not slower than malloc tuned with mallopt or than tcmalloc preloaded. All twelve
results have names and are alive at the end. Where four of them have none ("8 names"),
NumPy computes in place instead, and there is less memory to save. The result is the
same, bit for bit, in all rows. The operands are made before, by the malloc of the row.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import os
import platform

import numpy as np
from _pairs import (
    PAIR_HEADINGS,
    Loop,
    Outcome,
    Pairs,
    Skip,
    Variant,
    add_outcome,
    alone,
    at_least,
    loop_of,
    main,
    not_slower,
)
from _report import Report, format_size

import wspace

CLAIMED = 1 << 20
DEFAULT, AGAIN = "default, fresh", "default again (A/A)"
TUNED, TCMALLOC = "default, mallopt", "default, tcmalloc"
SCOPE, SCOPE_AGAIN = "wspace", "wspace again (A/A)"

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0.0, 1.0, size // 8)
    return x, np.flip(x) + 0.5


def twelve_names(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    t1 = x + y
    t2 = t1 * x
    t3 = t2 - y
    t4 = np.maximum(t1, t3)
    t5 = t4 * t2
    t6 = t5 + t3
    t7 = t6 - x
    t8 = np.abs(t7)
    t9 = t8 * t4
    t10 = t9 + t1
    t11 = t10 - t2
    t12 = np.minimum(t11, t8)
    return t12


def eight_names(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    t1 = x + y
    t2 = t1 * x
    t3 = t2 - y
    t4 = np.maximum(t1, t3)
    t5 = t4 * t2 + t3
    t6 = np.abs(t5 - x)
    t7 = t6 * t4 + t1
    t8 = np.minimum(t7 - t2, t6)
    return t8


CHAINS = {"": twelve_names, ", 8 names": eight_names}
CASES = [(size, "") for size in (1 << 16, 1 << 18, CLAIMED, 1 << 23)]
CASES += [(CLAIMED, ", 8 names")]
QUICK_CASES = [(1 << 18, "")]


def default(case: tuple[int, str]) -> Loop:
    size, kind = case
    chain, (x, y) = CHAINS[kind], operands(size)

    def run() -> None:
        chain(x, y)

    return loop_of(run)


def tuned(case: tuple[int, str]) -> Loop:
    # malloc keeps all memory it ever had: no mmap of large arrays, no trim of the heap.
    libc = ctypes.CDLL(None)
    assert libc.mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1
    assert libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1) == 1
    return default(case)


def scope(case: tuple[int, str]) -> Loop:
    size, kind = case
    chain, (x, y) = CHAINS[kind], operands(size)
    ws = wspace.Workspace("bench")

    def cycle() -> None:
        with ws:
            chain(x, y)

    cycle()  # in which it learns
    return loop_of(cycle)


def needs_glibc() -> dict[str, str]:
    if platform.libc_ver()[0] != "glibc":
        raise Skip("mallopt is glibc's")
    return {}


def tcmalloc() -> dict[str, str]:
    given = os.environ.get("WSPACE_BENCH_TCMALLOC")
    found = given or ctypes.util.find_library("tcmalloc_minimal")
    if found is None:
        raise Skip(
            "no libtcmalloc_minimal: apt install libtcmalloc-minimal4, "
            "or WSPACE_BENCH_TCMALLOC=/path/to/libtcmalloc_minimal.so.4"
        )
    return {"LD_PRELOAD": found}


PAIRS = Pairs(
    [
        Variant(DEFAULT, default),
        Variant(AGAIN, default),
        Variant(TUNED, tuned, needs_glibc),
        Variant(TCMALLOC, default, tcmalloc),
        Variant(SCOPE, scope),
        Variant(SCOPE_AGAIN, scope),
    ]
)


def digests(size: int, kind: str) -> list[str]:
    """SHA-256 of the chain's result, without and with a workspace."""
    chain, (x, y) = CHAINS[kind], operands(size)
    ws = wspace.Workspace("bench")
    results = [chain(x, y)]
    for _ in range(3):
        with ws:
            results.append(chain(x, y))
    return [hashlib.sha256(result.data).hexdigest() for result in results]


def judge(report: Report, outcome: Outcome, label: str) -> None:
    if outcome.case[0] == CLAIMED:
        claim = f"chain of {label} is at least 2.5 times as fast as the fresh default"
        report.verdicts.append(at_least(outcome, claim, SCOPE, DEFAULT, 2.5))
    for other in (DEFAULT, TUNED, TCMALLOC):
        if not outcome.has(other):
            report.notes.append(f"not compared with {other} at {label}: skipped")
            continue
        # Noise differs: that of page faults, or that of what takes none.
        fresh = other == DEFAULT
        control = (AGAIN, DEFAULT) if fresh else (SCOPE_AGAIN, SCOPE)
        claim = f"chain of {label} is not slower than {other}"
        report.verdicts.append(not_slower(outcome, claim, SCOPE, other, control))


def measure(quick: bool) -> Report:
    report = Report(PAIR_HEADINGS)
    for size, kind in QUICK_CASES if quick else CASES:
        if len(set(alone(digests, size, kind))) != 1:
            raise SystemExit("the workspace changes the result")
        outcome = PAIRS.run((size, kind), quick)
        label = format_size(size) + kind
        add_outcome(report, outcome, label)
        judge(report, outcome, label)
    return report


if __name__ == "__main__":
    main(__doc__, measure, [*PAIRS.functions, digests])
