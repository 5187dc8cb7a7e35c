# SPDX-License-Identifier: BSD-3-Clause
"""Captured arrays that are alive at the exit, and what is said of them."""

import gc
import re
import sys
import warnings

import numpy as np
import pytest

import wspace
from wspace import Workspace

PAST_LEARNING = pytest.mark.parametrize(
    "learned", [{"initial_size": "1MiB"}, {}], ids=["initial_size", "first loop"]
)


def opened(**config):
    """Make a workspace that has learned its size."""
    ws = Workspace("train", **config)
    with ws:
        x = np.empty(100_000)
        del x
    return ws


def line():
    return sys._getframe(1).f_lineno


def raised(ws, make):
    with pytest.raises(wspace.EscapedArrayError) as caught:
        with ws:
            kept = make()
    assert not ws.is_open
    return kept, caught.value


# Which arrays count


@pytest.mark.parametrize("escape", ["ignore", "warn", "raise"])
def test_the_learning_cycle_says_nothing(escape):
    ws = Workspace(escape=escape)
    with ws:
        kept = np.ones(1000)
    assert kept.sum() == 1000
    assert ws.stats.escaped_count == 1


def test_a_cycle_that_allocates_nothing_is_not_the_learning_one():
    ws = Workspace(escape="raise")
    with ws:
        pass
    with ws:
        kept = np.ones(1000)
    assert kept.sum() == 1000


def test_after_a_release_it_learns_again_and_says_nothing():
    ws = opened(escape="raise")
    ws.release()
    with ws:
        kept = np.ones(1000)
    assert kept.sum() == 1000
    with pytest.raises(wspace.EscapedArrayError):
        with ws:
            kept = np.ones(1000)


@pytest.mark.parametrize(
    "config",
    [{"initial_size": "1MiB"}, {"learning": "none", "initial_size": "1MiB"}],
)
def test_where_nothing_is_learned_the_first_cycle_counts(config):
    _kept, error = raised(Workspace(escape="raise", **config), lambda: np.ones(1000))
    assert "at the end of generation 1" in str(error)


@PAST_LEARNING
def test_checked_arrays_do_not_count(learned):
    ws = opened(escape="raise", **learned)
    with ws:
        kept = [ws.ones(1000), ws.ones(3), ws.arange(1000) + 1, ws.ones(1000)[5:]]
    assert all(map(wspace.is_stale, kept))
    assert ws.stats.escaped_count == 0
    assert ws.stats.escaped == 0


@PAST_LEARNING
def test_plain_arrays_of_creators_count(learned):
    ws = opened(escape="raise", checked=False, **learned)
    _kept, error = raised(ws, lambda: ws.ones(1000))
    assert "1 captured array escaped" in str(error)


def test_detached_kept_small_and_dead_arrays_do_not_count():
    ws = opened(escape="raise")
    with ws:
        x = np.ones(1000)
        kept = [wspace.detach(x), wspace.keep(np.ones(1000)), np.ones(3)]
        with wspace.scope_out():
            kept.append(np.ones(1000))
        del x
    assert ws.stats.escaped_count == 0
    assert len(kept) == 4


def test_a_survivor_counts_once_and_not_in_later_cycles():
    ws = opened(escape="raise")
    kept, _error = raised(ws, lambda: np.ones(1000))
    for _ in range(3):
        with ws:
            assert kept.sum() == 1000
    assert ws.stats.escaped_count == 1
    assert ws.stats.escaped == 8000
    del kept, _error
    gc.collect()  # the traceback holds what the frame held
    assert ws.stats.escaped == 0
    assert ws.stats.escaped_count == 1


def test_an_array_counts_that_only_a_view_keeps_alive():
    kept, error = raised(opened(escape="raise"), lambda: memoryview(np.ones(1000))[:1])
    assert "1 captured array escaped" in str(error)
    assert "8,000 bytes" in str(error)
    kept.release()


# What is said


def test_ignore_says_nothing():
    ws = opened()
    with ws:
        kept = np.ones(1000)
    assert ws.stats.escaped_count == 1
    assert kept.sum() == 1000


def test_warn_is_a_resource_warning_at_the_with_statement():
    ws = opened(escape="warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ws:
            kept = [np.ones(1000), np.ones(2000)]
    assert [w.category for w in caught] == [ResourceWarning]
    assert str(caught[0].message) == (
        "2 captured arrays escaped workspace 'train' at the end of generation 2: "
        "24,000 bytes"
    )
    assert caught[0].filename == __file__
    assert len(kept) == 2


def test_warn_of_a_scoped_function_is_located_outside_of_wspace():
    ws = opened(escape="warn")
    kept = []

    @ws.scoped
    def step():
        kept.append(np.ones(1000))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step()
    assert [w.filename for w in caught] == [__file__]


def test_raise_leaves_the_arrays_valid_and_the_workspace_usable():
    ws = opened(escape="raise")
    kept, error = raised(ws, lambda: [np.arange(1000), np.ones(1000)])
    assert str(error) == (
        "2 captured arrays escaped workspace 'train' at the end of generation 2: "
        "16,000 bytes"
    )
    assert error.__notes__ == [
        "hint: `wspace.detach` what must outlive its cycle; "
        "`.copy()` in the scope is no way out",
        "hint: `record=True` tells who made them",
    ]
    for _ in range(3):
        with ws:
            np.full(100_000, -1.0)
    assert kept[0].sum() == 499_500
    assert ws.generation == 5


@pytest.mark.parametrize("escape", ["warn", "raise"])
@pytest.mark.parametrize("record", [True, False])
def test_nothing_is_said_over_a_passing_exception(escape, record):
    ws = opened(escape=escape, record=record)
    problem = KeyError("mine")
    kept = []
    with pytest.raises(KeyError) as caught:
        with ws:
            kept.append(np.ones(1000))
            raise problem
    assert caught.value is problem
    assert problem.__context__ is None
    assert ws.stats.escaped_count == 1
    assert kept[0].sum() == 1000


def test_an_inner_scope_that_raises_does_not_hide_the_outer_one():
    outer, inner = opened(), opened(escape="raise")
    kept = []
    with outer:
        with pytest.raises(wspace.EscapedArrayError):
            with inner:
                kept.append(np.ones(1000))
        assert wspace.current() is outer
        x = np.ones(1000)
        assert wspace.owner(x) is outer
        del x


def test_a_scoped_function_raises_and_its_result_is_lost():
    ws = opened(escape="raise")
    kept = []

    @ws.scoped
    def step():
        kept.append(np.ones(1000))
        return 1

    with pytest.raises(wspace.EscapedArrayError):
        step()
    kept.clear()
    assert ws.scoped(lambda: 1)() == 1


# Call sites


def test_record_tells_the_line_that_made_the_array():
    ws = opened(escape="raise", record=True)
    with pytest.raises(wspace.EscapedArrayError) as caught:
        with ws:
            kept, here = np.ones(1000), line()
    name = test_record_tells_the_line_that_made_the_array.__name__
    assert str(caught.value).endswith(
        f"8,000 bytes, made at {__file__}:{here} in {name} (8,000 bytes, 1 time)"
    )
    assert len(caught.value.__notes__) == 1
    assert kept.sum() == 1000


INSIDE_NUMPY = {
    "ones": lambda: np.ones(1000),
    "linspace": lambda: np.linspace(0, 1, 1000),
    "pad": lambda: np.pad(np.ones(1000), 5),
    "apply_along_axis": lambda: np.apply_along_axis(np.sort, 0, np.ones((500, 4))),
    "fft": lambda: np.fft.rfft(np.ones(1000)),
    "random": lambda: np.random.default_rng(1).normal(size=1000),
    "ufunc": lambda: np.arange(1000) + 1.0,
    "copy": lambda: np.ones(1000).copy(),
    "take": lambda: np.ones(1000)[np.arange(1000)],
    "loadtxt": lambda: np.loadtxt(["1 2 3"] * 1000),
    "linalg": lambda: np.linalg.inv(np.eye(40)),
}


@pytest.mark.parametrize("make", INSIDE_NUMPY.values(), ids=INSIDE_NUMPY)
def test_a_site_is_in_the_program_and_not_inside_numpy(make):
    ws = opened(escape="raise", record=True)
    _kept, error = raised(ws, make)
    sites = re.findall(r"made at:?\s+(\S+):(\d+) in (\S+)", str(error))
    assert sites == [(__file__, str(make.__code__.co_firstlineno), "<lambda>")]


INSIDE_WSPACE = {
    "zeros": lambda ws: ws.zeros(1000),
    "linspace": lambda ws: ws.linspace(0, 1, 1000),
    "array": lambda ws: ws.array(range(1000)),
    "migrate": lambda ws: wspace.migrate(np.ones(1000)),
    "leverage_to": lambda ws: wspace.leverage_to([np.ones(1000)], ws)[0].copy(),
}


@pytest.mark.parametrize("make", INSIDE_WSPACE.values(), ids=INSIDE_WSPACE)
def test_a_site_is_not_inside_wspace(make):
    ws = opened(escape="raise", record=True, checked=False)
    _kept, error = raised(ws, lambda: make(ws))
    sites = re.findall(r"made at:?\s+(\S+):(\d+) in (\S+)", str(error))
    assert sites == [(__file__, str(make.__code__.co_firstlineno), "<lambda>")]


def test_sites_are_ranked_by_bytes_and_counted():
    ws = opened(escape="raise", record=True)
    kept = []

    def small():
        kept.append(np.ones(1000))

    def large():
        kept.append(np.ones(5000))

    with pytest.raises(wspace.EscapedArrayError) as caught:
        with ws:
            small()
            small()
            large()
    at = small.__code__.co_firstlineno + 1, large.__code__.co_firstlineno + 1
    assert f"made at {__file__}:{at[1]} in " in str(caught.value)
    assert str(caught.value).endswith("(40,000 bytes, 1 time) and 1 other place")
    assert caught.value.__notes__[0] == (
        f"also made at:\n  {__file__}:{at[0]} in {small.__qualname__} "
        "(16,000 bytes, 2 times)"
    )


def test_sites_of_arrays_that_died_or_were_kept_are_not_listed():
    ws = opened(escape="raise", record=True)
    with pytest.raises(wspace.EscapedArrayError) as caught:
        with ws:
            dead = np.ones(1000)
            del dead
            excused = wspace.keep(np.ones(1000))
            checked = ws.ones(1000)
            kept, here = np.ones(1000), line()
    assert f":{here} in " in str(caught.value)
    assert "other place" not in str(caught.value)
    assert len([excused, checked, kept]) == 3


def test_a_warning_tells_the_site_too():
    ws = opened(escape="warn", record=True)
    with pytest.warns(ResourceWarning, match=f"made at {re.escape(__file__)}:"):
        with ws:
            kept = np.ones(1000)
    assert kept.sum() == 1000


def test_recording_changes_neither_values_nor_placement():
    ws = Workspace(record=True)
    for _ in range(3):
        with ws:
            x = np.linspace(0, 1, 1000)
            assert wspace.owner(x) is ws
            assert x[-1] == 1
            del x
    assert ws.stats.retained == 0
