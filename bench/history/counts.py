# SPDX-License-Identifier: BSD-3-Clause
"""Counts for asv: the same on any day, so that a change is a change of the code.

asv imports this file alone, from each commit's own environment.
"""

from __future__ import annotations

import resource

import numpy as np

import wspace

STEADY = 20
SIZES = [1 << shift for shift in range(10, 21)]


def cycle() -> None:
    arrays = [np.full(size, 1, "u1") for size in SIZES]
    for array in arrays:
        array + 1


def settled() -> wspace.Workspace:
    workspace = wspace.Workspace("history")
    for _ in range(5):
        with workspace:
            cycle()
    return workspace


def track_page_faults() -> int:
    """Count those of twenty steady cycles."""
    workspace = settled()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEADY):
        with workspace:
            cycle()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def track_upstream_calls() -> int:
    """Count those of twenty steady cycles."""
    workspace = settled()
    before = workspace.stats.upstream_calls
    for _ in range(STEADY):
        with workspace:
            cycle()
    return workspace.stats.upstream_calls - before


def track_high_water() -> float:
    """Return bytes for each byte that is alive."""
    live = sum(SIZES) + SIZES[-1]
    return settled().stats.high_water / live


def track_resident() -> int:
    """Return the bytes that a settled workspace holds in memory."""
    return settled().stats.resident


track_page_faults.unit = track_upstream_calls.unit = "count"  # type: ignore[attr-defined]
track_high_water.unit = "ratio"  # type: ignore[attr-defined]
track_resident.unit = "bytes"  # type: ignore[attr-defined]
