# SPDX-License-Identifier: BSD-3-Clause
"""`PrefetchStats`: what a prefetcher has done, and where it waited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefetchStats:
    """Hold a snapshot of a prefetcher; subtract two for what happened between.

    Attributes
    ----------
    epochs : int
        Count of iterations that were begun.
    batches : int
        Count of batches that were handed out.
    consumer_wait_s : float
        How long the consumer waited for batches, in seconds: the source is too slow.
    producer_wait_s : float
        How long the producer waited for the consumer, in seconds.
    retained : int
        Count of batches for which no slot was free, since too many were referred to.
    spills : int
        Those of them that were made outside of the slots, by NumPy's own allocator.
    resizes : int
        Count of times that the slots were made larger.
    copies : int
        Count of arrays that were copied because the source could still write into them.
    slot_size : int
        Size of a slot's block, in bytes; 0 before it is learned.
    first_bytes : int
        Most that the first batch had in use at once, in bytes.
    most_bytes : int
        Most that a later one had in use at once, in bytes. If it is much less than
        `first_bytes`, the source makes something large in its first ``next()``.
    kept_bytes : int
        What the source itself keeps of the arrays that it made in ``next()``, in bytes:
        it lies in the slots.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> loader = wspace.prefetch(map(np.ones, [1000] * 9))
    >>> sum(float(x.sum()) for x in loader)
    9000.0
    >>> loader.stats.batches, loader.stats.spills
    (9, 0)
    """

    epochs: int
    batches: int
    consumer_wait_s: float
    producer_wait_s: float
    retained: int
    spills: int
    resizes: int
    copies: int
    slot_size: int
    first_bytes: int
    most_bytes: int
    kept_bytes: int


class Tally:
    """Count what `PrefetchStats` says; each figure is written by one side only."""

    def __init__(self) -> None:
        self.epochs = 0  # by the consumer, and the next two
        self.batches = 0
        self.consumer_wait_s = 0.0
        self.producer_wait_s = 0.0
        self.retained = 0
        self.spills = 0
        self.copies = 0
        self.late_copies = 0  # by the consumer
