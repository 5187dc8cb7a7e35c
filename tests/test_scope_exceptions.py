# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions and interrupts pass through scopes, and find them closed."""

import signal
import warnings

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


@pytest.mark.parametrize(
    "kind",
    [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration],
)
def test_an_exception_passes_through_unchanged(a, b, kind):
    problem = kind("mine")
    with pytest.raises(kind) as caught:
        with a, b:
            x = np.ones(BIG)
            raise problem
    assert caught.value is problem
    assert (problem.args, problem.__context__) == (("mine",), None)
    assert not hasattr(problem, "__notes__")
    assert open_ones(a, b) == []
    assert x.sum() == BIG
    assert captured_by() is None


def test_an_exception_is_never_replaced_by_the_error_of_an_early_exit(a, b):
    problem = ValueError("mine")
    a.__enter__()
    b.__enter__()
    assert not leave(a, problem)
    assert problem.__notes__ == [
        "cannot leave workspace 'a' before 'b', which was entered later"
    ]
    leave(b)
    assert open_ones(a, b) == []


@pytest.mark.parametrize("escape", ["warn", "raise"])
def test_an_exception_is_never_replaced_by_what_is_said_of_escapes(escape):
    ws = wspace.Workspace("ws", initial_size="1MiB", escape=escape)
    problem = ValueError("mine")
    with pytest.raises(ValueError) as caught:
        with ws:
            escaped = np.ones(BIG)
            raise problem
    assert caught.value is problem
    assert escaped.sum() == BIG
    assert ws.stats.escaped_count == 1


def test_an_interrupt_in_the_scope_leaves_everything_in_order(a):
    # A shell has the interrupt ignored in what it runs in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            with a:
                x = a.ones(3)
                signal.raise_signal(signal.SIGINT)
                pytest.fail("the interrupt did not come")
    finally:
        signal.signal(signal.SIGINT, before)
    assert not a.is_open
    assert wspace.is_stale(x)
    with a:
        assert captured_by() is a


def test_an_interrupt_while_the_exit_warns_finds_the_scope_closed(monkeypatch):
    ws = wspace.Workspace("ws", initial_size="1MiB", escape="warn")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(warnings, "warn", interrupt)
    with pytest.raises(KeyboardInterrupt):
        with ws:
            escaped = np.ones(BIG)
    assert (ws.is_open, wspace.current(), captured_by()) == (False, None, None)
    assert escaped.sum() == BIG


def test_everything_is_closed_when_the_exit_warns_of_escapes(monkeypatch):
    ws = wspace.Workspace("ws", initial_size="1MiB", escape="warn")
    seen = []

    def warn(*_, **__):
        seen.append((ws.is_open, wspace.current(), wspace.is_stale(checked)))
        seen.append((captured_by(), get_handler_name(), ws.stats.cycles))

    monkeypatch.setattr(warnings, "warn", warn)
    with ws:
        checked, escaped = ws.ones(3), np.ones(BIG)
    assert seen == [(False, None, True), (None, "default_allocator", 1)]
    assert escaped.sum() == BIG


def test_recursion_without_end_in_scopes_unwinds_all_of_them(a, b):
    def descend():
        with a, b:
            descend()

    with pytest.raises(RecursionError):
        descend()
    assert open_ones(a, b) == []
    assert a.stats.cycles == 1
    assert captured_by() is None
