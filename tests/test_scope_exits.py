# SPDX-License-Identifier: BSD-3-Clause
"""Exits out of order and under another memory handler, and what they say."""

import contextvars
import warnings

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

BIG = 1000  # elements of float64: more than min_block
CAUSE = "hint: a generator that yields inside a `with` block is the usual cause"


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


def leave(block, error=None):
    kind = None if error is None else type(error)
    return block.__exit__(kind, error, None)


def leave_too_early(block):
    """Leave what is not on top; return the exception, which must come."""
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        leave(block)
    return caught.value


def open_ones(*workspaces):
    return [workspace.name for workspace in workspaces if workspace.is_open]


# ---- too early -----------------------------------------------------------------------


def test_an_exit_that_comes_too_early_names_both_workspaces_and_the_usual_cause(a, b):
    with a:
        b.__enter__()
        error = leave_too_early(a)
        assert str(error) == (
            "cannot leave workspace 'a' before 'b', which was entered later"
        )
        assert error.__notes__ == [CAUSE]
        leave(b)


def test_a_workspace_left_too_early_closes_with_the_one_above_it(a, b):
    a.__enter__()
    b.__enter__()
    x, y = a.ones(3), np.full(BIG, 2.0)
    leave_too_early(a)
    assert open_ones(a, b) == ["a", "b"]
    assert wspace.current() is captured_by() is b
    assert x.sum() == 3.0
    leave(b)
    assert open_ones(a, b) == []
    assert wspace.is_stale(x)
    assert y.sum() == 2.0 * BIG
    assert (a.stats.cycles, b.stats.cycles) == (1, 1)
    assert get_handler_name() == "default_allocator"


def test_a_later_exit_of_a_workspace_left_too_early_does_nothing(a, b):
    a.__enter__()
    b.__enter__()
    leave_too_early(a)
    assert leave(a) is None
    assert open_ones(a, b) == ["a", "b"]
    leave(b)
    assert open_ones(a, b) == []


def test_a_later_exit_after_all_closed_does_nothing(a, b):
    a.__enter__()
    b.__enter__()
    leave_too_early(a)
    leave(b)
    assert leave(a) is None
    with a:  # it is of the past and must not count against this cycle
        assert a.generation == 2
    with pytest.raises(wspace.WorkspaceStateError):
        leave(a)


def test_all_that_were_left_too_early_close_with_the_last_one_above(a, b, c):
    for workspace in (a, b, c):
        workspace.__enter__()
    assert "'a' before 'c'" in str(leave_too_early(a))
    assert "'b' before 'c'" in str(leave_too_early(b))
    assert open_ones(a, b, c) == ["a", "b", "c"]
    leave(c)
    assert open_ones(a, b, c) == []
    assert wspace.current() is captured_by() is None


def test_a_workspace_below_one_that_was_left_too_early_stays_open(a, b, c):
    with a:
        b.__enter__()
        c.__enter__()
        leave_too_early(b)
        leave(c)
        assert open_ones(a, b, c) == ["a"]
        assert wspace.current() is captured_by() is a


def test_an_exit_in_the_middle_closes_when_those_above_it_have_closed(a, b, c):
    with a:
        b.__enter__()
        with c:
            leave_too_early(b)
            with a:
                assert open_ones(a, b, c) == ["a", "b", "c"]
                assert captured_by() is a
            assert open_ones(a, b, c) == ["a", "b", "c"]
        assert open_ones(a, b, c) == ["a"]


def test_an_inner_enter_of_the_same_workspace_can_be_left_too_early(a, b):
    with a:
        x = a.ones(3)
        a.__enter__()
        b.__enter__()
        leave_too_early(a)
        leave(b)
        assert open_ones(a, b) == ["a"]
        assert x.sum() == 3.0
        assert captured_by() is a
    assert a.stats.cycles == 1


def test_entering_a_workspace_that_was_left_too_early_only_counts(a, b):
    a.__enter__()
    with b:
        x = a.ones(3)
        leave_too_early(a)
        with a:
            assert wspace.current() is captured_by() is a
            assert a.generation == 1
        assert open_ones(a, b) == ["a", "b"]
        assert x.sum() == 3.0
    assert open_ones(a, b) == []


def test_a_borrow_left_too_early_closes_with_what_is_above_it(a, b):
    with a:
        with b:
            block = a.borrow()
            block.__enter__()
            b.__enter__()
            leave_too_early(block)
            assert captured_by() is b
            leave(b)
            assert captured_by() is b
        assert captured_by() is a


def test_a_scope_out_left_too_early_closes_with_what_is_above_it(a, b):
    with a:
        block = wspace.scope_out()
        block.__enter__()
        b.__enter__()
        leave_too_early(block)
        assert captured_by() is b
        leave(b)
        assert wspace.current() is captured_by() is a


def test_a_workspace_left_under_its_own_borrow_closes_with_it(a):
    a.__enter__()
    block = a.borrow()
    block.__enter__()
    leave_too_early(a)
    assert a.is_open
    leave(block)
    assert not a.is_open
    assert captured_by() is None


def test_what_the_upper_exit_raises_does_not_keep_the_lower_one_open(a):
    b = wspace.Workspace("b", initial_size="1MiB", escape="raise")
    a.__enter__()
    b.__enter__()
    escaped = np.full(BIG, 3.0)
    leave_too_early(a)
    with pytest.raises(wspace.EscapedArrayError, match="'b'"):
        leave(b)
    assert open_ones(a, b) == []
    assert get_handler_name() == "default_allocator"
    assert escaped.sum() == 3.0 * BIG


def test_a_warning_of_the_upper_exit_does_not_keep_the_lower_one_open(
    a, b, install_foreign_handler
):
    a.__enter__()
    b.__enter__()
    leave_too_early(a)
    install_foreign_handler()
    with pytest.raises(RuntimeWarning, match="workspace 'b' was left"):
        leave(b)
    assert open_ones(a, b) == []


def test_leaving_what_was_not_entered_says_so(a, b):
    error = leave_too_early(a)
    assert str(error) == (
        "cannot leave workspace 'a': it was not entered in this context"
    )
    with b:
        leave_too_early(a)
        assert captured_by() is b


# ---- under another handler -----------------------------------------------------------


def test_a_foreign_handler_is_left_alone_and_reported(a, install_foreign_handler):
    with pytest.warns(RuntimeWarning) as caught:
        with a:
            x = a.ones(3)
            install_foreign_handler()
    assert [str(warning.message) for warning in caught] == [
        "workspace 'a' was left while another memory handler of NumPy was current; "
        "that one was not changed"
    ]
    assert get_handler_name() == "foreign"
    assert not a.is_open
    assert wspace.is_stale(x)
    assert wspace.current() is None


def test_the_report_of_a_foreign_handler_points_at_the_scope(
    a, install_foreign_handler
):
    with pytest.warns(RuntimeWarning) as caught:
        with a:
            install_foreign_handler()
    assert caught[0].filename == __file__


def test_a_foreign_handler_is_reported_after_the_scope_has_closed(
    a, install_foreign_handler, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        warnings, "warn", lambda *_, **__: seen.append((a.is_open, wspace.current()))
    )
    with a:
        install_foreign_handler()
    assert seen == [(False, None)]


def test_a_foreign_handler_is_noted_on_an_exception_that_passes(
    a, install_foreign_handler
):
    problem = ValueError("mine")
    with pytest.raises(ValueError) as caught:
        with a:
            install_foreign_handler()
            raise problem
    assert caught.value is problem
    assert len(problem.__notes__) == 1
    assert problem.__notes__[0].startswith("workspace 'a' was left while another")
    assert get_handler_name() == "foreign"


def test_each_scope_that_ends_under_a_foreign_handler_reports_it(
    a, b, install_foreign_handler
):
    with pytest.warns(RuntimeWarning) as caught:
        with a, b:
            install_foreign_handler()
    names = [str(warning.message).split("'")[1] for warning in caught]
    assert names == ["b", "a"]


def test_a_foreign_handler_that_was_taken_away_again_is_no_matter(a, foreign_handler):
    with a:
        with foreign_handler():
            assert captured_by() is None
        assert captured_by() is a


def test_what_a_foreign_handler_made_lives_through_the_scope(a, foreign_handler):
    with foreign_handler():
        x = np.arange(BIG)
    with a:
        x.resize(2 * BIG, refcheck=False)
        with foreign_handler():
            y = np.arange(BIG)
    assert x.sum() == y.sum() == BIG * (BIG - 1) // 2


def test_the_handler_of_a_workspace_that_closed_below_is_not_restored(a, b, c):
    with a:
        b.__enter__()
        c.__enter__()
        with pytest.warns(RuntimeWarning, match="workspace 'b'"):
            contextvars.Context().run(leave, b)
        assert open_ones(a, b, c) == ["a", "c"]
        leave(c)
        assert captured_by() is wspace.current() is a


@pytest.mark.parametrize("block", ["paused", "scope_out"])
def test_a_block_that_is_left_in_another_context_captures_nothing_there(block):
    ws = wspace.Workspace("train")
    with ws:
        away = ws.paused() if block == "paused" else wspace.scope_out()
        away.__enter__()

        def leave():
            away.__exit__(None, None, None)
            return wspace.owner(np.ones(1000)), wspace.current()

        assert contextvars.Context().run(leave) == (None, None)
    assert wspace.current() is None
    assert wspace.owner(np.ones(1000)) is None
