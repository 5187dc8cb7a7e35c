# SPDX-License-Identifier: BSD-3-Clause
"""What a producer and its consumer share: neither refers to the other.

Batches go one way, permits the other. `SimpleQueue` is all the locking there is: its
``put`` may be called from finalizers and weak references' callbacks.
"""

from __future__ import annotations

import os
import time
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from wspace._prefetch.slots import Slot
from wspace._prefetch.stats import Tally


class End:
    """There are no more batches; `error`: because of it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


# How a borrowed batch goes back: its slot, the generation, what owns its data, weakly.
Loan: TypeAlias = tuple[Slot, int, list[Any]]


class Ready:
    """A batch, alone in a list, and its slot and loan if it has them.

    Variables of the source may still have what is `lent`, weakly referred to.
    """

    __slots__ = ("held", "lent", "loan", "slot")

    def __init__(
        self,
        held: list[Any],
        slot: Slot | None = None,
        loan: Loan | None = None,
        lent: list[Any] | None = None,
    ) -> None:
        self.held = held
        self.slot = slot
        self.loan = loan
        self.lent = lent


class Channel:
    """Batches and permits of one iteration, and the wish to stop it.

    The producer takes a permit for each batch that it begins. There are `depth` at
    first; one more is given each time that the consumer asks for a batch and so lets go
    of the one before. So at most ``depth + 2`` are alive: `depth` ready, the one in the
    consumer's hand, and, while that changes, the one before.
    """

    def __init__(self, depth: int) -> None:
        self.batches: SimpleQueue[Ready | End] = SimpleQueue()
        self.released: SimpleQueue[None] = SimpleQueue()  # by those who keep batches
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(depth):
            self._permits.put(None)
        self.process = os.getpid()
        self.is_stopping = False
        self.took_s = 0.0  # the making of the batch before

    def permit(self) -> None:
        """Let the producer make one batch more."""
        self._permits.put(None)

    def await_permit(self, tally: Tally) -> bool:
        """Wait for a permit; False: stop."""
        try:
            self._permits.get_nowait()
        except Empty:
            start = time.perf_counter()
            self._permits.get()
            tally.producer_wait_s += time.perf_counter() - start
        return not self.is_stopping

    def stop(self) -> None:
        """Ask the producer to stop; does not wait, and may be called anywhere."""
        self.is_stopping = True
        self._permits.put(None)
        self.released.put(None)
