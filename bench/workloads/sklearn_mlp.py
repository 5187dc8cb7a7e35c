# SPDX-License-Identifier: BSD-3-Clause
"""Train scikit-learn's `MLPClassifier` on handwritten digits.

A 64-512-512-10 network with Adam, all else as scikit-learn has it; a cycle is one
`partial_fit` on a batch of 256. float64: activations (256, 512) of 1 MiB, gradients
and Adam's moments (512, 512) of 2 MiB. All arrays come from the library, unmodified.
Its weight decay keeps the gradients away from zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from bench.workloads._digits import CLASSES, batches

NEEDS: tuple[str, ...] = ("sklearn",)

WIDTH = 512
BATCH = 256
ARRAY_BYTES = WIDTH * WIDTH * 8


def prepare() -> Callable[[], object]:
    from sklearn.neural_network import MLPClassifier

    feed = itertools.cycle(batches(BATCH, np.float64))
    model = MLPClassifier((WIDTH, WIDTH), batch_size=BATCH, random_state=0)
    classes = np.arange(CLASSES)

    def step() -> object:
        batch = next(feed)
        model.partial_fit(batch.pictures, batch.labels, classes=classes)
        return np.float64(model.loss_), model.coefs_[1]

    return step
