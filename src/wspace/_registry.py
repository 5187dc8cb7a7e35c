# SPDX-License-Identifier: BSD-3-Clause
"""The workspaces of a thread: by name, and all that it created."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from wspace import _errors
from wspace._config import ConfigFields, WorkspaceConfig, first_difference, merge

if TYPE_CHECKING:
    from typing import Unpack

    from wspace._workspace import Workspace


class _OfThread(threading.local):
    """What is forgotten when the thread ends, and in the child of a fork."""

    def __init__(self) -> None:
        self.named: dict[str, Workspace] = {}
        self.created: weakref.WeakSet[Any] = weakref.WeakSet()


_mine = _OfThread()


def _after_fork() -> None:
    _mine.named.clear()
    _mine.created.clear()


os.register_at_fork(after_in_child=_after_fork)


def remember(workspace: Workspace) -> None:
    """Count a workspace as created by this thread."""
    _mine.created.add(workspace)


def find(name: str) -> Workspace | None:
    """Return the workspace of `get` with that name, if there is one."""
    return _mine.named.get(name)


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
    It is kept until the thread ends or `close` is called on it.

    Examples
    --------
    >>> import wspace
    >>> wspace.get("train") is wspace.get("train")
    True
    """
    from wspace._workspace import Workspace

    workspace = _mine.named.get(name)
    if workspace is None or workspace._is_closed:
        workspace = Workspace(name, config, **fields)
        _mine.named[name] = workspace
    elif fields or (config is not None and config is not workspace.config):
        clash = first_difference(workspace.config, merge(config, fields))
        if clash is not None:
            raise _errors.config_clash(name, *clash)
    return workspace


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
    for workspace in sorted(_mine.created, key=lambda each: each.name):
        if workspace.is_open:
            still_open.append(workspace.name)
        elif not workspace._is_closed:
            workspace.release()
    if still_open:
        raise _errors.open_elsewhere(still_open)
