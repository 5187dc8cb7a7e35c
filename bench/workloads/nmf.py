# SPDX-License-Identifier: BSD-3-Clause
"""Factor the handwritten digits with scikit-learn's `NMF`.

Sixteen parts by the multiplicative updates of Lee and Seung (2001) for the
Kullback-Leibler divergence; a cycle is a fit of as many updates as given, from the
same start each time. float64: each update makes the product (1797, 64) of 0.9 MiB
anew. All arrays come from the library, unmodified.
"""

from __future__ import annotations

from collections.abc import Callable

NEEDS: tuple[str, ...] = ("sklearn",)

ARRAY_BYTES = 1797 * 64 * 8
PARTS = 16
UPDATES = 10


def prepare() -> Callable[[], object]:
    from sklearn.datasets import load_digits
    from sklearn.decomposition import NMF

    data = load_digits().data / 16

    def step() -> object:
        # tol=0: no early exit, and no warning that there was none.
        model = NMF(
            PARTS,
            init="random",
            solver="mu",
            beta_loss="kullback-leibler",
            tol=0,
            max_iter=UPDATES,
            random_state=0,
        )
        weights = model.fit_transform(data)
        return weights, model.components_

    return step
