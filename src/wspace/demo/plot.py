# SPDX-License-Identifier: BSD-3-Clause
"""The picture: what became of the landscape, and of the memory meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wspace.demo.diffusion import Field
from wspace.demo.runner import SETTLING_CYCLES, Result
from wspace.demo.terrain import Terrain
from wspace.demo.variants import BASELINE, WORKSPACE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIRST_CYCLES = 20
DOTS_PER_INCH = 130
_MIB = 1 << 20
_SETTLING = "cycles that settle, not in the table"
# Vermilion and blue of Okabe and Ito: told apart by color-blind eyes.
_COLORS = {BASELINE.key: "#d55e00", WORKSPACE.key: "#0072b2"}
_MARKERS = {BASELINE.key: "o", WORKSPACE.key: "s"}


def save(
    path: Path, terrain: Terrain, results: Sequence[Result], years_per_cycle: float
) -> None:
    """Draw maps of the landscape over curves of the memory, and save them.

    Parameters
    ----------
    path : Path
        Image file; the suffix decides the format.
    terrain : Terrain
        The landscape before the first cycle.
    results : sequence of Result
        Those of `BASELINE` and `WORKSPACE` are drawn.
    years_per_cycle : float
        Time that a cycle simulates, in years.
    """
    from matplotlib.figure import Figure

    by_key = {result.variant.key: result for result in results}
    pair = [by_key[BASELINE.key], by_key[WORKSPACE.key]]
    years = years_per_cycle * len(pair[1].samples)
    figure = Figure(figsize=(15, 9.4), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.35, 1), hspace=0.03)
    upper, lower = parts
    upper.suptitle("Hillslope diffusion around the Jacksboro fault, Tennessee", size=15)
    lower.suptitle("The same program with and without a workspace", size=15)
    _draw_maps(upper, terrain, pair[1].load_state(), years)
    _draw_curves(lower, pair)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _draw_maps(figure: Any, terrain: Terrain, after: Field, years: float) -> None:
    before = terrain.elevation
    low, high = float(before.min()), float(before.max())
    maps = figure.subplots(1, 3, sharex=True, sharey=True)
    _draw_relief(maps[0], before, terrain, low, high, "Today")
    _draw_relief(
        maps[1], after, terrain, low, high, f"{_age(years)} of soil creep later"
    )
    change = after - before
    # Symmetric, so that white is "no change"; the last percent would drown the rest.
    limit = float(np.percentile(np.abs(change), 99))
    image = maps[2].imshow(
        change, cmap="RdBu", vmin=-limit, vmax=limit, extent=_extent(terrain)
    )
    maps[2].set_title("Worn down (red) and filled up (blue)")
    figure.colorbar(
        image, ax=maps[2], label="Change of elevation (m)", extend="both", shrink=0.85
    )
    maps[0].set_ylabel("Distance north (km)")
    for axes in maps:
        axes.set_xlabel("Distance east (km)")


def _draw_relief(
    axes: Axes, z: Field, terrain: Terrain, low: float, high: float, title: str
) -> None:
    """Shade `z` as lit from the north-west, on a color scale from `low` to `high`."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LightSource, ListedColormap, Normalize

    # Without its blue end, which reads as water.
    colors = ListedColormap(colormaps["gist_earth"](np.linspace(0.33, 1.0, 256)))
    norm = Normalize(low, high)
    light = LightSource(azdeg=315, altdeg=45)
    grid = terrain.grid
    shaded = light.shade(
        z, colors, norm, blend_mode="soft", vert_exag=2, dx=grid.dx, dy=grid.dy
    )
    axes.imshow(shaded, extent=_extent(terrain))
    axes.set_title(title)
    axes.figure.colorbar(
        ScalarMappable(norm, colors), ax=axes, label="Elevation (m)", shrink=0.85
    )


def _draw_curves(figure: Any, pair: Sequence[Result]) -> None:
    memory, faults, times = figure.subplots(1, 3)
    for result in pair:
        samples = result.samples[:FIRST_CYCLES]
        _curve(memory, result, [s.resident / _MIB for s in samples])
        _curve(faults, result, [s.page_faults for s in samples])
        _curve(times, result, [1e3 * s.seconds for s in samples])
    blocks = [sample.capacity / _MIB for sample in pair[1].samples[:FIRST_CYCLES]]
    memory.step(
        range(1, len(blocks) + 1),
        blocks,
        where="mid",
        color=_COLORS[WORKSPACE.key],
        linestyle=":",
        label="block of the workspace",
    )
    memory.set_title("Memory in use")
    memory.set_ylabel("Peak of resident memory (MiB)")
    faults.set_title("Page faults")
    faults.set_ylabel("Page faults")
    times.set_title("Time")
    times.set_ylabel("Time (ms)")
    for axes in (memory, faults, times):
        _finish_curves(axes)
    handles, labels = memory.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _curve(axes: Axes, result: Result, values: Sequence[float]) -> None:
    key = result.variant.key
    axes.plot(
        range(1, len(values) + 1),
        values,
        color=_COLORS[key],
        marker=_MARKERS[key],
        markersize=4,
        label=result.variant.label,
        clip_on=False,  # zeros lie on the axis
    )


def _finish_curves(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.axvspan(0.5, SETTLING_CYCLES + 0.5, color="0.93", zorder=0, label=_SETTLING)
    axes.set_xlabel("Cycle")
    axes.margins(x=0.02, y=0.12)
    axes.set_xlim(left=0.5)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.88")
    axes.set_axisbelow(True)


def _extent(terrain: Terrain) -> tuple[float, float, float, float]:
    """Place the cells in kilometers from the south-west corner."""
    rows, columns = terrain.elevation.shape
    return (0, columns * terrain.grid.dx / 1e3, 0, rows * terrain.grid.dy / 1e3)


def _age(years: float) -> str:
    if years < 1e6:
        return f"{years / 1e3:.0f} thousand years"
    return f"{years / 1e6:.1f} million years"
