# SPDX-License-Identifier: BSD-3-Clause
"""Memory of captured arrays that changes its size or its owner."""

import copy
import gc
import io
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import wspace

# NumPy 2.5 advises against it and keeps it.
pytestmark = pytest.mark.filterwarnings("ignore:.*resiz:DeprecationWarning")


@pytest.fixture
def ws():
    """Return a workspace whose size is known and that has memory used before."""
    workspace = wspace.Workspace("train", initial_size="1MiB")
    with workspace:
        np.full(900_000, 0xA5, np.uint8)
    return workspace


def pattern(nbytes):
    """Return bytes of which no two neighbours of 64 are alike."""
    return np.frombuffer((bytes(range(251)) * (nbytes // 251 + 1))[:nbytes], np.uint8)


def filled(nbytes):
    """Return an array made where we are, with the pattern in it."""
    array = np.empty(nbytes, np.uint8)
    array[...] = pattern(nbytes)
    return array


def address(array):
    return array.__array_interface__["data"][0]


def assert_resized(array, old, new):
    """Check what `ndarray.resize` promises: the old bytes, and zeros behind them."""
    kept = min(old, new)
    assert array.nbytes == new
    assert (array[:kept] == pattern(old)[:kept]).all()
    assert not array[kept:].any()


def run(code):
    """Run a program that might crash; it must end well and say nothing."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


SIZES = [0, 1, 1000, 1023, 1024, 1025, 2000, 4096, 5000, 65_536, 300_000, 3_000_000]


# ---- ndarray.resize ------------------------------------------------------------------


@pytest.mark.parametrize("old", SIZES)
@pytest.mark.parametrize("on_top", [True, False])
def test_resize_keeps_the_bytes_wherever_the_array_lies(ws, old, on_top):
    for new in SIZES:
        with ws:
            array = filled(old)
            wall = None if on_top else filled(2000)
            array.resize(new, refcheck=False)
            assert_resized(array, old, new)
            is_ours = old >= 1024 <= new
            # What NumPy served stays NumPy's, and so does what becomes small.
            assert (wspace.owner(array) is ws) == is_ours
            assert wall is None or (wall == pattern(2000)).all()
            assert ws._arena.check()
            del array
            assert ws.stats.used == (0 if on_top else ws._arena.bytes_for(2000))
            del wall


@pytest.mark.parametrize("old", [1024, 5000, 300_000])
@pytest.mark.parametrize("new", [0, 10, 1023, 1040, 4999, 6000, 400_000])
def test_a_survivor_that_is_resized_outside_moves_to_numpys_heap(ws, old, new):
    with ws:
        array = filled(old)
    assert ws.stats.retained == old
    array.resize(new, refcheck=False)
    assert_resized(array, old, new)
    assert wspace.owner(array) is None
    assert ws.stats.retained == ws.stats.escaped == 0
    assert ws._arena.check()


@pytest.mark.parametrize("old", [1024, 5000, 300_000])
@pytest.mark.parametrize("new", [10, 1023, 1024, 5000, 6000, 400_000])
def test_a_survivor_that_is_resized_in_a_later_cycle_belongs_to_that_one(ws, old, new):
    with ws:
        array = filled(old)
    with ws:
        array.resize(new, refcheck=False)
        assert_resized(array, old, new)
        same = ws._arena.bytes_for(old) == ws._arena.bytes_for(new)
        if not same:
            assert ws.stats.retained == 0
            assert wspace.in_scope(array) == (new >= 1024)
        np.full(100_000, 0xFF, np.uint8)
        assert_resized(array, old, new)
    assert ws.stats.retained == (new if new >= 1024 else 0)


def test_an_array_of_numpy_that_is_resized_in_the_scope_stays_numpys(ws):
    for old in SIZES:
        for new in SIZES:
            array = filled(old)
            with ws:
                before = ws.stats
                array.resize(new, refcheck=False)
                assert wspace.owner(array) is None
                assert ws.stats == before
            assert_resized(array, old, new)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("new", [2**50, 2**60, 2**63 - 1])
def test_a_resize_without_memory_leaves_the_array_as_it_was(ws, inside, new):
    with ws:
        array = filled(5000)
        for _ in range(2 if inside else 0):
            with pytest.raises((MemoryError, ValueError)):
                array.resize(new, refcheck=False)
            assert_resized(array, 5000, 5000)
            assert ws.stats.used == ws._arena.bytes_for(5000)
    if not inside:
        with pytest.raises((MemoryError, ValueError)):
            array.resize(new, refcheck=False)
    assert_resized(array, 5000, 5000)
    assert ws.stats.retained == 5000 and ws._arena.check()


def test_an_array_on_top_of_the_block_grows_in_place(ws):
    with ws:
        array = filled(5000)
        where = address(array)
        for size in range(10_000, 500_000, 30_000):
            array.resize(size, refcheck=False)
            assert address(array) == where
        assert ws.stats.cycle_high_water <= ws._arena.bytes_for(500_000)


# ---- readers that grow what they make ------------------------------------------------

NUMBERS = np.arange(60_000) * 0.5 - 7
TEXT = " ".join(map(repr, NUMBERS.tolist()))


def read_fromiter():
    return np.fromiter(iter(NUMBERS.tolist()), float)


def read_fromstring():
    return np.fromstring(TEXT, float, sep=" ")


def read_loadtxt():
    return np.loadtxt(io.StringIO(TEXT.replace(" ", "\n")))


def read_genfromtxt():
    return np.genfromtxt(io.StringIO(TEXT[:50_000].replace(" ", "\n")))


@pytest.mark.parametrize(
    "read", [read_fromiter, read_fromstring, read_loadtxt, read_genfromtxt]
)
def test_a_reader_gives_the_same_values_and_places_them_in_the_workspace(ws, read):
    expected = read()
    for _ in range(3):
        with ws:
            found = read()
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()
            assert wspace.owner(found) is ws
            assert ws._arena.check()
            del found


def test_what_begins_below_min_block_is_numpys_to_grow(ws):
    with ws:
        before = ws.stats.allocations
        found = np.fromiter((x for x in NUMBERS.tolist()), float)  # begins with a few
        assert ws.stats.allocations == before
        assert found.tobytes() == NUMBERS.tobytes()
        assert wspace.owner(found) is None


def test_fromfile_of_text_gives_the_same_values(ws, tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text(TEXT)
    expected = np.fromfile(path, float, sep=" ")
    for _ in range(3):
        with ws:
            found = np.fromfile(path, float, sep=" ")
        assert found.tobytes() == expected.tobytes() == NUMBERS.tobytes()
    del found
    assert ws.stats.retained == 0 and ws._arena.check()


@pytest.mark.parametrize("initial", [0, "32MiB"])
@pytest.mark.slow
def test_text_is_read_without_the_gil_while_another_thread_frees(initial):
    run(f"""
        import queue, threading
        import numpy as np, wspace

        text = "1.5 " * 300_000
        ws = wspace.Workspace("train", initial_size={initial!r}, min_block=64)
        box = queue.SimpleQueue()

        def free():
            while box.get() is not None:  # waits without the GIL
                pass

        thread = threading.Thread(target=free)
        thread.start()
        for cycle in range(6):
            with ws:
                for _ in range(300):
                    box.put(np.full(500, cycle, np.uint16))
                found = np.fromstring(text, float, sep=" ")
                assert found.size == 300_000 and (found == 1.5).all()
                assert wspace.owner(found) is ws
                again = np.full(40_000, cycle, np.uint8)
                assert (again == cycle).all()
        box.put(None)
        thread.join()
        del found, again
        assert ws.stats.retained == 0 and ws._arena.check()
    """)


@pytest.mark.slow
def test_text_is_read_in_a_foreign_thread_while_the_owner_allocates():
    run("""
        import contextvars, threading
        import numpy as np, wspace

        text = "1.5 " * 300_000
        ws = wspace.Workspace("train", initial_size="4MiB", min_block=64)
        with ws:
            context = contextvars.copy_context()
            results = []
            read = lambda: results.append(np.fromstring(text, float, sep=" "))
            thread = threading.Thread(target=context.run, args=(read,))
            thread.start()
            turns = 0
            while thread.is_alive() or turns < 100:
                array = np.full(1000 + turns % 7000, 9, np.uint8)
                assert (array == 9).all()
                turns += 1
            thread.join()
            found, = results
            assert wspace.owner(found) is None and (found == 1.5).all()
            # Counted once: what NumPy serves is NumPy's to resize.
            assert ws.stats.passed_foreign == 1
        assert ws._arena.check()
    """)


# ---- pickling and copying ------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("nbytes", [0, 8, 800, 1024, 5000, 300_000])
def test_pickled_arrays_come_back_in_and_out_of_the_scope(ws, protocol, nbytes):
    outside = filled(nbytes)
    with ws:
        inside = filled(nbytes)
        text = pickle.dumps(inside, protocol)
        assert pickle.dumps(outside, protocol) == text
        found = pickle.loads(text)
        assert (found == outside).all()
        del inside
    assert (pickle.loads(text) == found).all()
    found.setflags(write=False)
    del found
    assert ws.stats.retained == 0


@pytest.mark.parametrize("old", [8, 5000])
@pytest.mark.parametrize("new", [8, 900, 5000])
@pytest.mark.parametrize("inside", [True, False])
def test_set_state_frees_the_old_memory_by_its_own_handler(ws, old, new, inside):
    state = filled(new).__reduce__()[2]
    with ws:
        array = filled(old)
        if inside:
            array.__setstate__(state)
    array.__setstate__(state)
    assert (array == pattern(new)).all()
    del array
    assert ws.stats.retained == 0 and ws._arena.check()


def test_a_failed_construction_gives_its_memory_back(ws):
    with ws:
        for _ in range(50):
            with pytest.raises(ValueError, match="boom"):
                np.fromiter((boom(i) for i in range(9999)), float)
            with pytest.raises((ValueError, TypeError)):
                np.array([[1.0] * 500] * 4 + [["x"] * 500], float)
            with pytest.raises(ValueError):
                np.loadtxt(io.StringIO("1\n" * 5000 + "x\n"))
        gc.collect()
        assert ws.stats.used == 0
    assert ws.stats.retained == 0 and ws._arena.check()


def boom(i):
    if i == 5000:
        raise ValueError("boom")
    return i


def test_copies_in_the_scope_are_captured_too(ws):
    with ws:
        array = filled(5000)
        copies = [array.copy(), copy.copy(array), copy.deepcopy(array), np.array(array)]
        assert all(wspace.owner(x) is ws for x in copies)
        assert all((x == array).all() for x in copies)
