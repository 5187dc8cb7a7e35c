# SPDX-License-Identifier: BSD-3-Clause
"""`ws.stats`: what each figure counts, and when."""

import dataclasses
import threading

import numpy as np
import pytest

import wspace
from wspace import Workspace, WorkspaceStats

FIELDS = [field.name for field in dataclasses.fields(WorkspaceStats)]
TOTALS = [
    "cycles",
    "allocations",
    "spills",
    "escaped_count",
    "passed_small",
    "passed_foreign",
    "upstream_calls",
]


def bytes_for(ws, *sizes):
    return sum(ws._arena.bytes_for(size) for size in sizes)


def test_a_new_workspace_has_done_nothing():
    stats = Workspace().stats
    assert dataclasses.asdict(stats) == dict.fromkeys(FIELDS, 0)


def test_a_snapshot_is_frozen_keyword_only_and_compares_by_value():
    ws = Workspace()
    stats = ws.stats
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.used = 3
    with pytest.raises((AttributeError, TypeError)):
        stats.other = 3
    with pytest.raises(TypeError):
        WorkspaceStats(*range(len(FIELDS)))
    assert ws.stats == stats
    with ws:
        assert ws.stats != stats
    with pytest.raises(AttributeError):
        ws.stats = stats


def test_all_figures_are_plain_ints():
    ws = Workspace()
    with ws:
        np.ones(1000)
    assert {type(value) for value in dataclasses.asdict(ws.stats).values()} == {int}


def test_generation_and_cycles_count_outermost_enters_and_exits():
    ws = Workspace()
    seen = []
    for _ in range(2):
        with ws:
            seen.append((ws.stats.generation, ws.stats.cycles))
            with ws:
                seen.append((ws.stats.generation, ws.stats.cycles))
        seen.append((ws.stats.generation, ws.stats.cycles))
    assert seen == [(1, 0), (1, 0), (1, 1), (2, 1), (2, 1), (2, 2)]


def test_used_rises_and_falls_with_the_arrays():
    ws = Workspace(initial_size="1MiB")
    with ws:
        assert ws.stats.used == 0
        x = np.empty(10_000, np.uint8)
        assert ws.stats.used == bytes_for(ws, 10_000) >= 10_000
        y = np.empty(20_000, np.uint8)
        assert ws.stats.used == bytes_for(ws, 10_000, 20_000)
        del x
        assert ws.stats.used == bytes_for(ws, 20_000)
        del y
        assert ws.stats.used == 0


def test_the_high_water_marks_are_of_this_the_last_and_all_cycles():
    ws = Workspace(initial_size="1MiB")
    marks = []
    for size in (50_000, 10_000):
        with ws:
            x = np.empty(size, np.uint8)
            del x
            x = np.empty(2000, np.uint8)
            del x
            marks.append(ws.stats.cycle_high_water)
        assert ws.stats.last_high_water == marks[-1]
    assert marks == [bytes_for(ws, 50_000), bytes_for(ws, 10_000)]
    assert ws.stats.high_water == marks[0]
    with ws:
        assert ws.stats.cycle_high_water == 0
        assert ws.stats.last_high_water == marks[1]


def test_survivors_of_earlier_cycles_are_retained_and_not_used():
    ws = Workspace(initial_size="1MiB")
    with ws:
        x, y = np.ones(1000), ws.ones(500)
        assert ws.stats.retained == 0
    assert ws.stats.used == 0
    assert ws.stats.retained == 12_000
    assert ws.stats.escaped == 8000
    with ws:
        assert ws.stats.used == 0
        assert ws.stats.retained == 12_000
        del x
        assert ws.stats.retained == 4000
        assert ws.stats.escaped == 0
    del y
    assert ws.stats.retained == 0


def test_what_is_kept_is_retained_and_not_escaped():
    ws = Workspace(initial_size="1MiB")
    with ws:
        x = wspace.keep(np.ones(1000))
    stats = ws.stats
    assert (stats.retained, stats.escaped, stats.escaped_count) == (x.nbytes, 0, 0)


def test_capacity_and_reserved_are_of_the_block_and_of_all_memory():
    ws = Workspace(initial_size=2**20, learning="none")
    with ws:
        x = np.empty(1000)
        assert ws.stats.capacity == ws.stats.reserved == 2**20
        y = np.empty(2_000_000, np.uint8)
        assert ws.stats.capacity == 2**20
        assert ws.stats.reserved >= 3_000_000
        del x, y
    assert ws.stats.reserved == 2**20
    ws.close()
    assert ws.stats.reserved == ws.stats.capacity == ws.stats.resident == 0


def test_resident_is_what_was_touched():
    ws = Workspace(initial_size="16MiB")
    with ws:
        x = np.empty(4_000_000, np.uint8)
        untouched = ws.stats.resident
        x[:] = 1
        touched = ws.stats.resident
        del x
    assert untouched < 1_000_000
    assert 4_000_000 <= touched <= 5_000_000
    given_back = ws.trim()
    assert given_back >= 3_900_000
    assert ws.stats.resident < 1_000_000
    assert ws.stats.capacity == 2**24


def test_resident_includes_the_pages_of_survivors_after_trim_and_release():
    ws = Workspace(initial_size="16MiB")
    with ws:
        x = np.ones(4_000_000, np.uint8)
    ws.trim()
    assert ws.stats.resident >= 4_000_000
    ws.release()
    assert ws.stats.retained == 4_000_000
    assert x.sum() == 4_000_000


def test_spills_are_counted_and_their_bytes_while_they_are_alive():
    ws = Workspace(initial_size=4096, learning="none")
    with ws:
        x = np.empty(10_000, np.uint8)
        y = np.empty(20_000, np.uint8)
        assert ws.stats.spills == 2
        assert ws.stats.spilled == bytes_for(ws, 10_000, 20_000)
        del x
        assert ws.stats.spilled == bytes_for(ws, 20_000)
    assert ws.stats.spilled == bytes_for(ws, 20_000)  # y survives
    del y
    assert ws.stats.spilled == 0
    assert ws.stats.spills == 2


def test_allocations_count_the_block_and_what_is_outside():
    ws = Workspace(initial_size=4096, learning="none")
    with ws:
        kept = [np.empty(2000, np.uint8), np.empty(10_000), ws.empty(3)]
        assert ws.stats.allocations == 3
    assert len(kept) == 3
    with Workspace() as learning:
        x = np.empty(2000)
        del x
        assert learning.stats.allocations == 1


def test_small_allocations_passed_through_are_counted():
    ws = Workspace(min_block=2000)
    with ws:
        for size in (1999, 2000, 10):
            np.empty(size, np.uint8)
        assert ws.stats.passed_small == 2
        assert ws.stats.allocations == 1
        ws.empty(3)  # whatever its size
        assert ws.stats.passed_small == 2


def test_allocations_of_other_threads_are_counted_as_passed_through():
    import contextvars

    ws = Workspace()
    owners = []
    with ws:
        context = contextvars.copy_context()

        def use():
            x = np.empty(10_000)
            owners.append(wspace.owner(x))

        thread = threading.Thread(target=context.run, args=(use,))
        thread.start()
        thread.join()
        assert ws.stats.passed_foreign >= 1
        assert ws.stats.allocations == 0
    assert owners == [None]


def test_escaped_counts_and_bytes():
    ws = Workspace()
    with ws:
        x, y, z = np.ones(1000), np.ones(2000), np.ones(3)
        assert ws.stats.escaped_count == 0
    assert ws.stats.escaped_count == 2
    assert ws.stats.escaped == 24_000
    del x
    assert ws.stats.escaped_count == 2
    assert ws.stats.escaped == 16_000
    assert y.size + z.size == 2003


def test_totals_go_on_after_a_release_and_the_rest_starts_anew():
    ws = Workspace()
    for _ in range(3):
        with ws:
            np.empty(10_000)
            np.empty(3)
    before = ws.stats
    ws.release()
    after = ws.stats
    for name in TOTALS:
        assert getattr(after, name) >= getattr(before, name)
    assert after.generation == 3
    assert (after.capacity, after.reserved, after.used) == (0, 0, 0)


def test_two_snapshots_subtract_to_what_happened_between():
    ws = Workspace(initial_size="1MiB")
    with ws:
        np.empty(1000)
        before = ws.stats
        for _ in range(7):
            np.empty(1000)
        assert ws.stats.allocations - before.allocations == 7


def test_any_thread_may_read_them_while_the_scope_is_open():
    ws = Workspace(initial_size="1MiB")
    found = []
    with ws:
        x = np.empty(1000)
        thread = threading.Thread(target=lambda: found.append(ws.stats))
        thread.start()
        thread.join()
        assert found[0].used == ws.stats.used > x.nbytes
    assert ws.stats.used == 0


def test_shown_as_text_they_are_one_line():
    ws = Workspace(initial_size="1MiB", learning="none")
    with ws:
        x = np.empty(2**19 - 64, np.uint8)
        assert str(ws.stats) == (
            "generation 1, 0.5/1.0 MiB used, high-water mark 512.1 KiB, "
            "0 B retained, 0 spills"
        )
        y = np.empty(2**20)
        assert str(ws.stats).endswith(", 1 spill")
        del x, y
