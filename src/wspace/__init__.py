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
of it; `owner`, `is_stale` and their like ask about an array. `prefetch` prepares
batches in a thread.
"""

from importlib.metadata import version as _version

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
from wspace._prefetch.errors import RetainedBatchError, UnsafePrefetchError
from wspace._prefetch.loader import Prefetcher, prefetch
from wspace._prefetch.shields import detached, no_prefetch
from wspace._prefetch.stats import PrefetchStats
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

__all__ = [
    "AllocationPolicy",
    "Array",
    "EscapePolicy",
    "EscapedArrayError",
    "LearningPolicy",
    "PrefetchStats",
    "Prefetcher",
    "RetainedBatchError",
    "SpillPolicy",
    "StaleArray",
    "StaleArrayError",
    "UnsafePrefetchError",
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
    "detached",
    "get",
    "in_scope",
    "is_attached",
    "is_stale",
    "keep",
    "leverage",
    "leverage_or_detach",
    "leverage_to",
    "migrate",
    "no_prefetch",
    "owner",
    "prefetch",
    "scope_out",
    "scoped",
]
