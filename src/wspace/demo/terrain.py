# SPDX-License-Identifier: BSD-3-Clause
"""The landscape: elevation around the Jacksboro fault, Tennessee.

The data ship with matplotlib and are read from its installed files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wspace.demo import DemoError
from wspace.demo.diffusion import Field, Grid

METERS_PER_DEGREE = 111_200.0  # along a meridian

_INSTALL_HINT = "hint: pip install 'wspace[demo]'"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terrain:
    """Elevation in meters, (rows, columns), north at row 0; and its grid."""

    elevation: Field
    grid: Grid


def load() -> Terrain:
    """Read the elevation model that matplotlib ships.

    Returns
    -------
    Terrain
        344 by 403 cells, about 74 m by 93 m each.

    Raises
    ------
    DemoError
        If matplotlib is not installed, or without its sample data.
    """
    try:
        from matplotlib.cbook import get_sample_data
    except ImportError as err:
        error = DemoError(
            "the demo reads its landscape from matplotlib, which is not installed"
        )
        error.add_note(_INSTALL_HINT)
        raise error from err
    try:
        path = get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)
        with np.load(str(path)) as data:
            elevation = np.asarray(data["elevation"], dtype=np.float64)
            degrees_x, degrees_y = float(data["dx"]), float(data["dy"])
            latitude = np.radians(float(data["ymin"]))
    except FileNotFoundError as err:
        error = DemoError("this matplotlib was installed without its sample data")
        error.add_note(_INSTALL_HINT + ", in a virtual environment")
        raise error from err
    dx = METERS_PER_DEGREE * degrees_x * float(np.cos(latitude))
    dy = METERS_PER_DEGREE * degrees_y
    return Terrain(elevation=elevation, grid=Grid(dx=dx, dy=dy))


def refine(terrain: Terrain, scale: int) -> Terrain:
    """Divide each cell spacing by `scale`, with bilinear interpolation.

    Parameters
    ----------
    terrain : Terrain
        The landscape; ``scale=1`` returns it as it is.
    scale : int
        At least 1.

    Returns
    -------
    Terrain
        ``(scale * (rows - 1) + 1, scale * (columns - 1) + 1)`` cells over the same
        ground. Every cell of `terrain` is among them, unchanged.
    """
    if scale == 1:
        return terrain
    elevation = _refine_rows(_refine_rows(terrain.elevation, scale).T, scale).T
    grid = Grid(dx=terrain.grid.dx / scale, dy=terrain.grid.dy / scale)
    return Terrain(elevation=np.ascontiguousarray(elevation), grid=grid)


def _refine_rows(z: Field, scale: int) -> Field:
    weight = (np.arange(scale) / scale)[:, np.newaxis]
    between = z[:-1, np.newaxis, :] * (1.0 - weight) + z[1:, np.newaxis, :] * weight
    return np.concatenate([between.reshape(-1, z.shape[1]), z[-1:]])
