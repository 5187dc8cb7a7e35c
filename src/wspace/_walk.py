# SPDX-License-Identifier: BSD-3-Clause
"""Replace the arrays in nested containers, and copy only those that change."""

from __future__ import annotations

import copy
import dataclasses
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from wspace import _arena, _errors

_T = TypeVar("_T")
_Leaf = Callable[[Any], Any]
_Library = Callable[[Any, list[Any]], Any]


def walk(x: _T, leaf: _Leaf, library: _Library) -> _T:
    """Return `x` with `leaf` applied to each array in it; `x` itself if none changed.

    What occurs twice, or holds itself, does so in the result.
    Objects of pandas and xarray go to `library`, with the arrays that they hold.

    Raises
    ------
    StaleArrayError
        If an array is stale.
    TypeError
        If a container that cannot be rebuilt holds an array that changes.
    """
    kind = type(x)
    if kind in _HOLD_NOTHING:
        return x
    if kind is np.ndarray and not x.dtype.hasobject:  # type: ignore[attr-defined]
        return leaf(x)  # type: ignore[no-any-return]
    found = _Walk(leaf, library)
    found.explore(x)
    return found.rebuild(x)  # type: ignore[no-any-return]


_HOLD_NOTHING = {type(None), bool, int, float, complex, str, np.float64, np.float32}


class _Walk:
    """Two passes: find what changes, then copy that and whatever holds it.

    Everything is known by its identity, and kept so that no identity is used again.
    """

    def __init__(self, leaf: _Leaf, library: _Library) -> None:
        self._leaf = leaf
        self._library = library
        self._seen: dict[int, Any] = {}
        self._holders: dict[int, list[Any]] = {}  # who holds it
        self._changes: set[int] = set()
        self._done: dict[int, Any] = {}  # what it became

    def explore(self, x: Any) -> None:
        """Apply the leaf to every array, and mark what has to be copied."""
        waiting = [x]
        while waiting:
            x = waiting.pop()
            if id(x) in self._seen or type(x) in _HOLD_NOTHING:
                continue
            self._seen[id(x)] = x
            if _arena.is_stale(x):
                _arena.raise_stale(x)
            held = arrays_in(x)
            if held is not None or isinstance(x, np.ndarray):
                moved = self._leaf(x) if held is None else self._library(x, held)
                self._done[id(x)] = moved
                if moved is not x:
                    self._mark(x)
            for item in _contents(x):
                self._holders.setdefault(id(item), []).append(x)
                if id(item) in self._changes:
                    self._mark(x)
                waiting.append(item)

    def _mark(self, x: Any) -> None:
        """Note that `x` changes, and with it all that hold it."""
        waiting = [x]
        while waiting:
            x = waiting.pop()
            if id(x) in self._changes:
                continue
            self._changes.add(id(x))
            if isinstance(x, _SEALED):
                raise _errors.cannot_walk(type(x).__name__)
            waiting.extend(self._holders.get(id(x), ()))

    def rebuild(self, x: Any) -> Any:
        """Return what `x` becomes."""
        if id(x) not in self._changes:
            return x
        if isinstance(x, np.ndarray):
            return self._array(x)
        if id(x) in self._done:
            return self._done[id(x)]
        if isinstance(x, tuple):
            return self._tuple(x)
        if isinstance(x, list | deque):
            return self._list(x)
        return self._dict(x) if isinstance(x, dict) else self._dataclass(x)

    def _array(self, x: Any) -> Any:
        moved = self._done[id(x)]
        if any(id(item) in self._changes for item in _contents(x)):
            if moved is x:
                moved = self._done[id(x)] = x.copy()
            for i, item in enumerate(_contents(x)):
                moved.flat[i] = self.rebuild(item)
        return moved

    def _tuple(self, x: Any) -> Any:
        items = [self.rebuild(item) for item in x]
        if id(x) in self._done:  # it holds itself, by way of a list
            return self._done[id(x)]
        try:
            result = tuple.__new__(type(x), items)
            getattr(result, "__dict__", {}).update(getattr(x, "__dict__", {}))
        except TypeError:  # a type of C's that wants to be called
            result = type(x)(items)
        self._done[id(x)] = result
        return result

    def _list(self, x: Any) -> Any:
        result = self._done[id(x)] = copy.copy(x)
        for i, item in enumerate(x):
            result[i] = self.rebuild(item)
        return result

    def _dict(self, x: Any) -> Any:
        result = self._done[id(x)] = copy.copy(x)
        for key, item in x.items():
            result[key] = self.rebuild(item)
        return result

    def _dataclass(self, x: Any) -> Any:
        result = self._done[id(x)] = object.__new__(type(x))
        vars(result).update(vars(x)) if hasattr(x, "__dict__") else None
        for name in (*_slots(x), *_fields(x)):
            if hasattr(x, name):
                item = self.rebuild(getattr(x, name))
                object.__setattr__(result, name, item)  # frozen ones, too
        return result


# ---- what is in a container ----------------------------------------------------------

# Known to hold arrays now and then, and not to be rebuilt.
_SEALED: tuple[type, ...] = (
    types.MappingProxyType,
    types.SimpleNamespace,
    memoryview,
    type({}.values()),
    type({}.items()),
    set,
    frozenset,
)


def _contents(x: Any) -> Iterable[Any]:
    """Return what `x` holds; nothing, if it is not known to hold anything."""
    if isinstance(x, np.ndarray):
        return list(x.flat) if x.dtype.type is np.object_ else ()
    if isinstance(x, tuple | list | deque | set | frozenset):
        return list(x)
    if isinstance(x, dict | types.MappingProxyType):
        return list(x.values())
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return [getattr(x, name) for name in _fields(x) if hasattr(x, name)]
    if isinstance(x, memoryview):
        return [x.obj]
    if isinstance(x, types.SimpleNamespace):
        return list(vars(x).values())
    if isinstance(x, _SEALED):
        views: Iterable[Any] = x  # type: ignore[assignment]
        return list(views)
    return ()


def _fields(x: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(x)]


def _slots(x: Any) -> list[str]:
    names = []
    for kind in type(x).__mro__:
        slots = getattr(kind, "__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]


# ---- objects of pandas and xarray ----------------------------------------------------


def _of_index(x: Any) -> list[Any]:
    return [x.to_numpy()] if isinstance(x.dtype, np.dtype) else []


def _of_series(x: Any) -> list[Any]:
    return _of_index(x) + _of_index(x.index)


def _of_frame(x: Any) -> list[Any]:
    columns = [array for _, column in x.items() for array in _of_index(column)]
    return columns + _of_index(x.index)


def _of_variables(x: Any) -> list[Any]:
    variables = getattr(x, "variables", None) or {None: x, **getattr(x, "coords", {})}
    return [v.data for v in variables.values() if isinstance(v.data, np.ndarray)]


_LIBRARIES: dict[tuple[str, str], Callable[[Any], list[Any]]] = {
    ("pandas", "DataFrame"): _of_frame,
    ("pandas", "Series"): _of_series,
    ("pandas", "Index"): _of_index,
    ("xarray", "Dataset"): _of_variables,
    ("xarray", "DataArray"): _of_variables,
    ("xarray", "Variable"): _of_variables,
}


def arrays_in(x: Any) -> list[Any] | None:
    """Return NumPy's arrays in an object of pandas or xarray; None for all others."""
    if type(x).__module__ == "builtins":
        return None
    for kind in type(x).__mro__:
        package = str(kind.__module__).partition(".")[0]
        found = _LIBRARIES.get((package, kind.__name__))
        if found is not None:
            return found(x)
    return None


def copy_of(x: Any) -> Any:
    """Have such an object copy all its arrays."""
    result = x.copy(deep=True)
    if hasattr(x, "index") and arrays_in(x.index):  # pandas shares it otherwise
        result.index = x.index.copy(deep=True)
    return result
