# SPDX-License-Identifier: BSD-3-Clause
"""The workspaces of the calling thread: by name, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wspace import _arena, _complaints, _errors
from wspace._config import ConfigFields, WorkspaceConfig, first_difference
from wspace._default import effective
from wspace._of_thread import mine
from wspace._scope import open_scopes
from wspace._workspace import Workspace

if TYPE_CHECKING:
    from typing import Unpack


def get(
    name: str, config: WorkspaceConfig | None = None, **fields: Unpack[ConfigFields]
) -> Workspace:
    """Return this thread's workspace of a name; it is made on first use.

    Parameters
    ----------
    name : str
        Unique among the workspaces that this function made in this thread.
    config : WorkspaceConfig, optional
        For a new one; None takes one that exists as it is.
    **fields
        Single fields of the configuration, which override `config`.

    Returns
    -------
    Workspace

    Raises
    ------
    WorkspaceStateError
        If the workspace exists with another configuration.

    See Also
    --------
    scoped : Run a function in such a workspace.

    Notes
    -----
    It is kept until the thread ends, or `destroy` or `close` is called on it.

    Examples
    --------
    >>> import wspace
    >>> wspace.get("train") is wspace.get("train")
    True
    """
    workspace = _named(name)
    if workspace is None:
        workspace = Workspace(name, config, **fields)
        mine.named[name] = workspace
    elif fields or (config is not None and config is not workspace.config):
        clash = first_difference(workspace.config, effective(config, fields))
        if clash is not None:
            raise _errors.config_clash(name, *clash)
    return workspace


def _named(name: str) -> Workspace | None:
    """Return what `get` would find."""
    if not isinstance(name, str):
        raise _errors.wrong_type("name", "a string", name)
    workspace = mine.named.get(name)
    return None if workspace is None or workspace._is_closed else workspace


def exists(name: str) -> bool:
    """Say whether `get` has made a workspace of a name in this thread.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
        Whether `get` would find one, rather than make it.

    Raises
    ------
    TypeError
        If `name` is no string.

    Examples
    --------
    >>> import wspace
    >>> wspace.exists("evaluation")
    False
    >>> ws = wspace.get("evaluation")
    >>> wspace.exists("evaluation")
    True
    """
    return _named(name) is not None


def names() -> list[str]:
    """Return the names of the workspaces that `get` has made in this thread.

    Returns
    -------
    list of str
        In the order in which they were made.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.get("names of it")
    >>> "names of it" in wspace.names()
    True
    """
    return [name for name in list(mine.named) if exists(name)]


def all_workspaces() -> list[Workspace]:
    """Return the workspaces that this thread has made, by `get` and otherwise.

    Returns
    -------
    list of Workspace
        Sorted by name; without those that are closed for good.

    See Also
    --------
    stats : The figures of all workspaces, of all threads.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo")
    >>> ws in wspace.all_workspaces()
    True
    """
    there = [workspace for workspace in mine.created if not workspace._is_closed]
    return sorted(there, key=lambda each: each.name)


def is_open(name: str) -> bool:
    """Say whether a workspace of a name is open on this thread.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
        Whoever made it, and in whichever context of the thread it was entered.

    Raises
    ------
    TypeError
        If `name` is no string.

    See Also
    --------
    Workspace.is_open : The same of one workspace, on any thread.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     wspace.is_open("demo"), wspace.is_open("another")
    (True, False)
    """
    if not isinstance(name, str):
        raise _errors.wrong_type("name", "a string", name)
    return any(workspace.name == name for workspace in _open_on_thread())


def any_open() -> bool:
    """Say whether any workspace is open on this thread.

    Returns
    -------
    bool
        True in a block of `scope_out`, too.

    See Also
    --------
    current : The innermost one.

    Examples
    --------
    >>> import wspace
    >>> wspace.any_open()
    False
    >>> with wspace.Workspace("demo"):
    ...     wspace.any_open()
    True
    """
    return bool(_open_on_thread())


def _open_on_thread() -> list[Workspace]:
    """Return the workspaces that are open on this thread, those of here first."""
    found = open_scopes()
    for arena in _arena.all_arenas():
        workspace = arena.owner
        if workspace is not None and workspace._is_mine and workspace not in found:
            found.append(workspace)
    return found


def destroy(name: str) -> None:
    """Give the memory of a workspace of `get` back, and forget it.

    Parameters
    ----------
    name : str
        Of a workspace that `get` has made in this thread.

    Raises
    ------
    WorkspaceStateError
        If there is none, or it is open; nothing is changed then.
    TypeError
        If `name` is no string.

    See Also
    --------
    destroy_all : Release every workspace of this thread, and forget none.
    Workspace.close : End a workspace of your own.

    Notes
    -----
    Afterwards `get` makes a new one, of whatever configuration. Arrays that are alive
    keep their pages, and who holds the workspace can go on with it: it is as new.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.get("brief", initial_size="1MiB")
    >>> wspace.destroy("brief")
    >>> wspace.get("brief", initial_size="2MiB") is ws
    False
    """
    workspace = _named(name)
    here = [each.name for each in _open_on_thread()]
    if workspace is None:
        raise _complaints.unknown_name("destroy", name, names(), here)
    if workspace.is_open:
        raise _complaints.destroyed_while_open(name, here)
    workspace.release()
    del mine.named[name]


def destroy_all() -> None:
    """Release every workspace that this thread created.

    Raises
    ------
    WorkspaceStateError
        Naming those that are open and were left as they are; all others are released.

    Notes
    -----
    Everything goes on working afterwards: a workspace that is entered again takes its
    memory anew.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo", initial_size="1MiB")
    >>> with ws:
    ...     x = ws.zeros(10).sum()
    >>> wspace.destroy_all()
    >>> ws.stats.reserved
    0
    """
    still_open = []
    for workspace in sorted(mine.created, key=lambda each: each.name):
        if workspace.is_open:
            still_open.append(workspace.name)
        elif not workspace._is_closed:
            try:
                workspace.release()
            except _errors.WorkspaceStateError:  # another thread was faster
                still_open.append(workspace.name)
    if still_open:
        raise _errors.open_elsewhere(still_open)
