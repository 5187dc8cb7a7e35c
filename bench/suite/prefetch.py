# SPDX-License-Identifier: BSD-3-Clause
"""Batches per second of `wspace.prefetch` against a queue and a thread by hand.

The source makes a batch of the size in the name, an array computed from another one, as
a data loader does, and a small one of labels; the consumer adds it up. "returned": by a
function, as ``map(load, keys)`` gives it. "yielded": from a variable of a generator,
which still has it while it waits. By hand: ``queue.Queue(2)``, a thread, new arrays.

Claims: no size has less than 0.95 of the batches by hand, from 1 MiB it has more; and
steady batches take no page fault and no malloc of 1 KiB or more (less than one in a
hundred: Python has objects of that size, too).

Each peer has a process of its own; they take turns. Time is elapsed time, since waiting
for one another is what is asked about: on a busy machine it says little.
"""

from __future__ import annotations

import contextlib
import ctypes
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import wspace
from bench import _native
from bench._case import Count, Skip
from bench._intervals import bootstrap
from bench._report import Report, Verdict, format_count, format_ns, format_size
from bench._system import page_faults
from bench._worker import NOTHING, Worker

SIZES = [1 << shift for shift in (12, 14, 16, 18, 20, 22, 24)]
FORMS = ("returned", "yielded")
BY_HAND, AGAIN = "by hand", "by hand again (A/A)"
PEERS = (BY_HAND, AGAIN, "wspace, lease", "wspace, borrow", "wspace, copy")
CLAIMED = "wspace, lease"
DEPTH = 2
FIRST_STEADY = 20
BYTES, QUICK_BYTES = 256 << 20, 4 << 20
MOST, LEAST = 2000, 40  # batches of a pass
ROUNDS, QUICK_ROUNDS = 15, 2
AT_LEAST = 0.95
MORE_FROM = 1 << 20
NEARLY_NONE = 0.01

Source = Callable[[], Iterable[Any]]


def by_hand(source: Source) -> Iterator[Any]:
    ready: queue.Queue[Any] = queue.Queue(DEPTH)

    def run() -> None:
        for batch in source():
            ready.put(batch)
        ready.put(None)

    threading.Thread(target=run, daemon=True).start()
    while (batch := ready.get()) is not None:
        yield batch


def source_of(form: str, size: int, count: int) -> Source:
    raw = np.random.default_rng(0).random(size // 4, "f4")

    def load(key: int) -> tuple[np.ndarray, np.ndarray]:
        images = raw * np.float32(0.5)
        return images, np.full(8, key)

    def generate() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for key in range(count):
            images = raw * np.float32(0.5)
            labels = np.full(8, key)
            yield images, labels

    return generate if form == "yielded" else lambda: map(load, range(count))


class Passes:
    """Pass after pass over the source, in a worker."""

    _batches: Callable[[], Iterable[Any]]

    def prepare(self, peer: str, form: str, size: int, quick: bool) -> None:
        bound = QUICK_BYTES if quick else BYTES
        count = FIRST_STEADY + max(LEAST, min(MOST, bound // size))
        source = source_of(form, size, count)
        kind, _, lifetime = peer.partition(", ")
        if kind == "wspace":
            loader = wspace.prefetch(source, DEPTH, lifetime=lifetime)
            self._batches = lambda: loader
        else:
            self._batches = lambda: by_hand(source)
        self.turn()

    def turn(self) -> list[float]:
        """Return nanoseconds, page faults and mallocs of a steady batch."""
        total, number, start, before = 0.0, 0, 0, (0, 0)
        for images, _ in self._batches():
            number += 1
            if number == FIRST_STEADY:
                start, before = time.perf_counter_ns(), counts()
            total += float(images.sum())
        steady = number - FIRST_STEADY
        elapsed = time.perf_counter_ns() - start
        found = [elapsed, *np.subtract(counts(), before).tolist()]
        assert total > 0
        return [figure / steady for figure in found]


def counts() -> tuple[int, int]:
    mallocs = 0
    with contextlib.suppress(ValueError):  # not preloaded
        mallocs = ctypes.c_ulong.in_dll(ctypes.CDLL(None), "bench_mallocs").value
    return page_faults(), mallocs


PASSES = Passes()


def measure_case(form: str, size: int, quick: bool) -> dict[str, np.ndarray]:
    """Return for each peer the figures of each round."""
    try:
        extra = {"LD_PRELOAD": _native.compiled("count_malloc")}
    except Skip:
        extra = dict(NOTHING)
    workers = {peer: Worker(extra) for peer in PEERS}
    found: dict[str, list[Any]] = {peer: [] for peer in PEERS}
    try:
        for peer, worker in workers.items():
            worker.ask("call", "prefetch", "prepare", peer, form, size, quick)
        rng = np.random.default_rng(0)
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            for i in rng.permutation(len(PEERS)):
                peer = PEERS[i]
                found[peer].append(workers[peer].ask("call", "prefetch", "turn"))
    finally:
        for worker in workers.values():
            worker.__exit__(None, None, None)
    return {peer: np.array(rounds) for peer, rounds in found.items()}


def judge(label: str, size: int, found: dict[str, np.ndarray]) -> list[Verdict]:
    ns, faults, mallocs = found[CLAIMED].T
    ratio = bootstrap(found[BY_HAND][:, 0] / ns)
    again = bootstrap(found[BY_HAND][:, 0] / found[AGAIN][:, 0])
    least = 1.0 if size >= MORE_FROM else AT_LEAST
    noisy = min(again.low, 1 / again.high) < 0.9 and ratio.low < least < ratio.high
    counted = float(np.median(faults)), float(np.median(mallocs))
    return [
        Verdict(
            f"{label}: at least {least} of the batches by hand",
            None if noisy else ratio.median >= least,
            f"{ratio}, by hand again {again}",
            row=label,
            against=BY_HAND,
        ),
        Verdict(
            f"{label}: a steady batch takes no page fault and no malloc",
            max(counted) < NEARLY_NONE,
            f"{counted[0]:.3g} page faults, {counted[1]:.3g} mallocs",
            row=label,
        ),
    ]


def measure(quick: bool) -> Report:
    report = Report(["source", "peer", "a batch", "times as many", "faults", "mallocs"])
    for form in FORMS:
        for size in SIZES:
            label = f"{form}, {format_size(size)}"
            found = measure_case(form, size, quick)
            for peer, rounds in found.items():
                ns, faults, mallocs = np.median(rounds, axis=0)
                ratio = bootstrap(found[BY_HAND][:, 0] / rounds[:, 0])
                cells = [format_ns(ns), str(ratio)]
                cells += [format_count(faults), format_count(mallocs)]
                report.rows.append([label, peer, *cells])
                report.data.append(
                    {"case": label, "peer": peer, "rounds": rounds.tolist()}
                )
            if not quick:
                report.verdicts += judge(label, size, found)
    return report


BENCHMARK = Count(
    "prefetch", __doc__, measure, {"prepare": PASSES.prepare, "turn": PASSES.turn}
)
