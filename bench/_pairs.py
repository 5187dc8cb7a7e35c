# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share: workers, paired samples, intervals, verdicts, `main`.

Each variant of each case runs in a worker, a fresh process: malloc adapts to what its
process has freed before, so variants in one process would be measured with each
other's history. All workers of a case live side by side; in each round every one of
them is asked for samples, in an order drawn anew, and only samples of the same round
are compared. A pace that changes meets all of them.

The protocol is lines of JSON: ``[function, [arguments]]``, answered with the result.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from _report import (
    Interval,
    Report,
    Verdict,
    bootstrap,
    fixed_layout,
    format_count,
    format_ns,
    format_size,
    machine,
    save,
    table,
)

# Runs an operation n times; returns the nanoseconds that they took.
Loop = Callable[[int], int]

# CPU time of the thread: the turns of other processes are not in it.
clock = time.thread_time_ns

# No pools of threads, no random hashes.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
_NOTHING: Mapping[str, str] = MappingProxyType({})
_PROC = Path("/proc/self")


class Skip(Exception):
    """A variant cannot run here; the text says why and what to install."""


def loop_of(operation: Callable[[], object]) -> Loop:
    def loop(n: int) -> int:
        start = clock()
        for _ in repeat(None, n):
            operation()
        return clock() - start

    return loop


# ---- what a process can say of itself ------------------------------------------------


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def reset_peak() -> None:
    """Forget the peak of resident memory, where the system lets us."""
    with contextlib.suppress(OSError):
        (_PROC / "clear_refs").write_text("5")


def peak_resident() -> int:
    """Return the most that was resident since `reset_peak`, in bytes."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ---- workers -------------------------------------------------------------------------


class Worker:
    """A fresh process that answers calls. Leaving the block ends it."""

    def __init__(self, environment: Mapping[str, str] = _NOTHING) -> None:
        # Arguments and environment lie on the stack and move it: they are the same
        # for all workers, but for what a variant sets.
        self._process = subprocess.Popen(
            [*fixed_layout(), sys.executable, sys.argv[0], "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT, **environment},
            text=True,
        )
        self._preload = environment.get("LD_PRELOAD")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def ask(self, function: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer tells
            print(json.dumps([function, arguments]), file=self._process.stdin)
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer.endswith("\n"):
            raise SystemExit(f"worker ended with status {self._process.wait()}")
        return json.loads(answer)

    def check_preload(self) -> None:
        """The loader only warns when it cannot preload: look."""
        if self._preload is not None and not self.ask("has_mapped", self._preload):
            raise SystemExit(f"{self._preload} was not preloaded")


def has_mapped(library: str) -> bool:
    return Path(library).name in (_PROC / "maps").read_text()


def _serve(functions: Iterable[Callable[..., object]]) -> None:
    by_name = {function.__name__: function for function in functions}
    by_name["has_mapped"] = has_mapped
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(by_name[name](*arguments)), flush=True)


def alone(function: Callable[..., object], *arguments: object) -> Any:
    """Call a function in a process of its own."""
    with Worker() as worker:
        return worker.ask(function.__name__, *arguments)


# ---- what is measured ----------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """A way to do what a case says.

    `prepare` is called in the worker with the case and returns the loop. `environment`
    says what variables the worker gets, such as LD_PRELOAD, or raises `Skip`.
    """

    name: str
    prepare: Callable[[Any], Loop]
    environment: Callable[[], Mapping[str, str]] = lambda: _NOTHING


@dataclass
class Row:
    """What a variant did in a case: for each round, nanoseconds per operation."""

    variant: str
    ns: list[float] = field(default_factory=list)
    faults: int = 0
    operations: int = 0
    peak: int = 0  # bytes, above what the worker held before it prepared
    skipped: str = ""


@dataclass
class Outcome:
    """The rows of one case, by the names of the variants."""

    case: Any
    rows: dict[str, Row]

    def ratio(self, variant: str, base: str) -> Interval:
        """How many times faster than `base`, round by round."""
        ours, theirs = self.rows[variant].ns, self.rows[base].ns
        return bootstrap(np.divide(theirs, ours))

    def more(self, variant: str, base: str) -> Interval:
        """Nanoseconds more than `base`, round by round."""
        return bootstrap(np.subtract(self.rows[variant].ns, self.rows[base].ns))

    def has(self, *variants: str) -> bool:
        return not any(self.rows[variant].skipped for variant in variants)


class _Session:
    """The state of a worker that is sampled."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._variants = {variant.name: variant for variant in variants}

    def prepare(self, name: str, case: Any) -> None:
        reset_peak()
        self._floor = peak_resident()
        self._loop = self._variants[name].prepare(case)
        self._loop(1)

    def calibrate(self, least_ns: int) -> int:
        """Return how many operations take as long as that.

        All variants take about as long, so that they are interrupted as often.
        """
        n = 1
        while n < 1 << 20:
            start = time.perf_counter_ns()
            self._loop(n)
            if time.perf_counter_ns() - start >= least_ns:
                break
            n *= 2
        return n

    def sample(self, n: int, times: int) -> list[tuple[int, int]]:
        self._loop(1)  # the caches were somebody else's
        samples = []
        for _ in range(times):
            before = page_faults()
            ns = self._loop(n)
            samples.append((ns, page_faults() - before))
        return samples

    def peak(self) -> int:
        return peak_resident() - self._floor


@dataclass(frozen=True)
class Effort:
    generations: int  # fresh workers: other physical pages
    rounds: int  # in each generation
    samples: int  # in each round
    least_ns: int  # of a sample


FULL = Effort(generations=3, rounds=9, samples=3, least_ns=1_000_000)
QUICK = Effort(generations=1, rounds=5, samples=1, least_ns=200_000)


@dataclass(frozen=True)
class Pairs:
    """Variants to be compared case by case; the first one is the base."""

    variants: Sequence[Variant]

    @property
    def functions(self) -> list[Callable[..., object]]:
        session = _Session(self.variants)
        return [session.prepare, session.calibrate, session.sample, session.peak]

    def run(self, case: Any, quick: bool) -> Outcome:
        effort = QUICK if quick else FULL
        outcome = Outcome(case, {v.name: Row(v.name) for v in self.variants})
        for generation in range(effort.generations):
            with contextlib.ExitStack() as stack:
                workers = self._start(outcome, stack)
                self._sample(workers, outcome, effort, random.Random(generation))
        return outcome

    def _start(
        self, outcome: Outcome, stack: contextlib.ExitStack
    ) -> dict[str, Worker]:
        workers = {}
        for variant in self.variants:
            try:
                environment = variant.environment()
            except Skip as reason:
                outcome.rows[variant.name].skipped = str(reason)
                continue
            workers[variant.name] = stack.enter_context(Worker(environment))
        for name, worker in workers.items():
            worker.check_preload()
            worker.ask("prepare", name, outcome.case)
        return workers

    def _sample(
        self,
        workers: dict[str, Worker],
        outcome: Outcome,
        effort: Effort,
        order: random.Random,
    ) -> None:
        counts = {}
        for name, worker in workers.items():
            counts[name] = worker.ask("calibrate", effort.least_ns)
            worker.ask("sample", counts[name], 2)  # malloc and arena settle
        for _ in range(effort.rounds):
            for name in order.sample(list(workers), len(workers)):
                row, n = outcome.rows[name], counts[name]
                samples = workers[name].ask("sample", n, effort.samples)
                row.ns.append(float(np.median([ns for ns, _ in samples])) / n)
                row.faults += sum(faults for _, faults in samples)
                row.operations += n * len(samples)
        for name, worker in workers.items():
            outcome.rows[name].peak = max(outcome.rows[name].peak, worker.ask("peak"))


# ---- verdicts ------------------------------------------------------------------------


# Identical code that differs by more forgives too much.
WORST_CONTROL = 0.9


def not_slower(
    outcome: Outcome, claim: str, variant: str, base: str, control: tuple[str, str]
) -> Verdict:
    """Compare with what two runs of the same code differ by, in either direction."""
    same, ratio = outcome.ratio(*control), outcome.ratio(variant, base)
    bound = min(same.low, 1 / same.high)
    text = f"{ratio} times as fast; A/A {same}, so at least {bound:.3f}"
    too_noisy = ratio.median < 1 and bound < WORST_CONTROL
    return Verdict(claim, None if too_noisy else ratio.median >= bound, text)


def at_least(
    outcome: Outcome, claim: str, variant: str, base: str, factor: float
) -> Verdict:
    ratio = outcome.ratio(variant, base)
    text = f"{ratio} times as fast, at least {factor:.3f}"
    return Verdict(claim, ratio.median >= factor, text)


# ---- the program ---------------------------------------------------------------------


PAIR_HEADINGS = ("case", "variant", "time", "times as fast [95 %]", "faults/op", "peak")


def add_outcome(report: Report, outcome: Outcome, label: str) -> None:
    base = next(iter(outcome.rows))
    for name, row in outcome.rows.items():
        if row.skipped:
            report.rows.append((label, name, f"skipped ({row.skipped})"))
            continue
        time_ = format_ns(float(np.median(row.ns)))
        ratio = "1" if name == base else str(outcome.ratio(name, base))
        faults = format_count(row.faults / row.operations)
        report.rows.append((label, name, time_, ratio, faults, format_size(row.peak)))
    rows = [asdict(row) for row in outcome.rows.values()]
    report.data.append({"case": outcome.case, "rows": rows})


def main(
    about: str,
    measure: Callable[[bool], Report],
    functions: Iterable[Callable[..., object]],
) -> None:
    """Run a benchmark, or be one of its workers, which serve `functions`."""
    if sys.argv[1:] == ["--worker"]:
        _serve(functions)
        return
    title, _, text = about.partition("\n")
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all samples")
    arguments = parser.parse_args()
    host = machine()
    print(title, host, text.strip(), sep="\n", end="\n\n", flush=True)
    report = measure(arguments.quick)
    print(table(report), *report.notes, "", *report.verdicts, sep="\n")
    if arguments.quick:
        print("quick: few samples, only to show that it works; believe counts alone")
    if arguments.json is not None:
        save(arguments.json, title, host, report, arguments.quick)
