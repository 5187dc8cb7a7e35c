# SPDX-License-Identifier: BSD-3-Clause
"""`Trimmer`: the size that a percentile of the last cycles asks for."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

# Cycles that are looked back at, and at first waited for before the block is trimmed.
WINDOW = 64

# A block is trimmed when this many times what would do, and not for less.
_SPARE = 2

_MOST_PATIENCE = 1 << 20


class Trimmer:
    """Decide when a block grows and shrinks to a share of the cycles' needs.

    Notes
    -----
    Growth and trimming go by the same percentile, so a rare large cycle spills and does
    not grow what would be trimmed again. A block is trimmed when it was at least twice
    as large as would do for some cycles in a row; each growth that follows a trimming
    doubles their number. So a program that swings for ever is trimmed ever more rarely.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._needs: deque[int] = deque(maxlen=WINDOW)
        self._patience = WINDOW
        self._waited = 0
        self._was_trimmed = False

    def percentile(self) -> int:
        """Return the least need that the share of the last cycles does not exceed."""
        ranked = sorted(self._needs)
        # Rounded, since 0.95 * 20 is a little more than 19.
        return ranked[max(math.ceil(round(self._share * len(ranked), 9)), 1) - 1]

    def size_after(
        self, need: int, capacity: int, size_for: Callable[[int], int]
    ) -> int | None:
        """Return the size that the block should have after a cycle; None: as it is."""
        self._needs.append(need)
        share = self.percentile()
        wanted = size_for(share)
        if share > capacity:
            if self._was_trimmed:
                self._patience = min(2 * self._patience, _MOST_PATIENCE)
                self._was_trimmed = False
            self._waited = 0
            return wanted
        if wanted > capacity // _SPARE:
            self._waited = 0
            return None
        self._waited += 1
        if self._waited < self._patience:
            return None
        self._waited = 0
        self._was_trimmed = True
        return wanted
