# SPDX-License-Identifier: BSD-3-Clause
"""Debug modes of the whole process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from wspace import _arena, _complaints, _errors
from wspace._config import _read_policy
from wspace._policies import Policy


class DebugMode(Policy):
    """Choose what all workspaces do, to find mistakes.

    Attributes
    ----------
    OFF
        What they are for.
    SPILL
        NumPy's own heap serves each allocation, so that memory checkers (memray, ASan,
        Valgrind) see each array by itself. Arrays are attached and go stale as ever;
        nothing is learned, and limits, escapes and high-water marks rest.
    BYPASS
        Nothing: creators return plain arrays of NumPy's own, nothing is captured or
        stale; scopes nest as ever.
    POISON
        As `OFF`, and memory that dies is filled with the byte 0xFF, which reads as NaN
        in every floating-point type, and forbidden to ASan and Valgrind where wspace
        was built for them.

    Examples
    --------
    >>> import wspace
    >>> wspace.DebugMode("Poison")
    <DebugMode.POISON: 'poison'>
    """

    OFF = "off"
    SPILL = "spill"
    BYPASS = "bypass"
    POISON = "poison"


_BITS = {
    DebugMode.OFF: 0,
    DebugMode.SPILL: _arena.DEBUG_SEPARATE,
    DebugMode.BYPASS: _arena.DEBUG_BYPASS,
    DebugMode.POISON: _arena.DEBUG_POISON,
}

_mode = DebugMode.OFF


class DebugSetting:
    """What `set_debug` returns: as a context manager, it restores the former mode."""

    def __init__(self, former: DebugMode, mode: DebugMode) -> None:
        self.former = former
        self.mode = mode

    def __enter__(self) -> DebugMode:
        return self.mode

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _switch(self.former)

    def __repr__(self) -> str:
        return f"<debug mode {self.mode.value!r}, formerly {self.former.value!r}>"


def set_debug(mode: DebugMode | str) -> DebugSetting:
    """Choose a debug mode for all workspaces of the process.

    Parameters
    ----------
    mode : DebugMode or str
        ``"off"``, ``"spill"``, ``"bypass"`` or ``"poison"``, in any case.

    Returns
    -------
    context manager
        The mode is set already; leaving the block restores the former one. Without
        ``with`` it stays.

    Raises
    ------
    TypeError, ValueError
        If there is no such mode.
    NotImplementedError
        For ``"trap"``, which is not available yet.

    See Also
    --------
    get_debug : The present mode.

    Notes
    -----
    A workspace that is open goes on as it began: a mode takes effect when it is entered
    next, from outside. The environment variable ``WSPACE_DEBUG`` gives the mode at
    import; ``WSPACE=off`` stands for ``"bypass"`` and goes before it.

    Examples
    --------
    >>> import wspace
    >>> with wspace.set_debug("bypass"), wspace.Workspace("demo") as ws:
    ...     type(ws.zeros(3)).__name__
    'ndarray'
    """
    chosen = _read_mode(mode, "mode")
    return DebugSetting(_switch(chosen), chosen)


def get_debug() -> DebugMode:
    """Return the debug mode of the process.

    Returns
    -------
    DebugMode

    See Also
    --------
    set_debug : Choose another one.

    Examples
    --------
    >>> import wspace
    >>> with wspace.set_debug("poison"):
    ...     wspace.get_debug()
    <DebugMode.POISON: 'poison'>
    """
    return _mode


def _switch(mode: DebugMode) -> DebugMode:
    """Set the mode; return the former one."""
    global _mode
    former, _mode = _mode, mode
    _arena.set_debugging(_BITS[mode])
    return former


def _read_mode(value: Any, field: str) -> DebugMode:
    if isinstance(value, str) and value.lower() == "trap":
        raise _complaints.no_trap(field)
    return _read_policy(value, field, DebugMode)


def mode_of(environment: Mapping[str, str]) -> DebugMode:
    """Read the mode that environment variables ask for.

    Raises
    ------
    ValueError, NotImplementedError
        If one of them has a value that it does not take.
    """
    switch = environment.get("WSPACE", "") or "on"
    if switch.lower() not in ("on", "off"):
        raise _errors.not_allowed("WSPACE", _errors.one_of(["on", "off"]), switch)
    mode = _read_mode(environment.get("WSPACE_DEBUG", "") or "off", "WSPACE_DEBUG")
    return DebugMode.BYPASS if switch.lower() == "off" else mode


_switch(mode_of(os.environ))
