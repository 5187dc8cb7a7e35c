# SPDX-License-Identifier: BSD-3-Clause
"""Staged workspaces: where each mode makes what, and what it counts."""

import dataclasses
import threading

import numpy as np
import pytest

import wspace
from wspace import StagedWorkspace, Workspace, WorkspaceMode, bytes_for

MODES = list(WorkspaceMode)
WORKING = [WorkspaceMode.ENABLED, WorkspaceMode.SEPARATE]


@pytest.fixture(params=MODES, ids=str)
def run(request):
    return StagedWorkspace("run", request.param)


def make(mode):
    return StagedWorkspace("run", mode, initial_size="1MiB")


def home(array):
    workspace = wspace.owner(array)
    return None if workspace is None else workspace.name


def places(run):
    """Say where a cycle, a stage, and its results are made, and what result gives."""
    with run:
        found = [home(np.ones(1000))]
        with run.stage("a"):
            x = np.ones(1000)
            found.append(home(x))
            with run.results():
                y = np.ones(1000)
                found.append(home(y))
            found.append(home(run.result(x)))
            found.append(run.result(x) is x)
            found.append(run.result(y) is y)
            del x, y
        found.append(home(np.ones(1000)))
    return found


# ---- where things are made -----------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("none", [None, None, None, None, True, True, None]),
        ("single", ["run", "run", "run", "run", True, True, "run"]),
        (
            "separate",
            ["run", "run/working", "run/working", "run", False, False, "run"],
        ),
        ("enabled", ["run", "run/working", "run", "run", False, True, "run"]),
    ],
)
def test_each_mode_has_its_places(mode, wanted):
    run = StagedWorkspace("run", mode)
    for _ in range(3):
        assert places(run) == wanted


def test_enabled_is_the_default():
    assert StagedWorkspace().mode is WorkspaceMode.ENABLED


@pytest.mark.parametrize("mode", WORKING)
def test_the_stages_share_memory_that_is_rewound_at_the_end_of_each(mode):
    run = make(mode)
    seen = []
    with run:
        for name in ("a", "b", "c"):
            with run.stage(name):
                x = run.workspaces[1].ones(1000)
                seen.append(x.__array_interface__["data"][0])
                del x
                assert run.workspaces[1].stats.used == 0
    assert run.workspaces[1].generation == 3
    assert run.workspaces[0].generation == 1
    assert len(set(seen)) == 1


def test_in_a_single_one_nothing_is_rewound_before_the_end():
    run = make("single")
    with run:
        with run.stage("a"):
            x = run.current.ones(1000)
        with run.stage("b"):
            assert x.sum() == 1000
        assert x.sum() == 1000
    assert wspace.is_stale(x)
    assert run.workspaces[1].generation == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_result_lives_until_the_end_of_the_cycle(mode):
    run = make(mode)
    with run:
        with run.stage("a"):
            temporary = (run.current or np).ones(1000)
            result = run.result(temporary * 2)
            with run.results():
                direct = (run.current or np).zeros(1000)
            direct = run.result(direct)
        with run.stage("b"):
            assert result.sum() == 2000 and direct.sum() == 0
            assert wspace.is_stale(temporary) == (mode in WORKING)
        assert result.sum() == 2000
    assert wspace.is_stale(result) == wspace.is_stale(direct) == (mode != "none")


def test_result_walks_and_leaves_others_alone(run):
    with Workspace("outer") as outer, run, run.stage("a"):
        mine, foreign, own = np.ones(1000), outer.ones(1000), wspace.detach(np.ones(9))
        given = {"mine": [mine], "foreign": foreign, "own": own, "loss": 1.5}
        got = run.result(given)
        assert got["foreign"] is foreign and got["own"] is own
        assert (got["mine"][0] is mine) == (run.mode not in WORKING)
        assert home(got["mine"][0]) in ("run", None) or run.mode == "none"


def test_result_keeps_masks_and_types():
    run = make("separate")
    with run:
        with run.stage("a"):
            masked = np.ma.masked_greater(np.arange(1000.0), 500)
            masked = run.result(masked)
        assert type(masked) is np.ma.MaskedArray
        assert masked.sum() == 125_250
        assert home(masked) == home(masked.mask) == "run"


def test_a_captured_array_that_is_not_handed_on_stays_valid_all_the_same(run):
    with run:
        with run.stage("a"):
            x = np.arange(1000)
        with run.stage("b"):
            np.ones(1000)
            assert x.sum() == 499_500
            assert run.result(x).sum() == 499_500
    assert x.sum() == 499_500


def test_current_is_the_workspace_of_the_run_or_none(run):
    cycle, working = run.workspaces
    assert run.current is None
    with Workspace("outer"), run:
        assert run.current is (None if run.mode == "none" else cycle)
        with run.stage("a"):
            if run.mode in WORKING:
                assert run.current is working
            with run.results():
                if run.mode == "enabled":
                    assert run.current is cycle
            with Workspace("inner"), run.results():
                assert (run.current is cycle) == (run.mode == "enabled")


# ---- scopes --------------------------------------------------------------------------


def test_entering_a_cycle_again_only_counts(run):
    with run:
        with run, run.stage("a"):
            x = np.ones(1000)
        assert run.is_open
        y = run.result(x)
        assert y.sum() == 1000
    assert not run.is_open
    assert run.stats.cycles == 1


def test_a_stage_in_a_stage_is_a_part_of_it(run):
    with run:
        with run.stage("outer"):
            x = (run.current or np).ones(1000)
            with run.stage("inner"), run.results():
                y = (run.current or np).ones(1000)
            again = run.stage("again")
            with again, again:
                pass
            assert x.sum() == y.sum() == 1000
    entries = {name: stage.entries for name, stage in run.stats.stages.items()}
    assert entries == {"inner": 1, "again": 2, "outer": 1}


def test_exceptions_pass_and_close_everything(run):
    with pytest.raises(KeyError):
        with run, run.stage("a"), run.results():
            raise KeyError
    assert not run.is_open and not wspace.any_open()
    assert run.stats.stages["a"].entries == 1
    places(run)


@pytest.mark.parametrize("name", ["stage", "results", "result"])
def test_outside_of_a_cycle_there_is_nothing(run, name):
    def use():
        if name == "result":
            return run.result(3)
        return (run.stage("a") if name == "stage" else run.results()).__enter__()

    for _ in range(2):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            use()
        assert "of staged workspace 'run': its cycle is not open" in str(caught.value)
        assert caught.value.__notes__ == [
            "hint: use `with run:` around the stages of a cycle",
            "no workspace is open here",
        ]
        with run:
            pass


def test_an_exit_without_an_enter_is_an_error(run):
    for block in (run, run.stage("a"), run.results()):
        with pytest.raises(wspace.WorkspaceStateError, match="not entered"):
            block.__exit__(None, None, None)


def test_a_stage_has_a_name(run):
    with pytest.raises(TypeError, match="name must be a string"):
        run.stage(None)


def test_a_cycle_is_of_one_thread(run, in_thread):
    with run:
        with pytest.raises(wspace.WorkspaceError):
            in_thread(run.stage("a").__enter__)
        with pytest.raises(wspace.WorkspaceError):
            in_thread(run.result, 3)
    in_thread(places, run)
    assert run.stats.cycles == 2


def test_a_thread_that_ends_in_a_cycle_does_not_hold_it(run, in_thread):
    in_thread(run.__enter__)
    assert not run.is_open
    run.mode = "single" if run.mode != "single" else "none"
    places(run)


def test_a_generator_that_is_closed_late_leaves_nothing_open(run):
    def stages():
        with run, run.stage("a"):
            yield np.ones(1000)

    generator = stages()
    assert next(generator).sum() == 1000
    generator.close()
    assert not run.is_open and not wspace.any_open()


# ---- modes ---------------------------------------------------------------------------


@pytest.mark.parametrize("before", MODES)
@pytest.mark.parametrize("after", MODES)
def test_the_mode_can_be_changed_between_cycles(before, after):
    run = make(before)
    places(run)
    with run:
        x = np.arange(1000)
    run.mode = after.value.upper()
    assert run.mode is after
    assert x.sum() == 499_500
    assert places(run) == places(make(after))
    assert run.stats.cycles == (3 if before is after else 1)


def test_the_memory_of_the_former_mode_goes_back():
    run = make("enabled")
    places(run)
    former = run.workspaces
    run.mode = "single"
    assert [each.stats.reserved for each in former] == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_cannot_be_changed_in_a_cycle(mode):
    run, other = make(mode), "none" if mode != "none" else "single"
    with run:
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            run.mode = other
        assert run.mode is mode
        run.mode = mode.value  # no change
    assert str(caught.value) == (
        f"cannot change the mode of staged workspace 'run' from {mode.value!r} to "
        f"{other!r}: its cycle is open"
    )


@pytest.mark.parametrize("wrong", ["on", "", None, 3])
def test_an_unknown_mode_is_refused(wrong):
    with pytest.raises(
        (ValueError, TypeError), match="mode must be 'none', 'enabled', "
    ):
        StagedWorkspace(mode=wrong)
    run = StagedWorkspace()
    with pytest.raises(
        (ValueError, TypeError), match="mode must be 'none', 'enabled', "
    ):
        run.mode = wrong
    assert run.mode is WorkspaceMode.ENABLED


def test_both_workspaces_have_the_configuration():
    run = StagedWorkspace("run", config=wspace.WorkspaceConfig(record=True), min_size=9)
    for workspace in run.workspaces:
        assert workspace.config == wspace.WorkspaceConfig(record=True, min_size=9)
    with pytest.raises(TypeError, match="has no field"):
        StagedWorkspace(initial_sise=3)


# ---- life ----------------------------------------------------------------------------


def test_release_and_close_need_an_idle_run(run):
    for action in (run.release, run.close):
        with run:
            with pytest.raises(wspace.WorkspaceStateError, match="'run': it is open"):
                action()
        places(run)
        action()
        assert run.stats.reserved == 0
    run.close()
    if run.mode != "none":
        with pytest.raises(wspace.WorkspaceStateError, match="it is closed"):
            run.__enter__()


def test_it_is_shown_with_its_mode(run):
    with run:
        assert repr(run) == f"<StagedWorkspace 'run' {run.mode.value} open, 0 cycles>"
    assert repr(run) == f"<StagedWorkspace 'run' {run.mode.value} idle, 1 cycle>"


# ---- statistics ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_copied_bytes_are_those_of_result(mode):
    run = make(mode)
    for _ in range(2):
        with run:
            with run.stage("a"):
                x = run.result(np.ones(1000))
                with run.results():
                    y = np.ones(500)
                y = run.result(y)
            with run.stage("b"):
                run.result(x)
            del x, y
    wanted = {"separate": 12_000, "enabled": 8000}.get(mode, 0)
    assert run.stats.copied == run.stats.stages["a"].copied == 2 * wanted
    assert run.stats.stages["b"].copied == 0


@pytest.mark.parametrize("mode", MODES)
def test_each_stage_has_its_high_water_mark_and_counts(mode):
    run = make(mode)
    for _ in range(2):
        with run:
            with run.stage("large"):
                np.ones(20_000)
            with run.stage("small"):
                np.ones(1000)
                np.ones(300_000)  # does not fit
    stats = run.stats
    if mode == "none":
        assert [stage.entries for stage in stats.stages.values()] == [2, 2]
        assert stats.high_water == stats.allocations == stats.spills == 0
        return
    assert stats.stages["large"] == wspace.StageStats(
        entries=2, allocations=2, spills=0, copied=0, high_water=bytes_for(20_000)
    )
    small = stats.stages["small"]
    assert (small.entries, small.allocations) == (2, 4)
    assert small.high_water == bytes_for(300_000) == stats.high_water
    assert stats.spills == small.spills > 0


def test_the_high_water_mark_sums_both_workspaces():
    run = make("enabled")
    with run:
        carried = np.ones(5000)
        with run.stage("a"):
            x = np.ones(10_000)
            assert carried.size + x.size
    assert run.stats.high_water == bytes_for(5000) + bytes_for(10_000)


def test_all_figures_are_those_of_both_workspaces():
    run = make("separate")
    with run:
        with run.stage("a"):
            kept = np.ones(1000)
            x = run.result(kept)
        now, each = run.stats, [workspace.stats for workspace in run.workspaces]
        for name in ("used", "retained", "reserved", "allocations", "capacity"):
            assert getattr(now, name) == sum(getattr(stats, name) for stats in each)
        assert now.retained == 8000 and x.size
    with pytest.raises(dataclasses.FrozenInstanceError):
        now.copied = 3
    with pytest.raises(TypeError):
        now.stages["b"] = None


def test_a_bypassed_run_copies_nothing():
    with wspace.set_debug("bypass"):
        assert places(make("enabled")) == [None] * 4 + [True, True, None]


def test_threads_have_runs_of_their_own():
    values, failures = [], []

    def work():
        try:
            run = StagedWorkspace("run")
            for _ in range(20):
                places(run)
            values.append(run.stats.copied)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and values == [20 * 16_000] * 4


def test_a_cycle_that_ends_before_its_stage_is_an_error_in_every_mode(run):
    run.__enter__()
    stage = run.stage("a")
    stage.__enter__()
    with pytest.raises(wspace.WorkspaceStateError):
        run.__exit__(None, None, None)
    if not run.is_open:  # where the stage has a scope, the cycle ends with it
        run.mode = "separate"
    stage.__exit__(None, None, None)
    assert not run.is_open
    assert wspace.current() is None
    with run, run.stage("b"):
        pass
    assert run.stats.stages["b"].entries == 1


@pytest.mark.parametrize("mode", ["none", "single"])
def test_an_exception_that_passes_is_not_replaced_by_a_stage_left_open(mode):
    run = make(mode)
    with pytest.raises(KeyError), run:
        run.stage("a").__enter__()
        raise KeyError("passing")
    assert not run.is_open


@pytest.mark.parametrize(
    ("field", "value"), [("reset", "ring"), ("location", "mmap")], ids=str
)
def test_blocks_that_outlive_a_cycle_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}='{value}' has no place in a Staged"):
        StagedWorkspace("run", initial_size="1MiB", **{field: value})
