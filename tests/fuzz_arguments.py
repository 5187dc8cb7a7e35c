# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that NumPy's functions take, guessed from the names of parameters.

Arguments are trees of lists, tuples and dicts. A leaf may be an `Arr`, which stands for
a checked array: each case makes its own.
"""

from __future__ import annotations

import inspect
import io
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Pool: TypeAlias = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Arr:
    """A place for a checked array with the values of that name in the pool."""

    name: str
    masked: bool = False

    def __repr__(self) -> str:
        return f"<{'masked ' if self.masked else ''}{self.name}>"


class File(io.BytesIO):
    """A file in memory; its own type, so that a hook can replace it."""


def make_pool(scale: int) -> Pool:
    """Make the values of arguments: `scale` 1 is fast, more releases the GIL longer."""
    rng = np.random.default_rng(5)
    n, side = 16 * scale, 4 * int(scale**0.5)
    square = rng.normal(size=(side, side))
    record = np.zeros(n // 2, [("a", "f8"), ("b", "i4")])
    record["a"] = rng.normal(size=n // 2)
    rough = [0.0, -1.0, np.inf, np.nan, 1e308, -0.0, 2.5, 1e-320]
    return {
        "vector": rng.normal(size=n),
        "rising": np.arange(1.0, n + 1),
        "rough": np.resize(rough, n),
        "matrix": square @ square.T + side * np.eye(side),
        "complex": square + 1j * square.T,
        "cube": rng.normal(size=(2, 3, 4 * scale)),
        "stack": rng.normal(size=(3, side, side)) + side * np.eye(side),
        "large": rng.normal(size=10 * n),
        "float32": rng.normal(size=n).astype("f4"),
        "one": np.array([2.0]),
        "scalar": np.array(3),
        "three": np.array([1.0, 2.0, 4.0]),
        "ints": np.resize([2, 0, 3, 1, 1], n),
        "bools": np.resize([True, False, False], n),
        "bytes": np.resize(np.arange(7, dtype="u1"), n),
        "strings": np.resize(["ab", "c", "", "dEf"], n),
        "raw": np.resize([b"ab", b"c", b"", b"dEf"], n),
        "dates": np.arange(n).astype("M8[D]"),
        "record": record,
    }


FLOATS = [Arr("vector"), Arr("matrix"), Arr("rising"), Arr("large"), Arr("rough")]
SAME = [Arr("vector"), Arr("rising"), Arr("rough"), Arr("ints")]
OTHERS = [Arr("ints"), Arr("bools"), Arr("complex"), Arr("cube"), Arr("bytes")]
OTHERS += [Arr("vector", masked=True), Arr("float32"), Arr("dates"), Arr("stack")]
TEXT = [Arr("strings"), Arr("raw"), Arr("strings"), "a", ""]
LISTS = [[Arr("vector"), Arr("rising")], (Arr("matrix"), Arr("matrix"))]
LISTS += [[Arr("large"), Arr("vector"), Arr("ints")], [[Arr("vector")], [Arr("rough")]]]
MIXED = [*FLOATS, *SAME, *OTHERS, *TEXT[:2], *LISTS[:1], 0, 1, 2, -1, 0.5, 2.0]
MIXED += [Arr("record"), Arr("one"), Arr("scalar")]
INDICES = [Arr("ints"), 2, [0, 1], (0, 1), 0, (Arr("ints"),), slice(0, 2), Arr("bools")]
SHAPES = [(2, 2), (4, 4), 16, (16,), -1, (2, -1), 2, (2,), (1,), Arr("ints")]
NUMBERS = [1, 2, 3, 4, 0.5, Arr("ints"), (1, 2), [0.25, 0.5], Arr("rising"), 16]
FLAGS = [False, True]


def fill(*args: Any) -> Any:
    """Stand for a function that users pass in."""
    return args[0] if args else None


# What a parameter may be: the first pattern that matches its name decides.
CHOICES: list[tuple[str, list[Any]]] = [
    (r"axis|axes|axis[12]|source|destination", [0, -1, 1, None, (0,), (0, 1)]),
    (r"dtype|dt|t", [None, float, "f4", "c16", "i8", np.float64]),
    (r"seq|arrays|arys|tup|arr_list|arrs|seqarrays|arrayList|op", [*LISTS, *FLOATS]),
    (r"func1?d?|f|pyfunc|callback|function|formatter", [np.sum, fill, np.sort]),
    (r"new_?shape|shape|size|dims|reps|window_shape", SHAPES),
    (r"strides", [None, (8,), (8, 8)]),
    (r"condlist", [[Arr("bools"), Arr("bools")]]),
    (r"choicelist|choices", [[Arr("vector"), 1.0], [Arr("vector")] * 4]),
    (r"funclist", [[fill, fill], [fill, 0.0]]),
    (r"condition|mask|conditions", [Arr("bools"), Arr("ints"), True, None]),
    (r"(multi_)?indices|ind|obj|index|ix|sorter|indices_or_sections|items?|i", INDICES),
    (r"[nkNMmqd]|deg|num|decimals|repeats|bins|kth|ord|bitorder|M|tabsize|i1", NUMBERS),
    (r"pad_width|shifts?|offset|rowvar|ddof|correction|period|step", [1, (1, 1), 0]),
    (r"subscripts", ["i,i->i", "i,i", "ij,jk", "ii", "ij->ji", "ij,ij"]),
    (r"weights|w|[fa]weights", [None, Arr("rising"), Arr("ints")]),
    (r"file|fid|fname|fp", [File, "/dev/null"]),
    (r"text|sep|chars|old|new|sub|suffix|prefix|fillchar|fmt|encoding", TEXT),
    (r"cmp", ["<", "==", ">="]),
    (r"three", [Arr("three"), [1.0, 2.0, 3.0]]),
    (r"pause", [fill]),
    (r"low|loc|scale|lam|p|a_(min|max)|min|max|left|right", [0, 1, 0.5, *SAME]),
    (r"high|fill_value|values?|mean|sigma|alpha|alphas|df|pvals", [3, 16, 1.0, *SAME]),
    (r"names?|drop_names|field|key|formats|key_\w+|base", ["a", "b", ["a", "b"]]),
    (r"where", [True, Arr("bools")]),
    (r"order", ["K", "C", "F"]),
    (r"mode|method", ["wrap", "clip", "full", "edge", "reduced", "linear", "nearest"]),
    (r"casting", ["unsafe", "same_kind"]),
    (r"kind", ["stable", "quicksort", "introselect"]),
    (r"x\d", [*FLOATS, *SAME, *OTHERS, *TEXT[:2], 2, 0.5]),
    (r"(keep|un)\w*|returned|density|\w+ing|endpoint|retstep|sparse|equal_nan", FLAGS),
    (r"return_\w+|overwrite_input|compute_uv|hermitian|full|subok|copy", FLAGS),
    (r"out|like|device|out_dtype", [None]),
]
# Of functions that do not tell, or tell less than is needed; the first in brackets are
# required.
SIGNATURES = {
    r"np\.einsum": "subscripts a, b, out",
    r"np\.nested_iters": "op axes",
    r"method\.(resize|transpose)": "x1 shape",
    r"method\.view": "x1, dtype",
    r"linalg\.(solve|lstsq)": "a a",
    r"char\.compare_chararrays": "text text cmp returned",
    r"(np|linalg)\.cross": "three three",
    r".*\.at": "x1 indices values",
    r".*\.at of one": "x1 indices",
    r".*\.(reduce|accumulate)": "x1, axis, dtype, out, where, initial, keepdims",
    r".*\.reduceat": "x1 ints, axis, out",
    r".*\.outer": "x1 x2, out",
    r"set\.(shape|dtype|strides)": r"x1 \1",
    r"(get|set)\..*": "x1 values",
}


# ---- trees ---------------------------------------------------------------------------


def leaves(tree: Any) -> Iterator[Any]:
    """Go through the leaves of a tree, in order."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        yield tree
        return
    for branch in tree:
        yield from leaves(branch)


def grow(tree: Any, leaf: Callable[[Any], Any]) -> Any:
    """Rebuild a tree with `leaf` applied to each leaf, in order."""
    if isinstance(tree, dict):
        return {key: grow(value, leaf) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(grow(branch, leaf) for branch in tree)
    return leaf(tree)


def count_arrays(tree: Any) -> int:
    """Count the checked arrays of a tree."""
    return sum(isinstance(leaf, Arr) for leaf in leaves(tree))


# ---- guessing ------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A function with arguments that it takes."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        words = [repr(arg) for arg in self.args]
        words += [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(words)})"


Attempt: TypeAlias = Callable[[Call], tuple[bool, Any]]
Parameters: TypeAlias = list[tuple[str, bool]]  # name, is it required


def parameters(name: str, function: Any) -> Parameters:
    """Return what a function takes, so far as it can be found out."""
    for pattern, words in SIGNATURES.items():
        found = re.fullmatch(pattern, name)
        if found is not None:
            required, _, optional = found.expand(words).partition(",")
            return _named(required.split(), True) + _named(optional.split(", "), False)
    if isinstance(function, np.ufunc):
        required = [f"x{i}" for i in range(function.nargs - function.nout)]
        return _named(required, True) + _named(["out", "where", "dtype"], False)
    function = getattr(function, "wrapped", function)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        own = [("x1", True)] if name.startswith("method.") else []
        return own + _documented(function)
    return _signed(signature)


def _named(names: list[str], is_required: bool) -> Parameters:
    return [(name.strip(), is_required) for name in names if name.strip()]


def _signed(signature: inspect.Signature) -> Parameters:
    found = []
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            found += [("x1", True), ("x2", False)]
        elif p.kind is not p.VAR_KEYWORD:
            is_bare = p.default is p.empty and p.kind is not p.KEYWORD_ONLY
            found.append((p.name, is_bare or (not found and p.name != "subok")))
    return found


def _documented(function: Any) -> Parameters:
    first = re.search(r"\w+\(([^)]*)\)", (getattr(function, "__doc__", "") or "")[:400])
    if first is None:
        return [("x1", True), ("x2", False)]
    words = re.findall(r"([A-Za-z_]\w*)(\s*=[^,]*)?", first[1])
    return [(name, not default) for name, default in words]


def choices(name: str) -> list[Any]:
    """Return what a parameter of this name may be."""
    for pattern, values in CHOICES:
        if re.fullmatch(pattern, name):
            return values
    return MIXED


def guess(wanted: Parameters, rng: random.Random) -> Any:
    """Choose arguments: the required ones by position, a few others by name."""
    args, kwargs = [], {}
    for name, is_required in wanted:
        wide = rng.random() < 0.2 and name not in ("out", "dtype")  # NumPy trusts these
        values = MIXED if wide else choices(name)
        if is_required:
            args.append(rng.choice(values))
        elif rng.random() < 0.3:
            kwargs[name] = rng.choice(values)
    return tuple(args), kwargs


def find_calls(
    name: str, function: Any, rng: random.Random, pool: Pool, attempt: Attempt
) -> list[Call]:
    """Guess until a few calls with arrays in them succeed; may add to the pool."""
    found: dict[str, Call] = {}
    wanted = parameters(name, function)
    for _ in range(120):
        args, kwargs = guess(wanted, rng)
        call = Call(name, function, args, kwargs)
        if count_arrays((args, kwargs)) == 0 or str(call) in found or _is_unsafe(call):
            continue
        succeeded, result = attempt(call)
        if not succeeded:
            continue
        found[str(call)] = call
        call = _with_out(call, result, pool)
        if ("out", False) in wanted and call is not None and attempt(call)[0]:
            found[str(call)] = call
        if len(found) >= 5:
            break
    return list(found.values())


def _is_unsafe(call: Call) -> bool:
    """Say whether NumPy's own bugs are in the way: those of multiplied strings."""
    has_text = any(text in str(call) for text in ("strings>", "raw>", "'"))
    return has_text and re.search(r"\bi?mul(tiply)?\b", call.name) is not None


def _with_out(call: Call, result: Any, pool: Pool) -> Call | None:
    """Return the call with a checked array for its result, if it could take one."""
    if not isinstance(result, np.ndarray) or result.dtype.hasobject:
        return None
    out = Arr(f"out {result.shape} {result.dtype}")
    pool[out.name] = np.zeros(result.shape, result.dtype)
    return Call(call.name, call.function, call.args, {**call.kwargs, "out": out})
