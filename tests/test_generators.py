# SPDX-License-Identifier: BSD-3-Clause
"""Scopes in generators, which are suspended, interleaved, closed and collected."""

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


def suspended(workspace, *, times=1):
    """Return a generator that has just entered the workspace."""

    def generate():
        with workspace:
            for _ in range(times + 1):
                yield captured_by()

    generator = generate()
    next(generator)
    return generator


def finish(generator):
    for _ in generator:
        pass


def open_ones(*workspaces):
    return [workspace.name for workspace in workspaces if workspace.is_open]


def assert_all_is_closed(*workspaces):
    assert open_ones(*workspaces) == []
    assert wspace.current() is captured_by() is None
    assert get_handler_name() == "default_allocator"


def test_a_suspended_generator_has_its_scope_open_until_it_is_resumed(a):
    generator = suspended(a)
    assert wspace.current() is captured_by() is a
    assert a.generation == 1
    finish(generator)
    assert_all_is_closed(a)


def test_a_generator_inside_a_scope_counts_when_it_enters_the_same(a):
    with a:
        x = a.ones(3)
        finish(suspended(a))
        assert x.sum() == 3.0
        assert captured_by() is a
    assert a.stats.cycles == 1


def test_interleaved_generators_of_one_workspace_end_its_cycle_with_the_last(a):
    first, second = suspended(a), suspended(a)
    x = a.ones(3)
    finish(first)
    assert x.sum() == 3.0
    finish(second)
    assert wspace.is_stale(x)
    assert a.stats.cycles == 1
    assert_all_is_closed(a)


def test_interleaved_generators_that_end_in_reverse_order_are_no_matter(a, b):
    first, second = suspended(a), suspended(b)
    assert next(second) is b
    finish(second)
    assert next(first) is a
    finish(first)
    assert_all_is_closed(a, b)


def test_the_first_of_interleaved_generators_that_ends_is_told_why_it_must_not(a, b):
    first, second = suspended(a), suspended(b)
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        finish(first)
    assert "cannot leave workspace 'a' before 'b'" in str(caught.value)
    assert "generator that yields" in caught.value.__notes__[0]
    assert open_ones(a, b) == ["a", "b"]
    finish(second)
    assert_all_is_closed(a, b)


def test_closing_the_first_of_interleaved_generators_raises_nothing(a, b):
    first, second = suspended(a), suspended(b)
    first.close()  # GeneratorExit is passing there, and must
    assert open_ones(a, b) == ["a", "b"]
    second.close()
    assert_all_is_closed(a, b)


def test_an_exception_thrown_into_a_generator_passes_and_closes_its_scope(a):
    generator = suspended(a)
    problem = ValueError("mine")
    with pytest.raises(ValueError) as caught:
        generator.throw(problem)
    assert caught.value is problem
    assert not hasattr(problem, "__notes__")
    assert_all_is_closed(a)


def test_a_generator_that_dies_suspended_closes_its_scope(a):
    generator = suspended(a)
    x = a.ones(3)
    del generator
    assert wspace.is_stale(x)
    assert_all_is_closed(a)


def test_a_generator_in_a_reference_cycle_closes_its_scope_when_it_is_collected(a):
    holder = [suspended(a)]
    holder.append(holder)
    x = np.full(BIG, 4.0)
    del holder
    assert a.is_open
    gc.collect()
    assert_all_is_closed(a)
    assert x.sum() == 4.0 * BIG


def test_generators_collected_in_any_order_close_their_scopes(a, b):
    first, second = suspended(a), suspended(b)
    cycle = [first, second]
    cycle.append(cycle)
    del first, second, cycle
    gc.collect()
    assert_all_is_closed(a, b)


def test_a_generator_closed_in_another_context_ends_its_cycle(a):
    context = contextvars.Context()
    generator = context.run(suspended, a)
    assert captured_by() is None
    x = a.ones(3)
    assert context.run(captured_by) is a
    generator.close()
    assert wspace.is_stale(x)
    assert not a.is_open
    assert context.run(captured_by) is context.run(wspace.current) is None
    assert_all_is_closed(a)


@pytest.mark.parametrize("make", [contextvars.Context, contextvars.copy_context])
def test_a_counted_enter_that_is_left_in_another_context_ends_no_cycle(a, make):
    with a:
        x = a.ones(3)
        context = make()
        generator = suspended(a)
        context.run(generator.close)
        assert a.is_open
        assert x.sum() == 3.0
        assert captured_by() is a
    assert a.stats.cycles == 1
    assert_all_is_closed(a)


def test_an_outer_scope_is_left_properly_when_one_above_ended_in_another_context(a, b):
    with b:
        generator = suspended(a)
        contextvars.Context().run(generator.close)
        assert open_ones(a, b) == ["b"]
        assert wspace.current() is b
    assert_all_is_closed(a, b)


def test_a_borrow_of_a_cycle_that_ends_in_another_context_restores_the_handler(a):
    context = contextvars.Context()
    generator = context.run(suspended, a)
    with a.borrow():
        context.run(generator.close)
    assert_all_is_closed(a)


def test_a_generator_closed_in_another_thread_abandons_its_scope(a, b, in_thread):
    generator = suspended(a)
    x = a.ones(3)
    in_thread(generator.close)
    assert not a.is_open
    assert wspace.current() is captured_by() is None
    assert x.sum() == 3.0  # the next enter ends the cycle
    with a:
        assert wspace.is_stale(x)
        assert (a.generation, a.stats.cycles) == (2, 1)
        assert captured_by() is a
    assert_all_is_closed(a)


def test_a_scope_below_one_that_was_left_in_another_thread_closes(a, b, in_thread):
    with b:
        generator = suspended(a)
        in_thread(generator.close)
        assert open_ones(a, b) == ["b"]
        assert wspace.current() is b
    assert_all_is_closed(a, b)
    with b, a:
        assert captured_by() is a


def test_a_generator_with_borrow_or_scope_out_suspended_hands_the_state_on(a, b):
    def borrowing():
        with a.borrow():
            yield captured_by()

    def out():
        with wspace.scope_out():
            yield captured_by()

    with a, b:
        generators = borrowing(), out()
        assert [next(generator) for generator in generators] == [a, None]
        assert captured_by() is None
        finish(generators[1])
        assert captured_by() is a
        finish(generators[0])
        assert captured_by() is b


def test_a_scope_that_ended_elsewhere_is_not_taken_for_a_later_one(a):
    first = suspended(a)
    contextvars.Context().run(first.close)
    second = contextvars.Context().run(suspended, a)
    second.close()
    assert_all_is_closed(a)
    assert a.stats.cycles == 2


def test_scopes_that_end_in_other_contexts_leave_nothing_behind(a, b):
    def frames():
        return sum(type(x).__module__ == "wspace._scope" for x in gc.get_objects())

    with b:
        before = frames()
        for _ in range(100):
            generator = suspended(a)
            contextvars.Context().run(generator.close)
        assert frames() - before < 10
    assert_all_is_closed(a, b)


def test_leaving_a_scope_ends_capture_though_a_copied_context_has_entered_it(a):
    with a:
        context = contextvars.copy_context()
        generator = context.run(suspended, a)
    assert wspace.current() is captured_by() is None
    assert get_handler_name() == "default_allocator"
    context.run(generator.close)
    assert_all_is_closed(a)


@pytest.mark.parametrize("kind", ["borrow", "scope_out"])
def test_a_block_that_is_left_in_another_context_is_not_a_foreign_handler(a, b, kind):
    def generate():
        with a.borrow() if kind == "borrow" else wspace.scope_out():
            yield

    with a:
        with b:
            generator = generate()
            next(generator)
            contextvars.Context().run(generator.close)
            assert wspace.current() is b
        assert wspace.current() is captured_by() is a
    assert_all_is_closed(a, b)
