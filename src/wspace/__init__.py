# SPDX-License-Identifier: BSD-3-Clause
"""Workspaces for NumPy: cyclic code gets the same aligned memory every cycle.

>>> import numpy as np
>>> import wspace
>>> @wspace.scoped
... def step(state):
...     slope = np.gradient(state)
...     return state + 0.1 * slope
>>> state = np.linspace(0.0, 1.0, 100_000)
>>> for _ in range(3):
...     state = step(state)

`scoped` and `Workspace` open a scope; `detach`, `keep` and `leverage` take arrays out
of it; `owner`, `is_stale` and their like ask about an array.
"""

import os as _os
from importlib.metadata import version as _version

from wspace._arena import _C_API as _C_API
from wspace._arena import Array, StaleArray
from wspace._config import (
    AllocationPolicy,
    EscapePolicy,
    LearningPolicy,
    SpillPolicy,
    WorkspaceConfig,
)
from wspace._errors import (
    EscapedArrayError,
    StaleArrayError,
    WorkspaceError,
    WorkspaceFullError,
    WorkspaceStateError,
    WrongThreadError,
)
from wspace._registry import destroy_all, get
from wspace._scope import current, scope_out
from wspace._scoped import scoped
from wspace._stats import WorkspaceStats
from wspace._transfer import (
    detach,
    in_scope,
    is_attached,
    is_stale,
    keep,
    leverage,
    leverage_or_detach,
    leverage_to,
    migrate,
    owner,
)
from wspace._workspace import Workspace

__version__ = _version("wspace")


def get_include() -> str:
    """Return the directory of the C headers, for the compiler's ``-I``.

    Returns
    -------
    str
        It holds ``wspace/capi.h``, for extension modules, and ``wspace/wsp.h``, the
        manual of the core, for programs that link it.

    Examples
    --------
    >>> import os
    >>> import wspace
    >>> os.listdir(os.path.join(wspace.get_include(), "wspace"))  # doctest: +ELLIPSIS
    [...]
    """
    return _os.path.join(_os.path.dirname(__file__), "include")


__all__ = [
    "AllocationPolicy",
    "Array",
    "EscapePolicy",
    "EscapedArrayError",
    "LearningPolicy",
    "SpillPolicy",
    "StaleArray",
    "StaleArrayError",
    "Workspace",
    "WorkspaceConfig",
    "WorkspaceError",
    "WorkspaceFullError",
    "WorkspaceStateError",
    "WorkspaceStats",
    "WrongThreadError",
    "current",
    "destroy_all",
    "detach",
    "get",
    "get_include",
    "in_scope",
    "is_attached",
    "is_stale",
    "keep",
    "leverage",
    "leverage_or_detach",
    "leverage_to",
    "migrate",
    "owner",
    "scope_out",
    "scoped",
]
