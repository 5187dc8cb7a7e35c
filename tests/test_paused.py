# SPDX-License-Identifier: BSD-3-Clause
"""`ws.paused()`: the workspace is off for a block."""

import contextvars
import gc

import numpy as np
import pytest

import wspace
from wspace import Workspace


@pytest.fixture
def ws():
    return Workspace("train", initial_size="1MiB")


def is_plain(array):
    return type(array) is np.ndarray and wspace.owner(array) is None


def test_what_is_made_inside_is_numpys_own(ws):
    with ws:
        with ws.paused() as given:
            assert given is ws
            inside = [np.ones(1000), ws.ones(1000), ws.ones(3)]
            assert wspace.current() is None and ws.is_open
        assert wspace.current() is ws
        assert wspace.owner(np.ones(1000)) is ws
        assert wspace.owner(ws.ones(3)) is ws
    for array in inside:
        assert is_plain(array) and array.sum() == array.size


def test_checked_arrays_stay_what_they_are(ws):
    with ws:
        x = ws.ones(1000)
        with ws.paused():
            y = x + 1
            assert wspace.owner(x) is ws and not wspace.is_stale(x)
            assert wspace.owner(y) is None
            assert is_plain(ws.asarray([1.0])) and ws.asarray(x) is x
            assert is_plain(ws.array(x)) and is_plain(ws.zeros_like(x))
    assert wspace.is_stale(x)
    assert float(y.sum()) == 2000  # linked to nothing, so never stale


def test_it_nests_and_counts(ws):
    with ws:
        with ws.paused(), ws.paused():
            assert is_plain(ws.ones(3))
        assert wspace.owner(ws.ones(3)) is ws
        pause = ws.paused()
        with pause, pause:
            assert is_plain(ws.ones(3))
        assert wspace.owner(ws.ones(3)) is ws


def test_entering_again_and_borrowing_turn_it_on_inside(ws):
    with ws, ws.paused():
        for turn_on in (lambda: ws, ws.borrow):
            with turn_on():
                assert wspace.current() is ws
                assert wspace.owner(ws.ones(3)) is ws
                assert wspace.owner(np.ones(1000)) is ws
            assert is_plain(ws.ones(3)) and is_plain(np.ones(1000))
    assert ws.generation == 1


def test_other_workspaces_are_on(ws):
    with Workspace("outer") as outer, ws, ws.paused():
        assert is_plain(np.ones(1000))
        assert wspace.owner(outer.ones(3)) is outer
        with Workspace("inner") as inner:
            assert wspace.owner(np.ones(1000)) is inner
            assert is_plain(ws.ones(3))
    with outer, ws:
        with outer.paused():
            assert wspace.current() is None
            assert wspace.owner(ws.ones(3)) is ws


def test_transfers_into_a_paused_workspace_are_plain_copies(ws):
    with Workspace("other") as other, ws, ws.paused():
        x = other.ones(1000)
        assert is_plain(wspace.leverage_to(x, ws))
        assert is_plain(wspace.leverage(x))
        y = np.ones(3)
        assert wspace.migrate(y) is y


@pytest.mark.parametrize("state", ["new", "idle", "closed"])
def test_only_an_open_workspace_can_be_paused(ws, state):
    if state != "new":
        with ws:
            pass
    if state == "closed":
        ws.close()
    with pytest.raises(wspace.WorkspaceStateError, match="cannot pause workspace 'tr"):
        ws.paused().__enter__()


def test_of_another_thread_it_cannot_be_paused(ws, in_thread):
    with ws:
        with pytest.raises(wspace.WrongThreadError, match="'train' belongs to thread"):
            in_thread(ws.paused().__enter__)
        assert wspace.owner(ws.ones(3)) is ws


def test_an_exit_without_an_enter_is_an_error(ws):
    with pytest.raises(wspace.WorkspaceStateError, match="it was not entered"):
        ws.paused().__exit__(None, None, None)


def test_an_exception_passes_and_turns_it_on_again(ws):
    with ws:
        with pytest.raises(KeyError):
            with ws.paused():
                raise KeyError
        assert wspace.owner(ws.ones(3)) is ws


def test_leaving_the_scope_too_early_is_told_once(ws):
    ws.__enter__()
    pause = ws.paused()
    pause.__enter__()
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        ws.__exit__(None, None, None)
    text = "cannot leave workspace 'train' before 'paused', which was entered later"
    assert str(caught.value) == text
    pause.__exit__(None, None, None)
    assert not ws.is_open
    with ws:
        assert wspace.owner(ws.ones(3)) is ws


def test_a_pause_that_outlives_its_cycle_says_nothing_of_the_next(ws):
    def suspended():
        with ws.paused():
            yield

    context = contextvars.copy_context()
    with ws:
        generator = suspended()
        context.run(next, generator)
    with ws:
        assert wspace.owner(ws.ones(3)) is ws
        context.run(generator.close)
        assert wspace.owner(ws.ones(3)) is ws
        with ws.paused():
            assert is_plain(ws.ones(3))


def test_a_pause_of_another_context_is_no_pause_here(ws):
    def pause():
        ws.paused().__enter__()
        return is_plain(ws.ones(3))

    with ws:
        assert contextvars.copy_context().run(pause)
        assert wspace.owner(ws.ones(3)) is ws
        gc.collect()
        assert wspace.owner(np.ones(1000)) is ws


def test_without_capture_the_creators_pause_too():
    with Workspace(capture=False) as ws, ws.paused():
        assert is_plain(ws.ones(3))
