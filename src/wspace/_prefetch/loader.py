# SPDX-License-Identifier: BSD-3-Clause
"""`prefetch` and what it returns."""

from __future__ import annotations

import itertools
import math
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from wspace import _errors
from wspace._config import WorkspaceConfig
from wspace._prefetch import errors
from wspace._prefetch.epoch import Direct, Epoch, wait_for
from wspace._prefetch.plan import Lifetime, OnRetain, Plan
from wspace._prefetch.shields import innermost, is_shielded
from wspace._prefetch.slots import Slots
from wspace._prefetch.stats import PrefetchStats, Tally

_T = TypeVar("_T")
_U = TypeVar("_U")
_T_co = TypeVar("_T_co", covariant=True)
_Workspace = WorkspaceConfig | Literal[False] | None
_Source = Iterable[_T] | Callable[[], Iterable[_T]]

_names = itertools.count(1)


class Prefetcher(Generic[_T_co]):
    """Iterate a source whose batches are prepared in a thread; see `prefetch`.

    Iterate it again for another pass; one pass at a time: a new one stops the one
    before. ``with`` closes it at the end. ``len()`` is that of the source.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.prefetch([np.ones(1000), np.zeros(1000)]) as loader:
    ...     sums = [float(x.sum()) for epoch in range(2) for x in loader]
    >>> sums
    [1000.0, 0.0, 1000.0, 0.0]
    """

    def __init__(self, source: Any, plan: Plan, workspace: _Workspace) -> None:
        self._source = source
        self._plan = plan
        self._tally = Tally()
        self._slots: Slots | None = None
        self._is_direct = is_shielded(source)
        if workspace is not False and not self._is_direct:
            config = WorkspaceConfig() if workspace is None else workspace
            lends = plan.lifetime is Lifetime.BORROW
            self._slots = Slots(plan.name, plan.slots, config, lends)
        self._epoch: Callable[[], Epoch | Direct | None] = lambda: None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[_T_co]:
        if self._is_closed:
            raise _errors.closed(self._plan.name, "iterate")
        self._stop()
        if self._thread is not None and self._thread.is_alive():
            raise _errors._cannot("iterate", self._plan.name, "its producer still runs")
        self._tally.epochs += 1
        if self._slots is not None:
            self._slots.begin()
        epoch: Epoch | Direct
        if self._is_direct:
            epoch = Direct(_opener(self._source)(), self._plan, self._tally)
        else:
            opened = _opener(self._source)
            epoch = Epoch(opened, self._slots, self._plan, self._tally)
        self._epoch, self._thread = weakref.ref(epoch), epoch.thread
        return epoch

    def __len__(self) -> int:
        """Return the length of the source."""
        return len(self._source)

    def __bool__(self) -> bool:
        return True  # whether or not it has a length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{self._tally.batches:,} batches"
        return f"<Prefetcher {self._plan.name!r} {state}, depth {self._plan.depth}>"

    def close(self) -> None:
        """Stop the producer and give the memory back; closing again does nothing.

        Batches that something refers to stay valid, but for borrowed ones. Waits for a
        producer that is in its source for `timeout`, else five seconds, and then leaves
        it to end by itself, with a `ResourceWarning`.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._stop()
        finally:
            if self._slots is not None:
                self._slots.close()

    def _stop(self) -> None:
        epoch = self._epoch()
        if epoch is not None:
            epoch.close()
        elif self._thread is not None:
            wait_for(self._thread, self._plan)  # its iterator was dropped

    @property
    def stats(self) -> PrefetchStats:
        """A snapshot of the figures of all iterations; any thread may ask."""
        slots, tally = self._slots, dict(vars(self._tally))
        tally["copies"] += tally.pop("late_copies")
        return PrefetchStats(
            **tally,
            resizes=slots.resizes if slots else 0,
            slot_size=slots.size if slots else 0,
            first_bytes=slots.first_bytes if slots else 0,
            most_bytes=slots.most_bytes if slots else 0,
            kept_bytes=slots.kept if slots else 0,
        )


def _opener(source: Any) -> Callable[[], Iterable[Any]]:
    """Return what gives the source's iterable; it refers to the source alone."""
    return (lambda: source) if isinstance(source, Iterable) else source


@overload
def prefetch(
    source: _Source[_T],
    depth: int = 2,
    *,
    lifetime: str = "lease",
    on_retain: str = "spill",
    transform: None = None,
    workspace: _Workspace = None,
    timeout: float | None = None,
    name: str | None = None,
) -> Prefetcher[_T]: ...
@overload
def prefetch(
    source: _Source[_T],
    depth: int = 2,
    *,
    lifetime: str = "lease",
    on_retain: str = "spill",
    transform: Callable[[_T], _U],
    workspace: _Workspace = None,
    timeout: float | None = None,
    name: str | None = None,
) -> Prefetcher[_U]: ...


def prefetch(
    source: Any,
    depth: int = 2,
    *,
    lifetime: str = "lease",
    on_retain: str = "spill",
    transform: Callable[[Any], Any] | None = None,
    workspace: _Workspace = None,
    timeout: float | None = None,
    name: str | None = None,
) -> Prefetcher[Any]:
    """Prepare batches in a thread, in memory that is never handed out twice.

    Parameters
    ----------
    source : iterable or callable
        Of batches: arrays, or lists, tuples, dicts, named tuples or dataclasses of
        some. Or a function that returns such an iterable, called for each pass.
    depth : int
        How many batches are to be ready ahead, 1 at least.
    lifetime : {"lease", "borrow", "copy"}
        For how long a batch is valid: while anything refers to it; until the next one
        is asked for, when its arrays, which are checked, are stale; for ever, since it
        is detached.
    on_retain : {"spill", "block", "raise"}
        What is done for a batch when those of all slots are referred to: make it
        outside; wait until one dies; raise `RetainedBatchError`.
    transform : callable, optional
        Called with each batch in the producer's thread, in the batch's slot.
    workspace : WorkspaceConfig or None or False
        Of the slots, whose size is learned from the first batch, and grows. False: no
        slots; batches are what the source gives.
    timeout : float, optional
        How long ``next()`` waits for a batch, and `Prefetcher.close` for the producer,
        in seconds.
    name : str, optional
        For messages and the thread.

    Returns
    -------
    Prefetcher
        An iterable of the batches, in their order.

    Raises
    ------
    TypeError, ValueError
        If an argument is of a wrong type or value, or `source` is prefetched already.
    RetainedBatchError
        From ``next()``, as `lifetime` and `on_retain` say.
    UnsafePrefetchError
        From ``next()``, with ``workspace=False``, if the source gives the memory of a
        batch again that is alive.
    TimeoutError
        From ``next()``; its note says where the producer is. It may be called again.

    See Also
    --------
    no_prefetch : Keep a source from being prefetched.
    detached : Detach each batch.

    Notes
    -----
    An exception of the source or of `transform` is raised by ``next()`` after all good
    batches. There are ``depth + 2`` slots. An array that the source can still reach
    once it has given it, such as one that a generator has in a variable, is copied into
    the slot, since the source may write into it again: `PrefetchStats.copies` counts
    them.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> def load(seed):
    ...     return np.random.default_rng(seed).random((32, 100)), seed % 10
    >>> with wspace.prefetch(map(load, range(100))) as loader:
    ...     total = sum(float(images.sum()) for images, label in loader)
    >>> round(total / 320_000, 1)
    0.5
    """
    plan = Plan(
        name=_checked_name(name),
        depth=_checked_depth(depth),
        lifetime=_member(Lifetime, "lifetime", lifetime),
        on_retain=_member(OnRetain, "on_retain", on_retain),
        transform=transform,
        timeout=_checked_timeout(timeout),
    )
    if not (workspace is None or workspace is False) and not isinstance(
        workspace, WorkspaceConfig
    ):
        allowed = "a WorkspaceConfig, None or False"
        raise _errors.wrong_type("workspace", allowed, workspace)
    if transform is not None and not callable(transform):
        raise _errors.wrong_type("transform", "callable or None", transform)
    if not (isinstance(source, Iterable) or callable(source)):
        raise _errors.wrong_type("source", "an iterable or callable", source)
    if isinstance(innermost(source), Prefetcher | Epoch | Direct):
        raise errors.twice(innermost(source)._plan.name)
    return Prefetcher(source, plan, workspace)


# ---- arguments -----------------------------------------------------------------------

_M = TypeVar("_M", Lifetime, OnRetain)


def _member(kind: type[_M], field: str, value: object) -> _M:
    if isinstance(value, str) and value.lower() in list(kind):
        return kind(value.lower())
    raise _errors.not_allowed(field, _errors.one_of(kind), value)


def _checked_name(name: object) -> str:
    if name is None:
        return f"prefetch-{next(_names)}"
    if not isinstance(name, str):
        raise _errors.wrong_type("name", "a string", name)
    return name


def _checked_depth(depth: Any) -> int:
    try:
        number = operator.index(depth)
    except TypeError:
        raise _errors.wrong_type("depth", "an integer", depth) from None
    if number < 1:
        raise _errors.not_allowed("depth", "1 or more", depth)
    return number


def _checked_timeout(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise _errors.wrong_type("timeout", "a number of seconds or None", timeout)
    if not (0 <= timeout < math.inf):
        raise _errors.not_allowed("timeout", "0 or more seconds, and finite", timeout)
    return float(timeout)
