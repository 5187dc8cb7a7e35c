# SPDX-License-Identifier: BSD-3-Clause
"""The configuration of workspaces that are made without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wspace._config import ConfigFields, WorkspaceConfig, merge

if TYPE_CHECKING:
    from typing import Unpack

# Of the whole process; replaced, never changed.
_default = WorkspaceConfig()


def get_default_config() -> WorkspaceConfig:
    """Return the configuration of workspaces that are made without one.

    Returns
    -------
    WorkspaceConfig

    See Also
    --------
    set_default_config : Choose another one.

    Examples
    --------
    >>> import wspace
    >>> wspace.get_default_config()
    WorkspaceConfig()
    """
    return _default


def set_default_config(
    config: WorkspaceConfig | None = None, **fields: Unpack[ConfigFields]
) -> WorkspaceConfig:
    """Choose the configuration of workspaces that are made without one.

    Parameters
    ----------
    config : WorkspaceConfig, optional
        None stands for ``WorkspaceConfig()``, which is the default to begin with.
    **fields
        Single fields of the configuration, which override `config`.

    Returns
    -------
    WorkspaceConfig
        The former default.

    Raises
    ------
    TypeError, ValueError
        As for `WorkspaceConfig`.

    See Also
    --------
    get_default_config : The present one.

    Notes
    -----
    Of the whole process. Workspaces that exist keep what they were made with, and so do
    functions that were decorated with `scoped` and fields of a configuration.

    Examples
    --------
    >>> import wspace
    >>> former = wspace.set_default_config(max_size="1GiB")
    >>> wspace.Workspace("demo").config
    WorkspaceConfig(max_size=1073741824)
    >>> wspace.set_default_config(former)
    WorkspaceConfig(max_size=1073741824)
    """
    global _default
    chosen = merge(config, fields)
    former, _default = _default, chosen
    return former


def effective(
    config: WorkspaceConfig | None, fields: Mapping[str, Any] | ConfigFields
) -> WorkspaceConfig:
    """Put single fields over a config, or over the default if it is None."""
    return merge(_default if config is None else config, fields)
