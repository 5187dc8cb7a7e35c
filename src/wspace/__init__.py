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

from importlib.metadata import version as _version

from wspace._arena import Array, StaleArray
from wspace._config import WorkspaceConfig
from wspace._errors import (
    EscapedArrayError,
    StaleArrayError,
    WorkspaceError,
    WorkspaceFullError,
    WorkspaceStateError,
    WrongThreadError,
)
from wspace._policies import (
    AllocationPolicy,
    BusyPolicy,
    EscapePolicy,
    LearningPolicy,
    LocationPolicy,
    ResetPolicy,
    SpillPolicy,
)
from wspace._registry import destroy_all, get
from wspace._ring import SlotStats
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

__all__ = [
    "AllocationPolicy",
    "Array",
    "BusyPolicy",
    "EscapePolicy",
    "EscapedArrayError",
    "LearningPolicy",
    "LocationPolicy",
    "ResetPolicy",
    "SlotStats",
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
