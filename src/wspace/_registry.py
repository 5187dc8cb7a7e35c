# SPDX-License-Identifier: BSD-3-Clause
"""The workspaces of the calling thread: by name, and all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wspace import _errors
from wspace._config import ConfigFields, WorkspaceConfig, first_difference, merge
from wspace._of_thread import mine
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
    It is kept until the thread ends or `close` is called on it.

    Examples
    --------
    >>> import wspace
    >>> wspace.get("train") is wspace.get("train")
    True
    """
    if not isinstance(name, str):
        raise _errors.wrong_type("name", "a string", name)
    workspace = mine.named.get(name)
    if workspace is None or workspace._is_closed:
        workspace = Workspace(name, config, **fields)
        mine.named[name] = workspace
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
    for workspace in sorted(mine.created, key=lambda each: each.name):
        if workspace.is_open:
            still_open.append(workspace.name)
        elif not workspace._is_closed:
            workspace.release()
    if still_open:
        raise _errors.open_elsewhere(still_open)
