# SPDX-License-Identifier: BSD-3-Clause
"""``python -m wspace demo``: arguments in, table and picture out."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wspace.demo import plot, report, runner, variants
from wspace.demo.diffusion import Soil, longest_step
from wspace.demo.progress import Progress
from wspace.demo.runner import Result
from wspace.demo.summary import summarize
from wspace.demo.terrain import Terrain, load, refine
from wspace.demo.worker import Job

SUMMARY = "run a real program with and without a workspace, side by side"
DESCRIPTION = """\
Run hillslope diffusion on the Jacksboro fault data that ship with matplotlib, as
ordinary NumPy code, with and without a workspace, side by side: a process for each
way, a cycle of each in turn. Print time, page faults, requests for memory and peak
memory per cycle, and whether the values are the same, bit for bit."""
EPILOG = """\
examples:
  python -m wspace demo
  python -m wspace demo --plot demo.png
  python -m wspace demo --scale 2 --cycles 20

exit status: 0 if all values are the same, 1 if not or if the demonstration could
not run, 2 if the arguments are wrong. It needs matplotlib: pip install 'wspace[demo]'
"""
STEPS_PER_CYCLE = 5
STEP_YEARS = 20_000.0
SAFETY = 0.9  # of the stability limit, where it is shorter than STEP_YEARS
MAX_SCALE = 12  # arrays of about 150 MiB


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--cycles",
        type=_whole_number(1, 100_000),
        default=60,
        metavar="N",
        help=f"cycles to measure, after {runner.SETTLING_CYCLES} to settle "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--scale",
        type=_whole_number(1, MAX_SCALE),
        default=1,
        metavar="N",
        help="refine the grid N times in each direction: arrays of about N * N MiB, "
        f"N <= {MAX_SCALE} (default: %(default)s)",
    )
    parser.add_argument(
        "--plot",
        type=_picture,
        metavar="FILE.png",
        help="save a picture of the landscape, and of the memory in use over the "
        f"first {plot.FIRST_CYCLES} cycles",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run the demonstration.

    Parameters
    ----------
    arguments : argparse.Namespace
        As declared by `add_to`.

    Returns
    -------
    int
        Exit status: 0 if all values are the same, else 1.

    Raises
    ------
    DemoError
        If it could not run.
    """
    terrain = refine(load(), arguments.scale)
    with tempfile.TemporaryDirectory(prefix="wspace-demo-") as name:
        folder = Path(name)
        job = _make_job(terrain, folder)
        print(report.heading(terrain, job, arguments.cycles), end="\n\n", flush=True)
        results = _run(job, arguments.cycles, folder)
        if arguments.plot is not None:
            plot.save(arguments.plot, terrain, results, job.steps * job.dt)
            print(f"picture: {arguments.plot}")
    return 0 if len({result.digest for result in results}) == 1 else 1


def _make_job(terrain: Terrain, folder: Path) -> Job:
    state = folder / "first.npy"
    np.save(state, terrain.elevation)
    limit = longest_step(terrain.elevation, terrain.grid, Soil())
    return Job(
        state=str(state),
        dt=min(STEP_YEARS, SAFETY * limit),
        steps=STEPS_PER_CYCLE,
        dx=terrain.grid.dx,
        dy=terrain.grid.dy,
    )


def _run(job: Job, cycles: int, folder: Path) -> list[Result]:
    rows, skipped = variants.available()
    total = len(rows) * (runner.SETTLING_CYCLES + cycles)
    with Progress(total, sys.stderr) as progress:
        results = runner.run(
            rows, job, cycles=cycles, folder=folder, progress=progress.advance
        )
    print(report.table(summarize(results)), end="\n\n")
    print(*skipped, report.workspace_line(results), report.verdict(results), sep="\n")
    return results


def _picture(text: str) -> Path:
    """Refuse a picture that cannot be saved, before the work and not after it."""
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"must be a PNG file, got {text!r}")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write to {text!r}")
    return path


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low:,} to {high:,}, got {text!r}"
            )
        return number

    return convert
