# SPDX-License-Identifier: BSD-3-Clause
"""Train a perceptron with Adam on handwritten digits.

A 64-1024-1024-10 network with rectifiers, softmax, cross entropy and weight decay;
a cycle is a batch of 256. Adam (Kingma and Ba, 2015) is written as in the notes of
Stanford's CS231n, which bind the moments to new arrays. float32 throughout:
activations (256, 1024) of 1 MiB; gradients, moments and their temporaries
(1024, 1024) of 4 MiB. All arrays come from the code below.

Weight decay keeps the gradients, and with them the moments, away from denormal
numbers however long the training goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.workloads._aligned import aligned_copy, aligned_empty
from bench.workloads._digits import CLASSES, PIXELS, Batch, batches

NEEDS: tuple[str, ...] = ("sklearn",)

WIDTH = 1024
BATCH = 256
ARRAY_BYTES = WIDTH * WIDTH * 4

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
DECAY = 1e-4

Matrix = NDArray[np.float32]


def prepare() -> Callable[[], object]:
    feed = itertools.cycle(batches(BATCH, np.float32))
    weights, biases = _initial()
    parameters = [*weights, *biases]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    times = itertools.count(1)

    def step() -> object:
        loss, probability, gradients = _gradients(next(feed), weights, biases)
        rate = _rate(next(times))
        for i, gradient in enumerate(gradients):
            first[i] = BETA1 * first[i] + (1 - BETA1) * gradient
            second[i] = BETA2 * second[i] + (1 - BETA2) * gradient**2
            parameters[i] += -rate * first[i] / (np.sqrt(second[i]) + EPSILON)
        return loss, probability

    return step


def by_hand() -> Callable[[], object]:
    feed = itertools.cycle(batches(BATCH, np.float32))
    weights, biases = _initial()
    network = _Buffers(weights, biases)
    parameters = [*network.weights, *network.biases]
    first = [_aligned_zeros(p) for p in parameters]
    second = [_aligned_zeros(p) for p in parameters]
    steps = [_aligned_zeros(p) for p in parameters]
    scratch = [_aligned_zeros(p) for p in parameters]
    times = itertools.count(1)

    def step() -> object:
        loss = network.backpropagate(next(feed))
        rate = _rate(next(times))
        for p, g, m, v, move, s in zip(
            parameters, network.gradients, first, second, steps, scratch, strict=True
        ):
            m *= BETA1
            m += np.multiply(g, 1 - BETA1, out=s)
            v *= BETA2
            np.square(g, out=s)
            s *= 1 - BETA2
            v += s
            np.sqrt(v, out=s)
            s += EPSILON
            np.multiply(m, -rate, out=move)
            move /= s
            p += move
        return loss, network.probability

    return step


def on_torch() -> Callable[[], object]:
    import torch

    feed = itertools.cycle(
        [
            (torch.from_numpy(batch.pictures), torch.from_numpy(batch.targets))
            for batch in batches(BATCH, np.float32)
        ]
    )
    weights, biases = ([torch.from_numpy(p) for p in part] for part in _initial())
    parameters = [*weights, *biases]
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    times = itertools.count(1)

    def gradients(x: Any, targets: Any) -> tuple[Any, Any, list[Any]]:
        inputs = [x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(torch.clamp(inputs[-1] @ weight + bias, min=0))
        score = inputs[-1] @ weights[-1] + biases[-1]
        raised = torch.exp(score - score.amax(1, keepdim=True))
        probability = raised / raised.sum(1, keepdim=True)
        loss = -torch.log((probability * targets).sum(1)).mean()
        delta = (probability - targets) / len(x)
        slopes, shifts = [], []
        for i in reversed(range(len(weights))):
            slopes.append(inputs[i].T @ delta + DECAY * weights[i])
            shifts.append(delta.sum(0))
            if i:
                delta = (delta @ weights[i].T) * (inputs[i] > 0)
        return loss, probability, slopes[::-1] + shifts[::-1]

    @torch.no_grad()
    def step() -> object:
        loss, probability, found = gradients(*next(feed))
        rate = _rate(next(times))
        for i, gradient in enumerate(found):
            first[i] = BETA1 * first[i] + (1 - BETA1) * gradient
            second[i] = BETA2 * second[i] + (1 - BETA2) * gradient**2
            parameters[i] += -rate * first[i] / (torch.sqrt(second[i]) + EPSILON)
        return loss.numpy(), probability.numpy()

    return step


def _initial() -> tuple[list[Matrix], list[Matrix]]:
    generator = np.random.default_rng(1)
    sizes = [PIXELS, WIDTH, WIDTH, CLASSES]
    weights = [
        generator.standard_normal((n, m), dtype=np.float32) * np.float32((2 / n) ** 0.5)
        for n, m in itertools.pairwise(sizes)
    ]
    return weights, [np.zeros(m, dtype=np.float32) for m in sizes[1:]]


def _rate(time: int) -> float:
    """Correct the rate for moments that began at zero."""
    return RATE * (1 - BETA2**time) ** 0.5 / (1 - BETA1**time)


def _gradients(
    batch: Batch, weights: list[Matrix], biases: list[Matrix]
) -> tuple[np.float32, Matrix, list[Matrix]]:
    inputs = [batch.pictures]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        inputs.append(np.maximum(inputs[-1] @ weight + bias, 0))
    score = inputs[-1] @ weights[-1] + biases[-1]
    raised = np.exp(score - score.max(axis=1, keepdims=True))
    probability = raised / raised.sum(axis=1, keepdims=True)
    loss = -np.log((probability * batch.targets).sum(axis=1)).mean()

    delta = (probability - batch.targets) / len(score)
    slopes, shifts = [], []
    for i in reversed(range(len(weights))):
        slopes.append(inputs[i].T @ delta + DECAY * weights[i])
        shifts.append(delta.sum(axis=0))
        if i:
            delta = (delta @ weights[i].T) * (inputs[i] > 0)
    return loss, probability, slopes[::-1] + shifts[::-1]


def _aligned_zeros(like: Matrix) -> Matrix:
    return aligned_copy(np.zeros_like(like))


class _Buffers:
    """The network with all of its arrays allocated once."""

    def __init__(self, weights: list[Matrix], biases: list[Matrix]) -> None:
        self.weights = [aligned_copy(w) for w in weights]
        self.biases = [aligned_copy(b) for b in biases]
        self.gradients = [_aligned_zeros(p) for p in [*weights, *biases]]
        self.probability = aligned_empty((BATCH, CLASSES), np.float32)
        self._decays = [_aligned_zeros(w) for w in weights]
        outputs = [(BATCH, len(b)) for b in biases]
        self._outputs = [aligned_empty(shape, np.float32) for shape in outputs]
        self._deltas = [aligned_empty(shape, np.float32) for shape in outputs]
        self._active = [aligned_empty(shape, np.bool_) for shape in outputs]
        self._by_row = aligned_empty((BATCH, 1), np.float32)

    def backpropagate(self, batch: Batch) -> np.float32:
        inputs = self._forward(batch.pictures)
        loss = self._cross_entropy(batch.targets)
        layers = len(self.weights)
        for i in reversed(range(layers)):
            delta = self._deltas[i]
            np.matmul(inputs[i].T, delta, out=self.gradients[i])
            np.multiply(self.weights[i], DECAY, out=self._decays[i])
            self.gradients[i] += self._decays[i]
            delta.sum(axis=0, out=self.gradients[layers + i])
            if i:
                before = self._deltas[i - 1]
                np.matmul(delta, self.weights[i].T, out=before)
                before *= np.greater(inputs[i], 0, out=self._active[i - 1])
        return loss

    def _forward(self, pictures: Matrix) -> list[Matrix]:
        inputs = [pictures]
        for weight, bias, out in zip(
            self.weights, self.biases, self._outputs, strict=True
        ):
            np.matmul(inputs[-1], weight, out=out)
            out += bias
            if out is not self._outputs[-1]:
                np.maximum(out, 0, out=out)
            inputs.append(out)
        return inputs

    def _cross_entropy(self, targets: Matrix) -> np.float32:
        score, delta, by_row = self._outputs[-1], self._deltas[-1], self._by_row
        score -= score.max(axis=1, keepdims=True, out=by_row)
        np.exp(score, out=score)
        probability = self.probability
        np.divide(score, score.sum(axis=1, keepdims=True, out=by_row), out=probability)
        np.multiply(probability, targets, out=delta)
        delta.sum(axis=1, keepdims=True, out=by_row)
        loss = -np.log(by_row, out=by_row).mean()
        np.subtract(probability, targets, out=delta)
        delta /= BATCH
        return loss
