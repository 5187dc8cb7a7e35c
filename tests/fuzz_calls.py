# SPDX-License-Identifier: BSD-3-Clause
"""The public functions of NumPy, by name, and small programs that hold on to arrays."""

from __future__ import annotations

import builtins
import copy
import inspect
import operator
import pickle
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from fuzz_arguments import fill
from numpy.lib import array_utils, recfunctions, scimath, stride_tricks
from numpy.polynomial import polynomial

import wspace

Functions: TypeAlias = dict[str, Callable[..., Any]]

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
# They change the process, or have nothing to do with arrays.
SKIPPED = re.compile(
    r"test|info|show_\w+|set\w*print\w*|seterr\w*|setbufsize|get_include|load\w*"
    r"|memmap|DataSource|fromregex|fromfile|genfromtxt|source|printoptions|errstate"
    r"|\w*Error|\w*Warning|add_newdoc|add_docstring|setfield|get\w*|\w+info|ABC\w+"
    r"|recarray|(bit_)?generator|spawn|attrgetter|itemgetter|methodcaller|disp|save\w*txt"
)
DUNDERS = (
    "__array__ __copy__ __deepcopy__ __reduce__ __reduce_ex__ __contains__ __format__ "
    "__dlpack__ __array_wrap__ __array_ufunc__ __array_function__ __sizeof__ __iter__ "
    "__getitem__ __setitem__ __len__ __index__ __array_namespace__"
)
BUILTINS = (
    "sum min max sorted list tuple len bool int float complex round abs repr str all "
    "any bytes memoryview iter reversed enumerate zip hash format divmod pow"
)
CREATORS = "empty zeros ones full arange linspace eye array asarray empty_like"
CREATORS += " full_like"
TRANSFERS = "detach keep leverage migrate owner is_attached in_scope is_stale"


def targets() -> Functions:
    """Return every function to call, each under one name."""
    found: Functions = {}
    for prefix, module in MODULES.items():
        found |= _public(prefix, module)
    found |= _ufunc_methods(found) | _methods() | _attributes()
    found |= _public("operator", operator) | _wspace() | programs()
    found |= {f"builtins.{name}": getattr(builtins, name) for name in BUILTINS.split()}
    found |= {"copy.copy": copy.copy, "copy.deepcopy": copy.deepcopy}
    seen: dict[int, str] = {}
    for name, function in found.items():
        seen.setdefault(id(function), name)
    return {name: found[name] for name in seen.values()}


def _public(prefix: str, module: Any) -> Functions:
    found = {}
    for name in dir(module):
        function = getattr(module, name)
        if name[0] != "_" and callable(function) and not SKIPPED.fullmatch(name):
            found[f"{prefix}.{name}"] = function
    return found


def _ufunc_methods(functions: Functions) -> Functions:
    found = {}
    for name, ufunc in functions.items():
        if isinstance(ufunc, np.ufunc) and ufunc.nout == 1 and ufunc.signature is None:
            found[f"{name}.at{' of one' if ufunc.nargs == 2 else ''}"] = ufunc.at
            if ufunc.nargs == 3:
                for method in ("reduce", "accumulate", "reduceat", "outer"):
                    found[f"{name}.{method}"] = getattr(ufunc, method)
    return found


class Method:
    """A method as a function of its object."""

    def __init__(self, name: str, make: Callable[[], Any] | None = None) -> None:
        self.name = name
        self.make = make  # makes the object; without it the first argument is it
        self.wrapped = getattr(np.ndarray if make is None else make(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.make is not None:
            return getattr(self.make(), self.name)(*args, **kwargs)
        return getattr(args[0], self.name)(*args[1:], **kwargs)


def _generator() -> np.random.Generator:
    return np.random.default_rng(7)


def _methods() -> Functions:
    found: Functions = {}
    public = [name for name in dir(np.ndarray) if name[0] != "_"]
    for name in public + DUNDERS.split():
        if callable(getattr(np.ndarray, name, None)) and not SKIPPED.fullmatch(name):
            found[f"method.{name}"] = Method(name)
    for name in dir(np.random.Generator):
        if name[0] != "_" and not SKIPPED.fullmatch(name):
            found[f"random.{name}"] = Method(name, _generator)
    return found


def _attributes() -> Functions:
    found: Functions = {}
    for name in dir(np.ndarray):
        if name[0] != "_" and not callable(getattr(np.ndarray, name)):
            found[f"get.{name}"] = lambda a, _, n=name: getattr(a, n)
            found[f"set.{name}"] = lambda a, values, n=name: setattr(a, n, values)
    return found


def _wspace() -> Functions:
    found: Functions = {f"wspace.{n}": getattr(wspace, n) for n in TRANSFERS.split()}
    for name in CREATORS.split():
        found[f"creators.{name}"] = _creator(name)
    return found


def _creator(name: str) -> Callable[..., Any]:
    def create(*args: Any, **kwargs: Any) -> Any:
        return getattr(wspace.current(), name)(*args, **kwargs)

    create.wrapped = getattr(np, name)  # type: ignore[attr-defined]
    return create


# ---- programs ------------------------------------------------------------------------


def nditer(a: Any, pause: Any) -> Any:
    flags = ["buffered", "external_loop", "delay_bufalloc"]
    made = np.empty(a.shape) if np.__version__ < "2.3" else None  # crashes there
    ops = [["readonly"], ["writeonly", "allocate"]]
    it = np.nditer([a, made], flags, ops, ["f8", "f8"], casting="unsafe")
    with it:
        it.reset()
        for x, y in it:
            pause()
            y[...] = x
        return it.operands[1]


def nditer_writeback(a: Any, pause: Any) -> Any:
    ops = [["readwrite", "updateifcopy"]]
    with np.nditer(a, [], ops, ["f4"], casting="unsafe") as it:
        pause()
        it.operands[0][...] = 2.0


def nditer_index(a: Any, x1: Any, pause: Any) -> Any:
    it = np.nditer([a, x1], ["multi_index", "refs_ok"])
    made = []
    while not it.finished:
        made.append((it.multi_index, it[0].copy(), it.value))
        pause()
        it.iternext()
    return made, it.copy().itersize, it.itviews


def broadcast(a: Any, x1: Any, pause: Any) -> Any:
    b = np.broadcast(a, x1)
    made = [next(b)]
    pause()
    return [*made, *b, b.shape, b.iters[0].index]


def flat(a: Any, pause: Any) -> Any:
    f = a.flat
    made = [next(f), f[1], f[1:4], len(f), f.index]
    pause()
    return [*made, next(f), f[2], f[1:4], f.copy(), list(f)]


def flat_assignment(a: Any, values: Any, pause: Any) -> Any:
    f = a.flat
    pause()
    f[1:4] = values
    f[[0, 1]] = values


def views(a: Any, pause: Any) -> Any:
    view, plain, rows = memoryview(a), np.asarray(a), iter(a)
    made = [view.nbytes, next(rows)]
    pause()
    return [*made, view.tobytes(), plain.sum(), plain.copy()]


def enumeration(a: Any, pause: Any) -> Any:
    return [(index, pause(x)) for index, x in np.ndenumerate(a)]


def rows(a: Any, pause: Any) -> Any:
    return [pause(row) for row in a]


def from_iterator(a: Any, pause: Any) -> Any:
    return np.fromiter((pause(x) for x in a.flat), float)


def from_text(a: Any, pause: Any) -> Any:
    return np.fromstring(" ".join(map(str, a.flat)), sep=" "), pause()


def pickled(a: Any, pause: Any) -> Any:
    return len(pickle.dumps(a, 5, buffer_callback=lambda buffer: pause() is None))


def formatted(a: Any, pause: Any) -> Any:
    return np.array2string(a, formatter={"all": lambda x: str(pause(x))})


def by_python(a: Any, pause: Any) -> Any:
    return np.frompyfunc(lambda x: pause(x), 1, 1)(a)


def vectorized(a: Any, x1: Any, pause: Any) -> Any:
    return np.vectorize(lambda x, y: (pause(x), y))(a, x1)


def sorted_by(a: Any, pause: Any) -> Any:
    return sorted(a, key=lambda x: float(pause(x).sum()))


def interfaces(a: Any, pause: Any) -> Any:
    made = [a.__array_struct__, a.__dlpack__(), a.ctypes, a.flags, a.data]
    pause()
    return [made[2].data == a.__array_interface__["data"][0]]


def bound(a: Any, pause: Any) -> Any:
    methods = [a.tobytes, a.tolist, a.copy, a.sum, a.argsort, a.ravel, a.nonzero]
    methods += [a.view, a.any, a.sort, a.cumsum, a.argmax, a.__copy__, a.__repr__]
    pause()
    made = []
    for method in methods:
        try:
            made.append(method())
        except wspace.StaleArrayError:
            made.append(None)
    return made[:2]


def programs() -> Functions:
    """Return the functions above that take `pause`, by name."""
    found = [f for f in globals().values() if inspect.isfunction(f)]
    found = [f for f in found if "pause" in inspect.signature(f).parameters]
    return {f"program.{f.__name__}": f for f in found if f is not fill}
