# SPDX-License-Identifier: BSD-3-Clause
"""Memory runs out: upstream gives nothing, or a workspace may take no more."""

import gc
import itertools
from functools import partial
from unittest import mock

import numpy as np
import pytest

import wspace
from wspace._arena import Arena

PAGE = 4096
BLOCK = ("capacity", "reserved", "resident")


class Faulty(wspace.Workspace):
    """A workspace whose upstream fails at its nth call, and from there on if told."""

    def __init__(self, faults, **fields):
        self._faults = faults
        super().__init__("train", **fields)

    def _new_arena(self):
        arena = partial(Arena, faults=self._faults)
        with mock.patch("wspace._workspace.Arena", arena):
            return super()._new_arena()


def state(ws):
    """Return the figures that a refused allocation must not change."""
    stats = ws.stats
    names = set(type(stats).__slots__) - {"upstream_calls", *BLOCK}
    return {name: getattr(stats, name) for name in names} | {"is_open": ws.is_open}


def block(ws):
    """Return the figures that change only when the first allocation makes the block."""
    stats = ws.stats
    return [getattr(stats, name) for name in BLOCK]


class Program:
    """Allocations in a workspace, what they must leave alone, and how many failed."""

    def __init__(self, ws):
        self.ws = ws
        self.kept = []
        self.failures = 0

    def check(self):
        assert self.ws._arena.check()
        for n, array in self.kept:
            assert bytes(array) == bytes([n % 251]) * n

    def keep(self, make, nbytes):
        """Make an array and keep it, or see that nothing came of it."""
        before, memory = state(self.ws), block(self.ws)
        try:
            array = make(nbytes, np.uint8)
        except MemoryError as error:
            self.failures += 1
            self.check_message(error, nbytes, made_here=make != np.empty)
            assert state(self.ws) == before
            assert memory[0] == 0 or block(self.ws) == memory
        else:
            array.fill(nbytes % 251)
            self.kept.append((nbytes, array))
        self.check()

    def check_message(self, error, nbytes, made_here):
        if made_here:
            text = f"could not allocate {nbytes:,} bytes for workspace 'train'"
            assert type(error) is MemoryError
            assert str(error) == text
        else:
            assert str(error).startswith("Unable to allocate")
            assert f"shape ({nbytes},)" in str(error)

    def keep_both(self, nbytes):
        self.keep(np.empty, nbytes)
        self.keep(self.ws.empty, nbytes)

    def forget(self):
        self.kept.clear()
        self.check()


def learn_and_grow(program):
    """Learn a size, run in it, grow it, and give all back."""
    ws = program.ws
    for nbytes in (5000, 5000, 400_000, 1_500_000):
        with ws:
            program.keep_both(nbytes)
            program.keep_both(1500)
            program.forget()
        program.check()
    ws.trim()
    with ws:
        program.keep_both(3000)
        program.forget()
    ws.release()
    with ws:
        program.keep_both(70_000)
        program.forget()


def leave_survivors(program):
    """Fill a block with survivors until the workspace has to go on in another one."""
    ws = program.ws
    for cycle in range(12):
        with ws:
            program.keep(np.empty, 40_000 + cycle)
            program.keep(np.empty, 90_000)
            program.keep(np.empty, 90_001)
            del program.kept[-2:]
        program.check()
    del program.kept[::2]
    with ws:
        program.keep(np.empty, 100_000)
    program.forget()


SCENARIOS = [
    (learn_and_grow, {}),
    (learn_and_grow, {"initial_size": "64KiB"}),
    (learn_and_grow, {"initial_size": "64KiB", "huge_pages": True, "populate": True}),
    (learn_and_grow, {"spill": "external", "learning": "none"}),
    (leave_survivors, {"max_size": 400_000, "initial_size": 400_000}),
    (leave_survivors, {"max_size": 400_000}),
]


@pytest.mark.filterwarnings("ignore:workspace 'train' spilled:RuntimeWarning")
@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("scenario, fields", SCENARIOS)
def test_upstream_may_fail_at_each_of_its_calls(scenario, fields, persistent):
    failures = []
    for n in itertools.count(1):
        program = Program(Faulty((n, persistent), **fields))
        scenario(program)
        calls = program.ws.stats.upstream_calls
        program.forget()
        program.ws.close()
        assert program.ws.stats.reserved == program.ws.stats.retained == 0
        failures.append(program.failures)
        if n > calls:
            break
    # The program makes enough calls to be a test, and is untouched in the end.
    assert len(failures) > 4 and any(failures) and failures[-1] == 0


def test_what_is_kept_outlives_a_workspace_without_upstream():
    ws = Faulty((3, True), initial_size="64KiB")
    program = Program(ws)
    with ws:
        program.keep_both(5000)
        program.keep(np.empty, 500_000)
        assert program.failures == 1
        program.kept[1:] = []
    ws.close()
    program.check()
    del ws, program.ws
    gc.collect()
    (n, array), = program.kept  # fmt: skip
    assert bytes(array) == bytes([n % 251]) * n


def test_a_failed_growth_is_tried_again_and_the_program_runs_on():
    learned = set()
    for n in range(1, 12):
        program = Program(Faulty((n, False), initial_size="64KiB"))
        capacities, spills = [], []
        for _ in range(4):
            with program.ws as ws:
                program.keep(np.empty, 300_000)
                program.forget()
            capacities.append(ws.stats.capacity)
            spills.append(ws.stats.spills)
        assert capacities[3] > 300_000 and spills[3] == spills[2]
        learned.add(capacities[0])
    # Some did not grow at first, others did.
    assert 64 * 1024 in learned and max(learned) > 300_000


# ---- workspaces that may not spill ---------------------------------------------------


def fail_workspace(**fields):
    return wspace.Workspace("train", spill="fail", **fields)


def test_a_full_workspace_says_how_much_it_has():
    ws = fail_workspace(initial_size=10_000)
    with ws:
        with pytest.raises(wspace.WorkspaceFullError) as caught:
            ws.empty(20_000, np.uint8)
        text = "workspace 'train' is full: requested 20000 bytes, 10000 of 10000 free"
        assert str(caught.value) == text
        kept = ws.empty(2000, np.uint8)
        used = ws.stats.used
        for make in (ws.empty, ws.zeros, ws.ones):
            before = state(ws)
            with pytest.raises(wspace.WorkspaceFullError) as caught:
                make(1001, ">c16")
            text = f"requested 16016 bytes, {10_000 - used} of 10000 free"
            assert str(caught.value) == f"workspace 'train' is full: {text}"
            assert caught.value.__notes__[0].startswith("hint: raise ")
            assert state(ws) == before and ws._arena.check()
        assert kept.size == 2000


@pytest.mark.parametrize(
    "creator",
    [
        lambda ws: ws.full(3000, 7.0),
        lambda ws: ws.arange(3000.0),
        lambda ws: ws.linspace(0, 1, 3000),
        lambda ws: ws.eye(60),
        lambda ws: ws.array([0.5] * 3000),
        lambda ws: ws.asarray(np.float64([0.5] * 3000)),
        lambda ws: ws.zeros_like(np.broadcast_to(0.5, 3000)),
        lambda ws: ws.full_like(np.broadcast_to(0.5, 3000), 1),
    ],
)
def test_every_creator_says_that_the_workspace_is_full(creator):
    ws = fail_workspace(initial_size=10_000, capture=False)
    with ws:
        with pytest.raises(
            wspace.WorkspaceFullError, match="'train' is full: requested"
        ):
            creator(ws)
        assert ws.stats.used == 0 and ws._arena.check()
        assert float(ws.ones(100).sum()) == 100


def test_numpy_says_in_its_own_words_that_the_workspace_is_full():
    ws = fail_workspace(initial_size=10_000)
    with ws:
        for make in (np.empty, np.zeros, np.arange):
            with pytest.raises(MemoryError, match="Unable to allocate"):
                make(2000.0 if make is np.arange else 2000)
        a = np.full(400, 2.0)
        with pytest.raises(MemoryError, match="Unable to allocate"):
            np.concatenate([a, a, a, a])
        assert (a == 2).all() and ws._arena.check()


def test_smaller_arrays_fit_after_a_larger_one_did_not():
    ws = fail_workspace(initial_size=100_000)
    for _ in range(3):
        with ws:
            made = []
            size = 50_000
            while size >= 16:
                try:
                    made.append(ws.empty(size, np.uint8))
                    made[-1].fill(size % 251)
                except wspace.WorkspaceFullError:
                    size //= 2
            assert ws.stats.used > 99_000
            assert all(bytes(x) == bytes([x.size % 251]) * x.size for x in made)
            made.clear()
            assert ws.stats.used == 0
    assert ws.stats.spills == 0


@pytest.mark.parametrize("creator", [True, False])
def test_a_refusal_keeps_nothing_alive(creator):
    ws = fail_workspace(initial_size=100_000)
    gc.collect()
    gc.disable()
    try:
        with ws:
            refused_beside_a_local(ws, ws.empty if creator else np.empty)
            assert ws.stats.used == 0
    finally:
        gc.enable()


def refused_beside_a_local(ws, make):
    local = make(50_000, np.uint8)
    try:
        make(90_000, np.uint8)
    except MemoryError:
        assert ws.stats.used == ws._arena.bytes_for(local.size)
    else:
        raise AssertionError("it was to be refused")


BOUNDED = [
    {"max_size": "1MiB"},
    {"max_size": "1MiB", "initial_size": "64KiB"},
    {"max_size": "1MiB", "initial_size": "1MiB"},
    {"max_size": 3_000_000, "learning": "none", "initial_size": 2_000_000},
]


@pytest.mark.parametrize("fields", BOUNDED)
@pytest.mark.parametrize("size", [5000, 100_000, 400_000])
def test_fail_bounds_all_memory_by_max_size(fields, size):
    ws = fail_workspace(**fields)
    bound = -(-ws.config.max_size // PAGE) * PAGE
    carried = []
    for _ in range(8):
        with ws:
            made = []
            with pytest.raises(MemoryError):
                while True:
                    made.append(np.full(size, 7, np.uint8))
                    assert ws.stats.reserved <= bound
            assert sum(x.nbytes for x in made + carried) <= bound
            carried = made[: len(made) // 2]
            del made
        assert ws.stats.reserved <= bound
    assert all((x == 7).all() for x in carried)
    carried.clear()
    ws.release()
    assert ws.stats.reserved == 0


@pytest.mark.filterwarnings("ignore:workspace 'train' spilled in 3:RuntimeWarning")
def test_max_size_bounds_the_block_of_a_workspace_that_spills():
    ws = wspace.Workspace("train", max_size=1_000_000)
    for _ in range(5):
        with ws:
            arrays = [np.full(300_000, 7, np.uint8) for _ in range(6)]
            assert ws.stats.capacity <= 1_000_000
            assert all((x == 7).all() for x in arrays)
            arrays.clear()
        assert ws.stats.capacity <= 1_000_000
    assert ws.stats.spills > 0
