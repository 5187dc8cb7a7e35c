# SPDX-License-Identifier: BSD-3-Clause
"""Functions that run in a cycle of their own."""

import functools
import inspect

import numpy as np
import pytest

import wspace
from wspace import Workspace, WorkspaceConfig


def current_name():
    return wspace.current().name


# How a function is decorated, each with a workspace of its own.
DECORATORS = {
    "bare": lambda: wspace.scoped,
    "empty": lambda: wspace.scoped(),
    "named": lambda: wspace.scoped("of the test"),
    "of a workspace": lambda: Workspace().scoped,
    "of a workspace, empty": lambda: Workspace().scoped(),
}
EACH = pytest.mark.parametrize("decorator", DECORATORS.values(), ids=DECORATORS)


@EACH
def test_each_call_is_a_cycle_and_the_result_is_detached(decorator):
    seen = []

    @decorator()
    def step(n, *, scale=1.0):
        x = np.ones(n) * scale
        seen.append((wspace.current(), wspace.current().generation, wspace.owner(x)))
        return x

    for i in range(1, 4):
        out = step(1000, scale=i)
        assert type(out) is np.ndarray
        assert not wspace.is_attached(out)
        assert out.sum() == 1000 * i
    workspaces, generations, owners = zip(*seen, strict=True)
    assert len(set(workspaces)) == 1
    assert workspaces == owners
    assert [g - generations[0] for g in generations] == [0, 1, 2]
    assert not workspaces[0].is_open
    assert wspace.current() is None


@EACH
def test_the_functions_metadata_stays(decorator):
    def step(x: int, *, y: str = "a") -> float:
        """Say what it does."""
        return 1.0

    step.tag = "t"
    wrapped = decorator()(step)
    assert wrapped.__wrapped__ is step
    assert wrapped.__name__ == "step"
    assert wrapped.__qualname__ == step.__qualname__
    assert wrapped.__doc__ == "Say what it does."
    assert wrapped.__module__ == __name__
    assert wrapped.tag == "t"
    assert inspect.signature(wrapped) == inspect.signature(step)


@EACH
def test_an_exception_passes_and_the_scope_is_left(decorator):
    error = ValueError("mine")

    @decorator()
    def step():
        np.ones(1000)
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="mine") as caught:
            step()
        assert caught.value is error
        assert wspace.current() is None


@EACH
def test_what_is_suspended_is_refused_when_it_is_decorated(decorator):
    def generator():
        yield 1

    async def coroutine():
        pass

    async def asynchronous_generator():
        yield 1

    kinds = {
        generator: "a generator function",
        coroutine: "a coroutine function",
        asynchronous_generator: "an asynchronous generator function",
    }
    for function, kind in kinds.items():
        with pytest.raises(TypeError) as caught:
            decorator()(function)
        assert str(caught.value) == (
            f"cannot scope {function.__name__!r}: it is {kind}"
        )
        assert caught.value.__notes__ == [
            "hint: decorate the functions that it calls; they run from beginning to end"
        ]


@pytest.mark.parametrize("wrap", [functools.partial, staticmethod])
def test_a_generator_function_is_refused_behind_a_wrapper(wrap):
    def generator():
        yield 1

    with pytest.raises(TypeError, match="it is a generator function"):
        wspace.scoped(wrap(generator))


def test_an_object_whose_call_is_suspended_is_refused():
    class Source:
        async def __call__(self):
            pass

    with pytest.raises(TypeError, match="it is a coroutine function"):
        wspace.scoped("source")(Source())


# Names and configurations


def test_bare_it_is_named_after_the_function():
    class Model:
        @wspace.scoped
        def step(self):
            return current_name()

    assert Model().step() == f"{test_bare_it_is_named_after_the_function.__name__}" + (
        ".<locals>.Model.step"
    )


def test_the_workspace_is_that_of_get():
    @wspace.scoped("shared name", initial_size="2MiB")
    def step():
        return wspace.current()

    assert step() is wspace.get("shared name")
    assert wspace.get("shared name").config == WorkspaceConfig(initial_size="2MiB")


def test_the_name_and_the_config_may_be_given_in_every_form():
    config = WorkspaceConfig(initial_size="1MiB", record=True)
    decorators = [
        wspace.scoped("form 1", config),
        wspace.scoped("form 2", config=config),
        wspace.scoped(name="form 3", config=config, record=False),
        wspace.scoped("form 4", initial_size="1MiB"),
    ]
    records = []
    for decorate in decorators:
        workspace = decorate(wspace.current)()
        assert workspace.config.initial_size == 2**20
        records.append(workspace.config.record)
    assert records == [True, True, False, False]


def test_two_functions_of_one_name_share_a_workspace():
    one = wspace.scoped("pair")(wspace.current)
    other = wspace.scoped("pair")(lambda: wspace.current())
    assert one() is other()


def test_without_a_config_the_workspace_is_taken_as_it_is():
    wspace.get("prepared", initial_size="1MiB")
    assert wspace.scoped("prepared")(wspace.current)().config.initial_size == 2**20


def test_another_config_for_an_existing_workspace_raises_at_the_call():
    wspace.get("clashing", record=True)
    step = wspace.scoped("clashing", record=False)(wspace.current)
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        step()
    assert str(caught.value) == (
        "workspace 'clashing' exists with record=True, asked for record=False"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"result": "copy"}, ValueError, "result must be 'detach', 'keep' or 'lever"),
        ({"result": None}, ValueError, "result must be 'detach', 'keep' or 'leverage'"),
        ({"result": []}, ValueError, "result must be"),
        ({"name": 3}, TypeError, "name must be a string, got int 3"),
        ({"config": 3}, TypeError, "config must be a WorkspaceConfig or None"),
        ({"initial_sise": 3}, TypeError, "the closest is 'initial_size'"),
        ({"spill": "never"}, ValueError, "spill must be"),
    ],
)
def test_wrong_arguments_raise_at_decoration(arguments, error, text):
    with pytest.raises(error, match=text):
        wspace.scoped(**arguments)


@pytest.mark.parametrize("value", [3, "text", [len]])
@pytest.mark.parametrize("decorator", [wspace.scoped(), Workspace().scoped])
def test_what_is_not_callable_is_a_type_error(decorator, value):
    with pytest.raises(TypeError, match="function must be callable"):
        decorator(value)


@pytest.mark.parametrize(
    "arguments", [{"result": "keep"}, {"initial_size": "1MiB"}, {"config": 3}]
)
def test_arguments_beside_the_function_are_obeyed_or_refused(arguments):
    def make():
        return np.ones(1000)

    make.__qualname__ += repr(arguments)
    try:
        step = wspace.scoped(make, **arguments)
    except TypeError:
        return
    out = step()
    assert wspace.is_attached(out) == (arguments.get("result") == "keep")
    size = wspace.get(make.__qualname__).config.initial_size
    assert size == (2**20 if "initial_size" in arguments else 0)
