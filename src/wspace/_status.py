# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions that the statuses of the C API stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wspace import _errors

if TYPE_CHECKING:
    from wspace._workspace import Workspace

_SAID = {
    "WSP_EINVAL": "the C API was given what is no raw allocation of {}, or NULL",
    "WSP_EOVERFLOW": "the C API was asked for more of {} than an address space",
    "WSP_EBUSY": "cannot change {}: it is open, an allocation is pinned, or a cleanup "
    "is running",
    "WSP_ECLOSED": "cannot enter {}: it was closed",
    "WSP_EFORKED": "cannot use {}: it belongs to the process that this one was forked "
    "from",
    "WSP_EFILE": "the system refused the file of {}",
    "WSP_EHELD": "cannot use {}: something lives in the slot whose turn it is",
    "WSP_EORDER": "cannot free or close out of order in {}: only the last allocation, "
    "only the innermost scope",
}
_KINDS: dict[str, type[Exception]] = {
    "WSP_EINVAL": ValueError,
    "WSP_EOVERFLOW": OverflowError,
    "WSP_EFILE": OSError,
}


def error_of(status: int, name: str, workspace: Workspace | None) -> Exception:
    """Return the exception that a status of the C API stands for.

    Parameters
    ----------
    status : int
        As in ``wsp_abi.h``.
    name : str
        Its name there.
    workspace : Workspace or None
        Which one it is of.
    """
    which = "a workspace" if workspace is None else f"workspace {workspace.name!r}"
    if name == "WSP_ENOMEM":
        return MemoryError(f"could not allocate memory for {which}")
    if name == "WSP_EFULL":
        return _full(workspace, which)
    if name == "WSP_ETHREAD":
        return _not_here(workspace)
    if name == "WSP_ESTALE":
        return _stale(workspace, which)
    said = _SAID.get(name, f"the C API gave status {status} for {{}}")
    return _KINDS.get(name, _errors.WorkspaceStateError)(said.format(which))


def _full(workspace: Any, which: str) -> Exception:
    if workspace is not None:
        is_full, requested, free, capacity = workspace._arena.refusal()
        if is_full:
            return _errors.full(workspace.name, requested, free, capacity)
    return _errors.WorkspaceFullError(
        f"{which} is full: the limit of its raw allocations is reached"
    )


def _not_here(workspace: Any) -> Exception:
    if workspace is None:
        return _errors.WorkspaceStateError("no workspace is open on this thread")
    try:
        workspace._check_open()
    except _errors.WorkspaceError as error:
        return error.with_traceback(None)
    return _errors.WorkspaceStateError(
        f"workspace {workspace.name!r} was not open when the C API was called"
    )


def _stale(workspace: Any, which: str) -> Exception:
    now = "" if workspace is None else f"; {which} is in generation "
    now += "" if workspace is None else str(workspace.generation)
    return _errors.StaleArrayError(
        f"a mark or a reference of {which} is stale: its cycle is over, or it was "
        f"rewound past{now}"
    )
