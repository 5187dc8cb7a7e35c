# SPDX-License-Identifier: BSD-3-Clause
"""What the modes of a staged program trade: time, copied bytes, peak memory.

A pipeline of five stages draws a shaded relief of the landscape around the Jacksboro
fault, with the sun going round: one picture a cycle. The same program runs in each mode
of `wspace.StagedWorkspace`, each in a process of its own, in turns, and must give the
same picture to the last bit. `--write` puts the table and a picture into docs/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _pairs import page_faults
from _report import format_size

import wspace
from wspace.demo import terrain
from wspace.demo.measure import peak_resident, reset_peak

DOCS = Path(__file__).parents[1] / "docs"
MODES = [mode.value for mode in wspace.WorkspaceMode]
STAGES = ("denoise", "slopes", "shade", "contrast", "tone")
ROUNDS, CYCLES, SETTLING, SCALE = 5, 20, 4, 2

Image = np.ndarray[Any, np.dtype[np.float64]]


# ---- the pipeline: the work of each stage is a function, whose locals die with it ----


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


# ---- measuring -----------------------------------------------------------------------


def azimuth_of(cycle: int) -> float:
    return float(np.radians(315 + 15 * cycle))


def measure(mode: str, scale: int, cycles: int) -> dict[str, Any]:
    """Run the pipeline in one mode, in this process."""
    ground = terrain.refine(terrain.load(), scale)
    reset_peak()
    before = peak_resident()
    run = wspace.StagedWorkspace("relief", mode)
    digest = hashlib.sha256()
    seconds, faults = [], []
    for cycle in range(SETTLING + cycles):
        started, faulted = time.thread_time(), page_faults()
        picture = draw(run, ground, azimuth_of(cycle))
        if cycle >= SETTLING:
            seconds.append(time.thread_time() - started)
            faults.append(page_faults() - faulted)
        digest.update(picture.tobytes())
        del picture
    stats = run.stats
    return {
        "mode": mode,
        "seconds": statistics.median(seconds),
        "faults": statistics.median(faults),
        "copied": stats.copied // stats.cycles,
        "block": stats.high_water,
        "peak": peak_resident() - before,
        "stages": {name: each.high_water for name, each in stats.stages.items()},
        "digest": digest.hexdigest(),
        "shape": ground.elevation.shape,
    }


def measure_all(scale: int, cycles: int, rounds: int) -> list[dict[str, Any]]:
    """Run every mode in processes of their own, in turns; take medians."""
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for _ in range(rounds):
        for mode in MODES:
            command = [sys.executable, __file__, "--child", mode]
            command += ["--scale", str(scale), "--cycles", str(cycles)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[mode].append(json.loads(done.stdout))
    results = []
    for samples in found.values():
        result = dict(samples[0])
        for key in ("seconds", "faults", "peak"):
            result[key] = statistics.median(sample[key] for sample in samples)
        result["digests"] = {sample["digest"] for sample in samples}
        results.append(result)
    return results


# ---- telling -------------------------------------------------------------------------


def table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| mode | CPU time of a cycle | page faults | copied by `result` "
        "| high-water mark | peak of the process |",
        "|---|---|---|---|---|---|",
    ]
    for each in results:
        mark = format_size(each["block"]) if each["block"] else "-"
        lines.append(
            f"| `{each['mode']}` | {1e3 * each['seconds']:.0f} ms "
            f"| {each['faults']:,.0f} | {format_size(each['copied'])} "
            f"| {mark} | {format_size(each['peak'])} |"
        )
    return "\n".join(lines)


def write_docs(results: Sequence[dict[str, Any]], scale: int) -> None:
    page = DOCS / "modes.md"
    head, _, rest = page.read_text().partition("<!-- measured: bench_modes.py -->\n")
    _, _, tail = rest.partition("<!-- end -->\n")
    rows, columns = results[0]["shape"]
    told = (
        f"{table(results)}\n\nPictures of {rows:,} by {columns:,} cells, medians of "
        f"{ROUNDS} processes of {CYCLES} cycles each, CPython "
        f"{sys.version.split()[0]}, NumPy {np.__version__}.\n"
    )
    mark = "<!-- measured: bench_modes.py -->\n"
    page.write_text(f"{head}{mark}\n{told}\n<!-- end -->\n{tail}")
    save_picture(DOCS / "modes.png", results, scale)


COLORS = {
    "none": "#999999",
    "enabled": "#0072b2",
    "single": "#e69f00",
    "separate": "#009e73",
}


def save_picture(path: Path, results: Sequence[dict[str, Any]], scale: int) -> None:
    from matplotlib.figure import Figure

    ground = terrain.refine(terrain.load(), scale)
    picture = draw(wspace.StagedWorkspace("relief"), ground, azimuth_of(0))
    figure = Figure(figsize=(13, 8.2), layout="constrained")
    figure.suptitle("One pipeline, four modes, the same picture", size=15)
    grid = figure.add_gridspec(2, 3)
    axes = figure.add_subplot(grid[0, 0])
    axes.imshow(picture, cmap="gray")
    axes.set_title("The result of a cycle")
    axes.set_axis_off()
    for place, key, unit, title in (
        (grid[0, 1], "seconds", 1e-3, "CPU time of a cycle (ms)"),
        (grid[0, 2], "copied", 1 << 20, "Copied in a cycle (MiB)"),
        (grid[1, 2], "peak", 1 << 20, "Peak of the process, above its start (MiB)"),
    ):
        axes = figure.add_subplot(place)
        names = [each["mode"] for each in results]
        values = [each[key] / unit for each in results]
        bars = axes.bar(names, values, color=[COLORS[name] for name in names])
        axes.bar_label(bars, fmt="%.0f")
        axes.set_title(title)
    draw_stages(figure.add_subplot(grid[1, :2]), results)
    figure.savefig(path, dpi=100)


def draw_stages(axes: Any, results: Sequence[dict[str, Any]]) -> None:
    with_memory = [each for each in results if each["block"]]
    width = 0.8 / len(with_memory)
    for number, each in enumerate(with_memory):
        at = np.arange(len(STAGES)) + (number - 1) * width
        marks = [each["stages"][name] / (1 << 20) for name in STAGES]
        axes.bar(at, marks, width, label=each["mode"], color=COLORS[each["mode"]])
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_title("High-water mark of each stage, both workspaces (MiB)")
    axes.legend()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small and short")
    parser.add_argument("--write", action="store_true", help="put it into docs/")
    parser.add_argument("--scale", type=int, help="cells along a side, as a multiple")
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--child", choices=MODES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    scale = args.scale or (1 if args.quick else SCALE)
    cycles = args.cycles or (2 if args.quick else CYCLES)
    if args.child:
        print(json.dumps(measure(args.child, scale, cycles)))
        return 0
    results = measure_all(scale, cycles, 1 if args.quick else ROUNDS)
    print(table(results))
    digests = set().union(*(each["digests"] for each in results))
    print(f"\npictures are {'' if len(digests) == 1 else 'NOT '}bit-identical")
    if args.write:
        write_docs(results, scale)
    return 0 if len(digests) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
