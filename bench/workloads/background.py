# SPDX-License-Identifier: BSD-3-Clause
"""Find what moves in a film: background subtraction.

A running mean and variance of each pixel (Wren et al., 1997, with one Gaussian); what
is far from the mean is foreground, and the change of the foreground since the frame
before is the energy of the motion. The film shows a cat's face that crosses a cup of
coffee, both from scikit-image's pictures, with the noise of a sensor. A cycle is a
frame. float32: planes (3, 400, 600) of 2.7 MiB, from the code below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.workloads._aligned import aligned_copy, aligned_empty

NEEDS: tuple[str, ...] = ("skimage",)

SHAPE = (3, 400, 600)
ARRAY_BYTES = 3 * 400 * 600 * 4

RATE = 0.05
FAR = 2.5**2  # squared distance from the mean, in variances
LEAST_VARIANCE = 4.0
FRAMES = 24
CAT = 100  # pixels square

Planes = NDArray[np.float32]


def prepare() -> Callable[[], object]:
    film = itertools.cycle(_film())
    previous: Planes = next(film).astype(np.float32)
    mean = previous
    variance: Planes = np.full(SHAPE, 25, dtype=np.float32)

    def step() -> object:
        nonlocal previous, mean, variance
        frame = next(film).astype(np.float32)
        difference = frame - mean
        square = difference**2
        foreground = (square > FAR * variance).any(axis=0)
        mean = mean + RATE * difference
        variance = (1 - RATE) * (variance + RATE * square)
        variance = np.maximum(variance, LEAST_VARIANCE)
        energy = np.where(foreground, np.abs(frame - previous), 0).sum()
        previous = frame
        return foreground, energy

    return step


def by_hand() -> Callable[[], object]:
    film = itertools.cycle(_film())
    previous = aligned_copy(next(film).astype(np.float32))
    mean = aligned_copy(previous)
    variance = aligned_copy(np.full(SHAPE, 25, dtype=np.float32))
    frame, difference, square, scratch = (
        aligned_empty(SHAPE, np.float32) for _ in range(4)
    )
    is_far = aligned_empty(SHAPE, np.bool_)
    foreground = aligned_empty(SHAPE[1:], np.bool_)

    def step() -> object:
        nonlocal frame, previous
        np.copyto(frame, next(film))
        np.subtract(frame, mean, out=difference)
        np.square(difference, out=square)
        np.multiply(variance, FAR, out=scratch)
        np.greater(square, scratch, out=is_far)
        is_far.any(axis=0, out=foreground)
        np.multiply(difference, RATE, out=difference)
        np.add(mean, difference, out=mean)
        np.multiply(square, RATE, out=square)
        np.add(variance, square, out=variance)
        np.multiply(variance, 1 - RATE, out=variance)
        np.maximum(variance, LEAST_VARIANCE, out=variance)
        np.subtract(frame, previous, out=difference)
        np.abs(difference, out=difference)
        scratch.fill(0)
        np.copyto(scratch, difference, where=foreground)
        frame, previous = previous, frame
        return foreground, scratch.sum()

    return step


def _film() -> list[NDArray[np.uint8]]:
    from skimage.data import chelsea, coffee

    scene = coffee().transpose(2, 0, 1).astype(np.float32)
    cat = chelsea()[60 : 60 + CAT, 180 : 180 + CAT].transpose(2, 0, 1)
    generator = np.random.default_rng(5)
    film = []
    for x in np.linspace(0, SHAPE[2] - CAT, FRAMES, dtype=int):
        frame = scene + generator.normal(0, 3, SHAPE)
        frame[:, 150 : 150 + CAT, x : x + CAT] = cat
        film.append(frame.clip(0, 255).astype(np.uint8))
    return film
