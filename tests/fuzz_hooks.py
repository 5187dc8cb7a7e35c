# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that run Python code when NumPy asks them for data; for fuzz_swap.

Each stands in for a value and gives a scene a chance to end the scope whenever it is
asked, then answers with the value.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from fuzz_arguments import Arr, File, grow


class Scene(Protocol):
    """What a hook needs to know of a case."""

    pool: dict[str, Any]

    def chance(self) -> None:
        """End the scope if this is the time for it."""


class Hook:
    """Stand in for a value, and give the scene a chance whenever NumPy asks for it."""

    def __init__(self, value: Any, scene: Scene) -> None:
        self.value = value
        self.scene = scene

    def ask(self) -> Any:
        """Give the scene a chance, then answer."""
        self.scene.chance()
        return self.value

    def answered(self, tree: Any) -> Any:
        """Replace the hooks in a tree by what they stand for."""
        return grow(tree, lambda x: x.ask() if isinstance(x, Hook) else x)


class ByArray(Hook):
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.ask(), dtype)


class ByInterface(Hook):
    @property
    def __array_interface__(self) -> Any:
        return self.ask().__array_interface__


class ByStruct(Hook):
    @property
    def __array_struct__(self) -> Any:
        return self.ask().__array_struct__


class BySequence(Hook):
    def __len__(self) -> int:
        return len(self.ask())

    def __getitem__(self, i: Any) -> Any:
        return self.ask()[i]


class ByPriority(ByArray):
    @property
    def __array_priority__(self) -> float:
        self.ask()
        return 1e9

    def __array_wrap__(self, array: Any, *rest: Any) -> Any:
        self.ask()
        return array


class ByUfunc(ByArray):
    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any):
        args, kwargs = self.answered((args, kwargs))
        return getattr(ufunc, method)(*args, **kwargs)


class ByFunction(ByArray):
    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = self.answered((args, kwargs))
        return func(*args, **kwargs)


class ByDeath(ByArray):
    """The array that it gives away dies in NumPy's hands, and ends the scope then."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        class Dying:
            __array_interface__ = self.value.__array_interface__
            value, scene = self.value, self.scene

            def __del__(self) -> None:
                self.scene.chance()

        return np.asarray(Dying()).astype(dtype or self.value.dtype, copy=False)


class ByCall(Hook):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.ask()(*args, **kwargs)


class ByDtype(Hook):
    @property
    def dtype(self) -> Any:
        return np.dtype(self.ask())


class ByPath(Hook):
    def __fspath__(self) -> str:
        return self.ask()  # type: ignore[no-any-return]


class ByFile(File):
    scene: Scene

    def write(self, data: Any) -> int:
        self.scene.chance()
        return super().write(data)


class Subclass(np.ndarray):
    scene: Any = None

    def __array_finalize__(self, parent: Any) -> None:
        self.scene = getattr(parent, "scene", None)
        if self.scene is not None:
            self.scene.chance()

    def __array_wrap__(self, array: Any, *rest: Any) -> Any:
        self.scene.chance()
        return array


class Number(Hook):
    """A number, as an element of an array of objects or on its own."""

    def __getattr__(self, name: str) -> Any:
        if name[0] == "_":
            raise AttributeError(name)
        method = getattr(np.float64(self.value), name, None) or getattr(np, name)
        return lambda *args: (self.ask(), method(*args or (self.value,)))[1]


def _plain(x: Any) -> Any:
    return x.ask() if isinstance(x, Number) else x


UNARY = "index int float complex bool hash abs neg pos invert round"
BINARY = "add sub mul truediv floordiv mod pow matmul and or xor"
for _name in UNARY.split():
    _function = getattr(operator, _name, None) or eval(_name)
    setattr(Number, f"__{_name}__", lambda a, f=_function: f(a.ask()))
for _name in BINARY.split():
    _function = getattr(operator, f"__{_name}__")
    _forward = lambda a, b, f=_function: f(a.ask(), _plain(b))  # noqa: E731
    _backward = lambda a, b, f=_function: f(_plain(b), a.ask())  # noqa: E731
    setattr(Number, f"__{_name}__", _forward)
    setattr(Number, f"__r{_name}__", _backward)
for _name in ("lt", "le", "eq", "ne", "gt", "ge"):
    _function = getattr(operator, _name)
    setattr(Number, f"__{_name}__", lambda a, b, f=_function: f(a.ask(), _plain(b)))


def elements(value: Any, scene: Scene) -> Any:
    """Make an array of objects that are numbers."""
    made = np.empty(value.shape, object)
    made.flat = [Number(x, scene) for x in value.ravel().tolist()]
    return made


def subclass(value: Any, scene: Scene) -> Any:
    made = value.copy().view(Subclass)
    made.scene = scene
    return made


ARRAY_HOOKS: list[Callable[[Any, Scene], Any]] = [
    *[ByArray, ByInterface, ByStruct, BySequence, ByPriority, ByUfunc, ByFunction],
    *[ByDeath, elements, subclass],
]


def hooked(leaf: Any, scene: Scene, rng: random.Random) -> Any:
    """Replace a leaf of the arguments by one that asks the scene, if it can be."""
    if isinstance(leaf, Arr):
        value = scene.pool[leaf.name].copy()
        hook = rng.choice(ARRAY_HOOKS)
        if hook is ByStruct and value.dtype.kind not in "biufc":
            hook = ByArray  # NumPy reads beyond the end of strings there
        if leaf.name.startswith("out"):
            hook = subclass  # NumPy crashes on others without our help
        return hook(value, scene)
    if leaf is File:
        file = ByFile()
        file.scene = scene
        return file
    if isinstance(leaf, slice):
        return slice(Number(leaf.start, scene), Number(leaf.stop, scene))
    if isinstance(leaf, str) and leaf.startswith("/"):
        return ByPath(leaf, scene)
    if isinstance(leaf, type | np.dtype):
        return ByDtype(leaf, scene)
    if callable(leaf):
        return ByCall(leaf, scene)
    if isinstance(leaf, bool | int | float):
        hook = rng.choice([Number, ByArray, Number])
        return hook(leaf, scene)
    return leaf
