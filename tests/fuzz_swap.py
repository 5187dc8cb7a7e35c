# SPDX-License-Identifier: BSD-3-Clause
"""End a scope in the middle of every public NumPy function; a program.

Each case opens a scope, makes checked arrays, calls a function with them, and ends the
scope while the function is at work. Afterwards nothing may have crashed, no live array
may have changed, and what the function returned must be what it returns in peace.

    python tests/fuzz_swap.py [--seed N] [--seconds S] [--modes hook,gc,...] [--only RE]

What ends the scope, by mode: `hook`, an argument that runs Python code when NumPy asks it
for data; `profile`, any call that Python code makes; `gc`, the garbage collector, from
within C code; `error`, NumPy's floating point error callback or a warning; `thread`,
another thread while the call has released the GIL; `steal`, the same with the scope
entered by that thread at once. The case in hand is written to the file `--log`, for when
the process dies, with what it takes to run it again.
"""

from __future__ import annotations

import argparse
import gc
import io
import operator
import os
import random
import re
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import fuzz_calls
import numpy as np
from fuzz_calls import Arr, Call, File, grow, leaves

import wspace

PATTERN = 0xA5
CONFIGS: list[dict[str, Any]] = [
    {"initial_size": "1MiB"},
    {},
    {"initial_size": "64KiB", "spill": "external", "learning": "none"},
    {"initial_size": "1MiB", "record": True, "zero_on_reset": True},
    {"min_block": 1, "alignment": 256},
]


class WrongByte(AssertionError):
    """Something that must not happen did, short of a crash."""


# ---- one case ------------------------------------------------------------------------


class Scene:
    """An open cycle, and what must be true after it has ended under a call."""

    def __init__(self, ws: wspace.Workspace, pool: dict[str, Any]) -> None:
        self.ws = ws
        self.pool = pool
        self.after = 0  # what happens when the scope has ended
        self.at = 0  # at which chance it ends; 0: never
        self.chances = 0
        self.ended = False
        self.fresh: list[Any] = []
        self.checked: list[tuple[Any, Any, bytes]] = []
        self.owners: list[Any] = []

    def array(self, name: str) -> Any:
        array = self.ws.array(self.pool[name])
        self.checked.append((array, np.asarray(array), self.pool[name].tobytes()))
        return array

    def chance(self) -> None:
        """End the scope if this is the time for it."""
        self.chances += 1
        if self.chances == self.at:
            self.end()

    def end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.ws.__exit__(None, None, None)
        if self.after == 1:  # the next cycle is open when the call goes on
            self.ws.__enter__()
            self.fresh = self._fill()
        elif self.after == 2:
            for _ in range(2):
                with self.ws:
                    self.fresh += self._fill()
        elif self.after == 3:
            self.ws.release()
            gc.collect(0)

    def _fill(self) -> list[Any]:
        sizes = {plain.nbytes for _, plain, _ in self.checked} | {1024, 5000}
        return [np.full(size, PATTERN, "u1") for size in sizes]

    def close(self) -> None:
        if self.ws.is_open:
            self.ws.__exit__(None, None, None)

    def check(self, written: set[int]) -> None:
        """Raise unless all bytes are right; `written` are arguments the call changes."""
        for i, (array, plain, before) in enumerate(self.checked):
            if not wspace.is_stale(array):
                raise WrongByte(f"argument {i} is not stale")
            if i not in written and plain.tobytes() != before:
                raise WrongByte(f"argument {i} changed")
        if any((array != PATTERN).any() for array in self.fresh):
            raise WrongByte("an array of the next cycle changed")
        if not self.ws._arena.check():
            raise WrongByte("an invariant of the core is broken")

    def changed(self) -> set[int]:
        seen = enumerate(self.checked)
        return {i for i, (_, plain, old) in seen if plain.tobytes() != old}


# ---- arguments that end the scope ----------------------------------------------------


class Hook:
    """Stand in for a value, and give the scene a chance whenever NumPy asks for it."""

    def __init__(self, value: Any, scene: Scene) -> None:
        self.value = value
        self.scene = scene

    def ask(self) -> Any:
        self.scene.chance()
        return self.value


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
    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        self.ask()
        plain = [a.value if isinstance(a, Hook) else a for a in args]
        return getattr(ufunc, method)(*plain, **kwargs)


class ByFunction(ByArray):
    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = grow(
            (args, kwargs), lambda a: a.ask() if isinstance(a, Hook) else a
        )
        return func(*args, **kwargs)


class ByDeath(ByArray):
    """The array that it gives away dies in NumPy's hands, and ends the scope then."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        class Dying:
            __array_interface__ = self.value.__array_interface__
            scene = self.scene

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


for _name in "index int float complex bool hash abs neg pos invert round".split():
    _function = getattr(operator, _name, None) or eval(_name)
    setattr(Number, f"__{_name}__", lambda a, f=_function: f(a.ask()))
for _name in "add sub mul truediv floordiv mod pow matmul and or xor".split():
    _function = getattr(operator, f"__{_name}__")
    _forward = lambda a, b, f=_function: f(a.ask(), _plain(b))  # noqa: E731
    _backward = lambda a, b, f=_function: f(_plain(b), a.ask())  # noqa: E731
    setattr(Number, f"__{_name}__", _forward)
    setattr(Number, f"__r{_name}__", _backward)
for _name in "lt le eq ne gt ge".split():
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
    ByArray, ByInterface, ByStruct, BySequence, ByPriority, ByUfunc, ByFunction, ByDeath,
    elements, subclass,
]  # fmt: skip


def hooked(leaf: Any, scene: Scene, rng: random.Random) -> Any:
    """Replace a leaf of the arguments by one that asks the scene; itself if it cannot."""
    if isinstance(leaf, Arr):
        return rng.choice(ARRAY_HOOKS)(scene.pool[leaf.name].copy(), scene)
    if leaf is File:
        file = ByFile()
        file.scene = scene
        return file
    if isinstance(leaf, type | np.dtype):
        return ByDtype(leaf, scene)
    if callable(leaf):
        return ByCall(leaf, scene)
    if isinstance(leaf, bool | int | float):
        hook = rng.choice([Number, ByArray, Number])
        return hook(leaf, scene)
    return leaf
