# SPDX-License-Identifier: BSD-3-Clause
"""Whose memory an array is: by its link if it is checked, else by its address."""

import ctypes
import gc
import threading

import numpy as np
import pytest

import wspace


class Interface:
    """Show an array by nothing but its address."""

    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__


# Ways to another array over the same memory; all start at its first byte.
VIEWS = {
    "itself": lambda a: a,
    "slice": lambda a: a[:5],
    "transposed": lambda a: a.reshape(2, -1).T,
    "view": lambda a: a.view(np.uint8),
    "subclass": lambda a: a.view(np.recarray),
    "as_strided": lambda a: np.lib.stride_tricks.as_strided(a, (3,), (8,)),
    "memoryview": lambda a: np.asarray(memoryview(a)),
    "cast": lambda a: np.asarray(memoryview(memoryview(a)).cast("B")),
    "frombuffer": lambda a: np.frombuffer(a, np.float64),
    "buffer=": lambda a: np.ndarray((5,), buffer=a),
    "ctypes": lambda a: np.ctypeslib.as_array(np.ctypeslib.as_ctypes(a)),
    "from_buffer": lambda a: np.frombuffer((ctypes.c_char * 80).from_buffer(a)),
    "DLPack": np.from_dlpack,
    "interface": lambda a: np.asarray(Interface(a)),
}
BY_ADDRESS_ONLY = {"ctypes", "from_buffer", "DLPack", "interface"}
EACH_VIEW = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
MADE = pytest.mark.parametrize(
    "make",
    [lambda ws: np.ones(1000), lambda ws: ws.ones(1000)],
    ids=["captured", "checked"],
)


@EACH_VIEW
@MADE
def test_a_view_belongs_to_the_workspace_of_its_memory(make, view):
    with wspace.Workspace("other"), wspace.Workspace() as ws:
        x = view(make(ws))
        assert wspace.owner(x) is ws
        assert wspace.is_attached(x)
        assert not wspace.is_stale(x)


@EACH_VIEW
@MADE
def test_a_view_is_in_scope_while_its_cycle_is_open(make, view):
    ws = wspace.Workspace()
    with ws:
        x = make(ws)
        y = view(x)
        assert wspace.in_scope(y)
    assert not wspace.in_scope(y)
    with ws:
        assert not wspace.in_scope(y)


@EACH_VIEW
@MADE
def test_a_view_is_detached_and_kept_with_its_values(make, view):
    ws = wspace.Workspace(escape="raise", initial_size="1MiB")
    with ws:
        x = view(make(ws))
        values = x.tolist()
        detached, kept = wspace.detach(x), wspace.keep(x)
        assert not wspace.is_attached(detached)
        assert np.shares_memory(kept, np.asarray(x))
        del x
    assert ws.stats.escaped_count == 0
    assert detached.tolist() == kept.tolist() == values


@EACH_VIEW
def test_a_plain_view_belongs_to_a_workspace_that_is_closed_for_good(view):
    ws = wspace.Workspace()
    with ws:
        x = view(np.ones(1000))
    ws.close()
    assert wspace.owner(x) is ws
    assert wspace.is_attached(x)
    assert x.tobytes()[:8] == np.float64(1).tobytes()


# Those from which NumPy's array at the bottom can be found.
@pytest.mark.parametrize("name", sorted(VIEWS.keys() - BY_ADDRESS_ONLY))
def test_of_a_workspace_that_is_gone_the_memory_is_attached_to_nobody_known(name):
    ws = wspace.Workspace()
    with ws:
        x = VIEWS[name](np.ones(1000))
    del ws
    gc.collect()
    assert wspace.owner(x) is None
    assert wspace.is_attached(x)
    assert not wspace.in_scope(x)
    assert not wspace.is_attached(wspace.detach(x))
    assert x.tobytes()[:8] == np.float64(1).tobytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ones(3),
        lambda: np.ones(100_000),
        lambda: np.frombuffer(b"12345678"),
        lambda: np.asarray(memoryview(bytearray(8))),
        lambda: np.ctypeslib.as_array((ctypes.c_double * 3)()),
        lambda: np.ones((0, 3)),
        lambda: np.broadcast_to(5.0, (3, 3)),
    ],
)
def test_memory_of_others_belongs_to_no_workspace(make):
    x = make()
    with wspace.Workspace():
        for each in (x, x[:1]):
            assert wspace.owner(each) is None
            assert not wspace.is_attached(each)
            assert not wspace.in_scope(each)


def test_small_captured_arrays_belong_to_nobody_and_small_checked_ones_do():
    with wspace.Workspace() as ws:
        assert wspace.owner(np.ones(3)) is None
        assert wspace.owner(ws.ones(3)) is ws
        result = ws.ones(3) + 1
        assert type(result) is wspace.Array
        assert wspace.owner(result) is ws
        assert wspace.in_scope(result)


def test_a_checked_array_goes_by_its_link_and_not_by_the_scope_that_is_open():
    with wspace.Workspace("outer") as outer:
        x = outer.ones((4, 300))
        with wspace.Workspace("inner") as inner:
            view = x[1:]
            assert wspace.owner(view) is outer
            result = x + 1
            assert wspace.owner(result) is inner
        assert not wspace.is_stale(view)
        assert wspace.is_stale(result)
    assert wspace.is_stale(view)


def test_a_stale_array_still_says_whose_it_was():
    with wspace.Workspace() as ws:
        x = ws.ones(3)
    assert wspace.owner(x) is ws
    assert wspace.is_attached(x)
    assert not wspace.in_scope(x)
    with ws:
        assert not wspace.in_scope(x)
    ws.close()
    assert wspace.owner(x) is ws
    del ws
    gc.collect()
    assert wspace.owner(x) is None
    assert wspace.is_stale(x)


def test_a_view_made_later_of_memory_that_survived_is_not_stale():
    with wspace.Workspace() as ws:
        x = ws.ones(1000)
        plain = np.asarray(x)
    later = plain[3:]
    assert type(later) is np.ndarray
    assert wspace.owner(later) is ws
    assert not wspace.in_scope(later)
    assert later.sum() == 997


def test_a_spill_belongs_to_the_workspace():
    ws = wspace.Workspace(initial_size=4096, spill="external")
    with ws:
        x = np.ones(10_000)
        assert ws.stats.spills == 1
        assert wspace.owner(x[5:]) is ws
        assert wspace.in_scope(np.frombuffer(x))


def test_in_scope_asks_whether_any_thread_has_the_cycle_open():
    found = []
    ws = wspace.Workspace()
    with ws:
        x, y = np.ones(1000), ws.ones(3)

        def ask():
            found.extend([wspace.in_scope(x), wspace.in_scope(y), wspace.owner(x)])

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert found == [True, True, ws]


@pytest.mark.parametrize("value", [None, 3, [1], "text", b"12345678", np.float64(3)])
@pytest.mark.parametrize("question", ["owner", "is_attached", "in_scope"])
def test_what_is_no_array_is_a_type_error(question, value):
    with pytest.raises(TypeError, match="x must be an array, got"):
        getattr(wspace, question)(value)


@pytest.mark.parametrize("value", [None, 3, [1], np.ones(3), object])
def test_nothing_else_is_stale(value):
    assert not wspace.is_stale(value)
