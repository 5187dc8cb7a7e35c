# SPDX-License-Identifier: BSD-3-Clause
"""The handwritten digits of scikit-learn, in batches for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

PIXELS = 64
CLASSES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures (batch, 64) from 0 to 1; labels (batch,), and one-hot (batch, 10)."""

    pictures: NDArray[Any]
    labels: NDArray[np.int64]
    targets: NDArray[Any]


def batches(size: int, dtype: DTypeLike) -> list[Batch]:
    """Shuffle the 1,797 digits; return as many whole batches as they fill."""
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))
    pictures = (data[order] / data.max()).astype(dtype)
    labels = labels[order]
    targets = np.eye(CLASSES, dtype=dtype)[labels]
    return [
        Batch(
            *(part[start : start + size].copy() for part in (pictures, labels, targets))
        )
        for start in range(0, len(data) - size + 1, size)
    ]
