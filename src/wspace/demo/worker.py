# SPDX-License-Identifier: BSD-3-Clause
"""One variant in a process of its own, so that no other shapes its heap.

malloc adapts to what a process has freed before, so variants that share a process
would be measured with each other's history.

The protocol is lines: ``cycle`` runs one cycle and answers with a `Sample` as JSON;
``finish PATH`` saves the state there and answers with the digest of its bytes.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import sys
import time

import numpy as np

from wspace.demo import measure
from wspace.demo.diffusion import Field, Grid, Soil, evolve
from wspace.demo.variants import ALL, Prepared


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every worker of a run is to do, whatever its variant.

    Parameters
    ----------
    state : str
        File of the first elevation, in meters (``.npy``).
    dt : float
        Length of a step in years.
    steps : int
        Steps in a cycle.
    dx, dy : float
        Cell spacing in meters.
    """

    state: str
    dt: float
    steps: int
    dx: float
    dy: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one cycle took: bytes, unless the name says otherwise.

    `resident` is the most that was resident at once in the cycle, above what the
    process held before its first one. The last four are zero without a workspace.
    """

    seconds: float
    page_faults: int
    resident: int
    allocations: int = 0
    upstream_calls: int = 0
    capacity: int = 0
    high_water: int = 0


class Session:
    """The state of one worker: a landscape, and a way to take it a cycle further."""

    def __init__(self, key: str, job: Job) -> None:
        grid, soil = Grid(dx=job.dx, dy=job.dy), Soil()

        def program(z: Field) -> Field:
            return evolve(z, job.dt, job.steps, grid, soil)

        self._prepared: Prepared = ALL[key].prepare(program)
        self._z: Field = np.load(job.state)
        gc.freeze()
        measure.reset_peak()
        self._floor = measure.peak_resident()

    def cycle(self) -> Sample:
        """Run one cycle and measure it."""
        workspace = self._prepared.workspace
        before = workspace.stats if workspace else None
        # Empties CPython's free lists, too. np.pad fills that of tuples by a page in
        # each of the first 25 cycles or so, which would count as faults of the arrays.
        gc.collect()
        measure.reset_peak()
        faults, start = measure.page_faults(), time.perf_counter()
        self._z = self._prepared.cycle(self._z)
        seconds = time.perf_counter() - start
        faults = measure.page_faults() - faults
        sample = Sample(
            seconds=seconds,
            page_faults=faults,
            resident=measure.peak_resident() - self._floor,
        )
        if workspace is None or before is None:
            return sample
        after = workspace.stats
        return dataclasses.replace(
            sample,
            allocations=after.allocations - before.allocations,
            upstream_calls=after.upstream_calls - before.upstream_calls,
            capacity=after.capacity,
            high_water=after.last_high_water,
        )

    def finish(self, path: str) -> str:
        """Save the state to `path` and return the SHA-256 of its bytes."""
        np.save(path, self._z)
        return hashlib.sha256(np.ascontiguousarray(self._z).data).hexdigest()


def main(key: str, job: str) -> None:
    """Serve the variant `key` on standard input and output until it closes."""
    session = Session(key, Job(**json.loads(job)))
    for line in sys.stdin:
        word, _, argument = line.rstrip("\n").partition(" ")
        if word == "cycle":
            answer = json.dumps(dataclasses.asdict(session.cycle()))
        else:
            answer = session.finish(argument)
        print(answer, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
