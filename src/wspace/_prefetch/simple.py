# SPDX-License-Identifier: BSD-3-Clause
"""The short way for most batches: an array, or a tuple, list or dict of arrays.

An array that nobody else refers to goes out as it is. One that is also in a variable of
the generator that gave it would have to be copied, since the generator may write into
it when it runs on; but nearly all of them only bind the variable anew. So it is made
read-only instead, and looked at again when the consumer asks for it: by then, or a
moment later, the generator has mostly let go, and it is made writable and handed out;
else it is copied. A generator that does write raises. First it is watched for whether
it lets go.
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
from wspace._prefetch.slots import Slot, Slots

# Hold no arrays and are skipped at once.
LEAVES = {type(None), bool, int, float, complex, str, bytes, np.int64, np.float64}


def references(found: list[Any]) -> list[int]:
    """Count the references to each item of a list."""
    return [getrefcount(x) for x in found]


# What counting itself adds: the list, the loop and the call; not all do in all Pythons.
OWN = references([object()])[0]


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
) -> tuple[list[Any], list[Any] | None] | None:
    """Return what owns the data and what a variable still has, both weakly.

    None: it is not simple, and nothing was done.
    """
    arena = None if slot is None else slot.home._arena
    found = _arena.sole_leases(arena, held, spare)
    if found is None:
        return None
    leases, lent = found
    if not lent:
        return leases, None
    if not all(x.flags.writeable and variables.have(x) for x in lent):
        return None
    if not variables.let_go:
        variables.watch(lent)
        return None
    for array in lent:
        array.flags.writeable = False
    return leases, [weakref.ref(array) for array in lent]


def late(lent: list[Any]) -> list[Any]:
    """Return what the variables of the source still have of a batch.

    Else only the batch refers to it, since it has not been handed out yet.
    """
    arrays = [ref() for ref in lent]
    counts = references(arrays)
    return [x for x, count in zip(arrays, counts, strict=True) if count > OWN + 1]


def settle(
    held: list[Any],
    lent: list[Any],
    copied: list[Any],
    slot: Slot | None,
    slots: Slots | None,
) -> None:
    """Make a batch writable that was lent, and replace what is to be copied."""
    for ref in lent:
        array = ref()
        if not any(array is each for each in copied):
            array.flags.writeable = True
    if copied:
        made = _copies(copied, slot, slots)
        held[0] = _replaced(
            held[0], {id(x): y for x, y in zip(copied, made, strict=True)}
        )


def _copies(arrays: list[Any], slot: Slot | None, slots: Slots | None) -> list[Any]:
    if slot is None or slots is None:
        return [_arena.copy_out(x) for x in arrays]
    with slot.home:
        made = [np.array(x, order="K") for x in arrays]
        slots.measure(slot)
    slot.leases = slot.leases + [weakref.ref(x) for x in made]
    return made


def _replaced(batch: Any, made: dict[int, Any]) -> Any:
    kind = type(batch)
    if kind is dict:
        return {key: made.get(id(x), x) for key, x in batch.items()}
    if kind is tuple or kind is list:
        return kind(made.get(id(x), x) for x in batch)
    return made[id(batch)]
