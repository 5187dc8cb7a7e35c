# SPDX-License-Identifier: BSD-3-Clause
"""Replace the arrays in nested containers, and copy only those that change."""

from __future__ import annotations

import copy
import dataclasses
import types
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from wspace import _arena, _errors

_T = TypeVar("_T")
_Leaf = Callable[[Any], Any]


def walk(x: _T, leaf: _Leaf) -> _T:
    """Return `x` with `leaf` applied to each array in it; `x` itself if none changed.

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
    is_plain = kind is np.ndarray and x.dtype.type is not np.object_  # type: ignore[attr-defined]
    result: _T = leaf(x) if is_plain else _Walk(leaf).visit(x)
    return result


class _Walk:
    def __init__(self, leaf: _Leaf) -> None:
        self._leaf = leaf
        # By identity: what a container became, itself while it is being walked. The
        # container is kept with it so that its identity is not used again.
        self._seen: dict[int, tuple[Any, Any]] = {}

    def visit(self, x: Any) -> Any:
        if _arena.is_stale(x):
            _arena.raise_stale(x)
        if isinstance(x, np.ndarray):
            return self._array(x)
        rebuild = _rebuild_of(x)
        if rebuild is None:
            return x
        if id(x) in self._seen:
            return self._seen[id(x)][1]
        self._seen[id(x)] = (x, x)
        result = rebuild(self, x)
        self._seen[id(x)] = (x, result)
        return result

    def _array(self, array: Any) -> Any:
        moved = self._leaf(array)
        if array.dtype.type is not np.object_:
            return moved
        items, changed = self._items(array.flat)
        if changed:
            moved = moved.copy() if moved is array else moved
            for i, item in enumerate(items):
                moved.flat[i] = item
        return moved

    def _items(self, values: Iterable[Any]) -> tuple[list[Any], bool]:
        before = list(values)
        after = [self.visit(value) for value in before]
        return after, any(a is not b for a, b in zip(after, before, strict=True))

    def list(self, x: Any) -> Any:
        items, changed = self._items(x)
        if not changed:
            return x
        result = copy.copy(x)
        for i, item in enumerate(items):
            result[i] = item
        return result

    def tuple(self, x: Any) -> Any:
        items, changed = self._items(x)
        if not changed:
            return x
        make = getattr(type(x), "_make", None)  # named tuples
        return type(x)(items) if make is None else make(items)

    def dict(self, x: Any) -> Any:
        items, changed = self._items(x.values())
        if not changed:
            return x
        result = copy.copy(x)
        for key, item in zip(x, items, strict=True):
            result[key] = item
        return result

    def dataclass(self, x: Any) -> Any:
        names = [f.name for f in dataclasses.fields(x) if hasattr(x, f.name)]
        items, changed = self._items(getattr(x, name) for name in names)
        if not changed:
            return x
        result = copy.copy(x)
        for name, item in zip(names, items, strict=True):
            object.__setattr__(result, name, item)  # frozen ones, too
        return result

    def pandas(self, x: Any) -> Any:
        """Have an object of pandas or xarray copy its arrays by its own means."""
        return self._copied_by_itself(x)

    def sealed(self, x: Any) -> Any:
        """Look into a container that cannot be rebuilt."""
        if self._items(_contents(x))[1]:
            raise _errors.cannot_walk(type(x).__name__)
        return x

    def _copied_by_itself(self, x: Any) -> Any:
        from wspace._scope import scope_out

        with scope_out():
            return x.copy(deep=True)


_HOLD_NOTHING = {type(None), bool, int, float, complex, str, np.float64, np.float32}
_COPIED_BY_THEMSELVES = {
    "pandas": ("DataFrame", "Series", "Index"),
    "xarray": ("DataArray", "Dataset", "Variable"),
}
_SEALED: tuple[type[Any], ...] = (
    types.MappingProxyType,
    types.SimpleNamespace,
    memoryview,
    type({}.values()),
    type({}.items()),
    set,
    frozenset,
)


def _rebuild_of(x: Any) -> Callable[[_Walk, Any], Any] | None:
    """Return how to walk `x`; None: it holds no arrays as far as is known."""
    if isinstance(x, tuple):
        return _Walk.tuple
    if isinstance(x, list | deque):
        return _Walk.list
    if isinstance(x, dict):
        return _Walk.dict
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return _Walk.dataclass
    if isinstance(x, _SEALED):
        return _Walk.sealed
    for kind in type(x).__mro__:
        package = kind.__module__.partition(".")[0]
        if kind.__name__ in _COPIED_BY_THEMSELVES.get(package, ()):
            return _Walk.pandas
    return None


def _contents(x: Any) -> Iterable[Any]:
    if isinstance(x, memoryview):
        return [x.obj]
    if isinstance(x, types.SimpleNamespace):
        return vars(x).values()
    return x.values() if isinstance(x, Mapping) else x
