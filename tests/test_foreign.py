# SPDX-License-Identifier: BSD-3-Clause
"""The C API from ctypes, cffi and numba: statuses, and no change behind them."""

import contextlib
import ctypes
import os
import threading

import cffi
import numpy as np
import pytest

import wspace
from wspace import foreign
from wspace.numba import mark

OK, EINVAL, EOVERFLOW, ETHREAD, ESTALE, EORDER = 0, 3, 4, 5, 6, 12
SIZE, POINTER = ctypes.c_size_t, ctypes.c_void_p


class Mark(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 4)]


def function(name, *arguments, result=ctypes.c_int):
    return ctypes.CFUNCTYPE(result, *arguments)(foreign.functions()[name])


alloc = function("alloc", POINTER, SIZE, ctypes.POINTER(POINTER))
array = function("array", POINTER, SIZE, SIZE, ctypes.POINTER(POINTER))
take = function("take", POINTER, SIZE, result=POINTER)
free_last = function("free_last", POINTER, POINTER)
checkpoint = function("checkpoint", POINTER, ctypes.POINTER(Mark))
rewind = function("rewind", POINTER, ctypes.POINTER(Mark))
status_name = function("status_name", ctypes.c_int, result=ctypes.c_char_p)
current = function("current", ctypes.POINTER(POINTER))


@pytest.fixture
def ws():
    return wspace.Workspace("train", initial_size="1MiB")


def test_ctypes_reaches_the_same_memory(ws):
    arena, out = foreign.arena(ws), POINTER()
    with ws:
        assert alloc(arena, 100, out) == OK
        assert out.value % 64 == 0
        ctypes.memset(out, 1, 100)
        assert ws.stats.used > 0
    assert alloc(arena, 100, out) == ETHREAD
    assert status_name(ETHREAD) == b"WSP_ETHREAD"


def test_misuse_is_a_status_and_no_change(ws):
    arena, out, here = foreign.arena(ws), POINTER(), Mark()
    with ws:
        first, second = take(arena, 10), take(arena, 10)
        used = ws.stats
        assert array(arena, 2**62, 8, out) == EOVERFLOW
        assert alloc(None, 8, out) == EINVAL
        assert alloc(arena, 8, None) == EINVAL
        assert free_last(arena, first) == EORDER
        assert free_last(arena, first + 1) == EINVAL
        assert rewind(arena, here) == ESTALE
        assert rewind(arena, None) == EINVAL
        assert ws.stats == used
        assert free_last(arena, second) == OK
        assert checkpoint(arena, here) == OK
    with ws:
        assert take(arena, 10)
        assert rewind(arena, here) == ESTALE
    ws.close()
    assert alloc(arena, 8, out) == ETHREAD
    assert take(arena, 8) is None


def test_ctypes_without_the_gil_knows_the_current_workspace(ws):
    out = POINTER()
    assert current(out) == ETHREAD
    with ws:
        assert current(out) == OK  # CFUNCTYPE gives the GIL up
        assert out.value == foreign.arena(ws)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(current(POINTER())))
        thread.start()
        thread.join()
        assert seen == [ETHREAD]
    assert current(out) == ETHREAD


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_the_child_of_a_fork_gets_a_status(ws):
    arena, out = foreign.arena(ws), POINTER()
    with ws:
        assert take(arena, 10)
        child = os.fork()
        if child == 0:
            os._exit(alloc(arena, 8, out))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status_name(status) == b"WSP_EFORKED"


def test_cffi_reaches_the_same_memory(ws):
    ffi = cffi.FFI()
    ffi.cdef("typedef int (*alloc_fn)(uintptr_t arena, size_t size, void **out);")
    function = ffi.cast("alloc_fn", foreign.functions()["alloc"])
    out = ffi.new("void **")
    with ws:
        assert function(foreign.arena(ws), 800, out) == OK
        x = np.frombuffer(ffi.buffer(out[0], 800), np.float64)
        x[:] = 2.0
        assert x.sum() == 200.0
        del x
    assert function(foreign.arena(ws), 800, out) == ETHREAD


def test_numba_takes_scratch_memory_and_rewinds_it(ws):
    numba = pytest.importorskip("numba", exc_type=ImportError)
    from wspace.numba import checkpoint, rewind, take

    @numba.njit
    def total(arena, here, n, times):
        sum_ = 0.0
        for _ in range(times):
            checkpoint(arena, here)
            x = numba.carray(take(arena, n * 8), n, np.float64)
            for i in range(n):
                x[i] = i
            sum_ += x.sum()
            rewind(arena, here)
        return sum_

    arena, here = foreign.arena(ws), mark()
    # First outside: what the compiler keeps for good is not the workspace's.
    with pytest.raises(RuntimeError, match="not open here"):
        total(arena, here, 1000, 1)
    with ws:
        assert total(arena, here, 1000, 1) == 499_500
        used = ws.stats.used
        assert total(arena, here, 1000, 100) == 49_950_000
        assert ws.stats.used == used


def test_numba_says_that_there_is_no_room(ws):
    numba = pytest.importorskip("numba", exc_type=ImportError)
    from wspace.numba import take

    @numba.njit
    def ask(arena, n):
        take(arena, n)
        return 1

    for context in (contextlib.nullcontext(), ws):
        with context, pytest.raises(MemoryError, match="full, or not open here"):
            ask(foreign.arena(ws), 2**62)


def test_a_name_that_numba_has_not_is_an_attribute_error():
    import wspace.numba

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wspace.numba.nothing


def test_what_is_no_workspace_has_no_arena():
    with pytest.raises(TypeError, match=r"workspace must be a wspace\.Workspace"):
        foreign.arena(3)
