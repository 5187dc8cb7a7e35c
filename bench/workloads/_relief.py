# SPDX-License-Identifier: BSD-3-Clause
"""A shaded relief of the landscape around the Jacksboro fault, in five stages.

The sun goes round, one picture a cycle. The work of each stage is a function, whose
locals die with it; float64 images of the terrain that ships with matplotlib.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import wspace
from wspace.demo import terrain

STAGES = ("denoise", "slopes", "shade", "contrast", "tone")

Image = np.ndarray[Any, np.dtype[np.float64]]


def padded(z: Image, width: int) -> Image:
    return np.pad(z, width, mode="edge")


def blurred(z: Image, width: int) -> Image:
    """Mean over a square, by sums along both axes."""
    size = 2 * width + 1
    total = np.cumsum(padded(z, width), axis=0)
    total = np.concatenate([total[size - 1 : size], total[size:] - total[:-size]])
    total = np.cumsum(total, axis=1)
    total = np.concatenate(
        [total[:, size - 1 : size], total[:, size:] - total[:, :-size]], axis=1
    )
    return total / size**2


def denoise(run: wspace.StagedWorkspace, z: Image) -> Image:
    smooth = blurred(blurred(z, 1), 1)
    detail = z - smooth
    weight = np.exp(-((detail / (2.0 * detail.std())) ** 2))
    with run.results():
        return smooth + weight * detail


def slopes(run: wspace.StagedWorkspace, z: Image, dx: float, dy: float) -> Any:
    p = padded(z, 1)
    ends = (np.s_[:-2], np.s_[2:])
    west, east = (p[:-2, i] + 2 * p[1:-1, i] + p[2:, i] for i in ends)
    north, south = (p[i, :-2] + 2 * p[i, 1:-1] + p[i, 2:] for i in ends)
    with run.results():
        return (east - west) / (8 * dx), (north - south) / (8 * dy)


def shade(run: wspace.StagedWorkspace, gx: Image, gy: Image, azimuth: float) -> Image:
    slope = np.arctan(2.0 * np.hypot(gx, gy))
    aspect = np.arctan2(gy, -gx)
    height = np.pi / 4
    lit = np.sin(height) * np.cos(slope)
    lit += np.cos(height) * np.sin(slope) * np.cos(azimuth - aspect)
    with run.results():
        return np.clip(lit, 0.0, 1.0)


def contrast(run: wspace.StagedWorkspace, lit: Image) -> Image:
    mean = blurred(lit, 8)
    spread = np.sqrt(np.maximum(blurred(lit * lit, 8) - mean * mean, 1e-6))
    with run.results():
        return (lit - mean) / spread


def tone(run: wspace.StagedWorkspace, lit: Image, local: Image, z: Image) -> Image:
    low, high = z.min(), z.max()
    mixed = 0.7 * lit + 0.3 * (np.tanh(local) + 1) / 2
    with run.results():
        return mixed * (0.5 + 0.5 * (z - low) / (high - low))


def draw(run: wspace.StagedWorkspace, ground: terrain.Terrain, azimuth: float) -> Image:
    """Run one cycle, and return its picture."""
    with run:
        with run.stage("denoise"):
            z = run.result(denoise(run, ground.elevation))
        with run.stage("slopes"):
            gx, gy = run.result(slopes(run, z, ground.grid.dx, ground.grid.dy))
        with run.stage("shade"):
            lit = run.result(shade(run, gx, gy, azimuth))
        with run.stage("contrast"):
            local = run.result(contrast(run, lit))
        with run.stage("tone"):
            picture = run.result(tone(run, lit, local, z))
        return wspace.detach(picture)


def azimuth_of(cycle: int) -> float:
    return float(np.radians(315 + 15 * cycle))
