# SPDX-License-Identifier: BSD-3-Clause
"""Follow the volatility of the S&P 500 with a particle filter.

The bootstrap filter (Gordon, Salmond and Smith, 1993) with systematic resampling
(Kitagawa, 1996) for stochastic volatility (Taylor, 1982): log variance is an
autoregression of order one. A cycle takes four days of real returns; after the last
day the first follows. float64: 50,000 particles, all arrays (50000,) of 0.4 MiB,
from the code below.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from bench.workloads import _prices
from bench.workloads._aligned import aligned_empty

NEEDS: tuple[str, ...] = ("arch",)

PARTICLES = 50_000
ARRAY_BYTES = PARTICLES * 8

DAYS = 4  # in a cycle
LEVEL, PERSISTENCE, NOISE = -9.5, 0.98, 0.2  # of the log variance
STATIONARY = NOISE / math.sqrt(1 - PERSISTENCE**2)


def prepare() -> Callable[[], object]:
    returns = itertools.cycle(_prices.sp500_returns().tolist())
    generator = np.random.default_rng(7)
    state = LEVEL + STATIONARY * generator.standard_normal(PARTICLES)

    def step() -> object:
        nonlocal state
        for _ in range(DAYS):
            moved = PERSISTENCE * (state - LEVEL)
            state = LEVEL + moved + NOISE * generator.standard_normal(PARTICLES)
            score = -0.5 * (state + next(returns) ** 2 * np.exp(-state))
            weight = np.exp(score - score.max())
            weight = weight / weight.sum()
            estimate = np.exp(state / 2) @ weight
            points = (np.arange(PARTICLES) + generator.random()) / PARTICLES
            chosen = np.searchsorted(np.cumsum(weight), points)
            # The last sum may be less than 1 by rounding.
            state = state[np.minimum(chosen, PARTICLES - 1)]
        return estimate, state

    return step


def by_hand() -> Callable[[], object]:
    returns = itertools.cycle(_prices.sp500_returns().tolist())
    generator = np.random.default_rng(7)
    state, moved, noise, weight, points = (
        aligned_empty(PARTICLES, np.float64) for _ in range(5)
    )
    ordinals = np.arange(PARTICLES)
    generator.standard_normal(out=state)
    np.multiply(state, STATIONARY, out=state)
    np.add(state, LEVEL, out=state)

    def move() -> None:
        nonlocal state, moved
        np.subtract(state, LEVEL, out=moved)
        np.multiply(moved, PERSISTENCE, out=moved)
        np.add(moved, LEVEL, out=moved)
        generator.standard_normal(out=noise)
        np.multiply(noise, NOISE, out=noise)
        np.add(moved, noise, out=moved)
        state, moved = moved, state

    def weigh(seen: float) -> None:
        np.negative(state, out=weight)
        np.exp(weight, out=weight)
        np.multiply(weight, seen**2, out=weight)
        np.add(state, weight, out=weight)
        np.multiply(weight, -0.5, out=weight)
        np.subtract(weight, weight.max(), out=weight)
        np.exp(weight, out=weight)
        np.divide(weight, weight.sum(), out=weight)

    def resample() -> None:
        nonlocal state, moved
        np.add(ordinals, generator.random(), out=points)
        np.divide(points, PARTICLES, out=points)
        np.cumsum(weight, out=weight)
        # `searchsorted` has no out=: one array a day is beyond this hand.
        chosen = np.searchsorted(weight, points)
        # mode: the default, "raise", would have `take` make a buffer of its own.
        np.take(state, chosen, out=moved, mode="clip")
        state, moved = moved, state

    def step() -> object:
        for _ in range(DAYS):
            move()
            weigh(next(returns))
            np.divide(state, 2, out=moved)
            estimate = np.exp(moved, out=moved) @ weight
            resample()
        return estimate, state

    return step
