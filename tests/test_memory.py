# SPDX-License-Identifier: BSD-3-Clause
"""Exact counts of what cycles cost: page faults, requests, bytes; no times.

Page faults are those of a process, so they are counted in one of its own, which runs a
function of this file by name and prints what it returns.
"""

import json
import os
import random
import resource
import subprocess
import sys

import numpy as np
import pytest

import wspace

is_sanitized = bool(os.environ.get("WSPACE_SANITIZE"))
counts_faults = pytest.mark.skipif(is_sanitized, reason="sanitizers take memory, too")
MIB = 1 << 20


def in_a_process(function, *args):
    """Call a function of this file in a new process; return its result."""
    command = [sys.executable, "-W", "error", __file__, function.__name__]
    command.append(json.dumps(args))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def costs_of(ws):
    """Return page faults, upstream calls, spills and allocations left to NumPy."""
    stats = ws.stats
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return faults, stats.upstream_calls, stats.spills, stats.passed_foreign


def costs_of_cycles(make_cycle, count):
    """Run cycles of a new workspace; return what each of them cost.

    It is done three times, and the least counts: Python takes a page for itself now and
    then, while what the cycles cost is the same each time.
    """
    runs = []
    for _ in range(3):
        ws = wspace.Workspace("train")
        cycle = make_cycle(ws)
        log = [costs_of(ws)]
        for n in range(count):
            cycle(n)
            log.append(costs_of(ws))
        runs.append(np.diff(log, axis=0))
    return np.min(runs, axis=0).tolist()


# ---- steady cycles -------------------------------------------------------------------


def elementwise(ws):
    a, b = np.full(200_000, 2.0), np.full(200_000, 3.0)

    @ws.scoped
    def cycle(n):
        c = a + b * n
        d = np.sqrt(c * c + a)
        e = np.where(d > 5, d, c)
        f = e[::3] - e[1::3][: len(e[::3])].mean()
        return float(f.sum())

    return cycle


def linear_algebra(ws):
    a = np.linspace(0, 1, 300 * 300).reshape(300, 300)

    @ws.scoped
    def cycle(n):
        b = a @ a.T + n * np.eye(300)
        c = np.sort(b, axis=0)[::-1]
        d = np.concatenate([c, b], axis=1)
        return float(np.cumsum(d, axis=1)[:, -1].sum())

    return cycle


def with_creators(ws):
    @ws.scoped
    def cycle(n):
        x = ws.zeros((400, 300))
        y = ws.full((400, 300), 3.0)
        small = [ws.ones(8) for _ in range(50)]
        return float(((x + y) * small[3][0]).sum())

    return cycle


def nested(ws):
    inner = wspace.Workspace("inner")

    @ws.scoped
    def cycle(n):
        x = np.full(100_000, n, np.float64)
        for _ in range(3):
            with inner:
                y = wspace.leverage(x * 2 + 1)
            x = x + y
        return float(x[-1])

    return cycle


def growing_lists(ws):
    sizes = [random.Random(3).randrange(1024, 90_000) for _ in range(60)]

    @ws.scoped
    def cycle(n):
        arrays = [np.full(size, n % 251, np.uint8) for size in sizes]
        del arrays[::2]
        arrays += [np.full(size, 1, np.uint8) for size in sizes[::-3]]
        return int(arrays[-1][0])

    return cycle


PROGRAMS = [elementwise, linear_algebra, with_creators, nested, growing_lists]


def steady(name):
    return costs_of_cycles(globals()[name], 30)


@counts_faults
@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_steady_cycle_costs_no_fault_no_request_and_no_malloc(program):
    log = in_a_process(steady, program.__name__)
    assert log[3:] == [[0, 0, 0, 0]] * 27
    # The counts count: the first cycles do take memory.
    assert log[0][0] + log[1][0] > 100 and log[0][1] > 0


# ---- carried state -------------------------------------------------------------------

MIXED = [2048, 5000, 10_000, 33_000, 65_536, 100_000, 250_000]


def carrying(sizes, chosen, order):
    """Make a program that carries the chosen ones of its arrays to the next cycle.

    They are let go before the new ones are made, each when it is replaced, or when all
    new ones are there.
    """

    def make_cycle(ws):
        state = dict.fromkeys(chosen)

        def cycle(n):
            with ws:
                if order == "before":
                    state.update(dict.fromkeys(chosen))
                made = {}
                for i, size in enumerate(sizes):
                    array = np.empty(size, np.uint8)
                    array.fill(n % 251)
                    made[i] = array
                    if i in chosen and order != "after":
                        state[i] = made.pop(i)
                    del array
                if order == "after":
                    state.update({i: made[i] for i in chosen})
                made.clear()

        return cycle

    return make_cycle


def choose(sizes, fraction, rng):
    """Choose indices so that their sizes come to a fraction of all."""
    chosen, total = [], 0
    for i in rng.sample(range(len(sizes)), len(sizes)):
        if total >= fraction * sum(sizes):
            break
        chosen.append(i)
        total += sizes[i]
    return chosen


def carried(fraction, mixed, order):
    logs = []
    for seed in range(6):
        rng = random.Random(seed)
        sizes = [rng.choice(MIXED) if mixed else 65_536 for _ in range(40)]
        program = carrying(sizes, choose(sizes, fraction, rng), order)
        logs.append(costs_of_cycles(program, 40))
    return logs


@counts_faults
@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "one by one", "after"])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6])
def test_carried_state_costs_nothing_from_the_fifth_cycle(fraction, mixed, order):
    costly = {
        (seed, cycle): costs
        for seed, log in enumerate(in_a_process(carried, fraction, mixed, order))
        for cycle, costs in enumerate(log, start=1)
        if cycle >= 5 and any(costs)
    }
    assert costly == {}


def stepper():
    def make_cycle(ws):
        state = [np.linspace(0, 1, 300_000)]

        def cycle(n):
            with ws:
                u = state[0]
                flux = np.diff(u)
                state[0] = u + 0.1 * np.pad(np.diff(flux), 1)
                del u, flux

        return cycle

    return costs_of_cycles(make_cycle, 40)


def eight_locals():
    def make_cycle(ws):
        names = [f"x{n}" for n in range(8)]
        local = {}

        def cycle(n):
            with ws:
                for i, name in enumerate(names):
                    local[name] = np.full(50_000 + 1000 * i, n % 251, np.uint8)

        return cycle

    return costs_of_cycles(make_cycle, 40)


@counts_faults
@pytest.mark.slow
@pytest.mark.parametrize("program", [stepper, eight_locals])
def test_a_loop_that_carries_its_state_settles(program):
    assert in_a_process(program)[4:] == [[0, 0, 0, 0]] * 36


@pytest.mark.slow
def test_a_lingering_local_costs_bounded_memory():
    ws = wspace.Workspace("train")
    figures = []
    for n in range(10_000):
        with ws:
            lingers = np.full(8000 + n % 7 * 500, n % 251, np.uint8)
            np.full(50_000, 1, np.uint8)
        figures.append((ws.stats.capacity, ws.stats.reserved, ws.stats.retained))
    assert lingers[0] == (10_000 - 1) % 251
    assert len(set(figures[100:])) <= 7  # sizes of the local
    capacity, reserved, _ = map(max, zip(*figures[5:], strict=True))
    assert capacity <= 3 * 75_000 and reserved <= 4 * 75_000
    assert ws._arena.check()


# ---- options of pages ----------------------------------------------------------------


def populated(fields):
    """Return the faults of a first cycle after the block was made, and its memory."""
    faults = []
    for _ in range(3):
        ws = wspace.Workspace("train", initial_size=16 * MIB, **fields)
        with ws:
            np.empty(2000)
            before = costs_of(ws)[0]
            np.full(15 * MIB, 7, np.uint8)
            faults.append(costs_of(ws)[0] - before)
    return min(faults), ws.stats.resident


@counts_faults
@pytest.mark.slow
def test_populate_brings_the_block_into_memory_at_once():
    assert in_a_process(populated, {})[0] >= 15 * MIB // (2 * MIB)  # huge ones, perhaps
    faults, resident = in_a_process(populated, {"populate": True})
    assert faults == 0
    assert resident >= 16 * MIB


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
