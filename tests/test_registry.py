# SPDX-License-Identifier: BSD-3-Clause
"""Workspaces by name, one for each thread, and the end of all of them."""

import gc
import weakref

import numpy as np
import pytest

import wspace
from wspace import Workspace, WorkspaceConfig

# get


def test_get_makes_a_workspace_on_first_use_and_then_finds_it():
    ws = wspace.get("registry train")
    assert type(ws) is Workspace
    assert ws.name == "registry train"
    assert ws.config == WorkspaceConfig()
    assert wspace.get("registry train") is ws
    assert wspace.get("registry eval") is not ws


def test_names_of_workspaces_made_otherwise_need_not_be_unique():
    one, other = Workspace("registry twin"), Workspace("registry twin")
    assert wspace.get("registry twin") not in (one, other)
    with one, other:
        assert wspace.get("registry twin") not in (one, other)


def test_get_takes_a_config_and_fields_over_it():
    config = WorkspaceConfig(initial_size="1MiB", record=True)
    assert wspace.get("registry a", config).config == config
    assert wspace.get("registry b", config, record=False).config == config.replace(
        record=False
    )
    assert wspace.get("registry c", max_size="1MiB").config.max_size == 2**20


def test_the_same_config_finds_the_workspace():
    ws = wspace.get("registry same", initial_size="1MiB")
    assert wspace.get("registry same", initial_size=2**20) is ws
    assert wspace.get("registry same", WorkspaceConfig(initial_size="1024KiB")) is ws
    assert wspace.get("registry same") is ws


@pytest.mark.parametrize(
    ("fields", "clash"),
    [
        (
            {"initial_size": "2MiB"},
            "initial_size=1048576, asked for initial_size=20971",
        ),
        (
            {"initial_size": "1MiB", "record": True},
            "record=False, asked for record=",
        ),
        (
            {"initial_size": "1MiB", "spill": "external"},
            "spill='reallocate', asked for",
        ),
        ({"record": False}, "initial_size=1048576, asked for initial_size=0"),
    ],
)
def test_another_config_is_an_error_and_not_ignored(fields, clash):
    ws = wspace.get("registry clash", initial_size="1MiB")
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        wspace.get("registry clash", **fields)
    assert str(caught.value).startswith(
        f"workspace 'registry clash' exists with {clash}"
    )
    with pytest.raises(wspace.WorkspaceStateError):
        wspace.get("registry clash", WorkspaceConfig(**fields))
    assert wspace.get("registry clash") is ws


def test_after_close_the_name_is_free():
    ws = wspace.get("registry closed", record=True)
    ws.close()
    again = wspace.get("registry closed")
    assert again is not ws
    assert not again.config.record


def test_a_released_workspace_keeps_its_name():
    ws = wspace.get("registry released")
    ws.release()
    assert wspace.get("registry released") is ws


def test_a_wrong_field_leaves_no_workspace_behind():
    with pytest.raises(TypeError):
        wspace.get("registry wrong", initial_sise=3)
    with pytest.raises(ValueError, match="spill"):
        wspace.get("registry wrong", spill="never")
    assert wspace.get("registry wrong", record=True).config.record


@pytest.mark.parametrize("name", [None, 3, b"name", ["name"]])
def test_a_name_that_is_no_string_is_a_type_error(name):
    with pytest.raises(TypeError, match="name must be a string"):
        wspace.get(name)


def test_each_thread_has_its_own(in_thread):
    ws = wspace.get("registry each")
    other = in_thread(wspace.get, "registry each")
    assert other is not ws
    assert other.name == "registry each"
    assert in_thread(lambda: wspace.get("registry each", record=True).config.record)


def test_the_workspaces_of_a_thread_go_with_it(in_thread):
    reference = in_thread(lambda: weakref.ref(wspace.get("registry brief")))
    gc.collect()
    assert reference() is None


def test_they_live_without_another_reference():
    reference = weakref.ref(wspace.get("registry held"))
    gc.collect()
    assert reference() is wspace.get("registry held")


@pytest.mark.slow
def test_after_a_fork_the_child_starts_with_its_own(run_python):
    print_child = """
        import os, warnings
        import numpy as np
        import wspace
        warnings.simplefilter("ignore")
        ws = wspace.get("registry parent", record=True)
        mine = wspace.Workspace("mine")
        with ws, mine:
            x = np.arange(1000)
        if os.fork() == 0:
            fresh = wspace.get("registry parent")
            assert fresh is not ws and not fresh.config.record
            with fresh:
                assert wspace.owner(np.ones(1000)) is fresh
            wspace.destroy_all()
            assert mine.stats.cycles == 1
            assert x.sum() == 499500
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        assert wspace.get("registry parent") is ws
        print("done")
    """
    assert run_python(print_child) == "done\n"


# destroy_all


def test_destroy_all_releases_every_workspace_of_this_thread(in_thread):
    made = [Workspace("a"), wspace.get("registry b"), Workspace(initial_size="1MiB")]
    other = in_thread(Workspace, "other")
    for ws in [*made, other]:
        with ws:
            np.empty(10_000)
        assert ws.stats.reserved > 0
    wspace.destroy_all()
    assert [ws.stats.reserved for ws in made] == [0, 0, 0]
    assert other.stats.reserved > 0
    other.release()


def test_everything_goes_on_working_afterwards():
    ws = Workspace()
    with ws:
        x = np.arange(1000)
    wspace.destroy_all()
    assert x.sum() == 499_500
    for _ in range(3):
        with ws:
            y = np.ones(1000)
            assert wspace.owner(y) is ws
            del y
    assert ws.generation == 4
    assert wspace.get("registry new") is wspace.get("registry new")


def test_those_that_are_open_are_named_and_left_as_they_are():
    idle = Workspace("idle", initial_size="1MiB")
    with idle:
        np.empty(1000)
    with Workspace("a") as a, wspace.get("registry b"):
        x = a.ones(3)
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.destroy_all()
        assert x.sum() == 3
    assert str(caught.value) == (
        "cannot release workspaces 'a' and 'registry b': they are open"
    )
    assert caught.value.__notes__ == [
        "hint: leave their scopes first; all others of this thread were released"
    ]
    assert idle.stats.reserved == 0


def test_one_that_is_open_is_named_in_the_singular():
    with Workspace("a"):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.destroy_all()
    assert str(caught.value) == "cannot release workspace 'a': it is open"


def test_one_that_is_open_in_another_thread_is_named_too(open_elsewhere):
    with open_elsewhere(Workspace("lent")):
        with pytest.raises(wspace.WorkspaceStateError, match="workspace 'lent': it is"):
            wspace.destroy_all()
    wspace.destroy_all()


def test_closed_ones_are_passed_over_and_it_may_be_called_again():
    Workspace("closed").close()
    wspace.destroy_all()
    wspace.destroy_all()


def test_workspaces_are_not_kept_alive_by_it():
    reference = weakref.ref(Workspace())
    gc.collect()
    assert reference() is None
    wspace.destroy_all()
