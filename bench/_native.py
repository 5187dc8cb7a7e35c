# SPDX-License-Identifier: BSD-3-Clause
"""Compile the C sources of the benchmarks, once for each run."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench._case import Skip
from bench._worker import ROOT

HERE = Path(__file__).resolve().parent


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="wspace-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def compiled(name: str) -> str:
    """Compile one of `SOURCES` to a shared library and return its path.

    Raises
    ------
    Skip
        There is no C compiler, or it failed.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise Skip("no C compiler: apt install gcc libc6-dev")
    target = _folder() / f"{name}.so"
    command = [compiler, "-std=c11", "-O3", "-g", "-shared", "-fPIC", "-D_GNU_SOURCE"]
    command += ["-DNDEBUG", "-o", str(target), *SOURCES[name](), "-ldl", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        first = next(iter(done.stderr.splitlines()), f"status {done.returncode}")
        raise Skip(f"{os.path.basename(compiler)} failed: {first}")
    return str(target)


def _count_malloc() -> Sequence[str]:
    return [str(HERE / "_count_malloc.c")]


def _handlers() -> Sequence[str]:
    python = sysconfig.get_path("include")
    return [f"-I{python}", f"-I{np.get_include()}", str(HERE / "_handlers.c")]


def _c_path() -> Sequence[str]:
    core = ROOT / "csrc"
    return [f"-I{core}", str(HERE / "_c_path.c"), *map(str, sorted(core.glob("*.c")))]


SOURCES = {
    "count_malloc": _count_malloc,
    "handlers": _handlers,
    "c_path": _c_path,
}
