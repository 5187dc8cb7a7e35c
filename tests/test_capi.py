# SPDX-License-Identifier: BSD-3-Clause
"""The C API: a module compiled against the header, in an installed wspace."""

import contextvars
import gc
import os
import subprocess
import sys
import threading

import build_consumer
import numpy as np
import pytest

import wspace

CHECKED, PLAIN, FORTRAN, ZERO = 0, 1, 2, 4
STATUSES = (
    "OK ENOMEM EFULL EINVAL EOVERFLOW ETHREAD ESTALE EBUSY ECLOSED EFORKED EFILE "
    "EHELD EORDER"
)
STATUSES = STATUSES.split()
STATUS = {name: number for number, name in enumerate(STATUSES)}


@pytest.fixture(
    scope="module", params=["installed", "first"], ids=lambda p: f"{p}-header"
)
def consumer(request, tmp_path_factory):
    """A module compiled against this header, and against the first one."""
    first = build_consumer.HERE / "abi" / "1.0"
    include = first if request.param == "first" else None
    path = build_consumer.build(tmp_path_factory.mktemp("capi"), include)
    return build_consumer.load(path, "consumer")


@pytest.fixture
def ws():
    return wspace.Workspace("train", initial_size="1MiB")


def test_the_table_has_the_version_of_the_header(consumer):
    major, minor, size = consumer.version()
    assert (major, minor) == (1, 0)
    assert size >= 16 + 36 * 8


# memory without the GIL


def test_scratch_memory_ends_with_its_scope(consumer, ws):
    with ws:
        assert consumer.sum_of_squares(ws, 1000) == sum(i * i for i in range(1000))
        used = ws.stats.used
        for _ in range(50):
            consumer.sum_of_squares(ws, 1000)
        assert ws.stats.used == used
    assert ws.stats.used == 0


def test_sizes_that_overflow_are_an_error_and_change_nothing(consumer, ws):
    with ws:
        before = ws.stats.used
        with pytest.raises(OverflowError, match="'train' than an address space"):
            consumer.sum_of_squares(ws, sys.maxsize)
        assert ws.stats.used == before


def test_a_workspace_that_is_not_open_is_an_error(consumer, ws):
    with pytest.raises(wspace.WorkspaceStateError, match="'train': it is not open"):
        consumer.sum_of_squares(ws, 10)
    ws.close()
    with pytest.raises(wspace.WorkspaceStateError, match="'train': it is closed"):
        consumer.sum_of_squares(ws, 10)


def test_another_thread_is_an_error(consumer, ws, in_thread):
    with ws, pytest.raises(wspace.WrongThreadError, match="used from 'helper'"):
        in_thread(consumer.sum_of_squares, ws, 10, name="helper")


def test_what_is_no_workspace_is_an_error(consumer):
    with pytest.raises(TypeError, match=r"workspace must be a wspace\.Workspace"):
        consumer.sum_of_squares("train", 10)


def test_a_full_workspace_is_an_error_with_numbers(consumer):
    ws = wspace.Workspace("small", initial_size="1MiB", max_size="1MiB", spill="fail")
    with ws, pytest.raises(wspace.WorkspaceFullError, match=r"requested .* of 1048576"):
        consumer.sum_of_squares(ws, 1_000_000)


def test_worker_threads_have_arenas_of_a_pool(consumer, ws):
    with ws:
        assert consumer.threads(ws) == (4 * 100 * 4950, "WSP_ETHREAD")


def test_scratch_counts_in_the_statistics(consumer, ws):
    with ws:
        consumer.sum_of_squares(ws, 1000)
    assert ws.stats.allocations == 1
    assert ws.stats.last_high_water >= 8000


# what is current


def test_the_current_workspace_is_known_with_and_without_the_gil(consumer, ws):
    inner = wspace.Workspace("inner")
    assert consumer.is_current(ws) == (False, False)
    with ws:
        assert consumer.is_current(ws) == (True, True)
        with inner:
            assert consumer.is_current(ws) == (False, False)
            assert consumer.is_current(inner) == (True, True)
            with ws.borrow():
                assert consumer.is_current(ws) == (True, True)
        with wspace.scope_out():
            assert consumer.is_current(ws) == (False, False)
        assert consumer.is_current(ws) == (True, True)
    assert consumer.is_current(ws) == (False, False)


def test_where_it_is_paused_nothing_is_current(consumer, ws):
    with ws:
        for block in (ws.paused, wspace.scope_out):
            with block():
                assert consumer.is_current(ws) == (False, False)
                with ws.borrow():
                    assert consumer.is_current(ws) == (True, True)
            assert consumer.is_current(ws) == (True, True)


def test_in_another_context_nothing_is_current(consumer, ws):
    with ws:
        context = contextvars.Context()
        with_gil = context.run(lambda: consumer.is_current(ws))
    assert with_gil in ((False, False), "they differ")


# arrays


def test_an_array_over_an_allocation_is_checked(consumer, ws):
    with ws:
        x = consumer.array_over(ws, "f8", 100, 100, CHECKED)
        assert type(x) is wspace.Array
        assert x.sum() == 4950
        assert wspace.owner(x) is ws
        assert consumer.owner(x) is ws
    assert wspace.is_stale(x)
    with pytest.raises(wspace.StaleArrayError, match=r"array \(100,\) float64"):
        x.sum()


def test_a_plain_array_over_an_allocation_survives(consumer, ws):
    with ws:
        x = consumer.array_over(ws, np.float64, 1000, 1000, PLAIN)
        assert type(x) is np.ndarray
    for _ in range(5):
        with ws:
            consumer.sum_of_squares(ws, 5000)
            np.ones(5000).sum()
        assert (x == np.arange(1000.0)).all()
    assert ws.stats.retained == 8000
    del x
    assert ws.stats.retained == 0
    assert ws._arena.check()


def test_only_the_adopted_bytes_are_retained(consumer, ws):
    with ws:
        kept = [consumer.array_over(ws, "f8", 10, 10, PLAIN) for _ in range(5)]
        consumer.sum_of_squares(ws, 10_000)
    assert ws.stats.retained == 400
    assert [x.sum() for x in kept] == [45.0] * 5


def test_an_adopted_array_can_be_resized_and_dies_in_any_thread(consumer, ws):
    with ws:
        x = consumer.array_over(ws, "f8", 1000, 1000, PLAIN)
        x.resize(100_000, refcheck=False)
        assert (x[:1000] == np.arange(1000.0)).all()
        box = [x]
        del x
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    assert ws.stats.retained == 0


def test_an_array_larger_than_its_allocation_is_refused(consumer, ws):
    with ws:
        with pytest.raises(ValueError, match="needs 808 bytes, the allocation has 800"):
            consumer.array_over(ws, "f8", 101, 100, CHECKED)
        with pytest.raises(ValueError, match="needs 8 bytes, the allocation has 0"):
            consumer.array_over(ws, "f8", 0, 0, CHECKED)
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            consumer.array_over(ws, "f8", -1, 100, CHECKED)
        with pytest.raises(TypeError, match="holds Python references"):
            consumer.array_over(ws, "O", 1, 100, CHECKED)
        with pytest.raises(TypeError, match="not understood"):
            consumer.array_over(ws, "no type", 1, 100, CHECKED)
        with pytest.raises(ValueError, match="flags must be"):
            consumer.array_over(ws, "f8", 1, 100, 64)
        with pytest.raises(ValueError, match="no raw allocation of workspace 'train'"):
            consumer.over_a_foreign_pointer(ws)
    assert ws._arena.check()


def test_a_new_array_has_the_order_asked_for(consumer, ws):
    with ws:
        x = consumer.array_new(ws, "f4", 30, 20, ZERO | FORTRAN)
        assert type(x) is wspace.Array
        assert x.shape == (30, 20)
        assert x.flags.f_contiguous
        assert not x.any()
        assert type(consumer.array_new(ws, "f4", 3, 2, PLAIN)) is np.ndarray
    with pytest.raises(wspace.WorkspaceStateError, match="'train': it is not open"):
        consumer.array_new(ws, "f4", 30, 20, 0)


def test_detaching_copies_out(consumer, ws):
    with ws:
        x = consumer.detach(consumer.array_over(ws, "f8", 10, 10, CHECKED))
    assert x.sum() == 45
    assert wspace.owner(x) is None


def test_making_arrays_leaves_the_handler_alone(consumer, ws):
    gc.collect()
    with ws:
        for _ in range(100):
            consumer.array_over(ws, "f8", 10, 10, CHECKED)
        assert wspace.owner(np.ones(1000)) is ws
    assert wspace.owner(np.ones(1000)) is None


# references, cleanups


def test_a_reference_tells_that_its_cycle_is_over(consumer, ws):
    with ws:
        consumer.keep_reference(ws, False)
        assert consumer.use_reference(ws) == 42.0
    with pytest.raises(wspace.StaleArrayError, match="'train' is in generation 1"):
        consumer.use_reference(ws)
    with ws, pytest.raises(wspace.StaleArrayError, match="generation 2"):
        consumer.use_reference(ws)
    consumer.drop_reference()


def test_a_pin_keeps_the_bytes(consumer, ws, in_thread):
    with ws:
        consumer.keep_reference(ws, True)
    with ws:
        consumer.sum_of_squares(ws, 5000)
    assert consumer.use_reference(ws) == 42.0
    assert in_thread(consumer.use_reference, ws) == 42.0
    assert ws.stats.retained == 8
    in_thread(consumer.drop_reference)
    assert ws.stats.retained == 0


def test_cleanups_run_last_first_at_the_end_of_the_cycle(consumer, ws):
    already = consumer.cleaned_up()
    with ws:
        for letter in "abc":
            consumer.clean_later(ws, letter)
        assert consumer.cleaned_up() == already
    assert consumer.cleaned_up() == already + "cba"


# statuses


@pytest.mark.parametrize("name", STATUSES[1:])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_every_status_has_its_exception(consumer, ws, name, named):
    expected = {
        "ENOMEM": MemoryError,
        "EFULL": wspace.WorkspaceFullError,
        "EINVAL": ValueError,
        "EOVERFLOW": OverflowError,
        "EFILE": OSError,
        "ESTALE": wspace.StaleArrayError,
    }.get(name, wspace.WorkspaceStateError)
    with pytest.raises(expected) as caught:
        consumer.raise_status(STATUS[name], ws if named else None)
    assert type(caught.value) is expected
    assert ("'train'" in str(caught.value)) == named
    assert "{" not in str(caught.value)


def test_no_status_but_ok_is_silent(consumer, ws):
    assert consumer.raise_status(STATUS["OK"], ws) is None
    with pytest.raises(wspace.WorkspaceStateError, match="gave status 99"):
        consumer.raise_status(99, ws)


# other headers


def test_a_module_of_another_version_is_refused(tmp_path):
    path = build_consumer.build(tmp_path, None, "-DWSPACE_TARGET_MINOR=3")
    text = (
        r"compiled for the C API 1\.3 of wspace, the installed one has 1\.0: "
        "install a newer wspace"
    )
    with pytest.raises(ImportError, match=text):
        build_consumer.load(path, "consumer")


def test_it_compiles_as_cxx(tmp_path):
    path = build_consumer.build(tmp_path, compiler="c++", standard="c++17")
    assert path.exists()


@pytest.mark.parametrize("header", ["capi", "wsp", "wsp_raw", "wsp_abi"])
@pytest.mark.parametrize(
    ("compiler", "standard"), [("cc", "c11"), ("c++", "c++17")], ids=["C", "C++"]
)
def test_headers_are_clean_alone(tmp_path, header, compiler, standard):
    source = tmp_path / ("alone.c" if compiler == "cc" else "alone.cpp")
    source.write_text(f'#include "wspace/{header}.h"\n')
    build_consumer.compile_with(
        compiler,
        *(f"-std={standard}", *build_consumer.WALL, *build_consumer.flags()),
        *("-fsyntax-only", source),
    )


@pytest.mark.skipif(
    "WSPACE_SANITIZE" not in os.environ, reason="dead memory is poisoned under ASan"
)
def test_a_stale_raw_pointer_dies_under_asan(tmp_path):
    path = build_consumer.build(tmp_path)
    code = f"""
import sys; sys.path.insert(0, {str(build_consumer.HERE)!r})
import build_consumer, wspace
consumer = build_consumer.load({str(path)!r}, "consumer")
ws = wspace.Workspace("demo", initial_size="1MiB")
with ws:
    consumer.leave_stale(ws)
    consumer.read_stale()
print("until here", flush=True)
consumer.read_stale()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "until here" in done.stdout
    assert "use-after-poison" in done.stderr
