# SPDX-License-Identifier: BSD-3-Clause
"""Texts of the manager, of debug modes, of staged programs and of assertions."""

import inspect

import pytest

import wspace
from wspace import _complaints

# Factory, arguments, class, text, notes.
MESSAGES = [
    (
        "no_trap",
        ("mode",),
        NotImplementedError,
        "mode='trap' is not available yet",
        ["hint: 'poison' shows reads of dead memory as NaN"],
    ),
    (
        "unknown_name",
        ("destroy", "train", ["a", "b"], []),
        wspace.WorkspaceStateError,
        "cannot destroy workspace 'train': this thread has not made it with "
        "`wspace.get`; it has 'a', 'b'; none is open",
        ["hint: a `Workspace(...)` of your own has `release()` and `close()`"],
    ),
    (
        "destroyed_while_open",
        ("train", ["train", "outer"]),
        wspace.WorkspaceStateError,
        "cannot destroy workspace 'train': it is open; open: 'train', 'outer'",
        ["hint: leave its scope first; nothing was changed"],
    ),
    (
        "holds_references",
        ("object",),
        TypeError,
        "an array of dtype object has no place in a workspace: "
        "it holds Python references",
        [],
    ),
    (
        "counting_already",
        (),
        RuntimeError,
        "cannot enter counters again: they count a block already",
        ["hint: `wspace.counters()` makes new ones"],
    ),
    (
        "cycle_not_open",
        ("train", "enter a stage of"),
        wspace.WorkspaceStateError,
        "cannot enter a stage of staged workspace 'train': its cycle is not open",
        ["hint: use `with run:` around the stages of a cycle"],
    ),
    (
        "mode_while_open",
        ("train", "single", "none"),
        wspace.WorkspaceStateError,
        "cannot change the mode of staged workspace 'train' from 'single' to 'none': "
        "its cycle is open",
        ["hint: change it between cycles"],
    ),
    (
        "stage_not_entered",
        ("train", "a stage"),
        wspace.WorkspaceStateError,
        "cannot leave a stage of staged workspace 'train': it was not entered",
        [],
    ),
    (
        "stages_left_open",
        ("train", ["a", "b"]),
        wspace.WorkspaceStateError,
        "the cycle of 'train' has ended while stages of it were open: 'a', 'b'",
        ["hint: leave a stage before its cycle, best with `with`"],
    ),
    (
        "not_staged",
        ("reset", "ring"),
        ValueError,
        "reset='ring' has no place in a StagedWorkspace, whose cycles end what they "
        "make, in two blocks of memory",
        [],
    ),
    (
        "some_open",
        (["a"], ""),
        AssertionError,
        "workspace 'a' is open",
        ["hint: leave their scopes first"],
    ),
    (
        "some_open",
        (["a", "b"], "after it"),
        AssertionError,
        "after it: workspaces 'a' and 'b' are open",
        ["hint: leave their scopes first"],
    ),
    (
        "not_among_open",
        ("a", ["b"], ""),
        AssertionError,
        "workspace 'a' is not open; open: 'b'",
        ["hint: use `with ws:`"],
    ),
    (
        "not_current",
        ("a", "b", ["b", "a"], ""),
        AssertionError,
        "workspace 'a' is not current: 'b' is; open: 'b', 'a'",
        ["hint: `with ws.borrow():` makes it current for a block"],
    ),
    (
        "not_valid",
        ("array", 3, 5, [], "here"),
        AssertionError,
        "here: array is stale: made in generation 3, its workspace is in 5; "
        "none is open",
        ["hint: `wspace.detach` it before the scope ends"],
    ),
]


@pytest.mark.parametrize(("factory", "args", "kind", "text", "notes"), MESSAGES)
def test_a_message_has_its_text_and_its_advice(factory, args, kind, text, notes):
    error = getattr(_complaints, factory)(*args)
    assert type(error) is kind
    assert str(error) == text
    assert getattr(error, "__notes__", []) == notes
    assert "\n" not in text and not text.endswith((".", "!"))


def test_every_message_is_in_the_table():
    factories = {
        name
        for name, value in vars(_complaints).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert factories - {"open_here"} == {row[0] for row in MESSAGES}
