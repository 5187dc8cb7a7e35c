# SPDX-License-Identifier: BSD-3-Clause
"""Wrappers that say of a source how it is to be iterated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from wspace import _errors
from wspace._transfer import detach

_T = TypeVar("_T")


class _Wrapped(Generic[_T]):
    """An iterable that stands for another one."""

    def __init__(self, source: Iterable[_T]) -> None:
        if not isinstance(source, Iterable):
            raise _errors.wrong_type("source", "an iterable", source)
        self.source = source

    def __iter__(self) -> Iterator[_T]:
        return iter(self.source)

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        return True  # whether or not it has a length

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {type(self.source).__name__}>"


class Shielded(_Wrapped[_T]):
    """A source that is not to be prefetched."""


class Detached(_Wrapped[_T]):
    """A source whose batches are detached."""

    def __iter__(self) -> Iterator[_T]:
        return map(detach, self.source)


def no_prefetch(source: Iterable[_T]) -> Iterable[_T]:
    """Wrap a source so that nothing prefetches it.

    Parameters
    ----------
    source : iterable
        Of batches.

    Returns
    -------
    iterable
        The same batches, with the length of `source` if it has one. `prefetch` iterates
        it in the consumer's thread, and without slots.

    Raises
    ------
    TypeError
        If `source` is not iterable.

    See Also
    --------
    prefetch : What is kept from it.

    Notes
    -----
    For sources that must run in step with the consumer, such as one whose batches
    depend on the last result; that are prefetched elsewhere; or that have it all in
    memory. A source of your own says the same by an attribute
    ``supports_prefetch = False``.

    Examples
    --------
    >>> import wspace
    >>> loader = wspace.prefetch(wspace.no_prefetch([1, 2, 3]))
    >>> list(loader), len(loader)
    ([1, 2, 3], 3)
    """
    return Shielded(source)


def detached(source: Iterable[_T]) -> Iterable[_T]:
    """Wrap a source so that its batches are detached.

    Parameters
    ----------
    source : iterable
        Of batches, such as what `prefetch` gives.

    Returns
    -------
    iterable
        Its batches, with arrays of workspaces replaced by copies on NumPy's own heap,
        as `detach` makes them.

    Raises
    ------
    TypeError
        If `source` is not iterable.

    See Also
    --------
    detach : What is done with each batch.

    Notes
    -----
    For looking for mistakes: if a program works with it and not without, it keeps
    something that it should detach.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> loader = wspace.prefetch(map(np.ones, [1000] * 3), lifetime="borrow")
    >>> [wspace.is_attached(x) for x in wspace.detached(loader)]
    [False, False, False]
    """
    return Detached(source)


def is_shielded(source: Any) -> bool:
    """Say whether a source, under all wrappers, must not be prefetched."""
    while isinstance(source, _Wrapped):
        if isinstance(source, Shielded):
            return True
        source = source.source
    return getattr(source, "supports_prefetch", True) is False


def innermost(source: Any) -> Any:
    """Return what all wrappers are around."""
    while isinstance(source, _Wrapped):
        source = source.source
    return source
