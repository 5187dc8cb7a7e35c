# SPDX-License-Identifier: BSD-3-Clause
"""Fit scikit-learn's `GaussianMixture` to handwritten digits.

Ten components with full covariances; a cycle is a fit of as many EM iterations as
given, from the same start each time. float64: the responsibilities are small, the
temporaries of each component's log density and covariance (1797, 64) of 0.9 MiB.
All arrays come from the library, unmodified.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

NEEDS: tuple[str, ...] = ("sklearn",)

ARRAY_BYTES = 1797 * 64 * 8
ITERATIONS = 2


def prepare() -> Callable[[], object]:
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    data = load_digits().data / 16

    def step() -> object:
        # No cluster analysis to begin with, and no early exit: the same work each time.
        model = GaussianMixture(
            10,
            tol=0,
            reg_covar=1e-2,
            max_iter=ITERATIONS,
            init_params="random_from_data",
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(data)
        return model.means_, model.weights_

    return step
