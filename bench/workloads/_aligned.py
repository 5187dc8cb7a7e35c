# SPDX-License-Identifier: BSD-3-Clause
"""Buffers as well aligned as those of a workspace, for code written by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64


def aligned_empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make an uninitialized array that begins at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    lengths = (shape,) if isinstance(shape, int) else shape
    size = math.prod(lengths) * dtype.itemsize
    raw = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(lengths)


def aligned_copy(array: NDArray[Any]) -> NDArray[Any]:
    """Copy `array` to an aligned buffer."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy
