# SPDX-License-Identifier: BSD-3-Clause
"""Calls of functions that are cycles of a workspace."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from wspace import _errors
from wspace._transfer import detach, keep, leverage

if TYPE_CHECKING:
    from wspace._workspace import Workspace

_F = TypeVar("_F", bound=Callable[..., Any])

_RESULTS = {"detach": detach, "keep": keep, "leverage": leverage}


def in_scope_of(find: Callable[[], Workspace], function: _F, result: str) -> _F:
    """Wrap a function so that each call is a cycle of the workspace of `find`."""
    hand_out = check_result(result)
    if not callable(function):
        raise _errors.wrong_type("function", "callable", function)
    runs = _what_runs(function)
    for is_kind, kind in _SUSPENDED:
        if is_kind(runs):
            raise _errors.suspends(getattr(runs, "__name__", "function"), kind)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with find():
            return hand_out(function(*args, **kwargs))

    return run  # type: ignore[return-value]


def _what_runs(function: Any) -> Any:
    """Return the function behind partial objects, static methods and instances."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, staticmethod | classmethod):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, type):
            return function
        else:
            return type(function).__call__


# What would run on after its scope.
_SUSPENDED: tuple[tuple[Callable[[object], bool], str], ...] = (
    (inspect.isgeneratorfunction, "a generator function"),
    (inspect.iscoroutinefunction, "a coroutine function"),
    (inspect.isasyncgenfunction, "an asynchronous generator function"),
)


def check_result(result: object) -> Callable[[Any], Any]:
    """Return what hands a result out; raise if there is no such way."""
    if not isinstance(result, str) or result not in _RESULTS:
        raise _errors.not_allowed("result", _errors.one_of(_RESULTS), result)
    return _RESULTS[result]
