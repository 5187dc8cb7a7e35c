# SPDX-License-Identifier: BSD-3-Clause
"""What prefetching raises, and the texts; see `wspace._errors` for their form."""

from __future__ import annotations

from collections.abc import Sequence

from wspace._errors import WorkspaceError, WorkspaceStateError

# Batches of one RetainedBatchError that are named one by one.
_MAX_NAMED = 8


class RetainedBatchError(WorkspaceError):
    """Signal that a prefetched batch is referred to for longer than was agreed.

    Its memory stays what it is: a batch is never overwritten.

    See Also
    --------
    wspace.prefetch : The agreement: `lifetime` and `on_retain`.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> source = [np.full(1000, float(i)) for i in range(9)]
    >>> loader = wspace.prefetch(source, on_retain="raise", name="demo")
    >>> try:
    ...     kept = list(loader)
    ... except wspace.RetainedBatchError as error:
    ...     print(error)
    prefetch 'demo' has no free slot: batches 1, 2, 3 and 4 are referred to, it has 4
    """

    __module__ = "wspace"


class UnsafePrefetchError(WorkspaceError):
    """Signal a source that gives memory again that an earlier batch still has.

    Or of a generator that writes into an array that it has given, after it had bound
    its variables anew for the batches before. What a source holds on to otherwise is
    copied before the source runs again, unless there are no slots (``workspace=False``)
    to copy into.

    See Also
    --------
    wspace.prefetch : What is copied, and when.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> buffer = np.zeros(1000)
    >>> def source():
    ...     for i in range(3):
    ...         buffer[:] = i
    ...         yield buffer
    >>> try:
    ...     list(wspace.prefetch(source(), workspace=False, name="demo"))
    ... except wspace.UnsafePrefetchError as error:
    ...     print(error)
    source of prefetch 'demo' gave the memory of batch 0 again for batch 1
    """

    __module__ = "wspace"


def _numbers(batches: Sequence[int]) -> str:
    named = [f"{number:,}" for number in batches[:_MAX_NAMED]]
    if len(batches) > _MAX_NAMED:
        named.append(f"{len(batches) - _MAX_NAMED:,} more")
    *head, tail = named
    if not head:
        return f"batch {tail} is"
    return f"batches {', '.join(head)} and {tail} are"


def no_free_slot(
    name: str, batches: Sequence[int], slots: int, *, hint: bool = True
) -> RetainedBatchError:
    """Say that every slot has a batch that something refers to."""
    error = RetainedBatchError(
        f"prefetch {name!r} has no free slot: {_numbers(batches)} referred to, "
        f"it has {slots}"
    )
    if hint:
        error.add_note(
            "hint: `wspace.detach` what you keep, or let `on_retain` be 'spill'"
        )
    return error


def retained_view(
    name: str, batch: int, shape: tuple[int, ...], dtype: str, views: int
) -> RetainedBatchError:
    """Say that a plain view of a borrowed batch is alive when the next is asked for."""
    plural = "" if views == 1 else "s"
    verb = "refers" if views == 1 else "refer"
    error = RetainedBatchError(
        f"batch {batch:,} of prefetch {name!r} is over, but {views} plain view{plural} "
        f"{verb} to its array {shape} {dtype}"
    )
    error.add_note(
        "hint: `del` plain views before the next batch, or use lifetime='lease'"
    )
    return error


def same_memory(name: str, earlier: int, batch: int) -> UnsafePrefetchError:
    """Say that a source gave the same memory twice."""
    error = UnsafePrefetchError(
        f"source of prefetch {name!r} gave the memory of batch {earlier:,} again for "
        f"batch {batch:,}"
    )
    error.add_note(
        "hint: yield new arrays, or leave `workspace` on, which copies what is shared"
    )
    return error


def written_again(name: str, batch: int) -> UnsafePrefetchError:
    """Say that a source wrote into what it had given."""
    error = UnsafePrefetchError(
        f"source of prefetch {name!r} wrote into an array that it had given away, "
        f"while it made batch {batch:,}"
    )
    error.add_note("hint: yield a copy of what is written into again")
    return error


def twice(name: str) -> TypeError:
    """Say that a source is prefetched already."""
    error = TypeError(f"cannot prefetch {name!r}: it is prefetched already")
    error.add_note("hint: iterate it as it is; `depth` says how far it runs ahead")
    return error


def waited(name: str, batch: int, seconds: float, thread: str) -> TimeoutError:
    """Say that no batch came in time."""
    return TimeoutError(
        f"prefetch {name!r} waited {seconds:g} s for batch {batch:,} of thread "
        f"{thread!r}"
    )


def stopped(name: str) -> WorkspaceStateError:
    """Say that an iterator was closed, or another one begun, before its end."""
    error = WorkspaceStateError(
        f"cannot take a batch from prefetch {name!r}: this iteration was stopped"
    )
    error.add_note("hint: `close()` and a new `iter()` stop the one before")
    return error


def forked(name: str) -> WorkspaceStateError:
    """Say that the producer is a thread of the parent process."""
    error = WorkspaceStateError(
        f"cannot take a batch from prefetch {name!r}: its producer is in the process "
        "that this one was forked from"
    )
    error.add_note("hint: iterate anew in the child")
    return error


def died(name: str) -> WorkspaceStateError:
    """Say that the producer is gone and left no word."""
    return WorkspaceStateError(
        f"cannot take a batch from prefetch {name!r}: its producer has died"
    )


def still_runs(name: str, seconds: float) -> str:
    """Say that a producer is in its source for longer than was waited for it."""
    return (
        f"producer of prefetch {name!r} is in its source since {seconds:g} s; "
        "it ends when the source returns"
    )
