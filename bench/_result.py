# SPDX-License-Identifier: BSD-3-Clause
"""What a run came to, as ``--json`` saves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench._report import Report, Verdict

SCHEMA = 1


class Unusable(Exception):
    """A file is not what ``--json`` has saved."""


@dataclass
class Part:
    """One benchmark of a run."""

    name: str
    about: str
    seconds: float
    report: Report
    machine: dict[str, str]


@dataclass
class Result:
    """All benchmarks of a run, the machine, and how it was called."""

    machine: dict[str, str]
    command: Sequence[str]
    quick: bool
    parts: list[Part] = field(default_factory=list)

    def add(
        self,
        name: str,
        about: str,
        report: Report,
        seconds: float,
        machine: dict[str, str],
    ) -> None:
        self.parts.append(Part(name, about, seconds, report, machine))


def write(result: Result, path: Path) -> None:
    saved = {"schema": SCHEMA, **asdict(result)}
    path.write_text(json.dumps(saved, indent=1) + "\n")


def read(paths: Sequence[Path]) -> Result:
    """Join what was saved; of a benchmark that is in several, the last one counts."""
    whole: Result | None = None
    for path in paths:
        found = _read_one(path)
        if whole is None:
            whole = found
            continue
        names = {part.name for part in found.parts}
        whole.parts = [part for part in whole.parts if part.name not in names]
        whole.parts += found.parts
        whole.machine = found.machine
        whole.quick = whole.quick or found.quick
    assert whole is not None
    return whole


def _read_one(path: Path) -> Result:
    try:
        saved = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Unusable(f"could not read {path}: {error}") from error
    schema = saved.get("schema") if isinstance(saved, dict) else None
    if schema != SCHEMA:
        raise Unusable(f"{path} has schema {schema}, not {SCHEMA}: measure again")
    try:
        parts = [_part(part) for part in saved["parts"]]
        return Result(saved["machine"], saved["command"], saved["quick"], parts)
    except (KeyError, TypeError) as error:
        raise Unusable(f"{path} is not what --json saves: {error!r}") from error


def _part(saved: dict[str, Any]) -> Part:
    report = Report(**saved["report"])
    report.verdicts = [Verdict(**verdict) for verdict in saved["report"]["verdicts"]]
    found = saved["name"], saved["about"], saved["seconds"], report
    return Part(*found, saved["machine"])
