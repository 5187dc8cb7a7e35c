# SPDX-License-Identifier: BSD-3-Clause
"""Programs that go out of their way to confuse wspace, each of which once did."""

import contextlib
import contextvars

import numpy as np
import pytest

import wspace


def test_a_class_that_borrows_the_finalizer_of_checked_arrays_is_left_alone(run_python):
    run_python("""
        import numpy as np, wspace
        class Borrower(np.ndarray):
            __array_finalize__ = wspace.Array.__array_finalize__
        class Refused(np.ndarray):
            __array_finalize__ = wspace.StaleArray.__array_finalize__
        ws = wspace.Workspace("demo")
        for _ in range(3):
            with ws:
                kept = [np.ones(1000).view(Borrower)[1:] for _ in range(20)]
                try:
                    np.ones(1000).view(Refused)
                except TypeError:
                    pass
                else:
                    raise SystemExit("not refused")
            assert all((x == 1).all() for x in kept)
    """)


class Odd:
    """What an `__array_function__` may return instead of an array."""

    nbytes = 0

    def __array_function__(self, function, types, args, kwargs):
        return Odd()


@pytest.mark.parametrize("name", ["linspace", "zeros_like", "full_like"])
def test_a_creator_refuses_what_is_no_array(name):
    arguments = (Odd(), 1.0) if name != "zeros_like" else (Odd(),)
    with wspace.Workspace("demo") as ws:
        with pytest.raises(TypeError):
            getattr(ws, name)(*arguments)
        assert ws.ones(3).sum() == 3.0


def test_a_stand_in_of_somebody_else_is_not_asked():
    class DummyArray:
        def __init__(self, x):
            self.__array_interface__ = x.__array_interface__

        @property
        def base(self):
            raise AssertionError("asked")

    x = np.arange(1000.0)
    view = np.asarray(DummyArray(x))
    assert wspace.owner(view) is None


def test_stand_ins_in_a_circle_end():
    x = np.lib.stride_tricks.as_strided(np.arange(1000.0))
    x.base.base = x.base
    assert wspace.owner(x) is None


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_an_iterator_whose_view_was_reshaped_ends():
    with wspace.Workspace("demo") as ws:
        rows = iter(ws.ones((1, 1)).copy())
        row = next(rows)
        plain = row.base
        while isinstance(plain.base, np.ndarray):
            plain = plain.base
        with contextlib.suppress(AttributeError, ValueError):
            plain.shape = ()
        assert list(rows) == []


def test_the_attributes_of_a_stale_array_have_strings_for_names():
    with wspace.Workspace("demo") as ws:
        x = ws.ones(3)
    with pytest.raises(TypeError, match="must be a string"):
        wspace.StaleArray.__getattribute__(x, b"\0" * 64)


def test_a_stack_that_was_set_to_nonsense_is_an_empty_one():
    context = contextvars.copy_context()
    ws = wspace.Workspace("demo")

    def use():
        with ws:
            variables = contextvars.copy_context()
        variable = next(v for v in variables if "wspace" in v.name)
        variable.set("nonsense")
        assert wspace.current() is None
        with ws:
            assert wspace.current() is ws
        assert wspace.current() is None

    context.run(use)


def test_the_owner_under_a_checked_array_is_not_resized():
    with wspace.Workspace("demo") as ws:
        x = ws.ones(100)
        with pytest.raises(ValueError, match="resize"):
            x.base.resize(10_000_000)
        assert x.sum() == 100.0


def test_what_was_dropped_reads_as_zero_for_who_comes_to_lie_over_it():
    ws = wspace.Workspace("demo", max_size="4MiB")
    for _ in range(4):
        with ws:
            kept = np.full(1000, 7.0)
            spilled = [np.full(600_000, 9, np.uint8) for _ in range(9)]
            del spilled
        ws.release()
        with ws:
            assert not np.zeros(4_000_000, np.uint8).any()
            assert not np.zeros(8_000_000, np.uint8).any()
    assert kept.sum() == 7000.0


def test_a_method_that_was_bound_before_raises_after_the_cycle():
    with wspace.Workspace("demo") as ws:
        x = ws.ones(3)
        methods = [x.detach, x.__reduce__, x.tofile]
    for method in methods:
        with pytest.raises(wspace.StaleArrayError):
            method() if method is not methods[-1] else method("nowhere")


@pytest.mark.parametrize(
    "use", ["x[::2].put([0, 1], odd)", "np.putmask(x[::2], x[::2] > 0, odd)"]
)
def test_an_operand_that_leaves_the_scope_while_elements_are_put(run_python, use):
    run_python(f"""
        import numpy as np, wspace
        ws = wspace.Workspace("demo")
        class Leaver:
            def __array__(self, dtype=None, copy=None):
                if ws.is_open:
                    ws.__exit__(None, None, None)
                return np.array([3.0, 4.0], dtype)
        odd = Leaver()
        for _ in range(3):
            ws.__enter__()
            x = ws.ones((8, 8))
            {use}
            assert wspace.is_stale(x) and not ws.is_open
    """)
