# SPDX-License-Identifier: BSD-3-Clause
"""Sharpen a blurred photograph with scikit-image's `richardson_lucy`.

Deconvolution (Richardson, 1972; Lucy, 1974) of the camera man, blurred and with
noise; a cycle is a deconvolution of as many iterations as given, from the same
picture. float32: pictures (512, 512) of 1 MiB, and transforms of twice that. All
arrays come from the library, and from SciPy's convolution, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NEEDS: tuple[str, ...] = ("skimage", "scipy")

ARRAY_BYTES = 512 * 512 * 4
ITERATIONS = 2
BLUR = 9  # pixels


def prepare() -> Callable[[], object]:
    from scipy.signal import convolve
    from skimage.data import camera
    from skimage.restoration import richardson_lucy

    bell = np.hanning(BLUR + 2)[1:-1].astype(np.float32)
    spread = np.outer(bell, bell) / bell.sum() ** 2
    sharp = camera().astype(np.float32) / 255
    noise = np.random.default_rng(4).standard_normal(sharp.shape, dtype=np.float32)
    picture = np.clip(convolve(sharp, spread, mode="same") + 0.01 * noise, 0, 1)

    def step() -> object:
        return richardson_lucy(picture, spread, num_iter=ITERATIONS)

    return step
