# SPDX-License-Identifier: BSD-3-Clause
"""Random programs of slots, and of consumers, against what should be."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import wspace
from wspace._prefetch.batch import Adopted
from wspace._prefetch.plan import Lifetime
from wspace._prefetch.slots import Slots

SIZES = st.sampled_from([1, 100, 129, 1000, 5000, 40_000])
VIEWS = [
    lambda x: x,
    lambda x: x[len(x) // 2 :],
    lambda x: x.reshape(1, -1),
    memoryview,
    np.from_dlpack,
]


class SlotsMachine(RuleBasedStateMachine):
    """A producer and consumers of any kind, step by step."""

    def __init__(self):
        super().__init__()
        self.slots = Slots("model", 4, wspace.WorkspaceConfig(), False)
        self.number = 0
        self.held = []  # (number, view)
        self.slot_of = {}
        self.kept_by_source = []

    def lives(self, number):
        return any(number == each for each, _ in self.held)

    @rule(size=SIZES, shared=st.booleans(), view=st.sampled_from(VIEWS))
    def produce(self, size, shared, view):
        slot = self.slots.take()
        number, self.number = self.number, self.number + 1
        if slot is None:
            taken = [n for n, s in self.slot_of.items() if s in self.slots._all]
            assert sum(map(self.lives, taken)) >= self.slots.count
            return
        for earlier, its in self.slot_of.items():
            if its is slot:
                assert not self.lives(earlier)
        self.slot_of = {n: s for n, s in self.slot_of.items() if s is not slot}
        with slot.home:
            held = [np.full(size, float(number))]
            if shared:
                self.kept_by_source.append(held[0])
            adopted = Adopted(held, Lifetime.LEASE, slot.home, 0)
            self.slots.measure(slot)
        assert adopted.copies == shared
        slot.batch, slot.leases = number, adopted.leases
        if size * 8 >= 1024:
            self.slot_of[number] = slot
        self.held.append((number, view(held.pop())))

    @precondition(lambda self: self.held)
    @rule(at=st.integers(0, 10**6))
    def drop(self, at):
        del self.held[at % len(self.held)]

    @precondition(lambda self: self.held)
    @rule(at=st.integers(0, 10**6), view=st.sampled_from(VIEWS[:2]))
    def take_a_view(self, at, view):
        number, x = self.held[at % len(self.held)]
        self.held.append((number, view(np.asarray(x).ravel())))

    @precondition(lambda self: self.kept_by_source)
    @rule()
    def the_source_writes(self):
        self.kept_by_source.pop()[:] = -1.0

    @invariant()
    def what_is_held_has_its_values(self):
        for number, x in self.held:
            assert (np.asarray(x) == number).all()

    @invariant()
    def slots_are_free_when_nothing_refers_to_their_batch(self):
        for number, slot in self.slot_of.items():
            assert slot.is_free != self.lives(number)

    def teardown(self):
        self.held.clear()
        self.kept_by_source.clear()
        self.slots.close()


TestSlots = SlotsMachine.TestCase
TestSlots.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    depth=st.integers(1, 4),
    lifetime=st.sampled_from(["lease", "copy", "borrow"]),
    form=st.sampled_from(["returned", "yielded", "buffer"]),
    most=st.integers(0, 12),
)
def test_a_consumer_sees_every_batch_whatever_it_keeps(
    seed, depth, lifetime, form, most
):
    sizes = np.random.default_rng(seed).integers(1, 20_000, 60).tolist()
    loader = wspace.prefetch(SOURCES[form](sizes), depth, lifetime=lifetime)
    choose = random.Random(seed)
    kept, number = [], 0
    for number, (x, i) in enumerate(loader, 1):
        assert i == number - 1
        assert x.size == sizes[i]
        assert x[0] == x[-1] == i
        if lifetime != "borrow":
            kept.append((i, x[choose.randrange(x.size) :]))
            x = None
            while len(kept) > most:
                del kept[choose.randrange(len(kept))]
            assert all((view == j).all() for j, view in kept)
    assert number == 60
    kept.clear()
    loader.close()


def returned(sizes):
    return ((np.full(size, float(i)), i) for i, size in enumerate(sizes))


def yielded(sizes):
    for i, size in enumerate(sizes):
        x = np.full(size, float(i))
        yield x, i


def buffer(sizes):
    x = np.empty(max(sizes))
    for i, size in enumerate(sizes):
        x[:size] = i
        yield x[:size], i


SOURCES = {"returned": returned, "yielded": yielded, "buffer": buffer}


@pytest.mark.slow
def test_a_soak_of_series_of_different_lengths_loses_no_bit(run_python):
    out = run_python(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import soak_prefetch
        loader, _ = soak_prefetch.main(20_000)
        print(loader.stats.batches, loader.stats.spills > 0)
    """)
    assert out == "20000 True\n"
