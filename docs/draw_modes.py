# SPDX-License-Identifier: BSD-3-Clause
"""Measure the modes anew, and put table and picture into docs/modes.md.

python docs/draw_modes.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import wspace  # noqa: E402
from bench._report import format_size  # noqa: E402
from bench.suite.modes import CYCLES, ROUNDS, SCALE  # noqa: E402
from bench.workloads import _relief  # noqa: E402

PAGE = ROOT / "docs" / "modes.md"
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def measured() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "modes.json")
        command = [sys.executable, "-m", "bench", "modes", "--json", str(saved)]
        subprocess.run(command, cwd=ROOT, check=True)
        (part,) = json.loads(saved.read_text())["parts"]
    return part["report"]["data"]  # type: ignore[no-any-return]


def table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| mode | CPU time of a cycle | page faults | copied by `result` "
        "| high-water mark | peak of the process |",
        "|---|---|---|---|---|---|",
    ]
    for each in results:
        mark = format_size(each["high_water"]) if each["high_water"] else "-"
        lines.append(
            f"| `{each['case']}` | {each['ns'] / 1e6:.0f} ms "
            f"| {each['faults']:,.0f} | {format_size(each['copied'])} "
            f"| {mark} | {format_size(each['peak'])} |"
        )
    return "\n".join(lines)


def write(results: Sequence[dict[str, Any]]) -> None:
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    rows, columns = results[0]["shape"]
    told = (
        f"{table(results)}\n\nPictures of {rows:,} by {columns:,} cells, medians of "
        f"{ROUNDS} processes of {CYCLES} cycles each, CPython "
        f"{sys.version.split()[0]}, NumPy {np.__version__}.\n"
    )
    PAGE.write_text(f"{head}{BEGIN}\n{told}\n{END}{tail}")
    save_picture(PAGE.with_suffix(".png"), results)


COLORS = {
    "none": "#999999",
    "enabled": "#0072b2",
    "single": "#e69f00",
    "separate": "#009e73",
}


def save_picture(path: Path, results: Sequence[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    ground = _relief.terrain.refine(_relief.terrain.load(), SCALE)
    picture = _relief.draw(
        wspace.StagedWorkspace("relief"), ground, _relief.azimuth_of(0)
    )
    figure = Figure(figsize=(13, 8.2), layout="constrained")
    figure.suptitle("One pipeline, four modes, the same picture", size=15)
    grid = figure.add_gridspec(2, 3)
    axes = figure.add_subplot(grid[0, 0])
    axes.imshow(picture, cmap="gray")
    axes.set_title("The result of a cycle")
    axes.set_axis_off()
    for place, key, unit, title in (
        (grid[0, 1], "ns", 1e6, "CPU time of a cycle (ms)"),
        (grid[0, 2], "copied", 1 << 20, "Copied in a cycle (MiB)"),
        (grid[1, 2], "peak", 1 << 20, "Peak of the process, above its start (MiB)"),
    ):
        axes = figure.add_subplot(place)
        names = [each["case"] for each in results]
        values = [each[key] / unit for each in results]
        bars = axes.bar(names, values, color=[COLORS[name] for name in names])
        axes.bar_label(bars, fmt="%.0f")
        axes.set_title(title)
    draw_stages(figure.add_subplot(grid[1, :2]), results)
    figure.savefig(path, dpi=100)


def draw_stages(axes: Any, results: Sequence[dict[str, Any]]) -> None:
    with_memory = [each for each in results if each["high_water"]]
    width = 0.8 / len(with_memory)
    for number, each in enumerate(with_memory):
        at = np.arange(len(_relief.STAGES)) + (number - 1) * width
        marks = [each["stages"][name] / (1 << 20) for name in _relief.STAGES]
        axes.bar(at, marks, width, label=each["case"], color=COLORS[each["case"]])
    axes.set_xticks(range(len(_relief.STAGES)), _relief.STAGES)
    axes.set_title("High-water mark of each stage, both workspaces (MiB)")
    axes.legend()


if __name__ == "__main__":
    write(measured())
