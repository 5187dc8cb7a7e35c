# SPDX-License-Identifier: BSD-3-Clause
"""What NumPy allocates while a scope is open: where it goes and what becomes of it."""

import asyncio
import contextvars
import gc
import os
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import wspace

MIN_BLOCK = 1024


@pytest.fixture
def ws():
    """Return a workspace whose size is known and that has memory used before."""
    workspace = wspace.Workspace("train", initial_size="1MiB")
    with workspace:
        np.full(900_000, 0xA5, np.uint8)
    return workspace


def in_thread(function, *args):
    """Call in a new thread; return the result."""
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*args)))
    thread.start()
    thread.join()
    return result[0]


def counts(workspace):
    """Return what was allocated in the workspace, left as small and as foreign."""
    stats = workspace.stats
    return stats.allocations, stats.passed_small, stats.passed_foreign


def address(array):
    return array.__array_interface__["data"][0]


def is_sound(workspace):
    return workspace._arena.check()


# ---- where an allocation goes --------------------------------------------------------


@pytest.mark.parametrize("min_block", [1, 64, 1000, 1024, 4096, "1MiB"])
def test_an_array_of_min_block_bytes_is_captured_and_a_smaller_one_is_not(min_block):
    ws = wspace.Workspace("train", min_block=min_block)
    least = ws.config.min_block
    with ws:
        before = counts(ws)
        captured, small = np.empty(least, np.uint8), np.empty(least - 1, np.uint8)
        assert wspace.owner(captured) is ws
        # Without any bytes NumPy asks for one.
        assert wspace.owner(small) is (None if least > 1 else ws)
        made = (1, 1, 0) if least > 1 else (2, 0, 0)
        after = counts(ws)
    assert tuple(np.subtract(after, before)) == made


def test_a_small_array_lives_on_when_its_workspace_is_gone():
    ws = wspace.Workspace("train")
    with ws:
        small = np.arange(10)
    ws.close()
    gone = weakref.ref(ws)
    del ws
    assert gone() is None
    assert small.tolist() == list(range(10))


def test_nothing_is_captured_or_counted_before_and_after_the_scope(ws):
    before = counts(ws)
    arrays = [np.empty(5000), np.empty(5)]
    assert counts(ws) == before
    assert [wspace.owner(x) for x in arrays] == [None, None]


def test_without_capture_only_the_creators_place_in_the_workspace():
    ws = wspace.Workspace("train", capture=False)
    with ws:
        before = counts(ws)
        assert wspace.owner(np.empty(5000)) is None
        assert counts(ws) == before
        assert wspace.owner(ws.empty(1)) is ws
        assert counts(ws) == (before[0] + 1, *before[1:])


def test_the_creators_place_arrays_of_any_size(ws):
    with ws:
        before = counts(ws)
        arrays = [ws.empty(n, np.uint8) for n in (0, 1, MIN_BLOCK - 1, MIN_BLOCK, 9999)]
        assert all(wspace.owner(x) is ws for x in arrays)
        assert counts(ws) == (before[0] + len(arrays), *before[1:])


def test_scope_out_hides_the_workspace_from_numpy(ws):
    with ws:
        before = counts(ws)
        with wspace.scope_out():
            assert wspace.owner(np.empty(5000)) is None
        assert counts(ws) == before
        assert wspace.owner(np.empty(5000)) is ws


def test_a_new_thread_captures_nothing(ws):
    with ws:
        before = counts(ws)
        array = in_thread(np.ones, 5000)
        assert wspace.owner(array) is None
        passed = counts(ws)[2] - before[2]  # threads inherit contexts on some builds
        assert passed <= 1 and counts(ws)[:2] == before[:2]


def test_a_copied_context_in_another_thread_is_foreign(ws):
    with ws:
        context = contextvars.copy_context()
        before = counts(ws)
        array = in_thread(context.run, np.empty, 5000)
        assert wspace.owner(array) is None
        assert tuple(np.subtract(counts(ws), before)) == (0, 0, 1)


def test_asyncio_to_thread_is_foreign(ws):
    async def job():
        return await asyncio.to_thread(np.ones, 5000)

    with ws:
        before = counts(ws)[2]
        array = asyncio.run(job())
        assert wspace.owner(array) is None
        assert counts(ws)[2] > before
    assert array.sum() == 5000


def test_a_copied_context_is_captured_only_while_its_thread_has_the_scope_open(ws):
    with ws:
        context = contextvars.copy_context()
        assert wspace.owner(context.run(np.empty, 5000)) is ws
    before = counts(ws)
    assert wspace.owner(context.run(np.empty, 5000)) is None
    assert counts(ws) == (*before[:2], before[2] + 1)
    with ws:
        assert wspace.owner(context.run(np.empty, 5000)) is ws


def test_a_copied_context_outlives_its_workspace():
    ws = wspace.Workspace("train")
    with ws:
        context = contextvars.copy_context()
    ws.close()
    del ws
    gc.collect()
    assert context.run(np.ones, 5000).sum() == 5000
    assert context.run(np.ones, 5).sum() == 5


# ---- where it dies -------------------------------------------------------------------


def test_arrays_made_before_the_scope_may_die_in_it(ws):
    outside = [np.ones(n) for n in (5, 5000, 500_000)]
    with ws:
        outside.clear()
        assert is_sound(ws)
        assert ws.stats.used == 0


def test_an_array_that_dies_in_another_thread_is_given_back(ws):
    with ws:
        arrays = [np.empty(900_000, np.uint8)]
        in_thread(arrays.clear)
        again = np.empty(900_000, np.uint8)  # fits only where the other one was
        assert wspace.owner(again) is ws
        assert ws.stats.spills == 0
        assert ws.stats.used == ws._arena.bytes_for(again.nbytes)
    del again
    assert ws.stats.retained == 0 and is_sound(ws)


def test_survivors_die_in_other_threads_while_the_workspace_is_open_and_while_not(ws):
    with ws:
        first, second = [np.ones(5000)], [np.ones(6000)]
    assert ws.stats.retained == 88_000
    in_thread(first.clear)
    assert ws.stats.retained == 48_000
    with ws:
        in_thread(second.clear)
        np.ones(5000)
    assert ws.stats.retained == ws.stats.escaped == 0
    assert is_sound(ws)


def test_many_threads_free_at_once_while_the_owner_allocates(ws):
    start = threading.Barrier(5)
    with ws:
        shares = [[np.full(300 + n, n, np.uint32) for n in range(200)] for _ in "abcd"]

        def free(share):
            start.wait()
            while share:
                share.pop()

        threads = [threading.Thread(target=free, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        start.wait()
        mine = [np.full(400, n, np.uint32) for n in range(400)]
        for thread in threads:
            thread.join()
        assert all((x == n).all() for n, x in enumerate(mine))
        assert not any(shares)
    del mine
    assert ws.stats.retained == 0 and is_sound(ws)


@pytest.mark.parametrize("end", ["release", "close", "trim"])
def test_an_array_may_die_after_its_workspace(end):
    ws = wspace.Workspace("train")
    with ws:
        first, array = np.arange(9000), np.arange(5000)
    getattr(ws, end)()
    assert ws.stats.retained == first.nbytes + array.nbytes
    del first
    assert ws.stats.retained == array.nbytes and is_sound(ws)
    gone = weakref.ref(ws)
    del ws
    assert gone() is None
    assert wspace.owner(array) is None and wspace.is_attached(array)
    assert (array == np.arange(5000)).all()


# ---- zero, and too much --------------------------------------------------------------


@pytest.mark.parametrize("shape", [0, (0,), (3, 0, 2**40), ()])
def test_arrays_without_elements_are_ordinary(ws, shape):
    with ws:
        captured, made = np.zeros(shape), ws.zeros(shape)
        assert captured.shape == made.shape == np.empty(shape).shape
        assert (captured + 1).tolist() == (captured + 1.0).tolist()
        assert wspace.detach(made).tolist() == captured.tolist()
    assert is_sound(ws)


TOO_LARGE = [
    (np.empty, 2**50),
    (np.zeros, 2**50),
    (np.ones, (2**30, 2**25)),
    (np.empty, 2**60),
    (np.zeros, (2**59, 2)),
    (np.empty, 2**61),
    (np.empty, (2**40, 2**40)),
    (lambda n: np.empty(n, np.uint8), 2**63 - 1),
    (lambda n: np.empty(n, np.uint8), 2**63 - 64),
    (lambda n: np.zeros(n, np.uint8), 2**62 + 1),
    (lambda n: np.empty(n, "V1048576"), 2**40),
    (lambda n: np.tile(np.empty(1000), n), 2**50),
    (lambda n: np.empty(2000).repeat(n), 2**48),
]


@pytest.mark.parametrize("spill", ["reallocate", "external", "fail"])
@pytest.mark.parametrize("make, shape", TOO_LARGE)
def test_a_size_without_memory_is_numpys_own_error(make, shape, spill):
    with pytest.raises((MemoryError, ValueError)) as outside:
        make(shape)
    ws = wspace.Workspace("train", initial_size=100_000, spill=spill)
    with ws:
        kept = np.full(2000, 7.0)
        before = ws.stats
        for _ in range(3):
            with pytest.raises(type(outside.value)) as inside:
                make(shape)
            assert str(inside.value) == str(outside.value)
            del inside
        after = ws.stats
        for figure in ("used", "capacity", "spilled", "reserved", "retained"):
            assert getattr(after, figure) == getattr(before, figure), figure
        assert is_sound(ws)
        assert (kept == 7.0).all() and (np.ones(3000) + 1 == 2.0).all()


# ---- zeroed memory -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1024, 1025, 4096, 5000, 65_536, 100_003])
def test_zeros_are_zero_in_memory_that_was_used_before(size):
    ws = wspace.Workspace("train", initial_size=300_000)
    for cycle in range(4):
        with ws:
            for spread in (1, 2, 3, 7):
                first = np.zeros(size // spread, np.uint8)
                second = ws.zeros(size, np.uint8)
                assert not first.any() and not second.any(), (cycle, spread)
                first.fill(0xFF), second.fill(0xFF)
                del first
                dirty = np.full(size + 64 * spread, 0xEE, np.uint8)
                third = np.zeros(size, np.uint8)
                assert not third.any(), (cycle, spread)
                third.fill(0xDD)
                del dirty


def test_zeros_in_spills_are_zero(ws):
    with ws:
        for n in (900_000, 500_000, 3_000_000, 700_000):
            array = np.zeros(n, np.uint8)
            assert not array.any()
            array.fill(0xFF)
            again = np.zeros(n, np.uint8)
            assert not again.any()
            again.fill(0xFF)
            del array, again
    assert ws.stats.spills > 0


# ---- alignment -----------------------------------------------------------------------


@pytest.mark.parametrize("alignment", [1, 64, 128, 256])
def test_every_captured_array_is_aligned(alignment):
    ws = wspace.Workspace("train", alignment=alignment)
    least = max(alignment, 64)
    for _ in range(3):
        with ws:
            arrays = [np.empty(n, np.uint8) for n in range(1024, 12_000, 37)]
            arrays += [ws.empty(n, np.uint8) for n in range(0, 300, 7)]
            del arrays[::3]
            arrays += [np.zeros(n, np.uint8) for n in range(1024, 12_000, 41)]
            assert {address(x) % least for x in arrays} == {0}
            del arrays
    with wspace.Workspace("full", initial_size=4096, alignment=alignment) as ws:
        arrays = [np.empty(n, np.uint8) for n in range(1024, 12_000, 37)]
        assert ws.stats.spills > 0
        assert {address(x) % least for x in arrays} == {0}


# ---- what watches memory -------------------------------------------------------------


def test_tracemalloc_sees_captured_arrays(ws):
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        with ws:
            arrays = [np.empty(n, np.uint8) for n in (1024, 50_000, 2_000_000)]
            seen = tracemalloc.take_snapshot().filter_traces([domain])
            assert sum(t.size for t in seen.traces) == sum(x.nbytes for x in arrays)
            assert {t.traceback[0].filename for t in seen.traces} == {__file__}
            del arrays
            seen = tracemalloc.take_snapshot().filter_traces([domain])
            assert not seen.traces
    finally:
        tracemalloc.stop()


def test_arrays_of_the_workspace_name_its_handler(ws):
    name_of = np._core.multiarray.get_handler_name
    with ws:
        assert name_of(np.empty(5000)) == "wspace"
    assert name_of(np.empty(5000)) == "default_allocator"


@pytest.mark.skipif(
    sys.platform != "linux" or bool(os.environ.get("WSPACE_SANITIZE")),
    reason="NumPy looks for Python in the call stack, on Linux, and without sanitizers",
)
def test_numpys_temporaries_are_still_computed_in_place(ws):
    with ws:
        a = np.ones(100_000)
        before = ws.stats.allocations
        b = a + a + a + a
        assert ws.stats.allocations == before + 1
        assert (b == 4).all()
