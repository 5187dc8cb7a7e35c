# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of the whole process, their table, and what an array costs."""

import dataclasses
import sys

import numpy as np
import pytest

import wspace
from wspace import Workspace, WorkspaceStats
from wspace._process import SUMS


def named(name):
    return [each for each in wspace.stats().workspaces if each.name == name]


def test_workspaces_of_all_threads_are_there(in_thread):
    mine = Workspace("process here")
    other = in_thread(Workspace, "process there")
    with mine:
        assert [each.is_open for each in named("process here")] == [True]
    (found,) = named("process there")
    assert (found.is_open, found.stats) == (False, other.stats)
    names = [each.name for each in wspace.stats().workspaces]
    assert names == sorted(names)
    del other, found
    assert named("process there") == []


def test_each_figure_is_the_sum():
    one = Workspace("process one", initial_size="1MiB")
    other = Workspace("process other", initial_size="64KiB")
    with one, other:
        x, y = one.ones(1000), np.ones(20_000)
        now = wspace.stats()
        assert x.size and y.size
        for name in SUMS:
            each = [getattr(found.stats, name) for found in now.workspaces]
            assert getattr(now, name) == sum(each), name
        assert now.used >= one.stats.used + other.stats.used > 0
    assert set(SUMS) < {field.name for field in dataclasses.fields(WorkspaceStats)}


def test_the_resident_memory_of_the_process_is_asked_from_the_system():
    before = wspace.stats().process_resident
    if before is None:
        assert not sys.platform.startswith("linux")
        return
    ws = Workspace(initial_size="64MiB")
    with ws:
        x = np.ones(4_000_000)
        now = wspace.stats()
        assert x.size and now.resident >= 32_000_000
        assert now.process_resident >= before + 20_000_000


def test_a_snapshot_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        wspace.stats().used = 3


# The table


@pytest.fixture(params=["rich", "plain"])
def how(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "rich", None)
        monkeypatch.setitem(sys.modules, "rich.console", None)
        monkeypatch.setitem(sys.modules, "rich.table", None)
        monkeypatch.setitem(sys.modules, "rich.text", None)
    return request.param


def test_the_table_has_a_row_for_each_and_their_sum(how):
    ws = Workspace(f"process [bold]{how}[/]", initial_size="1MiB")
    with ws:
        x = ws.ones(10_000)
        lines = wspace.summary().split("\n")
        assert x.size
    (row,) = [line for line in lines if f"process [bold]{how}[/]" in line]
    assert "open" in row and "1.0 MiB" in row and "80.1 KiB" in row
    (total,) = [line for line in lines if line.strip("│┃ ").startswith("all ")]
    assert "MiB" in total
    assert ("│" in row) == (how == "rich")
    assert lines[-1].startswith("resident, the whole process: ")


def test_the_columns_of_the_plain_table_are_aligned():
    from wspace._summary import _plain_table

    heads, last = ["workspace", "state", "cycles"], ["all", "", "12"]
    text = _plain_table(
        heads, [["a", "idle", "2"], ["longer name", "open", "10"]], last
    )
    assert text == (
        "workspace    state  cycles\n"
        "-----------  -----  ------\n"
        "a            idle        2\n"
        "longer name  open       10\n"
        "-----------  -----  ------\n"
        "all                     12"
    )


# bytes_for


@pytest.mark.parametrize("alignment", [1, 64, 128, 256])
@pytest.mark.parametrize("shape", [0, 1, (), (0, 3), 100, (3, 1000), [2, 4], 99_999])
def test_it_is_what_used_rises_by(shape, alignment):
    with Workspace(initial_size="2MiB", alignment=alignment) as ws:
        x = ws.empty(shape, "f4")
        cost = wspace.bytes_for(shape, "f4", alignment=alignment)
        assert ws.stats.used == cost >= x.nbytes + 64


def test_the_dtype_is_float_by_default():
    assert wspace.bytes_for(1000) == wspace.bytes_for(1000, "f8")


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        ((3, object), TypeError, "dtype object has no place in a workspace"),
        (((2, -3),), ValueError, "shape must be of no negative lengths, got -3"),
        ((2**62,), OverflowError, r"float64 needs 2\*\*65 bytes"),
        (
            (sys.maxsize, "u1"),
            OverflowError,
            r"array \(\d+,\) uint8 needs about 2\*\*63",
        ),
        (("three",), TypeError, "interpreted as an integer"),
    ],
)
def test_what_has_no_cost_is_refused(args, kind, text):
    with pytest.raises(kind, match=text):
        wspace.bytes_for(*args)


def test_an_alignment_that_no_workspace_has_is_refused():
    with pytest.raises(ValueError, match="alignment must be a power of two"):
        wspace.bytes_for(3, alignment=48)
