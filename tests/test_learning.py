# SPDX-License-Identifier: BSD-3-Clause
"""Learning over time and by hand, growth to the maximum, and trimming."""

import itertools
import warnings

import numpy as np
import pytest
from test_upstream import Faulty

import wspace
from wspace import Workspace
from wspace._trimming import WINDOW

KIB, MIB = 1024, 1024**2


def cycle(ws, *sizes):
    """Run a cycle that has arrays of these bytes at once; return the capacity then."""
    with ws:
        arrays = [np.empty(size, np.uint8) for size in sizes]
        capacity = ws.stats.capacity
        del arrays
    return capacity


def run(ws, sizes):
    return [cycle(ws, size) for size in sizes]


# OVER_TIME


def over_time(count, **fields):
    return Workspace(learning="over_time", cycles_before_initialization=count, **fields)


def test_over_time_sizes_the_block_from_the_largest_of_the_first_cycles():
    ws = over_time(3, allocation="strict")
    assert run(ws, [100_000, 300_000, 200_000, 10_000]) == [0, 0, 0, ws.stats.capacity]
    assert 300_000 <= ws.stats.capacity <= 320_000
    assert ws.stats.spills == 0


def test_over_time_counts_only_cycles_that_allocate():
    ws = over_time(2)
    for _ in range(5):
        cycle(ws)
    cycle(ws, 100_000)
    for _ in range(5):
        cycle(ws)
    assert ws.stats.capacity == 0
    cycle(ws, 100_000)
    assert ws.stats.capacity >= 130_000


def test_arrays_that_numpy_serves_teach_nothing():
    ws = over_time(1)
    cycle(ws, 100)  # smaller than min_block
    assert (ws.stats.passed_small, ws.stats.capacity) == (1, 0)


def test_over_time_uses_an_initial_size_and_does_not_grow_it_before():
    ws = over_time(3, initial_size=64 * KIB)
    assert run(ws, [100_000, 200_000, 50_000]) == [64 * KIB] * 3
    assert ws.stats.spills == 2
    assert ws.stats.capacity >= 1.3 * 200_000


def test_over_time_makes_too_large_an_initial_size_smaller():
    ws = over_time(2, initial_size=MIB)
    run(ws, [100_000, 50_000])
    assert 130_000 <= ws.stats.capacity <= 140_000


def test_over_time_grows_afterwards():
    ws = over_time(1)
    run(ws, [100_000, 1_000_000])
    assert ws.stats.capacity >= 1_300_000


def test_with_a_count_of_zero_only_learn_sizes_the_block():
    ws = over_time(0)
    run(ws, [100_000] * 5)
    assert (ws.stats.capacity, ws.stats.spills) == (0, 0)
    assert ws.learn() == ws.stats.capacity >= 130_000
    assert cycle(ws, 100_000) == ws.stats.capacity


def test_spills_that_only_learn_would_end_are_reported():
    waiting = over_time(9, initial_size=64 * KIB)
    run(waiting, [100_000] * 5)
    ws = over_time(0, initial_size=64 * KIB)
    run(ws, [100_000] * 2)
    text = r"and learning='over_time' without `learn\(\)` never grows it"
    with pytest.warns(RuntimeWarning, match=text):
        cycle(ws, 100_000)
    ws.learn()
    run(ws, [100_000] * 5)
    assert ws.stats.spills == 3


def test_escapes_are_ignored_until_the_size_is_learned():
    ws = over_time(2, escape="warn")
    kept = []
    for _ in range(2):
        with ws:
            kept.append(np.ones(1000))
    with pytest.warns(ResourceWarning, match="1 captured array escaped"):
        with ws:
            kept.append(np.ones(1000))


# By hand


def test_learn_takes_the_largest_cycle_since_the_last_learning():
    ws = Workspace(learning="none", initial_size=MIB, allocation="strict")
    run(ws, [100_000, 200_000, 50_000])
    assert 200_000 <= ws.learn() <= 205_000
    run(ws, [20_000])
    assert 20_000 <= ws.learn() <= 25_000
    assert ws.stats.capacity <= 25_000


def test_learn_gives_the_memory_of_a_larger_block_back():
    ws = Workspace(initial_size="16MiB")
    cycle(ws, 16_000_000)
    ws.learn()
    cycle(ws, 100_000)
    ws.learn()
    assert ws.stats.reserved <= 140_000


def test_learn_leaves_survivors_where_they_are():
    ws = Workspace(initial_size=MIB)
    with ws:
        x = np.arange(10_000)
    ws.learn()
    run(ws, [50_000] * 3)
    assert x.sum() == 49_995_000
    assert ws._arena.check()


def test_learn_without_a_cycle_to_learn_from_is_an_error():
    ws = Workspace("train")
    text = (
        "cannot learn the size of workspace 'train': "
        "no cycle has allocated since it last was"
    )
    for _ in range(2):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            ws.learn()
        assert str(caught.value) == text
        cycle(ws)
    cycle(ws, 10_000)  # learned on its own
    with pytest.raises(wspace.WorkspaceStateError, match="since it last was"):
        ws.learn()
    cycle(ws, 10_000)
    ws.learn()
    cycle(ws, 10_000)
    ws.release()
    with pytest.raises(wspace.WorkspaceStateError, match="since it last was"):
        ws.learn()


def test_learn_needs_an_idle_workspace():
    ws = Workspace("train")
    with ws:
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            ws.learn()
    assert str(caught.value) == (
        "cannot learn the size of workspace 'train': it is open"
    )
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError, match="'train': it is closed"):
        ws.learn()


# The bounds


def test_the_maximum_wins_over_the_minimum():
    ws = Workspace(min_size=MIB, max_size=64 * KIB)
    cycle(ws, 10_000)
    assert ws.stats.capacity == 64 * KIB


@pytest.mark.parametrize("fields", [{"learning": "none"}, {"initial_size": 1}])
def test_the_minimum_holds_for_an_initial_size_too(fields):
    ws = Workspace(min_size=MIB, **fields)
    assert cycle(ws, 100_000) == MIB


def test_the_minimum_holds_when_a_block_is_made_smaller():
    ws = Workspace(min_size=64 * KIB, initial_size=MIB)
    cycle(ws, 2000)
    assert ws.learn() == 64 * KIB


def test_a_need_above_the_maximum_does_not_end_growth():
    ws = Workspace(max_size=500_000, allocation="strict")
    cycle(ws, 100_000)
    cycle(ws, 600_000)  # more than the maximum, once
    assert ws.stats.capacity == 500_000
    grown = Workspace(max_size=500_000, initial_size=50_000, allocation="strict")
    for size in (400_000, 600_000, 450_000, 490_000):
        cycle(grown, size)
    assert grown.stats.capacity == 500_000
    assert grown.stats.spills == 2


def test_every_growth_has_slack():
    ws = Workspace(overallocation=0.5)
    for size in range(100_000, 2_000_000, 50_000):
        cycle(ws, size)
    assert ws.stats.spills <= 8  # log(20) / log(1.5)


def test_spills_that_the_maximum_forces_are_reported_once():
    ws = Workspace("train", max_size=64 * KIB)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(ws, [100_000] * 10)
    assert [w.category for w in caught] == [RuntimeWarning]
    text = str(caught[0].message)
    assert "has 65,536, and max_size=65536 never grows it; raise it" in text
    need = int(text.partition("a block of ")[2].partition(" bytes")[0].replace(",", ""))
    ws = Workspace("train", max_size=need)
    run(ws, [100_000] * 3)
    assert ws.stats.spills == 0


# A configuration is never changed by the workspaces that use it


def test_a_config_serves_many_workspaces():
    config = wspace.WorkspaceConfig(learning="over_time", trim_to="p90")
    before = repr(config)
    workspaces = [Workspace(config=config) for _ in range(3)]
    for n, ws in enumerate(workspaces, 1):
        run(ws, [n * 100_000])
        ws.learn()
    assert repr(config) == before
    capacities = [ws.stats.capacity for ws in workspaces]
    assert capacities == sorted(set(capacities))


# trim_to


def test_a_block_is_trimmed_to_what_recent_cycles_need():
    ws = Workspace(trim_to="p95")
    cycle(ws, 4_000_000)
    run(ws, [100_000] * 3 * WINDOW)
    assert 130_000 <= ws.stats.capacity <= 140_000
    assert ws.stats.reserved <= 150_000
    assert ws.stats.spills == 0


def test_without_trim_to_a_block_stays_as_large_as_it_was():
    ws = Workspace()
    cycle(ws, 4_000_000)
    run(ws, [100_000] * 3 * WINDOW)
    assert ws.stats.capacity >= 4_000_000


def test_a_block_is_not_trimmed_for_less_than_half():
    ws = Workspace(trim_to="p95")
    cycle(ws, 1_000_000)
    before = ws.stats.capacity
    run(ws, [700_000] * 3 * WINDOW)
    assert ws.stats.capacity == before


def test_one_large_cycle_in_a_hundred_spills_and_the_block_stays_small():
    ws = Workspace(trim_to="p95")
    for n in range(1000):
        cycle(ws, 4_000_000 if n % 100 == 50 else 100_000)
    assert ws.stats.capacity <= 140_000
    assert ws.stats.spills == 10


def test_a_program_that_swings_is_trimmed_ever_more_rarely():
    ws = Workspace(trim_to="p95")
    capacities = []
    for _ in range(12):
        for size in [1_000_000] * 100 + [10_000] * 150:
            cycle(ws, size)
            capacities.append(ws.stats.capacity)
    changes = [a > b for a, b in itertools.pairwise(capacities)]
    assert 1 <= sum(changes) <= 3


def test_survivors_of_a_block_that_is_trimmed_stay_valid():
    ws = Workspace(trim_to="p95", initial_size=MIB)
    with ws:
        x = np.arange(20_000)
    run(ws, [10_000] * 3 * WINDOW)
    assert ws.stats.capacity < MIB / 2
    assert x.sum() == 199_990_000
    assert ws._arena.check()


def test_a_learning_that_the_system_refuses_is_tried_again():
    ws = Faulty((4, False))  # two for what is outside, one for addresses
    cycle(ws, 100_000)
    assert ws.stats.capacity == 0
    cycle(ws, 50_000)
    assert ws.stats.capacity >= 130_000


def test_learn_says_that_the_system_refused():
    ws = Faulty((3, True), learning="over_time", allocation="strict")
    cycle(ws, 100_000)
    with pytest.raises(MemoryError) as caught:
        ws.learn()
    assert str(caught.value) == (
        f"could not allocate {ws._largest['fit']:,} bytes for workspace 'train'"
    )
