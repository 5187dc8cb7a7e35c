# SPDX-License-Identifier: BSD-3-Clause
"""Random staged programs: the same values in every mode, and nothing stale or lost.

A program is drawn once and run in each mode. It knows by the rules of the design which
of its arrays may be used: those of a stage until its end, results until the end of the
cycle, and what was detached or kept for ever.
"""

import gc
from random import Random

import numpy as np
import pytest

import wspace
from wspace import StagedWorkspace, WorkspaceMode

CONFIGS = [
    {},
    {"initial_size": "32KiB"},
    {"initial_size": "8KiB", "spill": "external", "min_block": 1},
    {"capture": False},
    {"checked": False, "alignment": 256},
    {"initial_size": "64KiB", "zero_on_reset": True, "record": True},
]
SIZES = [3, 100, 127, 128, 129, 1000, 4000]


def draw(random):
    """Return a program: a list of cycles, which are nested lists of steps."""
    return [draw_block(random, 0, random.randrange(2, 7)) for _ in range(5)]


def draw_block(random, depth, length):
    kinds = ["make", "make", "captured", "compute", "compute", "sum", "drop", "detach"]
    kinds += ["keep", "result", "result"]
    if depth < 3:
        kinds += ["stage"] * 4 + ["results"] * 3 + ["again", "fails"]
    steps = []
    for _ in range(length):
        kind, seed = random.choice(kinds), random.randrange(10**6)
        inner = []
        if kind in ("stage", "results", "again", "fails"):
            inner = draw_block(random, depth + 1, random.randrange(1, 7))
        steps.append((kind, seed, inner))
    return steps


class Failure(Exception):
    """Raised by a program, to leave its blocks."""


class Machine:
    """Runs a program in one mode, and notes every value that it sees."""

    def __init__(self, mode, config):
        self.run = StagedWorkspace("model", mode, **config)
        self.trace = []
        self.usable = [[]]  # of the cycle, of the outermost stage if one is open
        self.forever = []  # (array, its bytes)

    def cycle(self, steps):
        with self.run:
            self.steps(steps)
            self.check()
        self.usable = [[]]

    def steps(self, steps):
        for kind, seed, inner in steps:
            getattr(self, kind)(Random(seed), inner)

    def arrays(self):
        return [array for level in self.usable for array in level]

    def add(self, array, level=-1):
        self.usable[level].append(array)
        self.trace.append(array.tobytes())

    def choose(self, random):
        found = self.arrays()
        return random.choice(found) if found else None

    # ---- steps -----------------------------------------------------------------------

    def make(self, random, inner):
        maker = self.run.current or np
        self.add(maker.full(random.choice(SIZES), random.random()))

    def captured(self, random, inner):
        self.add(np.full(random.choice(SIZES), random.random()))

    def compute(self, random, inner):
        x = self.choose(random)
        if x is not None:
            self.add(np.sqrt(np.abs(x)) * random.random() + x[::-1])

    def sum(self, random, inner):
        x = self.choose(random)
        if x is not None:
            self.trace.append(float(x.sum()).hex())

    def drop(self, random, inner):
        level = self.usable[-1]
        if level:
            del level[random.randrange(len(level))]

    def detach(self, random, inner):
        x = self.choose(random)
        if x is not None:
            self.forever.append((wspace.detach(x), x.tobytes()))

    def keep(self, random, inner):
        x = self.choose(random)
        if x is not None:
            self.forever.append((wspace.keep(x), x.tobytes()))

    def result(self, random, inner):
        x = self.choose(random)
        if x is not None:
            self.add(self.run.result(x), 0)

    def stage(self, random, inner):
        is_outermost = len(self.usable) == 1
        if is_outermost:
            self.usable.append([])
        with self.run.stage(random.choice("abc")):
            self.steps(inner)
            self.check()
        if is_outermost:
            self.usable.pop()
            self.check()

    def results(self, random, inner):
        with self.run.results():
            self.steps(inner)

    def again(self, random, inner):
        with self.run:
            self.steps(inner)

    def fails(self, random, inner):
        is_outermost = len(self.usable) == 1
        if is_outermost:
            self.usable.append([])
        try:
            with self.run.stage("fails"), self.run.results():
                self.steps(inner)
                raise Failure
        except Failure:
            pass
        if is_outermost:
            self.usable.pop()

    # ---- invariants ------------------------------------------------------------------

    def check(self):
        for array in self.arrays():
            assert not wspace.is_stale(array)
        for array, content in self.forever:
            assert type(array) is np.ndarray and array.tobytes() == content
        self.trace.append([float(array.sum()).hex() for array in self.arrays()])
        for workspace in self.run.workspaces:
            assert workspace._arena.check()


@pytest.mark.filterwarnings("ignore:.*spilled in")  # as its configuration asks for
@pytest.mark.parametrize("seed", range(60))
def test_a_random_program_has_the_same_values_in_every_mode(seed):
    random = Random(seed)
    config = random.choice(CONFIGS)
    program = draw(random)
    traces = []
    for mode in WorkspaceMode:
        machine = Machine(mode, config)
        for steps in program:
            machine.cycle(steps)
        assert not machine.run.is_open and not wspace.any_open()
        traces.append(machine.trace)
        stats = machine.run.stats
        assert stats.cycles == len(program)
        assert stats.used == 0
        machine.forever.clear()
        gc.collect()
        machine.run.release()
        assert machine.run.stats.reserved == machine.run.stats.retained == 0
        if mode in ("none", "single"):
            assert stats.copied == 0
        if mode == "none":
            assert stats.allocations == 0
    assert len(traces[0]) > 10
    for trace in traces[1:]:
        assert trace == traces[0]


@pytest.mark.parametrize("seed", range(10))
def test_a_change_of_mode_in_the_middle_changes_no_value(seed):
    random = Random(1000 + seed)
    program = draw(random)
    steady, changing = Machine("none", {}), Machine("single", {})
    for steps in program:
        steady.cycle(steps)
        changing.run.mode = random.choice(list(WorkspaceMode))
        changing.cycle(steps)
    assert changing.trace == steady.trace
