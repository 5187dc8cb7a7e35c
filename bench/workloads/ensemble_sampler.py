# SPDX-License-Identifier: BSD-3-Clause
"""Sample a robust regression of the progress of diabetes with an ensemble.

The affine-invariant stretch move (Goodman and Weare, 2010) as emcee parallelizes it
(Foreman-Mackey et al., 2013): 512 walkers in two halves, each moved along lines to
the other. The likelihood is Student's t around a linear model of scikit-learn's
diabetes data. A cycle moves every walker four times. float64: residuals of a half
(256, 442) of 0.9 MiB, from the code below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NEEDS: tuple[str, ...] = ("sklearn",)

WALKERS = 512
PATIENTS = 442
ARRAY_BYTES = WALKERS // 2 * PATIENTS * 8

SWEEPS = 4
STRETCH = 2.0
FREEDOM = 4.0  # degrees, of Student's t

Array = NDArray[np.float64]


def prepare() -> Callable[[], object]:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (y - y.mean()) / y.std()
    generator = np.random.default_rng(8)
    # Ten slopes, the intercept, and the logarithm of the scale.
    dimensions = x.shape[1] + 2
    halves = list(0.1 * generator.standard_normal((2, WALKERS // 2, dimensions)))
    densities = [_log_density(half, x, y) for half in halves]

    def step() -> object:
        for sweep in range(2 * SWEEPS):
            i = sweep % 2
            walkers, others = halves[i], halves[1 - i]
            draw = generator.random(len(walkers))
            stretch = ((STRETCH - 1) * draw + 1) ** 2 / STRETCH
            partners = others[generator.integers(len(others), size=len(walkers))]
            proposal = partners + stretch[:, np.newaxis] * (walkers - partners)
            density = _log_density(proposal, x, y)
            gain = (dimensions - 1) * np.log(stretch) + density - densities[i]
            is_better = np.log(generator.random(len(walkers))) < gain
            halves[i] = np.where(is_better[:, np.newaxis], proposal, walkers)
            densities[i] = np.where(is_better, density, densities[i])
        return halves[0], halves[1], densities[0], densities[1]

    return step


def _log_density(walkers: Array, x: Array, y: Array) -> Array:
    slopes, intercept, log_scale = walkers[:, :-2], walkers[:, -2:-1], walkers[:, -1:]
    residual = (y - slopes @ x.T - intercept) / np.exp(log_scale)
    likelihood = -(FREEDOM + 1) / 2 * np.log1p(residual**2 / FREEDOM) - log_scale
    prior = -0.5 * (walkers**2).sum(axis=1)
    return likelihood.sum(axis=1) + prior
