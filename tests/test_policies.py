# SPDX-License-Identifier: BSD-3-Clause
"""How a workspace learns the size of its block, spills, grows and moves."""

import warnings

import numpy as np
import pytest

import wspace
from wspace import Workspace

KIB, MIB = 1024, 1024**2


def cycle(ws, *sizes):
    """Run a cycle that has arrays of these bytes at once; return its statistics."""
    with ws:
        arrays = [np.empty(size, np.uint8) for size in sizes]
        assert all(wspace.owner(array) is ws for array in arrays)
        stats = ws.stats
        del arrays
    return stats


def needed(ws, *sizes):
    return sum(ws._arena.bytes_for(size) for size in sizes)


# Learning


def test_the_first_cycle_that_allocates_is_served_outside_and_sizes_the_block():
    ws = Workspace()
    for _ in range(2):
        cycle(ws)  # allocates nothing
    during = cycle(ws, 100_000, 200_000)
    assert during.capacity == 0
    assert during.spills == during.spilled == 0
    assert during.used == needed(ws, 100_000, 200_000)
    high_water = ws.stats.high_water
    assert high_water == during.used
    assert 1.3 * high_water <= ws.stats.capacity <= 1.35 * high_water
    during = cycle(ws, 100_000, 200_000)
    assert during.spills == 0
    assert during.capacity == ws.stats.capacity


def test_what_the_first_cycle_makes_is_aligned_and_attached():
    with Workspace(alignment=256) as ws:
        x = np.empty(10_000)
        y = ws.empty(3)
        assert x.ctypes.data % 256 == y.ctypes.data % 256 == 0
        assert wspace.owner(x) is wspace.owner(y) is ws


def test_survivors_of_the_first_cycle_stay_out_of_the_block():
    ws = Workspace()
    with ws:
        constant = np.ones(10_000)
        del constant
        constant = np.ones(10_000)
    for _ in range(3):
        cycle(ws, 80_000)
    assert ws.stats.spills == 0
    assert constant.sum() == 10_000


def test_steady_cycles_ask_upstream_for_nothing():
    ws = Workspace()
    for _ in range(3):
        cycle(ws, 100_000, 200_000)
    calls = ws.stats.upstream_calls
    for _ in range(10):
        cycle(ws, 100_000, 200_000)
    assert ws.stats.upstream_calls == calls


def test_with_an_initial_size_the_first_cycle_uses_the_block():
    ws = Workspace(initial_size=MIB)
    assert ws.stats.upstream_calls == 0
    assert cycle(ws).capacity == 0  # at first use, not at the first enter
    during = cycle(ws, 100_000)
    assert during.capacity == MIB
    assert ws.stats.capacity == MIB
    assert ws.stats.spills == 0


def test_an_initial_size_grows_with_first_loop():
    ws = Workspace(initial_size=64 * KIB)
    cycle(ws, 100_000)
    assert ws.stats.spills == 1
    assert ws.stats.capacity >= 1.3 * ws.stats.high_water
    assert cycle(ws, 100_000).spills == 1


def test_without_learning_the_initial_size_is_final():
    ws = Workspace(learning="none", initial_size=64 * KIB)
    for _ in range(5):
        cycle(ws, 100_000)
    assert ws.stats.capacity == 64 * KIB
    assert ws.stats.spills == 5


def test_without_learning_and_initial_size_everything_is_served_outside():
    ws = Workspace(learning="none")
    for _ in range(3):
        assert cycle(ws, 100_000).capacity == 0
    assert ws.stats.reserved == 0


def test_a_cycle_that_ends_with_an_exception_is_learned_from():
    ws = Workspace()
    with pytest.raises(KeyError):
        with ws:
            np.empty(100_000, np.uint8)
            raise KeyError
    assert ws.stats.capacity >= 130_000


def test_release_lets_the_size_be_learned_again():
    ws = Workspace()
    cycle(ws, 1_000_000)
    ws.release()
    assert ws.stats.capacity == 0
    cycle(ws, 10_000)
    assert ws.stats.capacity < 20_000
    assert ws.generation == 2


# The size of the block


def test_strict_takes_the_learned_size_as_it_is():
    ws = Workspace(allocation="strict")
    cycle(ws, 100_000, 200_000)
    assert ws.stats.high_water <= ws.stats.capacity <= ws.stats.high_water + 4096
    cycle(ws, 100_000, 200_000)
    assert ws.stats.spills == 0


@pytest.mark.parametrize("fraction", [0, 0.5, 2])
def test_overallocate_adds_the_fraction(fraction):
    ws = Workspace(overallocation=fraction)
    cycle(ws, 100_000)
    expected = (1 + fraction) * ws.stats.high_water
    assert expected <= ws.stats.capacity <= expected + 4096


def test_overallocate_adds_the_fraction_at_every_growth():
    ws = Workspace(overallocation=0.5)
    for size in (100_000, 1_000_000, 4_000_000):
        cycle(ws, size)
        assert ws.stats.capacity >= 1.5 * ws.stats.last_high_water


def test_min_size_is_the_floor_and_max_size_the_ceiling_of_a_learned_size():
    small = Workspace(min_size=MIB)
    cycle(small, 10_000)
    assert small.stats.capacity == MIB
    large = Workspace(max_size=64 * KIB)
    for _ in range(3):
        cycle(large, 100_000)
    assert large.stats.capacity == 64 * KIB
    assert large.stats.spills == 2


def test_a_huge_fraction_does_not_overflow():
    ws = Workspace(overallocation=1e300, max_size=MIB)
    cycle(ws, 10_000)
    assert ws.stats.capacity == MIB


# Spills


def test_reallocate_serves_elsewhere_now_and_grows_at_the_end_of_the_cycle():
    ws = Workspace(initial_size=64 * KIB)
    with ws:
        x = np.empty(10_000)
        assert ws.stats.spills == 1
        assert ws.stats.spilled >= x.nbytes
        assert ws.stats.capacity == 64 * KIB
        assert wspace.owner(x) is ws
        assert x.ctypes.data % 64 == 0
        del x
        assert ws.stats.spilled == 0
    assert ws.stats.capacity > 80_000
    cycle(ws, 80_000)
    assert ws.stats.spills == 1


def test_growth_ends_when_the_need_does():
    ws = Workspace()
    sizes = [20_000, 40_000, 80_000, 160_000]
    for size in sizes:
        cycle(ws, size)
    assert ws.stats.spills <= len(sizes) - 1
    spills, calls = ws.stats.spills, ws.stats.upstream_calls
    for size in sizes:
        cycle(ws, size)
    assert (ws.stats.spills, ws.stats.upstream_calls) == (spills, calls)


def test_growth_is_to_the_need_and_not_by_all_former_sizes_together():
    ws = Workspace(allocation="strict")
    for size in (100_000, 200_000, 400_000, 800_000):
        cycle(ws, size)
    assert ws.stats.capacity <= 1.5 * ws.stats.high_water


def test_a_spill_that_survives_stays_valid():
    ws = Workspace(initial_size=4096)
    with ws:
        x = np.arange(10_000)
    for _ in range(3):
        cycle(ws, 80_000)
    assert x.sum() == 49_995_000
    assert ws.stats.retained == 80_000


def test_external_never_grows_and_warns_once_when_it_persists():
    ws = Workspace("train", spill="external", initial_size=64 * KIB)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(10):
            cycle(ws, 100_000)
    assert ws.stats.capacity == 64 * KIB
    assert ws.stats.spills == 10
    assert [w.category for w in caught] == [RuntimeWarning]
    assert str(caught[0].message).startswith(
        "workspace 'train' spilled in 3 cycles in a row, 102,464 bytes in the last: "
    )
    assert caught[0].filename == __file__


def test_external_does_not_warn_of_spills_now_and_then():
    ws = Workspace(spill="external", initial_size=64 * KIB)
    for _ in range(10):
        cycle(ws, 100_000)
        cycle(ws, 10_000)
    assert ws.stats.spills == 10


def test_external_does_not_warn_over_a_passing_exception():
    ws = Workspace(spill="external", initial_size=64 * KIB)
    for _ in range(5):
        with pytest.raises(KeyError):
            with ws:
                np.empty(100_000, np.uint8)
                raise KeyError


def test_a_warning_that_is_made_an_error_leaves_the_scope():
    ws = Workspace(spill="external", initial_size=64 * KIB)
    cycle(ws, 100_000)
    cycle(ws, 100_000)
    with pytest.raises(RuntimeWarning, match="spilled in 3 cycles"):
        cycle(ws, 100_000)
    assert not ws.is_open
    assert wspace.current() is None
    cycle(ws, 100_000)


def test_external_learns_its_size_from_the_first_loop_all_the_same():
    ws = Workspace(spill="external")
    cycle(ws, 100_000)
    assert ws.stats.capacity >= 130_000
    cycle(ws, 1_000_000)
    assert ws.stats.capacity < 1_000_000


# FAIL


def test_fail_raises_with_both_numbers_and_serves_what_fits():
    ws = Workspace("train", spill="fail", initial_size=64 * KIB, max_size=64 * KIB)
    with ws:
        x = ws.empty(30_000, np.uint8)
        free = 64 * KIB - ws.stats.used
        with pytest.raises(wspace.WorkspaceFullError) as caught:
            ws.empty(40_000, np.uint8)
        assert str(caught.value) == (
            f"workspace 'train' is full: requested 40000 bytes, {free} of 65536 free"
        )
        assert caught.value.__notes__ == [
            "hint: raise `max_size` to at least the reported high-water mark, "
            "or allow spills"
        ]
        assert isinstance(caught.value, MemoryError)
        x[:] = 1
        assert ws.empty(20_000, np.uint8).nbytes == 20_000


def test_fail_makes_numpy_raise_its_memory_error_which_names_the_workspace():
    ws = Workspace("train", spill="fail", initial_size=64 * KIB)
    with pytest.raises(MemoryError) as caught:
        with ws:
            np.empty(100_000, np.uint8)
    assert any("workspace 'train' is full" in note for note in caught.value.__notes__)
    cycle(ws, 10_000)


def test_fail_bounds_the_first_cycle_too():
    ws = Workspace("train", spill="fail", max_size=64 * KIB)
    with ws:
        x = np.empty(30_000, np.uint8)
        free = 64 * KIB - ws.stats.used
        with pytest.raises(wspace.WorkspaceFullError) as caught:
            ws.empty(60_000, np.uint8)
        assert f"requested 60000 bytes, {free} of 65536 free" in str(caught.value)
        del x
    assert ws.stats.spills == 0
    cycle(ws, 30_000)


def test_fail_with_survivors_counts_them():
    ws = Workspace(spill="fail", initial_size=64 * KIB, max_size=64 * KIB)
    with ws:
        survivor = np.ones(40_000, np.uint8)
    with ws:
        with pytest.raises(wspace.WorkspaceFullError):
            ws.empty(40_000, np.uint8)
    assert survivor.sum() == 40_000
    del survivor
    cycle(ws, 40_000)


# Moving on


def a_wall(ws):
    """Leave an array in the middle of a block of 1 MiB."""
    with ws:
        first = np.empty(400_000, np.uint8)
        wall = np.full(2000, 7, np.uint8)
        del first
    return wall


def test_the_arena_moves_on_when_the_need_did_not_fit_in_two_successive_cycles():
    ws = Workspace(learning="none", initial_size=MIB)
    wall = a_wall(ws)
    cycle(ws, 800_000)
    cycle(ws, 800_000)
    assert ws.stats.spills == 2
    assert ws.stats.capacity == MIB
    calls = ws.stats.upstream_calls
    for _ in range(5):
        cycle(ws, 800_000)
    assert ws.stats.spills == 2
    assert ws.stats.upstream_calls == calls
    assert wall.tolist() == [7] * 2000


def test_one_misfit_does_not_move_the_arena():
    ws = Workspace(learning="none", initial_size=MIB)
    wall = a_wall(ws)
    for _ in range(4):
        cycle(ws, 800_000)
        cycle(ws, 300_000)
    assert ws.stats.spills == 4
    assert ws.stats.reserved == MIB
    assert wall.all()


def test_the_block_that_was_left_goes_back_when_its_last_survivor_dies():
    ws = Workspace(learning="none", initial_size=MIB)
    wall = a_wall(ws)
    for _ in range(3):
        cycle(ws, 800_000)
    before = ws.stats.reserved
    del wall
    cycle(ws, 800_000)
    assert ws.stats.reserved <= before  # one emptied block is kept as the spare
    assert ws.stats.retained == 0
    assert ws.stats.spills == 2


def test_a_local_that_lingers_costs_bounded_memory():
    ws = Workspace()
    reserved = []
    for i in range(2000):
        with ws:
            x = np.empty(10_000)
            y = x + i  # both live on until they are rebound
        if i in (20, 1999):
            reserved.append(ws.stats.reserved)
    assert reserved[0] == reserved[1]
    assert y.size == 10_000
