# SPDX-License-Identifier: BSD-3-Clause
"""Instructions of one operation, counted by callgrind: the same on any day.

The slope between two counts of operations, so that what starts and ends a process is
not in it. A system call counts as the instructions that make it. No claim is made of
it, but a change of the engine shows here that no clock on a busy machine can see. Needs
valgrind (Debian: ``apt install valgrind``).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import _registry
from bench._case import Count, Skip
from bench._report import Report, format_count
from bench._system import fixed_layout
from bench._worker import WorkerError, environment

# Benchmark, case, variant.
ROWS = [
    ("c_path", "12 of 64 B", "default"),
    ("c_path", "12 of 64 B", "arena"),
    ("c_path", "12 of 4 KiB", "default"),
    ("c_path", "12 of 4 KiB", "arena"),
    ("empty", "64 B", "default"),
    ("empty", "64 B", "passthrough handler"),
    ("empty", "64 B", "wspace"),
    ("empty", "4 KiB", "default"),
    ("empty", "4 KiB", "passthrough handler"),
    ("empty", "4 KiB", "wspace"),
    ("scope", "enter and exit", "empty manager"),
    ("scope", "enter and exit", "threading.Lock"),
    ("scope", "enter and exit", "wspace"),
]
QUICK_ROWS = 2
FEW, MANY = 1000, 3000


def operate(benchmark: str, case: str, variant: str, count: int) -> None:
    """Do that many operations, under callgrind."""
    loop = _registry.variant(benchmark, case, variant).prepare().loop
    loop(10)
    loop(count)


def instructions(row: tuple[str, str, str], count: int) -> int:
    extra: Callable[[], Mapping[str, str]] = _registry.variant(*row).environment
    with tempfile.TemporaryDirectory(prefix="wspace-bench-") as folder:
        done = subprocess.run(
            [
                *fixed_layout(),
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={Path(folder, 'out')}",
                sys.executable,
                "-m",
                "bench.suite.instructions",
                *row,
                str(count),
            ],
            capture_output=True,
            text=True,
            env=environment(extra()),
            check=False,
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise WorkerError(f"callgrind, {'/'.join(row)}: {done.stderr[-500:]}")
    return int(found[1])


def measure(quick: bool) -> Report:
    report = Report(["benchmark", "case", "variant", "instructions"])
    if shutil.which("valgrind") is None:
        report.rows.append(("all", "all", "all", "skipped"))
        report.notes.append("skipped (no valgrind: apt install valgrind)")
        return report
    for row in ROWS[:QUICK_ROWS] if quick else ROWS:
        try:
            counts = [instructions(row, count) for count in (FEW, MANY)]
        except Skip as reason:
            report.rows.append((*row, f"skipped ({reason})"))
            continue
        each = (counts[1] - counts[0]) / (MANY - FEW)
        report.rows.append((*row, format_count(each)))
        report.data.append({"case": "/".join(row), "instructions": each})
    return report


BENCHMARK = Count("instructions", __doc__, measure)

if __name__ == "__main__":
    *which, times = sys.argv[1:]
    operate(*which, int(times))  # type: ignore[call-arg, arg-type]
