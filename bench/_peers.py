# SPDX-License-Identifier: BSD-3-Clause
"""The ways to give a program memory: every malloc, handlers, by hand, and wspace.

A program is ordinary code and knows nothing of them. Its *step* is what a cycle does;
its *loop* does an operation n times in one go, all in one scope.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import wspace
from bench import _native
from bench._case import Loop, Prepared, Skip, Step, Variant, loop_of

DEFAULT, AGAIN = "default", "default again (A/A)"
WARMED, TUNED = "default, warmed", "mallopt"
JEMALLOC, MIMALLOC, TCMALLOC = "jemalloc", "mimalloc", "tcmalloc"
PASSTHROUGH, BUMP = "passthrough handler", "pure bump"
BY_HAND, TORCH = "out= by hand", "PyTorch"
SCOPE, SCOPE_AGAIN = "wspace", "wspace again (A/A)"
CHECKED, HUGE = "wspace, checked", "wspace, huge pages"

# What the bars compare with.
MALLOCS = (DEFAULT, WARMED, TUNED, JEMALLOC, MIMALLOC, TCMALLOC)

WARMING = 31 << 20  # bytes: the largest size that raises glibc's threshold


@dataclass(frozen=True)
class Program:
    """What the variants of a case run.

    Either `step` or `loop` is given; `loop` makes its arrays anew for each worker.
    `by_hand` and `checked` compute the same, bit for bit, `torch` nearly the same.
    `checked` is given an open workspace when the step begins.
    """

    step: Callable[[], Step] | None = None
    loop: Callable[[], Loop] | None = None
    by_hand: Callable[[], Step] | None = None
    by_hand_loop: Callable[[], Loop] | None = None
    checked: Callable[[wspace.Workspace], Step] | None = None
    torch: Callable[[], Step] | None = None


# ---- preloaded -----------------------------------------------------------------------

_PACKAGES = {
    JEMALLOC: ("jemalloc", "libjemalloc2"),
    MIMALLOC: ("mimalloc", "libmimalloc2.0"),
    TCMALLOC: ("tcmalloc_minimal", "libtcmalloc-minimal4"),
}


def preload(name: str) -> Mapping[str, str]:
    """Return the environment with a malloc preloaded."""
    library, package = _PACKAGES[name]
    variable = f"WSPACE_BENCH_{name.upper()}"
    found = os.environ.get(variable) or ctypes.util.find_library(library)
    if found is None:
        raise Skip(f"no lib{library}: apt install {package}, or {variable}=PATH")
    return {"LD_PRELOAD": found}


# ---- plain code under other memory ---------------------------------------------------


def _plain(program: Program) -> Prepared:
    if program.loop is not None:
        return Prepared(program.loop())
    assert program.step is not None
    step = program.step()
    return Prepared(loop_of(step), step)


def warm_malloc() -> None:
    """Free a large array, which raises glibc's thresholds."""
    np.full(WARMING // 8, 1.0)


def _warmed(program: Program) -> Prepared:
    warm_malloc()
    return _plain(program)


# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def tune_malloc() -> None:
    """Have malloc keep all memory it ever had: no mmap of large arrays, no trim."""
    libc = ctypes.CDLL(None)
    for option, value in ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1)):
        if libc.mallopt(option, value) != 1:
            raise RuntimeError(f"mallopt refuses {value} for option {option}")


def _tuned(program: Program) -> Prepared:
    tune_malloc()
    return _plain(program)


def needs_glibc() -> Mapping[str, str]:
    if platform.libc_ver()[0] != "glibc":
        raise Skip("mallopt is glibc's")
    return {}


_HANDLERS = "WSPACE_BENCH_HANDLERS"


def _with_handlers() -> Mapping[str, str]:
    return {_HANDLERS: _native.compiled("handlers")}


def _handlers() -> object:
    spec = importlib.util.spec_from_file_location("handlers", os.environ[_HANDLERS])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _passthrough(program: Program) -> Prepared:
    prepared = _plain(program)
    _handlers().install("passthrough")  # type: ignore[attr-defined]
    return prepared


def _bump(program: Program) -> Prepared:
    handlers = _handlers()
    prepared = _plain(program)
    handlers.install("bump")  # type: ignore[attr-defined]
    if prepared.cycle is None:
        return prepared
    rewind, step = handlers.rewind, prepared.cycle  # type: ignore[attr-defined]

    def cycle() -> object:
        rewind()
        return step()

    return Prepared(loop_of(cycle), cycle)


# ---- in a workspace ------------------------------------------------------------------


def _each(workspace: wspace.Workspace, step: Step) -> Prepared:
    """Open a scope around each step."""

    def cycle() -> object:
        with workspace:
            return step()

    # Without the name of the result, as in the loop of the plain step.
    def unread() -> None:
        with workspace:
            step()

    return Prepared(loop_of(unread), cycle)


def _around(workspace: wspace.Workspace, make: Callable[[], Loop]) -> Prepared:
    """Open a scope for as long as the worker lives."""
    with workspace:
        make()(2)  # the cycle in which it learns
    workspace.__enter__()
    return Prepared(make())


def _in_scope(program: Program, huge_pages: bool = False) -> Prepared:
    workspace = wspace.Workspace("bench", huge_pages=huge_pages)
    if program.loop is not None:
        return _around(workspace, program.loop)
    assert program.step is not None
    return _each(workspace, program.step())


def _checked(program: Program) -> Prepared:
    assert program.checked is not None
    workspace = wspace.Workspace("bench")
    step = program.checked(workspace)
    prepared = _each(workspace, step)

    def cycle() -> object:
        with workspace:
            return wspace.detach(step())

    return Prepared(prepared.loop, cycle)


# ---- all of them ---------------------------------------------------------------------


def _by_hand(program: Program) -> Prepared:
    if program.by_hand_loop is not None:
        return Prepared(program.by_hand_loop())
    assert program.by_hand is not None
    step = program.by_hand()
    return Prepared(loop_of(step), step)


def _torch(program: Program) -> Prepared:
    assert program.torch is not None
    step = program.torch()
    return Prepared(loop_of(step), step, is_exact=False)


def _needs_torch() -> Mapping[str, str]:
    if importlib.util.find_spec("torch") is None:
        raise Skip("no PyTorch: pip install torch")
    return {}


_ALWAYS: Sequence[tuple[str, Callable[[Program], Prepared], object]] = (
    (DEFAULT, _plain, dict),
    (AGAIN, _plain, dict),
    (WARMED, _warmed, needs_glibc),
    (TUNED, _tuned, needs_glibc),
    (JEMALLOC, _plain, functools.partial(preload, JEMALLOC)),
    (MIMALLOC, _plain, functools.partial(preload, MIMALLOC)),
    (TCMALLOC, _plain, functools.partial(preload, TCMALLOC)),
    (PASSTHROUGH, _passthrough, _with_handlers),
    (BUMP, _bump, _with_handlers),
    (SCOPE, _in_scope, dict),
    (SCOPE_AGAIN, _in_scope, dict),
    (HUGE, functools.partial(_in_scope, huge_pages=True), dict),
)


def variants(program: Program) -> list[Variant]:
    """List the variants that a program can run as; `default` is the base."""
    chosen = list(_ALWAYS)
    if program.checked is not None:
        chosen.append((CHECKED, _checked, dict))
    if program.by_hand is not None or program.by_hand_loop is not None:
        chosen.append((BY_HAND, _by_hand, dict))
    if program.torch is not None:
        chosen.append((TORCH, _torch, _needs_torch))
    return [
        Variant(name, functools.partial(prepare, program), extra)  # type: ignore[arg-type]
        for name, prepare, extra in chosen
    ]


def control(peer: str) -> tuple[str, str]:
    """Return the A/A pair whose noise is like that of a comparison with the peer.

    That of what takes page faults, or that of what takes none.
    """
    return (AGAIN, DEFAULT) if peer == DEFAULT else (SCOPE_AGAIN, SCOPE)
