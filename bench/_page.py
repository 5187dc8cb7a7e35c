# SPDX-License-Identifier: BSD-3-Clause
"""A page of Markdown from a run: what does not hold first, with the reason."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from bench._report import Report, Verdict
from bench._result import Part, Result

REASONS = Path(__file__).with_name("reasons.toml")

_NOTHING: Mapping[str, str] = MappingProxyType({})

INTRODUCTION = """# Benchmarks

Written by `python -m bench --markdown` from one run; do not edit. How to read the
figures, and the reasons not to believe them: [bench/README.md](../bench/README.md).
"""


def reasons() -> list[dict[str, str]]:
    """Read why rows are lost: `benchmark`, `row`, `against`, `reason`."""
    return tomllib.loads(REASONS.read_text())["lost"]  # type: ignore[no-any-return]


def reason(benchmark: str, verdict: Verdict, known: list[dict[str, str]]) -> str:
    for entry in known:
        if (
            entry["benchmark"] == benchmark
            and entry.get("row", verdict.row) == verdict.row
            and entry.get("against", verdict.against) == verdict.against
        ):
            return " ".join(entry["reason"].split())
    return "not found out yet"


def render(result: Result, pictures: Mapping[str, str] = _NOTHING) -> str:
    """Write the page; `pictures` are the links to those of each benchmark."""
    return "\n".join(_lines(result, pictures)) + "\n"


def _lines(result: Result, pictures: Mapping[str, str]) -> Iterator[str]:
    yield INTRODUCTION
    yield "| | |\n|---|---|"
    for key, value in result.machine.items():
        yield f"| {key} | {value} |"
    minutes = sum(part.seconds for part in result.parts) / 60
    yield f"| took | {minutes:.0f} minutes |\n"
    if result.quick:
        yield "**A quick run: few samples. Believe counts alone.**\n"
    yield from _lost(result)
    yield from _held(result)
    for part in result.parts:
        yield from _part(part, pictures.get(part.name))


def _verdicts(result: Result, *words: str) -> Iterator[tuple[str, Verdict]]:
    for part in result.parts:
        for verdict in part.report.verdicts:
            if verdict.word in words:
                yield part.name, verdict


def _lost(result: Result) -> Iterator[str]:
    lost = list(_verdicts(result, "does not hold", "too noisy"))
    yield f"## What does not hold ({len(lost)})\n"
    if not lost:
        yield "All claims hold in this run.\n"
        return
    known = reasons()
    yield "| benchmark | claim | measured | why |\n|---|---|---|---|"
    for name, verdict in lost:
        noisy = "; too noisy to tell" if verdict.holds is None else ""
        why = reason(name, verdict, known)
        yield f"| {name} | {verdict.claim} | {verdict.numbers}{noisy} | {why} |"
    yield ""


def _held(result: Result) -> Iterator[str]:
    held = list(_verdicts(result, "holds"))
    yield f"## What holds ({len(held)})\n"
    yield "| benchmark | claim | measured |\n|---|---|---|"
    for name, verdict in held:
        yield f"| {name} | {verdict.claim} | {verdict.numbers} |"
    yield ""


def _part(part: Part, picture: str | None) -> Iterator[str]:
    title, _, text = part.about.strip().partition("\n")
    yield f"## {part.name}: {title}\n"
    yield text.strip() + "\n"
    if picture is not None:
        yield f"![{part.name}]({picture})\n"
    yield from _table(part.report)
    for note in part.report.notes:
        yield f"- {note}"
    yield f"\n`python -m bench {part.name}`, {part.seconds:.0f} s.\n"


def _table(report: Report) -> Iterator[str]:
    width = len(report.headings)
    yield "| " + " | ".join(report.headings) + " |"
    yield "|---" * width + "|"
    last = None
    for row in report.rows:
        cells = [str(cell) for cell in row] + [""] * (width - len(row))
        if cells[0] == last:
            cells[0] = ""
        else:
            last = cells[0]
        yield "| " + " | ".join(cells) + " |"
    yield ""
