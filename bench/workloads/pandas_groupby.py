# SPDX-License-Identifier: BSD-3-Clause
"""Summarize prices by market and year with pandas.

S&P 500, Nasdaq, VIX and oil, as they were at sixteen venues (copies that differ by a
scale), one row for each day: 317,000 rows. A cycle computes returns within the groups
and aggregates price and return by venue, market and year. float64 and int64: columns
of 2.4 MiB, from the library, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bench.workloads import _prices

if TYPE_CHECKING:
    import pandas as pd

NEEDS: tuple[str, ...] = ("arch", "pandas")

VENUES = 16
ARRAY_BYTES = 317_000 * 8


def prepare() -> Callable[[], object]:
    table = _table()
    keys = ["venue", "market", "year"]

    def step() -> object:
        price = table["price"]
        before = table.groupby(["venue", "market"])["price"].shift()
        with_return = table.assign(change=price / before - 1)
        groups = with_return.groupby(keys)[["price", "change"]]
        return groups.agg(["mean", "std", "min", "max"]).to_numpy()

    return step


def _table() -> pd.DataFrame:
    import pandas as pd

    markets = [
        _prices.sp500()["Close"],
        _prices.nasdaq()["Close"],
        _prices.vix().iloc[:, 0],
        _prices.wti().iloc[:, 0],
    ]
    parts = [
        pd.DataFrame(
            {
                "venue": venue,
                "market": market,
                "year": np.asarray(series.index.year, dtype=np.int64),
                "price": series.to_numpy(np.float64) * (1 + venue / 1000),
            }
        )
        for venue in range(VENUES)
        for market, series in enumerate(markets)
    ]
    return pd.concat(parts, ignore_index=True)
