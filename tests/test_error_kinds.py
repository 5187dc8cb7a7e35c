# SPDX-License-Identifier: BSD-3-Clause
"""Each kind of mistake with workspaces has its error: both numbers, names, the mend.

The rows follow the error kinds of the ND4J workspaces; what is an error there and is
sound here has a test that it works.
"""

import threading

import numpy as np
import pytest

import wspace
import wspace.testing
from wspace import Workspace

STALE, STATE = wspace.StaleArrayError, wspace.WorkspaceStateError


@pytest.fixture
def stale():
    """Return an array of a workspace that is closed: a "leaked pointer" elsewhere."""
    with Workspace("train") as ws:
        x = ws.ones((2, 3))
    return x


def raised(kind, function, *args):
    with pytest.raises(kind) as caught:
        function(*args)
    return str(caught.value), getattr(caught.value, "__notes__", [])


USES = [np.sin, lambda x: x + 1, lambda x: np.add(1, 2, out=x), lambda x: x[0], np.dot]


@pytest.mark.parametrize("use", [*USES, wspace.detach, wspace.leverage, wspace.migrate])
def test_an_array_of_a_closed_workspace(use):
    ws = Workspace("train")
    for _ in range(3):
        with ws:
            x = ws.ones((2, 3))
    with ws:
        pass
    with Workspace("outer"), Workspace("inner"):
        args = (x, x) if use is np.dot else (x,)
        text, notes = raised(STALE, use, *args)
    assert text == (
        "array (2, 3) float64 of workspace 'train' is stale: made in generation 3, "
        "which is over; the last was 4"
    )
    assert "`detach()` it before the scope ends" in notes[0]
    assert notes[1] == "open here: 'inner', 'outer'"


@pytest.mark.parametrize("use", [np.sin, wspace.detach, lambda x: x.copy()])
def test_an_array_of_a_cycle_before_the_open_one(use):
    ws = Workspace("train")
    with ws:
        x = ws.ones(3)
    with ws:
        text, notes = raised(STALE, use, x)
    assert text.endswith("is stale: made in generation 1, now 2")
    assert notes[1] == "open here: 'train'"


def test_it_names_the_operand_that_is_stale(stale):
    with Workspace("other") as ws:
        valid = ws.ones(5)
        for operands in ((stale, valid), (valid, stale)):
            assert "array (2, 3) float64" in raised(STALE, np.multiply, *operands)[0]


def test_a_workspace_without_room():
    with Workspace("full", initial_size=4096, max_size=4096, spill="fail") as ws:
        text, notes = raised(wspace.WorkspaceFullError, ws.zeros, 1000)
        assert (
            text == "workspace 'full' is full: requested 8000 bytes, 4096 of 4096 free"
        )
        assert "raise `max_size`" in notes[0]
        assert ws.stats.allocations == ws.stats.spills == ws.stats.spilled == 0
        assert ws.zeros(10).sum() == 0


def test_memory_that_the_system_does_not_give():
    with Workspace("huge") as ws:
        text, _ = raised(MemoryError, ws.zeros, 2**58)
        assert text == f"could not allocate {2**61:,} bytes for workspace 'huge'"


def test_borrowing_again_is_sound():
    with Workspace("outer") as outer, Workspace("inner") as inner:
        with outer.borrow(), outer.borrow(), inner.borrow(), outer.borrow():
            assert wspace.owner(np.ones(1000)) is outer
        assert wspace.current() is inner
    assert outer.generation == 1


def test_borrowing_what_is_not_open():
    text, notes = raised(STATE, Workspace("train").borrow().__enter__)
    assert text == "cannot borrow workspace 'train': it is not open"
    assert notes == ["hint: use `with ws:`", "no workspace is open here"]


def test_a_target_that_does_not_exist_or_is_not_open():
    x = np.ones(3)
    assert "no workspace 'none'" in raised(STATE, wspace.leverage_to, x, "none")[0]
    text, notes = raised(STATE, wspace.leverage_to, x, wspace.get("kinds idle"))
    assert text == "cannot copy into workspace 'kinds idle': it is not open"
    assert notes[1] == "no workspace is open here"


def test_making_an_array_in_what_is_not_open():
    with Workspace("outer"):
        text, notes = raised(STATE, Workspace("train").zeros, 3)
    assert text == "cannot allocate in workspace 'train': it is not open"
    assert notes == ["hint: use `with ws:`", "open here: 'outer'"]


def test_a_workspace_of_another_thread():
    with Workspace("train") as ws:
        found = []
        thread = threading.Thread(
            target=lambda: found.extend(raised(wspace.WrongThreadError, ws.ones, 3)),
            name="helper",
        )
        thread.start()
        thread.join()
    text, notes = found
    assert (
        text == "workspace 'train' belongs to thread 'MainThread', used from 'helper'"
    )
    assert "`wspace.get('train')`" in notes[0]
    assert notes[1] == "no workspace is open here"


def test_another_configuration_is_not_ignored():
    wspace.get("kinds config", max_size="1MiB")
    text, _ = raised(STATE, lambda: wspace.get("kinds config", max_size="2MiB"))
    assert "max_size=1048576, asked for max_size=2097152" in text


def test_assertions_name_all_that_is_open():
    with Workspace("a") as a, Workspace("b"):
        for function in (
            wspace.testing.assert_none_open,
            lambda: wspace.testing.assert_open("c"),
            lambda: wspace.testing.assert_current(a),
        ):
            text, notes = raised(AssertionError, function)
            assert "'a'" in text and "'b'" in text
            assert notes[0].startswith("hint: ")


# What goes wrong elsewhere, and must not here.


def test_entering_an_outer_open_workspace_again_resets_nothing():
    with Workspace("a") as a:
        x = a.ones(1000)
        with Workspace("b") as b:
            with a:
                assert wspace.current() is a and a.generation == 1
                y = a.ones(1000)
            assert wspace.current() is b
        assert wspace.current() is a and a.is_open
        assert x.sum() == y.sum() == 1000
    assert not a.is_open and wspace.current() is None


@pytest.mark.parametrize("off", [lambda ws: wspace.scope_out(), lambda ws: ws.paused()])
def test_turning_capture_off_in_a_nested_entry_ends_with_its_block(off):
    with Workspace("a") as a, a:
        with off(a):
            with off(a):
                assert wspace.current() is None
            assert wspace.current() is None
        assert wspace.current() is a
        assert wspace.owner(np.ones(1000)) is a


def test_what_is_made_while_paused_is_freed_at_once():
    """Elsewhere it waits in a list until something else is freed."""
    import weakref

    with Workspace("a", initial_size="1MiB") as a:
        with a.paused():
            x = a.ones(1000)
            alive = weakref.ref(x)
            del x
            assert alive() is None
        assert a.stats.used == a.stats.spilled == 0


def test_an_exception_in_a_copy_leaves_the_scopes_as_they_are():
    with Workspace("small", initial_size=4096, max_size=4096, spill="fail") as small:
        with Workspace("large") as large:
            x = large.ones(5000)
            for function in (wspace.leverage, lambda y: wspace.leverage_to(y, small)):
                with pytest.raises(wspace.WorkspaceFullError):
                    function(x)
                assert wspace.current() is large
                assert wspace.owner(np.ones(1000)) is large


def test_a_block_that_raises_leaves_no_scope_open():
    for block in (Workspace("a"), wspace.StagedWorkspace("b")):
        with pytest.raises(ZeroDivisionError):
            with block:
                1 / 0
        wspace.testing.assert_none_open()


def test_failed_allocations_change_no_counter():
    with Workspace(initial_size=4096, max_size=4096, spill="fail") as ws:
        ws.zeros(10)  # makes the block
        with wspace.counters(ws) as counted:
            before = ws.stats
            for _ in range(3):
                with pytest.raises(MemoryError):
                    ws.zeros(1000)
            assert ws.stats == before
        assert counted.peak == counted.allocations == counted.spills == 0


def test_arrays_of_every_workspace_outlive_its_destruction():
    ws = wspace.get("kinds gone", initial_size="1MiB")
    with ws:
        plain, spilled = np.arange(1000), np.arange(300_000)
    wspace.destroy("kinds gone")
    wspace.destroy_all()
    with wspace.get("kinds gone"):
        np.zeros(300_000)
    assert plain.sum() == 499_500 and spilled.sum() == 44_999_850_000
