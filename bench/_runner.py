# SPDX-License-Identifier: BSD-3-Clause
"""Paired samples of the variants of a case.

All workers of a case live side by side; in each round every one of them is asked for
samples, in an order drawn anew, and only samples of the same round are compared. A
pace that changes meets all of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench._case import QUICK, Benchmark, Case, Count, Effort, Outcome, Row, Skip
from bench._report import Report, format_count, format_ns, format_size
from bench._worker import Worker, WorkerError

AGAIN = " again (A/A)"

HEADINGS = (
    "case",
    "variant",
    "time",
    "times as fast [95 %]",
    "faults",
    "system",
    "peak",
)


class DifferentResults(Exception):
    """A variant computes something else than the base."""


def run(benchmark: Benchmark | Count, rows: list[Case], quick: bool) -> Report:
    """Measure a benchmark, or some rows of it."""
    if isinstance(benchmark, Count):
        return benchmark.measure(quick)
    report = Report(HEADINGS)
    outcomes = []
    for case in rows:
        if missing := absent(case.needs):
            report.rows.append((case.name, f"skipped ({missing})"))
            continue
        try:
            outcome = measure(benchmark.name, case, quick)
        except DifferentResults as error:
            report.rows.append((case.name, f"failed ({error})"))
            report.failed = True
            continue
        add(report, outcome)
        report.verdicts += case.judge(outcome)
        outcomes.append(outcome)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    benchmark.summarize(report, outcomes)
    return report


def absent(modules: Sequence[str]) -> str | None:
    """Say which modules are not installed, and what to do."""
    names = [name for name in modules if importlib.util.find_spec(name) is None]
    if not names:
        return None
    return f"no {', '.join(names)}: pip install -r bench/requirements.txt"


def measure(benchmark: str, case: Case, quick: bool) -> Outcome:
    effort = QUICK if quick else case.effort
    outcome = Outcome(case.name, {v.name: Row(v.name) for v in case.variants})
    for generation in range(effort.generations):
        with contextlib.ExitStack() as stack:
            start = _Start(benchmark, case, outcome)
            workers = start.workers(stack)
            _sample(workers, outcome, effort, random.Random(generation))
    return outcome


class _Start:
    """Start a worker for each variant and compare what they compute."""

    def __init__(self, benchmark: str, case: Case, outcome: Outcome) -> None:
        self._names = benchmark, case.name
        self._variants = case.variants
        self._outcome = outcome

    def workers(self, stack: contextlib.ExitStack) -> dict[str, Worker]:
        workers = {}
        for variant in self._variants:
            row = self._outcome.rows[variant.name]
            if row.failed:
                continue
            try:
                worker = stack.enter_context(Worker(variant.environment()))
                worker.check_preload()
                worker.send("prepare", *self._names, variant.name)  # side by side
                workers[variant.name] = worker
            except Skip as reason:
                row.skipped = str(reason)
            except WorkerError as error:
                self._fail(row, error)
        results = {}
        for name in list(workers):
            try:
                results[name] = workers[name].receive()
            except WorkerError as error:
                self._fail(self._outcome.rows[name], error)
                del workers[name]
        refuse_different("/".join(self._names), results)
        return workers

    def _fail(self, row: Row, error: WorkerError) -> None:
        """Note that a variant does not run; the others go on."""
        print(f"{'/'.join(self._names)}, {row.variant}: {error}", file=sys.stderr)
        row.skipped, row.failed = str(error).rpartition("\n")[2], True


def refuse_different(where: str, results: Mapping[str, Any]) -> None:
    """Compare what variants computed: whether exactly, and digests; None: nothing."""
    known = {name: result for name, result in results.items() if result is not None}
    base = next(iter(known), None)
    if base is None:
        return
    for name, (is_exact, found) in known.items():
        for ours, theirs in zip(found, known[base][1], strict=True):
            near = math.isclose(ours[1], theirs[1], rel_tol=1e-3)
            if ours[0] != theirs[0] if is_exact else not near:
                raise DifferentResults(
                    f"{where}: {name!r} does not compute what {base!r} does"
                )


def _sample(
    workers: dict[str, Worker], outcome: Outcome, effort: Effort, order: random.Random
) -> None:
    counts = {}
    for name, worker in workers.items():
        counts[name] = worker.ask("calibrate", effort.least_ns, effort.most)
        worker.ask("sample", counts[name], 2)  # malloc and arena settle
    for _ in range(effort.rounds):
        for name in order.sample(list(workers), len(workers)):
            row, n = outcome.rows[name], counts[name]
            samples = workers[name].ask("sample", n, effort.samples)
            row.ns.append(float(np.median([ns for ns, _, _ in samples])) / n)
            row.faults += sum(faults for _, faults, _ in samples)
            row.system_ns += sum(system for _, _, system in samples)
            row.operations += n * len(samples)
    for name in workers:
        outcome.rows[name].generations += 1
    for name, worker in workers.items():
        outcome.rows[name].peak = max(outcome.rows[name].peak, worker.ask("peak"))


def add(report: Report, outcome: Outcome) -> None:
    """Add the rows of an outcome to a report."""
    first = next(iter(outcome.rows))
    for name, row in outcome.rows.items():
        if row.skipped:
            word = "failed" if row.failed else "skipped"
            report.rows.append((outcome.case, name, f"{word} ({row.skipped})"))
            report.failed |= row.failed
            continue
        # The same code once more is compared with itself.
        base = name.removesuffix(AGAIN) if name.endswith(AGAIN) else first
        ratio = str(outcome.ratio(name, base)) if outcome.has(base) else "-"
        report.rows.append(
            (
                outcome.case,
                name,
                format_ns(float(np.median(row.ns))),
                "1" if name == first else ratio,
                format_count(row.faults / row.operations),
                format_ns(row.system_ns / row.operations),
                format_size(row.peak),
            )
        )
    report.data.append(
        {"case": outcome.case, "rows": [asdict(row) for row in outcome.rows.values()]}
    )


def alone(benchmark: str, function: str, *arguments: object) -> Any:
    """Call a function of a benchmark in a process of its own."""
    with Worker() as worker:
        return worker.ask("call", benchmark, function, *arguments)
