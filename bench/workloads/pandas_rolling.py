# SPDX-License-Identifier: BSD-3-Clause
"""Roll means, deviations and correlations over daily prices with pandas.

S&P 500 and Nasdaq, ten columns of 5,031 days, and the same at three more lags. A
cycle computes a month's rolling mean and deviation of the log returns, their scores,
and the correlation of the two indices. float64: tables (5031, 40) of 1.5 MiB, from
the library, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads import _prices

NEEDS: tuple[str, ...] = ("arch", "pandas")

LAGS = (0, 1, 2, 5)
MONTH = 21  # trading days
ARRAY_BYTES = 5031 * 10 * len(LAGS) * 8


def prepare() -> Callable[[], object]:
    import pandas as pd

    columns = ["Open", "High", "Low", "Close", "Adj Close"]
    both = pd.concat(
        [_prices.sp500()[columns], _prices.nasdaq()[columns]],
        axis=1,
        keys=["sp500", "nasdaq"],
    ).astype(np.float64)
    prices = pd.concat([both.shift(lag) for lag in LAGS], axis=1, keys=LAGS)

    def step() -> object:
        returns = np.log(prices).diff()
        rolling = returns.rolling(MONTH)
        score = (returns - rolling.mean()) / rolling.std()
        close = returns[0].xs("Close", axis=1, level=1)
        together = close["sp500"].rolling(MONTH).corr(close["nasdaq"])
        return score.to_numpy(), together.to_numpy()

    return step
