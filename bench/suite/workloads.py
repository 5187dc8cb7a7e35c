# SPDX-License-Identifier: BSD-3-Clause
"""Programs on real data, against every malloc: the rows by which wspace is judged.

Claims: no row's 95 % interval lies wholly below 0.97 of any malloc; the geometric mean
of the rows is at least 1.00 against the best malloc of each row, and at least 1.3
against the fresh default on rows with arrays of 64 KiB and more; the same code by hand,
with ``out=`` into aligned buffers, is at most 1.6 times as fast. All compute the same,
bit for bit (PyTorch, nearly). Each program is a module in ``bench/workloads``, where it
says where its data and its code come from.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

from bench import _peers
from bench._case import Benchmark, Case, Effort, Outcome
from bench._intervals import geometric_mean
from bench._peers import BY_HAND, DEFAULT, MALLOCS, SCOPE
from bench._report import Report, Verdict
from bench._verdicts import at_least, not_wholly_below

NAMES = (
    "digits_mlp",
    "sklearn_mlp",
    "gaussian_mixture",
    "nmf",
    "rk45",
    "heston",
    "sp500_bootstrap",
    "diffusion",
    "gray_scott",
    "richardson_lucy",
    "background",
    "sigma_clipping",
    "particle_filter",
    "ensemble_sampler",
    "mfcc",
    "autograd_mlp",
    "pandas_groupby",
    "pandas_rolling",
    "tiny_net",
    "tiny_arrays",
)
EFFORT = Effort(generations=2, rounds=9, samples=2, least_ns=20_000_000)

LEAST = 0.97  # of any malloc
LEAST_OF_BEST = 1.0  # of the best malloc, geometric mean
LEAST_OF_DEFAULT = 1.3  # of the fresh default, geometric mean of the large
LARGE = 1 << 16  # bytes
MOST_BY_HAND = 1.6


def program(module: ModuleType) -> _peers.Program:
    return _peers.Program(
        step=module.prepare,
        by_hand=getattr(module, "by_hand", None),
        torch=getattr(module, "on_torch", None),
    )


def judge(outcome: Outcome) -> Sequence[Verdict]:
    verdicts = [
        not_wholly_below(
            outcome, f"{outcome.case}: not below {LEAST} of {peer}", SCOPE, peer, LEAST
        )
        for peer in MALLOCS
        if outcome.has(SCOPE, peer)
    ]
    if outcome.has(SCOPE, BY_HAND):
        claim = f"{outcome.case} by hand is at most {MOST_BY_HAND} times as fast"
        verdicts.append(at_least(outcome, claim, SCOPE, BY_HAND, 1 / MOST_BY_HAND))
    return verdicts


def case(name: str) -> Case:
    module = importlib.import_module(f"bench.workloads.{name}")
    return Case(
        name.replace("_", "-"),
        _peers.variants(program(module)),
        judge,
        EFFORT,
        module.NEEDS,
    )


def ratios(outcomes: Sequence[Outcome], peer: str) -> list[float]:
    return [o.ratio(SCOPE, peer).median for o in outcomes if o.has(SCOPE, peer)]


def mean_verdict(claim: str, found: list[float], bound: float) -> Verdict:
    mean = geometric_mean(found)
    numbers = f"{mean:.3f} of {len(found)} rows, at least {bound:.2f}"
    return Verdict(claim, mean >= bound, numbers, "geometric mean")


def is_large(outcome: Outcome) -> bool:
    name = outcome.case.replace("-", "_")
    module = importlib.import_module(f"bench.workloads.{name}")
    return bool(module.ARRAY_BYTES >= LARGE)


def summarize(report: Report, outcomes: list[Outcome]) -> None:
    done = [outcome for outcome in outcomes if outcome.has(SCOPE, DEFAULT)]
    for peer in MALLOCS:
        if found := ratios(done, peer):
            mean = geometric_mean(found)
            report.notes.append(f"geometric mean against {peer}: {mean:.3f}")
    complete = [outcome for outcome in done if outcome.has(*MALLOCS)]
    if complete:
        best = [min(o.ratio(SCOPE, p).median for p in MALLOCS) for o in complete]
        claim = "geometric mean against the best malloc of each row"
        report.verdicts.append(mean_verdict(claim, best, LEAST_OF_BEST))
    else:
        report.notes.append("not compared with the best malloc: one of them is missing")
    large = ratios([outcome for outcome in done if is_large(outcome)], DEFAULT)
    if large:
        claim = "geometric mean against the fresh default, arrays of 64 KiB and more"
        report.verdicts.append(mean_verdict(claim, large, LEAST_OF_DEFAULT))


BENCHMARK = Benchmark(
    "workloads",
    __doc__,
    [case(name) for name in NAMES],
    summarize,
)
