# SPDX-License-Identifier: BSD-3-Clause
"""Random cycles under each policy, against models of them in plain Python."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_model import RingModel, SizeModel, TrimModel

import wspace
from wspace._trimming import Trimmer

pytestmark = [
    pytest.mark.filterwarnings("ignore:workspace:RuntimeWarning"),
    pytest.mark.slow,
]

SETTINGS = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

SMALL = st.integers(1024, 40_000)
SIZES = st.lists(st.one_of(SMALL, st.integers(1024, 500_000)), max_size=6)
# A cycle, or many that are alike.
CYCLES = st.tuples(SIZES, st.sampled_from([1, 1, 1, 2, 70]))
STEPS = st.lists(
    st.one_of(CYCLES, st.sampled_from(["learn", "release"])), min_size=1, max_size=15
)


@st.composite
def configs(draw):
    """Draw a configuration that is allowed."""
    fields = {
        "learning": draw(st.sampled_from(["first_loop", "over_time", "none"])),
        "spill": draw(
            st.sampled_from(["reallocate", "reallocate", "external", "fail"])
        ),
        "allocation": draw(st.sampled_from(["strict", "overallocate"])),
        "overallocation": draw(st.sampled_from([0.0, 0.25, 1.5])),
        "initial_size": draw(st.sampled_from([0, 0, 20_000, 300_000])),
        "min_size": draw(st.sampled_from([0, 0, 50_000, 400_000])),
        "max_size": draw(st.sampled_from([None, None, 300_001, 500_000])),
    }
    if fields["learning"] == "over_time":
        count = draw(st.integers(0, 4))
        fields["cycles_before_initialization"] = count
    if fields["learning"] == "none" and fields["spill"] == "fail":
        fields["initial_size"] = 20_000
    if fields["learning"] != "none" and fields["spill"] == "reallocate":
        fields["trim_to"] = draw(st.sampled_from([None, None, "p50", "p95", "p100"]))
    return wspace.WorkspaceConfig(**fields)


def run_cycle(ws, sizes, went):
    """Run a cycle and compare where its allocations went."""
    with ws:
        arrays = []
        for n, (size, where) in enumerate(zip(sizes, went, strict=True)):
            spills = ws.stats.spills
            try:
                arrays.append(ws.full(size, n, np.uint8))
            except wspace.WorkspaceFullError:
                assert where == "refused"
                continue
            assert where != "refused"
            assert where == "outside" or ws.stats.spills == spills
        values = {int(x[0]) for x in arrays if (x == x[0]).all()}
        assert len(values) == len(arrays)
        arrays.clear()
        x = None
    del x


@given(configs(), STEPS)
@SETTINGS
def test_sizes_and_spills_are_those_of_the_model(config, steps):
    ws = wspace.Workspace("model", config, capture=False)
    model = SizeModel(config, ws._arena.bytes_for)
    for step in steps:
        if step == "release":
            ws.release()
            model.release()
        elif step == "learn" and model.learn():
            assert ws.learn() == model.capacity
        elif step == "learn":
            with pytest.raises(wspace.WorkspaceStateError):
                ws.learn()
        else:
            sizes, times = step
            for _ in range(times):
                run_cycle(ws, sizes, model.cycle(sizes))
                check_sizes(ws, model)
        check_sizes(ws, model)
    ws.close()
    assert ws.stats.reserved == 0


def check_sizes(ws, model):
    stats, config = ws.stats, ws.config
    assert stats.capacity == model.capacity
    assert stats.spills == model.spills
    assert stats.allocations == model.allocations
    assert stats.generation == stats.cycles == model.generation
    assert stats.used == stats.spilled == stats.retained == 0
    assert config.max_size is None or stats.capacity <= config.max_size
    least = min(config.min_size, config.max_size or config.min_size)
    assert stats.capacity == 0 or stats.capacity >= least
    assert ws._arena.check()


@given(
    share=st.sampled_from(["0.05", "0.5", "0.95", "1"]),
    runs=st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(1, 200)), min_size=1, max_size=12
    ),
)
@SETTINGS
def test_the_trimmer_is_that_of_the_model(share, runs):
    trimmer, model = Trimmer(float(share)), TrimModel(share)
    capacity = 0
    for need, times in runs:
        for _ in range(times):
            size = trimmer.size_after(need, capacity, lambda n: n + n // 3)
            assert size == model.size_after(need, capacity, lambda n: n + n // 3)
            capacity = capacity if size is None else size


# Of each array: its size, and after how many cycles it is dropped.
BATCHES = st.lists(
    st.tuples(st.integers(1, 30_000), st.integers(0, 6)), min_size=0, max_size=4
)


@given(
    st.integers(1, 4),
    st.sampled_from(["spill", "skip", "raise"]),
    st.lists(BATCHES, min_size=1, max_size=40),
)
@SETTINGS
def test_slots_are_those_of_the_model(slots, on_busy, cycles):
    ws = wspace.Workspace(
        "model",
        reset="ring",
        slots=slots,
        on_busy=on_busy,
        spill="external",
        initial_size=60_000,
        capture=False,
    )
    model = RingModel(slots, 60_000, on_busy)
    held = {}  # number: (array, value, the cycle before which it is dropped)
    for now, batches in enumerate(cycles):
        for number in [n for n, (*_, until) in held.items() if until <= now]:
            del held[number]
            model.drop(number)
        slot = model.take()
        if slot is False:
            with pytest.raises(wspace.WorkspaceStateError, match="holds"):
                ws.__enter__()
        else:
            with ws:
                produce(ws, model, slot, batches, held, now)
        check_slots(ws, model, held)
    held.clear()
    assert ws.stats.retained == 0
    assert all(slot.live == 0 for slot in ws.slot_stats)


def produce(ws, model, slot, batches, held, now):
    for size, age in batches:
        number, value = len(held) + 1000 * now, (now * 7 + len(held)) % 251
        array = ws.full(size, value, np.uint8)
        model.allocate(slot, ws._arena.bytes_for(size), number)
        held[number] = array, value, now + 1 + age


def check_slots(ws, model, held):
    assert ws.generation == model.generation
    assert ws.stats.spills == model.spills
    slots = ws.slot_stats
    assert [slot.generation for slot in slots] == model.generations
    assert [slot.held for slot in slots] == model.busy
    assert [slot.live for slot in slots] == [len(numbers) for numbers in model.held]
    assert ws._arena.check()
    for array, value, _ in held.values():
        assert not wspace.is_stale(array)
        assert (array == value).all()
