# SPDX-License-Identifier: BSD-3-Clause
"""Calls of every public NumPy function that succeed, found by trying; for fuzz_swap.

`targets` names the functions. `find_calls` chooses arguments by the names of parameters
and keeps what NumPy accepts. Arguments are trees whose leaves may be an `Arr`, which
stands for a checked array: each case makes its own.
"""

from __future__ import annotations

import copy
import inspect
import io
import operator
import pickle
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import array_utils, recfunctions, scimath, stride_tricks
from numpy.polynomial import polynomial


@dataclass(frozen=True)
class Arr:
    """A place for a checked array with the values of `POOL[name]`."""

    name: str
    masked: bool = False


class File(io.BytesIO):
    """A file in memory; its own type, so that a fuzzer can replace it."""


@dataclass(frozen=True)
class Call:
    """A target with arguments that it takes."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        words = [repr(arg) for arg in self.args]
        words += [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(words)})"


def make_pool(scale: int) -> dict[str, np.ndarray[Any, Any]]:
    """Make the values of arguments; `scale` 1 is for speed, more to release the GIL."""
    rng = np.random.default_rng(5)
    n, side = 16 * scale, 4 * int(scale**0.5)
    square = rng.normal(size=(side, side))
    record = np.zeros(n // 2, [("a", "f8"), ("b", "i4")])
    record["a"] = rng.normal(size=n // 2)
    return {
        "vector": rng.normal(size=n),
        "rising": np.arange(1.0, n + 1),
        "rough": np.resize([0.0, -1.0, np.inf, np.nan, 1e308, -0.0, 2.5, 1e-320], n),
        "matrix": square @ square.T + side * np.eye(side),
        "complex": square + 1j * square.T,
        "cube": rng.normal(size=(2, 3, 4 * scale)),
        "large": rng.normal(size=32 * n),
        "single": rng.normal(size=n).astype("f4"),
        "ints": np.resize([2, 0, 3, 1, 1], n),
        "bools": np.resize([True, False, False], n),
        "bytes": np.resize(np.arange(7, dtype="u1"), n),
        "strings": np.resize(["ab", "c", "", "dEf"], n),
        "raw": np.resize([b"ab", b"c", b"", b"dEf"], n),
        "dates": np.arange(n).astype("M8[D]"),
        "record": record,
    }


FLOATS = [Arr("vector"), Arr("matrix"), Arr("rising"), Arr("large"), Arr("rough")]
ANY = [*FLOATS, Arr("ints"), Arr("bools"), Arr("complex"), Arr("cube"), Arr("bytes")]
ANY += [Arr("vector", masked=True), Arr("strings"), Arr("single"), Arr("dates")]
NUMBERS = [0, 1, 2, 3, -1, 0.5, 2.0]
MIXED = [*ANY, *NUMBERS, Arr("raw"), Arr("record"), [Arr("vector"), Arr("rising")]]


def fill(*args: Any) -> Any:
    """Stand for a function that users pass in."""
    return args[0] if args else None


# What a parameter of this name may be; the first in a pattern that matches decides.
BY_NAME: list[tuple[str, list[Any]]] = [
    (r"axis|axes|axis[12]|start|source|destination", [0, -1, 1, None, (0,), (0, 1)]),
    (r"out|dtype[12]|like|order|mode|kind|subok|device|copy|where|initial", []),
    (r"dtype|t", [None, float, "f4", "c16", "i8", np.float64]),
    (r"seq|arrays|arys|tup|arr_list|arrs|operands", [
        [Arr("vector"), Arr("rising")], (Arr("matrix"), Arr("matrix")),
        [Arr("large"), Arr("vector"), Arr("ints")], [[Arr("vector")], [Arr("rising")]],
    ]),
    (r"func1?d?|f|pyfunc|func|callback|function|formatter", [np.sum, fill, np.sort]),
    (r"shape|newshape|size|dims|reps|new_shape|window_shape", [
        (2, 2), (4, 4), 16, (16,), -1, (2, -1), 2, (2,), (1,), Arr("ints"),
    ]),
    (r"strides", [None, (8,), (8, 8)]),
    (r"condlist|choicelist", [[Arr("bools"), Arr("bools")], [Arr("vector"), 1.0]]),
    (r"funclist", [[fill, fill], [fill, 0.0]]),
    (r"condition|mask|conditions", [Arr("bools"), Arr("ints"), True, None]),
    (r"indices|ind|obj|index|ix|sorter|indices_or_sections|items?", [
        Arr("ints"), 2, [0, 1], (0, 1), 0, (Arr("ints"), Arr("ints")), slice(0, 2),
    ]),
    (r"n|k|N|M|m|deg|num|decimals|shift|repeats|bins|kth|q|ord|d|bitorder|sections", [
        1, 2, 3, 4, 0.5, Arr("ints"), (1, 2), [0.25, 0.5], Arr("rising"), 16,
    ]),
    (r"pad_width|shifts?|offset|rowvar|ddof|correction|period|step|trim", [1, (1, 1), 0]),
    (r"subscripts", ["i,i->i", "i,i", "ij,jk", "ii", "ij->ji"]),
    (r"weights|w|fweights|aweights", [None, Arr("rising"), Arr("ints")]),
    (r"file|fid|fname|fp", [File, "/dev/null"]),
    (r"sep|chars|old|new|sub|suffix|prefix|fillchar|fmt|encoding", ["", "a", " ", "%s"]),
    (r"keepdims|returned|full|right|density|increasing|endpoint|retstep", [False, True]),
    (r"sparse|equal_nan|return_\w+|overwrite_input|compute_uv|hermitian", [False, True]),
    (r"pause", [fill]),
    (r"low|high|loc|scale|lam|p|a_min|a_max|min|max|left|right|fill_value|values?", [
        0, 1, 0.5, Arr("rising"), Arr("vector"), 3, 16,
    ]),
    (r"names?|field|key|formats|key_\w+", ["a", "b", ["a", "b"]]),
]
OPTIONAL = {
    "out": [None], "where": [True, Arr("bools")], "initial": [0, 1.0],
    "order": ["K", "C", "F"], "subok": [True, False], "copy": [True, False],
    "mode": ["wrap", "clip", "full", "edge", "reduced"], "casting": ["unsafe"],
    "kind": ["stable", "quicksort"], "method": ["linear", "nearest", "fft"],
}  # fmt: skip


# ---- what is called ------------------------------------------------------------------

SKIPPED = re.compile(
    r"test|info|show_\w+|set\w*print\w*|seterr\w*|setbufsize|get_include|load\w*|save\w*"
    r"|memmap|DataSource|fromregex|fromfile|genfromtxt|source|printoptions|errstate"
    r"|\w*Error|\w*Warning|tofile|dump|setstate|add_newdoc|add_docstring|to_device|tri"
)
MODULES = {
    "np": np,
    "linalg": np.linalg,
    "fft": np.fft,
    "ma": np.ma,
    "char": np.char,
    "strings": np.strings,
    "rec": np.rec,
    "stride_tricks": stride_tricks,
    "scimath": scimath,
    "array_utils": array_utils,
    "recfunctions": recfunctions,
    "polynomial": polynomial,
}
NDARRAY_DUNDERS = (
    "__array__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ __contains__ __format__ "
    "__dlpack__ __array_wrap__ __array_ufunc__ __array_function__ __sizeof__ __iter__"
)
BUILTINS = "sum min max sorted list tuple len bool int float complex round abs repr str "
BUILTINS += "bytes memoryview iter reversed enumerate zip hash format divmod pow any all"


def targets() -> dict[str, Callable[..., Any]]:
    """Return every function to call by its name."""
    found: dict[str, Callable[..., Any]] = {}
    for prefix, module in MODULES.items():
        for name in dir(module):
            function = getattr(module, name)
            if name[0] != "_" and callable(function) and not SKIPPED.fullmatch(name):
                found[f"{prefix}.{name}"] = function
    for name, function in list(found.items()):
        if isinstance(function, np.ufunc):
            for method in ("reduce", "accumulate", "reduceat", "outer", "at"):
                found[f"{name}.{method}"] = getattr(function, method)
    found |= _methods() | _programs()
    for name in dir(operator):
        if name[0] != "_" and name not in ("itemgetter", "attrgetter", "methodcaller"):
            found[f"operator.{name}"] = getattr(operator, name)
    names = BUILTINS.split()
    builtins = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
    found |= {f"builtins.{name}": builtins[name] for name in names}
    found |= {"copy.copy": copy.copy, "copy.deepcopy": copy.deepcopy}
    return found


def _methods() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    public = [name for name in dir(np.ndarray) if name[0] != "_"]
    for name in public + NDARRAY_DUNDERS.split():
        if callable(getattr(np.ndarray, name, None)):
            if not SKIPPED.fullmatch(name):
                found[f"method.{name}"] = _method(name)
        elif hasattr(np.ndarray, name):
            found[f"get.{name}"] = operator.attrgetter(name)
            found[f"set.{name}"] = lambda a, values, n=name: setattr(a, n, values)
    for name in dir(np.random.Generator):
        if name[0] != "_" and name not in ("bit_generator", "spawn"):
            found[f"random.{name}"] = _seeded(name)
    return found


def _method(name: str) -> Callable[..., Any]:
    def method(a: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(a, name)(*args, **kwargs)

    return _signed(method, getattr(np.ndarray, name))


def _seeded(name: str) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        return getattr(np.random.default_rng(7), name)(*args, **kwargs)

    bound = getattr(np.random.default_rng(7), name)
    return _signed(method, bound)


def _signed(function: Any, like: Any) -> Callable[..., Any]:
    function.names = parameters(like)
    return function  # type: ignore[no-any-return]


def _programs() -> dict[str, Callable[..., Any]]:
    """Return small uses of objects that hold on to arrays, by name."""

    def nditer(a: Any, pause: Any) -> Any:
        flags = ["buffered", "external_loop", "delay_bufalloc"]
        it = np.nditer([a, None], flags, op_dtypes=["f8", "f8"], casting="unsafe")
        with it:
            it.reset()
            for x, y in it:
                pause()
                y[...] = x
            return it.operands[1]

    def writeback(a: Any, pause: Any) -> Any:
        with np.nditer(a, [], ["readwrite", "updateifcopy"], "f4", casting="unsafe") as it:
            pause()
            it.operands[0][...] = 2.0
        return None

    def steps(a: Any, values: Any, pause: Any) -> Any:
        b = np.broadcast(a, values)
        made = [next(b)]
        pause()
        return [*made, *b, b.shape]

    def flat(a: Any, pause: Any) -> Any:
        f = a.flat
        made = [next(f), f[1], f[1:4], len(f), f.index]
        pause()
        return [*made, next(f), f[2], f[1:4], f.copy(), list(f)]

    def view(a: Any, pause: Any) -> Any:
        view, plain, rows = memoryview(a), np.asarray(a), iter(a)
        made = [view[0], next(rows)]
        pause()
        return [*made, view.tobytes(), plain.sum(), plain.copy()]

    def rows(a: Any, pause: Any) -> Any:
        return [pause(row) for row in a]

    def from_iterator(a: Any, pause: Any) -> Any:
        return np.fromiter((pause(x) for x in a.flat), float)

    def buffers(a: Any, pause: Any) -> Any:
        return pickle.dumps(a, 5, buffer_callback=lambda buffer: pause() is not None)

    def formatted(a: Any, pause: Any) -> Any:
        return np.array2string(a, formatter={"all": lambda x: str(pause(x))})

    def by_python(a: Any, pause: Any) -> Any:
        return np.frompyfunc(lambda x: pause(x), 1, 1)(a)

    def vectorized(a: Any, b: Any, pause: Any) -> Any:
        return np.vectorize(lambda x, y: (pause(x), y))(a, b)

    def bound(a: Any, pause: Any) -> Any:
        methods = [a.tobytes, a.tolist, a.copy, a.sum, a.argsort, a.ravel, a.dot]
        methods += [a.take, a.item, a.view, a.astype, a.sort, a.any, a.nonzero]
        pause()
        return [method(*given) for method, given in zip(methods, GIVEN, strict=True)]

    found = [v for v in locals().values() if inspect.isfunction(v)]
    return {f"program.{f.__name__}": f for f in found}


GIVEN: list[tuple[Any, ...]] = [()] * 6 + [(2.0,), (0,), (0,), (), ("f4",), (), (), ()]

# ---- arguments -----------------------------------------------------------------------


def parameters(function: Any) -> list[tuple[str, bool]]:
    """Return (name, is_required) of the parameters that may be given by position."""
    if hasattr(function, "names"):
        return list(function.names)
    if isinstance(function, np.ufunc):
        return [(f"x{i}", True) for i in range(function.nin)] + [("out", False)]
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return _documented(function)
    kinds = inspect.Parameter
    names = []
    for p in signature.parameters.values():
        if p.kind is kinds.VAR_POSITIONAL:
            names += [("a", True), ("b", False)]
        elif p.kind is not kinds.VAR_KEYWORD and p.name != "self":
            names.append((p.name, p.default is kinds.empty))
    return names


def _documented(function: Any) -> list[tuple[str, bool]]:
    first = re.search(r"\w+\(([^)]*)\)", (getattr(function, "__doc__", "") or "")[:400])
    if first is None:
        return [("a", True), ("b", False)]
    words = re.findall(r"[\[ ,]*([A-Za-z_]\w*)(\s*=[^,]*)?", first[1])
    return [(name, not default) for name, default in words]


def choices(name: str) -> list[Any]:
    """Return what a required parameter of this name may be."""
    for pattern, values in BY_NAME:
        if re.fullmatch(pattern, name) and values:
            return values
    return OPTIONAL.get(name, MIXED)


def guess(function: Any, rng: random.Random) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Choose arguments: the required ones by position, a few others by name."""
    args, kwargs = [], {}
    for name, is_required in parameters(function):
        wide = rng.random() < 0.25
        if is_required:
            args.append(rng.choice(MIXED if wide else choices(name)))
        elif rng.random() < 0.3:
            kwargs[name] = rng.choice(MIXED if wide else choices(name))
    return tuple(args), kwargs


def has_array(tree: Any) -> bool:
    """Say whether there is an `Arr` in a tree of arguments."""
    return any(isinstance(leaf, Arr) for leaf in leaves(tree))


def leaves(tree: Any) -> Iterator[Any]:
    """Go through the leaves of a tree of arguments, in order."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        yield tree
        return
    for branch in tree:
        yield from leaves(branch)


def grow(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Rebuild a tree of arguments with `leaf` applied to each leaf, in order."""
    if isinstance(tree, dict):
        return {key: grow(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(grow(branch, leaf) for branch in tree)
    return leaf(tree)


def find_calls(
    name: str, function: Any, rng: random.Random, attempt: Callable[[Call], bool]
) -> list[Call]:
    """Guess until a few calls with arrays in them succeed."""
    found: dict[str, Call] = {}
    for _ in range(80):
        args, kwargs = guess(function, rng)
        call = Call(name, function, args, kwargs)
        if has_array((args, kwargs)) and str(call) not in found and attempt(call):
            found[str(call)] = call
        if len(found) == 5:
            break
    return list(found.values())
