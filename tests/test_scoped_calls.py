# SPDX-License-Identifier: BSD-3-Clause
"""Calls of scoped functions: results, kinds of functions, recursion, threads."""

import functools
import threading

import numpy as np
import pytest

import wspace
from wspace import Workspace

# Results


@pytest.mark.parametrize(
    "decorate",
    [
        lambda result: wspace.scoped(f"for {result}", result=result),
        lambda result: Workspace(f"for {result}").scoped(result=result),
    ],
    ids=["scoped", "of a workspace"],
)
@pytest.mark.parametrize("result", ["detach", "keep", "leverage"])
def test_what_is_done_with_the_result(decorate, result):
    @decorate(result)
    def step():
        x = np.ones(1000)
        return {"x": x, "list": [x[5:]]}

    expected = {"detach": None, "keep": f"for {result}", "leverage": "outer"}[result]
    with Workspace("outer"):
        for _ in range(3):
            out = step()
            for array in (out["x"], out["list"][0]):
                owner = wspace.owner(array)
                assert (owner and owner.name) == expected
                assert array.all()


def test_leverage_without_an_enclosing_workspace_detaches():
    out = wspace.scoped("alone", result="leverage")(lambda: np.ones(1000))()
    assert not wspace.is_attached(out)


def test_a_kept_result_does_not_count_as_escaped():
    ws = Workspace(escape="raise", initial_size="1MiB")

    @ws.scoped(result="keep")
    def make():
        return np.ones(1000), ws.ones(1000)

    out = make()
    assert [type(x) for x in out] == [np.ndarray, np.ndarray]
    assert ws.stats.escaped_count == 0
    assert ws.stats.retained == 16_000
    del out
    assert ws.stats.retained == 0


def test_checked_arrays_come_out_plain():
    ws = Workspace()
    out = ws.scoped(lambda: [ws.ones(3), ws.ones(3).sum()])()
    assert type(out[0]) is np.ndarray
    assert type(out[1]) is np.float64


def test_what_a_function_leaves_behind_dies_with_its_locals():
    ws = Workspace(escape="raise", initial_size="1MiB")

    @ws.scoped
    def step(state):
        slope = np.gradient(state)
        curve = np.gradient(slope)
        return state + curve

    state = np.linspace(0, 1, 1000)
    for _ in range(5):
        state = step(state)
    assert ws.stats.retained == 0
    assert ws.stats.escaped_count == 0


# Kinds of functions


def test_methods_static_methods_class_methods_and_properties():
    class Model:
        scale = 2.0

        @wspace.scoped
        def method(self, n):
            return np.ones(n) * self.scale

        @staticmethod
        @wspace.scoped
        def static(n):
            return np.ones(n)

        @classmethod
        @wspace.scoped
        def of_class(cls, n):
            return np.ones(n) * cls.scale

        @property
        @wspace.scoped
        def prop(self):
            return np.ones(1000)

    model = Model()
    outs = [model.method(1000), Model.static(1000), Model.of_class(1000), model.prop]
    assert [out.mean() for out in outs] == [2, 1, 2, 1]
    assert not any(map(wspace.is_attached, outs))


def test_callables_that_are_no_functions():
    class Ones:
        def __call__(self, n):
            return np.ones(n)

    for function in (Ones(), functools.partial(np.ones, dtype=float), np.ones):
        step = wspace.scoped(function)
        assert not wspace.is_attached(step(1000))
        assert step(1000).sum() == 1000


def test_recursion_is_one_cycle_and_each_call_detaches():
    depths = []

    @wspace.scoped("recursive")
    def total(n):
        depths.append(wspace.current().generation)
        x = np.full(1000, float(n))
        if n:
            inner = total(n - 1)
            assert not wspace.is_attached(inner)
            x += inner
        return x

    assert total(4)[0] == 10
    assert depths == [1] * 5
    assert not wspace.get("recursive").is_open


def test_nested_calls_of_one_workspace_are_one_cycle():
    ws = Workspace()

    @ws.scoped
    def inner():
        return np.ones(1000)

    @ws.scoped(result="keep")
    def outer():
        kept = ws.ones(3)
        result = inner() + 1
        assert kept.sum() == 3
        return result

    assert outer().sum() == 2000
    assert ws.generation == 1


def test_an_exception_in_a_recursion_leaves_all_scopes():
    @wspace.scoped("deep")
    def dive(n):
        if n == 0:
            raise KeyError("bottom")
        dive(n - 1)

    with pytest.raises(KeyError, match="bottom"):
        dive(5)
    assert not wspace.get("deep").is_open


def test_each_thread_has_a_workspace_of_its_own():
    both = threading.Barrier(2, timeout=60)
    seen, errors = [], []

    @wspace.scoped("of each thread")
    def step():
        both.wait()  # both scopes are open now
        x = np.ones(1000)
        seen.append(wspace.current())
        both.wait()
        return x

    def work():
        try:
            for _ in range(3):
                assert step().sum() == 1000
        except BaseException as error:
            errors.append(error)
            both.abort()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(seen)) == 2
    assert {ws.name for ws in seen} == {"of each thread"}


def test_a_function_of_one_workspace_is_refused_in_a_second_thread():
    errors = []
    ws = Workspace("single")
    step = ws.scoped(lambda: None)

    def work():
        try:
            step()
        except wspace.WrongThreadError as error:
            errors.append(str(error))

    with ws:
        thread = threading.Thread(target=work, name="second")
        thread.start()
        thread.join()
    assert errors == [
        "workspace 'single' belongs to thread 'MainThread', used from 'second'"
    ]


def test_a_generation_of_results_may_be_returned_and_consumed_later():
    @wspace.scoped("lazily")
    def make():
        return [np.ones(1000), iter([1, 2])]

    array, rest = make()
    assert array.sum() == 1000
    assert list(rest) == [1, 2]
