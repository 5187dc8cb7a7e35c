# SPDX-License-Identifier: BSD-3-Clause
"""The numbers of the table, from the samples of a run."""

from __future__ import annotations

import resource
from dataclasses import dataclass

import numpy as np

from wspace.demo.diffusion import Field
from wspace.demo.runner import Result
from wspace.demo.variants import BASELINE, WORKSPACE

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One variant in numbers, per steady cycle where it applies.

    Parameters
    ----------
    label : str
        Name of the variant.
    seconds : float
        Median time.
    speedup, low, high : float
        Median of the ratios of the baseline's time to this, in the same round, and
        its 95 % interval.
    page_faults : float
        Mean count.
    upstream_calls : float
        Mean count of requests for memory: those of the workspace to the system,
        else those of NumPy to malloc, for arrays of 1 KiB and more.
    upstream_bytes : float
        Mean size of the pages that the system had to supply.
    peak : int
        Most bytes resident in any cycle, the first ones included, above what the
        process held before.
    """

    label: str
    seconds: float
    speedup: float
    low: float
    high: float
    page_faults: float
    upstream_calls: float
    upstream_bytes: float
    peak: int


def summarize(results: list[Result]) -> list[Row]:
    """Reduce each result to its row.

    Parameters
    ----------
    results : list of Result
        Those of `BASELINE` and `WORKSPACE` must be among them.

    Returns
    -------
    list of Row
        In the same order.
    """
    by_key = {result.variant.key: result for result in results}
    baseline = _times(by_key[BASELINE.key])
    # Programs and values are the same, so NumPy asks malloc as often as it asks the
    # workspace, which counts.
    requests = _mean(by_key[WORKSPACE.key], "allocations")
    return [_row(result, baseline, requests) for result in results]


def _row(result: Result, baseline: Field, requests: float) -> Row:
    ratios = baseline / _times(result)
    low, high = _interval(ratios)
    faults = _mean(result, "page_faults")
    in_workspace = any(sample.allocations for sample in result.samples)
    return Row(
        label=result.variant.label,
        seconds=float(np.median(_times(result))),
        speedup=float(np.median(ratios)),
        low=low,
        high=high,
        page_faults=faults,
        upstream_calls=_mean(result, "upstream_calls") if in_workspace else requests,
        upstream_bytes=faults * resource.getpagesize(),
        peak=max(sample.resident for sample in result.samples),
    )


def _times(result: Result) -> Field:
    return np.array([sample.seconds for sample in result.steady])


def _mean(result: Result, field: str) -> float:
    return float(np.mean([getattr(sample, field) for sample in result.steady]))


def _interval(ratios: Field) -> tuple[float, float]:
    """Bootstrap the 95 % interval of the median."""
    generator = np.random.default_rng(0)
    drawn = generator.choice(ratios, size=(_RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)
