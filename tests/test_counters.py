# SPDX-License-Identifier: BSD-3-Clause
"""`counters`: figures of a block, nested and in any order."""

from random import Random

import numpy as np
import pytest

import wspace
from wspace import Workspace, bytes_for, counters


@pytest.fixture
def ws():
    return Workspace("train", initial_size="1MiB")


def take(ws, size):
    """Have so many bytes in use for a moment."""
    ws.empty(size, np.uint8)


def test_the_peak_is_that_of_the_block(ws):
    with ws:
        take(ws, 50_000)
        base = ws.empty(3000, np.uint8)
        with counters(ws) as counted:
            assert counted.peak == bytes_for(3000, "u1")
            take(ws, 10_000)
            assert counted.peak == bytes_for(3000, "u1") + bytes_for(10_000, "u1")
        take(ws, 80_000)
        del base
    assert counted.peak == bytes_for(3000, "u1") + bytes_for(10_000, "u1")


def test_blocks_nest_and_the_outer_has_the_peaks_of_the_inner(ws):
    with counters(ws) as outer, ws:
        take(ws, 10_000)
        with counters(ws) as inner:
            take(ws, 20_000)
            with counters(ws) as innermost:
                take(ws, 5000)
        take(ws, 7000)
    marks = [each.peak for each in (outer, inner, innermost)]
    assert marks == [bytes_for(size, "u1") for size in (20_000, 20_000, 5000)]


def test_they_may_end_in_any_order(ws):
    first, second = counters(ws), counters(ws)
    with ws:
        first.__enter__()
        take(ws, 30_000)
        second.__enter__()
        take(ws, 10_000)
        first.__exit__(None, None, None)
        take(ws, 20_000)
        second.__exit__(None, None, None)
    assert first.peak == bytes_for(30_000, "u1")
    assert second.peak == bytes_for(20_000, "u1")


def test_no_other_figure_changes_and_the_size_is_learned_as_ever():
    plain, watched = Workspace(), Workspace()
    for turn in range(3):
        for ws in (plain, watched):
            with ws:
                x = np.ones(2000 * (turn + 1))
                if ws is watched:
                    with counters(ws):
                        np.ones(500)
                else:
                    np.ones(500)
                del x
                np.ones(100)
    assert plain.stats == watched.stats


def test_counts_are_differences(ws):
    with ws:
        np.ones(1000)
    with counters(ws) as counted:
        assert counted.allocations == counted.cycles == 0
        for _ in range(2):
            with ws:
                kept = np.ones(1000)
                np.ones(200_000)
        assert kept.size
    assert (counted.cycles, counted.allocations, counted.spills) == (2, 4, 1)
    assert counted.escaped_count == 2 and counted.upstream_calls > 0
    with ws:
        np.ones(1000)
    assert (counted.cycles, counted.allocations) == (2, 4)


def test_several_workspaces_are_summed(ws):
    other = Workspace("other", initial_size="1MiB")
    with counters(ws, other) as counted, ws, other:
        take(ws, 10_000)
        take(other, 20_000)
    assert counted.peak == bytes_for(10_000, "u1") + bytes_for(20_000, "u1")
    assert counted.cycles == 2


def test_by_default_they_are_those_of_the_thread_and_what_it_makes(ws, in_thread):
    foreign = in_thread(Workspace, "foreign")
    with counters() as counted:
        later = Workspace("later", initial_size="1MiB")
        with ws, later, foreign:
            take(ws, 10_000)
            take(later, 20_000)
            take(foreign, 40_000)
    assert counted.peak == bytes_for(10_000, "u1") + bytes_for(20_000, "u1")
    after = Workspace("after")
    with after:
        take(after, 10_000)
    assert counted.allocations == 2


def test_one_that_another_thread_has_open_is_left_out_or_refused(ws, open_elsewhere):
    with open_elsewhere(ws):
        with counters() as counted:
            assert counted.peak == 0
        with pytest.raises(wspace.WrongThreadError, match="'train' belongs to thread"):
            counters(ws).__enter__()


def test_they_can_be_read_while_another_thread_works(ws, in_thread):
    def work():
        with ws:
            take(ws, 30_000)

    with counters(ws) as counted:
        in_thread(work)
    assert counted.peak == bytes_for(30_000, "u1")


def test_they_are_shown_with_their_figures(ws):
    with counters(ws) as counted, ws:
        take(ws, 1000)
    assert repr(counted) == (
        "<Counters: peak 1,088 bytes, 1 cycle, 1 allocation, 0 spills>"
    )


def test_entering_them_twice_is_an_error(ws):
    with counters(ws) as counted:
        with pytest.raises(RuntimeError, match="they count a block already"):
            counted.__enter__()


def test_what_is_no_workspace_is_refused():
    with pytest.raises(TypeError, match="workspaces must be Workspace objects"):
        counters("train")


def test_an_exception_passes_and_ends_the_block(ws):
    with pytest.raises(KeyError):
        with counters(ws) as counted, ws:
            take(ws, 10_000)
            raise KeyError
    with ws:
        take(ws, 50_000)
    assert counted.peak == bytes_for(10_000, "u1")
    assert ws._spans == []


def test_a_renewed_workspace_counts_on_in_the_child_of_a_fork(run_python):
    out = run_python("""
        import os, warnings
        import numpy as np, wspace
        warnings.simplefilter("ignore")
        ws = wspace.Workspace("a", initial_size="1MiB")
        with ws:
            np.ones(5000)
        if os.fork() == 0:
            with wspace.counters(ws) as counted:
                with ws:
                    np.ones(1000)
            assert counted.peak == wspace.bytes_for(1000), counted
            assert counted.allocations == 1
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        print("done")
    """)
    assert out == "done\n"


@pytest.mark.parametrize("seed", range(20))
def test_random_blocks_agree_with_a_list_of_what_is_in_use(seed):
    random = Random(seed)
    ws = Workspace(initial_size="1MiB", spill="external")
    held, spans = [], []  # spans: (counters, the most seen)

    def note():
        used = sum(bytes_for(len(x), "u1") for x in held)
        for span in spans:
            span[1] = max(span[1], used)

    for _ in range(4):
        with ws:
            for _ in range(60):
                step = random.choice(["take", "take", "drop", "begin", "end"])
                if step == "take":
                    held.append(ws.empty(random.randrange(1, 20_000), np.uint8))
                elif step == "drop" and held:
                    del held[random.randrange(len(held))]
                elif step == "begin":
                    spans.append([counters(ws).__enter__(), 0])
                elif step == "end" and spans:
                    counted, most = spans.pop(random.randrange(len(spans)))
                    counted.__exit__(None, None, None)
                    assert counted.peak == most
                note()
                assert [span[0].peak for span in spans] == [span[1] for span in spans]
            held.clear()
    for counted, most in spans:
        assert counted.peak == most
        counted.__exit__(None, None, None)
