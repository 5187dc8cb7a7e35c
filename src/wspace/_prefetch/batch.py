# SPDX-License-Identifier: BSD-3-Clause
"""What of a batch is the producer's alone, and what has to be copied.

The source runs again while its batch waits, so memory that the source can still reach
must not be handed out. Who refers to an object is counted: an array that the batch has
to itself goes out as it is, every other one as a copy.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from wspace import _arena, _walk
from wspace._prefetch.plan import Lifetime
from wspace._prefetch.simple import LEAVES, OWN, references
from wspace._scope import scope_out
from wspace._workspace import Workspace

_Lease = weakref.ref[Any]


def _children(x: Any) -> Iterable[Any]:
    """Return what is reached through `x`: what it holds, what its memory is of."""
    if isinstance(x, np.ndarray):
        below = () if x.base is None else (x.base,)
        return (*x.flat, *below) if x.dtype.hasobject else below
    return _walk._contents(x)


class Contents:
    """All that a batch, alone in a list, consists of, and what of it is shared.

    `spare` says how many further references to the batch itself do no harm.
    """

    def __init__(self, held: list[Any], spare: int = 0) -> None:
        found = list(held)
        times = [1]
        index = {id(found[0]): 0}
        for x in found:  # which grows meanwhile
            for child in _children(x):
                if type(child) in LEAVES:
                    continue
                at = index.setdefault(id(child), len(found))
                if at == len(found):
                    found.append(child)
                    times.append(0)
                times[at] += 1
        x = child = None
        counts = references(found)
        counts[0] -= spare
        self.found = found
        self._reached = [found[i] for i, n in enumerate(times) if counts[i] - OWN > n]
        self.arrays = [x for x in found if isinstance(x, np.ndarray)]
        for x in found:
            if _arena.is_stale(x):
                _arena.raise_stale(x)
        self._shared = self._all_below() if self._reached else set()

    def _all_below(self) -> set[int]:
        waiting, below = list(self._reached), set()
        while waiting:
            x = waiting.pop()
            if id(x) not in below:
                below.add(id(x))
                waiting.extend(_children(x))
        return below

    def is_shared(self, array: Any) -> bool:
        """Whether others can reach the memory; True if that cannot be known."""
        if type(array) is not np.ndarray:
            return True
        while isinstance(array, np.ndarray):
            if id(array) in self._shared:
                return True
            array = array.base
        return not (array is None or type(array) is bytes)

    @property
    def needs_care(self) -> bool:
        """Whether anything may have to be copied."""
        return any(map(self.is_shared, self.arrays)) or any(
            _walk.arrays_in(x) is not None for x in self.found
        )


class Adopted:
    """A batch that is safe to hand out, and what tells that nobody refers to it.

    `home` is the workspace whose scope is open, None: there is none.
    """

    def __init__(
        self, held: list[Any], lifetime: Lifetime, home: Workspace | None, spare: int
    ) -> None:
        self.copies = 0
        self._lifetime = lifetime
        self._home = home
        self._contents = Contents(held, spare)
        self._made: list[Any] = []
        lends = lifetime is Lifetime.BORROW and home is not None
        if lends or lifetime is Lifetime.COPY or self._contents.needs_care:
            held[0] = _walk.walk(held[0], self._leaf, self._library)
        else:
            self._made = self._contents.arrays
        self.leases: list[_Lease] = []
        if home is not None:
            self.leases = _leases(self._made, None if lends else home)
        del self._contents, self._made

    def _leaf(self, array: Any) -> Any:
        if self._lifetime is Lifetime.COPY:
            made = self._detached(array)
        else:
            made = self._copy(array) if self._contents.is_shared(array) else array
            if self._lifetime is Lifetime.BORROW and self._home is not None:
                made = self._lent(made, self._home)
        self._made.append(made)
        return made

    def _copy(self, array: Any) -> Any:
        self.copies += 1
        if self._lifetime is Lifetime.BORROW and self._home is not None:
            return self._home._copy_in(array, False)
        if type(array) is np.ndarray or _arena.is_checked(array):
            return np.array(array, order="K", subok=False)
        return array.copy(order="K")

    def _detached(self, array: Any) -> Any:
        if not (_arena.owner_of(array)[0] or self._contents.is_shared(array)):
            return array
        with scope_out():
            return self._copy(array)

    def _lent(self, array: Any, home: Workspace) -> Any:
        """Make it a checked array of the slot, unless that loses its class."""
        if type(array) is not np.ndarray:
            return array
        view = _arena.checked_view(array)
        if not _is_of(view, home):
            view = _arena.checked_view(self._copy(array))
        return view if _is_of(view, home) else array

    def _library(self, held: Any, arrays: list[Any]) -> Any:
        """Copy objects of pandas and xarray, which do not say what they share."""
        self.copies += len(arrays)
        if self._lifetime is Lifetime.COPY:
            with scope_out():
                return _walk.copy_of(held)
        made = _walk.copy_of(held)
        self._made += _walk.arrays_in(made) or ()
        return made


def _is_of(view: Any, home: Workspace) -> bool:
    return _arena.is_linked(view) and _arena.owner_of(view)[1] is home


def _leases(arrays: list[Any], home: Workspace | None) -> list[_Lease]:
    """Refer weakly to what owns the data of the arrays; of those in a slot, if given.

    It lives for as long as anything refers to the data: views, memoryviews, exports.
    """
    owners = {}
    for array in arrays:
        owner = _arena.data_owner(array)
        if owner is not None and (home is None or home._arena.contains(owner)):
            owners[id(owner)] = owner
    return [weakref.ref(owner) for owner in owners.values()]


class Seen:
    """The arrays of earlier batches that are still alive, for sources without slots."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[int, int], tuple[_Lease, int]] = {}

    def earlier(self, held: list[Any], number: int) -> int | None:
        """Remember a batch; return the one that has the same memory, if one does."""
        self._arrays = {
            span: (lease, batch)
            for span, (lease, batch) in self._arrays.items()
            if lease() is not None
        }
        found: list[Any] = []

        def collect(x: Any) -> Any:
            found.append(x)
            return x

        _walk.walk(held[0], collect, lambda x, _: x)
        spans = {byte_bounds(x): x for x in found if x.nbytes and x.flags.writeable}
        again = [self._arrays[span][1] for span in spans if span in self._arrays]
        for span, array in spans.items():
            self._arrays[span] = weakref.ref(array), number
        return min(again, default=None)
