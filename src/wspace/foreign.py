# SPDX-License-Identifier: BSD-3-Clause
"""The C API for callers without a compiler: ctypes, cffi, numba.

``wspace/capi.h`` explains each function; here are their addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from wspace import _arena

if TYPE_CHECKING:
    from wspace._workspace import Workspace

__all__ = ["arena", "functions"]


def functions() -> Mapping[str, int]:
    """Return the addresses of the functions of the C API.

    Returns
    -------
    mapping of str to int
        By the names of ``wspace_table`` in ``wspace/capi.h``, which has their types.
        They are valid for the life of the process.

    See Also
    --------
    arena : What most of them take first.

    Examples
    --------
    >>> import ctypes
    >>> import wspace
    >>> from wspace import foreign
    >>> take = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(
    ...     foreign.functions()["take"]
    ... )
    >>> ws = wspace.Workspace("demo")
    >>> with ws:
    ...     take(foreign.arena(ws), 1000) % 64
    0
    """
    return MappingProxyType(_arena.function_addresses())


def arena(workspace: Workspace) -> int:
    """Return the address of the arena of a workspace.

    Parameters
    ----------
    workspace : Workspace
        Which must stay alive while the address is used.

    Returns
    -------
    int
        The first argument of most functions of the C API.

    Raises
    ------
    TypeError
        If it is no workspace.

    Examples
    --------
    >>> import wspace
    >>> from wspace import foreign
    >>> foreign.arena(wspace.Workspace("demo")) > 0
    True
    """
    return int(_arena.arena_address(workspace))
