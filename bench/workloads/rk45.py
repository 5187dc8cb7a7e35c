# SPDX-License-Identifier: BSD-3-Clause
"""Integrate an advection-diffusion-reaction equation with SciPy's RK45.

The method of lines: central differences in space on a periodic grid, and
`scipy.integrate.solve_ivp` (Dormand and Prince, 1980) in time, for::

    du/dt = D laplace(u) - c . grad(u) + r u (1 - u)      (Fisher, 1937, in a wind)

from the picture of a camera man. A cycle integrates over the same span of time from
the same picture. float64: state and temporaries (256, 256) of 0.5 MiB, and SciPy's
table of stages, seven times that. The arrays of the right-hand side come from the
code below, the others from the library, unmodified.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NEEDS: tuple[str, ...] = ("scipy", "skimage")

SIDE = 256
ARRAY_BYTES = SIDE * SIDE * 8

# Lengths in cells, so that the spacing is 1.
DIFFUSIVITY, WIND_X, WIND_Y, GROWTH = 0.2, 0.6, 0.3, 0.1
SPAN = 3.0

Field = NDArray[np.float64]


def prepare() -> Callable[[], object]:
    from scipy.integrate import solve_ivp
    from skimage.data import camera

    initial = camera()[::2, ::2].astype(np.float64).ravel() / 255

    def step() -> object:
        solution = solve_ivp(
            _rate_of_change, (0, SPAN), initial, rtol=1e-3, atol=1e-5, t_eval=[SPAN]
        )
        # The solver and its functions refer to each other: the arrays of a hundred
        # solvers would wait for the collector, whatever the allocator.
        gc.collect(1)
        return solution.y

    return step


def _rate_of_change(t: float, state: Field) -> Field:
    u = state.reshape(SIDE, SIDE)
    north, south = np.roll(u, 1, axis=0), np.roll(u, -1, axis=0)
    west, east = np.roll(u, 1, axis=1), np.roll(u, -1, axis=1)
    diffusion = DIFFUSIVITY * (north + south + west + east - 4 * u)
    advection = WIND_X * (east - west) / 2 + WIND_Y * (south - north) / 2
    return (diffusion - advection + GROWTH * u * (1 - u)).ravel()
