# SPDX-License-Identifier: BSD-3-Clause
"""Scopes: enter, exit and nesting, borrow, scope_out, and what is current."""

import contextlib
import contextvars

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


@pytest.fixture
def c():
    return wspace.Workspace("c")


def captured_by():
    """Return the workspace that NumPy's own arrays are placed in now."""
    return wspace.owner(np.empty(BIG))


# ---- enter and exit ------------------------------------------------------------------


def test_a_workspace_is_open_from_enter_to_exit(a):
    assert not a.is_open
    with a as entered:
        assert entered is a
        assert a.is_open
    assert not a.is_open


def test_the_generation_is_0_before_the_first_cycle_and_goes_up_at_each_enter(a):
    assert a.generation == 0
    for cycle in 1, 2, 3:
        with a:
            assert a.generation == cycle
        assert a.generation == cycle
    assert a.stats.cycles == 3


def test_a_scope_routes_the_allocations_of_numpy_and_its_end_stops_that(a):
    assert (captured_by(), get_handler_name()) == (None, "default_allocator")
    with a:
        assert (captured_by(), get_handler_name()) == (a, "wspace")
    assert (captured_by(), get_handler_name()) == (None, "default_allocator")


def test_the_end_of_a_scope_makes_checked_arrays_stale_and_leaves_captured_ones(a):
    with a:
        checked, captured = a.full(3, 7.0), np.full(BIG, 7.0)
        assert not wspace.is_stale(checked)
    assert wspace.is_stale(checked)
    assert type(captured) is np.ndarray
    assert captured.sum() == 7.0 * BIG


def test_a_workspace_without_capture_places_only_what_its_creators_make(a):
    ws = wspace.Workspace("quiet", capture=False)
    with ws:
        assert wspace.current() is ws
        assert captured_by() is None
        assert wspace.owner(ws.ones(3)) is ws
    with a, ws:
        assert wspace.current() is ws
        assert captured_by() is a
        assert wspace.owner(ws.ones(3)) is ws
    assert get_handler_name() == "default_allocator"


def test_a_scope_restores_the_handler_that_it_found(a, b, foreign_handler):
    with foreign_handler():
        with a, b:
            assert captured_by() is b
        assert get_handler_name() == "foreign"
        with a:
            assert captured_by() is a
        assert get_handler_name() == "foreign"


# ---- nesting -------------------------------------------------------------------------


def test_the_innermost_workspace_is_current_and_takes_the_allocations(a, b, c):
    for workspaces in [(a,), (a, b), (a, b, c)]:
        with contextlib.ExitStack() as stack:
            for workspace in workspaces:
                stack.enter_context(workspace)
            assert wspace.current() is captured_by() is workspaces[-1]
    with a:
        with b:
            pass
        assert wspace.current() is captured_by() is a


def test_entering_again_directly_only_counts(a):
    with a:
        x = a.full(3, 1.0)
        with a:
            y = a.full(3, 2.0)
            with a:
                assert captured_by() is a
            assert (a.generation, a.stats.cycles) == (1, 0)
        assert x.sum() + y.sum() == 9.0
        assert captured_by() is a
    assert wspace.is_stale(x)
    assert wspace.is_stale(y)
    assert (a.generation, a.stats.cycles) == (1, 1)


def test_entering_again_below_another_workspace_only_counts(a, b):
    with a:
        x = a.full(3, 1.0)
        with b:
            y = b.full(3, 2.0)
            with a:
                z = a.full(3, 3.0)
                assert wspace.current() is captured_by() is a
            assert wspace.current() is captured_by() is b
            assert x.sum() + y.sum() + z.sum() == 18.0
        assert x.sum() + z.sum() == 12.0
        assert wspace.is_stale(y)
        assert wspace.current() is captured_by() is a
    assert [wspace.is_stale(array) for array in (x, z)] == [True, True]
    assert (a.generation, b.generation) == (1, 1)


def test_a_thousand_enters_take_a_thousand_exits(a):
    for _ in range(1000):
        a.__enter__()
    x = a.ones(3)
    for _ in range(999):
        a.__exit__(None, None, None)
        assert a.is_open
    assert x.sum() == 3.0
    a.__exit__(None, None, None)
    assert not a.is_open
    assert a.generation == 1


def test_an_inner_workspace_has_a_cycle_for_each_time_it_is_entered(a, b):
    with a:
        for cycle in 1, 2, 3:
            with b:
                assert b.generation == cycle
        assert a.generation == 1


def test_scopes_of_an_exit_stack_close_last_in_first_out(a, b, c):
    with contextlib.ExitStack() as stack:
        for workspace in (a, b, a, c, b):
            stack.enter_context(workspace)
        moved = stack.pop_all()
    assert wspace.current() is b
    moved.close()
    assert [workspace.is_open for workspace in (a, b, c)] == [False] * 3
    assert [workspace.stats.cycles for workspace in (a, b, c)] == [1, 1, 1]


def test_each_copy_of_a_context_has_a_stack_of_its_own(a, b):
    def inner():
        assert wspace.current() is captured_by() is a
        with b, a:
            assert wspace.current() is captured_by() is a
        with b:
            assert wspace.current() is captured_by() is b

    with a:
        contextvars.copy_context().run(inner)
        assert wspace.current() is captured_by() is a
        assert contextvars.Context().run(wspace.current) is None
        assert contextvars.Context().run(captured_by) is None


# ---- borrow --------------------------------------------------------------------------


def test_borrow_makes_a_workspace_current_without_a_cycle_of_its_own(a, b):
    with a, b:
        with a.borrow() as borrowed:
            assert borrowed is a
            assert wspace.current() is captured_by() is a
            x = a.ones(3)
        assert wspace.current() is captured_by() is b
        assert x.sum() == 3.0
        assert (a.generation, a.stats.cycles) == (1, 0)
    assert wspace.is_stale(x)


def test_what_a_borrowed_workspace_captures_lives_until_its_own_cycle_ends(a, b):
    with a:
        with b:
            with a.borrow():
                x = np.full(BIG, 5.0)
        assert wspace.in_scope(x)
        assert x.sum() == 5.0 * BIG
    assert not wspace.in_scope(x)


def test_borrow_works_at_any_depth_and_nested(a, b, c):
    with a, b, c:
        with a.borrow():
            with b.borrow(), a.borrow():
                assert captured_by() is a
            with c.borrow(), b.borrow():
                assert captured_by() is b
            assert captured_by() is a
        assert captured_by() is c


def test_one_borrow_can_be_entered_in_itself_and_again(a, b):
    with a, b:
        block = a.borrow()
        for _ in range(2):
            with block, b, block:
                assert captured_by() is a
            assert captured_by() is b


def test_borrowing_the_current_workspace_changes_nothing(a):
    with a, a.borrow():
        assert wspace.current() is captured_by() is a


@pytest.mark.parametrize("state", ["new", "idle", "released"])
def test_a_workspace_that_is_not_open_cannot_be_borrowed(a, b, state):
    if state != "new":
        with a:
            pass
    if state == "released":
        a.release()
    with b:
        with pytest.raises(wspace.WorkspaceStateError, match="cannot borrow") as caught:
            a.borrow().__enter__()
        assert captured_by() is b
    assert str(caught.value) == "cannot borrow workspace 'a': it is not open"
    assert caught.value.__notes__ == [
        "hint: use `with ws:`",
        "open here: 'b'",
    ]


def test_a_workspace_is_entered_and_left_inside_its_own_borrow(a, b):
    with a, b:
        with a.borrow():
            with a:
                assert captured_by() is a
            assert a.is_open
        assert captured_by() is b


# ---- scope_out -----------------------------------------------------------------------


def test_scope_out_turns_capture_off_for_a_block(a):
    with a:
        with wspace.scope_out():
            assert (captured_by(), get_handler_name()) == (None, "default_allocator")
            assert wspace.current() is None
        assert wspace.current() is captured_by() is a


def test_creators_place_in_their_open_workspace_under_scope_out(a):
    with a, wspace.scope_out():
        x = a.ones(3)
        assert wspace.owner(x) is a
        assert captured_by() is None
    assert wspace.is_stale(x)


def test_scope_out_nests_with_borrow_and_enter_inside(a, b):
    with a, wspace.scope_out():
        with wspace.scope_out():
            with a.borrow():
                assert wspace.current() is captured_by() is a
                with wspace.scope_out():
                    assert wspace.current() is captured_by() is None
            assert captured_by() is None
        with b:
            assert captured_by() is b
        with a:
            assert captured_by() is a
            assert a.generation == 1
        assert wspace.current() is captured_by() is None
    assert a.generation == 1


def test_one_scope_out_can_be_entered_in_itself(a):
    block = wspace.scope_out()
    with a, block, a.borrow(), block:
        assert captured_by() is None
    assert captured_by() is None


def test_scope_out_outside_of_all_scopes_does_nothing():
    with wspace.scope_out():
        assert wspace.current() is captured_by() is None


def test_scope_out_puts_numpys_own_handler_in_place_of_any(a, foreign_handler):
    with foreign_handler():
        with wspace.scope_out():
            assert get_handler_name() == "default_allocator"
        assert get_handler_name() == "foreign"


# ---- questions -----------------------------------------------------------------------


def test_an_array_is_in_scope_while_the_cycle_it_was_made_in_is_open(a, b):
    with a:
        checked, captured, plain = a.ones(3), np.ones(BIG), np.ones(3)
        with b:
            asked = [wspace.in_scope(x) for x in (checked, captured[5:], plain)]
            assert asked == [True, True, False]
    assert not wspace.in_scope(checked)
    assert not wspace.in_scope(captured)
    with a:  # the workspace is open, and the generation another one
        assert not wspace.in_scope(checked)
        assert not wspace.in_scope(captured)
        assert wspace.owner(captured) is a


def test_nothing_is_current_in_another_thread(a, in_thread):
    with a:
        assert in_thread(wspace.current) is None
        assert in_thread(contextvars.copy_context().run, wspace.current) is None
        assert in_thread(captured_by) is None
        assert in_thread(contextvars.copy_context().run, captured_by) is None
