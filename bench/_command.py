# SPDX-License-Identifier: BSD-3-Clause
"""The command line, ``python -m bench``."""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import _own, _registry, _result, _runner
from bench._case import Benchmark, Case, Count
from bench._report import text_of
from bench._result import Result
from bench._system import machine
from bench._worker import WorkerError

DESCRIPTION = """Compare wspace with every real alternative, side by side.

NAME is a benchmark, a row of one ('chain/12 of 1 MiB'; patterns such as
'workloads/gray*' do), or a function of yours, FILE.py:FUNCTION, that is called without
arguments. Without a NAME the whole suite runs, which takes half an hour or more."""

EPILOG = """Most figures are ratios to the first row of a case: 1.5 is one and a half
times as fast. How to read them, and why not to believe them: bench/README.md."""


class WrongCommand(Exception):
    """The arguments do not go together."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("names", nargs="*", metavar="NAME", help="what to run; all by default")
    add("--list", action="store_true", help="print the names of all rows and end")
    add("--quick", action="store_true", help="only show that it works")
    add("--cycles", type=int, metavar="N", help="timed calls of FILE.py:FUNCTION a row")
    add("--json", type=Path, metavar="FILE", help="save all samples")
    add("--markdown", type=Path, metavar="FILE", help="write a page, lost rows first")
    add("--plot", type=Path, metavar="DIR", help="draw the figures (needs matplotlib)")
    add(
        "--from",
        type=Path,
        nargs="+",
        dest="saved",
        metavar="FILE",
        help="take what --json has saved instead of measuring",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 2: wrong arguments, 1: a benchmark could not run."""
    given = parser().parse_args(arguments)
    try:
        return _main(given)
    except (_registry.UnknownName, _own.NotAFunction, WrongCommand) as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return 2
    except (WorkerError, _result.Unusable) as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _main(given: argparse.Namespace) -> int:
    if given.list:
        _list()
        return 0
    if given.saved and (given.names or given.cycles or given.quick):
        raise WrongCommand("--from reads what was measured: it takes no NAME")
    result = _result.read(given.saved) if given.saved else _measure(given)
    if given.json is not None:
        _result.write(result, given.json)
    pictures: dict[str, Path] = {}
    if given.plot is not None:
        from bench import _plot

        pictures = _plot.draw(result, given.plot)
        print(*(f"drawn: {path}" for path in pictures.values()), sep="\n")
    if given.markdown is not None:
        from bench import _page

        folder = given.markdown.resolve().parent
        links = {
            name: os.path.relpath(path.resolve(), folder)
            for name, path in pictures.items()
        }
        given.markdown.write_text(_page.render(result, links))
    return int(any(part.report.failed for part in result.parts))


def _list() -> None:
    for name in _registry.NAMES:
        found = _registry.load(name)
        print(f"{name}: {_title(found.about)}")
        for case in getattr(found, "cases", ()):
            print(f"    {name}/{case.name}")


def _title(about: str) -> str:
    return about.partition("\n")[0]


# ---- what to run ---------------------------------------------------------------------


def _selected(given: argparse.Namespace) -> dict[str, list[Case]]:
    """Return the chosen rows of each benchmark, in the order of the suite."""
    rows: dict[str, list[Case]] = {}
    for name in given.names or _registry.NAMES:
        benchmark, pattern = name, "*"
        if name.endswith(".py"):
            raise WrongCommand(f"which function of {name!r}? {name}:FUNCTION")
        if ":" not in name:
            benchmark, _, pattern = name.partition("/")
        found = _registry.load(benchmark)
        if ":" in name:
            _own.check(found.name)
        if isinstance(found, Count):
            if pattern not in ("", "*"):
                raise WrongCommand(f"{benchmark!r} has no rows to choose from")
            rows.setdefault(found.name, [])
            continue
        chosen = rows.setdefault(found.name, [])
        for case in _matching(found, pattern):
            if case.name not in [known.name for known in chosen]:
                chosen.append(_with_cycles(case, given, ":" in name))
    return rows


def _matching(benchmark: Benchmark, pattern: str) -> list[Case]:
    if pattern in ("", "*"):
        return list(benchmark.cases)
    found = [c for c in benchmark.cases if fnmatch.fnmatchcase(c.name, pattern)]
    return found or [_registry.case(benchmark, pattern)]


def _with_cycles(case: Case, given: argparse.Namespace, own: bool) -> Case:
    if given.cycles is None:
        return case
    if not own:
        raise WrongCommand("--cycles is for a function of yours, FILE.py:FUNCTION")
    if given.cycles < 1:
        raise WrongCommand(f"--cycles must be at least 1, got {given.cycles}")
    return dataclasses.replace(case, effort=_own.effort(given.cycles))


# ---- running it ----------------------------------------------------------------------


def _measure(given: argparse.Namespace) -> Result:
    selected = _selected(given)
    facts = machine()
    print(", ".join(f"{key} {value}" for key, value in facts.items()), flush=True)
    result = Result(machine=facts, command=sys.argv[1:], quick=given.quick)
    for name, rows in selected.items():
        benchmark = _registry.load(name)
        print(f"\n{name}: {benchmark.about.strip()}\n", flush=True)
        start = time.monotonic()
        report = _runner.run(benchmark, rows, given.quick)
        print(text_of(report), flush=True)
        seconds = time.monotonic() - start
        result.add(name, benchmark.about, report, seconds, machine())
        if given.json is not None:  # what is measured is not lost
            _result.write(result, given.json)
    if given.quick:
        print("\nquick: few samples, only to show that it works; believe counts alone")
    return result
