# SPDX-License-Identifier: BSD-3-Clause
"""Slots: a workspace for each batch that is under way, used again when it is free.

A slot is free when nothing refers to its batch. Whatever the order in which batches
die, their slots are free at once: there is no watermark that an old batch could hold
back. Should a slot be filled too early all the same, its workspace goes around what is
alive: no batch is ever overwritten.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from wspace._arena import Arena, raw_references
from wspace._config import WorkspaceConfig
from wspace._policies import AllocationPolicy, EscapePolicy, LearningPolicy, SpillPolicy
from wspace._workspace import Workspace

# What a block needs besides what is in use at once, in bytes: its sentinel.
_EXTRA = 512


class _Home(Workspace):
    """The workspace of a slot; `lends`: checked arrays outlive their cycle."""

    lends = False

    def _new_arena(self) -> Arena:
        arena = super()._new_arena()
        if self.lends:
            arena.lend()
        return arena


class _LendingHome(_Home):
    lends = True


class Slot:
    """One workspace, and the batch that it was filled with last."""

    def __init__(self, home: Workspace, size: int) -> None:
        self.home = home
        self.size = size
        self.leases: list[Any] = []  # weak, to what owns the batch's data
        self.batch = -1
        self._warm = 0  # bytes that were touched
        self.kept = 0  # by the source, in bytes

    @property
    def is_free(self) -> bool:
        """Whether nothing refers to its batch."""
        for lease in self.leases:  # noqa: SIM110 - this is asked for every batch
            if lease() is not None:
                return False
        return True

    def warm(self) -> None:
        """Touch the whole block, once: a batch may have to be copied there late."""
        if self._warm < self.size:
            self.home._arena.warm(self.size)
            self._warm = self.size

    def grow(self, size: int) -> None:
        """Make the block larger; if it is refused, what does not fit is spilled."""
        arena = self.home._arena
        arena.recover()  # of a producer that has died
        arena.resize(size)
        self.size = size

    def end(self, generation: int, leases: list[Any]) -> list[tuple[Any, int]]:
        """Make a borrowed batch stale; return which arrays have how many plain views.

        The slot may have been filled anew by now: then all of that batch is dead.
        """
        found = [lease() for lease in leases]
        owners = [owner for owner in found if owner is not None]
        del found
        counts = raw_references(owners)
        self.home._arena.take_back(generation)
        return [pair for pair in zip(owners, counts, strict=True) if pair[1] > 0]


class Slots:
    """The slots of one prefetcher; used by one producer at a time."""

    def __init__(
        self, name: str, count: int, config: WorkspaceConfig, lends: bool
    ) -> None:
        self.count = count
        self.resizes = 0
        self.first_bytes = 0
        self.most_bytes = 0
        self._name = name
        self._config = config
        self._kind = _LendingHome if lends else _Home
        self._start()

    def begin(self) -> None:
        """Start anew in the child of a fork, whose memory is the parent's."""
        if self._process != os.getpid():
            self._start()

    def _start(self) -> None:
        self.size = self._config.initial_size
        self._all: list[Slot] = []  # the one that was filled last is at the end
        self._process = os.getpid()

    def take(self) -> Slot | None:
        """Return a free slot of the right size; None: all batches are referred to."""
        slots = self._all
        if len(slots) < self.count:
            slot = self.extra()
            if self.size or not self._may_grow:  # the first is for measuring only
                slots.append(slot)
            return slot
        for i in range(len(slots) - 1, -1, -1):
            slot = slots[i]
            if slot.is_free:
                slots.append(slots.pop(i))  # the next time first: its memory is warm
                if slot.size < self.size:
                    slot.grow(self.size)
                return slot
        return None

    def extra(self) -> Slot:
        """Make a slot that is not used again."""
        config = self._config.replace(
            learning=LearningPolicy.NONE,
            escape=EscapePolicy.IGNORE,
            initial_size=self.size,
            checked=True,
            spill=self._config.spill if self.size else SpillPolicy.REALLOCATE,
        )
        return Slot(self._kind(f"{self._name}[{len(self._all)}]", config), self.size)

    def measure(self, slot: Slot) -> None:
        """Learn from a batch how large slots have to be, with the scope still open."""
        most, slot.kept = slot.home._arena.usage()
        if most > self.most_bytes:
            if self.first_bytes:
                self.most_bytes = most
            else:
                self.first_bytes = most
        if most and most + _EXTRA > self.size and self._may_grow:
            self.resizes += self.size > 0
            self.size = max(self.size, self._size_for(most + _EXTRA))

    @property
    def _may_grow(self) -> bool:
        if self._config.learning is LearningPolicy.NONE:
            return False
        return not self.size or self._config.spill is SpillPolicy.REALLOCATE

    def _size_for(self, need: int) -> int:
        config = self._config
        if config.allocation is AllocationPolicy.OVERALLOCATE:
            need += int(need * config.overallocation)
        need = max(need, config.min_size)
        return need if config.max_size is None else min(need, config.max_size)

    @property
    def kept(self) -> int:
        """What the source keeps in the slots, in bytes."""
        return sum(slot.kept for slot in list(self._all))

    def held(self) -> list[int]:
        """Return the batches that are referred to."""
        return sorted(slot.batch for slot in self._all if not slot.is_free)

    def watch(self, tell: Callable[[Any], None]) -> list[Any]:
        """Have `tell` called at the death of what a batch's data is owned by.

        For as long as the list that is returned lives.
        """
        leases = [lease for slot in self._all for lease in slot.leases]
        owners = (lease() for lease in leases)
        return [weakref.ref(owner, tell) for owner in owners if owner is not None]

    def close(self) -> None:
        """Give the memory back that no batch has."""
        for slot in self._all:
            if not slot.home.is_open:
                slot.home.close()
        self._all = []
