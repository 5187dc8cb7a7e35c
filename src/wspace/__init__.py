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

import os as _os
from importlib.metadata import version as _version

from wspace._arena import _C_API as _C_API
from wspace._arena import Array, StaleArray
from wspace._config import WorkspaceConfig
from wspace._counters import Counters, counters
from wspace._debug import DebugMode, get_debug, set_debug
from wspace._default import get_default_config, set_default_config
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
from wspace._prefetch.errors import RetainedBatchError, UnsafePrefetchError
from wspace._prefetch.loader import Prefetcher, prefetch
from wspace._prefetch.shields import detached, no_prefetch
from wspace._prefetch.stats import PrefetchStats
from wspace._process import NamedStats, ProcessStats, bytes_for, stats, summary
from wspace._registry import (
    all_workspaces,
    any_open,
    destroy,
    destroy_all,
    exists,
    get,
    is_open,
    names,
)
from wspace._ring import SlotStats
from wspace._scope import current, scope_out
from wspace._scoped import scoped
from wspace._staged import StagedWorkspace, WorkspaceMode
from wspace._staged_stats import StagedStats, StageStats
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
    "BusyPolicy",
    "Counters",
    "DebugMode",
    "EscapePolicy",
    "EscapedArrayError",
    "LearningPolicy",
    "LocationPolicy",
    "NamedStats",
    "PrefetchStats",
    "Prefetcher",
    "ProcessStats",
    "ResetPolicy",
    "RetainedBatchError",
    "SlotStats",
    "SpillPolicy",
    "StageStats",
    "StagedStats",
    "StagedWorkspace",
    "StaleArray",
    "StaleArrayError",
    "UnsafePrefetchError",
    "Workspace",
    "WorkspaceConfig",
    "WorkspaceError",
    "WorkspaceFullError",
    "WorkspaceMode",
    "WorkspaceStateError",
    "WorkspaceStats",
    "WrongThreadError",
    "all_workspaces",
    "any_open",
    "bytes_for",
    "counters",
    "current",
    "destroy",
    "destroy_all",
    "detach",
    "detached",
    "exists",
    "get",
    "get_debug",
    "get_default_config",
    "get_include",
    "in_scope",
    "is_attached",
    "is_open",
    "is_stale",
    "keep",
    "leverage",
    "leverage_or_detach",
    "leverage_to",
    "migrate",
    "names",
    "no_prefetch",
    "owner",
    "prefetch",
    "scope_out",
    "scoped",
    "set_debug",
    "set_default_config",
    "stats",
    "summary",
]
