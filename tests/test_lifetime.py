# SPDX-License-Identifier: BSD-3-Clause
"""Who outlives whom: workspaces, blocks and arrays die in any order."""

import contextlib
import contextvars
import gc
import itertools
import os
import random
import sys
import threading
import weakref

import numpy as np
import pytest

import wspace

BIG = 1000  # elements of float64: more than min_block
MIB = 1 << 20

# A sanitizer keeps what is freed for a while.
counts_pages = pytest.mark.skipif(
    not sys.platform.startswith("linux") or bool(os.environ.get("WSPACE_SANITIZE")),
    reason="reads /proc/self, and counts what NumPy itself has from malloc",
)


def address_space():
    """Return the bytes of addresses of this process, and those in RAM."""
    with open("/proc/self/statm") as file:
        total, resident, *_ = map(int, file.read().split())
    return total * 4096, resident * 4096


def churn(ws, value):
    """Run a cycle that would overwrite whatever is free."""
    with ws:
        for n in (200, BIG, 5 * BIG, 40 * BIG):
            arrays = [np.full(n, value) for _ in range(4)]
            arrays.clear()


# ---- orders of death -----------------------------------------------------------------


def holders(make):
    """Return all that refers to one workspace and its memory, by name, and a check."""
    ws = make()
    with ws:
        captured, spilled = np.full(BIG, 2.0), np.full(40 * BIG, 3.0)
        checked, small = ws.full(BIG, 4.0), np.full(3, 5.0)
        flat, buffer = checked.flat, memoryview(ws.full(BIG, 6.0))
        kept = wspace.keep(ws.full(2 * BIG, 7.0))
    values = {"captured": 2.0, "spilled": 3.0, "small": 5.0, "buffer": 6.0, "kept": 7.0}
    held = {"ws": ws, "captured": captured, "spilled": spilled, "checked": checked}
    held |= {"small": small, "buffer": buffer, "kept": kept, "flat": flat}

    def check():
        for name in held.keys() & values.keys():
            assert (np.asarray(held[name]) == values[name]).all()
        if "flat" in held:
            assert held["flat"][BIG // 2] == 4.0
        if "checked" in held:
            assert wspace.is_stale(held["checked"])

    return held, check


@pytest.mark.parametrize("initial_size", [0, "64KiB", "8MiB"])
def test_workspace_and_arrays_may_die_in_any_order(initial_size):
    other = wspace.Workspace("other")
    rng = random.Random(1)
    for _ in range(60):
        held, check = holders(lambda: wspace.Workspace("w", initial_size=initial_size))
        order = rng.sample(sorted(held), len(held))
        for name in order:
            check()
            del held[name]
            churn(held.get("ws", other), -1.0)
        check()


def test_the_last_two_may_die_in_either_order():
    for first, second in itertools.permutations(
        ["ws", "captured", "spilled", "checked", "small", "buffer", "kept", "flat"], 2
    ):
        held, check = holders(lambda: wspace.Workspace("w", initial_size="64KiB"))
        for name in held.keys() - {first, second}:
            del held[name]
        del held[first]
        check()
        del held[second]


@pytest.mark.parametrize("end", ["release", "close", "del", "collect"])
def test_survivors_keep_their_values_whatever_becomes_of_the_workspace(end):
    ws = wspace.Workspace("ending", initial_size="256KiB")
    survivors = []
    for n in range(40):  # into several blocks, and beside them
        with ws:
            survivors.append(np.full(BIG + 50 * n, float(n)))
            np.full(20 * BIG, -1.0)
    if end == "collect":
        cycle = [ws]
        cycle.append(cycle)
        del cycle
    elif end != "del":
        getattr(ws, end)()
    del ws
    gc.collect()
    other = wspace.Workspace("other")
    for value in range(3):
        churn(other, -1.0 - value)
    assert all((x == n).all() for n, x in enumerate(survivors))
    rng = random.Random(2)
    while survivors:
        survivors.pop(rng.randrange(len(survivors)))
        assert all((x == x[0]).all() and x[0] >= 0 for x in survivors)


def test_a_workspace_in_a_reference_cycle_with_its_own_arrays_is_collected():
    ws = wspace.Workspace("cyclic")
    with ws:
        cycle = [ws, np.ones(BIG), ws.ones(BIG), ws.borrow()]
        cycle.append(cycle)
    gone, array = weakref.ref(ws), weakref.ref(cycle[1])
    del ws, cycle
    gc.collect()
    assert (gone(), array()) == (None, None)


def test_an_open_workspace_in_a_context_that_dies_is_collected():
    ws = wspace.Workspace("forgotten")
    context = contextvars.Context()
    context.run(ws.__enter__)
    captured, checked = context.run(np.full, BIG, 2.0), ws.full(BIG, 3.0)
    gone = weakref.ref(ws)
    del ws, context
    gc.collect()
    assert gone() is None
    assert wspace.is_stale(checked)
    assert (captured == 2.0).all()


def test_a_workspace_cannot_die_in_its_own_scope():
    with wspace.Workspace("held") as ws:
        gone = weakref.ref(ws)
        del ws
        gc.collect()
        x = np.ones(BIG)
        assert wspace.current() is wspace.owner(x) is gone()
    assert gone() is None
    assert (x == 1.0).all()


def test_a_thread_may_compute_on_an_array_whose_workspace_goes():
    source = np.linspace(0.0, 1.0, 200 * BIG)
    expected, results = np.sin(source), []

    def work(x, started):
        started.set()
        results.extend(np.array_equal(np.sin(x), expected) for _ in range(4))

    for end in (wspace.Workspace.close, wspace.Workspace.release, lambda ws: None):
        ws, started = wspace.Workspace("going"), threading.Event()
        with ws:
            thread = threading.Thread(target=work, args=(source.copy(), started))
            thread.start()
            started.wait()
        end(ws)
        del ws
        churn(wspace.Workspace("other"), -1.0)
        thread.join()
        del thread
    assert results == [True] * 12


# ---- memory given back ---------------------------------------------------------------


@pytest.mark.parametrize("end", ["release", "close"])
def test_all_memory_is_given_back_when_nothing_is_alive(end):
    ws = wspace.Workspace("ending")
    for _ in range(3):
        churn(ws, 1.0)
    assert ws.stats.reserved > 0
    getattr(ws, end)()
    stats = ws.stats
    assert (stats.reserved, stats.resident, stats.capacity, stats.used) == (0, 0, 0, 0)


@counts_pages
@pytest.mark.parametrize("end", ["release", "close"])
def test_only_the_pages_of_survivors_are_left_and_go_when_they_die(end):
    ws = wspace.Workspace("ending", initial_size="64MiB")
    with ws:
        np.ones(4 * MIB)
        survivors = [np.full(BIG, float(i)) for i in range(3)]
        np.ones(2 * MIB)
    assert ws.stats.resident >= 32 * MIB
    getattr(ws, end)()
    assert ws.stats.resident <= 1 * MIB
    assert [x[-1] for x in survivors] == [0.0, 1.0, 2.0]
    while survivors:
        assert ws.stats.reserved > 0
        survivors.pop()
    assert (ws.stats.reserved, ws.stats.resident) == (0, 0)


@counts_pages
@pytest.mark.parametrize("kind", ["captured", "stale", "small", "survivor"])
def test_what_workspaces_that_are_gone_leave_behind_is_what_is_alive(kind):
    def one():
        ws = wspace.Workspace("gone", initial_size="8MiB")
        with ws:
            np.ones(500 * BIG)
            if kind == "captured":
                return None
            if kind == "small":
                return np.ones(3)
            return np.ones(BIG) if kind == "survivor" else ws.ones(BIG)

    one()
    gc.collect()
    total, resident = address_space()
    left = [one() for _ in range(40)]
    grown, more = (
        b - a for a, b in zip((total, resident), address_space(), strict=True)
    )
    assert more < 8 * MIB
    if kind in ("captured", "small"):
        assert grown < 8 * MIB
    left.clear()
    assert address_space()[0] - total < 8 * MIB


def test_a_thousand_workspaces_come_and_go():
    for n in range(1000):
        ws = wspace.Workspace("passing", initial_size="64KiB")
        with ws:
            x = np.full(BIG, float(n))
            y = ws.full(BIG, float(n))
        assert x[0] == n
        assert wspace.is_stale(y)
    assert sum(arena.name == "passing" for arena in wspace._arena._arenas) <= 2


@pytest.mark.parametrize("make", ["captured", "checked", "kept"])
def test_a_local_that_lingers_costs_bounded_memory_over_ten_thousand_cycles(make):
    ws = wspace.Workspace("lingering")
    reserved = []
    for n in range(10_000):
        with ws:
            if make == "captured":
                y = np.full(BIG, float(n))
            else:
                y = ws.full(BIG, float(n))
                y = wspace.keep(y) if make == "kept" else y
            z = np.full(2 * BIG, -1.0) + 1.0
        if n % 100 == 0:
            reserved.append(ws.stats.reserved)
    assert max(reserved[1:]) == reserved[1] <= 10 * 8 * 3 * BIG
    assert wspace.is_stale(y) if make == "checked" else y[-1] == 9999.0
    assert z[0] == 0.0


# ---- everything at random ------------------------------------------------------------


class World:
    """Workspaces that come and go, and arrays that must keep their bytes."""

    def __init__(self, seed):
        self.rng, self.arrays, self.serial = random.Random(seed), [], 0
        self.workspaces = [self.fresh() for _ in range(3)]

    def fresh(self):
        fields = {"initial_size": self.rng.choice([0, 0, 4096, "256KiB", "4MiB"])}
        if self.rng.random() < 0.2:
            fields["record"] = True
        return wspace.Workspace("world", **fields)

    def make(self):
        self.serial += 1
        n = self.rng.choice([3, 100, 200, BIG, 7 * BIG, 40 * BIG])
        return np.full(n, float(self.serial)), float(self.serial)

    def cycle(self):
        scopes = self.rng.sample(self.workspaces, self.rng.randrange(1, 3))
        with contextlib.ExitStack() as stack:
            for ws in scopes:
                stack.enter_context(ws)
            for _ in range(self.rng.randrange(1, 15)):
                array, value = self.make()
                if self.rng.random() < 0.2:
                    self.arrays.append((array[len(array) // 2 :], value))
                elif self.rng.random() < 0.2:
                    scopes[0].full(len(array), value)

    def drop(self):
        for _ in range(self.rng.randrange(1, 4)):
            if self.arrays:
                self.arrays.pop(self.rng.randrange(len(self.arrays)))

    def drop_in_a_thread(self):
        thread = threading.Thread(target=self.drop)
        thread.start()
        thread.join()

    def give_back(self):
        action = self.rng.choice(["release", "trim", "close"])
        place = self.rng.randrange(3)
        getattr(self.workspaces[place], action)()
        if action == "close":
            self.workspaces[place] = self.fresh()

    def replace(self):
        self.workspaces[self.rng.randrange(3)] = self.fresh()

    def check(self):
        for array, value in self.arrays:
            assert array[0] == array[-1] == value

    def check_all(self):
        assert all((array == value).all() for array, value in self.arrays)
        assert all(ws._arena.check() for ws in self.workspaces)


@pytest.mark.parametrize("seed", range(8))
def test_arrays_keep_their_bytes_while_everything_comes_and_goes(seed):
    world = World(seed)
    acts = [world.cycle] * 8 + [world.drop] * 4
    acts += [world.drop_in_a_thread, world.give_back, world.replace]
    for step in range(250):
        world.rng.choice(acts)()
        world.check()
        if step % 25 == 0:
            world.check_all()
    world.check_all()
    world.arrays.clear()
    assert [ws.stats.retained for ws in world.workspaces] == [0, 0, 0]
