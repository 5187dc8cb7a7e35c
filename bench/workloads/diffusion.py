# SPDX-License-Identifier: BSD-3-Clause
"""Wear down the hills around the Jacksboro fault by soil creep.

Nonlinear hillslope diffusion (Roering, Kirchner and Dietrich, 1999), the program of
``python -m wspace demo``, on the elevation model that ships with matplotlib. A cycle
is one step of the two-stage Runge-Kutta method. float64: all arrays (344, 403) of
1.1 MiB, or a row or column less. They come from `wspace.demo.diffusion`, which knows
nothing of workspaces.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.workloads._aligned import aligned_copy, aligned_empty
from wspace.demo.diffusion import STEEPEST, Field, Grid, Soil, longest_step
from wspace.demo.diffusion import step as advance
from wspace.demo.terrain import Terrain, load, refine

NEEDS: tuple[str, ...] = ("matplotlib",)

SCALE = 1
ARRAY_BYTES = 344 * 403 * 8

SAFETY = 0.9  # of the stability limit


def prepare() -> Callable[[], object]:
    terrain, soil, dt = _problem()
    z = terrain.elevation

    def step() -> object:
        nonlocal z
        z = advance(z, dt, terrain.grid, soil)
        return z

    return step


def by_hand() -> Callable[[], object]:
    terrain, soil, dt = _problem()
    z = aligned_copy(terrain.elevation)
    first, second = aligned_empty(z.shape, z.dtype), aligned_empty(z.shape, z.dtype)
    rate_of_change = _Rate(z.shape, terrain.grid, soil)

    def step() -> object:
        np.multiply(rate_of_change(z), dt, out=first)
        np.add(z, first, out=first)
        np.multiply(rate_of_change(first), dt, out=second)
        np.add(first, second, out=second)
        np.add(z, second, out=z)
        np.multiply(z, 0.5, out=z)
        return z

    return step


def _problem() -> tuple[Terrain, Soil, float]:
    terrain, soil = refine(load(), SCALE), Soil()
    return terrain, soil, SAFETY * longest_step(terrain.elevation, terrain.grid, soil)


class _Rate:
    """`wspace.demo.diffusion.rate_of_change` with all of its arrays allocated once."""

    def __init__(self, shape: tuple[int, ...], grid: Grid, soil: Soil) -> None:
        rows, columns = shape
        self._grid, self._soil = grid, soil
        self._slope_x = aligned_empty((rows, columns - 1), np.float64)
        self._slope_y = aligned_empty((rows - 1, columns), np.float64)
        # The outermost columns and rows are the closed edge: they stay zero.
        self._across = aligned_copy(np.zeros((rows, columns + 1)))
        self._down = aligned_copy(np.zeros((rows + 1, columns)))
        self._center = aligned_empty(shape, np.float64)
        self._diffusivity = aligned_empty(shape, np.float64)
        self._mean_x = aligned_empty((rows, columns - 1), np.float64)
        self._mean_y = aligned_empty((rows - 1, columns), np.float64)

    def __call__(self, z: Field) -> Field:
        slope_x, slope_y, grid = self._slope_x, self._slope_y, self._grid
        np.subtract(z[:, 1:], z[:, :-1], out=slope_x)
        np.divide(slope_x, grid.dx, out=slope_x)
        np.subtract(z[1:], z[:-1], out=slope_y)
        np.divide(slope_y, grid.dy, out=slope_y)
        self._find_diffusivity()
        return self._diverge()

    def _find_diffusivity(self) -> None:
        across, down, center = self._across, self._down, self._center
        ratio, soil = self._diffusivity, self._soil
        across[:, 1:-1] = self._slope_x
        down[1:-1] = self._slope_y
        np.add(across[:, 1:], across[:, :-1], out=ratio)
        np.multiply(ratio, 0.5, out=ratio)
        np.square(ratio, out=ratio)
        np.add(down[1:], down[:-1], out=center)
        np.multiply(center, 0.5, out=center)
        np.square(center, out=center)
        np.add(ratio, center, out=ratio)
        np.divide(ratio, soil.critical_slope**2, out=ratio)
        np.minimum(ratio, STEEPEST, out=ratio)
        np.subtract(1.0, ratio, out=ratio)
        np.divide(soil.diffusivity, ratio, out=ratio)

    def _diverge(self) -> Field:
        across, down, center = self._across, self._down, self._center
        diffusivity, mean_x, mean_y = self._diffusivity, self._mean_x, self._mean_y
        np.add(diffusivity[:, 1:], diffusivity[:, :-1], out=mean_x)
        np.multiply(mean_x, 0.5, out=mean_x)
        np.negative(mean_x, out=mean_x)
        np.multiply(mean_x, self._slope_x, out=across[:, 1:-1])
        np.add(diffusivity[1:], diffusivity[:-1], out=mean_y)
        np.multiply(mean_y, 0.5, out=mean_y)
        np.negative(mean_y, out=mean_y)
        np.multiply(mean_y, self._slope_y, out=down[1:-1])
        np.subtract(across[:, 1:], across[:, :-1], out=center)
        np.divide(center, self._grid.dx, out=center)
        # The diffusivity has done its work; its array serves for the other flux.
        np.subtract(down[1:], down[:-1], out=diffusivity)
        np.divide(diffusivity, self._grid.dy, out=diffusivity)
        np.add(center, diffusivity, out=center)
        return np.negative(center, out=center)
