# SPDX-License-Identifier: BSD-3-Clause
"""What the policies promise of sizes, spills and slots, in plain Python.

The models know how bytes are rounded (`bytes_for`), that a block has a granule in front
and whole granules behind, and the words of the documentation; nothing of the sources.
"""

from fractions import Fraction
from math import ceil

from wspace._trimming import WINDOW

GRANULE = HEADER = 64


def room(capacity):
    """Return what a block holds, in bytes."""
    return max(capacity - GRANULE, 0) // GRANULE * GRANULE


class TrimModel:
    """The size that a share of the last cycles asks for."""

    def __init__(self, share):
        self.share, self.needs = Fraction(share), []
        self.patience, self.small, self.trimmed = WINDOW, 0, False

    def size_after(self, need, capacity, size_for):
        self.needs.append(need)
        recent = sorted(self.needs[-WINDOW:])
        share = next(n for n in recent if self.is_enough(n, recent))
        if share > capacity:
            self.patience *= 2 if self.trimmed else 1
            self.small, self.trimmed = 0, False
            return size_for(share)
        self.small = self.small + 1 if 2 * size_for(share) <= capacity else 0
        if self.small < self.patience:
            return None
        self.small, self.trimmed = 0, True
        return size_for(share)

    def is_enough(self, need, recent):
        return sum(n <= need for n in recent) >= ceil(self.share * len(recent))


class SizeModel:
    """A workspace whose cycles have all of their arrays at once, and none survives."""

    def __init__(self, config, bytes_for):
        self.config, self.bytes_for = config, bytes_for
        self.spills = self.allocations = self.generation = 0
        self.release()

    def release(self):
        self.capacity, self.has_block = 0, False
        self.seen, self.largest = 0, 0
        share = self.config.trim_to
        self.trim = None if share is None else TrimModel(str(share))
        self.is_learning = self.config.learning == "over_time" or (
            self.config.learning == "first_loop" and not self.config.initial_size
        )

    def size_for(self, need):
        if self.config.allocation == "overallocate":
            need = int(need * (1 + self.config.overallocation))
        return self.bounded(need)

    def bounded(self, size):
        size = max(size, self.config.min_size)
        most = self.config.max_size
        return size if most is None else min(size, most)

    def first_size(self):
        if self.config.initial_size or self.config.learning == "none":
            return self.bounded(self.config.initial_size)
        return 0

    def allocate(self, asked):
        """Say where an allocation goes: "block", "outside" or "refused"."""
        if not self.has_block and self.first_size():
            self.capacity, self.has_block = self.first_size(), True
        span = self.bytes_for(asked)
        if self.inside + span <= room(self.capacity):
            self.inside += span
            return "block"
        if self.config.spill == "fail":
            most = self.config.max_size
            learns = self.is_learning and not self.has_block
            if not learns or (most is not None and span > most - self.outside):
                return "refused"
        self.outside += span
        if not (self.is_learning and not self.has_block):
            self.spilled += span
            self.spills += 1
        return "outside"

    def cycle(self, sizes):
        """Run a cycle; return where its allocations went."""
        self.inside = self.outside = self.spilled = 0
        self.generation += 1
        went = [self.allocate(size) for size in sizes]
        served = len(went) - went.count("refused")
        self.allocations += served
        if served:
            self.end(self.fit())
        return went

    def fit(self):
        used, extra = self.inside + self.outside, GRANULE + HEADER
        if self.spilled and self.has_block and used <= self.capacity:
            return self.capacity + self.spilled + extra
        return used + extra

    def end(self, fit):
        self.largest = max(self.largest, fit)
        if self.is_learning:
            self.seen += 1
            count = self.config.cycles_before_initialization
            if self.config.learning == "first_loop" or 0 < count <= self.seen:
                self.learn()
            return
        if self.trim is not None:
            size = self.trim.size_after(fit, self.capacity, self.size_for)
            self.capacity = self.capacity if size is None else size
        elif self.spilled and self.may_grow:
            self.capacity = max(self.capacity, self.size_for(fit))

    @property
    def may_grow(self):
        return self.config.spill == "reallocate" and self.config.learning != "none"

    def learn(self):
        """Size the block; say whether there was something to learn from."""
        if not self.largest:
            return False
        self.capacity, self.has_block = self.size_for(self.largest), True
        self.largest, self.is_learning = 0, False
        return True


class RingModel:
    """A ring whose slots never grow, and the arrays that hold them."""

    def __init__(self, slots, size, on_busy):
        self.slots, self.room, self.on_busy = slots, room(size), on_busy
        self.held = [set() for _ in range(slots)]  # of numbers of arrays
        self.generations, self.busy = [0] * slots, [0] * slots
        self.turn = -1
        self.generation = self.spills = 0
        self.refused_turn = None

    def take(self):
        """Begin a cycle; return its slot, None for outside, or False: refused."""
        turn = (self.turn + 1) % self.slots
        order = [(turn + i) % self.slots for i in range(self.slots)]
        free = [slot for slot in order if not self.held[slot]]
        if self.held[turn] and self.refused_turn != self.generation:
            self.busy[turn] += 1
            self.refused_turn = self.generation
        if not self.held[turn]:
            slot = turn
        elif self.on_busy == "skip" and free:
            slot = free[0]
        elif self.on_busy == "raise":
            return False
        else:
            slot = None
        self.turn = turn if slot is None else slot
        self.generation += 1
        self.used = 0
        if slot is not None:
            self.generations[slot] = self.generation
        return slot

    def allocate(self, slot, span, number):
        """Account for an array; say whether it is in the slot."""
        fits = slot is not None and span <= self.room - self.used
        if fits:
            self.used += span
            self.held[slot].add(number)
        else:
            self.spills += 1
        return fits

    def drop(self, number):
        """Account for the death of an array between cycles."""
        for numbers in self.held:
            numbers.discard(number)
