# SPDX-License-Identifier: BSD-3-Clause
"""The iterators: with a producer thread behind them, and without."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from queue import Empty
from typing import Any, NoReturn

from wspace._prefetch import errors
from wspace._prefetch.channel import Channel, End, Loan, Ready
from wspace._prefetch.plan import Lifetime, Plan
from wspace._prefetch.producer import Producer
from wspace._prefetch.simple import late, settle
from wspace._prefetch.slots import Slots
from wspace._prefetch.stats import Tally
from wspace._transfer import detach

# How long it is waited at most for a source to let go of what it gave, in seconds, and
# how much longer than making a batch takes: a copy costs less.
_LINGER_S = 0.05
_SPARE_S = 0.001

# How often a consumer that waits looks whether its producer is alive, in seconds.
_LOOK_S = 1.0


class Epoch(Iterator[Any]):
    """One iteration, with a producer of its own."""

    def __init__(
        self,
        open_source: Callable[[], Iterable[Any]],
        slots: Slots | None,
        plan: Plan,
        tally: Tally,
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._slots = slots
        self._channel = Channel(plan.depth)
        self._found: Ready | End | None = None  # what is about to be handed out
        self._next: Ready | End | None = None  # what has come after it already
        self._loan: Loan | None = None  # the batch that was handed out last
        self._number = 0
        self._has_asked = False
        self._is_over = self._is_stopped = False
        producer = Producer(open_source, self._channel, slots, plan, tally)
        self.thread = producer.start(tally.epochs)

    def __next__(self) -> Any:
        if self._is_stopped:
            raise errors.stopped(self._plan.name)
        if self._is_over:
            raise StopIteration
        if self._channel.process != os.getpid():
            raise errors.forked(self._plan.name)
        if not self._has_asked:  # and was kept waiting in vain
            self._has_asked = True
            self._channel.permit()
        if self._loan is not None:
            self._end_loan(self._loan)
        if self._found is None:  # else an interrupt came while it was settled
            self._found = self._await()
        if isinstance(self._found, End):
            self._finish(self._found)
        if self._found.lent:
            self._settle(self._found, self._found.lent)
        found, self._found = self._found, None
        self._has_asked = False
        self._number += 1
        self._tally.batches += 1
        self._loan = found.loan
        return found.held.pop()

    def _settle(self, found: Ready, lent: list[Any]) -> None:
        """Wait a moment for the source to let go of a batch, else copy it.

        It does when it gives the next one, and that takes about as long as this did.
        """
        still = late(lent)
        if still and self._next is None:
            del still  # they are counted again
            limit = min(_LINGER_S, 2 * self._channel.took_s + _SPARE_S)
            with contextlib.suppress(Empty):
                self._next = self._channel.batches.get(timeout=limit)
            still = late(lent)
        settle(found.held, lent, still, found.slot, self._slots)
        found.lent = None
        self._tally.late_copies += len(still)

    def _finish(self, end: End) -> NoReturn:
        self._is_over = True
        self.thread.join(self._plan.patience_s)  # it has nothing more to do
        if end.error is None:
            raise StopIteration
        try:
            raise end.error
        finally:
            del end  # its traceback refers to this frame

    def _end_loan(self, loan: Loan) -> None:
        """Make the batch before stale; raise if plain views of it are alive."""
        slot, generation, leases = loan
        self._loan = None
        views = slot.end(generation, leases)
        if views:
            array, count = views[0]
            shape, dtype = array.shape, str(array.dtype)
            number = self._number - 1
            raise errors.retained_view(self._plan.name, number, shape, dtype, count)

    # ---- waiting ---------------------------------------------------------------------

    def _await(self) -> Ready | End:
        if self._next is not None:
            found, self._next = self._next, None
            return found
        try:
            return self._channel.batches.get_nowait()
        except Empty:
            pass
        start = time.perf_counter()
        limit = self._plan.timeout
        try:
            while True:
                waited = time.perf_counter() - start
                left = _LOOK_S if limit is None else min(_LOOK_S, limit - waited)
                try:
                    return self._channel.batches.get(timeout=max(left, 0.0))
                except Empty:
                    self._check_alive()
                if limit is not None and waited >= limit:
                    raise self._too_late(limit)
        finally:
            self._tally.consumer_wait_s += time.perf_counter() - start

    def _check_alive(self) -> None:
        if self._is_stopped:  # by another thread
            raise errors.stopped(self._plan.name)
        if not self.thread.is_alive() and self._channel.batches.empty():
            self._is_over = True
            raise errors.died(self._plan.name)

    def _too_late(self, limit: float) -> TimeoutError:
        """Say where the producer is, and which batches it may be waiting for."""
        name = self.thread.name
        error = errors.waited(self._plan.name, self._number, limit, name)
        frame = sys._current_frames().get(self.thread.ident or 0)
        if frame is not None:
            lines = traceback.format_stack(frame)
            error.add_note(f"thread {name!r} is here:\n{''.join(lines).rstrip()}")
        held = [] if self._slots is None else self._slots.held()
        if self._slots is not None and len(held) == self._slots.count:
            full = errors.no_free_slot(self._plan.name, held, len(held), hint=False)
            error.add_note(str(full))
        return error

    # ---- the end ---------------------------------------------------------------------

    def request_stop(self) -> None:
        """Ask the producer to stop, and take no more batches from it."""
        if not self._is_over:
            self._is_stopped = True
        self._channel.stop()

    def close(self) -> None:
        """Stop the producer and wait for it, but not for ever."""
        self.request_stop()
        if self._loan is not None:
            slot, generation, leases = self._loan
            self._loan = None
            slot.end(generation, leases)
        wait_for(self.thread, self._plan)

    def __del__(self) -> None:
        # Without waiting: this may run anywhere. Absent if the constructor failed.
        channel = getattr(self, "_channel", None)
        if channel is not None:
            channel.stop()


def wait_for(thread: threading.Thread, plan: Plan) -> None:
    """Wait for a producer that was asked to stop; warn if it does not."""
    if thread is threading.current_thread():
        return
    thread.join(plan.patience_s)
    if thread.is_alive():
        text = errors.still_runs(plan.name, plan.patience_s)
        warnings.warn(ResourceWarning(text), stacklevel=4)


class Direct(Iterator[Any]):
    """One iteration of a shielded source: in the consumer's thread, without slots."""

    thread = None

    def __init__(self, source: Iterable[Any], plan: Plan, tally: Tally) -> None:
        self._source = iter(source)
        self._plan = plan
        self._tally = tally
        self._is_stopped = False

    def __next__(self) -> Any:
        if self._is_stopped:
            raise errors.stopped(self._plan.name)
        batch = next(self._source)
        if self._plan.transform is not None:
            batch = self._plan.transform(batch)
        if self._plan.lifetime is Lifetime.COPY:
            batch = detach(batch)
        self._tally.batches += 1
        return batch

    def close(self) -> None:
        """Take no more batches."""
        self._is_stopped = True
