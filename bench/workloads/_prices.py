# SPDX-License-Identifier: BSD-3-Clause
"""Daily prices that ship with arch: S&P 500 and Nasdaq, 1999 to 2018; VIX; WTI oil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

TRADING_DAYS = 252  # in a year


def sp500() -> pd.DataFrame:
    """Load 5,031 days of open, high, low, close, adjusted close and volume."""
    from arch.data import sp500 as source

    return source.load()


def nasdaq() -> pd.DataFrame:
    """Load the Nasdaq composite on the same days, with the same columns."""
    from arch.data import nasdaq as source

    return source.load()


def vix() -> pd.DataFrame:
    """Load the volatility index, 2014 to 2018, one column."""
    from arch.data import vix as source

    return source.load().dropna()


def wti() -> pd.DataFrame:
    """Load the price of oil, 1986 to 2018, one column."""
    from arch.data import wti as source

    return source.load().dropna()


def sp500_returns() -> NDArray[np.float64]:
    """Compute the 5,030 daily log returns of the S&P 500."""
    return np.diff(np.log(sp500()["Adj Close"].to_numpy(np.float64)))
