# SPDX-License-Identifier: BSD-3-Clause
"""Creators of a workspace: each against its NumPy namesake, and where it places."""

import threading

import numpy as np
import pytest

import wspace

BOTH = pytest.mark.parametrize("checked", [True, False], ids=["checked", "plain"])

MATRIX = np.arange(6, dtype=np.int16).reshape(2, 3)
RECORD = np.dtype([("a", "f4"), ("b", "i2", (2,))])

# Name of the creator, positional arguments, keyword arguments.
CASES = [
    *[
        (name, *form)
        for name in ("empty", "zeros", "ones")
        for form in [
            ((3,), {}),
            (((2, 3),), {}),
            (([2, 3], np.float32), {}),
            (((2, 3), "i2", "F"), {}),
            (((2, 3, 4),), {"dtype": None, "order": "F"}),
            (((),), {}),
            ((0,), {}),
            (((2, 0, 3),), {}),
            ((np.array([2, 3]),), {"dtype": bool}),
            ((np.int64(3),), {"dtype": "complex64"}),
            ((2, "(3,)f4"), {}),
            ((2,), {"dtype": RECORD}),
            ((2, "M8[s]"), {}),
        ]
    ],
    ("zeros", (2, "S"), {}),
    ("zeros", (2, "U5"), {}),
    ("full", (3, 7), {}),
    ("full", ((2, 3), 1.5), {"order": "F"}),
    ("full", ((2, 3), [1, 2, 3]), {}),
    ("full", (2, 3.7, int), {}),
    ("full", (2, "abc"), {}),
    ("full", ((), True), {"dtype": None}),
    ("full", (3,), {"fill_value": np.float32(0.5)}),
    ("arange", (5,), {}),
    ("arange", (5.0,), {}),
    ("arange", (1, 7), {}),
    ("arange", (7, 1, -2), {}),
    ("arange", (0, 1, 0.25), {"dtype": np.float32}),
    ("arange", (0,), {}),
    ("arange", (), {"start": 1, "stop": 7, "step": 2}),
    ("arange", (), {"stop": 7}),
    ("arange", (1, 7, 2, "f4"), {}),
    ("linspace", (0, 1), {}),
    ("linspace", (0, 1, 5), {}),
    ("linspace", (0, 1), {"num": 5, "endpoint": False}),
    ("linspace", (0, 10, 4), {"dtype": int}),
    ("linspace", ([0, 1], [2, 3], 4), {}),
    ("linspace", ([0, 1], [2, 3], 4), {"axis": 1}),
    ("linspace", (0, 1, 0), {}),
    ("linspace", (0, 1, 1), {}),
    ("eye", (3,), {}),
    ("eye", (3, 5), {}),
    ("eye", (3, 5, 1), {}),
    ("eye", (3, None, -1, np.int8, "F"), {}),
    ("eye", (0,), {}),
    ("array", ([[1, 2], [3, 4]],), {}),
    ("array", ([[1, 2], [3, 4]], float), {"order": "F"}),
    ("array", (MATRIX.T,), {}),
    ("array", (MATRIX.T,), {"order": "C"}),
    ("array", (MATRIX[:, ::-2],), {"order": "A"}),
    ("array", (5,), {}),
    ("array", ([1, 2],), {"ndmin": 3}),
    ("array", (["a", "bcd"],), {}),
    ("array", (np.ma.masked_array([1, 2], [0, 1]),), {}),
    ("array", (MATRIX.view(np.matrix),), {}),
    ("asarray", ([1.0, 2.0],), {}),
    ("asarray", (range(3), "f4"), {}),
    ("asarray", (MATRIX,), {"order": "F"}),
    *[
        (name, (prototype, *fill), kwargs)
        for name, fill in [
            ("empty_like", ()),
            ("zeros_like", ()),
            ("ones_like", ()),
            ("full_like", (2.5,)),
        ]
        for prototype in (
            [1, 2],
            5.0,
            MATRIX,
            MATRIX.T,
            np.asfortranarray(MATRIX),
            np.transpose(np.zeros((2, 3, 4)), (1, 0, 2)),
        )
        for kwargs in (
            {},
            {"dtype": "f4"},
            {"dtype": None, "order": "F"},
            {"order": "A"},
            {"order": "C", "shape": (4, 5)},
            {"shape": 7},
        )
    ],
]


def case_id(case):
    name, args, kwargs = case
    text = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())])
    return f"{name}({text})".replace("\n", "")


def make(ws, name, args, kwargs):
    return getattr(ws, name)(*args, **kwargs)


@BOTH
@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_a_creator_makes_what_numpy_makes_and_places_it(case, checked):
    name, args, kwargs = case
    expected = getattr(np, name)(*args, **kwargs)
    ws = wspace.Workspace(checked=checked)
    with ws:
        made = make(ws, name, args, kwargs)
        assert type(made) is (wspace.Array if checked else np.ndarray)
        assert made.dtype == expected.dtype
        assert made.shape == expected.shape
        assert made.strides == expected.strides
        if not name.startswith("empty"):
            np.testing.assert_array_equal(made, expected)
        assert wspace.owner(made) is ws
        assert wspace.owner(np.asarray(made)) is ws
        assert wspace.in_scope(made)


ALL = [
    ("empty", (3,), {}),
    ("zeros", (3,), {}),
    ("ones", (3,), {}),
    ("full", (3, 1), {}),
    ("arange", (3,), {}),
    ("linspace", (0, 1, 3), {}),
    ("eye", (3,), {}),
    ("array", ([1, 2],), {}),
    ("asarray", ([1, 2],), {}),
    ("empty_like", ([1, 2],), {}),
    ("zeros_like", ([1, 2],), {}),
    ("ones_like", ([1, 2],), {}),
    ("full_like", ([1, 2], 3), {}),
]
EACH = pytest.mark.parametrize("case", ALL, ids=[name for name, *_ in ALL])


def test_these_are_all_creators():
    from wspace._creators import Creators

    assert sorted(n for n in vars(Creators) if n[0] != "_") == sorted(
        name for name, *_ in ALL
    )


@EACH
def test_open_but_not_current_places_all_the_same(case):
    with wspace.Workspace("outer") as outer:
        with wspace.Workspace("inner"):
            assert wspace.owner(make(outer, *case)) is outer
            assert wspace.owner(np.ones(1000)).name == "inner"
        with wspace.scope_out():
            assert wspace.owner(make(outer, *case)) is outer
            assert wspace.owner(np.ones(1000)) is None


@EACH
def test_with_capture_off_creators_place_all_the_same(case):
    with wspace.Workspace(capture=False) as ws:
        assert wspace.owner(make(ws, *case)) is ws
        assert wspace.owner(np.ones(1000)) is None


@EACH
@pytest.mark.parametrize("was_open", [False, True])
def test_a_creator_of_a_workspace_that_is_not_open_raises(case, was_open):
    ws = wspace.Workspace("train")
    if was_open:
        with ws:
            pass
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        make(ws, *case)
    assert str(caught.value) == "cannot allocate in workspace 'train': it is not open"
    assert caught.value.__notes__ == [
        "hint: use `with ws:`",
        "no workspace is open here",
    ]


@EACH
def test_a_creator_called_from_another_thread_raises(case):
    caught = []

    def use():
        try:
            make(ws, *case)
        except wspace.WrongThreadError as error:
            caught.append(str(error))

    with wspace.Workspace("train") as ws:
        thread = threading.Thread(target=use, name="helper-0")
        thread.start()
        thread.join()
    assert caught == [
        "workspace 'train' belongs to thread 'MainThread', used from 'helper-0'"
    ]


# Prototypes and values of other kinds


def test_like_a_checked_array_masked_array_or_matrix_is_like_its_base():
    with wspace.Workspace() as ws:
        checked = ws.ones((2, 3), np.float32, "F")
        masked = np.ma.masked_array(np.asarray(checked), mask=True)
        for prototype in (checked, masked, checked.view(np.matrix)):
            made = ws.zeros_like(prototype)
            assert type(made) is wspace.Array
            assert made.dtype == np.float32
            assert made.shape == (2, 3)
            assert made.flags.f_contiguous
            assert made.sum() == 0


@pytest.mark.parametrize(
    "case", [c for c in ALL if "like" in c[0] or "array" in c[0]], ids=lambda c: c[0]
)
def test_a_stale_array_is_no_prototype(case):
    name, (_, *fill), kwargs = case
    with wspace.Workspace() as ws:
        stale = ws.ones(3)
    with ws:
        with pytest.raises(wspace.StaleArrayError):
            make(ws, name, (stale, *fill), kwargs)


def test_array_copies_always():
    with wspace.Workspace() as ws:
        x = ws.ones(3)
        y = ws.array(x)
        y[0] = 7
        assert x[0] == 1
        assert type(y) is wspace.Array


# asarray


def test_asarray_returns_checked_arrays_of_this_cycle_themselves():
    with wspace.Workspace() as ws:
        x = ws.ones((2, 3))
        assert ws.asarray(x) is x
        assert ws.asarray(x, float) is x
        assert ws.asarray(x, order="C") is x
        view = x[1:]
        assert ws.asarray(view) is view


@BOTH
def test_asarray_copies_for_another_dtype_or_order(checked):
    with wspace.Workspace(checked=checked) as ws:
        x = ws.ones((2, 3))
        single = ws.asarray(x, np.float32)
        assert single.dtype == np.float32
        fortran = ws.asarray(x, order="F")
        assert fortran.flags.f_contiguous
        assert not np.shares_memory(x, fortran)
        assert wspace.owner(single) is wspace.owner(fortran) is ws


def test_asarray_copies_what_is_of_another_kind_place_or_cycle():
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner") as inner:
        captured, foreign, plain = np.ones(1000), outer.ones(3), [1.0, 2.0]
        for x in (captured, foreign, plain):
            made = inner.asarray(x)
            assert type(made) is wspace.Array
            assert wspace.owner(made) is inner
            assert not np.shares_memory(made, np.asarray(x))
            np.testing.assert_array_equal(made, x)


def test_asarray_of_a_plain_workspace_returns_captured_arrays_themselves():
    ws = wspace.Workspace(checked=False)
    with ws:
        survivor = np.ones(1000)
        assert ws.asarray(survivor) is survivor
    with ws:
        assert ws.asarray(survivor) is not survivor  # of a cycle that is over


@pytest.mark.parametrize("kind", [np.matrix, np.ma.MaskedArray])
def test_asarray_of_a_plain_workspace_gives_plain_arrays(kind):
    with wspace.Workspace(checked=False) as ws:
        made = ws.asarray(np.ones((30, 50)).view(kind))
        assert type(made) is np.ndarray


def test_zeros_are_zero_where_memory_is_used_again():
    with wspace.Workspace(initial_size="1MiB") as ws:
        for _ in range(3):
            x = ws.empty(10_000)
            x[:] = 7
            del x
            assert not ws.zeros(10_000).any()


def test_a_creator_calls_the_array_protocol_of_its_argument_once():
    class Arraylike:
        calls = 0

        def __array__(self, dtype=None, copy=None):
            self.calls += 1
            return np.array([1.0, 2.0])

    x = Arraylike()
    with wspace.Workspace() as ws:
        assert ws.asarray(x).tolist() == [1.0, 2.0]
    assert x.calls == 1
