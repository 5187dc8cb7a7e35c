# SPDX-License-Identifier: BSD-3-Clause
"""Chains of elementwise operations with named temporaries, a scope around each.

Claim: twelve operations on 1 MiB arrays are at least 2.5 times as fast as with NumPy's
default in a fresh process, and all chains are not slower than under any malloc. All
results have names and are alive at the end. Where four of the twelve have none
("8 names"), NumPy computes in place instead, and there is less memory to save. The
result is the same, bit for bit, in all rows. The operands are made before, by the
malloc of the row; where it says *checked*, the first result of each cycle is a checked
array, and so are all that are computed from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

import wspace
from bench import _peers
from bench._case import Benchmark, Case, Outcome, Step
from bench._peers import DEFAULT, MALLOCS, SCOPE
from bench._report import Verdict, format_size
from bench._verdicts import at_least, not_slower
from bench.workloads._aligned import aligned_empty

CLAIMED = 1 << 20
Chain = Callable[..., Any]  # of NumPy or PyTorch, x, y, and where t1 goes


def operands(size: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(0.0, 1.0, size // 8)
    return x, np.flip(x) + 0.5


def twelve_names(xp: ModuleType, x: Any, y: Any, first: Any = None) -> Any:
    t1 = x + y if first is None else xp.add(x, y, out=first)
    t2 = t1 * x
    t3 = t2 - y
    t4 = xp.maximum(t1, t3)
    t5 = t4 * t2
    t6 = t5 + t3
    t7 = t6 - x
    t8 = xp.abs(t7)
    t9 = t8 * t4
    t10 = t9 + t1
    t11 = t10 - t2
    t12 = xp.minimum(t11, t8)
    return t12


def eight_names(xp: ModuleType, x: Any, y: Any, first: Any = None) -> Any:
    t1 = x + y if first is None else xp.add(x, y, out=first)
    t2 = t1 * x
    t3 = t2 - y
    t4 = xp.maximum(t1, t3)
    t5 = t4 * t2 + t3
    t6 = xp.abs(t5 - x)
    t7 = t6 * t4 + t1
    t8 = xp.minimum(t7 - t2, t6)
    return t8


def four_names(xp: ModuleType, x: Any, y: Any, first: Any = None) -> Any:
    t1 = x + y if first is None else xp.add(x, y, out=first)
    t2 = t1 * x
    t3 = t2 - y
    t4 = xp.maximum(t1, t3)
    return t4


def shifted(array: np.ndarray, offset: int) -> np.ndarray:
    """Copy an array to `offset` bytes after a multiple of 64."""
    room = aligned_empty((array.size + 8,), array.dtype)
    first = offset // array.itemsize
    moved = room[first : first + array.size]
    moved[:] = array
    return moved


class ByHand:
    """The same results in buffers of one's own, as many as there are names."""

    def __init__(self, x: np.ndarray, y: np.ndarray, names: int) -> None:
        self._operands = x, y
        self._names = names
        self._buffers = [aligned_empty(x.shape, x.dtype) for _ in range(names)]

    def shift(self, offset: int) -> None:
        """Move the buffers to `offset` bytes after a multiple of 64."""
        self._buffers = [shifted(buffer, offset) for buffer in self._buffers]

    def __call__(self) -> np.ndarray:
        x, y = self._operands
        if self._names == 4:
            return self._four(x, y)
        return self._twelve(x, y)

    def _four(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        t1, t2, t3, t4 = self._buffers[:4]
        np.add(x, y, out=t1)
        np.multiply(t1, x, out=t2)
        np.subtract(t2, y, out=t3)
        return np.maximum(t1, t3, out=t4)

    def _twelve(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        self._four(x, y)
        t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12 = self._buffers
        np.multiply(t4, t2, out=t5)
        np.add(t5, t3, out=t6)
        np.subtract(t6, x, out=t7)
        np.abs(t7, out=t8)
        np.multiply(t8, t4, out=t9)
        np.add(t9, t1, out=t10)
        np.subtract(t10, t2, out=t11)
        return np.minimum(t11, t8, out=t12)


def plain(chain: Chain, size: int) -> Step:
    return partial(chain, np, *operands(size))


def by_hand(names: int, size: int) -> Step:
    return ByHand(*operands(size), names)


def checked(chain: Chain, size: int, workspace: wspace.Workspace) -> Step:
    x, y = operands(size)

    def step() -> np.ndarray:
        # What is computed with a checked array is one.
        return chain(np, x, y, workspace.empty(x.shape, x.dtype))

    return step


def on_torch(chain: Chain, size: int) -> Step:
    import torch

    torch.set_num_threads(1)
    return partial(chain, torch, *map(torch.from_numpy, operands(size)))


CHAINS: dict[str, tuple[Chain, int]] = {
    "12": (twelve_names, 12),
    "12, 8 names": (eight_names, 8),
    "4": (four_names, 4),
}


def judge(outcome: Outcome, kind: str, size: int) -> Sequence[Verdict]:
    name = outcome.case
    verdicts = []
    if size == CLAIMED and kind != "4":
        claim = f"{name} is at least 2.5 times as fast as the fresh default"
        verdicts.append(at_least(outcome, claim, SCOPE, DEFAULT, 2.5))
    for peer in MALLOCS:
        if outcome.has(peer, *_peers.control(peer)):
            claim = f"{name} is not slower than {peer}"
            pair = _peers.control(peer)
            verdicts.append(not_slower(outcome, claim, SCOPE, peer, pair))
    return verdicts


def case(kind: str, size: int) -> Case:
    chain, names = CHAINS[kind]
    program = _peers.Program(
        step=partial(plain, chain, size),
        by_hand=partial(by_hand, names, size) if names != 8 else None,
        checked=partial(checked, chain, size),
        torch=partial(on_torch, chain, size) if names != 8 else None,
    )
    return Case(
        f"{kind} of {format_size(size)}",
        _peers.variants(program),
        partial(judge, kind=kind, size=size),
    )


BENCHMARK = Benchmark(
    "chain",
    __doc__,
    [case("4", size) for size in (1 << 14, 1 << 16, 1 << 18, CLAIMED, 1 << 23)]
    + [case("12", size) for size in (1 << 14, 1 << 16, 1 << 18, CLAIMED, 1 << 23)]
    + [case("12, 8 names", CLAIMED)],
)
