# SPDX-License-Identifier: BSD-3-Clause
"""Hillslope diffusion: how soil creep wears down a landscape.

Soil moves downhill with the flux of Roering, Kirchner and Dietrich [1]_::

    q = -K grad z / (1 - (|grad z| / Sc)**2)      flux, m**2 / year
    dz/dt = -div q                                elevation, m / year

which is linear diffusion on gentle slopes and grows without bound towards the
critical slope `Sc`, where the hillside fails. The edge of the map is closed: no
soil crosses it, so the volume of the landscape is conserved to rounding.

Fluxes live on the faces between cells; time advances with the two-stage strong
stability preserving Runge-Kutta method [2]_. This is ordinary NumPy, and uses
nothing but NumPy.

References
----------
.. [1] J. J. Roering, J. W. Kirchner, W. E. Dietrich, "Evidence for nonlinear,
   diffusive sediment transport on hillslopes and implications for landscape
   morphology", Water Resources Research 35(3), 853-870, 1999.
.. [2] S. Gottlieb, C.-W. Shu, E. Tadmor, "Strong stability-preserving high-order
   time discretization methods", SIAM Review 43(1), 89-112, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

# The flux has a pole at the critical slope. Cells steeper than 95 % of it creep as
# if they were that steep: ten times as fast as gentle ground.
STEEPEST = 0.95**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Spacing of the cells in meters: `dx` along rows, `dy` down columns."""

    dx: float
    dy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Soil:
    """How readily soil creeps.

    Parameters
    ----------
    diffusivity : float
        K, in m**2 per year.
    critical_slope : float
        Sc, the gradient (rise over run) at which a hillside fails.
    """

    diffusivity: float = 0.01
    critical_slope: float = 1.25


def steepness(slope_x: Field, slope_y: Field, soil: Soil) -> Field:
    """Relate the slopes to the critical one.

    Parameters
    ----------
    slope_x : numpy.ndarray
        Gradient across the faces between columns, (rows, columns - 1).
    slope_y : numpy.ndarray
        Gradient across the faces between rows, (rows - 1, columns).
    soil : Soil
        Gives the critical slope.

    Returns
    -------
    numpy.ndarray
        ``(|grad z| / Sc)**2`` at the cell centers, (rows, columns), at most
        ``STEEPEST``.
    """
    across = np.pad(slope_x, ((0, 0), (1, 1)))
    down = np.pad(slope_y, ((1, 1), (0, 0)))
    center_x = 0.5 * (across[:, 1:] + across[:, :-1])
    center_y = 0.5 * (down[1:, :] + down[:-1, :])
    ratio = (center_x**2 + center_y**2) / soil.critical_slope**2
    return np.minimum(ratio, STEEPEST)


def rate_of_change(z: Field, grid: Grid, soil: Soil) -> Field:
    """Find how fast each cell rises (or, where negative, wears down).

    Parameters
    ----------
    z : numpy.ndarray
        Elevation in meters, (rows, columns).
    grid : Grid
        Cell spacing.
    soil : Soil
        Material.

    Returns
    -------
    numpy.ndarray
        dz/dt in meters per year, (rows, columns).
    """
    slope_x = np.diff(z, axis=1) / grid.dx
    slope_y = np.diff(z, axis=0) / grid.dy
    diffusivity = soil.diffusivity / (1.0 - steepness(slope_x, slope_y, soil))

    diffusivity_x = 0.5 * (diffusivity[:, 1:] + diffusivity[:, :-1])
    diffusivity_y = 0.5 * (diffusivity[1:, :] + diffusivity[:-1, :])
    # The zeros that pad the fluxes are the closed edge of the map.
    flux_x = np.pad(-diffusivity_x * slope_x, ((0, 0), (1, 1)))
    flux_y = np.pad(-diffusivity_y * slope_y, ((1, 1), (0, 0)))
    return -(np.diff(flux_x, axis=1) / grid.dx + np.diff(flux_y, axis=0) / grid.dy)


def step(z: Field, dt: float, grid: Grid, soil: Soil) -> Field:
    """Advance the landscape by one step in time.

    Parameters
    ----------
    z : numpy.ndarray
        Elevation in meters, (rows, columns). It is not changed.
    dt : float
        Length of the step in years, at most ``longest_step(z, grid, soil)``.
    grid : Grid
        Cell spacing.
    soil : Soil
        Material.

    Returns
    -------
    numpy.ndarray
        Elevation after `dt` years, in meters, (rows, columns).
    """
    first = z + dt * rate_of_change(z, grid, soil)
    second = first + dt * rate_of_change(first, grid, soil)
    return 0.5 * (z + second)


def evolve(z: Field, dt: float, steps: int, grid: Grid, soil: Soil) -> Field:
    """Advance the landscape by `steps` steps of `dt` years each.

    Parameters
    ----------
    z : numpy.ndarray
        Elevation in meters, (rows, columns). It is not changed.
    dt : float
        Length of a step in years, at most ``longest_step(z, grid, soil)``.
    steps : int
        Number of steps.
    grid : Grid
        Cell spacing.
    soil : Soil
        Material.

    Returns
    -------
    numpy.ndarray
        Elevation after ``steps * dt`` years, in meters, (rows, columns).
    """
    for _ in range(steps):
        z = step(z, dt, grid, soil)
    return z


def longest_step(z: Field, grid: Grid, soil: Soil) -> float:
    """Find the stability limit of `step`.

    Parameters
    ----------
    z : numpy.ndarray
        Elevation in meters, (rows, columns).
    grid : Grid
        Cell spacing.
    soil : Soil
        Material.

    Returns
    -------
    float
        The longest stable step in years,
        ``1 / (2 D (1 / dx**2 + 1 / dy**2))``.

    Notes
    -----
    D is the largest response of the flux to the slope, ``dq/dS =
    K (1 + r) / (1 - r)**2`` with ``r = (S / Sc)**2``, on the steepest cell of `z`.
    It is never less than ``K / (1 - r)``, the diffusivity of a cell, for which the
    limit makes each new elevation a weighted mean of old ones: no step creates a
    new summit or pit. Diffusion does not steepen a landscape, so the limit of the
    first state serves for the whole run.
    """
    slope_x = np.diff(z, axis=1) / grid.dx
    slope_y = np.diff(z, axis=0) / grid.dy
    steepest = float(steepness(slope_x, slope_y, soil).max())
    response = soil.diffusivity * (1.0 + steepest) / (1.0 - steepest) ** 2
    return 1.0 / (2.0 * response * (1.0 / grid.dx**2 + 1.0 / grid.dy**2))
