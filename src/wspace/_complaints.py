# SPDX-License-Identifier: BSD-3-Clause
"""Texts of the manager, of debug modes and of staged programs; see `_errors`."""

from __future__ import annotations

from collections.abc import Sequence

from wspace._errors import WorkspaceStateError, _hinted, _listed


def open_here(names: Sequence[str]) -> str:
    """Write which workspaces are open."""
    return f"open: {', '.join(map(repr, names))}" if names else "none is open"


def no_trap(field: str) -> NotImplementedError:
    """Say that a debug mode is to come."""
    error = NotImplementedError(f"{field}='trap' is not available yet")
    return _hinted(error, "'poison' shows reads of dead memory as NaN")


def unknown_name(
    action: str, name: str, names: Sequence[str], open_names: Sequence[str]
) -> WorkspaceStateError:
    """Say that `get` has made no workspace of a name in this thread."""
    made = f"it has {', '.join(map(repr, names))}" if names else "it has none"
    return _hinted(
        WorkspaceStateError(
            f"cannot {action} workspace {name!r}: this thread has not made it with "
            f"`wspace.get`; {made}; {open_here(open_names)}"
        ),
        "a `Workspace(...)` of your own has `release()` and `close()`",
    )


def destroyed_while_open(name: str, open_names: Sequence[str]) -> WorkspaceStateError:
    """Say that a workspace that is to be destroyed is open; nothing was changed."""
    return _hinted(
        WorkspaceStateError(
            f"cannot destroy workspace {name!r}: it is open; {open_here(open_names)}"
        ),
        "leave its scope first; nothing was changed",
    )


def holds_references(dtype: object) -> TypeError:
    """Say that arrays of a dtype are never placed in a workspace."""
    return TypeError(
        f"an array of dtype {dtype} has no place in a workspace: "
        "it holds Python references"
    )


def counting_already() -> RuntimeError:
    """Say that counters are entered that count."""
    return _hinted(
        RuntimeError("cannot enter counters again: they count a block already"),
        "`wspace.counters()` makes new ones",
    )


# ---- staged programs -----------------------------------------------------------------


def cycle_not_open(name: str, action: str) -> WorkspaceStateError:
    """Say that a part of a cycle needs the cycle."""
    return _hinted(
        WorkspaceStateError(
            f"cannot {action} staged workspace {name!r}: its cycle is not open"
        ),
        "use `with run:` around the stages of a cycle",
    )


def mode_while_open(name: str, present: str, asked: str) -> WorkspaceStateError:
    """Say that a mode cannot change in the middle of a cycle."""
    return _hinted(
        WorkspaceStateError(
            f"cannot change the mode of staged workspace {name!r} from {present!r} to "
            f"{asked!r}: its cycle is open"
        ),
        "change it between cycles",
    )


def stage_not_entered(name: str, what: str) -> WorkspaceStateError:
    """Say that a block of a cycle is left that was not entered."""
    return WorkspaceStateError(
        f"cannot leave {what} of staged workspace {name!r}: it was not entered"
    )


# ---- assertions ----------------------------------------------------------------------


def _failed(text: str, message: str, *hints: str) -> AssertionError:
    error = AssertionError(f"{message}: {text}" if message else text)
    return _hinted(error, *hints)


def some_open(names: Sequence[str], message: str) -> AssertionError:
    """Say which workspaces are open where none should be."""
    which = f"s {_listed(map(repr, names), 'and')} are"
    if len(names) == 1:
        which = f" {names[0]!r} is"
    return _failed(f"workspace{which} open", message, "leave their scopes first")


def not_among_open(
    name: str, open_names: Sequence[str], message: str
) -> AssertionError:
    """Say that a workspace is not open where it should be."""
    text = f"workspace {name!r} is not open; {open_here(open_names)}"
    return _failed(text, message, "use `with ws:`")


def not_current(
    name: str, current: str | None, open_names: Sequence[str], message: str
) -> AssertionError:
    """Say that another workspace is current, or none."""
    is_current = "none is" if current is None else f"{current!r} is"
    text = f"workspace {name!r} is not current: {is_current}; {open_here(open_names)}"
    return _failed(text, message, "`with ws.borrow():` makes it current for a block")


def not_valid(
    what: str, made: int, generation: int, open_names: Sequence[str], message: str
) -> AssertionError:
    """Say that an array is stale, with both generations."""
    text = (
        f"{what} is stale: made in generation {made}, its workspace is in "
        f"{generation}; {open_here(open_names)}"
    )
    return _failed(text, message, "`wspace.detach` it before the scope ends")


def stages_left_open(name: str, stages: Sequence[str]) -> WorkspaceStateError:
    """Say that a cycle has ended before its stages."""
    return _hinted(
        WorkspaceStateError(
            f"the cycle of {name!r} has ended while stages of it were open: "
            f"{', '.join(map(repr, stages))}"
        ),
        "leave a stage before its cycle, best with `with`",
    )


def not_staged(field: str, value: object) -> ValueError:
    """Say that a staged workspace cannot have such a block."""
    return ValueError(
        f"{field}={str(value)!r} has no place in a StagedWorkspace, whose cycles end "
        "what they make, in two blocks of memory"
    )
