# SPDX-License-Identifier: BSD-3-Clause
"""The ways to give the program memory, one row of the table each."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass

import wspace
from wspace.demo.diffusion import Field

Program = Callable[[Field], Field]

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program ready to run, and the workspace that it runs in, if any."""

    cycle: Program
    workspace: wspace.Workspace | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run the program.

    Parameters
    ----------
    key : str
        Its name for the program.
    label : str
        Its name for people.
    prepare : callable
        Takes the program, one cycle of it, and gets it ready.
    """

    key: str
    label: str
    prepare: Callable[[Program], Prepared]


def _plain(program: Program) -> Prepared:
    return Prepared(program)


def _tuned_malloc(program: Program) -> Prepared:
    # malloc keeps all memory it ever had: no mmap of large arrays, no trim of the heap.
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    return Prepared(program)


def _captured(program: Program) -> Prepared:
    workspace = wspace.Workspace("demo")

    def cycle(z: Field) -> Field:
        with workspace:
            return program(z)

    return Prepared(cycle, workspace)


def _kept(program: Program) -> Prepared:
    workspace = wspace.Workspace("demo")
    return Prepared(workspace.scoped(result="keep")(program), workspace)


def _detached(program: Program) -> Prepared:
    workspace = wspace.Workspace("demo")
    return Prepared(workspace.scoped(program), workspace)


BASELINE = Variant("numpy", "NumPy", _plain)
CONTROL = Variant("again", "NumPy again (A/A)", _plain)
TUNED = Variant("tuned", "NumPy, malloc tuned", _tuned_malloc)
WORKSPACE = Variant("workspace", "workspace", _captured)
KEPT = Variant("keep", "workspace, keep", _kept)
DETACHED = Variant("detach", "workspace, detach", _detached)

ALL = {v.key: v for v in (BASELINE, CONTROL, TUNED, WORKSPACE, KEPT, DETACHED)}


def available() -> tuple[list[Variant], list[str]]:
    """List the variants that run here, and say why others do not.

    Returns
    -------
    variants : list of Variant
        In the order of the table's rows.
    skipped : list of str
        A line for each variant left out.
    """
    if platform.libc_ver()[0] == "glibc":
        return list(ALL.values()), []
    rows = [variant for variant in ALL.values() if variant is not TUNED]
    return rows, [f"{TUNED.label}: skipped (it needs glibc)"]
