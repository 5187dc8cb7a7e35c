# SPDX-License-Identifier: BSD-3-Clause
"""One line that a debugger can read, of each public class."""

import re

import numpy as np
import pytest

import wspace
from wspace import Workspace, WorkspaceConfig


def test_a_workspace_says_its_name_state_generation_and_memory():
    ws = Workspace("train", initial_size="1MiB", learning="none")
    assert repr(ws) == "<Workspace 'train' new, generation 0>"
    with ws:
        assert repr(ws) == "<Workspace 'train' open, generation 1>"
        x = np.empty(2**19 - 64, np.uint8)
        assert repr(ws) == "<Workspace 'train' open, generation 1, 0.5/1.0 MiB used>"
        y = [np.empty(2**20), np.empty(2**20)]
        assert repr(ws) == (
            "<Workspace 'train' open, generation 1, 16.5/1.0 MiB used, 2 spills>"
        )
        del x, y
    assert repr(ws) == (
        "<Workspace 'train' idle, generation 1, 0.0/1.0 MiB used, 2 spills>"
    )
    ws.release()
    assert repr(ws).startswith("<Workspace 'train' idle, generation 1")
    ws.close()
    assert repr(ws).startswith("<Workspace 'train' closed, generation 1")


def test_one_spill_is_not_written_in_the_plural():
    ws = Workspace("train", initial_size="1MiB", learning="none")
    with ws:
        np.empty(2**20)
    assert repr(ws).endswith(", 1 spill>")


@pytest.mark.parametrize("name", ["it's", 'a "b"', "new\nline", "", "Größe"])
def test_names_are_quoted(name):
    assert repr(Workspace(name)) == f"<Workspace {name!r} new, generation 0>"
    assert "\n" not in repr(Workspace(name))


def test_names_given_by_default_are_numbered():
    one, other = Workspace(), Workspace()
    numbers = [int(re.fullmatch(r"workspace-(\d+)", ws.name)[1]) for ws in (one, other)]
    assert numbers[1] == numbers[0] + 1


def test_a_workspace_may_be_shown_from_another_thread(in_thread):
    with Workspace("train") as ws:
        assert in_thread(repr, ws) == "<Workspace 'train' open, generation 1>"


def test_a_config_shows_what_differs_from_the_default():
    assert repr(WorkspaceConfig()) == "WorkspaceConfig()"
    config = WorkspaceConfig(max_size="64MiB", spill="fail", record=True)
    assert repr(config) == (
        "WorkspaceConfig(max_size=67108864, spill='fail', record=True)"
    )
    assert eval(repr(config), {"WorkspaceConfig": WorkspaceConfig}) == config


def test_statistics_show_all_figures_by_name():
    text = repr(Workspace().stats)
    assert text.startswith("WorkspaceStats(generation=0, cycles=0, capacity=0, used=0,")
    assert eval(text, {"WorkspaceStats": wspace.WorkspaceStats}) == Workspace().stats


@pytest.mark.parametrize("show", [repr, str])
def test_a_stale_array_says_what_it_was(show):
    with Workspace("train") as ws:
        x = ws.zeros((2, 3), np.float32)
        scalar = ws.array(1)
    assert show(x) == (
        "<stale array (2, 3) float32 of workspace 'train', made in generation 1>"
    )
    assert show(scalar).startswith("<stale array () int64 of workspace 'train'")
    assert f"{x}" == str(x)


def test_a_stale_array_with_a_structured_dtype_is_shown_in_one_line():
    fields = [(f"field_{i}", "f8") for i in range(30)]
    with Workspace("train") as ws:
        x = ws.zeros(3, fields)
    assert "\n" not in repr(x)
    assert "field_0" in repr(x)


def test_a_valid_checked_array_is_shown_as_an_array():
    with Workspace() as ws:
        x = ws.array([1, 2])
        assert repr(x) == "Array([1, 2])"
        assert str(x) == "[1 2]"


def test_an_array_in_a_list_is_shown_in_it():
    with Workspace("w") as ws:
        x = [ws.ones(2)]
        assert repr(x) == "[Array([1., 1.])]"
    assert repr(x) == (
        "[<stale array (2,) float64 of workspace 'w', made in generation 1>]"
    )


@pytest.mark.parametrize(
    "policy", ["LearningPolicy", "AllocationPolicy", "SpillPolicy", "EscapePolicy"]
)
def test_policies_are_shown_with_their_class(policy):
    kind = getattr(wspace, policy)
    for member in kind:
        assert repr(member) == f"<{policy}.{member.name}: {member.value!r}>"
        assert str(member) == member.value == member.name.lower()


def test_blocks_of_borrow_and_scope_out_can_be_shown():
    with Workspace("train") as ws:
        assert "Block" in repr(ws.borrow())
        assert "ScopeOut" in repr(wspace.scope_out())
