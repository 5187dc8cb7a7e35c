# SPDX-License-Identifier: BSD-3-Clause
"""What a stale array still is: shown, referred to, seen by earlier views, freed."""

import gc
import inspect
import itertools
import random
import sys
import threading
import weakref

import numpy as np
import pytest

import wspace

VALUES = np.arange(1.0, 7.0).reshape(2, 3)
SHOWN = "<stale array (2, 3) float64 of workspace 'train', made in generation 1>"


@pytest.fixture
def ws():
    return wspace.Workspace("train")


def make_stale(ws):
    with ws:
        x = ws.array(VALUES)
    return x


def text_of(x):
    with pytest.raises(wspace.StaleArrayError) as raised:
        x + 1
    return str(raised.value)


# ---- the message ---------------------------------------------------------------------


def test_the_message_tells_the_open_generation(ws):
    stale = make_stale(ws)
    made = "array (2, 3) float64 of workspace 'train' is stale: made in generation 1, "
    assert text_of(stale) == made + "which is over"
    with ws:
        assert text_of(stale) == made + "now 2"
    with ws, ws:
        assert text_of(stale) == made + "now 3"
    assert text_of(stale) == made + "which is over; the last was 3"


def test_the_names_of_the_open_workspaces_are_told(ws):
    stale = make_stale(ws)
    with wspace.Workspace("outer"), wspace.Workspace("inner"):
        with pytest.raises(wspace.StaleArrayError) as caught:
            stale + 1
    assert caught.value.__notes__[1] == "open here: 'inner', 'outer'"


def test_another_open_workspace_is_not_in_the_message(ws):
    stale = make_stale(ws)
    with wspace.Workspace("train"):
        assert text_of(stale).endswith("which is over")


@pytest.mark.parametrize(
    ("shape", "dtype", "shown"),
    [
        ((), "i8", "array () int64 of"),
        (5, "?", "array (5,) bool of"),
        ((0, 3), "c16", "array (0, 3) complex128 of"),
        ((2, 1), "U3", "array (2, 1) <U3 of"),
        (1, "M8[D]", "array (1,) datetime64[D] of"),
        (2, [("a", "<f4"), ("b", "<i2")], "array (2,) [('a', '<f4'), ('b', '<i2')] of"),
    ],
)
def test_the_message_tells_shape_and_dtype(ws, shape, dtype, shown):
    with ws:
        x = ws.zeros(shape, dtype)
    assert text_of(x).startswith(shown)
    assert repr(x).startswith("<stale " + shown)


def test_a_view_has_its_own_shape_in_the_message(ws):
    with ws:
        x = ws.array(VALUES)[1, ::2]
    assert text_of(x).startswith("array (2,) float64 of workspace 'train' is stale")


def test_a_workspace_that_is_gone_is_still_named(in_thread):
    ws = wspace.Workspace("train")
    stale = make_stale(ws)
    expected = text_of(stale)
    ws.release()
    assert text_of(stale) == expected
    ws.close()
    assert text_of(stale) == expected
    assert in_thread(text_of, stale) == expected
    del ws
    gc.collect()
    assert text_of(stale) == expected


# ---- introspection -------------------------------------------------------------------


def test_introspection_does_not_raise(ws):
    stale = make_stale(ws)
    assert repr(stale) == str(stale) == f"{stale}" == SHOWN
    assert ascii([stale]) == f"[{SHOWN}]"
    assert type(stale) is stale.__class__ is wspace.StaleArray
    assert isinstance(stale, wspace.StaleArray)
    assert not isinstance(stale, np.ndarray | wspace.Array)
    assert not callable(stale)
    assert id(stale) == id(stale)
    assert stale is stale
    assert weakref.ref(stale)() is stale
    assert "__class__" in dir(stale)
    assert sys.getsizeof(stale) > 0
    assert "whose cycle is over" in stale.__doc__
    assert stale.base is None


@pytest.mark.parametrize(
    "name",
    [
        *["_private", "__wrapped__", "__no_such_name__", "__torch_function__"],
        *["_repr_html_", "_repr_mimebundle_", "_repr_png_", "_ipython_display_"],
        *["_ipython_canary_method_should_not_exist_", "__rich_repr__", "__dict__"],
    ],
)
def test_unknown_private_names_are_missing(ws, name):
    stale = make_stale(ws)
    assert not hasattr(stale, name)
    with pytest.raises(
        AttributeError, match=f"^stale array has no attribute '{name}'$"
    ):
        getattr(stale, name)


def test_inspectors_can_show_it(ws):
    stale = make_stale(ws)
    assert not inspect.isclass(stale)
    assert not inspect.isroutine(stale)
    assert inspect.unwrap(stale) is stale
    assert inspect.getdoc(stale) == inspect.getdoc(wspace.StaleArray)


def test_it_is_found_in_containers_by_identity(ws):
    stale = make_stale(ws)
    assert stale in [stale]
    assert [stale].index(stale) == 0
    assert {id(stale): stale}[id(stale)] is stale


def test_a_stale_array_cannot_be_made():
    with pytest.raises(TypeError, match=r"cannot create 'wspace.StaleArray' instances"):
        wspace.StaleArray()
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (wspace.StaleArray,), {})


def test_is_stale_and_the_other_questions(ws):
    stale = make_stale(ws)
    assert wspace.is_stale(stale)
    assert wspace.owner(stale) is ws
    assert wspace.is_attached(stale)
    with ws:
        assert not wspace.in_scope(stale)
        valid = ws.ones(3)
        assert not wspace.is_stale(valid)
    assert wspace.is_stale(valid)
    for other in (VALUES, 3.0, None, "text"):
        assert not wspace.is_stale(other)


# ---- what was taken before -----------------------------------------------------------

TAKEN = {
    "a plain view": (np.asarray, np.asarray),
    "a plain view by type": (lambda x: x.view(np.ndarray), np.asarray),
    "a plain view of a view": (lambda x: np.asarray(x[:, :]), np.asarray),
    "a memoryview": (memoryview, np.asarray),
    "data": (lambda x: x.data, np.asarray),
    "a buffer": (lambda x: np.frombuffer(x).reshape(2, 3), np.asarray),
    "DLPack": (np.from_dlpack, np.asarray),
    "flat": (lambda x: x.flat, lambda f: np.reshape(list(f), (2, 3))),
    "an item of flat": (lambda x: x.flat, lambda f: [[f[0], 2, 3], [4, 5, f[5]]]),
    "a slice of flat": (lambda x: x.flat, lambda f: f[:].reshape(2, 3)),
    "an array of flat": (lambda x: x.flat, lambda f: np.array(f).reshape(2, 3)),
    "an iterator": (iter, list),
    "nditer": (np.nditer, lambda it: np.reshape([x.copy() for x in it], (2, 3))),
    "buffered nditer": (
        lambda x: np.nditer(x, ["buffered"], op_dtypes="f4", casting="same_kind"),
        lambda it: np.reshape([x.copy() for x in it], (2, 3)),
    ),
    "ndenumerate": (np.ndenumerate, lambda it: np.reshape([x for _, x in it], (2, 3))),
    "broadcast": (
        lambda x: np.broadcast(x, 0),
        lambda it: np.reshape([x for x, _ in it], (2, 3)),
    ),
    "tobytes": (lambda x: x.tobytes, lambda f: np.frombuffer(f()).reshape(2, 3)),
    "tolist": (lambda x: x.tolist, lambda f: f()),
    "item": (
        lambda x: x.item,
        lambda f: [[f(i, j) for j in range(3)] for i in range(2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_what_was_taken_before_reads_the_right_bytes(ws, kind):
    take, read = TAKEN[kind]
    with ws:
        taken = take(ws.array(VALUES))
    with ws:
        noise = [np.full(size, 9.0) for size in (6, 100, 1000)]
        assert np.array_equal(read(taken), VALUES)
    assert all((array == 9.0).all() for array in noise)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in dir(np.ndarray)
        if callable(getattr(np.ndarray, name)) and name[0] != "_" and name != "tostring"
    ],
)
def test_a_method_taken_before_reads_the_right_bytes_or_raises(name):
    ws = wspace.Workspace("train")  # dies with the references that NumPy's reduce loses
    arguments = {"astype": ("f8",), "dot": (2.0,), "take": ([0],), "repeat": (1,)}
    with ws:
        method = getattr(ws.array(VALUES), name)
        plain = getattr(VALUES.copy(), name)
    given = arguments.get(name, ())
    try:
        expected = plain(*given)
    except (TypeError, ValueError):
        return
    try:
        result = method(*given)
    except (wspace.StaleArrayError, ValueError):
        return
    if not wspace.is_stale(result):
        assert np.array_equal(result, expected)


def test_a_plain_view_writes_where_it_always_did(ws):
    with ws:
        x = ws.array(VALUES)
        plain, view = np.asarray(x), memoryview(x)
    plain[0, 0] = 50.0
    assert view[0, 0] == 50.0


# ---- death ---------------------------------------------------------------------------


def many_stale(ws):
    with ws:
        x = ws.ones((64, 64))
        made = [x, x[1:], x.T, x[0], x + 1, ws.zeros(3), np.asarray(x)]
        made += [x[::2][::2], x.reshape(-1), (x * 2)[3:]]
    return made


@pytest.mark.parametrize("seed", range(20))
def test_stale_arrays_die_in_any_order(ws, seed):
    arrays = many_stale(ws)
    random.Random(seed).shuffle(arrays)
    while arrays:
        arrays.pop()
        with ws:
            assert (np.ones(5000) == 1.0).all()
    assert ws.stats.retained == 0
    assert ws._arena.check()


@pytest.mark.parametrize("while_open", [False, True])
def test_stale_arrays_die_in_another_thread(ws, in_thread, while_open):
    arrays = many_stale(ws)
    if while_open:
        with ws:
            in_thread(arrays.clear)
            np.ones(5000)
    else:
        in_thread(arrays.clear)
    with ws:
        pass
    assert ws.stats.retained == 0


def test_stale_arrays_die_in_cycles(ws):
    class Node:
        pass

    arrays = many_stale(ws)
    nodes = [Node() for _ in arrays]
    for node, array, other in zip(nodes, arrays, itertools.cycle(nodes[::-1])):
        node.array, node.other = array, other
    del arrays, nodes, node, array, other
    gc.collect()
    assert ws.stats.retained == 0


def test_weak_references_are_told_of_the_death(ws):
    died = []
    with ws:
        x = ws.ones(3)
        valid = weakref.ref(x, died.append)
    late = weakref.ref(x, died.append)
    assert valid() is late() is x
    del x
    assert valid() is late() is None
    assert sorted(map(id, died)) == sorted(map(id, (valid, late)))


def test_a_stale_array_outlives_its_workspace():
    ws = wspace.Workspace("train")
    stale = make_stale(ws)
    ws.close()
    del ws
    gc.collect()
    assert repr(stale) == SHOWN
    assert wspace.owner(stale) is None


def test_a_dead_workspace_leaves_its_arrays_stale():
    ws = wspace.Workspace("train")
    ws.__enter__()
    x = ws.array(VALUES)
    thread = threading.Thread(target=ws.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    ws.__exit__(None, None, None)
    assert wspace.is_stale(x) or np.array_equal(x, VALUES)
    with ws:
        assert wspace.is_stale(x)
