# SPDX-License-Identifier: BSD-3-Clause
"""The child of a fork: what it inherits is readable and off, all else is new."""

import contextlib
import contextvars
import gc
import json
import os
import signal
import threading
import traceback

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

BIG = 1000  # elements of float64: more than min_block

# Python 3.12 and later warn of a fork in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def ws():
    """Return a workspace with a block, so that it does not start by learning."""
    return wspace.Workspace("train", initial_size="1MiB")


def captured_by():
    """Return the workspace that NumPy's own arrays are placed in now."""
    return wspace.owner(np.empty(BIG))


def leave(block):
    block.__exit__(None, None, None)


def in_child(function, *args):
    """Call a function in a forked child; return what it returns, as JSON has it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(60)  # a child that hangs dies
        try:
            outcome = ["returned", function(*args)]
        except BaseException:
            outcome = ["raised", traceback.format_exc()]
        with open(writing, "w") as pipe:
            json.dump(outcome, pipe)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    kind, result = json.loads(text)
    assert kind == "returned", result
    return result


# ---- a scope that was open at the fork -----------------------------------------------


def test_allocations_pass_through_in_the_child(ws):
    def child():
        before = ws.stats
        x = np.full(BIG, 3.0)
        after = ws.stats
        return [
            wspace.is_attached(x),
            float(x.sum()),
            after.allocations - before.allocations,
            after.passed_foreign - before.passed_foreign,
        ]

    with ws:
        assert in_child(child) == [False, 3.0 * BIG, 0, 1]
        assert captured_by() is ws


def test_an_inherited_scope_is_not_open_and_not_current_in_the_child(ws):
    def child():
        with pytest.raises(wspace.WorkspaceStateError, match="is not open"):
            ws.ones(3)
        with pytest.raises(wspace.WorkspaceStateError, match="cannot borrow"):
            ws.borrow().__enter__()
        return [ws.is_open, wspace.current() is None]

    with ws:
        assert in_child(child) == [False, True]


def test_what_was_made_before_the_fork_is_readable_in_the_child(ws):
    def child():
        checked_total, captured_total = float(checked.sum()), float(captured.sum())
        captured[:] = 9.0
        return [checked_total, captured_total, float(captured.sum())]

    with ws:
        checked, captured = ws.full(BIG, 2.0), np.full(BIG, 3.0)
        assert in_child(child) == [2.0 * BIG, 3.0 * BIG, 9.0 * BIG]
        assert (captured == 3.0).all()


def test_arrays_of_the_parent_die_in_the_child_without_harm(ws):
    def child():
        arrays.clear()
        gc.collect()
        return float(kept.sum())

    with ws:
        arrays, kept = [np.full(BIG, float(i)) for i in range(20)], np.ones(BIG)
        assert in_child(child) == BIG
        assert [x[0] for x in arrays] == list(range(20))
    assert in_child(child) == BIG
    assert [x[0] for x in arrays] == list(range(20))


def test_the_exit_from_an_inherited_scope_works_in_the_child(ws):
    def child():
        x, y = ws.ones(3), np.full(BIG, 3.0)
        pid = os.fork()
        if pid != 0:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        raise InTheGrandchild(x, y)

    class InTheGrandchild(Exception):
        pass

    def run():
        try:
            with ws:
                return child()
        except InTheGrandchild as error:
            x, y = error.args
        right = (
            wspace.is_stale(x),
            float(y.sum()) == 3.0 * BIG,
            captured_by() is None,
            get_handler_name() == "default_allocator",
            not ws.is_open,
        )
        os._exit(0 if all(right) else 1)

    assert in_child(run) == 0


def test_nested_inherited_scopes_are_left_in_the_child(ws):
    outer = wspace.Workspace("outer")

    def child():
        leave(ws)
        between = [get_handler_name(), captured_by() is None]
        leave(ws)
        leave(outer)
        return [*between, get_handler_name(), wspace.current() is None]

    with outer, ws, ws:
        result = in_child(child)
    assert result == ["wspace", True, "default_allocator", True]


def test_entering_an_inherited_scope_again_only_counts(ws):
    def child():
        with ws:
            total = float(checked.sum())
        return [total, wspace.is_stale(checked)]

    with ws:
        checked = ws.full(3, 2.0)
        assert in_child(child) == [6.0, False]


def test_a_new_workspace_over_an_inherited_scope_captures(ws):
    def child():
        new = wspace.Workspace("new")
        with new:
            inside = captured_by() is new
        return [inside, captured_by() is None, wspace.current() is None]

    with ws:
        assert in_child(child) == [True, True, True]


def test_a_scope_of_another_thread_of_the_parent_is_not_open_in_the_child(ws):
    opened, done = threading.Event(), threading.Event()

    def owner():
        with ws:
            opened.set()
            done.wait()

    def child():
        with ws:
            return [captured_by() is ws, ws.is_open]

    thread = threading.Thread(target=owner)
    thread.start()
    opened.wait()
    try:
        assert in_child(child) == [True, True]
        with pytest.raises(wspace.WrongThreadError):
            ws.__enter__()
    finally:
        done.set()
        thread.join()


# ---- using it again ------------------------------------------------------------------


def test_a_workspace_that_was_idle_at_the_fork_is_used_again_in_the_child(ws):
    def child():
        totals = [float(survivor.sum())]
        for value in range(3):
            with ws:
                x = np.full(BIG, float(value))
                totals.append(float(x.sum()) if wspace.owner(x) is ws else -1)
        return [*totals, float(survivor.sum()), ws._arena.check()]

    with ws:
        survivor = np.full(BIG, 7.0)
    expected = [7.0 * BIG, 0.0, BIG, 2.0 * BIG, 7.0 * BIG, True]
    assert in_child(child) == expected
    with ws:
        assert captured_by() is ws
    assert survivor.sum() == 7.0 * BIG


def test_a_workspace_that_was_open_at_the_fork_is_used_again_in_the_child(ws):
    def child():
        leave(ws)
        with ws:
            x = np.full(BIG, 2.0)
            inside = [captured_by() is ws, ws.is_open, wspace.current() is ws]
        return [*inside, float(x.sum()), float(before.sum()), ws.is_open]

    with ws:
        before = np.full(BIG, 1.0)
        result = in_child(child)
    assert result == [True, True, True, 2.0 * BIG, BIG, False]


@pytest.mark.parametrize("state", ["new", "idle", "left"])
@pytest.mark.parametrize("action", ["release", "close", "trim"])
def test_an_inherited_workspace_that_is_not_open_can_be_given_back(ws, state, action):
    def child():
        if state == "left":
            leave(ws)
        getattr(ws, action)()
        if action != "close":
            with ws:
                return [captured_by() is ws, float(survivor.sum())]
        with pytest.raises(wspace.WorkspaceStateError, match="is closed"):
            ws.__enter__()
        ws.close()
        return [True, float(survivor.sum())]

    survivor = np.ones(BIG)
    with contextlib.ExitStack() as stack:
        if state != "new":
            stack.enter_context(ws)
            survivor = np.ones(BIG)
        if state != "left":
            stack.close()
        assert in_child(child) == [True, BIG]


def test_the_child_of_a_child_starts_anew_once_more(ws):
    def grandchild():
        with ws:
            return [captured_by() is ws, float(x.sum())]

    def child():
        nonlocal x
        with ws:
            x = np.full(BIG, 2.0)
            inside = in_child(lambda: [captured_by() is None, float(x.sum())])
        return inside + in_child(grandchild)

    with ws:
        x = np.full(BIG, 1.0)
    assert in_child(child) == [True, 2.0 * BIG, True, 2.0 * BIG]


def test_a_copied_context_of_the_parent_is_harmless_in_the_child(ws):
    def child():
        inside = context.run(captured_by) is None
        with ws:
            return [inside, captured_by() is ws, context.run(wspace.current) is None]

    with ws:
        context = contextvars.copy_context()
        assert in_child(child)[0] is True
    assert in_child(child) == [True, True, True]


# ---- registries and other threads ----------------------------------------------------


def test_the_child_starts_with_its_own_registries():
    inherited = wspace.get("named", initial_size="1MiB")
    with inherited:
        np.ones(BIG)

    def child():
        fresh = wspace.get("named", min_block=4096)
        wspace.destroy_all()  # only what the child has made
        return [fresh is inherited, inherited.stats.capacity > 0]

    assert in_child(child) == [False, True]
    with inherited:
        assert in_child(lambda: wspace.destroy_all()) is None
    assert wspace.get("named") is inherited


def test_a_fork_while_other_threads_allocate_and_free_leaves_the_child_sound():
    stop, errors = threading.Event(), []
    shared = wspace.Workspace("shared", initial_size="1MiB")
    box = [None] * 8

    def work(number):
        try:
            own = wspace.Workspace(f"own {number}")
            while not stop.is_set():
                with own:
                    box[number] = [np.full(BIG, float(number)) for _ in range(8)]
        except BaseException as error:
            errors.append(error)

    def child():
        box.clear()  # what the other threads have made dies here
        with shared:
            x = np.full(BIG, 3.0)
            return [wspace.owner(x) is shared, float(x.sum()), shared._arena.check()]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert in_child(child) == [True, 3.0 * BIG, True]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["sys.exit(0)", "pass"])
def test_a_child_that_ends_in_an_inherited_scope_ends_silently(run_python, ending):
    printed = run_python(f"""
        import os, sys
        import numpy as np
        import wspace
        ws = wspace.Workspace("train")
        with ws:
            x, y = ws.ones(3), np.ones(1000)
            pid = os.fork()
            if pid == 0:
                z = np.ones(1000)
                {ending}
        if pid != 0:
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), y.sum())
    """)
    assert printed == "0 1000.0\n"


@pytest.mark.slow
def test_a_pool_of_forked_processes_works_inside_and_outside_of_a_scope(run_python):
    printed = run_python("""
        import multiprocessing as mp
        import numpy as np
        import wspace
        def work(n):
            with wspace.get("pool") as ws:
                x = np.full(1000, float(n))
                return wspace.owner(x) is ws, float(x.sum())
        context = mp.get_context("fork")
        with wspace.Workspace("train"):
            with context.Pool(2) as pool:
                results = pool.map(work, range(6))
                pool.close()
                pool.join()
        print(results == [(True, 1000.0 * n) for n in range(6)])
    """)
    assert printed == "True\n"
