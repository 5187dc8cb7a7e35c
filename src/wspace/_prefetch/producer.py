# SPDX-License-Identifier: BSD-3-Clause
"""The thread that fills the slots.

It refers to the channel, the slots and the source, and never to the iterator: so an
iterator that is dropped dies, and its producer is told to stop.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from wspace._prefetch import errors
from wspace._prefetch.batch import Adopted, Seen
from wspace._prefetch.channel import Channel, End, Ready
from wspace._prefetch.plan import Lifetime, OnRetain, Plan
from wspace._prefetch.simple import Variables, adopt
from wspace._prefetch.slots import Slot, Slots
from wspace._prefetch.stats import Tally

_HERE = os.path.dirname(__file__)

# How long the end of the program waits for producers that are in their source.
_EXIT_S = 0.5

# Keep the tuple that they gave last, without looking into it again.
_KEEP_THEIR_TUPLE = (zip, enumerate)

_running: weakref.WeakSet[Producer] = weakref.WeakSet()


class Producer:
    """Make the batches of one iteration."""

    def __init__(
        self,
        open_source: Callable[[], Iterable[Any]],
        channel: Channel,
        slots: Slots | None,
        plan: Plan,
        tally: Tally,
    ) -> None:
        self._open_source = open_source
        self._channel = channel
        self._slots = slots
        self._plan = plan
        self._tally = tally
        self._leases = plan.lifetime is Lifetime.LEASE
        self._lends = plan.lifetime is Lifetime.BORROW
        self._copies = plan.lifetime is Lifetime.COPY
        self._seen = Seen()
        self._variables = Variables(iter(()))
        self._number = 0

    def start(self, number: int) -> threading.Thread:
        """Start the thread, in a context where no scope is open."""
        context = contextvars.Context()
        name = f"{self._plan.name} #{number}"
        thread = threading.Thread(
            target=context.run, args=(self._run,), name=name, daemon=True
        )
        self.thread = weakref.ref(thread)
        _running.add(self)
        thread.start()
        return thread

    def request_stop(self) -> None:
        """Ask for the end, without waiting."""
        self._channel.stop()

    def _run(self) -> None:
        end = End()
        try:
            self._make_all()
        except BaseException as problem:
            error = self._explained(problem)
            error.add_note(
                f"raised while prefetching batch {self._number:,} of "
                f"{self._plan.name!r}"
            )
            error.__traceback__ = _without_ours(error.__traceback__)
            end = End(error)
        # Last of all: the source is closed by now, and this thread about to end.
        self._channel.batches.put(end)

    def _explained(self, error: BaseException) -> BaseException:
        """Say it in our words if the source wrote into what it had given."""
        if not (self._variables.let_go and isinstance(error, ValueError)):
            return error
        if "read-only" not in str(error):
            return error
        ours = errors.written_again(self._plan.name, self._number)
        ours.__cause__ = error
        ours.__traceback__ = error.__traceback__
        return ours

    def _make_all(self) -> None:
        batches = iter(self._open_source())
        self._variables = Variables(batches)
        spare = int(type(batches) in _KEEP_THEIR_TUPLE)
        while self._channel.await_permit(self._tally):
            start = time.perf_counter()
            ready = self._make_one(batches, spare)
            if ready is None:
                break
            self._channel.took_s = time.perf_counter() - start
            self._channel.batches.put(ready)
            del ready  # the consumer's alone
            self._number += 1

    def _make_one(self, batches: Iterator[Any], spare: int) -> Ready | None:
        """Make a batch in a slot of its own; None: there are no more, or stop."""
        if self._slots is None:
            return self._fetch(batches, None, spare)
        slot = self._find_slot(self._slots)
        if self._channel.is_stopping:
            return None
        if slot is None:  # on NumPy's own heap
            return self._fetch(batches, None, spare)
        with slot.home:
            ready = self._fetch(batches, slot, spare)
            self._slots.measure(slot)
        if ready is not None and ready.lent:
            slot.warm()
        return ready

    def _fetch(
        self, batches: Iterator[Any], slot: Slot | None, spare: int
    ) -> Ready | None:
        """Ask the source for a batch; in the scope of the slot, if there is one."""
        try:
            held = [next(batches)]  # nobody else refers to it from here
        except StopIteration:
            return None
        self._variables.look()
        if self._plan.transform is not None:
            held = [_transformed(self._plan.transform, held)]
            spare = 0
        if self._slots is None and not self._copies:
            self._check_unseen(held)
            return Ready(held)
        if self._leases:
            simple = adopt(held, slot, spare, self._variables)
            if simple is not None:
                leases, lent = simple
                if slot is not None:
                    slot.batch, slot.leases = self._number, leases
                return Ready(held, slot, None, lent)
        return self._adopt_any(held, slot, spare)

    def _adopt_any(self, held: list[Any], slot: Slot | None, spare: int) -> Ready:
        home = None if slot is None else slot.home
        adopted = Adopted(held, self._plan.lifetime, home, spare)
        self._tally.copies += adopted.copies
        loan = None
        if slot is not None:
            slot.batch, slot.leases = self._number, adopted.leases
            if self._lends:
                loan = slot, slot.home.generation, adopted.leases
        return Ready(held, slot, loan)

    def _check_unseen(self, held: list[Any]) -> None:
        earlier = self._seen.earlier(held, self._number)
        if earlier is not None:
            raise errors.same_memory(self._plan.name, earlier, self._number)

    # ---- slots -----------------------------------------------------------------------

    def _find_slot(self, slots: Slots) -> Slot | None:
        """Return a free slot; None: go without."""
        slot = slots.take()
        if slot is not None:
            return slot
        self._tally.retained += 1
        if self._plan.on_retain is OnRetain.RAISE:
            raise errors.no_free_slot(self._plan.name, slots.held(), slots.count)
        if self._plan.on_retain is OnRetain.BLOCK:
            return self._await_slot(slots)
        self._tally.spills += 1
        return slots.extra() if self._lends else None

    def _await_slot(self, slots: Slots) -> Slot | None:
        """Wait until a batch dies; None: asked to stop.

        The death of a batch is told by callbacks, and looked for now and then, since
        one may come between looking and asking to be told.
        """
        start = time.perf_counter()
        slot, told = None, self._channel.released
        while slot is None and not self._channel.is_stopping:
            watched = slots.watch(lambda _: told.put(None))
            slot = slots.take()
            if slot is None:
                told.get()
            del watched
        self._tally.producer_wait_s += time.perf_counter() - start
        return slot


def _transformed(transform: Callable[[Any], Any], held: list[Any]) -> Any:
    try:
        return transform(held.pop())
    except StopIteration as error:  # would look like the end of the source
        raise RuntimeError("transform raised StopIteration") from error


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave the frames of the source: ours would hold what is at work here."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    return trace


def _at_exit() -> None:
    """Have all producers end before the interpreter does; one in its source may not."""
    producers = list(_running)
    for producer in producers:
        producer.request_stop()
    deadline = time.monotonic() + _EXIT_S
    for producer in producers:
        thread = producer.thread()
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))


atexit.register(_at_exit)
