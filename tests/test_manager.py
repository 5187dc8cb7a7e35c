# SPDX-License-Identifier: BSD-3-Clause
"""Questions to the manager, the default configuration, and the end of one workspace."""

import asyncio
import gc
import weakref

import numpy as np
import pytest

import wspace
import wspace.testing
from wspace import Workspace, WorkspaceConfig, _arena

# Questions


def test_exists_says_whether_get_would_find_one(in_thread):
    assert not wspace.exists("manager a")
    ws = wspace.get("manager a")
    assert wspace.exists("manager a")
    assert not in_thread(wspace.exists, "manager a")
    own = Workspace("manager own")
    assert not wspace.exists(own.name)
    ws.close()
    assert not wspace.exists("manager a")


def test_names_are_those_of_get_in_their_order(in_thread):
    before = wspace.names()
    made = [wspace.get(f"manager {letter}") for letter in "zyx"]
    Workspace("manager own")
    assert wspace.names() == [*before, "manager z", "manager y", "manager x"]
    made[1].close()
    assert wspace.names() == [*before, "manager z", "manager x"]
    assert in_thread(wspace.names) == []


def test_all_workspaces_are_those_of_this_thread(in_thread):
    ws, own = wspace.get("manager m"), Workspace("manager k")
    other = in_thread(Workspace, "manager l")
    found = wspace.all_workspaces()
    assert [each for each in found if each in (ws, own, other)] == [own, ws]
    assert [each.name for each in found] == sorted(each.name for each in found)
    own.close()
    assert own not in wspace.all_workspaces()


def test_is_open_goes_by_the_name():
    ws, twin = Workspace("manager twin"), Workspace("manager twin")
    assert not wspace.is_open("manager twin")
    with ws, wspace.scope_out():
        assert wspace.is_open("manager twin") and not twin.is_open
        assert not wspace.is_open("manager other")
    assert not wspace.is_open("manager twin")


def test_any_open_says_whether_one_is():
    assert not wspace.any_open()
    with Workspace() as ws:
        assert wspace.any_open()
        with wspace.scope_out(), ws.paused():
            assert wspace.any_open() and wspace.current() is None
    assert not wspace.any_open()


def test_one_that_is_open_on_another_thread_is_not_open_here(in_thread):
    with wspace.get("manager here"):
        assert not in_thread(wspace.any_open)
        assert not in_thread(wspace.is_open, "manager here")


def test_one_that_is_open_in_another_task_is_open_on_this_thread():
    async def main():
        entered, leave = asyncio.Event(), asyncio.Event()

        async def hold():
            with Workspace("manager task"):
                entered.set()
                await leave.wait()

        task = asyncio.create_task(hold())
        await entered.wait()
        seen = wspace.any_open(), wspace.is_open("manager task"), wspace.current()
        leave.set()
        await task
        return seen

    assert asyncio.run(main()) == (True, True, None)


@pytest.mark.parametrize("ask", [wspace.exists, wspace.is_open, wspace.destroy])
@pytest.mark.parametrize("name", [None, 3, ["name"]])
def test_a_name_that_is_no_string_is_a_type_error(ask, name):
    with pytest.raises(TypeError, match="name must be a string"):
        ask(name)


# The default configuration


@pytest.fixture
def default():
    former = wspace.get_default_config()
    yield
    wspace.set_default_config(former)


def test_the_default_is_that_of_the_class():
    assert wspace.get_default_config() == WorkspaceConfig()


def test_the_default_is_for_all_that_is_made_without_one(default, in_thread):
    former = wspace.set_default_config(max_size="1MiB", record=True)
    assert former == WorkspaceConfig()
    wanted = WorkspaceConfig(max_size="1MiB", record=True)
    assert wspace.get_default_config() == wanted
    assert Workspace().config == wanted
    assert Workspace(record=False).config == wanted.replace(record=False)
    assert wspace.get("manager default").config == wanted
    assert in_thread(lambda: Workspace().config) == wanted
    assert wspace.StagedWorkspace("a").config == wanted
    assert Workspace(config=WorkspaceConfig()).config == WorkspaceConfig()
    assert WorkspaceConfig() != wanted


def test_the_default_can_be_given_whole_and_reset(default):
    config = WorkspaceConfig(alignment=128)
    wspace.set_default_config(config, checked=False)
    assert wspace.get_default_config() == config.replace(checked=False)
    assert wspace.set_default_config() == config.replace(checked=False)
    assert wspace.get_default_config() == WorkspaceConfig()


def test_a_wrong_default_changes_nothing(default):
    with pytest.raises(ValueError, match="alignment must be"):
        wspace.set_default_config(alignment=48)
    with pytest.raises(TypeError, match="WorkspaceConfig has no field"):
        wspace.set_default_config(aligned=True)
    with pytest.raises(TypeError, match="config must be a WorkspaceConfig"):
        wspace.set_default_config("64MiB")
    assert wspace.get_default_config() == WorkspaceConfig()


def test_a_workspace_keeps_the_default_that_it_was_made_with(default):
    ws = wspace.get("manager kept")
    wspace.set_default_config(record=True)
    assert not ws.config.record
    assert wspace.get("manager kept") is ws
    with pytest.raises(wspace.WorkspaceStateError, match="exists with record=False"):
        wspace.get("manager kept", checked=True)


def test_one_config_serves_many_and_is_never_changed():
    config = WorkspaceConfig(initial_size="64KiB", overallocation=1.0)
    before = repr(config)
    one, other = Workspace("one", config), Workspace("other", config)
    for size in (1000, 50_000):
        with one:
            np.zeros(size)
    assert other.stats.capacity == 0 and one.stats.capacity > 400_000
    assert repr(config) == before and one.config is other.config is config


# destroy


def test_destroy_gives_the_memory_back_and_forgets_the_name():
    ws = wspace.get("manager brief", initial_size="1MiB")
    with ws:
        x = np.arange(1000)
    assert ws.stats.reserved > 0
    wspace.destroy("manager brief")
    assert not wspace.exists("manager brief")
    assert x.sum() == 499_500
    again = wspace.get("manager brief", initial_size="2MiB")
    assert again is not ws and again.config.initial_size == 2**21
    del x
    assert ws.stats.reserved == 0


def test_who_holds_a_destroyed_workspace_can_go_on():
    ws = wspace.get("manager held")
    wspace.destroy("manager held")
    for _ in range(3):
        with ws:
            assert wspace.owner(ws.ones(1000)) is ws


def test_destroying_an_open_workspace_is_an_error_and_changes_nothing():
    ws = wspace.get("manager open", initial_size="1MiB")
    with Workspace("outer"), ws:
        x, before = ws.arange(1000), ws.stats
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.destroy("manager open")
        assert str(caught.value) == (
            "cannot destroy workspace 'manager open': it is open; "
            "open: 'manager open', 'outer'"
        )
        assert ws.stats == before and x.sum() == 499_500
        assert wspace.current() is ws and wspace.get("manager open") is ws
        assert wspace.owner(np.ones(1000)) is ws
    wspace.destroy("manager open")


def test_destroying_one_that_another_thread_has_open_is_an_error(open_elsewhere):
    with open_elsewhere(wspace.get("manager lent")):
        with pytest.raises(
            wspace.WorkspaceStateError, match="it is open; none is open"
        ):
            wspace.destroy("manager lent")
        assert wspace.exists("manager lent")
    wspace.destroy("manager lent")


def test_destroying_what_was_not_made_names_what_was():
    wspace.destroy_all()
    for name in wspace.names():
        wspace.destroy(name)
    with pytest.raises(wspace.WorkspaceStateError) as caught:
        wspace.destroy("manager none")
    assert "it has none; none is open" in str(caught.value)
    wspace.get("manager some")
    with Workspace("own"):
        with pytest.raises(wspace.WorkspaceStateError) as caught:
            wspace.destroy("own")
    assert str(caught.value) == (
        "cannot destroy workspace 'own': this thread has not made it with "
        "`wspace.get`; it has 'manager some'; open: 'own'"
    )


def test_a_decorated_function_goes_on_after_destroy():
    @wspace.scoped("manager step")
    def step(n):
        return np.arange(n).sum()

    assert step(1000) == 499_500
    wspace.destroy("manager step")
    assert step(1000) == 499_500
    assert wspace.get("manager step").stats.cycles == 1


# Threads that end


def arenas_named(name):
    gc.collect()
    return [arena for arena in _arena.all_arenas() if arena.name == name]


@pytest.mark.parametrize("leaves", [True, False])
def test_the_memory_of_a_thread_that_ended_is_given_back(in_thread, leaves):
    def work():
        ws = wspace.get("manager thread", initial_size="1MiB")
        ws.__enter__()
        x, y = np.ones(1000), ws.ones(1000)
        assert x.sum() == y.sum() == 1000
        if leaves:
            del x, y
            ws.__exit__(None, None, None)
        return weakref.ref(ws._arena)

    reference = in_thread(work)
    gc.collect()
    assert reference() is None
    assert arenas_named("manager thread") == []


def test_arrays_of_a_thread_that_ended_with_an_open_workspace_stay_readable(in_thread):
    def work():
        ws = wspace.get("manager dead", initial_size="1MiB")
        ws.__enter__()
        return np.arange(1000), ws.arange(1000)

    plain, checked = in_thread(work)
    gc.collect()
    assert arenas_named("manager dead") == []
    assert plain.sum() == 499_500
    with pytest.raises(wspace.StaleArrayError, match="'manager dead' is stale"):
        checked.sum()
    wspace.testing.assert_none_open()


def test_threads_that_come_and_go_do_not_add_up(in_thread):
    def work():
        with wspace.get("manager many", initial_size="8MiB") as ws:
            return ws.ones(1_000_000).sum()

    for _ in range(20):
        assert in_thread(work) == 1_000_000
    gc.collect()
    named = [each for each in wspace.stats().workspaces if each.name == "manager many"]
    assert named == []
