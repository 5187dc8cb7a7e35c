# SPDX-License-Identifier: BSD-3-Clause
"""The envelope of a signal in a function compiled by numba, over scratch memory."""

import numba
import numpy as np

import wspace
from wspace import foreign
from wspace.numba import checkpoint, mark, rewind, take


@numba.njit
def smoothed_peak(arena, here, x, n):
    """Return the largest mean of n successive absolute values."""
    checkpoint(arena, here)
    size = x.shape[0]
    sums = numba.carray(take(arena, (size + 1) * 8), size + 1, np.float64)
    sums[0] = 0.0
    for i in range(size):
        sums[i + 1] = sums[i] + abs(x[i])
    best = 0.0
    for i in range(size - n + 1):
        best = max(best, (sums[i + n] - sums[i]) / n)
    rewind(arena, here)
    return best


def main():
    """Run it a few times, and check it against NumPy."""
    x = np.sin(np.arange(100_000) / 50.0)
    expected = np.convolve(np.abs(x), np.ones(32) / 32, "valid").max()
    ws = wspace.Workspace("envelope", initial_size="2MiB")
    here = mark()
    for _ in range(3):
        with ws:
            peak = smoothed_peak(foreign.arena(ws), here, x, 32)
    assert abs(peak - expected) < 1e-9
    print(f"peak {peak:.6f}, {ws.stats.upstream_calls} upstream calls")


if __name__ == "__main__":
    main()
