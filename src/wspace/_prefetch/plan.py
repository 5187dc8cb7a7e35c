# SPDX-License-Identifier: BSD-3-Clause
"""How a prefetcher is to work: what does not change from one iteration to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# How long is waited for a producer to leave its source, unless `timeout` says.
PATIENCE_S = 5.0


class Lifetime(StrEnum):
    """For how long a batch is valid."""

    LEASE = "lease"  # while anything refers to it
    BORROW = "borrow"  # until the next one is asked for
    COPY = "copy"  # for ever: it is NumPy's own memory


class OnRetain(StrEnum):
    """What is done when the batches of all slots are referred to."""

    SPILL = "spill"
    BLOCK = "block"
    RAISE = "raise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What both sides know."""

    name: str
    depth: int
    lifetime: Lifetime
    on_retain: OnRetain
    transform: Callable[[Any], Any] | None
    timeout: float | None

    @property
    def slots(self) -> int:
        """As many as are ready, one that is filled, one in the consumer's hand."""
        return self.depth + 2

    @property
    def patience_s(self) -> float:
        """How long to wait for a producer that is to stop, in seconds."""
        return PATIENCE_S if self.timeout is None else self.timeout
