# SPDX-License-Identifier: BSD-3-Clause
"""The short way for most batches: an array, or a tuple, list or dict of arrays.

An array that nobody else refers to goes out as it is. One that is also in a variable of
the generator that gave it would have to be copied, since the generator may write into
it when it runs on; but nearly all of them only bind the variable anew. So it is made
read-only instead, and looked at again when the consumer asks for it: by then the
generator has mostly let go, and it is made writable and handed out; else it is copied.
A generator that does write raises. First it is watched for whether it lets go.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from sys import getrefcount
from types import GeneratorType
from typing import Any

import numpy as np

from wspace import _arena
from wspace._arena import sole_leases
from wspace._prefetch.slots import Slot, Slots

# Hold no arrays and are skipped at once.
LEAVES = {type(None), bool, int, float, complex, str, bytes, np.int64, np.float64}


def references(found: list[Any]) -> list[int]:
    """Count the references to each item of a list."""
    return [getrefcount(x) for x in found]


# What counting itself adds: the list, the loop and the call; not all do in all Pythons.
OWN = references([object()])[0]


def _inside(held: list[Any]) -> list[Any] | None:
    """List what is in a batch; `held` itself for an array; None: it is not simple."""
    kind = type(held[0])
    if kind is np.ndarray:
        return held
    if kind is tuple or kind is list:
        return list(held[0])
    return list(held[0].values()) if kind is dict else None


class Variables:
    """Those of the generator that is the source; None of any other source."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches: Any = batches if type(batches) is GeneratorType else None
        self.let_go = False  # of each array, when they are asked for the next
        self._watched: list[Any] = []  # weakly: what they had when last asked

    def look(self) -> None:
        """See whether the generator, which has just run, has let go of what it gave."""
        if self._watched:
            self.let_go = all(ref() is None for ref in self._watched)
            self._watched = []
            if not self.let_go:
                self._batches = None

    def watch(self, arrays: list[Any]) -> None:
        """Find out about the generator by these arrays, of which copies are made."""
        self._watched = [weakref.ref(array) for array in arrays]

    def have(self, array: Any) -> bool:
        """Whether one of them is the array."""
        batches = self._batches
        while type(batches) is GeneratorType:
            if any(array is each for each in gc.get_referents(batches)):
                return True
            batches = batches.gi_yieldfrom
        return False


def adopt(
    held: list[Any], slot: Slot | None, spare: int, variables: Variables
) -> tuple[list[Any], bool] | None:
    """Return what owns the data, weakly, and whether a variable still has some of it.

    None: it is not simple, and nothing was done.
    """
    arena = None if slot is None else slot.home._arena
    sole = sole_leases(arena, held, spare)
    if sole is not None:
        return sole, False
    if references(held)[0] - OWN > spare and type(held[0]) is not np.ndarray:
        return None
    inside = _inside(held)
    if inside is None:
        return None
    alone = OWN + (inside is not held)
    owners, lent = [], []
    for child, count in zip(inside, references(inside), strict=True):
        if type(child) is np.ndarray:
            if count > alone + 1 or not child.flags.owndata or child.dtype.hasobject:
                return None
            owners.append(child)
            if count > alone:
                lent.append(child)
        elif type(child) not in LEAVES:
            return None
    if lent and not _lend(lent, variables):
        return None
    if arena is None:
        return [], bool(lent)
    leases = [weakref.ref(owner) for owner in owners if arena.contains(owner)]
    return leases, bool(lent)


def _lend(arrays: list[Any], variables: Variables) -> bool:
    """Make what variables have read-only, if the generator is known to let go."""
    if not all(x.flags.writeable and variables.have(x) for x in arrays):
        return False
    if not variables.let_go:
        variables.watch(arrays)
        return False
    for array in arrays:
        array.flags.writeable = False
    return True


def settle(held: list[Any], slot: Slot | None, slots: Slots | None) -> int:
    """Make a batch writable that was lent by a generator; return how much is copied.

    Called by the consumer, who has the batch alone, but for the generator.
    """
    inside = _inside(held) or []
    alone = OWN + (inside is not held)
    late = {}
    for i, count in enumerate(references(inside)):
        child = inside[i]
        if type(child) is not np.ndarray or child.flags.writeable:
            continue
        if count > alone:
            late[i] = child
        else:
            child.flags.writeable = True
    if late:
        _replace(held, inside, _copies(late, slot, slots))
    return len(late)


def _copies(
    late: dict[int, Any], slot: Slot | None, slots: Slots | None
) -> dict[int, Any]:
    if slot is None or slots is None:
        return {i: _arena.copy_out(x) for i, x in late.items()}
    with slot.home:
        made = {i: np.array(x, order="K") for i, x in late.items()}
        slots.measure(slot)
    slot.leases = slot.leases + [weakref.ref(x) for x in made.values()]
    return made


def _replace(held: list[Any], inside: list[Any], made: dict[int, Any]) -> None:
    if inside is held:
        held[0] = made[0]
        return
    items = [made.get(i, x) for i, x in enumerate(inside)]
    kind = type(held[0])
    held[0] = dict(zip(held[0], items, strict=True)) if kind is dict else kind(items)
