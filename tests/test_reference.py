# SPDX-License-Identifier: BSD-3-Clause
"""Where the reference system is broken, and this one is not: a test for each defect."""

import numpy as np
import pytest

import wspace
from wspace import Workspace

KIB, MIB = 1024, 1024**2


def cycle(ws, *sizes):
    with ws:
        arrays = [np.empty(size, np.uint8) for size in sizes]
        del arrays


# Learning


def test_growth_goes_on_after_the_maximum_was_once_exceeded():
    ws = Workspace(max_size=5000, initial_size=1300, allocation="strict")
    cycle(ws, 6000)
    assert ws.stats.capacity == 5000
    ws.learn()
    cycle(ws, 1024)
    ws.learn()
    assert ws.stats.capacity < 2000
    cycle(ws, 4000)
    assert ws.stats.capacity >= 4000


def test_empty_cycles_are_not_counted_and_no_moment_is_missed():
    ws = Workspace(learning="over_time", cycles_before_initialization=2)
    for _ in range(5):
        cycle(ws)
    cycle(ws, 2000)
    cycle(ws, 2000)
    assert ws.stats.capacity >= 2000


def test_a_workspace_that_may_not_spill_can_learn():
    ws = Workspace(spill="fail")
    cycle(ws, 100_000)
    cycle(ws, 100_000)
    assert ws.stats.capacity >= 100_000
    assert ws.stats.spills == 0


def test_slack_is_added_more_than_once():
    ws = Workspace(overallocation=0.3)
    for need in (100_000, 200_000, 300_000):
        cycle(ws, need)
        assert ws.stats.capacity >= 1.3 * need


def test_a_failure_is_not_counted():
    ws = Workspace(spill="fail", initial_size=10_000)
    with ws:
        x = ws.ones(1000)
        before = ws.stats
        for _ in range(3):
            with pytest.raises(wspace.WorkspaceFullError):
                ws.ones(1000)
        assert ws.stats == before
        del x


# Configurations


def test_a_configuration_serves_many_workspaces_and_is_none_of_theirs(tmp_path):
    path = tmp_path / "block"
    path.write_bytes(bytes(20_000))
    config = wspace.WorkspaceConfig(location="mmap", path=path, initial_size=10_000)
    ws = Workspace("first", config)
    cycle(ws, 15_000)
    assert ws.stats.capacity == 20_000
    assert config.initial_size == ws.config.initial_size == 10_000
    ws.close()
    assert Workspace("second", config).config is config


def test_another_configuration_for_a_name_is_not_ignored():
    wspace.get("reference", reset="ring")
    with pytest.raises(wspace.WorkspaceStateError, match="reset='ring'"):
        wspace.get("reference", reset="block_left")


# Scopes


def test_an_outer_open_workspace_that_is_entered_again_is_not_rewound():
    outer, inner = Workspace("outer"), Workspace("inner")
    with outer:
        x = outer.full(1000, 3.0)
        with inner:
            with outer:
                y = outer.full(1000, 4.0)
            assert wspace.current() is inner
            assert outer.is_open
        assert wspace.current() is outer
        assert x.sum() + y.sum() == 7000
        assert outer.generation == 1


def test_a_scope_out_in_a_nested_entry_gives_the_workspace_back():
    ws = Workspace("train")
    with ws:
        with ws:
            with wspace.scope_out():
                assert wspace.current() is None
            assert wspace.current() is ws
            assert wspace.is_attached(np.ones(1000))
        assert wspace.current() is ws


def test_a_workspace_can_be_borrowed_twice():
    outer, inner = Workspace("outer"), Workspace("inner")
    with outer, inner:
        with outer.borrow():
            with outer.borrow(), inner.borrow():
                assert wspace.current() is inner
            assert wspace.current() is outer
        assert wspace.current() is inner


def test_a_closed_workspace_cannot_be_borrowed():
    ws = Workspace("train")
    with pytest.raises(wspace.WorkspaceStateError, match="cannot borrow"):
        ws.borrow().__enter__()


def test_an_open_workspace_is_not_destroyed():
    ws = Workspace("train")
    with ws:
        x = ws.ones(1000)
        for destroy in (ws.close, ws.release, ws.learn):
            with pytest.raises(wspace.WorkspaceStateError, match="'train': it is open"):
                destroy()
        assert x.sum() == 1000


# Rings


@pytest.mark.parametrize("spill", ["external", "reallocate"])
@pytest.mark.parametrize("learning", ["none", "first_loop"])
def test_what_is_larger_than_a_ring_ends_neither_in_a_loop_nor_in_a_crash(
    spill, learning
):
    ws = Workspace(
        reset="ring", slots=2, spill=spill, learning=learning, initial_size=10_000
    )
    with ws:
        batch = ws.full(100_000, 3.0)
    assert ws.stats.spills == 1
    assert batch.sum() == 300_000


def test_a_ring_that_is_full_does_not_write_over_what_waits():
    ws = Workspace(reset="ring", slots=2, initial_size=MIB, on_busy="skip")
    queue = []
    for n in range(4):
        with ws:
            queue.append(ws.full(1000, n))
    assert [int(batch.sum()) for batch in queue] == [1000 * n for n in range(4)]


def test_one_large_item_does_not_send_the_next_ones_outside():
    ws = Workspace(reset="ring", slots=4, initial_size=64 * KIB)
    for size in [1000, 100_000, 1000, 1000, 1000, 1000]:
        with ws:
            ws.zeros(size)
    assert ws.stats.spills == 1


# Files


def test_nothing_is_written_behind_a_file(tmp_path):
    ws = Workspace(location="mmap", path=tmp_path / "block", initial_size=10_000)
    with ws:
        x, y = ws.full(1200, 1.0), ws.full(1200, 2.0)  # 19,200 bytes
        assert (x.sum(), y.sum()) == (1200, 2400)
        assert ws.stats.spills == 1
    assert (tmp_path / "block").stat().st_size == 10_000


def test_a_file_needs_no_other_learning(tmp_path):
    ws = Workspace(location="mmap", initial_size=10_000)
    with ws:
        assert ws.zeros(1000).sum() == 0
        assert ws.stats.spills == 0
