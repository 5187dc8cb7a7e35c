# SPDX-License-Identifier: BSD-3-Clause
"""Let Gray and Scott's reaction grow patterns out of a picture.

Two chemicals that diffuse and react (Pearson, 1993), forward Euler and the five-point
Laplacian on a periodic grid, from the picture of a camera man; a cycle is four steps.
float32: all arrays (512, 512) of 1 MiB, from the code below and `numpy.pad`.

It starts again from the picture now and then: where no pattern grows, the second
chemical decays towards denormal numbers, with which arithmetic is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workloads._aligned import aligned_copy, aligned_empty

NEEDS: tuple[str, ...] = ("skimage",)

SIDE = 512
ARRAY_BYTES = SIDE * SIDE * 4

STEPS = 4
RESTART = 64  # cycles
DIFFUSIVITY_U, DIFFUSIVITY_V, FEED, KILL = 0.16, 0.08, 0.035, 0.065

Field = NDArray[np.float32]


def prepare() -> Callable[[], object]:
    start = u, v = _initial()
    cycles = 0

    def step() -> object:
        nonlocal u, v, cycles
        if cycles % RESTART == 0:
            u, v = start
        cycles += 1
        for _ in range(STEPS):
            u, v = _advance(u, v, _laplacian)
        return u, v

    return step


def by_hand() -> Callable[[], object]:
    start = _initial()
    u, v = (aligned_copy(a) for a in start)
    reaction, rate, scratch = (aligned_empty(u.shape, u.dtype) for _ in range(3))
    padded = aligned_empty((SIDE + 2, SIDE + 2), u.dtype)
    cycles = 0

    def diffuse(a: Field, diffusivity: float) -> None:
        _wrap(a, padded)
        np.add(padded[:-2, 1:-1], padded[2:, 1:-1], out=rate)
        np.add(rate, padded[1:-1, :-2], out=rate)
        np.add(rate, padded[1:-1, 2:], out=rate)
        np.multiply(a, 4, out=scratch)
        np.subtract(rate, scratch, out=rate)
        np.multiply(rate, diffusivity, out=rate)

    def advance() -> None:
        np.multiply(u, v, out=reaction)
        np.multiply(reaction, v, out=reaction)
        diffuse(u, DIFFUSIVITY_U)
        np.subtract(rate, reaction, out=rate)
        np.subtract(1, u, out=scratch)
        np.multiply(scratch, FEED, out=scratch)
        np.add(rate, scratch, out=rate)
        np.add(u, rate, out=u)
        diffuse(v, DIFFUSIVITY_V)
        np.add(rate, reaction, out=rate)
        np.multiply(v, FEED + KILL, out=scratch)
        np.subtract(rate, scratch, out=rate)
        np.add(v, rate, out=v)

    def step() -> object:
        nonlocal cycles
        if cycles % RESTART == 0:
            np.copyto(u, start[0])
            np.copyto(v, start[1])
        cycles += 1
        for _ in range(STEPS):
            advance()
        return u, v

    return step


def on_torch() -> Callable[[], object]:
    import torch

    start = u, v = tuple(torch.from_numpy(a) for a in _initial())
    cycles = 0

    def laplacian(a: Any) -> Any:
        padded = torch.nn.functional.pad(a[None], (1, 1, 1, 1), mode="circular")[0]
        around = padded[:-2, 1:-1] + padded[2:, 1:-1]
        return around + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * a

    @torch.no_grad()
    def step() -> object:
        nonlocal u, v, cycles
        if cycles % RESTART == 0:
            u, v = start
        cycles += 1
        for _ in range(STEPS):
            u, v = _advance(u, v, laplacian)
        return u.numpy(), v.numpy()

    return step


def _initial() -> tuple[Field, Field]:
    from skimage.data import camera

    darkness = 1 - camera().astype(np.float32) / 255
    return 1 - 0.5 * darkness, 0.25 * darkness


def _advance(u: Any, v: Any, laplacian: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Take one step in time, in NumPy or in PyTorch."""
    reaction = u * v * v
    rate_u = DIFFUSIVITY_U * laplacian(u) - reaction + FEED * (1 - u)
    rate_v = DIFFUSIVITY_V * laplacian(v) + reaction - (FEED + KILL) * v
    return u + rate_u, v + rate_v


def _laplacian(a: Field) -> Field:
    padded = np.pad(a, 1, mode="wrap")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return around + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * a


def _wrap(a: Field, padded: Field) -> None:
    padded[1:-1, 1:-1] = a
    padded[0, 1:-1], padded[-1, 1:-1] = a[-1], a[0]
    padded[1:-1, 0], padded[1:-1, -1] = a[:, -1], a[:, 0]
