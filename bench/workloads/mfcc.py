# SPDX-License-Identifier: BSD-3-Clause
"""Compute cepstral coefficients of a heart's pulse.

The chain of speech recognition (Davis and Mermelstein, 1980) on the trace of a pulse
sensor that ships with heartpy, ten minutes at about 117 Hz: pre-emphasis, frames,
window, Fourier transform, a bank of triangular filters, logarithm, cosine transform.
A cycle is the whole record. float64: frames (2132, 256) of 4.2 MiB and their spectra,
complex, as large. The transforms' arrays come from NumPy and SciPy, the others from
the code below.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

NEEDS: tuple[str, ...] = ("heartpy", "scipy")

FRAME, HOP = 256, 32  # samples
ARRAY_BYTES = 2132 * FRAME * 8

EMPHASIS = 0.97
BANDS, COEFFICIENTS = 26, 13

Array = NDArray[np.float64]


def prepare() -> Callable[[], object]:
    from scipy.fft import dct

    trace = _pulse()
    window = np.hamming(FRAME)
    filters = _filters()

    def step() -> object:
        signal = trace[1:] - EMPHASIS * trace[:-1]
        frames = sliding_window_view(signal, FRAME)[::HOP] * window
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / FRAME
        energy = np.log(power @ filters + 1e-10)
        return dct(energy, axis=1, norm="ortho")[:, :COEFFICIENTS]

    return step


def _pulse() -> Array:
    # heartpy is looked up, not imported: that would load all that it needs.
    spec = importlib.util.find_spec("heartpy")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("heartpy is not installed", name="heartpy")
    path = Path(spec.origin).parent / "data" / "data3.csv"
    with path.open() as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=1, usecols=1)


def _filters() -> Array:
    """Make triangles of equal width on the mel scale, (bins, BANDS)."""
    # The scale is that of speech at 8 kHz: what the pulse is to it, no one knows.
    top = 2595 * np.log10(1 + 4000 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1) / 4000
    bins = np.linspace(0, 1, FRAME // 2 + 1)[:, np.newaxis]
    low, center, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (bins - low) / (center - low), (high - bins) / (high - center)
    return np.maximum(np.minimum(rising, falling), 0)
