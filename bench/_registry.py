# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks by name. The names are fixed: a row that is lost stays."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable

from bench import _own
from bench._case import Benchmark, Case, Count, Variant

# In the order in which they run.
NAMES = (
    "empty",
    "rebind",
    "chain",
    "escapes",
    "scope",
    "c_path",
    "alignment",
    "cycles",
    "footprint",
    "linger",
    "modes",
    "instructions",
    "million",
    "workloads",
    "dask",
    "prefetch",
    "long_run",
)


class UnknownName(Exception):
    """There is no such benchmark, or no such row in it."""


def load(name: str) -> Benchmark | Count:
    """Import a benchmark, one of the suite or a function ``FILE.py:NAME``."""
    if ":" in name:
        return _own.benchmark(name)
    if name not in NAMES:
        raise UnknownName(f"no benchmark {name!r}{_hint(name, NAMES)}")
    found = importlib.import_module(f"bench.suite.{name}").BENCHMARK
    assert found.name == name
    return found  # type: ignore[no-any-return]


def case(benchmark: Benchmark, name: str) -> Case:
    for candidate in benchmark.cases:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in benchmark.cases]
    raise UnknownName(f"no row {name!r} in {benchmark.name!r}{_hint(name, names)}")


def row(benchmark: str, name: str) -> Case:
    found = load(benchmark)
    assert isinstance(found, Benchmark)
    return case(found, name)


def variant(benchmark: str, case_name: str, name: str) -> Variant:
    return {v.name: v for v in row(benchmark, case_name).variants}[name]


def function(benchmark: str, name: str) -> Callable[..., object]:
    found = load(benchmark)
    assert isinstance(found, Count)
    return found.functions[name]


def _hint(name: str, names: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; is it {close[0]!r}?"
    return f"; there are: {', '.join(names)}"
