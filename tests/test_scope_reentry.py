# SPDX-License-Identifier: BSD-3-Clause
"""Code that enters, leaves and allocates at odd moments, and misuse of scopes."""

import contextvars
import gc
import sys
import weakref

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

BIG = 1000  # elements of float64: more than min_block


@pytest.fixture
def a():
    return wspace.Workspace("a")


@pytest.fixture
def b():
    return wspace.Workspace("b")


def captured_by():
    """Return the workspace that NumPy's own arrays are placed in now."""
    return wspace.owner(np.empty(BIG))


def leave(block, error=None):
    kind = None if error is None else type(error)
    return block.__exit__(kind, error, None)


def open_ones(*workspaces):
    return [workspace.name for workspace in workspaces if workspace.is_open]


class Caller:
    """Call a function when NumPy asks for the array."""

    def __init__(self, function):
        self.function = function

    def __array__(self, dtype=None, copy=None):
        self.function()
        return np.full(BIG, 2.0)


class Garbage:
    """Call a function when the garbage collector finds it."""

    def __init__(self, function):
        self.function, self.me = function, self

    def __del__(self):
        self.function()


def test_an_operand_that_enters_and_leaves_scopes_leaves_the_stack_as_it_was(a, b):
    def visit():
        with b:
            np.ones(BIG)
        with a:
            np.ones(BIG)

    with a:
        x, y = a.array(Caller(visit)), np.add(a.ones(BIG), Caller(visit))
        assert wspace.current() is captured_by() is a
        assert (x.sum(), y.sum()) == (2.0 * BIG, 3.0 * BIG)
        assert wspace.owner(x) is wspace.owner(y) is a
    assert a.stats.cycles == 1


@pytest.mark.parametrize("use", ["ufunc", "asarray"])
def test_an_operand_that_leaves_the_scope_does_no_harm(a, use):
    uses = {
        "ufunc": lambda operand: np.add(np.ones(BIG), operand),
        "asarray": np.asarray,
    }
    a.__enter__()
    result = uses[use](Caller(lambda: leave(a)))
    assert get_handler_name() == "default_allocator"
    assert open_ones(a) == []
    with a:
        np.full(BIG, -1.0)
    assert result.sum() == (3.0 if use == "ufunc" else 2.0) * BIG


def test_a_creator_whose_operand_leaves_the_scope_says_that_it_is_not_open(a):
    a.__enter__()
    with pytest.raises(wspace.WorkspaceStateError, match="'a': it is not open"):
        a.array(Caller(lambda: leave(a)))
    assert get_handler_name() == "default_allocator"
    assert open_ones(a) == []


@pytest.mark.parametrize("use", ["ufunc", "asarray"])
def test_an_operand_that_enters_a_scope_has_it_open_afterwards(a, b, use):
    uses = {
        "ufunc": lambda operand: np.add(np.ones(BIG), operand),
        "asarray": np.asarray,
    }
    with a:
        result = uses[use](Caller(b.__enter__))
        assert wspace.current() is captured_by() is b
        leave(b)
        assert captured_by() is a
        assert result.sum() == (3.0 if use == "ufunc" else 2.0) * BIG


def test_a_creator_places_in_its_own_workspace_though_its_operand_enters_another(a, b):
    with a:
        x = a.array(Caller(b.__enter__))
        assert wspace.current() is b
        leave(b)
        assert captured_by() is a
        assert wspace.owner(x) is a
        assert x.sum() == 2.0 * BIG


def test_a_small_array_that_an_operand_makes_and_keeps_stays_out_of_the_workspace(a):
    kept = []
    with a:
        x = a.array(Caller(lambda: kept.append(np.ones(3))))
    assert wspace.owner(x) is a
    assert wspace.owner(kept[0]) is None


def test_the_death_of_an_array_may_enter_scopes(a, b):
    def died(_):
        with b:
            order.append(captured_by())
        with a:
            order.append(captured_by())
        order.append(captured_by())

    order = []
    with a:
        x = np.ones(BIG)
        callback = weakref.ref(x, died)
        x = None
        assert callback() is None
        assert order == [b, a, a]
        assert captured_by() is a


def collect_at_each_allocation(setup, act, tidy, finalizer):
    """Act again and again, with a garbage collection later and later in it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at each time
    for later in range(1, 25):
        setup()
        gc.disable()
        gc.collect()
        Garbage(finalizer)
        try:
            gc.set_threshold(later)
            gc.enable()
            act()
        finally:
            gc.set_threshold(*before)
            tidy()
            gc.collect()
    gc.unfreeze()


def nothing():
    pass


def states_seen(ws):
    """Return a function that notes what Python code sees of a scope, and its notes."""
    seen = set()

    def look():
        seen.add((ws.is_open, get_handler_name(), wspace.current() is ws))

    return look, seen


CLOSED, OPEN = (False, "default_allocator", False), (True, "wspace", True)


def test_no_code_that_runs_during_an_exit_sees_the_scope_half_open(a):
    look, seen = states_seen(a)
    collect_at_each_allocation(a.__enter__, lambda: leave(a), nothing, look)
    assert seen <= {CLOSED, OPEN}


def test_no_code_that_runs_during_an_enter_sees_the_scope_half_open(a):
    look, seen = states_seen(a)
    collect_at_each_allocation(nothing, a.__enter__, lambda: leave(a), look)
    assert seen <= {CLOSED, OPEN}


def test_a_finalizer_may_enter_the_workspace_that_is_being_entered_or_left(a, b):
    def finalize():
        try:
            with a, b:
                problems.append(captured_by() is not b)
        except wspace.WorkspaceError as error:
            problems.append(error)

    def act():
        with a:
            pass

    problems = []
    collect_at_each_allocation(nothing, act, nothing, finalize)
    assert not any(problems)
    assert open_ones(a, b) == []


def test_a_finalizer_that_closes_a_generator_during_enter_and_exit_does_no_harm(a, b):
    def suspended():
        with b:
            yield

    def start():
        generators.append(suspended())
        next(generators[0])

    def act():
        with a:
            np.ones(BIG)

    generators = []
    collect_at_each_allocation(start, act, nothing, lambda: generators.pop().close())
    assert open_ones(a, b) == []
    assert wspace.current() is captured_by() is None
    assert get_handler_name() == "default_allocator"


def test_a_garbage_collection_in_a_scope_frees_what_is_in_cycles(a):
    with a:
        for _ in range(2):
            cycle = [np.ones(BIG)]
            cycle.append(cycle)
        used = a.stats.used
        cycle = None
        gc.collect()
        assert a.stats.used < used
    assert a.stats.retained == 0


# ---- misuse that must not crash ------------------------------------------------------


@pytest.mark.slow
def test_a_subclass_that_forgets_its_base_gets_exceptions(run_python):
    run_python("""
        import contextlib
        import wspace
        class Mine(wspace.Workspace):
            def __init__(self):
                pass
        mine = Mine()
        for use in (
            mine.__enter__, lambda: mine.__exit__(None, None, None), mine.close,
            lambda: mine.generation, lambda: mine.is_open, lambda: mine.stats,
            lambda: repr(mine), mine.borrow().__enter__, lambda: mine.ones(3),
        ):
            with contextlib.suppress(Exception):
                use()
    """)


@pytest.mark.slow
def test_a_context_that_remembers_a_deep_stack_of_scopes_can_die(run_python):
    printed = run_python("""
        import contextvars, wspace
        ws = wspace.Workspace("deep")
        for _ in range(300_000):
            ws.__enter__()
        context = contextvars.copy_context()
        for _ in range(300_000):
            ws.__exit__(None, None, None)
        del context
        print(ws.is_open, ws.stats.cycles)
    """)
    assert printed == "False 1\n"


def test_leaving_a_block_twice_is_a_clear_error(a):
    with a:
        for block in a.borrow(), wspace.scope_out():
            with block:
                pass
            with pytest.raises(wspace.WorkspaceStateError):
                leave(block)
        assert captured_by() is a


def test_a_scope_survives_a_copied_context_that_forgets_to_leave(a, b):
    with a:
        contextvars.copy_context().run(b.__enter__)
        assert wspace.current() is captured_by() is a
        with pytest.raises(wspace.WorkspaceStateError, match="open in another context"):
            b.__enter__()
        with pytest.warns(RuntimeWarning, match="workspace 'b' was left"):
            leave(b)
        with b:
            assert captured_by() is b
        assert captured_by() is a


def test_entering_costs_no_reference(a):
    with a:
        pass
    before = sys.getrefcount(a)
    for _ in range(100):
        with a, a.borrow(), wspace.scope_out(), a:
            pass
    assert sys.getrefcount(a) == before
