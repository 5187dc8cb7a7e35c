# SPDX-License-Identifier: BSD-3-Clause
"""End a scope in the middle of every public NumPy function; a program.

Each case opens a scope, makes checked arrays, calls a function with them, and ends the
scope while the function is at work. Afterwards nothing may have crashed, no live array
may have changed, and what the function returned must be what it returns in peace.

    python tests/fuzz_swap.py [--seed N] [--seconds S] [--modes hook,gc] [--only RE]

What ends the scope, by mode: `hook`, an argument that runs Python code when NumPy asks
it for data; `profile`, any call that Python code makes; `gc`, the garbage collector,
from within C code; `error`, NumPy's callback for floating point errors, or a warning;
`thread`, another thread while the call computes; `steal`, the same with the scope
entered by that thread at once. The case in hand is in the file `--log`, with what it
takes to run it again, for when the process dies.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import re
import resource
import sys
import time
import warnings
from collections import Counter
from typing import Any

import fuzz_calls
import numpy as np
from fuzz_arguments import Attempt, Call, Pool, find_calls, make_pool
from fuzz_scene import (
    THREADED,
    WAYS,
    Function,
    Scene,
    WrongByte,
    agree,
    arguments,
    in_peace,
    is_made_stale,
    snapshot,
)

import wspace

BIG = 1024  # scale of arguments for the threads
CONFIGS: list[dict[str, Any]] = [
    {"initial_size": "1MiB"},
    {},
    {"initial_size": "64KiB", "spill": "external", "learning": "none"},
    {"initial_size": "1MiB", "record": True, "zero_on_reset": True},
    {"min_block": 1, "alignment": 256},
]

# Their results are not initialised, or say where something is, or whose; or they take
# any exception for an answer; or change a list, again and again.
VAGUE = re.compile(
    r"\w+\.(byte_bounds|in_scope|is_stale|ids|empty\w*|as_strided|id|hash|repr|str"
    r"|sizeof|format|ctypes|recarray|chararray|ndarray|array2string|formatted|record"
    r"|__sizeof__|array_equal|array_equiv|iconcat)"
)
# Too slow or too large for the threads.
HEAVY = re.compile(
    r".*(roots|poly|vander|outer|kron|fromroots|tile|corr|cov|diag|ix_|convolve).*"
)


def is_vague(call: Call) -> bool:
    """Say whether the result may differ from one call to the next."""
    is_partial = "where" in call.kwargs and call.kwargs.get("out") is None
    return is_partial or VAGUE.fullmatch(call.name) is not None


class Fuzzer:
    """Find calls and play cases, reproducibly from a seed."""

    def __init__(self, seed: int, log: str) -> None:
        self.seed = seed
        self.log = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        self.pools = {1: make_pool(1), BIG: make_pool(BIG)}
        self.calls: dict[tuple[str, int], list[Call]] = {}
        self.outcomes: Counter[str] = Counter()
        self.leaks: Counter[str] = Counter()
        self.failures = 0
        self.ws = wspace.Workspace("fuzz")

    def say(self, text: str) -> None:
        """Write down what is being done, in case it is the last thing."""
        os.pwrite(self.log, f"{text[:2000]:2000}\n".encode(errors="replace"), 0)

    # ---- calls -----------------------------------------------------------------------

    def calls_of(self, name: str, function: Function, scale: int) -> list[Call]:
        """Find calls of a function once."""
        key = name, scale
        if key not in self.calls:
            rng = random.Random(f"{self.seed} {key}")
            pool = self.pools[scale]
            self.calls[key] = find_calls(name, function, rng, pool, self._attempt(pool))
        return self.calls[key]

    def _attempt(self, pool: Pool) -> Attempt:
        def attempt(call: Call) -> tuple[bool, Any]:
            self.say(f"trying {call}")
            start = time.perf_counter()
            try:
                how, value, _, _ = self.play(call, "none", pool, random.Random(0))
            except MemoryError:
                return False, None
            is_fast = time.perf_counter() - start < 0.1
            return how == "returned" and is_fast, value

        return attempt

    # ---- cases -----------------------------------------------------------------------

    def play(
        self, call: Call, mode: str, pool: Pool, rng: Any, at: int = 0, after: int = 0
    ) -> tuple[str, Any, Scene, set[int]]:
        """Make a scene and the call; with at=0 in peace, with a copy of the result."""
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
        rng = random.Random(f"{self.seed} {call.name} {mode} {number}")
        after, moment, seed = rng.randrange(4), rng.random(), rng.random()
        pool = self.pools[BIG if mode in THREADED else 1]

        def play(at: int) -> tuple[str, Any, Scene, set[int]]:
            self.say(
                f"--seed {self.seed} --only '^{re.escape(call.name)}$' --modes {mode} "
                f"--round {number}: chance {at}, after {after}\n{call}"
            )
            return self.play(call, mode, pool, random.Random(seed), at, after)

        how, expected, scene, written = play(0)
        leaked = scene.check_references()
        chances = 4 if mode in THREADED else scene.chances
        if chances == 0:
            self.outcomes["no chance"] += 1
            return
        outcome, value, scene, _ = play(1 + int(moment * chances))
        self.outcomes[outcome] += 1
        if outcome == "SystemError" != how and "bad argument" not in value:
            raise WrongByte(f"SystemError: {value}")
        if is_made_stale(value):
            raise WrongByte("a stale array was made")
        if call.name.startswith("ma."):  # works in place and mends it at the end
            written = set(range(len(scene.plain)))
        scene.check(written)
        is_known = not is_vague(call) and not (mode in THREADED and written)
        if outcome == how == "returned" and is_known and not agree(value, expected):
            raise WrongByte(f"returned {value!r:.300}\n  and not {expected!r:.300}")
        del value
        if scene.check_references() and not leaked:
            self.leaks[call.name] += 1

    def round(self, number: int, options: argparse.Namespace, deadline: float) -> None:
        """Play each call of each function once in each mode, in an order of its own."""
        self.ws = wspace.Workspace("fuzz", **CONFIGS[number % len(CONFIGS)])
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
        if mode in THREADED and HEAVY.fullmatch(name):
            return
        for call in self.calls_of(name, function, BIG if mode in THREADED else 1):
            try:
                self.case(call, mode, number)
            except WrongByte as problem:
                self.failures += 1
                where = os.pread(self.log, 2000, 0).decode().strip()
                print(f"{where}\n  {problem}", flush=True)
                self.ws = wspace.Workspace("fuzz", initial_size="1MiB")


def main() -> int:
    """Play rounds until the time is over; print what came of them."""
    options = parse()
    prepare(options.seconds)
    fuzzer = Fuzzer(options.seed, options.log)
    gc.collect()
    gc.freeze()
    deadline = time.monotonic() + options.seconds
    if options.round is not None:
        fuzzer.round(options.round, options, deadline)
    else:
        number = 0
        while time.monotonic() < deadline:
            fuzzer.round(number, options, deadline)
            number += 1
    for outcome, times in fuzzer.outcomes.most_common():
        print(f"{outcome}: {times}")
    print("leaks:", dict(fuzzer.leaks))
    ended = fuzzer.outcomes.total() - fuzzer.outcomes["no chance"]
    print(f"{ended} scopes ended, {fuzzer.failures} failures")
    return 1 if fuzzer.failures else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--modes", default=",".join(WAYS))
    parser.add_argument("--only", default="", help="names that match this expression")
    parser.add_argument("--skip", default="", help="and do not match this one")
    parser.add_argument("--round", type=int, default=None, help="this one alone")
    parser.add_argument("--log", default="fuzz_swap.log")
    return parser.parse_args()


def prepare(seconds: float) -> None:
    """Set up the process: crashes are explained, and noise is off."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(seconds + 120, exit=True)
    if "WSPACE_SANITIZE" not in os.environ:  # sanitizers take terabytes
        resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    sys.setswitchinterval(1e-4)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    gc.disable()
    gc.set_threshold(1, 10**6, 10**6)


if __name__ == "__main__":
    sys.exit(main())
