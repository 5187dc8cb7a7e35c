# SPDX-License-Identifier: BSD-3-Clause
"""A user's own function as a benchmark: ``FILE.py:NAME``."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from bench import _peers
from bench._case import Benchmark, Case, Effort, Outcome, Step
from bench._peers import AGAIN, DEFAULT, MALLOCS, SCOPE, SCOPE_AGAIN
from bench._report import Report
from bench._verdicts import not_slower
from bench._worker import Worker

ABOUT = """a function of yours under wspace and under every malloc.

The function is called without arguments, again and again; a call is a cycle, and in the
wspace rows a scope is around each. The file is imported anew for each row. What it
returns is not compared; what it prints goes to stderr.
"""


class NotAFunction(Exception):
    """The file or the function is not there."""


def _module(file: str) -> ModuleType:
    path = Path(file)
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None:
        raise NotAFunction(f"{file!r} is not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    found.loader.exec_module(module)
    return module


def load(spec: str) -> Step:
    """Import the file, in a worker, and return its function."""
    gc.enable()  # it may make garbage that only the collector frees
    file, _, name = spec.rpartition(":")
    return getattr(_module(file), name)  # type: ignore[no-any-return]


def names(spec: str) -> list[str]:
    """List what can be called in the file, in a worker."""
    module = _module(spec.rpartition(":")[0])
    return sorted(
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_")
    )


def benchmark(spec: str) -> Benchmark:
    file, _, name = spec.rpartition(":")
    path = Path(file).resolve()
    if not path.is_file():
        raise NotAFunction(f"no file {file!r}")
    # The results of a user's function need not be arrays, nor the same.
    program = _peers.Program(step=partial(load, f"{path}:{name}"))
    case = Case(name, _peers.variants(program), compare=False)
    return Benchmark(f"{path}:{name}", ABOUT, [case], summarize=advise)


def check(spec: str) -> None:
    """Import the file in a worker, to say at once what is wrong."""
    with Worker() as worker:
        found = worker.ask("names", spec)
    file, _, name = spec.rpartition(":")
    if name not in found:
        raise NotAFunction(
            f"no function {name!r} in {file!r}; it has {', '.join(found)}"
        )


def effort(cycles: int) -> Effort:
    """Spread a number of timed calls, of each variant, over generations and rounds."""
    generations = 2 if cycles >= 36 else 1
    rounds = max(3, min(9, cycles // generations))
    most = max(1, cycles // (generations * rounds))
    return Effort(generations, rounds, samples=1, least_ns=1 << 62, most=most)


def advise(report: Report, outcomes: Sequence[Outcome]) -> None:
    """Say which of the mallocs and wspace is worth it."""
    for outcome in outcomes:
        if not outcome.has(DEFAULT, AGAIN, SCOPE, SCOPE_AGAIN):
            continue
        noise = outcome.ratio(AGAIN, DEFAULT)
        high = max(noise.high, 1 / noise.low)
        report.notes.append(f"identical code differs by up to {high:.2f} here")
        peers = [peer for peer in MALLOCS if outcome.has(peer)]
        for peer in (*peers[1:], SCOPE):
            gain = outcome.ratio(peer, DEFAULT)
            worth = "worth it" if gain.low > high else "not worth it"
            if gain.high < 1 / high:
                worth = "slower"
            report.notes.append(f"{peer}: {gain} times as fast as default, {worth}")
        best = max(peers, key=lambda peer: outcome.ratio(peer, DEFAULT).median)
        claim = f"wspace is not slower than {best}, the best of the others"
        pair = (SCOPE_AGAIN, SCOPE)
        report.verdicts.append(not_slower(outcome, claim, SCOPE, best, pair))
