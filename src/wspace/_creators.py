# SPDX-License-Identifier: BSD-3-Clause
"""Functions of a workspace that make arrays in it."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from wspace import _errors
from wspace._arena import Array, in_scope, owner_of
from wspace._scope import Scope, scope_out

_Array = np.ndarray[Any, Any]
_Made: TypeAlias = Array[Any, Any]  # unless checked=False
_Shape = SupportsIndex | Sequence[SupportsIndex]

if TYPE_CHECKING:
    _Order: TypeAlias = Literal["C", "F"]
    _OrderKACF: TypeAlias = Literal["K", "A", "C", "F"]


class Creators(Scope):
    """Make arrays in the open workspace, of any size, whoever is current.

    They are checked, `wspace.Array`, unless the workspace has ``checked=False``. The
    arguments are those of the NumPy functions of the same names.

    Each raises `WorkspaceStateError` when the workspace is not open,
    `WrongThreadError` when it is open in another thread, `WorkspaceFullError` or
    ``MemoryError`` when there is no room, ``OverflowError`` when the array is larger
    than an address space, and ``TypeError`` for dtypes that hold Python references.
    """

    _checked: bool
    _bound: str  # the field of the configuration that bounds the memory

    def empty(
        self, shape: _Shape, dtype: npt.DTypeLike = float, order: _Order = "C"
    ) -> _Made:
        """Make an array that is not initialised; see `numpy.empty`.

        Examples
        --------
        >>> import wspace
        >>> with wspace.Workspace("demo") as ws:
        ...     ws.empty((2, 3), "f4").nbytes
        24
        """
        return self._make(shape, dtype, order, zero=False)

    def zeros(
        self, shape: _Shape, dtype: npt.DTypeLike = float, order: _Order = "C"
    ) -> _Made:
        """Make an array of zeros; see `numpy.zeros`."""
        return self._make(shape, dtype, order, zero=True)

    def ones(
        self, shape: _Shape, dtype: npt.DTypeLike = float, order: _Order = "C"
    ) -> _Made:
        """Make an array of ones; see `numpy.ones`."""
        array = self._make(shape, dtype, order, zero=False)
        np.copyto(array, 1, casting="unsafe")
        return array

    def full(
        self,
        shape: _Shape,
        fill_value: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _Order = "C",
    ) -> _Made:
        """Make an array filled with `fill_value`; see `numpy.full`."""
        if dtype is None:
            dtype = np.asarray(fill_value).dtype
        array = self._make(shape, dtype, order, zero=False)
        np.copyto(array, fill_value, casting="unsafe")
        return array

    def arange(
        self, *args: Any, dtype: npt.DTypeLike | None = None, **kwargs: Any
    ) -> _Made:
        """Make evenly spaced values within an interval; see `numpy.arange`."""
        if dtype is not None:
            kwargs["dtype"] = dtype
        return self._place(None, dtype, np.arange, *args, **kwargs)

    def linspace(
        self,
        start: npt.ArrayLike,
        stop: npt.ArrayLike,
        num: SupportsIndex = 50,
        *,
        endpoint: bool = True,
        dtype: npt.DTypeLike | None = None,
        axis: SupportsIndex = 0,
    ) -> _Made:
        """Make evenly spaced numbers over an interval; see `numpy.linspace`."""
        args = (start, stop, num, endpoint, False, dtype, axis)
        return self._place(None, dtype, np.linspace, *args)

    def eye(
        self,
        N: int,
        M: int | None = None,
        k: int = 0,
        dtype: npt.DTypeLike = float,
        order: _Order = "C",
    ) -> _Made:
        """Make a matrix with ones on a diagonal; see `numpy.eye`."""
        dims = _dims((N, N if M is None else M))
        return self._place(dims, dtype, np.eye, N, M, k, dtype, order)

    def array(
        self,
        object: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        *,
        order: _OrderKACF = "K",
        ndmin: int = 0,
    ) -> _Made:
        """Copy into an array; see `numpy.array`."""
        self._check_open()
        if not isinstance(object, np.ndarray):  # by code of others, which is not placed
            object = np.asarray(object, dtype)
        kwargs = {"order": order, "ndmin": ndmin}
        return self._place(None, dtype, np.array, object, dtype, **kwargs)

    def asarray(
        self,
        a: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _OrderKACF = "K",
    ) -> _Made:
        """Return `a` if it is such an array of this cycle, else copy it in.

        Examples
        --------
        >>> import wspace
        >>> with wspace.Workspace("demo") as ws:
        ...     x = ws.asarray([1.0, 2.0])
        ...     ws.asarray(x) is x, ws.asarray(x, "i8") is x
        (True, False)
        """
        self._check_open()
        kind = Array if self._checked else np.ndarray
        if type(a) is kind and owner_of(a)[1] is self and in_scope(a):
            plain = a.view(np.ndarray)
            if np.asarray(plain, dtype, order=order) is plain:
                return a  # type: ignore[return-value]
        return self.array(a, dtype, order=order)

    def empty_like(
        self,
        prototype: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _OrderKACF = "K",
        shape: _Shape | None = None,
    ) -> _Made:
        """Make an array like another, not initialised; see `numpy.empty_like`."""
        return self._like(np.empty_like, prototype, dtype, order, shape)

    def zeros_like(
        self,
        a: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _OrderKACF = "K",
        shape: _Shape | None = None,
    ) -> _Made:
        """Make zeros like another array; see `numpy.zeros_like`."""
        return self._like(np.zeros_like, a, dtype, order, shape)

    def ones_like(
        self,
        a: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _OrderKACF = "K",
        shape: _Shape | None = None,
    ) -> _Made:
        """Make ones like another array; see `numpy.ones_like`."""
        return self._like(np.ones_like, a, dtype, order, shape)

    def full_like(
        self,
        a: npt.ArrayLike,
        fill_value: npt.ArrayLike,
        dtype: npt.DTypeLike | None = None,
        order: _OrderKACF = "K",
        shape: _Shape | None = None,
    ) -> _Made:
        """Fill an array like another; see `numpy.full_like`."""
        return self._like(np.full_like, a, dtype, order, shape, fill_value)

    # ---- how -------------------------------------------------------------------------

    def _make(
        self, shape: _Shape, dtype: npt.DTypeLike, order: _OrderKACF, *, zero: bool
    ) -> _Made:
        self._check_open()
        descr = np.dtype(dtype)
        if descr.hasobject:
            raise _errors.object_dtype(self.name, descr)
        if order not in _FORTRAN:
            raise _errors.not_allowed("order", "'C' or 'F'", order)
        dims = _dims(shape)
        if self._is_off:
            make = np.zeros if zero else np.empty
            return _outside(make, dims, descr, order)  # type: ignore[no-any-return]
        try:
            made: _Made = self._arena.empty(
                dims, descr, _FORTRAN[order], zero, self._checked
            )
            return made
        except (MemoryError, OverflowError, ValueError) as error:
            self._raise_explained(error, dims, descr)

    def _like(
        self,
        function: Callable[..., _Array],
        prototype: npt.ArrayLike,
        dtype: npt.DTypeLike | None,
        order: _OrderKACF,
        shape: _Shape | None,
        *fill: npt.ArrayLike,
    ) -> _Made:
        array = np.asanyarray(prototype)
        dtype = array.dtype if dtype is None else dtype
        dims = array.shape if shape is None else _dims(shape)
        args = (prototype, *fill, dtype, order)
        kwargs = {"subok": False, "shape": None if shape is None else dims}
        return self._place(dims, dtype, function, *args, **kwargs)

    def _place(
        self,
        dims: tuple[int, ...] | None,
        wanted: npt.DTypeLike | None,
        function: Callable[..., _Array],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> _Made:
        """Call a NumPy function that makes an array, and have it made here.

        `dims` and `wanted` are its shape and dtype, None where NumPy finds them out.
        """
        self._check_open()
        descr = None if wanted is None else np.dtype(wanted)
        if descr is not None and descr.hasobject:
            raise _errors.object_dtype(self.name, descr)
        if self._is_off:
            return _outside(function, *args, **kwargs)  # type: ignore[no-any-return]
        try:
            array: _Made = self._arena.place(self._checked, function, *args, **kwargs)
        except (MemoryError, OverflowError, ValueError) as error:
            self._raise_explained(error, dims, descr)
        if array.dtype.hasobject:
            raise _errors.object_dtype(self.name, array.dtype)
        return array

    def _copy_in(self, array: _Array, checked: bool) -> _Array:
        """Copy an array into this workspace, which is open here."""
        if checked or type(array) is np.ndarray:
            copy = partial(np.array, array, copy=True, order="K", subok=False)
        else:
            copy = partial(array.copy, order="K")
        if self._is_off:
            return _outside(copy)  # type: ignore[no-any-return]
        try:
            return self._arena.place(checked, copy)  # type: ignore[no-any-return]
        except MemoryError as error:
            raise self._no_memory(error) from None

    def _raise_explained(
        self,
        error: Exception,
        dims: tuple[int, ...] | None,
        descr: np.dtype[Any] | None,
    ) -> NoReturn:
        """Raise what NumPy says of an allocation, in the words of the workspace."""
        if dims is not None and descr is not None and min(dims, default=0) >= 0:
            nbytes = math.prod(dims) * descr.itemsize
            if nbytes > sys.maxsize:
                raise _errors.too_big(dims, str(descr), nbytes) from None
        if isinstance(error, MemoryError):
            raise self._no_memory(error) from None
        raise error

    def _no_memory(self, error: MemoryError) -> MemoryError:
        is_full, requested, free, capacity = self._arena.refusal()
        if is_full:
            bound = self._bound
            return _errors.full(self.name, requested, free, capacity, limit=bound)
        if requested:
            return _errors.upstream_failed(self.name, requested)
        return error


def _outside(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call what makes an array, and have it made on NumPy's own heap, and plain."""
    with scope_out():
        made = function(*args, **kwargs)
    return made.view(np.ndarray) if type(made) is Array else made


# Whether an order is Fortran's.
_FORTRAN = {"C": False, "c": False, None: False, "F": True, "f": True}


def _dims(shape: _Shape) -> tuple[int, ...]:
    if isinstance(shape, tuple | list):
        return tuple(map(operator.index, shape))
    try:
        return (operator.index(shape),)  # type: ignore[arg-type]
    except TypeError:
        return tuple(map(operator.index, shape))  # type: ignore[arg-type]
