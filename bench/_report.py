# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks print and save: the machine, intervals, a table, verdicts."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Interval:
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: Sequence[float] | np.ndarray) -> Interval:
    """Return the median and the 95 % interval of it."""
    values = np.asarray(values)
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(np.median(values[draws], axis=1), [2.5, 97.5])
    return Interval(float(np.median(values)), float(low), float(high))


@dataclass(frozen=True)
class Verdict:
    """What came of a claim; `holds` is None where the noise was too much to tell."""

    claim: str
    holds: bool | None
    numbers: str

    def __str__(self) -> str:
        words = {True: "holds", False: "does not hold", None: "too noisy"}
        word = words[self.holds]
        return f"{word:13}  {self.claim}: {self.numbers}"


@dataclass
class Report:
    """What a benchmark prints and saves."""

    headings: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)


def format_ns(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.2f} {unit}"
    return f"{ns:.0f} ns"


def format_size(size: float) -> str:
    for unit, shift in (("MiB", 20), ("KiB", 10)):
        if abs(size) >= 1 << shift:
            return f"{size / (1 << shift):.4g} {unit}"
    return f"{size:.0f} B"


def format_count(count: float) -> str:
    """Format a mean count; only an exact zero is shown as 0."""
    return f"{count:,.0f}" if count == 0 or count >= 100 else f"{count:.3g}"


@functools.cache
def fixed_layout() -> list[str]:
    """Return the prefix of a command that gives each run the same addresses."""
    if shutil.which("setarch") is None:
        return []
    prefix = ["setarch", platform.machine(), "-R"]
    trial = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if trial.returncode == 0 else []


def machine() -> str:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    huge = "?"
    with contextlib.suppress(OSError):
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
        huge = text.partition("[")[2].partition("]")[0]
    libc = " ".join(part for part in platform.libc_ver() if part) or "unknown libc"
    return (
        f"{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"{platform.system()} {platform.release()}, {libc}, huge pages {huge}, "
        f"addresses {'fixed' if fixed_layout() else 'random'}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"wspace {metadata.version('wspace')}"
    )


def table(report: Report) -> str:
    lines = [report.headings, *report.rows]
    # A cell that ends a short line, such as a reason to skip, may be of any length.
    full = [line for line in lines if len(line) == len(report.headings)]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def save(path: Path, title: str, host: str, report: Report, quick: bool) -> None:
    saved = {
        "benchmark": title,
        "command": sys.argv,
        "machine": host,
        "quick": quick,
        "cases": report.data,
        "verdicts": [asdict(verdict) for verdict in report.verdicts],
    }
    path.write_text(json.dumps(saved, indent=1) + "\n")
