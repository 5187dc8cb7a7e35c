# SPDX-License-Identifier: BSD-3-Clause
"""Random programs of generators that enter scopes, each in one of several contexts.

However they are interleaved: when all have ended, nothing is open, nothing is captured,
and every workspace can be used.
"""

import contextlib
import contextvars
import random

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

BIG = 1000  # elements of float64: more than min_block


def captured_by():
    return wspace.owner(np.empty(BIG))


def in_block(kind, ws):
    block = {"with": ws, "borrow": ws.borrow(), "scope_out": wspace.scope_out()}[kind]
    with block:
        yield
        yield


class Program:
    """Generators that run in contexts; `log` tells what was done."""

    def __init__(self, seed):
        self.rng, self.log = random.Random(seed), []
        self.workspaces = [wspace.Workspace(name) for name in "abc"]
        self.contexts, self.running = [contextvars.Context()], []

    def step(self):
        chance = self.rng.random()
        if chance < 0.45:
            self.start()
        elif chance < 0.5 and len(self.contexts) < 4:
            self.copy()
        elif chance < 0.9 and self.running:
            self.end()
        else:
            self.visit()

    def start(self):
        kind = self.rng.choice(["with", "with", "with", "borrow", "scope_out"])
        ws, place = self.rng.choice(self.workspaces), self.place()
        self.log.append(f"{kind} {ws.name} in {place}")
        generator = in_block(kind, ws)
        if self.run(place, next, generator):
            self.running.append((generator, place))

    def copy(self):
        place = self.place()
        self.log.append(f"copy {place}")
        self.contexts.append(self.contexts[place].copy())

    def end(self):
        generator, place = self.running.pop(self.rng.randrange(len(self.running)))
        how = self.rng.choice([list, type(generator).close])
        self.log.append(
            f"{how.__name__} {generator.gi_frame.f_locals['kind']} "
            f"{generator.gi_frame.f_locals['ws'].name} in {place}"
        )
        self.run(place, how, generator)

    def visit(self):
        ws, place = self.rng.choice(self.workspaces), self.place()
        self.log.append(f"visit {ws.name} in {place}")
        self.run(place, self.use, ws)

    def use(self, ws):
        with ws:
            return captured_by() is ws

    def place(self):
        return self.rng.randrange(len(self.contexts))

    def run(self, place, function, *args):
        """Say whether it went without an error of the state."""
        with contextlib.suppress(wspace.WorkspaceStateError):
            self.contexts[place].run(function, *args)
            return True
        return False

    def check_the_end(self):
        done = "; ".join(self.log)
        assert [ws.name for ws in self.workspaces if ws.is_open] == [], done
        for context in self.contexts:
            assert context.run(wspace.current) is None, done
            assert context.run(captured_by) is None, done
            for ws in self.workspaces:
                assert context.run(self.use, ws), done
        # A context that was copied keeps what was current then.
        assert self.contexts[0].run(get_handler_name) == "default_allocator", done


# Blocks of several contexts that end in any order find handlers that are not theirs.
@pytest.mark.filterwarnings("ignore:workspace .* was left:RuntimeWarning")
@pytest.mark.parametrize("seed", range(5))
def test_when_all_generators_have_ended_nothing_is_open(seed):
    for part in range(100):
        program = Program(100 * seed + part)
        for _ in range(program.rng.randrange(5, 40)):
            program.step()
        while program.running:
            program.end()
        program.check_the_end()
