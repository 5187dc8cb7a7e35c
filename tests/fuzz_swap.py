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
import contextvars
import faulthandler
import gc
import os
import random
import re
import resource
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import fuzz_calls
import fuzz_hooks
import numpy as np
from fuzz_arguments import Arr, Call, File, Pool, find_calls, grow, leaves, make_pool

import wspace

Function: TypeAlias = Callable[..., Any]

PATTERN = 0xA5
BIG = 1024  # scale of arguments for the threads
CONFIGS: list[dict[str, Any]] = [
    {"initial_size": "1MiB"},
    {},
    {"initial_size": "64KiB", "spill": "external", "learning": "none"},
    {"initial_size": "1MiB", "record": True, "zero_on_reset": True},
    {"min_block": 1, "alignment": 256},
]


# ---- one case ------------------------------------------------------------------------


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
        return function(*args) if self.context is None else self.context.run(function, *args)

    def array(self, name: str) -> Any:
        """Make a checked argument."""
        array = self.ws.array(self.pool[name])
        self.checked += [array, array]  # twice: one may be lost
        self.plain.append((np.asarray(array), self.pool[name].tobytes()))
        return array

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


THREADED = ("thread", "steal")

LOST: list[Any] = []  # kept for ever: to free them once more would be a crash

# ---- calling -------------------------------------------------------------------------


def run(function: Function, args: Any, kwargs: Any) -> tuple[str, Any]:
    """Call, and turn what comes of it into a value without references to frames."""
    try:
        return "returned", function(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)


def in_peace(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
    return run(function, args, kwargs)


def under_profile(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
    sys.setprofile(lambda *event: scene.chance())
    try:
        return run(function, args, kwargs)
    finally:
        sys.setprofile(None)


def under_gc(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
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


def under_errors(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *warning: scene.chance()
        with np.errstate(all="call", call=lambda *error: scene.chance()):
            return run(function, args, kwargs)


def until_ended(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
    """Call again and again, so that the scope ends in the middle of the last one."""
    while True:
        outcome = run(function, args, kwargs)
        if scene.ended or scene.at == 0:
            return outcome


def in_thread(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
    """Call in another thread, and end the scope here meanwhile."""
    outcome: list[Any] = []
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


def robbed(function: Function, args: Any, kwargs: Any, scene: Scene) -> Any:
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
            array = scene.array(leaf.name)
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


def agree(value: Any, expected: Any) -> bool:
    """Say whether a result that is still of use is the expected one."""
    try:
        return same(value, expected) or not repr(value)
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
        return value.shape == expected.shape and repr(value) == repr(expected)
    if isinstance(value, bool | int | str | bytes):
        return bool(value == expected)
    return True


# ---- many cases ----------------------------------------------------------------------

# Their results are not initialised, or say where something is.
VAGUE = re.compile(
    r"\w+\.(byte_bounds|in_scope|is_stale|ids|empty\w*|as_strided|id|hash|repr|str|sizeof|format|at"
    r"|ctypes|recarray|chararray|ndarray|array2string|formatted|record|__sizeof__)"
)


def is_vague(call: Call) -> bool:
    """Say whether the result may differ from one call to the next."""
    is_partial = "where" in call.kwargs and call.kwargs.get("out") is None
    return is_partial or VAGUE.fullmatch(call.name) is not None


# For the threads: too slow or too large on large arrays.
HEAVY = re.compile(
    r".*(roots|poly|vander|outer|kron|fromroots|tile|corr|cov|diag|ix_|convolve).*"
)


class Fuzzer:
    """Find calls and play cases, reproducibly from a seed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.seed = options.seed
        self.log = os.open(options.log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.pools = {1: make_pool(1), BIG: make_pool(BIG)}
        self.calls: dict[tuple[str, int], list[Call]] = {}
        self.outcomes: Counter[str] = Counter()
        self.leaks: Counter[str] = Counter()
        self.failures: list[str] = []
        self.config = -1
        self.ws = wspace.Workspace("fuzz")

    def say(self, text: str) -> None:
        """Write down what is being done, in case it is the last thing."""
        os.pwrite(self.log, f"{text[:2000]:2000}\n".encode(errors="replace"), 0)

    def calls_of(self, name: str, function: Function, scale: int) -> list[Call]:
        key = name, scale
        if key not in self.calls:
            rng = random.Random(f"{self.seed} {key}")
            pool, attempt = self.pools[scale], self._attempt(scale)
            self.calls[key] = find_calls(name, function, rng, pool, attempt)
        return self.calls[key]

    def _attempt(self, scale: int) -> Callable[[Call], tuple[bool, Any]]:
        pool = self.pools[scale]

        def attempt(call: Call) -> tuple[bool, Any]:
            self.say(f"trying {call}")
            start = time.perf_counter()
            try:
                how, value, _, _ = self.play(call, "none", pool, random.Random(0))
            except MemoryError:
                return False, None
            fast = time.perf_counter() - start < 0.1
            return how == "returned" and fast, value

        return attempt

    def play(
        self, call: Call, mode: str, pool: Any, rng: Any, at: int = 0, after: int = 0
    ) -> tuple[str, Any, Scene, set[int]]:
        """Make a scene and the call; with at=0 in peace, and with a copy of the result."""
        scene = Scene(self.ws, pool, mode, at, after)
        try:
            args, kwargs = arguments(call, mode, scene, rng)
            how, value = WAYS.get(mode, in_peace)(call.function, args, kwargs, scene)
            changed = scene.changed()
            if at == 0:
                with wspace.scope_out():
                    value = snapshot(value)
        finally:
            scene.close()
        return how, value, scene, changed

    def case(self, call: Call, mode: str, number: int) -> None:
        """Play once in peace, and then end the scope at one of the chances it had."""
        seed = f"{self.seed} {call.name} {mode} {number}"
        rng = random.Random(seed)
        at, after, moment = 0, rng.randrange(4), rng.random()
        pool = self.pools[BIG if mode in THREADED else 1]
        play_seed = rng.random()

        def play(at: int) -> tuple[str, Any, Scene, set[int]]:
            self.say(
                f"--seed {self.seed} --only '^{re.escape(call.name)}$' --modes "
                f"{mode} --round {number}: chance {at}, after {after}\n{call}"
            )
            return self.play(call, mode, pool, random.Random(play_seed), at, after)

        how, expected, scene, written = play(0)
        leaked = scene.check_references()
        chances = 4 if mode in THREADED else scene.chances
        if chances == 0:
            self.outcomes["no chance"] += 1
            return
        at = 1 + int(moment * chances)
        outcome, value, scene, _ = play(at)
        self.outcomes[outcome] += 1
        if outcome == "SystemError" != how and "bad argument" not in value:
            raise WrongByte(f"SystemError: {value}")
        if call.name.startswith("ma."):  # works in place and mends it at the end
            written = set(range(len(scene.plain)))
        scene.check(written)
        is_repeated = mode in THREADED and written
        if outcome == how == "returned" and not is_vague(call):
            if not (is_repeated or agree(value, expected)):
                raise WrongByte(f"returned {value!r:.300}\n  and not {expected!r:.300}")
        del value
        if scene.check_references() and not leaked:
            self.leaks[call.name] += 1

    def round(self, number: int, options: argparse.Namespace, deadline: float) -> None:
        """Play each call of each function once in each mode, in an order of its own."""
        self._renew(number)
        functions = fuzz_calls.targets()
        names = [name for name in functions if re.search(options.only, name)]
        if options.skip:
            names = [name for name in names if not re.search(options.skip, name)]
        random.Random(f"{self.seed} {number}").shuffle(names)
        for count, name in enumerate(names):
            if time.monotonic() > deadline:
                return
            if count % 50 == 49:
                gc.collect()
            for mode in options.modes.split(","):
                self._cases(name, functions[name], mode, number)

    def _cases(self, name: str, function: Function, mode: str, number: int) -> None:
        scale = BIG if mode in THREADED else 1
        if scale > 1 and HEAVY.fullmatch(name):
            return
        for call in self.calls_of(name, function, scale):
            try:
                self.case(call, mode, number)
            except WrongByte as problem:
                where = os.pread(self.log, 2000, 0).decode().strip()
                text = f"{where}\n  {problem}"
                self.failures.append(text)
                self.ws = wspace.Workspace("fuzz", initial_size="1MiB")
                print(text, flush=True)

    def _renew(self, number: int) -> None:
        """Take another workspace now and then."""
        config = CONFIGS[number % len(CONFIGS)]
        self.ws = wspace.Workspace("fuzz", **config)


def main() -> int:
    """Play rounds until the time is over; print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--modes", default=",".join(WAYS))
    parser.add_argument("--only", default="", help="names that match this expression")
    parser.add_argument("--skip", default="", help="and do not match this one")
    parser.add_argument("--round", type=int, default=None, help="this one alone")
    parser.add_argument("--log", default="fuzz_swap.log")
    options = parser.parse_args()
    fuzzer = prepare(options)
    deadline = time.monotonic() + options.seconds
    number = 0
    while time.monotonic() < deadline:
        fuzzer.round(
            number if options.round is None else options.round, options, deadline
        )
        number += 1
        if options.round is not None:
            break
    for outcome, times in fuzzer.outcomes.most_common():
        print(f"{outcome}: {times}")
    print("leaks:", dict(fuzzer.leaks))
    print(f"{fuzzer.outcomes.total()} cases, {len(fuzzer.failures)} failures")
    return 1 if fuzzer.failures else 0


def prepare(options: argparse.Namespace) -> Fuzzer:
    """Set up the process: crashes are explained, and noise is off."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(options.seconds + 60, exit=True)
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    sys.setswitchinterval(1e-4)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    gc.disable()
    gc.set_threshold(1, 10**6, 10**6)
    fuzzer = Fuzzer(options)
    gc.collect()
    gc.freeze()
    return fuzzer


if __name__ == "__main__":
    sys.exit(main())
