# SPDX-License-Identifier: BSD-3-Clause
"""Arrays on their way out of a workspace, or into another one."""

import threading

import numpy as np
import pytest

import wspace

# Memory layouts, over whatever array of shape (20, 30) they are given.
LAYOUTS = {
    "as it is": lambda a: a,
    "rows": lambda a: a[3:7],
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1, ::-2],
    "strided": lambda a: a[::3, 1::2],
    "three axes": lambda a: a.reshape(4, 5, 30).transpose(2, 0, 1),
    "0-d": lambda a: a[3, 4, ...],
    "no elements": lambda a: a[:0],
    "broadcast": lambda a: np.broadcast_to(a, (3, 20, 30), subok=True),
}
EACH_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def captured(ws):
    array = np.empty((20, 30))
    array[...] = np.arange(600).reshape(20, 30)
    assert wspace.owner(array) is wspace.current()
    return array


def checked(ws):
    return ws.array(np.arange(600.0).reshape(20, 30))


MADE = [captured, checked]


# detach


@EACH_LAYOUT
@pytest.mark.parametrize("make", MADE)
def test_detach_copies_to_numpys_heap_with_shape_dtype_and_order(make, layout):
    with wspace.Workspace() as ws:
        x = layout(make(ws))
        expected = np.empty_like(x, subok=False)
        out = wspace.detach(x)
        assert type(out) is np.ndarray
        assert wspace.owner(out) is None
        assert not wspace.is_attached(out)
        assert not np.shares_memory(out, np.asarray(x))
        assert out.dtype == x.dtype
        assert (out.shape, out.strides) == (expected.shape, expected.strides)
        assert out.flags.owndata
        values = np.array(x)
    np.testing.assert_array_equal(out, values)


@pytest.mark.parametrize(
    "dtype", ["i1", "c16", "S7", "U3", "M8[ms]", "f4,i2", "(2,)f8"]
)
def test_detach_keeps_any_dtype(dtype):
    with wspace.Workspace() as ws:
        x = ws.zeros((1000,), dtype)
        out = wspace.detach(x)
        assert out.dtype == x.dtype
        assert out.tolist() == x.tolist()


def test_detach_copies_small_checked_arrays_too():
    with wspace.Workspace() as ws:
        out = wspace.detach(ws.array([1.0, 2.0]))
    assert type(out) is np.ndarray
    assert out.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("size", [3, 1000])
def test_detach_returns_what_is_not_attached_itself(size):
    plain = np.ones(size)
    assert wspace.detach(plain) is plain
    with wspace.Workspace():
        assert wspace.detach(plain) is plain
        small = np.ones(3)
        assert wspace.detach(small) is small
        with wspace.scope_out():
            outside = np.ones(size)
        assert wspace.detach(outside) is outside


def test_detach_goes_to_the_heap_whatever_scope_is_open():
    with wspace.Workspace("outer") as outer, wspace.Workspace("inner"):
        x = np.ones(1000)
        y = outer.ones(1000)
        assert not wspace.is_attached(wspace.detach(x))
        assert not wspace.is_attached(wspace.detach(y))
        with outer.borrow():
            assert not wspace.is_attached(wspace.detach(x))
        with wspace.scope_out():
            assert not wspace.is_attached(wspace.detach(x))


def test_a_survivor_is_detached_after_its_cycle():
    with wspace.Workspace() as ws:
        x = np.ones(1000)
    assert ws.stats.retained == 8000
    x = wspace.detach(x)
    assert x.sum() == 1000
    assert ws.stats.retained == 0


def test_a_copy_in_the_scope_is_no_detach():
    with wspace.Workspace() as ws:
        x = ws.ones(1000)
        assert wspace.owner(x.copy()) is ws
        assert wspace.owner(np.array(x)) is ws
        assert wspace.owner(np.ones(1000).copy()) is ws


def test_the_method_detaches_like_the_function():
    with wspace.Workspace() as ws:
        x = ws.array(np.arange(12.0).reshape(3, 4), order="F")
        out = x.detach()
        assert type(out) is np.ndarray
        assert out.flags.owndata
        assert out.flags.f_contiguous
        assert not wspace.is_attached(out)
    assert out.sum() == 66


def test_a_detached_array_is_writable_and_its_own():
    with wspace.Workspace() as ws:
        x = ws.zeros(1000)
        x.flags.writeable = False
        out = wspace.detach(x)
        out[0] = 1
        assert x[0] == 0


SUBCLASSES = {
    "matrix": lambda a: a.view(np.matrix),
    "recarray": lambda a: a.view([("a", "f8"), ("b", "f8")]).view(np.recarray),
    "chararray": lambda a: np.full(a.size, b"ab").view(np.char.chararray),
}


@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")
@pytest.mark.parametrize("kind", SUBCLASSES.values(), ids=SUBCLASSES)
def test_detach_keeps_the_type_of_subclasses(kind):
    with wspace.Workspace():
        x = kind(np.zeros((20, 30)))
        assert wspace.is_attached(x)
        out = wspace.detach(x)
        assert type(out) is type(x)
        assert not wspace.is_attached(out)
        assert out.dtype == x.dtype
    assert out.shape == x.shape


def test_a_detached_masked_array_brings_its_mask_and_fill_value():
    with wspace.Workspace():
        x = np.ma.masked_array(np.ones((2000, 3)), mask=np.eye(2000, 3, dtype=bool))
        x.fill_value = 7
        out = wspace.detach(x)
        assert type(out) is np.ma.MaskedArray
        assert not wspace.is_attached(out.data)
        assert not wspace.is_attached(out.mask)
        assert out.fill_value == 7
    assert out.filled().sum() == 2000 * 3 + 3 * 6
    assert out.count() == 5997


def test_a_mask_alone_is_detached_too():
    x = np.ma.masked_array(np.ones(2000))
    with wspace.Workspace():
        x.mask = np.arange(2000) < 5
        assert wspace.is_attached(x.mask)
        out = wspace.detach(x)
        assert not wspace.is_attached(out.mask)
    assert out.sum() == 1995


def test_a_detached_masked_array_over_a_checked_one_is_over_a_plain_one():
    with wspace.Workspace() as ws:
        x = np.ma.masked_array(ws.ones((20, 30)), mask=False)
        out = wspace.detach(x)
        assert type(out) is np.ma.MaskedArray
    assert type(out.data) is np.ndarray
    assert out.sum() == 600


def test_a_memmap_is_left_alone_and_results_of_it_are_detached(tmp_path):
    mapped = np.memmap(tmp_path / "data", np.float64, "w+", shape=1000)
    with wspace.Workspace() as ws:
        assert wspace.detach(mapped) is mapped
        result = mapped + 1
        assert wspace.owner(result) is ws
        out = wspace.detach(result)
    assert not wspace.is_attached(out)
    assert out.sum() == 1000


@pytest.mark.parametrize("function", [wspace.detach, wspace.keep, wspace.migrate])
def test_a_stale_array_is_refused(function):
    with wspace.Workspace("train") as ws:
        x = ws.ones(3)
    with ws:
        with pytest.raises(wspace.StaleArrayError, match="array \\(3,\\) float64 of"):
            function(x)
        with pytest.raises(wspace.StaleArrayError, match="made in generation 1, now 2"):
            function({"a": [1, (x,)]})


# keep


@EACH_LAYOUT
@pytest.mark.parametrize("make", MADE)
def test_keep_gives_a_plain_array_over_the_same_memory(make, layout):
    with wspace.Workspace() as ws:
        x = layout(make(ws))
        values = wspace.detach(x)
        out = wspace.keep(x)
        assert type(out) is np.ndarray
        assert out.shape == x.shape
        assert out.strides == x.strides
        assert out.dtype == x.dtype
        assert out.flags.writeable == x.flags.writeable
        assert x.size == 0 or np.shares_memory(out, np.asarray(x))
        assert wspace.owner(out) is ws
        del x
    for _ in range(3):
        with ws:
            captured(ws)[:] = -1
            np.testing.assert_array_equal(out, values)


def test_what_is_kept_is_retained_and_did_not_escape():
    ws = wspace.Workspace()
    with ws:
        pass
    with ws:
        kept = [wspace.keep(np.ones(1000)), wspace.keep(ws.ones(1000))]
    assert ws.stats.escaped_count == 0
    assert ws.stats.escaped == 0
    assert ws.stats.retained == 16_000
    kept.clear()
    assert ws.stats.retained == 0


def test_a_kept_view_excuses_the_memory_under_it():
    ws = wspace.Workspace(escape="raise", initial_size="1MiB")
    with ws:
        x = np.ones(1000)
        out = wspace.keep(x[3:5])
        del x
    assert out.tolist() == [1, 1]
    assert ws.stats.escaped_count == 0
    assert ws.stats.retained == 8000


def test_a_kept_masked_array_keeps_its_mask():
    ws = wspace.Workspace(escape="raise", initial_size="1MiB")
    with ws:
        x = np.ma.masked_array(np.ones(2000), mask=np.arange(2000) < 5)
        x = wspace.keep(x)
    assert ws.stats.escaped_count == 0
    assert x.sum() == 1995


def test_keep_returns_what_is_not_attached_itself():
    plain = np.ones(1000)
    with wspace.Workspace():
        assert wspace.keep(plain) is plain


def test_a_kept_array_goes_stale_for_nobody():
    with wspace.Workspace() as ws:
        x = ws.ones(1000)
        y = wspace.keep(x)
    assert wspace.is_stale(x)
    assert y.sum() == 1000
    with pytest.raises(wspace.StaleArrayError):
        wspace.keep(x)


def test_what_is_detached_or_kept_dies_in_any_thread():
    with wspace.Workspace() as ws:
        given = [wspace.keep(ws.ones(1000)), wspace.detach(ws.ones(1000))]
    thread = threading.Thread(target=given.clear)
    thread.start()
    thread.join()
    assert ws.stats.retained == 0
