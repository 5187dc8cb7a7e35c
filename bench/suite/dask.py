# SPDX-License-Identifier: BSD-3-Clause
"""Tasks in a real Dask worker process, with Dask's defaults.

Dask starts its worker processes with ``MALLOC_TRIM_THRESHOLD_=65536``. With it set,
glibc does not raise its thresholds any more: each array of 128 KiB and more is mapped
anew, and the top of the heap given back, so that all of it is faulted in again. Five
programs of *workloads*, of the kinds that Dask is used for, run as tasks in two such
processes, one with a workspace, in an order drawn anew in each round. Claim: at least
1.5 times as fast in the geometric mean. Needs distributed.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
from typing import Any

import numpy as np

from bench._case import Count
from bench._intervals import bootstrap, geometric_mean
from bench._report import Report, Verdict, format_count, format_ns
from bench._runner import absent
from bench._worker import ROOT

PROGRAMS = ("ensemble_sampler", "autograd_mlp", "digits_mlp", "mfcc", "gray_scott")
LEAST = 1.5
ROUNDS, QUICK_ROUNDS = 9, 2
CYCLES = 10


def cycles(name: str, in_workspace: bool, count: int) -> dict[str, float]:
    """Run in the worker: milliseconds of CPU and page faults of a cycle."""
    import time

    import wspace
    from bench._system import page_faults

    step = importlib.import_module(f"bench.workloads.{name}").prepare()
    workspace = wspace.Workspace("task")
    scope = workspace if in_workspace else contextlib.nullcontext()

    def cycle() -> None:
        with scope:
            step()

    for _ in range(3):
        cycle()
    faults, start = page_faults(), time.thread_time_ns()
    for _ in range(count):
        cycle()
    ns = (time.thread_time_ns() - start) / count
    found = {"ns": ns, "faults": (page_faults() - faults) / count}
    workspace.close()
    return found


def threshold() -> str | None:
    """Run in the worker."""
    import os

    return os.environ.get("MALLOC_TRIM_THRESHOLD_")


def needs() -> list[str]:
    names = {"distributed"}
    for name in PROGRAMS:
        names |= set(importlib.import_module(f"bench.workloads.{name}").NEEDS)
    return sorted(names)


def measure(quick: bool) -> Report:
    report = Report(
        ["program", "without", "faults", "in a workspace", "faults", "times as fast"]
    )
    if reason := absent(needs()):
        report.rows.append(("all", f"skipped ({reason})"))
        return report
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        clients = {
            inside: stack.enter_context(
                Client(stack.enter_context(LocalCluster(**_CLUSTER)))
            )
            for inside in (False, True)
        }
        for client in clients.values():
            found = client.submit(threshold, pure=False).result()
            if found != "65536":
                report.notes.append(
                    f"not Dask's default: MALLOC_TRIM_THRESHOLD_={found}"
                )
        for name in PROGRAMS:
            _measure_one(report, clients, name, QUICK_ROUNDS if quick else ROUNDS)
    means = [row["ratio"] for row in report.data]
    mean = geometric_mean(means)
    numbers = f"{mean:.3f} of {len(means)} rows, at least {LEAST}"
    claim = "geometric mean in a Dask worker with its defaults"
    verdict = Verdict(claim, mean >= LEAST, numbers, "geometric mean", "default")
    report.verdicts.append(verdict)
    return report


# Added to Dask's own environment, so that the worker finds the programs.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONHASHSEED": "0",
}
_CLUSTER = {
    "n_workers": 1,
    "threads_per_worker": 1,
    "processes": True,
    "dashboard_address": None,
    "silence_logs": logging.ERROR,
    "env": _ENVIRONMENT,
}


def _measure_one(
    report: Report, clients: dict[bool, Any], name: str, rounds: int
) -> None:
    order = random.Random(name)
    rows: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for inside in order.sample([False, True], 2):
            task = clients[inside].submit(cycles, name, inside, CYCLES, pure=False)
            rows[inside].append(task.result())
    plain, ours = ([row["ns"] for row in rows[inside]] for inside in (False, True))
    ratio = bootstrap(np.divide(plain, ours))
    cells = []
    for inside in rows:
        cells.append(format_ns(float(np.median([r["ns"] for r in rows[inside]]))))
        faults = float(np.mean([row["faults"] for row in rows[inside]]))
        cells.append(format_count(faults))
    report.rows.append((name.replace("_", "-"), *cells, str(ratio)))
    report.data.append({"case": name, "ratio": ratio.median, "rows": [*rows.values()]})


BENCHMARK = Count("dask", __doc__, measure)
