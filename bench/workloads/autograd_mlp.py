# SPDX-License-Identifier: BSD-3-Clause
"""Train a perceptron with gradients from HIPS autograd on handwritten digits.

A 64-512-512-10 network with tanh, cross entropy and weight decay, by gradient
descent; a cycle is a batch of 256. autograd (Maclaurin, Duvenaud and Adams, 2015)
records the operations and runs them backward. float64: activations (256, 512) of
1 MiB, gradients (512, 512) of 2 MiB. The arrays come from the library, unmodified,
and from the few lines below.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.workloads._digits import CLASSES, PIXELS, batches

NEEDS: tuple[str, ...] = ("autograd", "sklearn")

WIDTH = 512
BATCH = 256
ARRAY_BYTES = WIDTH * WIDTH * 8

RATE = 0.1
DECAY = 1e-4


def prepare() -> Callable[[], object]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    def loss(parameters: list[Any], pictures: Any, targets: Any) -> Any:
        output, penalty = pictures, 0.0
        for i, (weight, bias) in enumerate(parameters):
            output = (anp.tanh(output) if i else output) @ weight + bias
            penalty = penalty + anp.sum(weight**2)
        shifted = output - anp.max(output, axis=1, keepdims=True)
        total = anp.log(anp.sum(anp.exp(shifted), axis=1, keepdims=True))
        return -anp.mean(anp.sum((shifted - total) * targets, axis=1)) + DECAY * penalty

    slope = value_and_grad(loss)
    feed = itertools.cycle(batches(BATCH, np.float64))
    parameters = _initial()

    def step() -> object:
        nonlocal parameters
        batch = next(feed)
        value, gradient = slope(parameters, batch.pictures, batch.targets)
        parameters = [
            (weight - RATE * by_weight, bias - RATE * by_bias)
            for (weight, bias), (by_weight, by_bias) in zip(
                parameters, gradient, strict=True
            )
        ]
        return value, parameters[1][0]

    return step


def _initial() -> list[Any]:
    generator = np.random.default_rng(9)
    return [
        (generator.standard_normal((n, m)) / n**0.5, np.zeros(m))
        for n, m in itertools.pairwise([PIXELS, WIDTH, WIDTH, CLASSES])
    ]
