# SPDX-License-Identifier: BSD-3-Clause
"""Release, close and trim: memory given back, for now or for good."""

import gc

import numpy as np
import pytest

import wspace
from wspace import Workspace

ACTIONS = ["release", "close", "trim"]


@pytest.fixture
def ws():
    workspace = Workspace("train", initial_size="1MiB")
    with workspace:
        np.ones(100_000)
    return workspace


@pytest.mark.parametrize("action", ACTIONS)
def test_it_is_refused_while_the_scope_is_open(ws, action):
    with ws:
        x = ws.ones(1000)
        before = ws.stats.reserved
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            getattr(ws, action)()
        assert x.sum() == 1000
        assert ws.stats.reserved == before
    assert str(caught.value) == f"cannot {action} workspace 'train': it is open"
    assert caught.value.__notes__ == ["hint: leave its scope first"]
    getattr(ws, action)()


@pytest.mark.parametrize("action", ACTIONS)
def test_it_is_refused_while_another_thread_has_it_open(ws, action, in_thread):
    with ws:
        with pytest.raises(wspace.WorkspaceStateError, match="it is open"):
            in_thread(getattr(ws, action))


@pytest.mark.parametrize("action", ACTIONS)
def test_survivors_keep_their_pages_until_they_die(ws, action):
    with ws:
        x = np.arange(50_000)
    getattr(ws, action)()
    assert x.sum() == 1_249_975_000
    assert ws.stats.retained == 400_000
    assert wspace.owner(x) is ws
    del x
    assert ws.stats.retained == 0


@pytest.mark.parametrize("action", ACTIONS)
def test_on_a_new_workspace_it_is_allowed(action):
    getattr(Workspace(), action)()


def test_a_released_workspace_is_as_new_but_its_generation_goes_on(ws):
    ws.release()
    assert (ws.stats.capacity, ws.stats.reserved, ws.generation) == (0, 0, 1)
    with ws:
        x = np.ones(100_000)
        assert wspace.owner(x) is ws
        assert ws.generation == 2
        del x
    assert ws.stats.capacity == 2**20


def test_close_is_final_and_idempotent(ws):
    for _ in range(3):
        ws.close()
    assert ws.stats.reserved == 0
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        with ws:
            pass
    assert str(caught.value) == "cannot enter workspace 'train': it is closed"
    assert caught.value.__notes__ == [
        "hint: `close()` is final; `release()` gives memory back and leaves it usable"
    ]
    assert wspace.current() is None


@pytest.mark.parametrize("action", ["release", "trim"])
def test_a_closed_workspace_can_neither_be_released_nor_trimmed(ws, action):
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        getattr(ws, action)()
    assert str(caught.value) == f"cannot {action} workspace 'train': it is closed"


@pytest.mark.parametrize(
    ("use", "action"),
    [
        (lambda ws: ws.zeros(3), "allocate in"),
        (lambda ws: ws.asarray([1]), "allocate in"),
    ],
)
def test_a_creator_of_a_closed_workspace_says_that_it_is_closed(ws, use, action):
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        use(ws)
    assert str(caught.value) == f"cannot {action} workspace 'train': it is closed"


def test_a_closed_workspace_cannot_be_borrowed_or_copied_into(ws):
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError):
        with ws.borrow():
            pass
    with pytest.raises(wspace.WorkspaceStateError):
        wspace.leverage_to(np.ones(3), ws)
    with pytest.raises(wspace.WorkspaceStateError):
        ws.scoped(lambda: None)()


def test_trim_gives_back_what_is_free_and_keeps_the_size():
    ws = Workspace(initial_size="16MiB")
    with ws:
        wall = np.ones(1_000_000, np.uint8)
        np.ones(8_000_000, np.uint8)
    resident = ws.stats.resident
    given_back = ws.trim()
    assert given_back >= 7_900_000
    assert ws.stats.resident <= resident - 7_900_000
    assert ws.stats.capacity == 2**24
    assert wall.all()
    with ws:
        assert wspace.owner(np.zeros(1_000_000)) is ws
    assert ws.stats.spills == 0


def test_trim_twice_gives_back_nothing_more(ws):
    assert ws.trim() > 0
    assert ws.trim() <= 2 * 4096  # pages that hold the notes of what is free


def test_checked_arrays_are_stale_after_all_of_them(ws):
    with ws:
        x = ws.ones(3)
    ws.release()
    assert wspace.is_stale(x)
    ws.close()
    with pytest.raises(wspace.StaleArrayError, match="generation 2, which is over"):
        x + 1


def test_a_workspace_that_is_gone_leaves_its_arrays(ws):
    with ws:
        x, y = np.ones(1000), ws.ones(3)
    del ws
    gc.collect()
    assert x.sum() == 1000
    assert wspace.is_stale(y)
    with pytest.raises(wspace.StaleArrayError, match="workspace 'train'"):
        y.sum()


def test_fields_of_a_workspace_cannot_be_changed(ws):
    for name in ("name", "is_open", "generation", "stats"):
        with pytest.raises(AttributeError):
            setattr(ws, name, None)
