# SPDX-License-Identifier: BSD-3-Clause
"""Filter two stock indices with matrices of four by four: nothing to gain.

A Kalman filter (1960) of local linear trends: level and slope of the log prices of
S&P 500 and Nasdaq, which drift together. A cycle is a hundred days; after the last
whole hundred it begins again. float64: no array is larger than (4, 4), 128 bytes,
which is less than a workspace takes in. All arrays come from the code below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads import _prices

NEEDS: tuple[str, ...] = ("arch",)

DAYS = 100  # in a cycle
ARRAY_BYTES = 4 * 4 * 8


def prepare() -> Callable[[], object]:
    tables = [_prices.sp500(), _prices.nasdaq()]
    prices = np.log(np.column_stack([table["Close"] for table in tables]))
    move = np.kron(np.eye(2), [[1.0, 1.0], [0.0, 1.0]])
    look = np.kron(np.eye(2), [[1.0, 0.0]])
    noise = np.kron([[1.0, 0.8], [0.8, 1.0]], np.diag([1e-4, 1e-7]))
    error = 1e-5 * np.eye(2)
    cycles, identity = 0, np.eye(4)
    hundreds = len(prices) // DAYS
    state, spread = np.zeros(4), identity

    def step() -> object:
        nonlocal state, spread, cycles
        today = cycles % hundreds * DAYS
        cycles += 1
        if today == 0:
            state, spread = look.T @ prices[0], 1e-2 * identity
        for price in prices[today : today + DAYS]:
            state = move @ state
            spread = move @ spread @ move.T + noise
            surprise = look @ spread @ look.T + error
            gain = np.linalg.solve(surprise, look @ spread).T
            state = state + gain @ (price - look @ state)
            spread = (identity - gain @ look) @ spread
        return state, spread

    return step
