# SPDX-License-Identifier: BSD-3-Clause
"""Paired samples of the variants of a case.

All workers of a case live side by side; in each round every one of them is asked for
samples, in an order drawn anew, and only samples of the same round are compared. A
pace that changes meets all of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench._case import QUICK, Benchmark, Case, Count, Effort, Outcome, Row, Skip
from bench._report import Report, format_count, format_ns, format_size
from bench._worker import Worker, WorkerError

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
        outcome = measure(benchmark.name, case, quick)
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
    chosen = [
        variant
        for variant in case.variants
        if not (quick and case.only_quick) or variant.name in case.only_quick
    ]
    outcome = Outcome(case.name, {v.name: Row(v.name) for v in chosen})
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
        self._compares = case.compare
        self._variants = [v for v in case.variants if v.name in outcome.rows]
        self._outcome = outcome

    def workers(self, stack: contextlib.ExitStack) -> dict[str, Worker]:
        workers = {}
        for variant in self._variants:
            try:
                extra = variant.environment()
            except Skip as reason:
                self._outcome.rows[variant.name].skipped = str(reason)
                continue
            workers[variant.name] = stack.enter_context(Worker(extra))
        for name, worker in workers.items():  # they import side by side
            worker.check_preload()
            worker.send("prepare", *self._names, name)
        results = {name: self._ready(name, w) for name, w in workers.items()}
        if self._compares:
            refuse_different("/".join(self._names), results)
        return workers

    def _ready(self, name: str, worker: Worker) -> list[str] | None:
        try:
            return worker.receive()  # type: ignore[no-any-return]
        except WorkerError as error:
            where = "/".join(self._names)
            raise WorkerError(f"{where}, {name}: {error}") from None


def refuse_different(where: str, results: Mapping[str, list[str] | None]) -> None:
    """Compare the digests of variants; None: not to be compared."""
    known = {name: result for name, result in results.items() if result is not None}
    base = next(iter(known), None)
    for name, result in known.items():
        if base is not None and result != known[base]:
            raise DifferentResults(
                f"{where}: {name!r} does not compute what {base!r} does"
            )


def _sample(
    workers: dict[str, Worker], outcome: Outcome, effort: Effort, order: random.Random
) -> None:
    counts = {}
    for name, worker in workers.items():
        counts[name] = worker.ask("calibrate", effort.least_ns)
        worker.ask("sample", counts[name], 2)  # malloc and arena settle
    for _ in range(effort.rounds):
        for name in order.sample(list(workers), len(workers)):
            row, n = outcome.rows[name], counts[name]
            samples = workers[name].ask("sample", n, effort.samples)
            row.ns.append(float(np.median([ns for ns, _, _ in samples])) / n)
            row.faults += sum(faults for _, faults, _ in samples)
            row.system_ns += sum(system for _, _, system in samples)
            row.operations += n * len(samples)
    for name, worker in workers.items():
        outcome.rows[name].peak = max(outcome.rows[name].peak, worker.ask("peak"))


def add(report: Report, outcome: Outcome) -> None:
    """Add the rows of an outcome to a report."""
    base = next(iter(outcome.rows))
    for name, row in outcome.rows.items():
        if row.skipped:
            report.rows.append((outcome.case, name, f"skipped ({row.skipped})"))
            continue
        report.rows.append(
            (
                outcome.case,
                name,
                format_ns(float(np.median(row.ns))),
                "1" if name == base else str(outcome.ratio(name, base)),
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
