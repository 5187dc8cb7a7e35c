# SPDX-License-Identifier: BSD-3-Clause
"""`Sizing`: what size the block of a workspace has, and what is said of its spills."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypedDict

from wspace import _errors
from wspace._config import WorkspaceConfig
from wspace._policies import (
    AllocationPolicy,
    LearningPolicy,
    LocationPolicy,
    ResetPolicy,
    SpillPolicy,
)
from wspace._scope import WATCH_ALLOCATIONS, WATCH_CARRIED, WATCH_SPILLS
from wspace._trimming import Trimmer

if TYPE_CHECKING:
    from wspace._arena import Arena

# Cycles in a row that spill before a block that does not grow is complained of.
_PERSISTS = 3

# Of a block that arrays are carried through: what fits into the free ranges between
# survivors is less than their sum, by this factor; and the share of a cycle's bytes
# from which on that matters.
_WALLS = 1.2
_CARRIES = 1 / 32


class Cycle(TypedDict):
    """What the core says of a cycle that has ended; see ``wsp_cycle`` in ``wsp.h``."""

    generation: int
    high_water: int
    need: int
    fit: int
    spilled: int
    carried: int
    escaped: int
    escaped_count: int
    allocations: int
    outside: bool


def _with_walls(cycle: Cycle, need: int) -> int:
    """Return what a block must hold for such a cycle, survivors in it considered."""
    high_water, carried = cycle["high_water"], cycle["carried"]
    if carried < _CARRIES * high_water:
        return need
    return max(need, int(_WALLS * (high_water + carried)))


class Sizing:
    """Learn the size of one block from the cycles that use it."""

    def __init__(self, name: str, config: WorkspaceConfig) -> None:
        self._name = name
        self._config = config
        self.restart()

    def restart(self) -> None:
        """Forget what was learned, as before the first cycle."""
        config = self._config
        self._is_file = config.location is LocationPolicy.MMAP
        self.is_learning = not self._is_file and self._learns
        self._cycles = 0  # that were learned from
        self._trimmer = None if config.trim_to is None else Trimmer(config.trim_to)
        self._last_spill = 0  # generation of the last cycle that spilled
        self._spills_in_a_row = 0
        self._complained = False
        self._carries = False  # and is sized and warmed for it

    @property
    def _learns(self) -> bool:
        learning = self._config.learning
        is_first = learning is LearningPolicy.FIRST_LOOP and not self.first_size
        return is_first or learning is LearningPolicy.OVER_TIME

    @property
    def watch(self) -> int:
        """What the scope must tell at the end of a cycle."""
        watch: int = WATCH_SPILLS
        if self.is_learning or self._trimmer is not None:
            watch |= WATCH_ALLOCATIONS
        if not (self.is_learning or self._carries):
            watch |= WATCH_CARRIED
        return watch

    @property
    def first_size(self) -> int:
        """Size of the block that the first allocation makes, in bytes; 0: none."""
        config = self._config
        if config.initial_size or config.learning is LearningPolicy.NONE:
            return self._bounded(config.initial_size)
        return 0

    def _bounded(self, size: int) -> int:
        """Hold a size within its bounds; the maximum wins."""
        config = self._config
        size = max(size, config.min_size)
        return size if config.max_size is None else min(size, config.max_size)

    def size_for(self, need: int) -> int:
        """Return the size of block for what a cycle needed, in bytes."""
        config = self._config
        size = float(need)
        if config.allocation is AllocationPolicy.OVERALLOCATE:
            size *= 1.0 + config.overallocation
        return self._bounded(int(min(size, sys.maxsize // 4)))

    def settle(
        self, arena: Arena, cycle: Cycle, largest: Cycle | None, is_passing: bool
    ) -> Warning | None:
        """Do what the policies say at the end of a noteworthy cycle.

        `largest` is the one that needed most since the last learning. What is to be
        said is returned, and nothing if an exception `is_passing`.
        """
        if self.is_learning:
            self._cycles += 1  # it allocates: the scope tells of no others
            if largest is not None and self._knows_enough:
                self.learn(arena, largest)
                return None
        elif cycle["allocations"] and self._trimmer is not None:
            self._trim(arena, cycle, self._trimmer)
        if cycle["carried"] and not (self._carries or self.is_learning):
            self._after_carried(arena, cycle)
        if cycle["spilled"]:
            return self._after_spill(arena, cycle, is_passing)
        return None

    @property
    def _knows_enough(self) -> bool:
        config = self._config
        if config.learning is LearningPolicy.FIRST_LOOP:
            return self._cycles > 0
        return 0 < config.cycles_before_initialization <= self._cycles

    def learn(self, arena: Arena, largest: Cycle) -> int | None:
        """Size the block for a cycle; return the size, None if upstream refused.

        It is tried again after the next cycle that allocates then.
        """
        size = self.size_for(_with_walls(largest, largest["fit"]))
        if not arena.fit(size):
            return None
        self.is_learning = False
        self._spills_in_a_row = 0
        return arena.capacity

    def _trim(self, arena: Arena, cycle: Cycle, trimmer: Trimmer) -> None:
        need, capacity = _with_walls(cycle, cycle["fit"]), arena.capacity
        size = trimmer.size_after(need, capacity, self.size_for)
        if size is not None and arena.fit(size) and self._carries:
            arena.warm(size)

    def _after_carried(self, arena: Arena, cycle: Cycle) -> None:
        """Fit the block to arrays that are carried from cycle to cycle, once.

        Which of its ranges are free differs from one cycle to the next, so it is
        brought into memory whole: else new pages would be touched now and then.
        """
        self._carries = True
        size = self.size_for(_with_walls(cycle, cycle["need"]))
        if self._what_holds_it is None:
            arena.resize(size)
        arena.warm(size)

    def _after_spill(
        self, arena: Arena, cycle: Cycle, is_passing: bool
    ) -> Warning | None:
        capacity = arena.capacity
        in_a_row = self._last_spill == cycle["generation"] - 1
        self._last_spill = cycle["generation"]
        self._spills_in_a_row = self._spills_in_a_row + 1 if in_a_row else 1
        if cycle["outside"] and capacity and self._config.reset is ResetPolicy.RING:
            return None if is_passing else self._complaint_of_ring()
        if self._grow(arena, cycle):
            self._spills_in_a_row = 0
        elif self._spills_in_a_row >= 2 and cycle["high_water"] < capacity:
            # It would fit into a block without survivors.
            arena.move()
            self._spills_in_a_row = 0
        elif not is_passing:
            return self._complaint(arena, cycle)
        return None

    def _grow(self, arena: Arena, cycle: Cycle) -> bool:
        """Grow the block to what was needed; say whether it is larger now."""
        if self._what_holds_it is not None or self._trimmer is not None:
            return False
        before = arena.capacity
        arena.resize(self.size_for(_with_walls(cycle, cycle["need"])))
        if self._carries:
            arena.warm(arena.capacity)
        return arena.capacity > before

    @property
    def _what_holds_it(self) -> str | None:
        """The field that keeps the block from growing, with its value; or None."""
        config = self._config
        if self._is_file:
            return "location='mmap'"
        if self.is_learning:
            return f"learning={str(config.learning)!r} without `learn()`"
        if config.spill is not SpillPolicy.REALLOCATE:
            return f"spill={str(config.spill)!r}"
        if config.learning is LearningPolicy.NONE:
            return f"learning={str(config.learning)!r}"
        return None

    def _complaint_of_ring(self) -> Warning | None:
        """Complain once of a ring all of whose slots hold arrays."""
        count, slots = self._spills_in_a_row, self._config.slots
        if self._complained or count < max(_PERSISTS, slots):
            return None
        self._complained = True
        return _errors.ring_is_held(self._name, count, slots)

    def _complaint(self, arena: Arena, cycle: Cycle) -> Warning | None:
        """Complain once of a block that is too small and does not grow."""
        if self._complained or self._spills_in_a_row < _PERSISTS:
            return None
        why, capacity = self._what_holds_it, arena.capacity
        if why is None and capacity == self._config.max_size:
            why = f"max_size={capacity}"
        config = self._config
        by_choice = config.learning is LearningPolicy.NONE
        will_end = self.is_learning and config.cycles_before_initialization != 0
        if why is None or by_choice or will_end:
            return None  # None: the system refuses, and is asked again
        self._complained = True
        count, nbytes = self._spills_in_a_row, cycle["spilled"]
        if self._is_file and not capacity:
            return _errors.file_is_held(self._name, count)
        need = _with_walls(cycle, cycle["fit"])
        return _errors.spills_persist(self._name, count, nbytes, need, capacity, why)
