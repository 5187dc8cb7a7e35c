# SPDX-License-Identifier: BSD-3-Clause
"""Threads compute, exchange arrays and ask for figures while scopes come and go."""

import queue
import sys
import threading

import numpy as np
import pytest

import wspace

BIG = 1000  # elements of float64: more than min_block
HUGE = 200_000  # enough for NumPy to give the GIL up, and for a loop that takes long


@pytest.fixture(autouse=True)
def threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Team:
    """Run functions in threads, wait for all, and raise what any of them raised."""

    def __init__(self):
        self.threads, self.errors = [], []

    def start(self, function, *args, name=None):
        def run():
            try:
                function(*args)
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=run, name=name))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join()
        for error in self.errors:
            raise error


def sealed(rng, size):
    """Return an array whose last element is the sum of all others."""
    array = np.empty(size)
    array[:-1] = rng.integers(0, 1000, size - 1)
    array[-1] = array[:-1].sum()
    return array


def is_intact(array):
    return array[:-1].sum() == array[-1]


def hammer(ws, seed, outbox, inbox, *, cycles):
    """Make arrays, send some away, check what comes in, keep some for a while."""
    rng = np.random.default_rng(seed)
    kept, received = [], 0
    for cycle in range(cycles):
        with ws:
            for _ in range(int(rng.integers(1, 12))):
                array = sealed(rng, int(rng.integers(10, 6000)))
                if rng.random() < 0.4:
                    outbox.put(array)
                elif rng.random() < 0.2:
                    kept.append(array)
            while not inbox.empty():
                array = inbox.get()
                received += 1
                assert is_intact(array)
                if rng.random() < 0.3:
                    kept.append(array[:])
            array = None
        assert all(is_intact(array) for array in kept)
        if cycle % 7 == 0:
            kept.clear()
    assert received > 0


@pytest.mark.parametrize("fields", [{}, {"record": True}, {"zero_on_reset": True}])
def test_threads_with_workspaces_of_their_own_exchange_arrays(fields):
    first = wspace.Workspace("first", **fields)
    second = wspace.Workspace("second", initial_size="256KiB", **fields)
    team, boxes = Team(), [queue.SimpleQueue(), queue.SimpleQueue()]
    team.start(lambda: hammer(first, 1, boxes[0], boxes[1], cycles=200))
    team.start(lambda: hammer(second, 2, boxes[1], boxes[0], cycles=200))
    team.join()
    for box in boxes:
        while not box.empty():
            assert is_intact(box.get())
    for ws in first, second:
        assert ws.stats.cycles == 200
        assert ws.stats.retained == 0
        assert ws._arena.check()


def test_a_workspace_that_wanders_between_threads_keeps_what_each_made():
    ws, turn = wspace.Workspace("wanderer"), threading.Lock()
    team, made = Team(), queue.SimpleQueue()

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(150):
            with turn, ws:
                made.put(sealed(rng, int(rng.integers(200, 3000))))
            if rng.random() < 0.7:
                assert is_intact(made.get())

    for seed in range(3):
        team.start(work, seed)
    team.join()
    assert (ws.generation, ws.stats.cycles) == (450, 450)
    while not made.empty():
        assert is_intact(made.get())
    assert ws.stats.retained == 0
    assert ws._arena.check()


def test_any_thread_may_read_the_statistics_while_the_owner_works():
    ws, stop = wspace.Workspace("busy"), threading.Event()
    team = Team()

    def watch():
        last = ws.stats
        while not stop.is_set():
            now = ws.stats
            assert now.generation >= last.generation
            assert now.cycles >= last.cycles
            assert now.allocations >= last.allocations
            assert now.high_water >= last.high_water
            assert repr(ws).startswith("<Workspace 'busy'")
            last = now

    for _ in range(2):
        team.start(watch)
    try:
        for cycle in range(300):
            with ws:
                arrays = [np.ones(BIG * (1 + cycle % 5)) for _ in range(10)]
                arrays.clear()
    finally:
        stop.set()
        team.join()
    assert ws.stats.cycles == 300


# ---- computing without the GIL -------------------------------------------------------


@pytest.mark.parametrize("writes", [False, True])
def test_a_thread_computes_on_captured_arrays_while_their_scope_ends(writes):
    ws = wspace.Workspace("ending", initial_size="8MiB")
    source = np.linspace(0.0, 1.0, HUGE)
    expected = np.sin(source)

    def work(x, out, started):
        started.set()
        for _ in range(4):
            assert np.array_equal(np.sin(x, out=out), expected)

    for _ in range(20):
        team, started = Team(), threading.Event()
        with ws:
            team.start(work, source.copy(), np.empty(HUGE) if writes else None, started)
            started.wait()
        for value in range(3):
            with ws:
                np.full(HUGE, -float(value))
        team.join()
    assert ws.stats.escaped_count > 0
    assert ws._arena.check()


def test_a_thread_computes_on_a_checked_array_while_its_scope_ends():
    ws = wspace.Workspace("ending", initial_size="8MiB")
    source = np.linspace(0.0, 1.0, HUGE)
    expected = np.sin(source)
    outcomes = set()

    def work(x, started):
        started.set()
        for _ in range(4):
            try:
                result = np.sin(x)
            except wspace.StaleArrayError:
                outcomes.add("stale")
                return
            assert np.array_equal(result, expected)
            outcomes.add("right")

    for _ in range(20):
        team, started = Team(), threading.Event()
        with ws:
            team.start(work, ws.array(source), started)
            started.wait()
        with ws:
            np.full(HUGE, -1.0)
        team.join()
        team = None
    assert outcomes <= {"right", "stale"}
    assert outcomes
    assert ws._arena.check()


def test_a_thread_writes_into_a_checked_array_while_its_scope_ends():
    ws = wspace.Workspace("ending", initial_size="8MiB")
    source = np.linspace(0.0, 1.0, HUGE)
    bystanders = []

    def work(out, started):
        started.set()
        try:
            for _ in range(4):
                np.sin(source, out=out)
        except wspace.StaleArrayError:
            pass

    for cycle in range(20):
        team, started = Team(), threading.Event()
        with ws:
            team.start(work, ws.empty(HUGE), started)
            started.wait()
        with ws:
            bystanders.append(np.full(HUGE, float(cycle)))
            team.join()
            team = None
            assert (bystanders[-1] == cycle).all()
        del bystanders[:-2]
    assert [(x == x[0]).all() for x in bystanders] == [True, True]
    assert ws._arena.check()


def test_threads_read_text_without_the_gil_while_their_scopes_come_and_go(tmp_path):
    # NumPy's reader of text grows its array without the GIL.
    path = tmp_path / "numbers.txt"
    rows = np.arange(60_000).reshape(-1, 4)
    np.savetxt(path, rows, fmt="%d")
    team = Team()

    def work():
        ws = wspace.get("reader")
        for _ in range(6):
            with ws:
                loaded = np.loadtxt(path, dtype=np.int64)
                assert np.array_equal(loaded, rows)

    for _ in range(3):
        team.start(work)
    team.join()
