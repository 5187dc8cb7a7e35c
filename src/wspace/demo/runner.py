# SPDX-License-Identifier: BSD-3-Clause
"""Take all variants through their cycles in turn, a worker process for each."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from wspace.demo import DemoError
from wspace.demo.diffusion import Field
from wspace.demo.variants import Variant
from wspace.demo.worker import Job, Sample

# By then the arena has learned its size and malloc its thresholds.
SETTLING_CYCLES = 5

# The same in every worker: no pools of threads, no random hashes.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a variant did: a `Sample` for each cycle, and where it ended.

    Parameters
    ----------
    variant : Variant
        The way to run.
    samples : list of Sample
        In the order of the cycles, those that settle first.
    digest : str
        SHA-256 of the bytes of the last state.
    state : Path
        File of the last state, elevation in meters.
    """

    variant: Variant
    samples: list[Sample]
    digest: str
    state: Path

    @property
    def steady(self) -> list[Sample]:
        """The samples after the first `SETTLING_CYCLES`."""
        return self.samples[SETTLING_CYCLES:]

    def load_state(self) -> Field:
        """Read the last state, elevation in meters, (rows, columns)."""
        return np.asarray(np.load(self.state), dtype=np.float64)


class Worker:
    """The process of one variant. Leaving the block ends it."""

    def __init__(self, variant: Variant, job: Job) -> None:
        self._variant = variant
        self._samples: list[Sample] = []
        command = [sys.executable, "-m", "wspace.demo.worker", variant.key]
        self._process = subprocess.Popen(
            [*fixed_layout(), *command, json.dumps(dataclasses.asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT},
            text=True,
            # Ctrl-C is for the parent, which ends the workers.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self._process.kill()
        # Closes the pipes; the worker sees the end of its input, and goes.
        self._process.communicate()

    def cycle(self) -> None:
        """Run one cycle and note its sample."""
        self._samples.append(Sample(**json.loads(self._ask("cycle"))))

    def finish(self, folder: Path) -> Result:
        """Collect what the worker did; its last state is left in `folder`."""
        state = folder / f"{self._variant.key}.npy"
        digest = self._ask(f"finish {state}")
        return Result(self._variant, self._samples, digest, state)

    def _ask(self, request: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer tells
            print(request, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer.endswith("\n"):
            status = self._process.wait()
            raise DemoError(
                f"the worker for {self._variant.label!r} ended with status {status}"
            )
        return answer.rstrip("\n")


def fixed_layout() -> list[str]:
    """Find the prefix of a command that gives each run the same addresses.

    Returns
    -------
    list of str
        Empty where addresses cannot be fixed. Then processes of identical code
        differ a little, by where their large arrays happen to lie.
    """
    if shutil.which("setarch") is None:
        return []
    prefix = ["setarch", platform.machine(), "-R"]
    trial = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if trial.returncode == 0 else []


def run(
    variants: Sequence[Variant],
    job: Job,
    *,
    cycles: int,
    folder: Path,
    progress: Callable[[], None],
) -> list[Result]:
    """Run `cycles` cycles of each variant, after those in which they settle.

    Parameters
    ----------
    variants : sequence of Variant
        The rows of the table.
    job : Job
        The same for all.
    cycles : int
        Number of measured cycles.
    folder : Path
        Where the last states are left.
    progress : callable
        Called after every cycle of every variant.

    Returns
    -------
    list of Result
        In the order of `variants`.

    Raises
    ------
    DemoError
        If a worker dies.

    Notes
    -----
    Each round runs one cycle of every variant, in an order drawn anew, so that a
    change of the machine's pace meets all of them; only times of the same round
    are compared.
    """
    order = random.Random(0)
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(Worker(v, job)) for v in variants]
        for _ in range(SETTLING_CYCLES + cycles):
            for worker in order.sample(workers, len(workers)):
                worker.cycle()
                progress()
        return [worker.finish(folder) for worker in workers]
