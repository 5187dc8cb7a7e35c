# SPDX-License-Identifier: BSD-3-Clause
"""Every use of a stale array raises, and says which array of which workspace it was."""

import array
import copy
import ctypes
import hashlib
import io
import itertools
import math
import operator
import pickle
import random
import statistics
import struct
import zlib

import numpy as np
import pytest

import wspace

VALUES = np.arange(4.0)
TEXT = (
    "array (4,) float64 of workspace 'train' is stale: "
    "made in generation 1, which is over"
)
HINT = "hint: `detach()` it before the scope ends; `.copy()` in the scope is no way out"

BINARY = (
    "add sub mul truediv floordiv mod pow matmul and_ or_ xor lshift rshift lt le gt"
)
BINARY += " ge eq ne"
PARTNERS = {
    "an array": VALUES,
    "an array without dimensions": np.array(2.0),
    "an array of objects": np.array([1, None, 2.5, "x"], dtype=object),
    "a masked array": np.ma.array(VALUES, mask=[0, 1, 0, 0]),
    "a NumPy scalar": np.float64(2.0),
    "a date": np.datetime64("2020-01-01"),
    "an int": 3,
    "a complex number": 1j,
    "a list": [1, 2, 3, 4],
    "a tuple": (1, 2, 3, 4),
    "None": None,
    "a dict": {},
    "a string": "a",
}
IN_PLACE = "iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor ilshift"
IN_PLACE += " irshift"

# "a" % x is for the string to do, and asks a mapping for nothing.
NOT_OURS = {("mod", "a string")}


def y():
    return VALUES.copy()


PYTHON = {
    "abs": abs,
    "negation": lambda x: -x,
    "plus sign": lambda x: +x,
    "inversion": lambda x: ~x,
    "divmod": lambda x: divmod(x, 2),
    "divmod by it": lambda x: divmod(2, x),
    "bool": bool,
    "not": lambda x: not x,
    "if": lambda x: 1 if x else 0,
    "len": len,
    "float": float,
    "int": int,
    "complex": complex,
    "index": operator.index,
    "hash": hash,
    "in": lambda x: 1.0 in x,
    "in a list": lambda x: x in [VALUES],
    "iter": iter,
    "reversed": reversed,
    "list": list,
    "tuple": tuple,
    "set": set,
    "sorted": sorted,
    "sum": sum,
    "max": max,
    "any": any,
    "enumerate": lambda x: list(enumerate(x)),
    "zip": lambda x: list(zip(x, strict=False)),
    "unpacking": lambda x: [*x],
    "islice": lambda x: list(itertools.islice(x, 2)),
    "range": range,
    "repetition": lambda x: [1] * x,
    "list plus it": lambda x: operator.add([], x),
    "chr": chr,
    "math.sqrt": math.sqrt,
    "math.fsum": math.fsum,
    "statistics": statistics.mean,
    "random.choice": random.choice,
    "a format": lambda x: f"{x:.2f}",
    "a width": lambda x: f"{x:>5}",
    "%d": lambda x: "%d" % x,  # noqa: UP031
}
INDEXING = {
    "item": lambda x: x[0],
    "slice": lambda x: x[1:],
    "ellipsis": lambda x: x[...],
    "itself": lambda x: x[x],
    "an array by it": lambda x: VALUES[x],
    "an array by a tuple of it": lambda x: VALUES[x,],
    "an array by a slice of it": lambda x: VALUES[x:],
    "a list by it": lambda x: [1, 2][x],
    "a dict by it": lambda x: {}[x],
    "set item": lambda x: operator.setitem(x, 0, 1.0),
    "set slice": lambda x: operator.setitem(x, slice(None), VALUES),
    "delete item": lambda x: operator.delitem(x, 0),
    "into an array": lambda x: operator.setitem(y(), slice(None), x),
    "into a mask": lambda x: operator.setitem(y(), VALUES > 1, x),
    "an array by it, set": lambda x: operator.setitem(y(), x, 1.0),
    "into flat": lambda x: operator.setitem(y().flat, slice(None), x),
    "flat": lambda x: setattr(y(), "flat", x),
}
UFUNCS = {
    "input": lambda x: np.add(x, 1),
    "second input": lambda x: np.add(VALUES, x),
    "unary": np.sin,
    "out": lambda x: np.add(VALUES, VALUES, out=x),
    "out by position": lambda x: np.add(VALUES, VALUES, x),
    "one of two outs": lambda x: np.modf(VALUES, out=(None, x)),
    "where": lambda x: np.add(VALUES, VALUES, where=x),
    "reduce": np.add.reduce,
    "reduce out": lambda x: np.add.reduce(VALUES, out=x),
    "reduce where": lambda x: np.add.reduce(VALUES, where=x),
    "reduce axis": lambda x: np.add.reduce(VALUES, axis=x),
    "accumulate": np.multiply.accumulate,
    "accumulate out": lambda x: np.add.accumulate(VALUES, out=x),
    "reduceat": lambda x: np.add.reduceat(x, [0, 2]),
    "reduceat indices": lambda x: np.add.reduceat(VALUES, x),
    "outer": lambda x: np.multiply.outer(VALUES, x),
    "at": lambda x: np.add.at(x, 0, 1),
    "at indices": lambda x: np.add.at(y(), x, 1),
    "at values": lambda x: np.add.at(y(), [0], x),
    "matmul": lambda x: np.matmul(VALUES, x),
    "matmul out": lambda x: np.matmul(np.eye(4), VALUES, out=x),
    "frompyfunc": lambda x: np.frompyfunc(abs, 1, 1)(x),
    "vectorize": lambda x: np.vectorize(abs)(x),
}
CONVERSIONS = {
    "asarray": np.asarray,
    "asarray with a dtype": lambda x: np.asarray(x, np.float32),
    "asanyarray": np.asanyarray,
    "ascontiguousarray": np.ascontiguousarray,
    "asfortranarray": np.asfortranarray,
    "array": np.array,
    "array without a copy": lambda x: np.array(x, copy=None),
    "array of objects": lambda x: np.array(x, dtype=object),
    "array subok": lambda x: np.array(x, subok=True),
    "nested": lambda x: np.array([x, x]),
    "nested beside an array": lambda x: np.array([VALUES, x]),
    "nested twice": lambda x: np.array([[x], [VALUES]]),
    "nested in objects": lambda x: np.array([x, None], dtype=object),
    "require": lambda x: np.require(x, float, "C"),
    "fromiter": lambda x: np.fromiter(x, float),
    "float64": np.float64,
    "masked array": np.ma.array,
    "mask": lambda x: np.ma.array(VALUES, mask=x),
    "record array": np.rec.array,
    "polynomial": np.polynomial.Polynomial,
}
FUNCTIONS = {
    "concatenate": lambda x: np.concatenate([VALUES, x]),
    "concatenate out": lambda x: np.concatenate([VALUES], out=x),
    "stack": lambda x: np.stack([x, x]),
    "where": lambda x: np.where(VALUES > 1, x, 0),
    "where as condition": np.where,
    "einsum": lambda x: np.einsum("i,i->", VALUES, x),
    "dot": lambda x: VALUES.dot(x),
    "tensordot": lambda x: np.tensordot(x, VALUES, 0),
    "norm": np.linalg.norm,
    "solve": lambda x: np.linalg.solve(np.eye(4), x),
    "fft": np.fft.fft,
    "sum": np.sum,
    "sum out": lambda x: VALUES.sum(out=x),
    "sum axis": lambda x: np.sum(VALUES, axis=x),
    "sort": np.sort,
    "searchsorted": lambda x: VALUES.searchsorted(x),
    "interp": lambda x: np.interp(1.0, x, VALUES),
    "copyto": lambda x: np.copyto(y(), x),
    "copyto it": lambda x: np.copyto(x, VALUES),
    "copyto where": lambda x: np.copyto(y(), 1.0, where=x),
    "put": lambda x: y().put([0], x),
    "putmask": lambda x: np.putmask(y(), x, 0.0),
    "take": lambda x: VALUES.take(x),
    "clip": lambda x: VALUES.clip(x, 1),
    "compress": lambda x: VALUES.compress(x),
    "choose": lambda x: np.choose([0], [x]),
    "repeat": lambda x: VALUES.repeat(x),
    "reshape": lambda x: VALUES.reshape(x),
    "zeros of its shape": np.zeros,
    "zeros_like": np.zeros_like,
    "full": lambda x: np.full(4, x),
    "like": lambda x: np.zeros(3, like=x),
    "shape": np.shape,
    "result_type": lambda x: np.result_type(x, 1),
    "shares_memory": lambda x: np.shares_memory(x, VALUES),
    "array_equal": lambda x: np.array_equal(VALUES, x),
    "nditer": lambda x: np.nditer([VALUES, x]),
    "broadcast": lambda x: np.broadcast(x, VALUES),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 4)),
    "as_strided": np.lib.stride_tricks.as_strided,
    "sliding_window_view": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2),
    "random choice": lambda x: np.random.default_rng(1).choice(x),
    "random out": lambda x: np.random.default_rng(1).random(out=x),
    "random shuffle": lambda x: np.random.default_rng(1).shuffle(x),
    "random parameter": lambda x: np.random.default_rng(1).normal(x),
    "array2string": np.array2string,
}
BYTES = {
    "memoryview": memoryview,
    "bytes": bytes,
    "bytearray": bytearray,
    "frombuffer": np.frombuffer,
    "ndarray over it": lambda x: np.ndarray(4, buffer=x),
    "struct": lambda x: struct.unpack("4d", x),
    "hashlib": hashlib.sha256,
    "zlib": zlib.crc32,
    "write": lambda x: io.BytesIO().write(x),
    "ctypes": lambda x: (ctypes.c_double * 4).from_buffer(x),
    "array.array": lambda x: array.array("d", x),
    "DLPack": np.from_dlpack,
    "__dlpack__": lambda x: x.__dlpack__(),
    "__dlpack_device__": lambda x: x.__dlpack_device__(),
    "save": lambda x: np.save(io.BytesIO(), x),
    "savez": lambda x: np.savez(io.BytesIO(), x=x),
    "savetxt": lambda x: np.savetxt(io.StringIO(), x),
    "tofile": lambda x: x.tofile("/dev/null"),
    "pickle": pickle.dumps,
    "pickle with protocol 0": lambda x: pickle.dumps(x, 0),
    "pickle with buffers": lambda x: pickle.dumps(x, 5, buffer_callback=[].append),
    "pickle in a list": lambda x: pickle.dumps([x]),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy in a list": lambda x: copy.deepcopy([x]),
}
ATTRIBUTES = {
    "shape": lambda x: x.shape,
    "a method": lambda x: x.sum,
    "detach": lambda x: x.detach(),
    "an unknown public name": lambda x: x.no_such_name,
    "an unknown public name with a default": lambda x: getattr(x, "no_such_name", None),
    "a question for a name": lambda x: hasattr(x, "sum"),
    "__array__": lambda x: x.__array__(),
    "__array_interface__": lambda x: x.__array_interface__,
    "__array_struct__": lambda x: x.__array_struct__,
    "__array_ufunc__": lambda x: x.__array_ufunc__(np.add, "__call__", x, 1),
    "__array_function__": lambda x: x.__array_function__(np.sum, (), (x,), {}),
    "__array_wrap__": lambda x: x.__array_wrap__(VALUES),
    "__getitem__": lambda x: x.__getitem__(0),
    "__copy__": lambda x: x.__copy__(),
    "__reduce_ex__": lambda x: x.__reduce_ex__(2),
    "set shape": lambda x: setattr(x, "shape", (2, 2)),
    "set an unknown name": lambda x: setattr(x, "no_such_name", 1),
    "set a private name": lambda x: setattr(x, "_private", 1),
    "set the class": lambda x: setattr(x, "__class__", np.ndarray),
    "delete shape": lambda x: delattr(x, "shape"),
    "delete a private name": lambda x: delattr(x, "_private"),
}
OUT_OF_A_WORKSPACE = {
    "detach": wspace.detach,
    "keep": wspace.keep,
    "leverage": wspace.leverage,
    "detach in a dict": lambda x: wspace.detach({"x": [x]}),
}

GROUPS = [
    *[PYTHON, INDEXING, UFUNCS, CONVERSIONS, FUNCTIONS, BYTES, ATTRIBUTES],
    OUT_OF_A_WORKSPACE,
]
USES = [
    pytest.param(use, id=f"{number}-{name}")
    for number, group in enumerate(GROUPS)
    for name, use in group.items()
]


@pytest.fixture
def stale():
    ws = wspace.Workspace("train")
    with ws:
        x = ws.array(VALUES)
    return x


def refuse(use, *args):
    with pytest.raises(wspace.StaleArrayError) as raised:
        use(*args)
    assert str(raised.value) == TEXT
    hint, here = raised.value.__notes__
    assert hint == HINT
    assert here in ("no workspace is open here", "open here: 'other'")


@pytest.mark.parametrize("use", USES)
def test_a_use_of_a_stale_array_raises(stale, use):
    refuse(use, stale)


@pytest.mark.parametrize("partner", PARTNERS)
@pytest.mark.parametrize("name", BINARY.split())
def test_an_operator_raises_with_a_stale_array_on_either_side(stale, name, partner):
    operation, other = getattr(operator, name), PARTNERS[partner]
    refuse(operation, stale, other)
    if (name, partner) not in NOT_OURS:
        refuse(operation, other, stale)


@pytest.mark.parametrize("name", IN_PLACE.split())
def test_an_operator_in_place_raises_with_a_stale_array_on_either_side(stale, name):
    operation = getattr(operator, name)
    for other in (2, VALUES, [1, 2, 3, 4]):
        refuse(operation, stale, other)
    for target in (y(), np.arange(4), 3):
        refuse(operation, target, stale)


def test_an_operator_between_two_stale_arrays_names_the_first(stale):
    other = wspace.Workspace("other")
    with other:
        second = other.zeros((2, 3), np.float32)
    refuse(operator.add, stale, second)
    with pytest.raises(wspace.StaleArrayError, match=r"array \(2, 3\) float32 of"):
        second - stale


@pytest.mark.parametrize(
    "make", ["array", "asarray", "zeros_like", "empty_like", "linspace", "full"]
)
def test_a_creator_refuses_a_stale_array(stale, make):
    arguments = {"full": (3, stale), "linspace": (stale, 2.0)}.get(make, (stale,))
    with wspace.Workspace("other") as other:
        refuse(getattr(other, make), *arguments)


@pytest.mark.parametrize(
    "store",
    [
        lambda x: operator.setitem(y(), 0, x),
        lambda x: y().fill(x),
        lambda x: np.add.reduce(VALUES, initial=x),
    ],
    ids=["item", "fill", "initial"],
)
def test_a_stale_array_without_dimensions_is_no_element(store):
    with wspace.Workspace("demo") as ws:
        x = ws.array(2.0)
        store(x)
    with pytest.raises(
        wspace.StaleArrayError, match=r"array \(\) float64 of .* 'demo'"
    ):
        store(x)
