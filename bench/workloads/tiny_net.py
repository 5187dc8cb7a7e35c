# SPDX-License-Identifier: BSD-3-Clause
"""Train a tiny network on irises: nothing to gain.

A 4-8-1 network with tanh tells one species from the others, by gradient descent with
weight decay; a cycle is fifty batches of twelve. float64: no array is larger than
(12, 8), 768 bytes, which is less than a workspace takes in. All arrays come from the
code below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

NEEDS: tuple[str, ...] = ("sklearn",)

BATCH = 12
WIDTH = 8
ARRAY_BYTES = BATCH * WIDTH * 8

BATCHES = 50  # in a cycle
RATE, DECAY = 0.05, 1e-3


def prepare() -> Callable[[], object]:
    from sklearn.datasets import load_iris

    x, species = load_iris(return_X_y=True)
    generator = np.random.default_rng(10)
    order = generator.permutation(len(x))[: len(x) // BATCH * BATCH]
    x = ((x - x.mean(axis=0)) / x.std(axis=0))[order].reshape(-1, BATCH, 4)
    y = (species == 1).astype(np.float64)[order].reshape(-1, BATCH, 1)
    feed = itertools.cycle(list(zip(x, y, strict=True)))
    w1, b1 = generator.standard_normal((4, WIDTH)), np.zeros(WIDTH)
    w2, b2 = generator.standard_normal((WIDTH, 1)), np.zeros(1)

    def step() -> object:
        nonlocal w1, b1, w2, b2
        for _ in range(BATCHES):
            inputs, target = next(feed)
            hidden = np.tanh(inputs @ w1 + b1)
            probability = 1 / (1 + np.exp(-(hidden @ w2 + b2)))
            delta2 = (probability - target) / BATCH
            delta1 = (delta2 @ w2.T) * (1 - hidden**2)
            w2 = w2 - RATE * (hidden.T @ delta2 + DECAY * w2)
            b2 = b2 - RATE * delta2.sum(axis=0)
            w1 = w1 - RATE * (inputs.T @ delta1 + DECAY * w1)
            b1 = b1 - RATE * delta1.sum(axis=0)
        return w1, b1, w2, b2

    return step
