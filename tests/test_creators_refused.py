# SPDX-License-Identifier: BSD-3-Clause
"""What creators of a workspace refuse, in which words, and what that leaves behind."""

import re

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import wspace

OBJECTS = np.dtype([("a", "O"), ("b", "f4")])
STRINGS = np.dtypes.StringDType()


@pytest.mark.parametrize("dtype", [object, OBJECTS, STRINGS], ids=str)
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("empty", (3,)),
        ("zeros", (3,)),
        ("ones", (3,)),
        ("full", (3, 1)),
        ("eye", (3,)),
        ("linspace", (0, 1, 3)),
        ("array", ([1, 2],)),
        ("asarray", ([1, 2],)),
        ("empty_like", ([1, 2],)),
        ("zeros_like", ([1, 2],)),
        ("full_like", ([1, 2], 3)),
    ],
)
def test_a_dtype_that_holds_references_is_refused(name, args, dtype):
    text = f"cannot place dtype {np.dtype(dtype)} in workspace 'train': "
    with wspace.Workspace("train") as ws:
        with pytest.raises(TypeError) as caught:
            getattr(ws, name)(*args, dtype=dtype)
        assert str(caught.value) == text + "it holds Python references"
        assert ws.stats.used == 0


@pytest.mark.parametrize(
    "make_one",
    [
        lambda ws: ws.array([1, None]),
        lambda ws: ws.asarray(np.array(["a"], STRINGS)),
        lambda ws: ws.full(3, None),
        lambda ws: ws.zeros_like(np.array([None])),
        lambda ws: ws.full_like([1], None, dtype="O"),
    ],
)
def test_references_that_come_with_the_values_are_refused(make_one):
    with wspace.Workspace("train") as ws:
        with pytest.raises(TypeError, match="holds Python references"):
            make_one(ws)
        assert ws.stats.used == 0


@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
def test_an_array_larger_than_an_address_space_is_refused(name):
    with wspace.Workspace("train") as ws:
        with pytest.raises(OverflowError) as caught:
            getattr(ws, name)((2**62, 8))
        with pytest.raises(
            OverflowError, match=re.escape("(1208925819614629174706176,)")
        ):
            getattr(ws, name)(2**80)
    assert str(caught.value) == (
        "array (4611686018427387904, 8) float64 needs 2**68 bytes, "
        "more than an address space"
    )


@pytest.mark.parametrize(
    "make_one",
    [
        lambda ws: ws.full((2**62, 8), 1.0),
        lambda ws: ws.zeros_like([1.0], shape=(2**62, 8)),
        lambda ws: ws.empty_like([1.0], shape=2**80),
        lambda ws: ws.eye(2**62, 8),
    ],
    ids=["full", "zeros_like", "empty_like", "eye"],
)
def test_creators_agree_on_what_is_too_large(make_one):
    with wspace.Workspace("train") as ws:
        with pytest.raises(OverflowError, match="more than an address space"):
            make_one(ws)


def test_what_the_system_does_not_give_names_the_workspace_and_the_bytes():
    with wspace.Workspace("train") as ws:
        with pytest.raises(MemoryError) as caught:
            ws.empty(2**55)
        assert ws.zeros(3).sum() == 0
    assert str(caught.value) == (
        "could not allocate 288,230,376,151,711,744 bytes for workspace 'train'"
    )
    assert not isinstance(caught.value, wspace.WorkspaceError)


@pytest.mark.parametrize("shape", [-1, (2, -1), [-3]])
@pytest.mark.parametrize("name", ["empty", "zeros", "ones"])
def test_negative_dimensions_are_refused_as_by_numpy(name, shape):
    with wspace.Workspace() as ws:
        with pytest.raises(ValueError, match="negative dimensions are not allowed"):
            getattr(ws, name)(shape)


@pytest.mark.parametrize("shape", [3.0, None, "3", (2.0,), [[2]], {}, object()])
def test_a_shape_of_another_type_is_refused(shape):
    with wspace.Workspace() as ws:
        if shape == {}:
            assert ws.zeros(shape).shape == np.zeros(()).shape
            return
        with pytest.raises(TypeError):
            ws.zeros(shape)


def test_more_than_64_dimensions_are_refused():
    with wspace.Workspace() as ws:
        with pytest.raises(ValueError, match="maximum supported dimension"):
            ws.zeros((1,) * 65)


@pytest.mark.parametrize("order", ["A", "K", "Z", 1])
def test_an_order_that_numpy_refuses_is_refused(order):
    with wspace.Workspace() as ws:
        with pytest.raises((ValueError, TypeError), match="order"):
            ws.zeros((2, 3), order=order)


@pytest.mark.parametrize("order", ["c", "f", None])
def test_an_order_that_numpy_takes_is_taken(order):
    with wspace.Workspace() as ws:
        expected = np.zeros((2, 3), order=order)
        assert ws.zeros((2, 3), order=order).strides == expected.strides


# What they leave behind


@pytest.mark.parametrize(
    "make_one",
    [
        lambda ws: ws.array([1, [2]]),
        lambda ws: ws.full(3, [1, 2]),
        lambda ws: ws.linspace(0, 1, -1),
        lambda ws: ws.zeros(3, "no dtype"),
        lambda ws: ws.eye(-1),
        lambda ws: ws.empty(2**55),
    ],
)
def test_a_creator_that_raises_leaves_the_workspace_as_it_was(make_one):
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        with pytest.raises((ValueError, TypeError, MemoryError)):
            make_one(outer)
        assert outer.stats.used == 0
        assert wspace.owner(np.ones(1000)).name == "inner"
        assert wspace.owner(np.ones(3)) is None  # smaller than min_block
    assert get_handler_name() == "default_allocator"
