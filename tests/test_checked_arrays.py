# SPDX-License-Identifier: BSD-3-Clause
"""Checked arrays: what is one, what is none, and NumPy computing with them."""

import copy
import pickle

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import wspace

BIG = np.linspace(0.5, 4.0, 40 * 50).reshape(40, 50)


@pytest.fixture
def ws():
    return wspace.Workspace("train", initial_size="1MiB")


# ---- what is checked -----------------------------------------------------------------

CREATORS = {
    "empty": lambda ws: ws.empty(3),
    "zeros": lambda ws: ws.zeros((2, 3)),
    "ones": lambda ws: ws.ones(3, "i8"),
    "full": lambda ws: ws.full(3, 2.5),
    "arange": lambda ws: ws.arange(3.0),
    "linspace": lambda ws: ws.linspace(0, 1, 5),
    "eye": lambda ws: ws.eye(3),
    "array": lambda ws: ws.array([1, 2, 3]),
    "array of a number": lambda ws: ws.array(3.0),
    "asarray": lambda ws: ws.asarray(BIG),
    "empty_like": lambda ws: ws.empty_like(BIG),
    "zeros_like": lambda ws: ws.zeros_like(BIG),
    "ones_like": lambda ws: ws.ones_like([1, 2]),
    "full_like": lambda ws: ws.full_like(BIG, 2.0),
}
KEEPS_THE_CLASS = {
    # views
    "slice": lambda x: x[1:, ::2],
    "ellipsis": lambda x: x[...],
    "row": lambda x: x[0],
    "new axis": lambda x: x[None],
    "transpose": lambda x: x.T,
    "reshape": lambda x: x.reshape(-1),
    "ravel": lambda x: x.ravel(),
    "real": lambda x: x.real,
    "squeeze": lambda x: x[:1].squeeze(),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "diagonal": lambda x: x.diagonal(),
    "view": lambda x: x.view("i8"),
    "iteration": lambda x: next(iter(x)),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape), subok=True),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[:1], subok=True)[1],
    "as_strided": lambda x: as_strided(x, (3, 3), subok=True),
    "sliding_window_view": lambda x: sliding_window_view(x, 3, axis=0, subok=True),
    "np.moveaxis": lambda x: np.moveaxis(x, 0, 1),
    # ufuncs
    "operator": lambda x: x + 1,
    "reflected operator": lambda x: 2.0 / x,
    "with a plain array": lambda x: BIG - x,
    "comparison": lambda x: x > 1,
    "matmul": lambda x: x @ x.T,
    "unary": np.sin,
    "in place": lambda x: x.__iadd__(1),
    "out": lambda x: np.add(BIG, BIG, out=x),
    "where": lambda x: np.add(x, 1, where=x > 1, out=x.copy()),
    "one of two results": lambda x: np.modf(x)[0],
    "dtype": lambda x: np.add(x, x, dtype="f4", casting="same_kind"),
    "reduce": lambda x: np.add.reduce(x),
    "reduce with dimensions": lambda x: np.add.reduce(x, axis=None, keepdims=True),
    "accumulate": lambda x: np.add.accumulate(x),
    "outer": lambda x: np.multiply.outer(x[0], x[1]),
    # methods, and functions that call them
    "copy": lambda x: x.copy(),
    "astype": lambda x: x.astype("f4"),
    "sum": lambda x: x.sum(axis=0),
    "mean": lambda x: x.mean(axis=1, keepdims=True),
    "std": lambda x: x.std(axis=0),
    "argmax": lambda x: x.argmax(axis=0),
    "cumsum": lambda x: x.cumsum(axis=0),
    "clip": lambda x: x.clip(1, 2),
    "round": lambda x: x.round(),
    "take": lambda x: x.take([1, 2], axis=0),
    "fancy index": lambda x: x[[2, 0, 1]],
    "mask": lambda x: x[x > 1],
    "repeat": lambda x: x.repeat(2),
    "compress": lambda x: x.compress([True, False, True], axis=0),
    "flatten": lambda x: x.flatten(),
    "argsort": lambda x: x.argsort(),
    "np.sum": lambda x: np.sum(x, axis=0),
    "np.mean": lambda x: np.mean(x, axis=0),
    "np.cumsum": lambda x: np.cumsum(x),
    "np.sort": lambda x: np.sort(x, axis=0),
    "np.zeros_like": np.zeros_like,
    "np.linalg.inv": lambda x: np.linalg.inv(x[:3, :3] + np.eye(3)),
}
GIVES_CAPTURED = {
    "where": lambda x: np.where(x > 1, x, 0.0),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "fft": lambda x: np.fft.fft(x),
    "select": lambda x: np.select([x > 1], [x]),
    "pad": lambda x: np.pad(x, 1),
    "corrcoef": np.corrcoef,
    "tensordot": lambda x: np.tensordot(x, x, ((1,), (1,))),
    "convolve": lambda x: np.convolve(x[0], x.ravel()),
    "isin": lambda x: np.isin(x, [1.0]),
    "array": np.array,
    "array with a dtype": lambda x: np.asarray(x, "f4"),
    "out": lambda x: np.add(x, 1, out=np.zeros(x.shape)),
}


@pytest.mark.parametrize("name", CREATORS)
def test_a_creator_makes_a_checked_array_over_a_plain_owner(ws, name):
    with ws:
        x = CREATORS[name](ws)
        assert type(x) is wspace.Array
        assert isinstance(x, np.ndarray)
        assert type(x.base) is np.ndarray
        assert not x.flags.owndata
        assert wspace.owner(x) is ws
    assert wspace.is_stale(x)


@pytest.mark.parametrize("name", CREATORS)
def test_with_checked_off_a_creator_makes_a_plain_array(name):
    with wspace.Workspace("plain", checked=False) as ws:
        x = CREATORS[name](ws)
        assert type(x) is np.ndarray
        assert type(x + 1 if x.ndim else x) is np.ndarray
        assert wspace.owner(x) is ws
        values = x.copy()
    assert np.array_equal(x, values, equal_nan=True)


@pytest.mark.parametrize("name", KEEPS_THE_CLASS)
def test_what_is_computed_from_a_checked_array_is_checked(ws, name):
    operation = KEEPS_THE_CLASS[name]
    expected = operation(BIG.copy())
    with ws:
        result = operation(ws.array(BIG))
        assert type(result) is wspace.Array
        assert np.array_equal(result, expected)
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
        assert wspace.owner(result) is ws
        assert wspace.in_scope(result)
    assert wspace.is_stale(result)


@pytest.mark.parametrize("name", GIVES_CAPTURED)
def test_what_numpy_reduces_to_its_base_class_is_captured(ws, name):
    operation = GIVES_CAPTURED[name]
    expected = operation(BIG)
    with ws:
        result = operation(ws.array(BIG))
        assert type(result) is np.ndarray
        assert wspace.owner(result) is ws
    with ws:
        ws.ones((200, 200))
        assert np.array_equal(result, expected)
    assert not wspace.is_stale(result)


def test_meshgrid_gives_plain_arrays_and_takes_checked_ones(ws):
    # It calls the __array_finalize__ of the instance if there is one.
    with ws:
        x, y = ws.arange(3.0), ws.arange(2.0)
        for copies in (True, False):
            a, b = np.meshgrid(x, y, copy=copies)
            assert np.array_equal(a, [[0, 1, 2]] * 2)
            assert np.array_equal(b, [[0] * 3, [1] * 3])


def test_a_masked_array_over_a_checked_one_computes(ws):
    plain = np.ma.array(BIG, mask=BIG > 2)
    with ws:
        masked = np.ma.array(ws.array(BIG), mask=BIG > 2)
        assert (masked.sum(), masked.count()) == (plain.sum(), plain.count())
        result = masked * 2 + 1
        assert np.ma.allequal(result, plain * 2 + 1)
        assert np.array_equal(result.filled(0.0), (plain * 2 + 1).filled(0.0))
        assert wspace.is_attached(masked)
        kept = wspace.detach(masked)
    assert type(kept) is np.ma.MaskedArray
    assert kept.sum() == plain.sum()


# ---- the type ------------------------------------------------------------------------


def test_the_type_is_final():
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (wspace.Array,), {})


def test_finalize_is_a_capsule_on_the_type_and_none_on_an_instance(ws):
    assert type(wspace.Array.__array_finalize__).__name__ == "PyCapsule"
    with ws:
        assert ws.ones(3).__array_finalize__ is None


def test_attributes_cannot_be_added(ws):
    with ws:
        with pytest.raises(AttributeError, match="no_such_name"):
            ws.ones(3).no_such_name = 1


def test_a_checked_array_may_be_made_outside_of_all_workspaces():
    x = np.ones(3).view(wspace.Array)
    assert type(x + 1) is np.ndarray
    assert not wspace.is_attached(x)
    assert wspace.owner(x) is None
    assert type(wspace.detach(x)) is np.ndarray


# ---- copies that leave ---------------------------------------------------------------

PICKLED = {
    f"protocol {protocol}": lambda x, p=protocol: pickle.loads(pickle.dumps(x, p))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}
COPIED = {
    **PICKLED,
    "deepcopy": copy.deepcopy,
    "deepcopy in a list": lambda x: copy.deepcopy([x])[0],
    "detach": wspace.detach,
    "its detach": lambda x: x.detach(),
}


@pytest.mark.parametrize("name", COPIED)
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickle_and_deepcopy_give_detached_plain_arrays(ws, name, order):
    with ws:
        x = ws.array(BIG, order=order)
        copied = COPIED[name](x)
        assert type(copied) is np.ndarray
        assert not wspace.is_attached(copied)
        assert not np.shares_memory(copied, x)
        assert copied.flags.f_contiguous == (order == "F")
    assert np.array_equal(copied, BIG)


def test_pickled_buffers_are_detached(ws):
    buffers = []
    with ws:
        data = pickle.dumps(ws.array(BIG), 5, buffer_callback=buffers.append)
        copied = pickle.loads(data, buffers=buffers)
        assert type(copied) is np.ndarray
        assert not wspace.is_attached(copied)
    assert np.array_equal(copied, BIG)


def test_a_shallow_copy_stays_in_the_workspace(ws):
    with ws:
        x = ws.array(BIG)
        for copied in (copy.copy(x), x.copy(), np.copy(x, subok=True)):
            assert type(copied) is wspace.Array
            assert not np.shares_memory(copied, x)
        assert wspace.owner(np.array(x)) is ws


# ---- one battery: the same with a plain array and with a checked one -----------------

INPUTS = {
    "f8": np.linspace(0.5, 4.0, 12).reshape(3, 4),
    "f4": np.linspace(0.5, 4.0, 12, dtype="f4").reshape(3, 4),
    "i8": np.arange(1, 13).reshape(3, 4),
    "u1": np.arange(1, 13, dtype="u1").reshape(3, 4),
    "bool": (np.arange(12) % 3 == 0).reshape(3, 4),
    "c16": (np.linspace(0.5, 4.0, 12) + 1j).reshape(3, 4),
    "dates": np.arange(12).astype("M8[D]").reshape(3, 4),
    "text": np.array(["a", "bc", "d"] * 4).reshape(3, 4),
    "no dimensions": np.array(2.5),
    "one": np.array([2]),
    "empty": np.zeros((0, 3)),
}
REDUCTIONS = (
    "sum prod mean std var min max any all argmin argmax ptp median average cumsum "
    "cumprod nansum nanprod nanmean nanstd nanvar nanmin nanmax nanargmin nanargmax "
    "nanmedian count_nonzero amin amax trace diff sort argsort round sign unique"
)
AXES = [{}, {"axis": 0}, {"axis": None}, {"axis": (0, 1)}, {"keepdims": True}]
AXES += [{"axis": 0, "keepdims": True}]


def scalar_of(x):
    return x.reshape(-1)[:1].reshape(())


LINALG = "det inv pinv slogdet matrix_rank cond eigvalsh svd qr cholesky norm trace"
MORE = {
    "item": lambda x: x.item(0),
    "element": lambda x: x[0, 0],
    "element by nothing": lambda x: scalar_of(x)[()],
    "element as an array": lambda x: scalar_of(x)[...],
    "first of flat": lambda x: x.flat[0],
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(scalar_of(x)),
    "int": lambda x: int(scalar_of(x)),
    "bool": lambda x: bool(scalar_of(x)),
    "rounded": lambda x: round(scalar_of(x), 1),
    "in": lambda x: 1 in x,
    "dot of rows": lambda x: x[0] @ x[0],
    "np.dot of rows": lambda x: np.dot(x[0], x[0]),
    "vdot": lambda x: np.vdot(x, x),
    "inner": lambda x: np.inner(x[0], x[0]),
    "einsum": lambda x: np.einsum("ij->", x),
    "tensordot": lambda x: np.tensordot(x, x),
    "norm": lambda x: np.linalg.norm(x, axis=0),
    "quantile": lambda x: np.quantile(x, 0.5),
    "quantiles": lambda x: np.quantile(x, [0.2, 0.5], axis=0),
    "searchsorted": lambda x: x[0].searchsorted(x[0, 1]),
    "digitize": lambda x: np.digitize(1.0, x[0]),
    "interp": lambda x: np.interp(1.5, x[0], x[1]),
    "polyval": lambda x: np.polyval(x[0], 2.0),
    "allclose": lambda x: np.allclose(x, x),
    "isclose": lambda x: np.isclose(scalar_of(x), scalar_of(x)),
    "clip of a scalar": lambda x: np.clip(scalar_of(x), 1, 2),
    "nan_to_num": lambda x: np.nan_to_num(scalar_of(x)),
    "divmod": lambda x: divmod(scalar_of(x), 2),
    "nonzero": lambda x: x.nonzero(),
    "max with an initial value": lambda x: x.max(initial=3),
    "sum where": lambda x: x.sum(where=x > 1),
    "frompyfunc": lambda x: np.frompyfunc(abs, 1, 1)(scalar_of(x)),
    "vectorize": lambda x: np.vectorize(abs)(x),
    "apply_along_axis": lambda x: np.apply_along_axis(np.sum, 0, x),
    "str_len": lambda x: np.strings.str_len(scalar_of(x)),
    "solve": lambda x: np.linalg.solve(x[:3, :3] + np.eye(3) * 3, x[:, 0]),
}


def battery():
    yield from MORE.items()
    for name in REDUCTIONS.split():
        f = getattr(np, name)
        for axes in AXES:
            yield f"np.{name} {axes}", lambda x, f=f, k=axes: f(x, **k)
            if hasattr(np.ndarray, name):
                yield f"{name} {axes}", lambda x, n=name, k=axes: getattr(x, n)(**k)
    for name in LINALG.split():
        f = getattr(np.linalg, name)
        yield name, lambda x, f=f: f(x[:3, :3] @ x[:3, :3].T + 3 * np.eye(3))
    for name in dir(np):
        if isinstance(getattr(np, name), np.ufunc):
            yield from ufunc_calls(name, getattr(np, name))


def ufunc_calls(name, f):
    if f.nargs - f.nout == 1:
        yield name, f
        yield f"{name} of a scalar", lambda x: f(scalar_of(x))
        return
    yield f"{name} with itself", lambda x: f(x, x)
    yield f"{name} with a number", lambda x: f(x, 1)
    yield f"{name} with a scalar", lambda x: f(scalar_of(x), x)
    yield f"{name} of scalars", lambda x: f(scalar_of(x), scalar_of(x))
    if f.nout == 1 and f.signature is None:
        yield f"{name}.reduce", f.reduce
        yield f"{name}.reduce of all", lambda x: f.reduce(x, axis=None)
        yield f"{name}.accumulate", f.accumulate
        yield f"{name}.reduceat", lambda x: f.reduceat(x, [0, 1])
        yield f"{name}.outer", lambda x: f.outer(x, scalar_of(x))


def outcome(operation, x):
    """Return a result, or the type of the exception, as something to compare."""
    try:
        return described(operation(x))
    except Exception as error:
        return type(error)


def described(result):
    if isinstance(result, list | tuple):
        return type(result).__name__, [described(item) for item in result]
    kind = np.ndarray if isinstance(result, wspace.Array) else type(result)
    if not isinstance(result, np.ndarray | np.generic):
        return kind, repr(result)
    values = result.tolist()
    if result.dtype.kind in "fc":  # the last bit depends on the alignment
        values = np.array2string(np.asarray(result), precision=5, threshold=100)
    return kind, result.dtype, result.shape, repr(values)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.filterwarnings("ignore")
def test_numpy_gives_the_same_for_a_checked_array_as_for_a_plain_one(ws, kind):
    compared, different = 0, []
    for name, operation in battery():
        expected = outcome(operation, INPUTS[kind].copy())
        with ws:
            found = outcome(operation, ws.array(INPUTS[kind]))
        compared += not isinstance(expected, type)
        if found != expected:
            different.append((name, expected, found))
    assert different == []
    assert compared > 100
