# SPDX-License-Identifier: BSD-3-Clause
"""Workers: fresh processes that answer calls.

Each variant of each case runs in one. malloc adapts to what its process has freed
before, so variants in one process would be measured with each other's history.

The protocol is lines of JSON: ``[function, [arguments]]``, answered with ``[result,
null]`` or ``[null, traceback]``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench._system import fixed_layout

ROOT = Path(__file__).resolve().parent.parent
NOTHING: Mapping[str, str] = MappingProxyType({})

# No pools of threads, no random hashes.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}

# What would change a variant behind its back.
_TUNING = re.compile(
    r"LD_PRELOAD|GLIBC_TUNABLES|(MALLOC|MIMALLOC|TCMALLOC)_\w+|PYTHONMALLOC"
    r"|PYTHONOPTIMIZE|NUMPY_MADVISE_HUGEPAGE|WSPACE|WSPACE_DEBUG"
)


def environment(extra: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """Return the environment of a worker: ours, less what tunes memory."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if _TUNING.fullmatch(k) is None}
    return {**kept, **_ENVIRONMENT, "PYTHONPATH": path, **extra}


class WorkerError(Exception):
    """A worker ended, or could not do what it was asked."""


class Worker:
    """A fresh process that answers calls. Leaving the block ends it."""

    def __init__(self, extra: Mapping[str, str] = NOTHING) -> None:
        # Arguments and environment lie on the stack and move it: they are the same
        # for all workers, but for what a variant sets.
        self._process = subprocess.Popen(
            [*fixed_layout(), sys.executable, "-m", "bench._serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(extra),
            text=True,
        )
        self._preload = extra.get("LD_PRELOAD")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def send(self, function: str, *arguments: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the empty answer tells
            print(json.dumps([function, arguments]), file=self._process.stdin)
            self._process.stdin.flush()

    def receive(self) -> Any:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer.endswith("\n"):
            raise WorkerError(f"a worker ended with status {self._process.wait()}")
        result, trace = json.loads(answer)
        if trace is not None:
            raise WorkerError(trace)
        return result

    def ask(self, function: str, *arguments: object) -> Any:
        self.send(function, *arguments)
        return self.receive()

    def check_preload(self) -> None:
        """The loader only warns when it cannot preload: look."""
        if self._preload is not None and not self.ask("has_mapped", self._preload):
            raise WorkerError(f"{self._preload} was not preloaded")


def has_mapped(library: str) -> bool:
    # The loader finds a bare name; the system shows where a link leads.
    path = Path(library)
    name = path.resolve().name if path.is_absolute() else path.name
    return name in Path("/proc/self/maps").read_text()


def serve(functions: Mapping[str, Callable[..., object]]) -> None:
    """Answer until the input ends. What the functions print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = [functions[name](*arguments), None]
        except Exception:
            answer = [None, traceback.format_exc().rstrip()]
        print(json.dumps(answer), file=answers, flush=True)
