# SPDX-License-Identifier: BSD-3-Clause
"""Whatever can still see an array keeps its bytes, and only as long as it can."""

import contextlib
import ctypes
import functools
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest
from numpy.lib import stride_tricks

import wspace

SIZE = 8192
PATTERN = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


class Sub(np.ndarray):
    """A subclass of arrays."""


class Holder:
    """An object that may be part of a cycle."""


# ---- routes: what they take is an array of SIZE bytes, or a checked one --------------


def generator(x):
    def run():
        yield x[0]
        yield x[1]

    steps = run()
    next(steps)
    return steps


def closure(x):
    return lambda: x


def traceback(x):
    def fail():
        y = x[1:]
        raise ValueError("with a view in its frame", len(y))

    try:
        fail()
    except ValueError as error:
        return error


def cycle(x):
    holder = Holder()
    holder.me, holder.array = holder, x


def cycle_of_views(x):
    knot = [x[:9], x.reshape(2, -1)]
    knot.append(knot)


def object_array(x):
    outer = np.empty(1, object)
    outer[0] = x
    return outer


def pickle_buffers(x):
    buffers = []
    pickle.dumps(np.asarray(x), 5, buffer_callback=buffers.append)
    return buffers


def thread_local(x):
    local = threading.local()
    local.array = x
    return local


def exit_stack(x):
    stack = contextlib.ExitStack()
    stack.callback(x.sum)
    return stack


def structured_field(x):
    return x.view([("a", "i4"), ("b", "f4")])["b"]


ROUTES = {
    "itself": lambda x: x,
    "slice": lambda x: x[100:200],
    "strided slice": lambda x: x[::-3],
    "empty slice": lambda x: x[5:5],
    "scalar view": lambda x: x[7, ...],
    "transpose": lambda x: x.reshape(64, -1).T,
    "reshape": lambda x: x.reshape(8, 8, -1),
    "ravel": lambda x: x.reshape(2, -1).ravel(),
    "view of a view": lambda x: x[1:][1:][1:],
    "other dtype": lambda x: x.view(np.float64),
    "real part": lambda x: x.view(complex).imag,
    "field": structured_field,
    "new axis": lambda x: x[:, None, None],
    "diagonal": lambda x: x.reshape(64, -1).diagonal(),
    "as_strided": lambda x: stride_tricks.as_strided(x, (9, 9), (1, 5)),
    "sliding windows": lambda x: stride_tricks.sliding_window_view(x, 7),
    "broadcast_to": lambda x: np.broadcast_to(x, (3, SIZE)),
    "broadcast": lambda x: np.broadcast(x, x[:, None]),
    "split": lambda x: np.split(x, 4)[3],
    "subclass": lambda x: x.view(Sub),
    "recarray": lambda x: x.view([("a", "i4"), ("b", "f4")]).view(np.recarray),
    "masked": lambda x: np.ma.array(x, copy=False),
    "masked view": lambda x: np.ma.array(x, copy=False)[50:],
    "memoryview": memoryview,
    "cast memoryview": lambda x: memoryview(x).cast("d")[3:],
    "frombuffer": lambda x: np.frombuffer(x, np.int16),
    "frombuffer of a memoryview": lambda x: np.frombuffer(memoryview(x), np.int16)[9:],
    "asarray of a memoryview": lambda x: np.asarray(memoryview(x)),
    "DLPack": lambda x: np.from_dlpack(x)[3:],
    "DLPack capsule": lambda x: x.__dlpack__(),
    "array structure": lambda x: x.__array_struct__,
    "ctypes array": np.ctypeslib.as_ctypes,
    "ctypes pointer": lambda x: x.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)),
    "ctypes object": lambda x: x.ctypes,
    "nditer": np.nditer,
    "flat": lambda x: x.flat,
    "iterator": iter,
    "ndenumerate": np.ndenumerate,
    "bound method": lambda x: x.sum,
    "partial": lambda x: functools.partial(np.add, x),
    "object array": object_array,
    "pickle buffers": pickle_buffers,
    "generator": generator,
    "closure": closure,
    "traceback": traceback,
    "thread local": thread_local,
    "exit stack": exit_stack,
    "cycle": cycle,
    "cycle of views": cycle_of_views,
}
FOUND_BY_THE_COLLECTOR = {"cycle", "cycle of views"}

# How what was taken from a checked array before it became stale reads its bytes.
READERS = {
    "memoryview": bytes,
    "frombuffer": bytes,
    "asarray of a memoryview": bytes,
    "ctypes array": bytes,
    "ctypes pointer": lambda p: bytes(p[:SIZE]),
    "flat": lambda flat: bytes(flat[n] for n in range(SIZE)),
    "masked": lambda x: bytes(x.data),
    "pickle buffers": lambda buffers: bytes(buffers[0].raw()),
}


def filled(make):
    """Return an array with the pattern, and its address, as those of one object."""
    array = make(SIZE, np.uint8)
    memoryview(array)[:] = PATTERN
    return array, array.__array_interface__["data"][0]


def use(ws):
    """Run a cycle that writes wherever it can, and leaves nothing."""
    with ws:
        arrays = [np.full(SIZE, 0xFF, np.uint8) for _ in range(4)]
        arrays += [np.full(n, 0xEE, np.uint8) for n in (1024, 5000, 3 * SIZE)]
        del arrays[::2]
        arrays.append(np.full(2 * SIZE, 0xDD, np.uint8))
        arrays.clear()


def make_workspace(where):
    """Return a workspace whose next cycle serves from the block, or from elsewhere."""
    if where == "outside":
        return wspace.Workspace("train")
    ws = wspace.Workspace("train", initial_size=1024 if where == "spill" else 200_000)
    with ws:
        pass
    return ws


def assert_kept(ws, address, *, escaped):
    """Run the workspace on and see that the bytes are still there."""
    for _ in range(50):
        use(ws)
        assert ctypes.string_at(address, SIZE) == PATTERN
    assert ws._arena.check()
    stats = ws.stats
    assert stats.retained == SIZE
    assert stats.escaped == (SIZE if escaped else 0)


def assert_given_back(ws):
    assert ws.stats.retained == ws.stats.escaped == 0
    assert ws._arena.check()
    use(ws)
    assert ws._arena.check()


@pytest.mark.parametrize("where", ["outside", "block", "spill"])
@pytest.mark.parametrize("route", ROUTES)
def test_what_sees_a_captured_array_keeps_its_bytes(route, where):
    ws = make_workspace(where)
    with ws:
        box = list(filled(np.empty))
        address = box.pop()
        held = ROUTES[route](box.pop())
    assert ws.stats.escaped_count == 1
    assert_kept(ws, address, escaped=True)
    assert ws.stats.escaped_count == 1
    del held
    if route in FOUND_BY_THE_COLLECTOR:
        assert ctypes.string_at(address, SIZE) == PATTERN
        gc.collect()
    assert_given_back(ws)


@pytest.mark.parametrize("route", ROUTES)
def test_what_sees_a_checked_array_keeps_its_bytes_when_it_is_stale(route):
    ws = make_workspace("block")
    with ws:
        box = list(filled(ws.empty))
        address = box.pop()
        held = ROUTES[route](box.pop())
    assert ws.stats.escaped_count == 0
    assert_kept(ws, address, escaped=False)
    del held
    if route in FOUND_BY_THE_COLLECTOR:
        gc.collect()
    assert_given_back(ws)


@pytest.mark.parametrize("route", READERS)
def test_what_was_taken_from_a_stale_array_reads_the_right_bytes(route):
    ws = make_workspace("block")
    with ws:
        array, _ = filled(ws.empty)
        held = ROUTES[route](array)
    assert wspace.is_stale(array)
    del array
    for _ in range(5):
        use(ws)
        assert READERS[route](held) == PATTERN


def test_iterators_of_a_stale_array_go_on():
    ws = make_workspace("block")
    with ws:
        array, _ = filled(ws.empty)
        items, elements = iter(array.flat), np.nditer(array)
        start = bytes(next(items) for _ in range(10))
    use(ws)
    assert start + bytes(items) == PATTERN
    assert bytes(int(x) for x in elements) == PATTERN


def test_a_weak_reference_keeps_nothing():
    ws = make_workspace("block")
    with ws:
        captured, checked = np.empty(SIZE, np.uint8), ws.empty(SIZE, np.uint8)
        references = [weakref.ref(captured), weakref.ref(checked)]
        del captured, checked
        assert [r() for r in references] == [None, None]
        assert ws.stats.used == 0
    assert ws.stats.escaped_count == 0
    assert_given_back(ws)


def test_the_address_as_a_number_keeps_nothing():
    ws = make_workspace("block")
    with ws:
        addresses = [np.empty(SIZE).ctypes.data, np.empty(SIZE).__array_interface__]
    assert len(addresses) == 2
    assert ws.stats.retained == 0


def test_a_view_keeps_all_of_its_owner_and_counts_once():
    ws = make_workspace("block")
    with ws:
        array, address = filled(np.empty)
        views = [array[n : n + 10] for n in range(50)]
        del array
    assert ws.stats.escaped_count == 1
    assert_kept(ws, address, escaped=True)
    while views:
        assert ws.stats.retained == SIZE
        views.pop()
    assert_given_back(ws)


def test_a_lingering_name_keeps_its_array_until_it_is_bound_again():
    ws = wspace.Workspace("train")
    for n in range(50):
        with ws:
            x = np.full(SIZE, n, np.uint8)
        assert bytes(x) == bytes([n]) * SIZE
        assert ws.stats.retained == SIZE
    assert ws.stats.escaped_count == 50
    del x
    assert_given_back(ws)


@pytest.mark.parametrize("way", ["release", "close", "forget"])
@pytest.mark.parametrize("route", ["slice", "memoryview", "DLPack", "ctypes array"])
def test_the_bytes_stay_when_the_workspace_goes(route, way):
    ws = make_workspace("block")
    with ws:
        box = list(filled(np.empty))
        address = box.pop()
        held = ROUTES[route](box.pop())
    if way != "forget":
        getattr(ws, way)()
        assert ws.stats.retained == SIZE
        assert ctypes.string_at(address, SIZE) == PATTERN
    if way == "release":
        assert_kept(ws, address, escaped=True)
    del ws
    gc.collect()
    others = [use(wspace.Workspace("other")) for _ in range(3)]
    assert ctypes.string_at(address, SIZE) == PATTERN
    del held, others
