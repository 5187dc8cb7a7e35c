# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark comes to: rows, verdicts, and their forms as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What came of a claim; `holds` is None where the noise was too much to tell.

    `row` names the case and `against` the peer, for the reasons of what is lost.
    """

    claim: str
    holds: bool | None
    numbers: str
    row: str = ""
    against: str = ""

    @property
    def word(self) -> str:
        words = {True: "holds", False: "does not hold", None: "too noisy"}
        return words[self.holds]

    def __str__(self) -> str:
        return f"{self.word:13}  {self.claim}: {self.numbers}"


@dataclass
class Report:
    """What a benchmark prints and saves."""

    headings: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    failed: bool = False  # a variant that should have run did not


def format_ns(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.2f} {unit}"
    return f"{ns:.0f} ns"


def format_size(size: float) -> str:
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if abs(size) >= 1 << shift:
            return f"{size / (1 << shift):.4g} {unit}"
    return f"{size:.0f} B"


def format_count(count: float) -> str:
    """Format a mean count; only an exact zero is shown as 0."""
    return f"{count:,.0f}" if count == 0 or count >= 100 else f"{count:.3g}"


def table(report: Report) -> str:
    lines = [report.headings, *report.rows]
    # A cell that ends a short line, such as a reason to skip, may be of any length.
    full = [line for line in lines if len(line) == len(report.headings)]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])


def text_of(report: Report) -> str:
    return "\n".join([table(report), *report.notes, "", *map(str, report.verdicts)])
