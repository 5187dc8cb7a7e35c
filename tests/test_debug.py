# SPDX-License-Identifier: BSD-3-Clause
"""Debug modes: what each does, when it takes effect, and how it is chosen."""

import ctypes
import gc
import os
import threading

import numpy as np
import pytest

import wspace
from wspace import DebugMode, Workspace, _debug

ALL = list(DebugMode)


def address(array):
    return array.__array_interface__["data"][0]


# ---- choosing ------------------------------------------------------------------------


def test_a_mode_stays_until_another_is_set():
    wspace.set_debug("POISON")
    assert wspace.get_debug() is DebugMode.POISON
    wspace.set_debug(DebugMode.OFF)
    assert wspace.get_debug() is DebugMode.OFF


def test_as_a_context_manager_it_restores_the_former_one():
    with wspace.set_debug("spill") as mode:
        assert mode is wspace.get_debug() is DebugMode.SPILL
        with pytest.raises(KeyError):
            with wspace.set_debug("bypass"):
                assert wspace.get_debug() is DebugMode.BYPASS
                raise KeyError
        assert wspace.get_debug() is DebugMode.SPILL
    assert wspace.get_debug() is DebugMode.OFF


def test_a_setting_can_be_shown():
    with wspace.set_debug("spill"):
        setting = wspace.set_debug("off")
    assert repr(setting) == "<debug mode 'off', formerly 'spill'>"


@pytest.mark.parametrize("wrong", ["on", "", "poisoned"])
def test_an_unknown_mode_is_refused_and_changes_nothing(wrong):
    with wspace.set_debug("poison"):
        with pytest.raises(
            ValueError, match="mode must be 'off', 'spill', 'bypass' or "
        ):
            wspace.set_debug(wrong)
        assert wspace.get_debug() is DebugMode.POISON


@pytest.mark.parametrize("wrong", [None, True, 3])
def test_a_mode_that_is_no_string_is_a_type_error(wrong):
    with pytest.raises(TypeError, match="mode must be 'off'"):
        wspace.set_debug(wrong)


def test_trap_is_not_available_yet():
    with pytest.raises(NotImplementedError) as caught:
        wspace.set_debug("Trap")
    assert str(caught.value) == "mode='trap' is not available yet"


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "off"),
        ({"WSPACE_DEBUG": ""}, "off"),
        ({"WSPACE_DEBUG": "Spill"}, "spill"),
        ({"WSPACE": "off"}, "bypass"),
        ({"WSPACE": "OFF", "WSPACE_DEBUG": "poison"}, "bypass"),
        ({"WSPACE": "on", "WSPACE_DEBUG": "poison"}, "poison"),
    ],
)
def test_the_environment_gives_the_mode(environment, mode):
    assert _debug.mode_of(environment) == mode


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"WSPACE": "no"}, "WSPACE must be 'on' or 'off', got 'no'"),
        ({"WSPACE_DEBUG": "3"}, "WSPACE_DEBUG must be 'off', 'spill', 'bypass' or "),
    ],
)
def test_an_environment_variable_that_says_nothing_known_is_refused(environment, text):
    with pytest.raises(ValueError, match=text):
        _debug.mode_of(environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("WSPACE", "off", "ndarray"), ("WSPACE_DEBUG", "spill", "StaleArray")],
)
def test_the_environment_is_read_at_import(run_python, monkeypatch, name, value, kind):
    monkeypatch.setenv(name, value)
    out = run_python("""
        import wspace
        with wspace.Workspace("a") as ws:
            x = ws.zeros(3)
        print(wspace.get_debug(), type(x).__name__, ws.stats.reserved)
    """)
    assert out == f"{'bypass' if name == 'WSPACE' else value} {kind} 0\n"


# ---- when it takes effect ------------------------------------------------------------


@pytest.mark.parametrize("mode", ["spill", "bypass", "poison"])
def test_an_open_workspace_goes_on_as_it_began(mode):
    ws = Workspace(initial_size="1MiB")
    with ws:
        with wspace.set_debug(mode):
            with ws:
                x, y = ws.ones(1000), np.ones(1000)
                assert type(x) is wspace.Array
                assert ws._arena.contains(x) and ws._arena.contains(y)
            del x, y
    with wspace.set_debug(mode):
        ws.__enter__()
    x = np.ones(1000)
    assert ws._arena.contains(x) == (mode == "poison")
    del x
    ws.__exit__(None, None, None)
    with ws:
        assert ws._arena.contains(np.ones(1000))


@pytest.mark.parametrize("before", ALL)
@pytest.mark.parametrize("after", ALL)
def test_arrays_outlive_a_change_of_mode(before, after):
    ws = Workspace(initial_size="1MiB")
    with wspace.set_debug(before), ws:
        plain, checked = np.arange(1000.0), ws.arange(1000.0)
        kept = wspace.keep(ws.arange(500))
    with wspace.set_debug(after):
        for _ in range(3):
            with ws:
                np.full(1000, 7.0)
                if not wspace.is_stale(checked):
                    assert before is DebugMode.BYPASS
                assert plain.sum() == 499_500
                assert wspace.detach(plain).sum() == 499_500
                plain.resize(2000, refcheck=False)
                plain.resize(1000, refcheck=False)
    assert kept.sum() == 124_750
    assert plain.sum() == 499_500


# ---- spill ---------------------------------------------------------------------------


@pytest.fixture
def spill():
    with wspace.set_debug("spill"):
        yield


def test_every_allocation_comes_from_numpys_heap(spill):
    ws = Workspace(initial_size="1MiB")
    with ws:
        made = [ws.zeros(3), ws.ones(5000), np.ones(5000), ws.linspace(0, 1, 900)]
        made += [made[1] + 1, ws.array([1, 2, 3]), ws.zeros_like(made[1])]
        for array in made:
            assert not ws._arena.contains(array)
    assert ws.stats.reserved == ws.stats.capacity == ws.stats.upstream_calls == 0
    assert ws.stats.allocations == ws.stats.spills >= 4


def test_they_are_attached_and_in_scope_all_the_same(spill):
    with Workspace() as ws, Workspace() as other:
        with ws.borrow():
            plain, checked, small = np.ones(1000), ws.ones(3), np.ones(3)
            computed = checked + plain[:3]
        for array in (plain, plain[3:], checked, checked[1:], computed):
            assert wspace.owner(array) is ws
            assert wspace.is_attached(array) and wspace.in_scope(array)
        assert wspace.owner(small) is None
        assert wspace.owner(wspace.leverage_to(plain, other)) is other
        assert wspace.owner(wspace.detach(plain)) is None
        assert wspace.detach(plain) is not plain
    assert wspace.is_attached(plain) and not wspace.in_scope(plain)


def test_checked_arrays_go_stale(spill):
    ws = Workspace()
    with ws:
        x = ws.ones(1000)
        y = x + 1
        ws.ones(3)[:2] += 1
    for array in (x, y):
        with pytest.raises(wspace.StaleArrayError, match="generation 1"):
            array.sum()
    with ws:
        assert wspace.is_stale(x) and not wspace.is_stale(ws.ones(3))


def test_what_is_kept_stays_valid(spill):
    ws = Workspace()
    with ws:
        kept = wspace.keep(ws.arange(1000))
    with ws:
        np.ones(1000)
    assert type(kept) is np.ndarray and kept.sum() == 499_500


def test_nothing_is_learned_and_no_limit_holds(spill):
    ws = Workspace(max_size=8192, spill="fail")
    for _ in range(3):
        with ws:
            assert ws.zeros(100_000).sum() == 0
            np.zeros(100_000)
    assert ws.stats.capacity == ws.stats.high_water == 0


def test_other_threads_are_counted_as_foreign(spill, in_thread):
    import contextvars

    with Workspace() as ws:
        context = contextvars.copy_context()
        in_thread(context.run, np.ones, 1000)
        assert ws.stats.passed_foreign == 1
        assert ws.stats.spills == 0


def test_an_array_that_was_captured_before_can_be_resized():
    ws = Workspace(initial_size="1MiB")
    with ws:
        x = np.arange(1000)
    with wspace.set_debug("spill"), ws:
        x.resize(5000, refcheck=False)
        assert x[:1000].sum() == 499_500
        assert not ws._arena.contains(x)


def test_the_call_sites_are_left_alone(spill):
    with Workspace(record=True, escape="raise") as ws:
        x = np.ones(1000)
    assert x.sum() == 1000
    assert ws.stats.escaped_count == 0


@pytest.mark.slow
@pytest.mark.skipif(
    "WSPACE_SANITIZE" not in os.environ, reason="needs the build of make test-asan"
)
def test_asan_sees_each_array():
    import subprocess
    import sys

    code = """if True:
        import ctypes, wspace
        wspace.set_debug("spill")
        ws = wspace.Workspace("a")
        with ws:
            x, y = ws.zeros(1000), ws.zeros(1000)
            ctypes.string_at(x.__array_interface__["data"][0], 8001)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr


# ---- bypass --------------------------------------------------------------------------


@pytest.fixture
def bypass():
    with wspace.set_debug("bypass"):
        yield


CREATORS = {
    "empty": (5000,),
    "zeros": ((3, 4),),
    "ones": (5000,),
    "full": (5000, 7),
    "arange": (5000,),
    "linspace": (0, 1, 5000),
    "eye": (40,),
    "array": ([1, 2],),
    "asarray": ([1, 2],),
    "empty_like": (np.ones(3),),
    "zeros_like": (np.ones(3000),),
    "ones_like": (np.ones(3),),
    "full_like": (np.ones(3), 2),
}


@pytest.mark.parametrize("name", CREATORS)
@pytest.mark.parametrize("how", ["bypass", "paused"])
def test_creators_give_plain_arrays_as_numpy_does(name, how):
    mode = wspace.set_debug("bypass" if how == "bypass" else "off")
    with mode, Workspace(initial_size="1MiB") as ws:
        with ws.paused():
            made = getattr(ws, name)(*CREATORS[name])
        stats = ws.stats
    wanted = getattr(np, name)(*CREATORS[name])
    assert type(made) is np.ndarray
    assert (made.shape, made.dtype) == (wanted.shape, wanted.dtype)
    if "empty" not in name:
        np.testing.assert_array_equal(made, wanted, strict=True)
    assert wspace.owner(made) is None
    assert stats.allocations == stats.reserved == 0


def test_nothing_is_captured_and_scopes_nest(bypass):
    a, b = Workspace("a"), Workspace("b")
    for turn in (1, 2):
        with a, b, a:
            assert wspace.current() is a
            assert a.generation == b.generation == turn
            x = np.ones(1000)
            assert not wspace.is_attached(x)
            assert wspace.leverage(x) is x and wspace.detach(x) is x
            assert wspace.migrate(x) is not x
            assert not wspace.is_attached(wspace.migrate(x))
            with b.borrow():
                assert wspace.current() is b
    assert a.stats.allocations == b.stats.reserved == 0


def test_mistakes_are_still_told(bypass):
    ws = Workspace()
    with pytest.raises(wspace.WorkspaceStateError, match="it is not open"):
        ws.zeros(3)
    with ws:
        with pytest.raises(TypeError, match="dtype object"):
            ws.zeros(3, object)
        with pytest.raises(wspace.WorkspaceStateError, match="it is open"):
            ws.release()


def test_an_enclosing_workspace_does_not_take_what_a_bypassed_one_makes():
    with Workspace("outer") as outer:
        with wspace.set_debug("bypass"), Workspace("inner") as inner:
            assert wspace.owner(inner.zeros(5000)) is None
            assert wspace.owner(np.zeros(5000)) is outer


# ---- poison --------------------------------------------------------------------------

peeks = pytest.mark.skipif(
    "WSPACE_SANITIZE" in os.environ, reason="ASan would tell of the look at dead memory"
)


@peeks
def test_dead_memory_reads_as_nan():
    ws = Workspace(initial_size="1MiB")
    with wspace.set_debug("poison"), ws:
        x, wall = np.ones(1000), np.ones(1000)
        at = address(x)
        del x
        assert ctypes.string_at(at, 8000) == b"\xff" * 8000
        for kind in (np.float16, np.float32, np.float64, np.longdouble, complex):
            assert np.isnan(np.frombuffer(ctypes.string_at(at, 160), kind)).all()
        assert wall.sum() == 1000


@peeks
def test_survivors_are_left_alone_and_filled_when_they_die():
    ws = Workspace(initial_size="1MiB")
    with wspace.set_debug("poison"), ws:
        x = np.ones(1000)
    at = address(x)
    assert x.sum() == 1000
    del x
    gc.collect()
    assert ctypes.string_at(at, 8000) == b"\xff" * 8000


@peeks
def test_what_dies_in_another_thread_is_filled(in_thread):
    ws = Workspace(initial_size="1MiB")
    with wspace.set_debug("poison"), ws:
        box = [np.ones(1000)]
        at = address(box[0])
        in_thread(box.clear)
        np.ones(200_000)  # does not fit: takes in what others have freed
    assert ctypes.string_at(at, 8000) == b"\xff" * 8000


@peeks
def test_it_ends_with_the_mode():
    ws = Workspace(initial_size="1MiB")
    with wspace.set_debug("poison"), ws:
        np.ones(1000)
    with ws:
        x = np.ones(1000)
        at = address(x)
        del x
        assert ctypes.string_at(at, 8000) != b"\xff" * 8000


def test_zeros_are_zero_all_the_same():
    ws = Workspace(initial_size="64KiB")
    with wspace.set_debug("poison"):
        for _ in range(3):
            with ws:
                for size in (100, 1000, 5000, 20_000):
                    np.full(size, 7.0)
                    assert not ws.zeros(size).any() and not np.zeros(size).any()


def test_poison_goes_before_zero_on_reset():
    ws = Workspace(initial_size="1MiB", zero_on_reset=True)
    with wspace.set_debug("poison"), ws:
        np.ones(1000)
        assert np.isnan(np.empty(1000)).all()


# ---- values --------------------------------------------------------------------------


def program(ws):
    total = 0.0
    for turn in range(4):
        with ws:
            x = np.linspace(0.0, turn + 1.0, 3000)
            y = ws.array(np.sin(x)) * 2
            total += float((y[1:] - y[:-1]).std())
    return total


@pytest.mark.parametrize("mode", ALL)
def test_values_are_the_same_in_every_mode(mode):
    wanted = program(Workspace())
    with wspace.set_debug(mode):
        assert program(Workspace()) == wanted


def test_threads_switch_while_others_work():
    stop = threading.Event()
    failures = []

    def work():
        ws = Workspace()
        try:
            while not stop.is_set():
                with ws:
                    x, y = np.arange(2000), ws.arange(2000)
                    assert x.sum() == y.sum() == 1_999_000
                assert x.sum() == 1_999_000
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(400):
            wspace.set_debug(ALL[turn % len(ALL)])
    finally:
        wspace.set_debug("off")
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
