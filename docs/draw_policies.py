# SPDX-License-Identifier: BSD-3-Clause
"""Draw the picture of docs/policies.md: memory over cycles, measured by wspace.

Usage: python docs/draw_policies.py [FILE]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import wspace

MIB = 1 << 20
OUT = Path(__file__).parent / "img" / "policies.png"

# Of Okabe and Ito: told apart by color-blind eyes.
BLOCK, SPILL, OUTSIDE, LINE = "#56b4e9", "#d55e00", "#bbbbbb", "#0072b2"
TURNS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#999999"]


@dataclass(frozen=True)
class Sample:
    """Where the bytes of one cycle were when it had most, and its block then."""

    inside: int
    spilled: int
    outside: int
    capacity: int


def measure(ws: wspace.Workspace, needs: Iterable[float]) -> list[Sample]:
    """Run a cycle for each need, in MiB, as eight arrays of an eighth of it."""
    samples = []
    for need in needs:
        with ws:
            arrays = [ws.empty(int(need * MIB / 8), np.uint8) for _ in range(8)]
            stats = ws.stats
            has_block = stats.capacity != 0
            inside = stats.used - stats.spilled if has_block else 0
            outside = stats.used - stats.spilled - inside
            samples.append(Sample(inside, stats.spilled, outside, stats.capacity))
            del arrays
    return samples


def draw_sizes(axes: Axes, title: str, samples: Sequence[Sample]) -> None:
    """Draw bars for the bytes of each cycle, and a line for the block."""
    cycles = np.arange(1, len(samples) + 1)
    floor = np.zeros(len(samples))
    for name, color in (("inside", BLOCK), ("spilled", SPILL), ("outside", OUTSIDE)):
        sizes = np.array([getattr(sample, name) for sample in samples]) / MIB
        axes.bar(cycles, sizes, 0.9, floor, color=color, linewidth=0)
        floor = floor + sizes
    capacities = [sample.capacity / MIB for sample in samples]
    axes.step(cycles, capacities, where="mid", color=LINE, linewidth=2)
    axes.set_title(title, fontsize=10, loc="left", family="monospace")
    axes.set_xlim(0.3, len(samples) + 0.7)
    axes.set_ylim(0, 1.08 * max(*floor, *capacities))
    axes.set_ylabel("MiB")


def draw_ring(axes: Axes, title: str, lives: Sequence[int]) -> None:
    """Draw which cycle's arrays each slot holds; `lives` are their lives in cycles."""
    ws = wspace.Workspace(
        "ring", reset="ring", slots=4, on_busy="skip", initial_size=MIB
    )
    held: list[tuple[int, Any]] = []
    for now, life in enumerate(lives, 1):
        with ws:
            held.append((now + life, ws.zeros(1000)))
        slots = ws.slot_stats
        for number, slot in enumerate(slots):
            if not slot.live:
                continue
            taken = slot.generation == now
            color = TURNS[(slot.generation - 1) % len(TURNS)]
            axes.bar(now, 0.8, 1.0, number - 0.4, color=color, linewidth=0)
            if taken:
                axes.text(now, number, str(now), ha="center", va="center", fontsize=8)
        held = [(until, x) for until, x in held if until > now]
    axes.set_title(title, fontsize=10, loc="left", family="monospace")
    axes.set_yticks(range(4), [f"slot {i}" for i in range(4)])
    axes.set_xlim(0.3, len(lives) + 0.7)
    axes.invert_yaxis()


def sizing_panels() -> list[tuple[str, dict[str, Any], list[float]]]:
    """Return title, configuration and needs of each panel of sizes."""
    growing = [4.0, 4, 5, 5, 8, 8, 9, 10, 13, 13, 13, 13]
    rising = [2.0, 6, 9, 5, 9, 4, 12, 9, 5, 9]
    large_now_and_then = [6.0, 6, 14, 6, 6, 6, 14, 14, 14, 14, 6, 6]
    spike = [12.0, *[3.0] * 79]
    over_time = {"learning": "over_time", "cycles_before_initialization": 3}
    return [
        ("learning='first_loop' (default)", {}, growing),
        ("learning='over_time',\ncycles_before_initialization=3", over_time, rising),
        ("max_size='10MiB'", {"max_size": "10MiB"}, large_now_and_then),
        ("spill='external'", {"spill": "external"}, large_now_and_then),
        ("trim_to='p95'", {"trim_to": "p95"}, spike),
    ]


def main(path: Path) -> None:
    """Measure, draw, and save."""
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    axes = figure.subplots(2, 3)
    for each, (title, fields, needs) in zip(axes.flat, sizing_panels(), strict=False):
        ws = wspace.Workspace("drawn", None, **fields)
        draw_sizes(each, title, measure(ws, needs))
    lives = [2, 2, 2, 2, 9, 2, 2, 2, 2, 2, 5, 2, 2, 2, 2, 2]
    draw_ring(axes.flat[5], "reset='ring', slots=4, on_busy='skip'", lives)
    for each in axes[1]:
        each.set_xlabel("cycle")
    handles = [
        axes.flat[0].bar(0, 0, color=color, label=label)
        for color, label in (
            (BLOCK, "in the block"),
            (SPILL, "spilled"),
            (OUTSIDE, "outside, while learning"),
        )
    ]
    handles += axes.flat[0].plot([], [], color=LINE, linewidth=2, label="block")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)  # of spills that persist: the point
    main(Path(sys.argv[1]) if sys.argv[1:] else OUT)
