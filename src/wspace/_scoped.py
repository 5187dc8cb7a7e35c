# SPDX-License-Identifier: BSD-3-Clause
"""`scoped`: functions that run in a cycle of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from wspace import _errors, _registry
from wspace._calls import check_result, in_scope_of
from wspace._default import effective

if TYPE_CHECKING:
    from typing import Unpack

    from wspace._config import ConfigFields, WorkspaceConfig

_F = TypeVar("_F", bound=Callable[..., Any])


@overload
def scoped(name: _F) -> _F: ...
@overload
def scoped(
    name: str | None = None,
    config: WorkspaceConfig | None = None,
    *,
    result: str = "detach",
    **fields: Unpack[ConfigFields],
) -> Callable[[_F], _F]: ...


def scoped(
    name: Any = None,
    config: WorkspaceConfig | None = None,
    *,
    result: str = "detach",
    **fields: Any,
) -> Any:
    """Run a function in a cycle of the calling thread's workspace; decorator.

    The function's arrays are made in the workspace and die with its locals; what it
    returns is detached.

    Parameters
    ----------
    name : str, optional
        Of the workspace, as `get` takes it; by default the qualified name of the
        function.
    config : WorkspaceConfig, optional
        The configuration of the workspace.
    result : {"detach", "keep", "leverage"}
        What is done with the result: copy it to NumPy's own memory; hand it out where
        it is, which retains its bytes and suits large results; copy it into the
        workspace around the call.
    **fields
        Single fields of the configuration.

    Returns
    -------
    callable
        The function in a scope, or a decorator.

    Raises
    ------
    TypeError
        If the function is a generator function or an ``async def``: they are suspended
        in the middle, where the scope would be open for everybody else.
    ValueError
        If `result` is none of the three.

    See Also
    --------
    detach, keep, leverage : What is done with the result.
    Workspace.scoped : The same with a given workspace.

    Notes
    -----
    A call inside a call of a function with the same workspace is part of its cycle.

    Examples
    --------
    >>> import numpy as np
    >>> import wspace
    >>> @wspace.scoped
    ... def smooth(x):
    ...     return (x[:-2] + x[1:-1] + x[2:]) / 3.0
    >>> y = smooth(np.arange(10_000.0))
    >>> wspace.is_attached(y)
    False
    """
    if callable(name):
        return scoped(None, config, result=result, **fields)(name)
    if name is not None and not isinstance(name, str):
        raise _errors.wrong_type("name", "a string", name)
    check_result(result)
    asked = effective(config, fields) if config is not None or fields else None

    def decorate(function: _F) -> _F:
        called: Any = name or getattr(function, "__qualname__", type(function).__name__)
        return in_scope_of(lambda: _registry.get(called, asked), function, result)

    return decorate
