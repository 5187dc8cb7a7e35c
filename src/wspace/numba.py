# SPDX-License-Identifier: BSD-3-Clause
"""Scratch memory of a workspace in functions compiled by numba.

``take``, ``checkpoint`` and ``rewind`` are called in compiled functions, with the
address that `wspace.foreign.arena` gives. They need numba, which is imported on first
use::

    @numba.njit
    def total(arena, n):
        x = numba.carray(take(arena, n * 8), n, np.float64)
        x[:] = 1.0
        return x.sum()

    with ws:
        total(wspace.foreign.arena(ws), 1000)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wspace import foreign

__all__ = ["mark"]

_COMPILED = ("checkpoint", "rewind", "take")
_MARK_WORDS = 4  # of eight bytes, as wsp_mark in wsp_abi.h


def mark() -> np.ndarray[Any, Any]:
    """Return room for a mark, which ``checkpoint`` fills and ``rewind`` reads.

    Returns
    -------
    numpy.ndarray
        Of four numbers of eight bytes, meant for nobody else.

    Examples
    --------
    >>> from wspace.numba import mark
    >>> mark().nbytes
    32
    """
    return np.zeros(_MARK_WORDS, np.uint64)


def __getattr__(name: str) -> Any:
    if name not in _COMPILED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals().update(_compile())
    return globals()[name]


def _compile() -> dict[str, Any]:
    """Make the compiled functions, over the addresses in this process."""
    import llvmlite.binding
    import numba
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    addresses = foreign.functions()

    def external(name: str, signature: Any) -> Any:
        # By symbol, not by address, so that compiled functions can be cached.
        symbol = f"wspace_{name}"
        llvmlite.binding.add_symbol(symbol, addresses[name])
        return types.ExternalFunction(symbol, signature)

    _take = external("take", types.intp(types.intp, types.uintp))
    _checkpoint = external("checkpoint", types.int32(types.intp, types.intp))
    _rewind = external("rewind", types.int32(types.intp, types.intp))

    def _make_pointer(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], cgutils.voidptr_t)

        return types.voidptr(types.intp), generate

    _pointer = intrinsic(_make_pointer)

    def take(arena: Any, nbytes: Any) -> Any:
        """Take raw memory, for ``numba.carray``; it ends with the cycle."""
        address = _take(arena, nbytes)
        if address == 0:
            raise MemoryError("wspace: the workspace is full, or not open here")
        return _pointer(address)

    def checkpoint(arena: Any, mark: Any) -> None:
        """Remember this moment in what `mark` gave."""
        if _checkpoint(arena, mark.ctypes.data) != 0:
            raise RuntimeError("wspace: the workspace is not open here")

    def rewind(arena: Any, mark: Any) -> None:
        """End the raw allocations made since the mark."""
        if _rewind(arena, mark.ctypes.data) != 0:
            raise RuntimeError("wspace: the mark is stale, or of another thread")

    njit = numba.njit
    return {f.__name__: njit(f) for f in (take, checkpoint, rewind)}
