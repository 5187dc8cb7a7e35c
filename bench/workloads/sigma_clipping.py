# SPDX-License-Identifier: BSD-3-Clause
"""Stack exposures of a deep field with sigma clipping.

The mean of 16 exposures of Hubble's deep field, less the pixels that are three
standard deviations from it, found anew three times, as astronomers remove the traces
of cosmic rays. The exposures are scikit-image's picture with noise and rays; a cycle
stacks one tile of them. float32: (16, 256, 256) of 4 MiB, from the code below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.workloads._aligned import aligned_empty

NEEDS: tuple[str, ...] = ("skimage",)

EXPOSURES = 16
SIDE = 256
ARRAY_BYTES = EXPOSURES * SIDE * SIDE * 4

ROUNDS = 3
KAPPA = 3.0

Stack = NDArray[np.float32]


def prepare() -> Callable[[], object]:
    tiles = itertools.cycle(_tiles())

    def step() -> object:
        stack = next(tiles)
        kept = np.ones(stack.shape, dtype=np.bool_)
        for _ in range(ROUNDS):
            count = kept.sum(axis=0, dtype=np.float32)
            mean = np.where(kept, stack, 0).sum(axis=0) / count
            deviation = stack - mean
            variance = np.where(kept, deviation**2, 0).sum(axis=0) / count
            kept = kept & (np.abs(deviation) <= KAPPA * np.sqrt(variance))
        count = kept.sum(axis=0, dtype=np.float32)
        return np.where(kept, stack, 0).sum(axis=0) / count

    return step


def by_hand() -> Callable[[], object]:
    tiles = itertools.cycle(_tiles())
    shape = (EXPOSURES, SIDE, SIDE)
    deviation, chosen = (aligned_empty(shape, np.float32) for _ in range(2))
    kept, is_near = (aligned_empty(shape, np.bool_) for _ in range(2))
    count, mean, limit = (aligned_empty(shape[1:], np.float32) for _ in range(3))

    def average(values: Stack, out: Stack) -> None:
        chosen.fill(0)
        np.copyto(chosen, values, where=kept)
        chosen.sum(axis=0, out=out)
        np.divide(out, count, out=out)

    def step() -> object:
        stack = next(tiles)
        kept.fill(True)
        for _ in range(ROUNDS):
            kept.sum(axis=0, dtype=np.float32, out=count)
            average(stack, mean)
            np.subtract(stack, mean, out=deviation)
            # `chosen` holds the squares while it is told which of them to choose.
            np.square(deviation, out=chosen)
            np.multiply(chosen, kept, out=chosen)
            chosen.sum(axis=0, out=limit)
            np.divide(limit, count, out=limit)
            np.sqrt(limit, out=limit)
            np.multiply(limit, KAPPA, out=limit)
            np.abs(deviation, out=deviation)
            np.less_equal(deviation, limit, out=is_near)
            np.logical_and(kept, is_near, out=kept)
        kept.sum(axis=0, dtype=np.float32, out=count)
        average(stack, mean)
        return mean

    return step


def _tiles() -> list[Stack]:
    from skimage.data import hubble_deep_field

    sky = hubble_deep_field().mean(axis=2).astype(np.float32)
    generator = np.random.default_rng(6)
    tiles = []
    for corner in range(0, 3 * SIDE, SIDE):
        tile = sky[corner : corner + SIDE, corner : corner + SIDE]
        stack = tile + generator.normal(0, 4, (EXPOSURES, *tile.shape))
        stack[generator.random(stack.shape) < 1e-3] += 150
        tiles.append(stack.astype(np.float32))
    return tiles
