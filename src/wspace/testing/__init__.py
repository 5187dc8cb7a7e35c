# SPDX-License-Identifier: BSD-3-Clause
"""Assertions about workspaces, for the tests of programs that use them.

`wspace.testing.pytest_plugin` has a fixture; nothing else here needs pytest.
"""

from __future__ import annotations

from typing import Any

from wspace import Workspace, _complaints, _errors, current, is_stale, owner
from wspace._arena import stale_generations
from wspace._registry import _open_on_thread

__all__ = ["assert_current", "assert_none_open", "assert_open", "assert_valid"]


def assert_none_open(message: str = "", *, allow_scope_out: bool = False) -> None:
    """Assert that no workspace is open on this thread.

    Parameters
    ----------
    message : str
        Put in front of what is wrong.
    allow_scope_out : bool
        Whether open ones are no matter where none is current.

    Raises
    ------
    AssertionError
        Naming those that are.

    Examples
    --------
    >>> import wspace.testing
    >>> wspace.testing.assert_none_open()
    """
    names = _names_open()
    if names and not (allow_scope_out and current() is None):
        raise _complaints.some_open(names, message)


def assert_open(workspace: Workspace | str, message: str = "") -> None:
    """Assert that a workspace is open on this thread.

    Parameters
    ----------
    workspace : Workspace or str
        Itself, or the name of one.
    message : str
        Put in front of what is wrong.

    Raises
    ------
    AssertionError
        Naming those that are.

    Examples
    --------
    >>> import wspace.testing
    >>> with wspace.Workspace("demo") as ws:
    ...     wspace.testing.assert_open(ws)
    ...     wspace.testing.assert_open("demo")
    """
    name = _name_of(workspace)
    if not any(workspace in (each, each.name) for each in _open_on_thread()):
        raise _complaints.not_among_open(name, _names_open(), message)


def assert_current(workspace: Workspace | str, message: str = "") -> None:
    """Assert that a workspace is the current one.

    Parameters
    ----------
    workspace : Workspace or str
        Itself, or the name of one.
    message : str
        Put in front of what is wrong.

    Raises
    ------
    AssertionError
        Naming the one that is.

    Examples
    --------
    >>> import wspace.testing
    >>> with wspace.Workspace("outer"), wspace.Workspace("inner") as inner:
    ...     wspace.testing.assert_current(inner)
    """
    name, here = _name_of(workspace), current()
    if here is None or workspace not in (here, here.name):
        found = None if here is None else here.name
        raise _complaints.not_current(name, found, _names_open(), message)


def assert_valid(array: Any, message: str = "") -> None:
    """Assert that an array can be used.

    Parameters
    ----------
    array : numpy.ndarray
        Any; only a checked array can be stale.
    message : str
        Put in front of what is wrong.

    Raises
    ------
    AssertionError
        If it is stale, with both generations.
    TypeError
        If it is no array.

    Examples
    --------
    >>> import wspace.testing
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.zeros(3)
    ...     wspace.testing.assert_valid(x)
    """
    workspace = owner(array)  # refuses what is no array
    if not is_stale(array):
        return
    made, last = stale_generations(array)
    # The workspace may be gone.
    what = "array" if workspace is None else f"array of workspace {workspace.name!r}"
    raise _complaints.not_valid(what, made, last, _names_open(), message)


def _names_open() -> list[str]:
    return [each.name for each in _open_on_thread()]


def _name_of(workspace: Workspace | str) -> str:
    if isinstance(workspace, str):
        return workspace
    if not isinstance(workspace, Workspace):
        allowed = "a Workspace or its name"
        raise _errors.wrong_type("workspace", allowed, workspace)
    return workspace.name
