# SPDX-License-Identifier: BSD-3-Clause
"""Price an option on the S&P 500 in Heston's model by Monte Carlo.

Full truncation Euler (Lord, Koekkoek and van Dijk, 2010) for log price and variance;
spot and variances are those of the index at the end of 2018. A cycle draws its
random numbers, takes 100,000 paths from today to expiry in eight steps and prices
a call. float64: all arrays (100000,) of 0.8 MiB, from the code below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.workloads import _prices
from bench.workloads._aligned import aligned_empty

NEEDS: tuple[str, ...] = ("arch",)

PATHS = 100_000
ARRAY_BYTES = PATHS * 8

STEPS = 8
EXPIRY = 1 / 6  # years
RATE, REVERSION, VOLATILITY, CORRELATION = 0.02, 3.0, 0.5, -0.7
DT = EXPIRY / STEPS
ACROSS = math.sqrt(1 - CORRELATION**2)


@dataclass(frozen=True, slots=True)
class Market:
    """Price today; variance a year, today and in the long run."""

    spot: float
    variance: float
    long_run: float


def prepare() -> Callable[[], object]:
    market = _market()
    generator = np.random.default_rng(2)

    def step() -> object:
        price = np.full(PATHS, math.log(market.spot))
        variance = np.full(PATHS, market.variance)
        for _ in range(STEPS):
            z1 = generator.standard_normal(PATHS)
            z2 = generator.standard_normal(PATHS)
            positive = np.maximum(variance, 0)
            spread = np.sqrt(positive * DT)
            price = price + (RATE - 0.5 * positive) * DT + spread * z1
            shock = CORRELATION * z1 + ACROSS * z2
            pull = REVERSION * (market.long_run - positive) * DT
            variance = variance + pull + VOLATILITY * spread * shock
        payoff = np.maximum(np.exp(price) - market.spot, 0)
        return math.exp(-RATE * EXPIRY) * payoff.mean(), payoff

    return step


def by_hand() -> Callable[[], object]:
    market = _market()
    generator = np.random.default_rng(2)
    price, variance, z1, z2, positive, spread, a, b = (
        aligned_empty(PATHS, np.float64) for _ in range(8)
    )

    def advance() -> None:
        generator.standard_normal(out=z1)
        generator.standard_normal(out=z2)
        np.maximum(variance, 0, out=positive)
        np.multiply(positive, DT, out=spread)
        np.sqrt(spread, out=spread)
        np.multiply(positive, 0.5, out=a)
        np.subtract(RATE, a, out=a)
        np.multiply(a, DT, out=a)
        np.add(price, a, out=price)
        np.multiply(spread, z1, out=a)
        np.add(price, a, out=price)
        np.multiply(z1, CORRELATION, out=z1)
        np.multiply(z2, ACROSS, out=z2)
        np.add(z1, z2, out=z1)
        np.subtract(market.long_run, positive, out=b)
        np.multiply(b, REVERSION, out=b)
        np.multiply(b, DT, out=b)
        np.add(variance, b, out=variance)
        np.multiply(spread, VOLATILITY, out=b)
        np.multiply(b, z1, out=b)
        np.add(variance, b, out=variance)

    def step() -> object:
        price.fill(math.log(market.spot))
        variance.fill(market.variance)
        for _ in range(STEPS):
            advance()
        np.exp(price, out=price)
        np.subtract(price, market.spot, out=price)
        np.maximum(price, 0, out=price)
        return math.exp(-RATE * EXPIRY) * price.mean(), price

    return step


def on_torch() -> Callable[[], object]:
    import torch

    market = _market()
    # NumPy's random numbers, so that the prices can be compared.
    generator = np.random.default_rng(2)

    def step() -> object:
        price = torch.full((PATHS,), math.log(market.spot), dtype=torch.float64)
        variance = torch.full((PATHS,), market.variance, dtype=torch.float64)
        for _ in range(STEPS):
            z1 = torch.from_numpy(generator.standard_normal(PATHS))
            z2 = torch.from_numpy(generator.standard_normal(PATHS))
            positive = torch.clamp(variance, min=0)
            spread = torch.sqrt(positive * DT)
            price = price + (RATE - 0.5 * positive) * DT + spread * z1
            shock = CORRELATION * z1 + ACROSS * z2
            pull = REVERSION * (market.long_run - positive) * DT
            variance = variance + pull + VOLATILITY * spread * shock
        payoff = torch.clamp(torch.exp(price) - market.spot, min=0)
        return math.exp(-RATE * EXPIRY) * payoff.mean().numpy(), payoff.numpy()

    return step


def _market() -> Market:
    returns = _prices.sp500_returns()
    year = _prices.TRADING_DAYS
    return Market(
        spot=float(_prices.sp500()["Adj Close"].iloc[-1]),
        variance=float(returns[-21:].var()) * year,
        long_run=float(returns.var()) * year,
    )
