# SPDX-License-Identifier: BSD-3-Clause
"""Medians with their intervals, and means of ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A median and the 95 % interval of it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values: Sequence[float] | np.ndarray, generations: int = 1) -> Interval:
    """Resample (Efron, 1979), with the same draws each time.

    The values of a generation come of the same workers and are alike, so generations
    are drawn first, and then values within them (Davison and Hinkley, 1997, 3.8).
    """
    values = np.asarray(values, dtype=float)
    groups = values.reshape(generations, -1)
    rng = np.random.default_rng(0)
    which = rng.integers(generations, size=(2000, generations))
    rounds = rng.integers(groups.shape[1], size=(2000, generations, groups.shape[1]))
    drawn = groups[which[:, :, None], rounds].reshape(2000, -1)
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Interval(float(np.median(values)), float(low), float(high))


def geometric_mean(ratios: Sequence[float]) -> float:
    """Return the mean for ratios: twice as fast and half as fast are 1 together."""
    return float(np.exp(np.mean(np.log(ratios))))
