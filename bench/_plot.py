# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of a run: speeds of each case with their intervals, and memory over time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import _peers
from bench._intervals import Interval, bootstrap
from bench._result import Part, Result, Unusable

# One color for each peer in all pictures; what repeats a row has none.
COLORS = {
    _peers.DEFAULT: "#777777",
    _peers.WARMED: "#bbbbbb",
    _peers.TUNED: "#8c564b",
    _peers.JEMALLOC: "#ff7f0e",
    _peers.MIMALLOC: "#2ca02c",
    _peers.TCMALLOC: "#9467bd",
    _peers.PASSTHROUGH: "#c7c7c7",
    _peers.BUMP: "#e377c2",
    _peers.BY_HAND: "#17becf",
    _peers.TORCH: "#bcbd22",
    _peers.SCOPE: "#d62728",
    _peers.CHECKED: "#ff9896",
    _peers.HUGE: "#8b0000",
}


def draw(result: Result, folder: Path) -> dict[str, Path]:
    """Draw what can be drawn of a run; return the files by benchmark."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise Unusable("--plot needs matplotlib: pip install matplotlib") from error
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for part in result.parts:
        name = "own" if ":" in part.name else part.name
        path = folder / f"{name}.png"
        if part.name == "long_run":
            _draw_memory(part, path)
        elif any(_speeds(entry) for entry in part.report.data):
            _draw_speeds(part, path)
        else:
            continue
        paths[part.name] = path
    return paths


def _speeds(entry: Any) -> dict[str, Interval]:
    """Return how many times as fast as the first row each one is."""
    rows = entry.get("rows") if isinstance(entry, dict) else None
    if not rows or "ns" not in rows[0]:
        return {}
    base = rows[0]["ns"]
    return {
        row["variant"]: bootstrap(np.divide(base, row["ns"]))
        for row in rows
        if len(row["ns"]) == len(base)
    }


def _series(part: Part) -> Iterator[tuple[str, list[tuple[int, Interval]]]]:
    """Yield the intervals of each peer, with the place of their case."""
    found = [_speeds(entry) for entry in part.report.data]
    names: dict[str, None] = {}
    for speeds in found:
        names |= dict.fromkeys(speeds)
    for name in names:
        if "A/A" not in name:
            at = [(i, speeds[name]) for i, speeds in enumerate(found) if name in speeds]
            yield name, at


def _draw_speeds(part: Part, path: Path) -> None:
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    cases = [entry["case"] for entry in part.report.data]
    width, height = 8.0, 1.5 + 0.55 * len(cases)
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    series = list(_series(part))
    for place, (name, points) in enumerate(series):
        shift = 0.7 * (place / max(1, len(series) - 1) - 0.5)
        rows = np.array([case for case, _ in points]) + shift
        medians = np.array([interval.median for _, interval in points])
        low = medians - [interval.low for _, interval in points]
        high = [interval.high for _, interval in points] - medians
        axes.errorbar(
            medians,
            rows,
            xerr=[np.maximum(low, 0), np.maximum(high, 0)],
            fmt="D" if name == _peers.SCOPE else "o",
            markersize=6 if name == _peers.SCOPE else 3.5,
            color=COLORS.get(name),
            label=name,
            linewidth=1,
            zorder=3 if name == _peers.SCOPE else 2,
        )
    axes.axvline(1.0, color="#777777", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("times as fast as the first row, median and 95 % interval")
    axes.set_title(part.name)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_memory(part: Part, path: Path) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for entry in part.report.data:
        seen = np.array(entry["resident"]) / (1 << 20)
        axes.plot(
            np.linspace(0, 100, len(seen) + 1)[1:],
            seen,
            color=COLORS.get(entry["case"]),
            label=entry["case"],
        )
    axes.set(
        xlabel="% of the cycles", ylabel="resident above the start, MiB", ylim=(0, None)
    )
    axes.set_title(part.name)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
