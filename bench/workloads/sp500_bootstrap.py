# SPDX-License-Identifier: BSD-3-Clause
"""Bootstrap drawdown and value at risk of twenty years of the S&P 500.

The circular block bootstrap (Politis and Romano, 1992) with blocks of a month keeps
the clusters of volatility. A cycle resamples 128 histories of all 5,030 days and
finds the deepest drawdown of each, and its value at risk over ten days. float64:
wealth, peaks and drawdowns (128, 5030) of 4.9 MiB, and as much for the indices. All
arrays come from the code below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads import _prices

NEEDS: tuple[str, ...] = ("arch",)

PATHS = 128
DAYS = 5030
BLOCK = 21
ARRAY_BYTES = PATHS * DAYS * 8

HORIZON = 10  # days
TAIL = 0.01


def prepare() -> Callable[[], object]:
    returns = _prices.sp500_returns()
    generator = np.random.default_rng(3)
    blocks = -(-DAYS // BLOCK)
    within = np.arange(BLOCK)

    def step() -> object:
        starts = generator.integers(DAYS, size=(PATHS, blocks, 1))
        days = ((starts + within) % DAYS).reshape(PATHS, -1)[:, :DAYS]
        growth = np.cumsum(returns[days], axis=1)
        wealth = np.exp(growth)
        drawdown = 1 - wealth / np.maximum.accumulate(wealth, axis=1)
        gains = growth[:, HORIZON:] - growth[:, :-HORIZON]
        worst = int(TAIL * gains.shape[1])
        at_risk = 1 - np.exp(np.partition(gains, worst, axis=1)[:, worst])
        return drawdown.max(axis=1), at_risk

    return step
