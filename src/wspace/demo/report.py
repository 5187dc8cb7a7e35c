# SPDX-License-Identifier: BSD-3-Clause
"""The text that the demonstration prints."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Sequence
from importlib import metadata

from wspace._sizes import format_bytes
from wspace.demo.runner import SETTLING_CYCLES, Result
from wspace.demo.summary import Row
from wspace.demo.terrain import Terrain
from wspace.demo.variants import WORKSPACE
from wspace.demo.worker import Job

_HEADINGS = (
    ("", "time"),
    ("speed-up", "[95 %]"),
    ("page", "faults"),
    ("upstream", "calls"),
    ("upstream", "bytes"),
    ("peak", "resident"),
)
_NOTES = """\
Per cycle: median time, mean counts. Speed-up: NumPy's time / this one's, round by
round. Upstream is where memory comes from: the system for a workspace; malloc, for
arrays of 1 KiB and more, for NumPy. Upstream bytes are the pages that the system had
to supply (at least: it may supply huge ones). Peak: above what the process held
before its first cycle, the cycles that settle included."""


def heading(terrain: Terrain, job: Job, cycles: int) -> str:
    """Say what is about to run, and on what."""
    z, grid = terrain.elevation, terrain.grid
    rows, columns = z.shape
    libc = " ".join(part for part in platform.libc_ver() if part) or "unknown libc"
    return "\n".join(
        [
            "Hillslope diffusion around the Jacksboro fault, Tennessee",
            f"{rows} x {columns} cells of {grid.dy:.1f} m x {grid.dx:.1f} m, "
            f"{format_bytes(z.nbytes)} an array",
            f"a cycle is {job.steps} steps of {job.dt / 1000:.1f} thousand years; "
            f"{cycles} cycles after {SETTLING_CYCLES} to settle",
            f"wspace {metadata.version('wspace')}, NumPy {metadata.version('numpy')}, "
            f"{platform.python_implementation()} {platform.python_version()}, {libc}, "
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, "
            f"pages of {resource.getpagesize() // 1024} KiB",
        ]
    )


def table(rows: Sequence[Row]) -> str:
    """Lay out the rows under their headings, with the notes that explain them."""
    cells = [[row.label, *_cells(row)] for row in rows]
    lines = [["", *names] for names in zip(*_HEADINGS, strict=True)] + cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    text.insert(len(_HEADINGS[0]), "-" * len(text[0]))
    return "\n".join([*map(str.rstrip, text), "", _NOTES])


def _cells(row: Row) -> list[str]:
    return [
        f"{1e3 * row.seconds:.2f} ms",
        f"{row.speedup:.2f} [{row.low:.2f}, {row.high:.2f}]",
        _count(row.page_faults),
        _count(row.upstream_calls),
        format_bytes(round(row.upstream_bytes)),
        format_bytes(row.peak),
    ]


def verdict(results: Sequence[Result]) -> str:
    """Say whether all last states are the same, bit for bit."""
    digests = {result.digest for result in results}
    if len(digests) == 1:
        return (
            f"values: bit-identical in all {len(results)} rows "
            f"(SHA-256 {digests.pop()[:16]})"
        )
    lines = [f"  {result.variant.label}: {result.digest[:16]}" for result in results]
    return "\n".join(["values: NOT the same in all rows (SHA-256)", *lines])


def workspace_line(results: Sequence[Result]) -> str:
    """Say what the workspace held at the end."""
    by_key = {result.variant.key: result for result in results}
    last = by_key[WORKSPACE.key].steady[-1]
    return (
        f"workspace: {last.allocations:,} allocations a cycle, high-water mark "
        f"{format_bytes(last.high_water, last.capacity)} of its block"
    )


def _count(value: float) -> str:
    """Format a mean count; only an exact zero is shown as 0."""
    return f"{value:,.0f}" if value == 0 or value >= 100 else f"{value:.3g}"
