# SPDX-License-Identifier: BSD-3-Clause
"""Ways for arrays out of a workspace, and from one into another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from wspace import _arena, _errors, _of_thread
from wspace._scope import Scope, current, open_scopes, scope_out
from wspace._walk import copy_of, walk

if TYPE_CHECKING:
    from wspace._workspace import Workspace

_T = TypeVar("_T")
_S = TypeVar("_S", bound=tuple[int, ...])
_D = TypeVar("_D", bound=np.dtype[Any])
_Array = np.ndarray[Any, Any]


@overload
def detach(x: _arena.Array[_S, _D]) -> np.ndarray[_S, _D]: ...
@overload
def detach(x: _T) -> _T: ...


def detach(x: Any) -> Any:
    """Copy arrays out of their workspace.

    Parameters
    ----------
    x : object
        An array, or a list, tuple, dict, named tuple or dataclass that holds some, at
        any depth.

    Returns
    -------
    object
        For an array of a workspace a copy of the same shape, dtype and memory order on
        NumPy's own heap, whatever scope is open: a plain array for a checked one, else
        of the same type. What holds no such array is returned as it is; containers that
        do are copied.

    Raises
    ------
    StaleArrayError
        If an array is stale.
    TypeError
        If `x` holds arrays of a workspace where they cannot be replaced.

    See Also
    --------
    keep : Hand out without a copy.
    leverage : Copy into the enclosing workspace.

    Notes
    -----
    Costs one copy of the bytes. ``x.copy()``, `copy.deepcopy` and ``np.array(x)``
    inside a scope are not the same: they copy into the workspace again.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     kept = wspace.detach({"loss": 1.5, "weights": ws.zeros((2, 3), np.float32)})
    >>> kept["weights"].flags.owndata, type(kept["weights"]).__name__
    (True, 'ndarray')
    """
    return walk(x, _detached, _library_detached)


@overload
def keep(x: _arena.Array[_S, _D]) -> np.ndarray[_S, _D]: ...
@overload
def keep(x: _T) -> _T: ...


def keep(x: Any) -> Any:
    """Hand arrays out of their workspace without a copy.

    Parameters
    ----------
    x : object
        As for `detach`.

    Returns
    -------
    object
        A plain array over the same memory, which is set aside until it dies, and does
        not count as escaped.

    Raises
    ------
    StaleArrayError, TypeError
        As for `detach`.

    Notes
    -----
    Suits large results that die before long, such as the state that a loop carries. The
    workspace goes around the bytes meanwhile.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.ones(1000)
    ...     kept = wspace.keep(x)
    >>> float(kept.sum()), wspace.is_stale(x)
    (1000.0, True)
    """
    return walk(x, _kept, _library_kept)


def leverage(x: _T) -> _T:
    """Copy arrays into the enclosing workspace; detach them if there is none.

    Parameters
    ----------
    x : object
        As for `detach`.

    Returns
    -------
    object
        Copies in the nearest workspace below the current one that is another; arrays of
        no workspace, and those that are there already, as they are.

    Raises
    ------
    StaleArrayError, TypeError
        As for `detach`.
    WorkspaceFullError, MemoryError
        If there is no room.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("outer") as outer:
    ...     with wspace.Workspace("inner") as inner:
    ...         y = wspace.leverage(inner.ones(3))
    ...     wspace.owner(y) is outer, float(y.sum())
    (True, 3.0)
    """
    target = _enclosing()
    return detach(x) if target is None else _walk_to(x, target)


def leverage_to(x: _T, workspace: Workspace | str) -> _T:
    """Copy arrays into a given workspace.

    Parameters
    ----------
    x : object
        As for `detach`.
    workspace : Workspace or str
        Open on this thread; a name is looked for among the open workspaces, innermost
        first, then among those of `get`.

    Returns
    -------
    object
        As for `leverage`.

    Raises
    ------
    WorkspaceStateError
        If the workspace is not open, or none has the name.
    WrongThreadError
        If it is open in another thread.
    StaleArrayError, TypeError
        As for `detach`.
    WorkspaceFullError, MemoryError
        If there is no room.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("a") as a, wspace.Workspace("b") as b:
    ...     wspace.owner(wspace.leverage_to(b.ones(3), "a")) is a
    True
    """
    target = _find(workspace)
    target._check_open("copy into")
    return _walk_to(x, target)


def leverage_or_detach(x: _T, workspace: Workspace | str) -> _T:
    """Copy arrays into a workspace if it is open here, else detach them.

    Parameters
    ----------
    x : object
        As for `detach`.
    workspace : Workspace or str
        As for `leverage_to`.

    Returns
    -------
    object
        As for `leverage` or `detach`.

    Raises
    ------
    StaleArrayError, TypeError, WorkspaceFullError, MemoryError
        As for `leverage`.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     wspace.is_attached(wspace.leverage_or_detach(ws.ones(3), "not open"))
    False
    """
    _target(workspace)
    for target in open_scopes():
        if workspace in (target, target.name):
            return _walk_to(x, target)
    return detach(x)


def migrate(x: _T) -> _T:
    """Copy arrays into the current workspace.

    Parameters
    ----------
    x : object
        As for `detach`; arrays of no workspace are copied in, too.

    Returns
    -------
    object
        Copies in the current workspace; `x` itself if there is none.

    Raises
    ------
    StaleArrayError, TypeError, WorkspaceFullError, MemoryError
        As for `leverage`.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     wspace.owner(wspace.migrate(np.zeros(3))) is ws
    True
    """
    target = current()
    if target is None:
        return x
    return walk(
        x,
        lambda array: _copied(array, target),
        lambda held, _: _library_copied(held, target.borrow()),
    )


def owner(x: _Array) -> Workspace | None:
    """Return the workspace that the memory of an array belongs to.

    Parameters
    ----------
    x : numpy.ndarray
        A checked array belongs to its workspace, stale or not; any other one to the
        workspace in whose block or spills its bytes are, views included.

    Returns
    -------
    Workspace or None

    Raises
    ------
    TypeError
        If `x` is not an array.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     wspace.owner(np.ones(1000)[3:]) is ws, wspace.owner(np.ones(3))
    (True, None)
    """
    return _owner(x)[1]


def is_attached(x: _Array) -> bool:
    """Say whether the memory of an array belongs to a workspace.

    Parameters
    ----------
    x : numpy.ndarray
        As for `owner`.

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        If `x` is not an array.

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.ones(3)
    ...     wspace.is_attached(x), wspace.is_attached(wspace.detach(x))
    (True, False)
    """
    return _owner(x)[0]


def is_stale(x: object) -> bool:
    """Say whether `x` is a checked array whose cycle is over.

    Parameters
    ----------
    x : object
        Anything; what is no checked array is not stale.

    Returns
    -------
    bool

    Examples
    --------
    >>> import wspace
    >>> with wspace.Workspace("demo") as ws:
    ...     x = ws.ones(3)
    >>> wspace.is_stale(x)
    True
    """
    return _arena.is_stale(x)


def in_scope(x: _Array) -> bool:
    """Say whether the cycle that an array was made in is open now, on any thread.

    Parameters
    ----------
    x : numpy.ndarray

    Returns
    -------
    bool
        False for arrays of no workspace, too.

    Raises
    ------
    TypeError
        If `x` is not an array.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> with wspace.Workspace("demo"):
    ...     x = np.ones(1000)
    ...     wspace.in_scope(x)
    True
    >>> wspace.in_scope(x)
    False
    """
    return _arena.in_scope(_checked_type(x))


# ---- leaves --------------------------------------------------------------------------


def _checked_type(x: Any) -> _Array:
    if not isinstance(x, np.ndarray) and not _arena.is_stale(x):
        raise _errors.wrong_type("x", "an array", x)
    return x  # type: ignore[no-any-return]


def _owner(x: _Array) -> tuple[bool, Workspace | None]:
    return _arena.owner_of(_checked_type(x))


def _is_attached(array: _Array, to: Workspace | None = None) -> bool:
    """Whether the array or, of a masked one, its mask is attached; None: to any."""
    found, owner = _arena.owner_of(array)
    if found and (to is None or owner is to):
        return True
    if not isinstance(array, np.ma.MaskedArray) or array.mask is np.ma.nomask:
        return False
    return _is_attached(np.asarray(array.mask), to)


def _detached(array: _Array) -> _Array:
    if _arena.is_checked(array):
        return _arena.copy_out(array) if _is_attached(array) else _kept(array)
    if not _is_attached(array):
        return array
    if type(array) is np.ndarray:
        return _arena.copy_out(array)
    with scope_out():
        if type(array) is np.ma.MaskedArray and array.baseclass is _arena.Array:
            return _masked_plain(array)  # type: ignore[no-any-return]
        return array.copy(order="K")


def _masked_plain(array: Any) -> Any:
    """Copy a masked array over a checked one into one over a plain one."""
    mask = array.mask
    return np.ma.MaskedArray(
        np.array(array.data, order="K", subok=False),
        mask=mask if mask is np.ma.nomask else mask.copy(),
        fill_value=array.fill_value,
        hard_mask=array.hardmask,
    )


def _kept(array: _Array) -> _Array:
    kept = _arena.keep_in_place(array)
    if isinstance(array, np.ma.MaskedArray) and array.mask is not np.ma.nomask:
        _arena.keep_in_place(np.asarray(array.mask))
    return kept


def _walk_to(x: _T, target: Workspace) -> _T:
    """Copy into `target` what is attached elsewhere."""

    def there(array: _Array) -> bool:
        return _arena.owner_of(array)[1] is target and _arena.in_scope(array)

    def leaf(array: _Array) -> _Array:
        moves = _is_attached(array) and not there(array)
        return _copied(array, target) if moves else array

    def library(held: Any, arrays: list[_Array]) -> Any:
        moves = any(_is_attached(array) and not there(array) for array in arrays)
        return _library_copied(held, target.borrow()) if moves else held

    return walk(x, leaf, library)


def hand_on(
    x: _T, source: Workspace, target: Workspace, note: Callable[[int], None]
) -> _T:
    """Copy into `target` what lies in `source`; `note` is told the bytes of each."""

    def leaf(array: _Array) -> _Array:
        if not _is_attached(array, source):
            return array
        note(array.nbytes)
        return _copied(array, target)

    def library(held: Any, arrays: list[_Array]) -> Any:
        if not any(_is_attached(array, source) for array in arrays):
            return held
        note(sum(array.nbytes for array in arrays))
        return _library_copied(held, target.borrow())

    return walk(x, leaf, library)


def _library_detached(held: Any, arrays: list[_Array]) -> Any:
    attached = any(map(_is_attached, arrays))
    return _library_copied(held, scope_out()) if attached else held


def _library_kept(held: Any, arrays: list[_Array]) -> Any:
    for array in arrays:
        _kept(array)
    return held


def _library_copied(held: Any, where: AbstractContextManager[object]) -> Any:
    with where:
        return copy_of(held)


def _copied(array: _Array, target: Workspace) -> _Array:
    """Copy into an open workspace: checked if it is, else of the same type."""
    return target._copy_in(array, _arena.is_checked(array))


def _enclosing() -> Workspace | None:
    here = current()
    if here is None:
        return None
    scopes = open_scopes()
    below = scopes[scopes.index(here) + 1 :]
    return below[0] if below else None


def _target(workspace: object) -> None:
    if not isinstance(workspace, Scope | str):
        raise _errors.wrong_type("workspace", "a Workspace or its name", workspace)


def _find(workspace: Workspace | str) -> Workspace:
    _target(workspace)
    if not isinstance(workspace, str):
        return workspace
    scopes = open_scopes()
    for scope in scopes:
        if scope.name == workspace:
            return scope
    found = _of_thread.find(workspace)
    if found is None:
        raise _errors.unknown_workspace(workspace, [scope.name for scope in scopes])
    return found


_arena.set_calls(owner, detach)
