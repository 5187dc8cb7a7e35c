# SPDX-License-Identifier: BSD-3-Clause
"""NumPy computes the same in a scope as outside: every value, of every type."""

import gc
import io
import sys
import weakref

import numpy as np
import pytest

import wspace

SIDE = 60
_rng = np.random.default_rng(7)
A = _rng.normal(size=(SIDE, SIDE))
B = _rng.normal(size=(SIDE, SIDE)) + 2.0
V = _rng.normal(size=20_011)
F = V.astype(np.float32)
C = A + 1j * B
K = _rng.integers(-1000, 1000, size=20_011)
M = V > 0.3
S = np.array([f"row {n % 97}" for n in range(4000)])
D = np.datetime64("2020-01-01") + K[:4000].astype("m8[D]")
R = np.zeros(500, [("x", "f8"), ("n", "i4"), ("tag", "S7")])
R["x"], R["n"], R["tag"] = V[:500], K[:500], S[:500].astype("S7")


def masked():
    x = np.ma.masked_where(A > 0.5, A)
    return (x * 2 + x.mean(axis=0)).filled(9.0)


def written():
    with io.BytesIO() as file:
        np.savez(file, v=V, r=R)
        file.seek(0)
        with np.load(file) as back:
            return back["v"] * 2, back["r"]


def assigned():
    x = A.copy()
    x[3:, ::2] = 7.0
    x[x > 1] = x[x > 1] * 2
    np.put_along_axis(x, np.argsort(A, axis=1)[:, :5], B[:, :5], axis=1)
    return x


def added_at():
    x = V.copy()
    np.add.at(x, K, F)
    return x


OPERATIONS = {
    "arithmetic": lambda: (V + 1) * V / (V * V + 3) - V**3,
    "in place": lambda: np.add(V, 1, out=V.copy()).__imul__(3),
    "integers": lambda: ((K * 7 + 3) % 11, K // 7, K ^ 5, K << 2),
    "comparisons": lambda: (V < F, V == V, ~M & (K > 3)),
    "functions": lambda: np.sin(V) + np.exp(-np.abs(V)) + np.hypot(V, 2),
    "float32": lambda: np.tanh(F) * np.float32(3) + np.sqrt(np.abs(F)),
    "complex": lambda: (C * C.conj(), np.angle(C), np.abs(C)),
    "half": lambda: (F.astype(np.float16) * 2).astype(np.float64),
    "long double": lambda: (V.astype(np.longdouble) / 3).astype(float),
    "broadcast": lambda: A[:, None, :] * B[None, :, :],
    "reductions": lambda: (A.sum(), A.mean(axis=0), V.std(), F.sum(), K.prod()),
    "extremes": lambda: (A.argmax(axis=1), V.min(), np.ptp(A, axis=0)),
    "cumulative": lambda: (V.cumsum(), np.cumprod(1 + V * 1e-3), np.diff(V, n=2)),
    "matmul": lambda: A @ B + B.T @ A,
    "dot of strides": lambda: np.dot(A[::2, ::3], B[::3, ::2]),
    "einsum": lambda: np.einsum("ij,jk,kl->il", A, B, A, optimize=True),
    "tensordot": lambda: np.tensordot(A, B, axes=([0], [1])),
    "kron": lambda: np.kron(A[:9, :9], B[:7, :7]),
    "outer": lambda: np.outer(V[:200], F[:300]),
    "solve": lambda: np.linalg.solve(B @ B.T + np.eye(SIDE), A),
    "svd": lambda: np.linalg.svd(A, full_matrices=False),
    "eigenvalues": lambda: np.linalg.eigh(A + A.T),
    "qr": lambda: np.linalg.qr(A),
    "lstsq": lambda: np.linalg.lstsq(A, B[:, 0], rcond=None)[0],
    "fft": lambda: (np.fft.fft(V), np.fft.irfft(np.fft.rfft(F)), np.fft.fft2(A)),
    "sort": lambda: (np.sort(V), np.argsort(K, kind="stable"), np.sort(A, axis=0)),
    "partition": lambda: np.partition(V, 1000)[:1000].sum(),
    "lexsort": lambda: np.lexsort((V, K)),
    "searchsorted": lambda: np.searchsorted(np.sort(V), F),
    "unique": lambda: np.unique(K, return_inverse=True, return_counts=True),
    "sets": lambda: (np.intersect1d(K, K[:99]), np.isin(K, K[:50]), np.setxor1d(K, K)),
    "fancy": lambda: (V[K], A[[3, 1, 2]][:, [5, 5]], V[M], np.nonzero(M)),
    "assignment": assigned,
    "where": lambda: np.where(M, V, F) + np.choose(K % 3, [V, F, V * 2]),
    "take": lambda: (np.take(A, K[:70] % SIDE, axis=1), np.compress(M, V)),
    "select": lambda: np.select([V > 1, V < -1], [V, F], default=0.5),
    "concatenate": lambda: np.concatenate([V, F, V[::-1]]),
    "stack": lambda: (np.stack([A, B]), np.hstack([A, B]), np.block([[A, B], [B, A]])),
    "split": lambda: np.array_split(V * 2, 7),
    "pad": lambda: (np.pad(A, 5, mode="reflect"), np.pad(V, 99, "linear_ramp")),
    "tile": lambda: (np.tile(A, (3, 2)), np.repeat(V, 3), np.roll(A, 7, axis=1)),
    "resize": lambda: (np.resize(V, (300, 211)), np.resize(A, 7)),
    "insert": lambda: (
        np.insert(V, [3, 99], 7.0),
        np.delete(V, K[:9]),
        np.append(V, F),
    ),
    "copies": lambda: (A.T.copy(), np.ascontiguousarray(A.T), A.copy(order="F"), +A.T),
    "astype": lambda: (
        V.astype(np.int32),
        K.astype("f4"),
        V.astype(">f8"),
        M.astype(str),
    ),
    "bytes": lambda: (V.byteswap(), np.packbits(M), np.unpackbits(np.packbits(M))),
    "ranges": lambda: (np.arange(3000) * 0.5, np.geomspace(1, 9, 3001)),
    "grids": lambda: [*np.meshgrid(V[:90], V[:80]), np.indices((30, 40))],
    "triangles": lambda: (np.tril(A), np.triu_indices(SIDE), np.vander(V[:50])),
    "histogram": lambda: np.histogram(V, bins=50) + np.histogram2d(V, F, bins=9),
    "bincount": lambda: (np.bincount(K + 1000), np.digitize(V, np.linspace(-2, 2, 40))),
    "statistics": lambda: (np.median(A, axis=0), np.percentile(V, [5, 50]), np.cov(A)),
    "correlate": lambda: (np.convolve(V[:3000], V[:99]), np.correlate(V[:999], V[:70])),
    "interpolate": lambda: np.interp(V, np.linspace(-3, 3, 500), F[:500]),
    "gradient": lambda: [*np.gradient(A), np.trapezoid(A, axis=0)],
    "polynomials": lambda: np.polyval(np.polyfit(V[:300], F[:300], 5), V),
    "random": lambda: np.random.default_rng(3).normal(size=9999),
    "permutation": lambda: np.random.default_rng(3).permutation(K),
    "missing": lambda: (
        np.nanmean(np.where(A > 1, np.nan, A), axis=1),
        np.nan_to_num(V / 0),
    ),
    "rounding": lambda: (np.round(V, 2), np.floor(V), np.clip(V, -1, 1), np.modf(V)),
    "strides": lambda: np.lib.stride_tricks.sliding_window_view(V, 30)[::7].mean(
        axis=1
    ),
    "apply": lambda: np.apply_along_axis(np.cumsum, 0, A),
    "vectorize": lambda: np.vectorize(lambda x: x * 2 if x > 0 else -1.0)(V[:3000]),
    "iterators": lambda: [x * y for x, y in np.nditer([A, B], ["external_loop"])],
    "reduceat": lambda: np.add.reduceat(V, [0, 50, 9000]),
    "add at": added_at,
    "strings": lambda: (
        np.char.upper(S),
        np.strings.replace(S, "row", "line"),
        S != "row 3",
    ),
    "dates": lambda: (
        D + np.timedelta64(3, "D"),
        np.sort(D),
        D.astype("M8[M]"),
        D - D[0],
    ),
    "records": lambda: (
        np.sort(R, order="n"),
        R["x"] * 2,
        R[R["n"] > 0],
        np.rec.array(R),
    ),
    "masked": masked,
    "files": written,
    "printing": lambda: (repr(A), str(R[:40]), np.array2string(V, threshold=2000)),
}


def flatten(result):
    """Return comparable descriptions of the arrays in a result, to the last bit."""
    if isinstance(result, tuple | list):
        return [flat for item in result for flat in flatten(item)]
    if isinstance(result, np.ndarray | np.generic):
        return [(type(result), result.dtype, result.shape, result.tobytes())]
    return [result]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("min_block", [1, 1024])
@pytest.mark.parametrize("name", OPERATIONS)
def test_values_are_the_same_to_the_last_bit(name, min_block):
    operation = OPERATIONS[name]
    expected = flatten(operation())
    ws = wspace.Workspace("train", min_block=min_block)
    for _ in range(4):
        with ws:
            np.full(300_000, 0xA5, np.uint8)  # what is found there before
            result = operation()
            assert flatten(result) == expected
            assert ws._arena.check()
        np.full(300_000, 0x5A, np.uint8)
        assert flatten(result) == expected  # as a survivor, too
        del result
    gc.collect()
    assert ws.stats.retained == 0


# ---- arrays that hold references -----------------------------------------------------


class Thing:
    """Something that can be counted and watched."""


@pytest.fixture
def ws():
    """Return a workspace with memory that was used before."""
    workspace = wspace.Workspace("train", initial_size="1MiB")
    with workspace:
        np.full(900_000, 0xA5, np.uint8)
    return workspace


def test_object_arrays_hold_their_objects_exactly(ws):
    thing = Thing()
    before = sys.getrefcount(thing)
    for _ in range(3):
        with ws:
            array = np.empty(1000, object)
            assert wspace.owner(array) is ws
            assert all(x is None for x in array)
            array[:] = thing
            assert sys.getrefcount(thing) == before + 1000
            copy, part = array.copy(), array[::2]
            assert sys.getrefcount(thing) == before + 2000
            array[:300] = None
            assert sys.getrefcount(thing) == before + 1700
            del array, copy
            assert sys.getrefcount(thing) == before + 700
            assert part[200] is thing
        assert sys.getrefcount(thing) == before + 700
        del part
        assert sys.getrefcount(thing) == before
    assert ws.stats.retained == 0


def test_object_arrays_of_numbers_compute(ws):
    with ws:
        array = np.array([2**70 + n for n in range(500)], dtype=object)
        result = (array * 3 + 1) // 7
        table = np.array([[1, "a"], [None, 2.5]] * 200, dtype=object)
    assert result.tolist() == [((2**70 + n) * 3 + 1) // 7 for n in range(500)]
    assert table.tolist() == [[1, "a"], [None, 2.5]] * 200


def test_a_cycle_of_references_through_an_object_array_is_collected(ws):
    with ws:
        thing = Thing()
        thing.array = np.empty(1000, object)
        thing.array[:] = thing
        gone = weakref.ref(thing)
        del thing
    assert ws.stats.escaped_count == 1 and ws.stats.retained == 8000
    gc.collect()
    # NumPy's arrays are not seen by the collector: such a cycle is for ever.
    survivor = gone()
    assert survivor is not None and survivor.array[999] is survivor
    survivor.array[:] = None
    del survivor
    gc.collect()
    assert gone() is None
    assert ws.stats.retained == 0 and ws._arena.check()


def test_structured_arrays_with_objects_release_them(ws):
    thing = Thing()
    before = sys.getrefcount(thing)
    with ws:
        array = np.zeros(300, [("n", "i4"), ("held", object), ("pair", object, (2,))])
        assert wspace.owner(array) is ws
        array["held"] = thing
        array["pair"][:, 1] = thing
        assert sys.getrefcount(thing) == before + 600
        chosen = array[array["n"] == 0]
        del array
    assert sys.getrefcount(thing) == before + 600
    assert chosen["held"][299] is thing and chosen["pair"][0, 0] == 0
    del chosen
    assert sys.getrefcount(thing) == before


def test_string_arrays_of_any_length_grow_and_survive(ws):
    words = [f"{'long ' * (n % 40)}{n}" for n in range(1000)]
    strings = np.dtypes.StringDType()
    for _ in range(4):
        with ws:
            array = np.array(words, strings)
            assert wspace.owner(array) is ws
            array = np.strings.add(array, "!")
            array[::3] = "much longer than it was before " * 3
            longer = np.concatenate([array, array]).reshape(2, -1)
            part = longer[1, ::100].copy()
        expected = [w + "!" for w in words]
        expected[::3] = ["much longer than it was before " * 3] * len(expected[::3])
        np.full(300_000, 0x5A, np.uint8)
        with ws:
            np.full(300_000, 0x5A, np.uint8)
            assert longer[0].tolist() == longer[1].tolist() == expected
            assert part.tolist() == expected[::100]
    del array, longer, part
    assert ws.stats.retained == 0 and ws._arena.check()


def test_string_arrays_with_missing_values(ws):
    dtype = np.dtypes.StringDType(na_object=None)
    with ws:
        array = np.array(["a", None, "b" * 90] * 100, dtype)
        empty = np.empty(500, dtype)
    assert array.tolist() == ["a", None, "b" * 90] * 100
    assert set(empty.tolist()) == {""}


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u2", ">i4", "f2", "g", "G", "S9", "U3", "V9", "M8[us]"]
)
def test_every_plain_dtype_is_captured_and_keeps_its_values(ws, dtype):
    outside = np.arange(2048).astype("S9").view("V9")
    if dtype != "V9":
        outside = (np.arange(2048) % 120).astype(dtype)
    with ws:
        array = outside.copy()
        assert wspace.owner(array) is ws
    with ws:
        np.full(200_000, 0xFF, np.uint8)
    assert array.tobytes() == outside.tobytes() and array.dtype == outside.dtype
