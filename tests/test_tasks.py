# SPDX-License-Identifier: BSD-3-Clause
"""Scopes in asyncio: tasks, threads that work for them, asynchronous generators."""

import asyncio
import contextvars
import gc

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


def assert_all_is_closed(*workspaces):
    assert [workspace for workspace in workspaces if workspace.is_open] == []
    assert wspace.current() is captured_by() is None
    assert get_handler_name() == "default_allocator"


class Signals:
    """What two tasks tell each other, so that no test depends on timing."""

    def __init__(self, *names):
        for name in names:
            setattr(self, name, asyncio.Event())


def test_a_scope_is_that_of_its_task_only(a):
    async def main():
        told = Signals("entered", "asked")

        async def owner():
            with a:
                told.entered.set()
                await told.asked.wait()
                assert wspace.current() is captured_by() is a

        async def other():
            await told.entered.wait()
            assert wspace.current() is captured_by() is None
            told.asked.set()

        await asyncio.gather(owner(), other())

    asyncio.run(main())
    assert_all_is_closed(a)


def test_two_tasks_may_have_two_workspaces_open_and_leave_in_any_order(a, b):
    async def main():
        told = Signals("first", "second")

        async def one():
            with a:
                told.first.set()
                await told.second.wait()
                assert captured_by() is a
            assert captured_by() is None

        async def two():
            await told.first.wait()
            with b:
                told.second.set()
                while a.is_open:
                    await asyncio.sleep(0)
                assert captured_by() is b

        await asyncio.gather(one(), two())

    asyncio.run(main())
    assert_all_is_closed(a, b)


def test_a_task_that_enters_what_another_task_has_open_is_told_both_names(a):
    async def main():
        told = Signals("entered", "asked")

        async def owner():
            with a:
                told.entered.set()
                await told.asked.wait()

        async def other():
            await told.entered.wait()
            try:
                with pytest.raises(wspace.WorkspaceStateError) as caught:
                    a.__enter__()
                assert captured_by() is None
                return caught.value
            finally:
                told.asked.set()

        tasks = asyncio.create_task(owner(), name="owner"), other()
        first, second = tasks[0], asyncio.create_task(tasks[1], name="other")
        await first
        return await second

    error = asyncio.run(main())
    assert str(error) == (
        "cannot enter workspace 'a' from task 'other': it is open in task 'owner'"
    )
    assert error.__notes__[0].startswith("hint: give each task its own `Workspace`")
    assert_all_is_closed(a)


def test_a_task_made_in_a_scope_is_captured_while_the_scope_is_open_and_no_longer(a):
    async def child(told):
        inside = wspace.current(), captured_by()
        told.asked.set()
        await told.closed.wait()
        outside = wspace.current(), captured_by()
        with a:
            again = wspace.current(), captured_by(), a.generation
        return inside, outside, again

    async def main():
        told = Signals("asked", "closed")
        with a:
            task = asyncio.create_task(child(told))
            await told.asked.wait()
        assert not a.is_open
        told.closed.set()
        return await task

    inside, outside, again = asyncio.run(main())
    assert inside == (a, a)
    assert outside == (None, None)
    assert again == (a, a, 2)
    assert_all_is_closed(a)


def test_a_task_made_in_a_scope_is_captured_again_when_its_thread_has_it_open(a):
    async def main():
        with a:
            context = contextvars.copy_context()
        assert context.run(captured_by) is None
        with a:
            assert context.run(captured_by) is a
        assert context.run(captured_by) is None

    asyncio.run(main())
    assert_all_is_closed(a)


def test_a_task_made_in_a_scope_is_not_captured_while_another_thread_has_it_open(
    a, in_thread
):
    with a:
        context = contextvars.copy_context()

    def elsewhere():
        with a:
            assert captured_by() is a
            return in_thread(context.run, captured_by), a.stats.passed_foreign

    owner, passed = in_thread(elsewhere)
    assert owner is None
    assert passed == 1


def test_a_task_inside_an_inner_enter_outlives_the_cycle_without_harm(a, b):
    async def child(told):
        with a, b:
            told.entered.set()
            await told.closed.wait()
            assert captured_by() is b
        assert wspace.current() is captured_by() is None

    async def main():
        told = Signals("entered", "closed")
        with a:
            x = a.ones(3)
            task = asyncio.create_task(child(told))
            await told.entered.wait()
            assert captured_by() is a
        assert wspace.is_stale(x)
        told.closed.set()
        await task

    asyncio.run(main())
    assert_all_is_closed(a, b)


def test_a_cancelled_task_closes_its_scopes(a, b):
    async def main():
        told = Signals("entered")

        async def child():
            with a, b:
                told.entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(child())
        await told.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert_all_is_closed(a, b)


def test_to_thread_in_a_scope_computes_on_numpys_own_heap(a):
    def work(x):
        return wspace.current(), wspace.owner(x + 1.0), float((x + 1.0).sum())

    async def main():
        with a:
            x = np.ones(BIG)
            before = a.stats.passed_foreign
            result = await asyncio.to_thread(work, x)
            return result, a.stats.passed_foreign - before

    (current, owner, total), passed = asyncio.run(main())
    assert (current, owner, total) == (None, None, 2.0 * BIG)
    assert passed == 2
    assert_all_is_closed(a)


def test_to_thread_may_open_a_workspace_of_its_own_over_the_copied_context(a, b):
    def work():
        with b:
            assert wspace.current() is captured_by() is b
            with pytest.raises(wspace.WrongThreadError):
                a.__enter__()
        assert wspace.current() is captured_by() is None

    async def main():
        with a:
            await asyncio.to_thread(work)
            assert captured_by() is a

    asyncio.run(main())
    assert_all_is_closed(a, b)


# ---- asynchronous generators ---------------------------------------------------------


async def stream(workspace):
    with workspace:
        while True:
            yield captured_by()


def test_an_asynchronous_generator_has_its_scope_open_in_the_task_that_runs_it(a):
    async def main():
        generator = stream(a)
        assert await anext(generator) is a
        assert captured_by() is a
        await generator.aclose()
        assert_all_is_closed(a)

    asyncio.run(main())


@pytest.mark.filterwarnings("default:workspace .* was left:RuntimeWarning")
def test_an_asynchronous_generator_that_the_loop_finalizes_ends_its_cycle(a, b):
    async def main():
        async for _ in stream(a):
            break  # the loop closes the generator in a task of its own
        gc.collect()
        while a.is_open:
            await asyncio.sleep(0)
        assert captured_by() is None
        with b:
            assert captured_by() is b

    asyncio.run(main())
    assert_all_is_closed(a, b)


def test_an_inner_asynchronous_generator_that_the_loop_finalizes_ends_no_cycle(a):
    async def main():
        with a:
            x = a.ones(3)
            async for _ in stream(a):
                break
            gc.collect()
            for _ in range(10):
                await asyncio.sleep(0)
            assert a.is_open
            assert x.sum() == 3.0
            assert captured_by() is a

    asyncio.run(main())
    assert_all_is_closed(a)
