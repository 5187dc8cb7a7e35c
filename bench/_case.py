# SPDX-License-Identifier: BSD-3-Clause
"""What can be measured: variants of cases of benchmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from bench._intervals import Interval, bootstrap
from bench._report import Report, Verdict
from bench._system import clock
from bench._worker import NOTHING

# Does an operation n times; returns the nanoseconds that they took.
Loop = Callable[[int], int]

# Does an operation once; returns what it computed.
Step = Callable[[], object]


class Skip(Exception):
    """A variant cannot run here; the text says why and what to install."""


@dataclass(frozen=True)
class Prepared:
    """A variant that is ready to be timed.

    `cycle` does one operation for its result, which must be the same, bit for bit, in
    all variants of the case, or nearly so unless it `is_exact`; None: there is nothing
    to compare.
    """

    loop: Loop
    cycle: Step | None = None
    is_exact: bool = True


@dataclass(frozen=True)
class Variant:
    """A way to do what a case says.

    `prepare` is called in the worker. `environment` says, in the parent, what variables
    the worker gets, such as LD_PRELOAD, or raises `Skip`.
    """

    name: str
    prepare: Callable[[], Prepared]
    environment: Callable[[], Mapping[str, str]] = lambda: NOTHING


@dataclass(frozen=True)
class Effort:
    """How much is measured; the samples of a round are reduced to their median."""

    generations: int  # fresh workers: other physical pages
    rounds: int  # in each generation
    samples: int  # in each round
    least_ns: int  # of a sample
    most: int = 1 << 20  # operations in a sample


FULL = Effort(generations=3, rounds=9, samples=3, least_ns=1_000_000)
QUICK = Effort(generations=1, rounds=3, samples=1, least_ns=200_000)


@dataclass
class Row:
    """What a variant did in a case: for each round, nanoseconds per operation."""

    variant: str
    ns: list[float] = field(default_factory=list)
    generations: int = 0
    faults: int = 0
    operations: int = 0
    system_ns: int = 0
    peak: int = 0  # bytes, above what the worker held before it prepared
    skipped: str = ""
    failed: bool = False  # skipped, and not for something that is not installed


@dataclass
class Outcome:
    """The rows of one case, by the names of the variants."""

    case: str
    rows: dict[str, Row]

    def ratio(self, variant: str, base: str) -> Interval:
        """How many times faster than `base`, round by round."""
        ours, theirs = self.rows[variant].ns, self.rows[base].ns
        return bootstrap(np.divide(theirs, ours), self.rows[base].generations)

    def more(self, variant: str, base: str) -> Interval:
        """Nanoseconds more than `base`, round by round."""
        more = np.subtract(self.rows[variant].ns, self.rows[base].ns)
        return bootstrap(more, self.rows[base].generations)

    def has(self, *variants: str) -> bool:
        return all(v in self.rows and not self.rows[v].skipped for v in variants)


Judge = Callable[[Outcome], Sequence[Verdict]]


@dataclass(frozen=True)
class Case:
    """One row of a benchmark: the first of its variants is the base of the ratios."""

    name: str
    variants: Sequence[Variant]
    judge: Judge = lambda outcome: ()
    effort: Effort = FULL
    needs: Sequence[str] = ()  # modules, else the case is skipped
    compare: bool = True  # refuse variants that compute something else


@dataclass(frozen=True)
class Benchmark:
    """Cases that are timed in pairs."""

    name: str
    about: str
    cases: Sequence[Case]
    summarize: Callable[[Report, list[Outcome]], None] = lambda report, outcomes: None


@dataclass(frozen=True)
class Count:
    """A benchmark that measures in its own way, often counts that are exact."""

    name: str
    about: str
    measure: Callable[[bool], Report]
    # Called in a worker, by name.
    functions: Mapping[str, Callable[..., object]] = field(default_factory=dict)


def loop_of(step: Step) -> Loop:
    def loop(n: int) -> int:
        start = clock()
        for _ in repeat(None, n):
            step()
        return clock() - start

    return loop


def digest(result: Any) -> tuple[str, float]:
    """Return a hash of arrays, however nested, and the sum of what they hold."""
    seen, total = hashlib.sha256(), 0.0
    pending = [result]
    while pending:
        item = pending.pop()
        if isinstance(item, Mapping):
            seen.update(repr(sorted(item)).encode())
            pending += [item[key] for key in sorted(item)]
        elif isinstance(item, tuple | list):
            seen.update(f"{type(item).__name__} of {len(item)}".encode())
            pending += item
        else:
            array = np.asarray(item)
            seen.update(repr((array.shape, array.dtype.str)).encode())
            seen.update(np.ascontiguousarray(array).tobytes())
            if array.dtype.kind in "biuf":
                total += float(np.nansum(np.abs(array, dtype=float)))
    return seen.hexdigest(), total
