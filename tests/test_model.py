# SPDX-License-Identifier: BSD-3-Clause
"""Random programs over workspaces, against a model of them in plain Python."""

import contextvars
import gc
import sys
import threading
from functools import partial
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from workspace_model import Handle, Home, Pause, Program, check_disjoint, raw

import wspace

CONFIGS = [
    {},
    {"alignment": 256, "min_block": 1, "initial_size": "128KiB"},
    {"alignment": 128, "initial_size": "8KiB"},
    {"initial_size": "24KiB", "spill": "fail", "learning": "none"},
    {"checked": False, "overallocation": 0, "zero_on_reset": True, "record": True},
    {"capture": False, "max_size": "32KiB"},
    {"max_size": "40KiB", "spill": "fail"},
    {"reset": "ring", "slots": 2, "initial_size": "16KiB"},
    {"reset": "ring", "slots": 3, "on_busy": "skip", "trim_to": "p50", "record": True},
    {"location": "mmap", "initial_size": "30000B"},
]
DTYPES = ["u1", "?", "<f4", ">f8", "c16", "M8[s]", "S7", [("a", "i2"), ("b", "f8")]]

EDGES = [0, 1, 1023, 1024, 1025, 2048, 4096, 5000, 33_000]


def steps(*names):
    """Choose a step by its name, and what it draws from."""
    seeds = strategies.integers(0, 10**6)
    return {"step": strategies.sampled_from(names), "seed": seeds}


def draw_size(random):
    """Return a size in bytes: small, large, or at an edge."""
    most = random.choice([100, 1500, 6000, 20_000])
    return random.choice([random.choice(EDGES), random.randrange(most)])


def elsewhere(function, *args):
    """Call in another thread, in a copy of this context; return the result."""
    result = []
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=lambda: result.append(context.run(function, *args))
    )
    thread.start()
    thread.join()
    return result[0]


class Workspaces(Program, RuleBasedStateMachine):
    """Programs of two workspaces, and of arrays in and out of them."""

    def __init__(self):
        super().__init__()
        gc.freeze()  # what other tests have left is much, and not to be looked at
        gc.collect()
        gc.disable()  # what is in cycles dies when the program says so

    @initialize(which=strategies.permutations(range(len(CONFIGS))))
    def start(self, which):
        self.homes = [Home(CONFIGS[i]) for i in which[:2]]
        self.go_on_to_the_next_cycle(Random(0))

    def teardown(self):
        while self.stack:
            self.pop()
        self.handles.clear()
        gc.enable()
        gc.collect()
        gc.unfreeze()
        for home in self.homes:
            assert home.ws.stats.retained == 0
            assert home.ws._arena.check()
            home.ws.close()
            assert home.ws.stats.reserved == 0

    # ---- making arrays ---------------------------------------------------------------

    @rule(
        **steps("allocate", "create", "copy", "use_for_a_moment", "grow", "be_foreign")
    )
    def make(self, step, seed):
        getattr(self, step)(Random(seed))

    def allocate(self, random):
        for _ in range(random.randrange(1, 8)):
            dtype = np.dtype(random.choice(DTYPES))
            items = draw_size(random) // dtype.itemsize
            make = random.choice([np.zeros, np.empty])
            home = self.goes_to(items * dtype.itemsize)
            array = self.attempt(home, make, items, dtype)
            if array is not None:
                assert make is np.empty or not any(raw(array))
                self.made(array, home)

    def create(self, random):
        if not self.scopes():
            return
        home = random.choice(self.scopes())
        link = (home, home.generation) if home.config.checked else None
        target = home
        if self.is_paused(home):
            target = link = None
        for _ in range(random.randrange(1, 8)):
            dtype = np.dtype(random.choice(DTYPES))
            items = draw_size(random) // dtype.itemsize
            make = random.choice([home.ws.zeros, home.ws.empty])
            array = self.attempt(target, make, items, dtype)
            if array is not None:
                assert make == home.ws.empty or not any(raw(array))
                self.made(array, target, link)

    def copy(self, random):
        for handle in self.choose(random):
            capturing = self.capturing()
            home = self.goes_to(len(handle.bytes))
            array = self.attempt(home, handle.thing.copy)
            link = None
            if handle.link is not None:  # by the handler that made it, of any size
                link = (capturing, capturing.generation) if capturing else (None, 0)
            if array is not None:
                self.made(array, home, link, handle.bytes)

    def use_for_a_moment(self, random):
        nbytes = draw_size(random)
        home = self.goes_to(nbytes)
        array = self.attempt(home, np.empty, nbytes, np.uint8)
        if array is not None:
            raw(array)[:] = b"\xff" * nbytes
        if array is not None and home is not None:
            home.allocations += 1
            home.note(max(nbytes, 1))

    def grow(self, random):
        """Make an array, which then often lies on top, and change its size."""
        count = len(self.handles)
        self.allocate(random)
        for _ in range(random.randrange(4) if len(self.handles) > count else 0):
            self.change_size(self.handles[-1], random)

    def be_foreign(self, random):
        nbytes = draw_size(random)
        home = self.goes_to(nbytes)
        if home is not None:
            home.passed_foreign += 1
        self.made(elsewhere(np.empty, nbytes, np.uint8), None)

    # ---- using and dropping them -----------------------------------------------------

    @rule(
        **steps("view", "take_memoryview", "keep", "overwrite", "resize", "use_stale")
    )
    def use(self, step, seed):
        getattr(self, step)(Random(seed))

    def view(self, random):
        for handle in self.choose(random):
            array, item = handle.thing, handle.thing.itemsize
            low = random.randint(0, array.size)
            high = random.randint(low, array.size)
            start, end = handle.low + low * item, handle.low + high * item
            part = array[low:high]
            self.handles.append(Handle(part, handle.piece, start, end, handle.link))

    def take_memoryview(self, random):
        for handle in self.choose(random, lambda h: h.is_usable and h.bytes):
            view = raw(handle.thing)
            self.handles.append(Handle(view, handle.piece, handle.low, handle.high))

    def keep(self, random):
        for handle in self.choose(random):
            kept = wspace.keep(handle.thing)
            assert (kept is handle.thing) == (handle.link is None)
            handle.piece.escapes = False
            self.handles.append(Handle(kept, handle.piece, handle.low, handle.high))

    def overwrite(self, random):
        for handle in self.choose(random):
            handle.write(self.fresh(len(handle.bytes)))

    def resize(self, random):
        for handle in self.choose(random, lambda h: h.is_sole):
            self.change_size(handle, random)

    def change_size(self, handle, random):
        old, size = handle.piece, handle.thing.size
        count = draw_size(random) // handle.thing.itemsize
        self.attempt(old.home, handle.thing.resize, count, refcheck=False)
        if handle.thing.size != size:
            kept = old.bytes[: handle.thing.nbytes]
            self.resized(handle, old, kept + bytes(handle.thing.nbytes - len(kept)))

    def use_stale(self, random):
        uses = [wspace.detach, wspace.keep, wspace.leverage, np.asarray, len, np.sin]
        for handle in self.choose(random, lambda h: h.is_array and h.is_stale):
            with pytest.raises(wspace.StaleArrayError):
                random.choice(uses)(handle.thing)

    @rule(**steps("drop", "drop_in_another_thread", "tie_into_a_knot", "collect"))
    def let_go(self, step, seed):
        random = Random(seed)
        for _ in range(min(random.randrange(1, 8), len(self.handles))):
            getattr(self, step)(self.handles.pop(random.randrange(len(self.handles))))

    def drop(self, handle):
        handle.drop()

    def drop_in_another_thread(self, handle):
        box, handle.thing = [handle.thing], None
        elsewhere(box.clear)
        handle.drop(far=True)

    def tie_into_a_knot(self, handle):
        knot, handle.thing = [handle.thing], None
        knot.append(knot)
        self.knotted.append(handle)

    def collect(self, handle):
        self.tie_into_a_knot(handle)
        gc.collect()
        for knotted in self.knotted:
            knotted.drop()
        self.knotted.clear()

    # ---- out of a workspace, and into another ----------------------------------------

    @rule(**steps("detach", "leverage", "leverage_to"))
    def take_out(self, step, seed):
        random = Random(seed)
        for handle in self.choose(random):
            getattr(self, step)(handle, random)

    def detach(self, handle, random):
        self.detached(handle, wspace.detach(handle.thing))

    def leverage(self, handle, random):
        scopes = self.scopes()
        below = scopes[scopes.index(self.current()) + 1 :] if self.current() else []
        if below:
            self.copied_into(below[0], handle, wspace.leverage)
        else:
            self.detached(handle, wspace.leverage(handle.thing))

    def leverage_to(self, handle, random):
        if self.scopes():
            home = random.choice(self.scopes())
            to_it = partial(wspace.leverage_to, workspace=home.ws)
            self.copied_into(home, handle, to_it)

    # ---- scopes ----------------------------------------------------------------------

    @rule(
        **steps(
            *("enter", "borrow", "scope_out", "pause"),
            *("leave", "leave_by_an_exception"),
        )
    )
    def change_scope(self, step, seed):
        getattr(self, step)(Random(seed))

    @rule(**steps("go_on_to_the_next_cycle"))
    def cycle(self, step, seed):
        getattr(self, step)(Random(seed))

    def go_on_to_the_next_cycle(self, random):
        while self.stack:
            self.pop()
        self.enter(random)
        self.allocate(random)

    def enter(self, random):
        home = random.choice(self.homes)
        if len(self.stack) < 6:
            kind = "again" if home.is_open else "cycle"
            self.push(kind, home, home.ws)

    def borrow(self, random):
        if self.scopes() and len(self.stack) < 6:
            home = random.choice(self.scopes())
            self.push("block", home, home.ws.borrow())

    def scope_out(self, random):
        if len(self.stack) < 6:
            self.push("block", None, wspace.scope_out())

    def pause(self, random):
        if self.scopes() and len(self.stack) < 6:
            home = random.choice(self.scopes())
            self.push(Pause(home), None, home.ws.paused())

    def push(self, kind, home, block):
        given = kind.home if isinstance(kind, Pause) else home
        assert block.__enter__() is (given and given.ws)
        self.stack.append((kind, home, block))
        if kind == "cycle":
            home.enter()

    def leave(self, random):
        if self.stack:
            self.pop()

    def leave_by_an_exception(self, random):
        try:
            raise KeyError("of the program")
        except KeyError:
            if self.stack:
                self.pop(*sys.exc_info())

    def pop(self, *exception):
        kind, home, block = self.stack.pop()
        assert not block.__exit__(*(exception or (None, None, None)))
        if kind == "cycle":
            home.leave()

    @rule(**steps("trim", "release", "close", "forget"))
    def between_cycles(self, step, seed):
        home = self.homes[seed % len(self.homes)]
        if home.is_open:
            return
        if step != "forget":
            getattr(home.ws, step)()
        if step in ("release", "close"):
            home.end()
        if step in ("close", "forget"):
            home.ws = None
            self.homes[self.homes.index(home)] = Home(home.fields)

    # ---- what must hold --------------------------------------------------------------

    @invariant()
    def figures_are_right(self):
        for home in self.homes:
            home.check()
        current = self.current()
        assert wspace.current() is (current and current.ws)

    @invariant()
    def every_byte_is_kept(self):
        pieces = {handle.piece for handle in self.handles + self.knotted}
        for piece in pieces:
            piece.check()
        check_disjoint(pieces)

    @invariant()
    def arrays_are_what_they_should_be(self):
        for handle in self.handles:
            handle.check()


Workspaces.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class PoisonedWorkspaces(Workspaces):
    """The same where dead memory is poisoned, which changes nothing that is alive."""

    def __init__(self):
        super().__init__()
        wspace.set_debug("poison")

    def teardown(self):
        wspace.set_debug("off")
        super().teardown()


PoisonedWorkspaces.TestCase.settings = settings(
    Workspaces.TestCase.settings, max_examples=15
)


pytestmark = [
    pytest.mark.slow,
    # NumPy 2.5 advises against ndarray.resize and keeps it.
    pytest.mark.filterwarnings("ignore:.*resiz:DeprecationWarning"),
    # Programs at random hold rings, and files, for longer than one should.
    pytest.mark.filterwarnings("ignore:workspace .model. s:RuntimeWarning"),
]


class TestWorkspaces(Workspaces.TestCase):
    """The programs that the suite runs."""


class TestPoisonedWorkspaces(PoisonedWorkspaces.TestCase):
    """As above."""
