# SPDX-License-Identifier: BSD-3-Clause
"""How much memory workspaces take and touch, and what is left in it."""

import ctypes
import os
import random
import threading

import numpy as np
import pytest

import wspace

is_sanitized = bool(os.environ.get("WSPACE_SANITIZE"))
MIB = 1 << 20


# ---- how high, and how much of it is touched -----------------------------------------


class Peak:
    """Follow the sum of the live bytes of a set of arrays."""

    def __init__(self):
        self.bytes = 0

    def note(self, *arrays):
        self.bytes = max(self.bytes, sum(x.nbytes for x in arrays))


def repeating(rng, peak):
    """Rebind names, in loops over the same few sizes."""
    sizes = [rng.randrange(1024, 200_000) for _ in range(20)]
    arrays = [np.full(size, 1, np.uint8) for size in sizes]
    peak.note(*arrays)
    for _ in range(30):
        for i in rng.sample(range(20), 20):
            arrays[i] = arrays[i] + np.uint8(1)
            peak.note(*arrays, arrays[i])


def growing(rng, peak):
    """Append chunks, and copy all that there was, again and again."""
    x = np.full(10_000, 1, np.uint8)
    for _ in range(150):
        chunk = np.full(rng.randrange(1024, 20_000), 1, np.uint8)
        y = np.concatenate([x, chunk])
        peak.note(x, y, chunk)
        x = y
        del chunk, y


def at_random(rng, peak):
    """Make and drop arrays of any size, some 60 at a time."""
    arrays = []
    for _ in range(1500):
        if len(arrays) > 60 or (arrays and rng.random() < 0.4):
            arrays.pop(rng.randrange(len(arrays)))
        else:
            arrays.append(np.full(int(1024 * 200 ** rng.random()), 1, np.uint8))
        peak.note(*arrays)


def run(ws, program, seed, cycles):
    """Run equal cycles; return the peak of their live bytes."""
    peak = Peak()
    for _ in range(cycles):
        with ws:
            program(random.Random(seed), peak)
    return peak.bytes


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "program, bar", [(repeating, 1.2), (growing, 1.6), (at_random, 1.6)]
)
def test_the_high_water_mark_is_near_the_live_bytes(program, bar, seed):
    ws = wspace.Workspace("train", initial_size=64 * MIB)
    peak = run(ws, program, seed, cycles=3)
    assert ws.stats.spills == 0
    assert peak <= ws.stats.high_water <= bar * peak


# The pages behind it are more: what is free lies in pieces, since chunks that were just
# freed wait for a request of their own class before they are merged.
@pytest.mark.skipif(is_sanitized, reason="sanitizers take memory, too")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "program, bound", [(repeating, 1.5), (growing, 2.0), (at_random, 1.6)]
)
def test_the_memory_that_is_touched_is_bounded_by_the_live_bytes(program, bound, seed):
    ws = wspace.Workspace("train", initial_size=64 * MIB)
    peak = run(ws, program, seed, cycles=5)
    assert ws.stats.resident <= bound * peak, ws.stats.resident / peak


@pytest.mark.parametrize("program", [repeating, growing, at_random])
def test_equal_cycles_stop_spilling(program):
    ws = wspace.Workspace("train")
    run(ws, program, 1, cycles=4)
    spills = ws.stats.spills
    peak = run(ws, program, 1, cycles=3)
    assert ws.stats.spills == spills
    assert ws.stats.reserved <= 3 * peak


# ---- options of pages ----------------------------------------------------------------


@pytest.mark.parametrize("populate", [False, True])
def test_blocks_of_huge_pages_are_whole_ones(populate):
    ws = wspace.Workspace("train", huge_pages=True, populate=populate)
    for n in range(4):
        with ws:
            x = np.full(3_000_000, n, np.uint8)
            assert bytes(x[:9]) == bytes([n]) * 9 and int(x.sum()) == n * x.size
            assert not np.zeros(1_000_000, np.uint8).any()
            del x
        assert ws.stats.reserved > 0 and ws.stats.reserved % (2 * MIB) == 0
    assert ws._arena.check()


@pytest.mark.skipif(is_sanitized, reason="sanitizers take memory, too")
def test_trim_gives_pages_back_and_keeps_the_size():
    ws = wspace.Workspace("train", initial_size=8 * MIB)
    with ws:
        kept = np.full(100_000, 9, np.uint8)
        np.full(7 * MIB, 1, np.uint8)
    full, given = ws.stats, ws.trim()
    trimmed = ws.stats
    assert full.resident > 7 * MIB and given >= 7 * MIB - 2 * 4096
    assert 100_000 <= trimmed.resident < 200_000
    assert trimmed.capacity == full.capacity == 8 * MIB
    assert (kept == 9).all()
    with ws:
        assert not np.zeros(7 * MIB, np.uint8).any()
    assert ws.stats.spills == 0


# ---- secrets -------------------------------------------------------------------------

SECRET = b"the secret "


def remember(places, array):
    """Fill an array with the secret, and remember where it lies."""
    memoryview(array)[:] = (SECRET * (array.nbytes // len(SECRET) + 1))[: array.nbytes]
    places.append((array.__array_interface__["data"][0], array.nbytes))


def secrets_in(places):
    return sum(SECRET in ctypes.string_at(*place) for place in places)


def make_secrets(ws, places):
    """Use memory in every way in which an array can leave it."""
    made = [np.empty(n, np.uint8) for n in (1024, 5000, 70_000, 300_000)]
    made += [ws.empty(n, np.uint8) for n in (11, 100, 5000)]
    for array in made:
        remember(places, array)
    made[1].resize(9000, refcheck=False)
    made[0].resize(1100, refcheck=False)
    made[3].resize(290_000, refcheck=False)
    made[2] = made[2] + np.uint8(1)
    box = [made.pop()]
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    return made


@pytest.mark.filterwarnings("ignore:.*resiz:DeprecationWarning")
@pytest.mark.skipif(is_sanitized, reason="what is dead may not be read")
@pytest.mark.parametrize("size", [0, 64 * 1024, 8 * MIB])
@pytest.mark.parametrize("zeroes", [True, False])
def test_zero_on_reset_leaves_no_secrets_behind(size, zeroes):
    ws = wspace.Workspace("train", initial_size=size, zero_on_reset=zeroes)
    found = 0
    for _ in range(4):
        places = []
        with ws:
            made = make_secrets(ws, places)
            survivor = made[2]
            made.clear()
        found += secrets_in(places)
        del survivor
    assert (found == 0) == zeroes
    assert ws._arena.check()
