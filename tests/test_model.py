# SPDX-License-Identifier: BSD-3-Clause
"""Random programs over workspaces, against a model of them in plain Python."""

import contextvars
import gc
import sys
import threading
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from workspace_model import Handle, Home, Program, check_disjoint, raw

import wspace

CONFIGS = [
    {},
    {"alignment": 256, "min_block": 1, "initial_size": "16KiB"},
    {"initial_size": "24KiB", "spill": "fail", "learning": "none"},
    {"checked": False, "overallocation": 0, "zero_on_reset": True, "record": True},
    {"capture": False, "max_size": "32KiB"},
    {"max_size": "40KiB", "spill": "fail"},
]
DTYPES = ["u1", "?", "<f4", ">f8", "c16", "M8[s]", "S7", [("a", "i2"), ("b", "f8")]]

EDGES = [0, 1, 1023, 1024, 1025, 2048, 4096, 5000, 33_000]

picks = strategies.integers(0, 10**6)


def one_of(*names):
    """Choose a step by its name."""
    return strategies.sampled_from(names)


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
        gc.collect()
        gc.disable()  # what is in cycles dies when the program says so

    @initialize(which=strategies.permutations(range(len(CONFIGS))))
    def start(self, which):
        self.homes = [Home(CONFIGS[i]) for i in which[:2]]
        self.enter(0)

    def teardown(self):
        while self.stack:
            self.pop()
        self.handles.clear()
        gc.enable()
        gc.collect()
        for home in self.homes:
            assert home.ws.stats.retained == 0
            assert home.ws._arena.check()
            home.ws.close()
            assert home.ws.stats.reserved == 0

    # ---- making arrays ---------------------------------------------------------------

    @rule(count=strategies.integers(1, 8), seed=picks)
    def allocate(self, count, seed):
        random = Random(seed)
        for _ in range(count):
            dtype = np.dtype(random.choice(DTYPES))
            items = draw_size(random) // dtype.itemsize
            make = random.choice([np.zeros, np.empty])
            home = self.goes_to(items * dtype.itemsize)
            array = self.attempt(home, make, items, dtype)
            if array is not None:
                assert make is np.empty or not any(raw(array))
                self.made(array, home)

    @precondition(lambda self: self.scopes())
    @rule(count=strategies.integers(1, 8), seed=picks)
    def create(self, count, seed):
        random = Random(seed)
        home = random.choice(self.scopes())
        link = (home, home.generation) if home.config.checked else None
        for _ in range(count):
            dtype = np.dtype(random.choice(DTYPES))
            items = draw_size(random) // dtype.itemsize
            make = random.choice([home.ws.zeros, home.ws.empty])
            array = self.attempt(home, make, items, dtype)
            if array is not None:
                assert make == home.ws.empty or not any(raw(array))
                self.made(array, home, link)

    @rule(pick=picks)
    def copy(self, pick):
        handle = self.pick(pick)
        if handle is None:
            return
        capturing = self.capturing()
        home = self.goes_to(len(handle.bytes))
        array = self.attempt(home, handle.thing.copy)
        if array is None:
            return
        link = None
        if handle.link is not None:  # by the handler that made it, whatever its size
            link = (capturing, capturing.generation) if capturing else (None, 0)
        self.made(array, home, link, handle.bytes)

    @rule(step=one_of("allocate_in_another_thread", "use_for_a_moment"), seed=picks)
    def allocate_otherwise(self, step, seed):
        getattr(self, step)(draw_size(Random(seed)))

    def allocate_in_another_thread(self, nbytes):
        home = self.goes_to(nbytes)
        if home is not None:
            home.passed_foreign += 1
        self.made(elsewhere(np.empty, nbytes, np.uint8), None)

    def use_for_a_moment(self, nbytes):
        home = self.goes_to(nbytes)
        array = self.attempt(home, np.empty, nbytes, np.uint8)
        if array is None:
            return
        raw(array)[:] = b"\xff" * nbytes
        if home is not None:
            home.allocations += 1
            home.note(max(nbytes, 1))

    # ---- holding them in other ways --------------------------------------------------

    @rule(step=one_of("view", "take_memoryview", "keep", "overwrite"), pick=picks)
    def hold(self, step, pick):
        getattr(self, step)(pick)

    def view(self, pick):
        handle = self.pick(pick)
        if handle is None:
            return
        low, high = sorted(n % (handle.thing.size + 1) for n in (pick, pick // 7))
        part = handle.thing[low:high]
        start = handle.low + low * part.itemsize
        end = handle.low + high * part.itemsize
        self.handles.append(Handle(part, handle.piece, start, end, handle.link))

    def take_memoryview(self, pick):
        handle = self.pick(pick, lambda handle: handle.is_usable and handle.bytes)
        if handle is not None:
            view = raw(handle.thing)
            self.handles.append(Handle(view, handle.piece, handle.low, handle.high))

    def keep(self, pick):
        handle = self.pick(pick)
        if handle is None:
            return
        kept = wspace.keep(handle.thing)
        assert (kept is handle.thing) == (handle.link is None)
        handle.piece.escapes = False
        self.handles.append(Handle(kept, handle.piece, handle.low, handle.high))

    def overwrite(self, pick):
        handle = self.pick(pick)
        if handle is not None:
            handle.write(self.fresh(len(handle.bytes)))

    @rule(pick=picks, seed=picks)
    def resize(self, pick, seed):
        handle = self.pick(pick, lambda handle: handle.is_sole)
        if handle is None:
            return
        if pick % 2:  # the newest may lie on top of the block
            handle = next(h for h in self.handles[::-1] if h.is_sole)
        old, size = handle.piece, handle.thing.size
        count = draw_size(Random(seed)) // handle.thing.itemsize
        self.attempt(old.home, handle.thing.resize, count, refcheck=False)
        if handle.thing.size != size:
            kept = old.bytes[: handle.thing.nbytes]
            self.resized(handle, old, kept + bytes(handle.thing.nbytes - len(kept)))

    # ---- dropping them ---------------------------------------------------------------

    @rule(
        step=one_of("drop", "drop_in_another_thread", "tie_into_a_knot"),
        pick=picks,
        count=strategies.integers(1, 4),
    )
    def let_go(self, step, pick, count):
        for _ in range(min(count, len(self.handles))):
            getattr(self, step)(self.handles.pop(pick % len(self.handles)))

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

    @precondition(lambda self: self.knotted)
    @rule()
    def collect_garbage(self):
        gc.collect()
        for handle in self.knotted:
            handle.drop()
        self.knotted.clear()

    # ---- out of a workspace, and into another ----------------------------------------

    @rule(
        step=one_of("detach", "leverage", "leverage_to", "use_a_stale_array"),
        pick=picks,
    )
    def take_out(self, step, pick):
        getattr(self, step)(pick)

    def detach(self, pick):
        handle = self.pick(pick)
        if handle is not None:
            self.detached(handle, wspace.detach(handle.thing))

    def leverage(self, pick):
        handle, scopes = self.pick(pick), self.scopes()
        below = scopes[scopes.index(self.current()) + 1 :] if self.current() else []
        if handle is None:
            return
        if not below:
            self.detached(handle, wspace.leverage(handle.thing))
        else:
            self.copied_into(below[0], handle, wspace.leverage)

    def leverage_to(self, pick):
        handle, scopes = self.pick(pick), self.scopes()
        if handle is not None and scopes:
            home = scopes[pick // 7 % len(scopes)]
            self.copied_into(
                home, handle, lambda array: wspace.leverage_to(array, home.ws)
            )

    def use_a_stale_array(self, pick):
        handle = self.pick(pick, lambda handle: handle.is_array and handle.is_stale)
        if handle is None:
            return
        uses = [wspace.detach, wspace.keep, wspace.leverage, np.asarray, len, np.sin]
        with pytest.raises(wspace.StaleArrayError):
            uses[pick % len(uses)](handle.thing)

    # ---- scopes ----------------------------------------------------------------------

    @precondition(lambda self: len(self.stack) < 6)
    @rule(pick=picks)
    def enter(self, pick):
        home = self.homes[pick % len(self.homes)]
        assert home.ws.__enter__() is home.ws
        self.stack.append(("again" if home.is_open else "cycle", home, home.ws))
        if not home.is_open:
            home.enter()

    @precondition(lambda self: len(self.stack) < 8)
    @rule(pick=picks, out=strategies.booleans())
    def open_a_block(self, pick, out):
        home = None
        block = wspace.scope_out()
        if self.scopes() and not out:
            home = self.scopes()[pick % len(self.scopes())]
            block = home.ws.borrow()
        assert block.__enter__() is (home and home.ws)
        self.stack.append(("block", home, block))

    @precondition(lambda self: self.stack)
    @rule(raises=strategies.booleans())
    def leave(self, raises):
        try:
            if raises:
                raise KeyError("of the program")
            self.pop()
        except KeyError:
            self.pop(*sys.exc_info())

    @rule(pick=picks, count=strategies.integers(1, 8))
    def go_on_to_the_next_cycle(self, pick, count):
        while self.stack:
            self.pop()
        self.enter(pick)
        self.allocate(count, pick)

    def pop(self, *exception):
        kind, home, block = self.stack.pop()
        assert not block.__exit__(*(exception or (None, None, None)))
        if kind == "cycle":
            home.leave()

    # ---- between cycles --------------------------------------------------------------

    @rule(pick=picks, action=one_of("release", "trim", "renew"))
    def between_cycles(self, pick, action):
        home = self.homes[pick % len(self.homes)]
        if home.is_open:
            return
        if action != "renew":
            getattr(home.ws, action)()
            return
        if pick % 2:
            home.ws.close()
        self.homes[self.homes.index(home)] = Home(home.fields)
        home.ws = None

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
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# NumPy 2.5 advises against ndarray.resize and keeps it.
@pytest.mark.filterwarnings("ignore:.*resiz:DeprecationWarning")
@pytest.mark.slow
class TestWorkspaces(Workspaces.TestCase):
    """The programs that the suite runs."""
