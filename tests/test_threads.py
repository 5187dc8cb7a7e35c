# SPDX-License-Identifier: BSD-3-Clause
"""Workspaces and threads: who may enter, who may leave, where arrays may die."""

import contextvars
import gc
import os
import threading

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

BIG = 1000  # elements of float64: more than min_block


@pytest.fixture
def ws():
    """Return a workspace with a block, so that it does not start by learning."""
    return wspace.Workspace("train", initial_size="1MiB")


def captured_by():
    """Return the workspace that NumPy's own arrays are placed in now."""
    return wspace.owner(np.empty(BIG))


def leave(block):
    block.__exit__(None, None, None)


def wait_until(condition):
    for _ in range(1_000_000):
        if condition():
            return
        os.sched_yield()
    pytest.fail("what was waited for did not happen")


def abandon(ws, in_thread):
    """Open a cycle in a thread that does not leave it; return two of its arrays."""

    def enter():
        ws.__enter__()
        return ws.full(3, 2.0), np.full(BIG, 3.0)

    arrays = in_thread(enter)
    wait_until(lambda: not ws.is_open)
    return arrays


class Opener:
    """Have a workspace open in another thread while the block runs."""

    def __init__(self, ws, name="opener"):
        self.ws, self.opened, self.done = ws, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, name=name)
        self.arrays = []

    def run(self):
        with self.ws:
            self.arrays += [self.ws.full(3, 2.0), np.full(BIG, 3.0)]
            self.opened.set()
            self.done.wait()
            self.captured_at_end = captured_by()

    def __enter__(self):
        self.thread.start()
        self.opened.wait()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


# ---- one thread at a time ------------------------------------------------------------


@pytest.mark.parametrize(
    "use", ["enter", "borrow", "creator", "leverage_to", "again in a copied context"]
)
def test_using_a_workspace_that_is_open_in_another_thread_names_both(ws, use):
    uses = {
        "enter": ws.__enter__,
        "borrow": ws.borrow().__enter__,
        "creator": lambda: ws.ones(3),
        "leverage_to": lambda: wspace.leverage_to(np.ones(3), ws),
        "again in a copied context": lambda: contextvars.copy_context().run(
            ws.__enter__
        ),
    }
    with Opener(ws, "prefetch-0") as other:
        with pytest.raises(wspace.WrongThreadError) as caught:
            uses[use]()
        assert str(caught.value) == (
            "workspace 'train' belongs to thread 'prefetch-0', used from 'MainThread'"
        )
        assert caught.value.__notes__ == [
            "hint: `wspace.get('train')` gives each thread a workspace of its own",
            "no workspace is open here",
        ]
        assert wspace.current() is captured_by() is None
    assert other.captured_at_end is ws
    assert ws.stats.cycles == 1


def test_any_thread_sees_that_a_workspace_is_open(ws, in_thread):
    with Opener(ws):
        assert (ws.is_open, ws.generation) == (True, 1)
        assert repr(ws).startswith("<Workspace 'train' open, generation 1")
    assert not ws.is_open


@pytest.mark.parametrize("action", ["release", "close", "trim"])
def test_what_is_open_in_another_thread_cannot_be_given_back(ws, action):
    with Opener(ws) as other:
        with pytest.raises(wspace.WorkspaceStateError, match=f"cannot {action}"):
            getattr(ws, action)()
        assert other.arrays[0].sum() == 6.0
    assert other.captured_at_end is ws


def test_a_closed_scope_may_be_opened_by_any_thread(ws, in_thread):
    def cycle():
        with ws:
            assert captured_by() is ws
            return ws.generation, np.full(BIG, float(ws.generation))

    arrays = []
    for expected in range(1, 7):
        generation, array = in_thread(cycle) if expected % 2 else cycle()
        assert generation == expected
        arrays.append(array)
    assert [array.sum() / BIG for array in arrays] == [1, 2, 3, 4, 5, 6]
    assert ws.stats.cycles == 6


def test_threads_that_fight_for_a_workspace_get_it_one_at_a_time(ws):
    inside, taken, refused = [], [], []
    barrier = threading.Barrier(4)

    def fight(number):
        barrier.wait()
        for _ in range(300):
            try:
                with ws:
                    inside.append(number)
                    x = np.full(BIG, float(number))
                    assert inside == [number]
                    taken.append(x.sum() == BIG * number)
                    inside.clear()
            except wspace.WrongThreadError:
                refused.append(number)

    threads = [threading.Thread(target=fight, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) + len(refused) == 1200
    assert all(taken)
    assert ws.generation == ws.stats.cycles == len(taken)
    assert ws._arena.check()


# ---- arrays in other threads ---------------------------------------------------------


def test_arrays_may_die_in_another_thread_while_the_scope_is_open(ws, in_thread):
    with ws:
        arrays = [np.full(BIG, float(i)) for i in range(20)]
        arrays += [ws.full(BIG, float(i)) for i in range(20)]
        in_thread(arrays.clear)
        again = [np.full(BIG, float(i)) for i in range(20)]
        assert [x[-1] for x in again] == list(range(20))
        del again
    assert (ws.stats.retained, ws.stats.escaped_count) == (0, 0)
    assert ws._arena.check()


def test_arrays_may_die_in_another_thread_when_the_scope_is_closed(ws, in_thread):
    with ws:
        arrays = [np.full(BIG, float(i)) for i in range(20)]
        arrays += [ws.full(BIG, float(i)) for i in range(20)]
    assert ws.stats.retained == 40 * 8 * BIG
    in_thread(arrays.clear)
    assert ws.stats.retained == 0
    assert ws._arena.check()


def test_survivors_may_die_in_another_thread_during_a_later_cycle(ws, in_thread):
    with ws:
        arrays = [np.full(BIG, float(i)) for i in range(20)]
    with ws:
        fresh = np.full(BIG, 7.0)
        in_thread(arrays.clear)
        more = [np.full(BIG, float(i)) for i in range(40)]
        assert fresh.sum() == 7.0 * BIG
        assert [x[0] for x in more] == list(range(40))
        del fresh, more
    assert ws.stats.retained == 0
    assert ws._arena.check()


def test_checked_arrays_are_used_and_viewed_in_other_threads(ws, in_thread):
    with ws:
        x = ws.full(BIG, 2.0)
        view = in_thread(lambda: x[10:20])
        total = in_thread(lambda: float((x + 1.0).sum()))
        assert (total, view.sum()) == (3.0 * BIG, 20.0)
    assert wspace.is_stale(view)
    with pytest.raises(wspace.StaleArrayError):
        in_thread(x.__getitem__, 0)
    with pytest.raises(wspace.StaleArrayError):
        in_thread(np.sum, x)


# ---- threads that do not leave what they entered -------------------------------------


def test_a_thread_that_ends_with_an_open_scope_has_abandoned_it(ws, in_thread):
    checked, captured = abandon(ws, in_thread)
    assert checked.sum() == 6.0  # the next enter ends the cycle
    assert (ws.generation, ws.stats.cycles) == (1, 0)
    with ws:
        assert (ws.generation, ws.stats.cycles) == (2, 1)
        assert wspace.is_stale(checked)
        assert captured_by() is ws
        np.full(10 * BIG, -1.0)
    assert captured.sum() == 3.0 * BIG


def test_when_a_thread_was_joined_its_open_scope_is_abandoned(ws):
    for generation in range(1, 201, 2):
        thread = threading.Thread(target=ws.__enter__)
        thread.start()
        thread.join()
        with ws:
            assert ws.generation == generation + 1


@pytest.mark.parametrize("action", ["release", "close", "trim"])
def test_an_abandoned_workspace_can_be_given_back(ws, in_thread, action):
    checked, captured = abandon(ws, in_thread)
    getattr(ws, action)()
    assert wspace.is_stale(checked)
    assert captured.sum() == 3.0 * BIG
    assert ws.stats.cycles == 1


def test_destroy_all_releases_an_abandoned_workspace(ws, in_thread):
    checked, captured = abandon(ws, in_thread)
    wspace.destroy_all()
    assert wspace.is_stale(checked)
    assert captured.sum() == 3.0 * BIG
    assert ws.stats.capacity == 0


@pytest.mark.parametrize("where", ["a context of its own", "a copied context"])
def test_an_exit_in_another_thread_abandons_the_scope(ws, in_thread, where):
    with ws:
        x = ws.full(3, 2.0)
        if where == "a copied context":
            in_thread(contextvars.copy_context().run, leave, ws)
        else:
            in_thread(leave, ws)
        assert not ws.is_open
        assert captured_by() is None
        with pytest.raises(wspace.WorkspaceStateError, match="is not open"):
            ws.ones(3)
        assert ws.stats.cycles == 0  # the next enter ends the cycle
        assert x.sum() == 6.0
    assert get_handler_name() == "default_allocator"
    with ws:
        assert wspace.is_stale(x)
        assert (ws.generation, ws.stats.cycles) == (2, 1)


def test_the_own_exit_from_an_abandoned_scope_does_no_harm_to_a_later_one(
    ws, in_thread
):
    ws.__enter__()
    in_thread(leave, ws)
    with Opener(ws) as other:
        assert ws.generation == 2
        leave(ws)
        assert ws.is_open
        assert get_handler_name() == "default_allocator"
        assert captured_by() is None
    assert other.captured_at_end is ws
    assert ws.stats.cycles == 2


def test_an_abandoned_scope_may_be_entered_again_inside_its_block(ws, in_thread):
    with ws:
        in_thread(leave, ws)
        with ws:
            assert ws.generation == 2
            assert captured_by() is ws
        assert captured_by() is None
    assert not ws.is_open
    assert get_handler_name() == "default_allocator"


# ---- registries ----------------------------------------------------------------------


def test_get_gives_each_thread_a_workspace_of_its_own(in_thread):
    mine = wspace.get("shared name")

    def use():
        theirs = wspace.get("shared name", min_block=4096)
        assert theirs is wspace.get("shared name")
        with theirs:
            return theirs is mine, captured_by() is theirs

    with mine:
        assert in_thread(use) == (False, True)
        assert captured_by() is mine


def test_the_workspaces_of_get_end_with_their_thread_and_their_arrays_live_on(
    in_thread,
):
    def compute():
        with wspace.get("of the thread"):
            return np.full(BIG, 5.0)

    arrays = [in_thread(compute) for _ in range(3)]
    gc.collect()
    assert [wspace.owner(x) for x in arrays] == [None] * 3
    assert [wspace.is_attached(x) for x in arrays] == [True] * 3
    assert [x.sum() for x in arrays] == [5.0 * BIG] * 3


def test_destroy_all_leaves_the_workspaces_of_other_threads_alone(in_thread):
    def cycle(ws):
        with ws:
            np.ones(BIG)

    theirs = in_thread(lambda: wspace.Workspace("theirs", initial_size="1MiB"))
    mine = wspace.Workspace("mine", initial_size="1MiB")
    cycle(theirs)
    cycle(mine)
    wspace.destroy_all()
    assert mine.stats.capacity == 0
    assert theirs.stats.capacity > 0
    theirs.release()
