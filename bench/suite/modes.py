# SPDX-License-Identifier: BSD-3-Clause
"""What the modes of a staged program trade: time, copied bytes, peak memory.

A pipeline of five stages draws a shaded relief with the sun going round. The same
program runs in each mode of `wspace.StagedWorkspace`, each in processes of its own, in
turns. Claim: the pictures are the same, bit for bit. Needs matplotlib, for its terrain.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from typing import Any

import wspace
from bench._case import Count
from bench._report import Report, Verdict, format_count, format_ns, format_size
from bench._runner import absent, alone
from bench._system import page_faults, peak_resident, reset_peak

MODES = [mode.value for mode in wspace.WorkspaceMode]
ROUNDS, CYCLES, SCALE = 5, 20, 2
QUICK_ROUNDS, QUICK_CYCLES, QUICK_SCALE = 1, 2, 1
SETTLING = 4


def run(mode: str, scale: int, cycles: int) -> dict[str, Any]:
    """Run the pipeline in one mode, in this process."""
    from bench.workloads import _relief

    ground = _relief.terrain.refine(_relief.terrain.load(), scale)
    reset_peak()
    before = peak_resident()
    staged = wspace.StagedWorkspace("relief", mode)
    digest = hashlib.sha256()
    ns, faults = [], []
    for cycle in range(SETTLING + cycles):
        started, faulted = time.thread_time_ns(), page_faults()
        picture = _relief.draw(staged, ground, _relief.azimuth_of(cycle))
        if cycle >= SETTLING:
            ns.append(time.thread_time_ns() - started)
            faults.append(page_faults() - faulted)
        digest.update(picture.tobytes())
        del picture
    stats = staged.stats
    return {
        "ns": statistics.median(ns),
        "faults": statistics.median(faults),
        "copied": stats.copied // stats.cycles,
        "high_water": stats.high_water,
        "peak": peak_resident() - before,
        "stages": {name: each.high_water for name, each in stats.stages.items()},
        "digest": digest.hexdigest(),
        "shape": ground.elevation.shape,
    }


def measure(quick: bool) -> Report:
    report = Report(["mode", "time", "faults", "copied", "high-water mark", "peak"])
    if reason := absent(["matplotlib"]):
        report.rows.append(("all", f"skipped ({reason})"))
        return report
    rounds, scale, cycles = (
        (QUICK_ROUNDS, QUICK_SCALE, QUICK_CYCLES) if quick else (ROUNDS, SCALE, CYCLES)
    )
    found: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for _ in range(rounds):
        for mode in MODES:
            found[mode].append(alone("modes", "run", mode, scale, cycles))
    for mode, samples in found.items():
        result = dict(samples[0], case=mode)
        for key in ("ns", "faults", "peak"):
            result[key] = statistics.median(sample[key] for sample in samples)
        report.rows.append(
            (
                mode,
                format_ns(result["ns"]),
                format_count(result["faults"]),
                format_size(result["copied"]),
                format_size(result["high_water"]) if result["high_water"] else "-",
                format_size(result["peak"]),
            )
        )
        report.data.append(result)
    digests = {sample["digest"] for samples in found.values() for sample in samples}
    numbers = f"{len(digests)} different of {rounds * len(MODES)} runs"
    claim = "all modes draw the same pictures, bit for bit"
    report.verdicts.append(Verdict(claim, len(digests) == 1, numbers))
    report.notes.append("time, faults, copied: of a cycle; medians of the processes")
    return report


BENCHMARK = Count("modes", __doc__, measure, {"run": run})
