# SPDX-License-Identifier: BSD-3-Clause
"""Rings: what a cycle makes lives on, and its slot is not taken meanwhile."""

import gc
import threading
import warnings

import numpy as np
import pytest

import wspace
from wspace import Workspace

KIB, MIB = 1024, 1024**2


def ring(slots=3, **fields):
    fields.setdefault("initial_size", MIB)
    return Workspace("ring", reset="ring", slots=slots, **fields)


def produce(ws, value=7, size=100_000):
    """Make a checked array in a cycle of its own."""
    with ws:
        return ws.full(size, value, np.uint8)


def generations(ws):
    return [slot.generation for slot in ws.slot_stats]


def address(array):
    return array.__array_interface__["data"][0]


# What lives, and for how long


def test_checked_arrays_outlive_their_cycle():
    ws = ring()
    batches = [produce(ws, n) for n in range(3)]
    for n, batch in enumerate(batches):
        assert type(batch) is wspace.Array
        assert not wspace.is_stale(batch)
        assert wspace.owner(batch) is ws
        assert int(batch.sum()) == 100_000 * n
        assert not wspace.in_scope(batch)
    assert ws.stats.escaped_count == ws.stats.escaped == 0


def test_captured_arrays_live_on_as_anywhere():
    ws = ring()
    with ws:
        x = np.arange(1000.0)
    for _ in range(10):
        del_me = produce(ws)
        del del_me
    assert x.sum() == 499_500


def test_memory_is_used_again_when_its_arrays_are_dead():
    ws = ring(slots=3)
    places = []
    for _ in range(9):
        batch = produce(ws)
        places.append(address(batch))
        del batch
    assert len(set(places)) == 3
    assert places[:3] == places[3:6] == places[6:]
    assert ws.stats.spills == 0


def test_steady_cycles_ask_upstream_for_nothing():
    ws = ring(slots=4, initial_size=0)
    queue = []
    for n in range(20):
        if n == 10:
            calls = ws.stats.upstream_calls
        queue.append(produce(ws, n))
        if len(queue) == 3:
            assert queue.pop(0)[0] == n - 2
    assert ws.stats.upstream_calls == calls
    assert ws.stats.spills == 0


def test_a_slot_with_live_arrays_is_never_taken():
    ws = ring(slots=2)
    kept = produce(ws, 1)
    for n in range(10):
        batch = produce(ws, n)
        assert address(batch) != address(kept)
    assert (kept == 1).all()
    assert generations(ws)[0] == 1
    assert ws.slot_stats[0].held == 5


def test_a_view_keeps_the_slot_as_the_array_does():
    ws = ring(slots=1)
    part = produce(ws, 5)[10:20]
    plain = np.asarray(part)
    assert wspace.owner(part) is ws
    assert wspace.is_attached(part)
    produce(ws, 6)
    assert part.tolist() == plain.tolist() == [5] * 10
    copy = wspace.detach(part)
    del part
    produce(ws, 6)
    assert ws.slot_stats[0].generation == 1
    del plain
    produce(ws, 6)
    assert ws.slot_stats[0].generation == 4
    assert copy.tolist() == [5] * 10


@pytest.mark.parametrize("end", ["close", "release"])
def test_the_end_of_the_workspace_makes_checked_arrays_stale(end):
    ws = ring()
    batch = produce(ws)
    plain = np.asarray(batch)
    getattr(ws, end)()
    with pytest.raises(wspace.StaleArrayError, match="'ring' is stale: made in gen"):
        batch.sum()
    assert plain.sum() == 700_000


def test_after_a_release_the_ring_begins_anew():
    ws = ring()
    produce(ws)
    ws.release()
    batch = produce(ws, 3)
    assert not wspace.is_stale(batch)
    assert ws.generation == 2
    assert (batch == 3).all()


def test_arrays_outlive_a_workspace_that_is_forgotten():
    ws = ring()
    batch = produce(ws, 3)
    del ws
    gc.collect()
    assert (batch == 3).all()
    assert wspace.detach(batch[:3]).tolist() == [3] * 3


def test_an_abandoned_cycle_leaves_its_arrays_valid(in_thread):
    ws = ring()

    def enter_and_end():
        ws.__enter__()
        return ws.full(1000, 4)

    batch = in_thread(enter_and_end)
    later = produce(ws, 5)
    assert (batch == 4).all() and (later == 5).all()
    assert address(batch) != address(later)


def test_entering_again_takes_no_other_slot():
    ws = ring()
    with ws:
        x = ws.ones(1000)
        with ws:
            y = ws.ones(1000)
        with Workspace("other"):
            with ws:
                z = ws.ones(1000)
    assert generations(ws) == [1, 0, 0]
    assert (x + y + z).sum() == 3000


# Sizes


def test_slots_learn_their_size_from_the_first_cycle():
    ws = ring(initial_size=0)
    first = produce(ws)
    assert ws.stats.spills == 0
    assert 130_000 <= ws.stats.capacity <= 140_000
    second = produce(ws)
    assert [slot.capacity for slot in ws.slot_stats].count(ws.stats.capacity) == 1
    assert (first == second).all()


def test_slots_grow_with_what_is_needed():
    ws = ring(slots=2, initial_size=64 * KIB)
    for size in [10_000, 100_000, 300_000, 50_000, 300_000, 300_000]:
        produce(ws, size=size)
    assert ws.stats.spills == 2
    assert all(slot.capacity >= 300_000 for slot in ws.slot_stats)
    assert ws.slot_stats[0].high_water >= 300_000


def test_what_is_larger_than_all_slots_spills_or_is_refused():
    ws = ring(slots=2, spill="external", initial_size=64 * KIB)
    huge = produce(ws, 9, size=10 * MIB)
    assert (huge == 9).all()
    assert ws.stats.spills == 1
    bounded = ring(slots=2, spill="fail", initial_size=64 * KIB, max_size=64 * KIB)
    with pytest.raises(wspace.WorkspaceFullError) as caught:
        produce(bounded, size=MIB)
    assert "requested 1048576 bytes, 65536 of 65536 free" in str(caught.value)
    assert (produce(bounded, 3, size=1000) == 3).all()


def test_max_size_bounds_each_slot():
    ws = ring(slots=2, initial_size=0, max_size=200_000, spill="fail")
    produce(ws, size=180_000)  # outside, within the same bound
    kept = [produce(ws, n, size=150_000) for n in range(2)]
    assert all((batch == n).all() for n, batch in enumerate(kept))
    assert ws.stats.capacity == 200_000
    assert ws.stats.reserved <= 2 * (200_000 + 4096)


def test_learning_by_hand_and_trimming_make_slots_smaller():
    ws = ring(slots=2, initial_size=4 * MIB)
    for _ in range(2):
        produce(ws)
    assert ws.stats.reserved == 8 * MIB
    ws.learn()
    assert ws.stats.reserved == 0
    for _ in range(2):
        produce(ws)
    assert ws.stats.reserved <= 300_000


# A slot that is not free


def test_with_skip_the_next_free_slot_is_taken():
    ws = ring(slots=3, on_busy="skip")
    kept = [produce(ws, 0)]
    produce(ws)
    produce(ws)
    kept.append(produce(ws, 1))
    assert generations(ws) == [1, 4, 3]
    assert ws.stats.spills == 0
    kept += [produce(ws, 2), produce(ws, 3)]  # none is left for the second
    assert ws.stats.spills == 1
    assert [int(batch[0]) for batch in kept] == [0, 1, 2, 3]


def test_with_raise_entering_is_an_error():
    ws = ring(slots=2, on_busy="raise")
    kept = [produce(ws), produce(ws)]
    for _ in range(2):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            ws.__enter__()
        nbytes = ws._arena.bytes_for(100_000)
        assert str(caught.value) == (
            f"cannot enter workspace 'ring': slot 0 of 2 holds 1 array, {nbytes:,} "
            "bytes, made in generation 1"
        )
    assert not ws.is_open
    assert wspace.current() is None
    assert ws.generation == 2
    del kept[0]
    assert (produce(ws, 5) == 5).all()
    assert generations(ws) == [3, 2]


def test_without_spills_a_ring_raises_instead():
    ws = ring(slots=1, spill="fail")
    kept = produce(ws)
    with pytest.raises(wspace.WorkspaceStateError, match="slot 0 of 1 holds 1 array"):
        produce(ws)
    assert (kept == 7).all()


def test_with_wait_a_cycle_waits_for_the_consumer():
    ws = ring(slots=2, on_busy="wait", busy_timeout_s=60)
    queue, done, seen = [], threading.Semaphore(0), []

    def consume():
        for _ in range(50):
            if not done.acquire(timeout=60):
                return  # the producer has failed
            batch = queue.pop(0)
            seen.append(int(batch[0]))
            assert (batch == batch[0]).all()

    consumer = threading.Thread(target=consume)
    consumer.start()
    for n in range(50):
        queue.append(produce(ws, n))
        done.release()
    consumer.join()
    assert seen == list(range(50))
    assert ws.stats.spills == 0
    assert ws.stats.reserved <= 2 * MIB


def test_waiting_has_a_limit():
    ws = ring(slots=1, on_busy="wait", busy_timeout_s=0)
    kept = produce(ws)
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        produce(ws)
    assert str(caught.value).startswith(
        "could not enter workspace 'ring' within 0 s: slot 0 of 1 holds 1 array"
    )
    del kept
    produce(ws)


def test_a_ring_that_is_held_for_good_is_reported_once():
    ws = ring(slots=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = [produce(ws) for _ in range(20)]
    assert [w.category for w in caught] == [RuntimeWarning]
    assert str(caught[0].message).startswith(
        "workspace 'ring' served 4 cycles in a row from outside its ring: arrays are "
        "alive in all of its 4 slots"
    )
    assert caught[0].filename == __file__
    assert len(kept) == 20


# Threads and processes


def test_batches_may_die_anywhere(in_thread):
    ws = ring(slots=2)
    queue = [produce(ws, n) for n in range(2)]
    in_thread(queue.clear)
    assert [slot.live for slot in ws.slot_stats] == [0, 0]
    with ws:
        x = ws.full(1000, 1)
        queue.append(ws.full(1000, 2))
        in_thread(queue.clear)  # while its cycle is open
    assert ws.slot_stats[0].live == 1
    assert (x == 1).all()
    del x
    assert ws.slot_stats[0].live == 0


@pytest.mark.slow
def test_a_child_reads_what_it_inherits(run_python):
    run_python("""
        import os, warnings
        import numpy as np, wspace
        warnings.simplefilter("ignore", DeprecationWarning)
        ws = wspace.Workspace("ring", reset="ring", slots=2, initial_size="1MiB")
        with ws:
            batch = ws.full(1000, 3.0)
        child = os.fork()
        if child == 0:
            ok = batch.sum() == 3000 and batch[:5].sum() == 15
            with ws:
                other = ws.full(1000, 4.0)
            with ws:
                pass
            ok = ok and other.sum() == 4000 and batch.sum() == 3000
            ws.close()
            os._exit(0 if ok else 1)
        for n in range(5):
            with ws:
                ws.full(1000, 5.0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert batch.sum() == 3000
    """)


@pytest.mark.slow
def test_the_interpreter_ends_with_a_ring_in_use(run_python):
    run_python("""
        import wspace
        ws = wspace.Workspace("ring", reset="ring")
        kept = []
        for n in range(3):
            with ws:
                kept.append(ws.full(1000, n))
        ws.__enter__()
        last = ws.ones(10)
    """)


@pytest.mark.parametrize("spill", ["fail", "reallocate"])
def test_a_ring_that_was_released_learns_again(spill):
    ws = Workspace("ring", reset="ring", slots=2, spill=spill)
    for _ in range(2):
        for _ in range(4):
            with ws:
                ws.ones(1000)
        assert ws.stats.capacity > 8000
        assert ws.stats.spills == 0
        ws.release()
        assert ws.stats.capacity == 0


@pytest.mark.parametrize("slots", [2, 4, 8])
@pytest.mark.parametrize("huge_pages", [False, True])
def test_every_slot_of_a_bounded_ring_has_the_whole_size(slots, huge_pages):
    size = 3 << 20 if huge_pages else 5000
    bounds = {"initial_size": size, "max_size": size, "spill": "fail"}
    ws = Workspace("ring", reset="ring", slots=slots, huge_pages=huge_pages, **bounds)
    for _ in range(2 * slots):
        with ws:
            ws.empty(4000, np.uint8)
    assert [slot.capacity for slot in ws.slot_stats] == [size] * slots
