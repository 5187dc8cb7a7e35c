# SPDX-License-Identifier: BSD-3-Clause
"""Scratch memory in C, without Python: an arena against every malloc.

A cycle takes twelve buffers, writes to each and gives all back: twelve calls of malloc
and free, or an enter, twelve allocations and a reset, or twelve and a rewind; the
allocations by a pointer to the function, as through the table of the C API. The time is
that of a cycle. No claim is made of it.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Mapping

from bench import _native, _peers
from bench._case import Benchmark, Case, Loop, Prepared, Variant
from bench._report import format_size

SIZES = [64, 1 << 12, 1 << 16, 1 << 20]
_LIBRARY = "WSPACE_BENCH_C_PATH"


def library() -> ctypes.CDLL:
    found = ctypes.CDLL(os.environ[_LIBRARY])
    found.make_arena.restype = ctypes.c_void_p
    found.make_arena.argtypes = [ctypes.c_size_t]
    for function in (found.run_malloc, found.run_arena, found.run_rewind):
        function.restype = ctypes.c_longlong
    found.run_malloc.argtypes = [ctypes.c_size_t, ctypes.c_long]
    for function in (found.run_arena, found.run_rewind):
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    return found


def arena_loop(size: int, rewinds: bool) -> Loop:
    found = library()
    arena = found.make_arena(size)
    assert arena
    run = found.run_rewind if rewinds else found.run_arena
    return lambda n: run(arena, size, n)


def malloc_loop(size: int) -> Loop:
    found = library()
    return lambda n: found.run_malloc(size, n)


def with_arena(size: int, rewinds: bool = False) -> Prepared:
    return Prepared(arena_loop(size, rewinds))


def with_malloc(size: int, tuned: bool = False) -> Prepared:
    if tuned:
        _peers.tune_malloc()
    return Prepared(malloc_loop(size))


def environment(preload: str | None = None) -> Mapping[str, str]:
    extra = {_LIBRARY: _native.compiled("c_path")}
    return {**extra, **_peers.preload(preload)} if preload else extra


def variants(size: int) -> list[Variant]:
    plain = functools.partial(with_malloc, size)
    tuned = functools.partial(with_malloc, size, tuned=True)
    arena = functools.partial(with_arena, size)
    rewound = functools.partial(with_arena, size, rewinds=True)
    return [
        Variant(_peers.DEFAULT, plain, environment),
        Variant(_peers.AGAIN, plain, environment),
        Variant(_peers.TUNED, tuned, environment),
        *(
            Variant(name, plain, functools.partial(environment, name))
            for name in (_peers.JEMALLOC, _peers.MIMALLOC, _peers.TCMALLOC)
        ),
        Variant("arena", arena, environment),
        Variant("arena again (A/A)", arena, environment),
        Variant("arena, rewound", rewound, environment),
    ]


BENCHMARK = Benchmark(
    "c_path",
    __doc__,
    [Case(f"12 of {format_size(size)}", variants(size)) for size in SIZES],
)
