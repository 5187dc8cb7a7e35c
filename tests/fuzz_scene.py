# SPDX-License-Identifier: BSD-3-Clause
"""One case of fuzz_swap: an open scope, a call, and the moment when the scope ends."""

from __future__ import annotations

import contextvars
import gc
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import fuzz_hooks
import numpy as np
from fuzz_arguments import Arr, Call, File, Pool, grow, leaves

import wspace

Function: TypeAlias = Callable[..., Any]
Outcome: TypeAlias = tuple[str, Any]  # "returned" or the name of an exception; what

PATTERN = 0xA5
LAYOUTS = ["", "", "strided", "reversed", "turned"]
THREADED = ("thread", "steal")
LOST: list[Any] = []  # kept for ever: to free them once more would be a crash


class WrongByte(AssertionError):
    """Something that must not happen did, short of a crash."""


class Scene:
    """An open cycle, and what must be true after it has ended under a call."""

    def __init__(
        self, ws: wspace.Workspace, pool: Pool, mode: str, at: int = 0, after: int = 0
    ) -> None:
        self.ws = ws
        # Python does not bear a collection that sets context variables while others are
        # being set, so there the scope has a context of its own.
        self.context = contextvars.copy_context() if mode == "gc" else None
        self.pool = pool
        self.at = at  # the chance at which the cycle ends; 0: at none
        self.after = after  # what happens then
        self.chances = 0
        self.ended = False
        self.is_stolen = False
        self.fresh: list[Any] = []
        self.checked: list[Any] = []
        self.plain: list[tuple[Any, bytes]] = []
        self.problem: Exception | None = None
        self._do(ws.__enter__)
        self.captured = self._do(lambda: [np.full(size, 7.0) for size in (100, 200)])

    def _do(self, function: Function, *args: Any) -> Any:
        if self.context is None:
            return function(*args)
        return self.context.run(function, *args)

    def array(self, name: str, layout: str = "") -> Any:
        """Make a checked argument."""
        values = self.pool[name]
        if layout == "strided" and values.ndim:
            shape = (*values.shape[:-1], 2 * values.shape[-1])
            whole = self.ws.zeros(shape, values.dtype)
            array = whole[..., ::2]
            array[...] = values
            self._watch(np.asarray(whole))
        elif layout == "reversed" and values.ndim:
            array = self.ws.array(values[..., ::-1])[..., ::-1]
        else:
            array = self.ws.array(values, order="F" if layout == "turned" else "C")
        self.checked += [array, array]  # twice: one may be lost
        self._watch(np.asarray(array))
        return array

    def _watch(self, plain: Any) -> None:
        self.plain.append((plain, plain.tobytes()))

    def chance(self) -> None:
        """End the cycle if this is the time for it."""
        self.chances += 1
        if self.chances == self.at:
            self.end()

    def end(self) -> None:
        """End the cycle, and let others use its memory."""
        if self.ended:
            return
        self.ended = True
        self.is_stolen = threading.current_thread() is not threading.main_thread()
        try:
            self._do(self.ws.__exit__, None, None, None)
            self._do(self._go_on)
        except wspace.WorkspaceStateError:
            pass  # inside of `scope_out`: it ends after that
        except Exception as error:
            self.problem = error

    def _go_on(self) -> None:
        if self.after == 1:  # the next cycle is open when the call goes on
            self.ws.__enter__()
            self.fresh = self._fill()
        elif self.after == 2 or self.is_stolen:
            for _ in range(2):
                with self.ws:
                    self.fresh += self._fill()
        elif self.after == 3:
            self.ws.release()
            gc.collect(0)

    def _fill(self) -> list[Any]:
        sizes = {plain.nbytes for plain, _ in self.plain} | {1024, 5000}
        return [np.full(size, PATTERN, "u1") for size in sizes]

    def close(self) -> None:
        """Leave what is still open."""
        if self.ws.is_open or self.is_stolen:
            self._do(self.ws.__exit__, None, None, None)
        if not self.ws._arena.recover():
            self.problem = RuntimeError("the workspace is still open")

    def changed(self) -> set[int]:
        """Return which arguments have other bytes than they were made with."""
        return {i for i, (a, old) in enumerate(self.plain) if a.tobytes() != old}

    def check(self, may_change: set[int]) -> None:
        """Raise unless the memory is as it must be after the end of the cycle."""
        if self.problem is not None:
            raise WrongByte(f"the cycle did not end: {self.problem}")
        if not all(map(wspace.is_stale, self.checked)):
            raise WrongByte("an argument is not stale")
        if self.changed() - may_change:
            raise WrongByte("an argument changed that the function only reads")
        if any((array != PATTERN).any() for array in self.fresh):
            raise WrongByte("an array of the next cycle changed")
        if any((array != 7.0).any() for array in self.captured):
            raise WrongByte("a captured array changed")
        if not self.ws._arena.check():
            raise WrongByte("an invariant of the core is broken")
        handler = np._core.multiarray.get_handler_name()
        if handler != "default_allocator":
            raise WrongByte(f"the memory handler {handler!r} was left behind")

    def check_references(self) -> bool:
        """Raise if an argument lost a reference; say whether one has too many."""
        while self.checked:
            array = self.checked.pop()
            self.checked.pop()
            count = sys.getrefcount(array)
            if count != 2:
                gc.collect()
                count = sys.getrefcount(array)
            if count < 2:
                LOST.append(array)
                raise WrongByte("an argument lost a reference")
            if count > 2:
                return True
        return False


# ---- calling -------------------------------------------------------------------------


def run(function: Function, args: Any, kwargs: Any) -> Outcome:
    """Call, and turn what comes of it into a value without references to frames."""
    try:
        return "returned", function(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)


def in_peace(function: Function, args: Any, kwargs: Any, _: Scene) -> Outcome:
    return run(function, args, kwargs)


def under_profile(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    sys.setprofile(lambda *event: scene.chance())
    try:
        return run(function, args, kwargs)
    finally:
        sys.setprofile(None)


def under_gc(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    def callback(phase: str, facts: Any) -> None:
        if phase == "start":
            scene.chance()

    gc.callbacks.append(callback)
    inner = scene.context.run(contextvars.copy_context)
    gc.enable()
    try:
        return inner.run(run, function, args, kwargs)
    finally:
        gc.disable()
        gc.callbacks.remove(callback)


def under_errors(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *warning: scene.chance()
        with np.errstate(all="call", call=lambda *error: scene.chance()):
            return run(function, args, kwargs)


def until_ended(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    """Call again and again, so that the scope ends in the middle of the last one."""
    while True:
        outcome = run(function, args, kwargs)
        if scene.ended or scene.at == 0:
            return outcome


def in_thread(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    """Call in another thread, and end the scope here meanwhile."""
    outcome: list[Outcome] = []
    started = threading.Event()

    def work() -> None:
        started.set()
        outcome.append(until_ended(function, args, kwargs, scene))

    worker = threading.Thread(target=work)
    worker.start()
    started.wait()
    end_soon(scene)
    worker.join()
    return outcome.pop()


def robbed(function: Function, args: Any, kwargs: Any, scene: Scene) -> Outcome:
    """Call here, and have another thread end the scope and enter it meanwhile."""
    started = threading.Event()

    def steal() -> None:
        started.wait()
        end_soon(scene)

    thief = threading.Thread(target=steal)
    thief.start()
    started.set()
    try:
        return until_ended(function, args, kwargs, scene)
    finally:
        thief.join()


def end_soon(scene: Scene) -> None:
    """End the scope when the other thread gives up the GIL, or some times later."""
    if scene.at == 0:
        return
    for _ in range(scene.at - 1):
        time.sleep(0)
    scene.end()


WAYS = {
    "hook": in_peace,
    "profile": under_profile,
    "gc": under_gc,
    "error": under_errors,
    "thread": in_thread,
    "steal": robbed,
}


def arguments(call: Call, mode: str, scene: Scene, rng: random.Random) -> Any:
    """Make the arguments of a call, with hooks among them in that mode."""
    trees = list(leaves((call.args, call.kwargs)))
    last_array = max(i for i, leaf in enumerate(trees) if isinstance(leaf, Arr))
    hooked = {rng.randrange(len(trees)) for _ in range(2)} if mode == "hook" else set()
    if all(i in hooked for i, leaf in enumerate(trees) if isinstance(leaf, Arr)):
        hooked.discard(last_array)
    numbers = iter(range(len(trees)))

    def make(leaf: Any) -> Any:
        i = next(numbers)
        if i in hooked:
            leaf = fuzz_hooks.hooked(leaf, scene, rng)
        if isinstance(leaf, Arr):
            array = scene.array(
                leaf.name, rng.choice(LAYOUTS) if mode != "none" else ""
            )
            mask = np.arange(array.size) % 3 == 0
            return np.ma.array(array, mask=mask) if leaf.masked else array
        return leaf() if leaf is File else leaf

    return grow((call.args, call.kwargs), make)


# ---- results -------------------------------------------------------------------------


def snapshot(value: Any) -> Any:
    """Copy a result out of the scope."""
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    if isinstance(value, np.ndarray):
        return np.array(value, subok=isinstance(value, np.ma.MaskedArray))
    return value


def is_made_stale(value: Any) -> bool:
    """Say whether it is a stale array that has never been a valid one."""
    return wspace.is_stale(value) and not wspace._arena.is_linked(value)


def agree(value: Any, expected: Any) -> bool:
    """Say whether a result is the expected one, if it is still of use."""
    try:
        return same(value, expected) or " object at 0x" in repr(value)
    except Exception:  # some of it is stale, or it is a masked array of NumPy's bugs
        return True


def same(value: Any, expected: Any) -> bool:
    """Compare a result with a snapshot of what it should be, as far as both tell."""
    if wspace.is_stale(value) or wspace.is_stale(expected):
        return True
    if isinstance(value, list | tuple) and isinstance(expected, list):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(same(*pair) for pair in pairs)
    if isinstance(value, np.ma.MaskedArray):
        masks = [np.shape(value._mask), np.shape(expected._mask)]
        if any(shape not in ((), value.shape) for shape in masks):
            return True  # np.ma lets that happen
        value, expected = value.filled(0), np.ma.filled(expected, 0)
    if isinstance(value, np.ndarray | np.generic):
        value, expected = np.asarray(value), np.asarray(expected)
        if value.dtype.hasobject or expected.dtype.hasobject:
            return True
        if value.dtype.kind in "fc":
            return np.allclose(value, expected, 1e-4, 1e-6, equal_nan=True)
        return repr(value.tolist()) == repr(expected.tolist())
    if isinstance(value, bool | int | str | bytes):
        return bool(value == expected)
    return True
