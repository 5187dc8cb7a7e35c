# SPDX-License-Identifier: BSD-3-Clause
"""What a thread remembers of its workspaces."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wspace._workspace import Workspace


class _OfThread(threading.local):
    """What is forgotten when the thread ends, and in the child of a fork."""

    def __init__(self) -> None:
        self.named: dict[str, Workspace] = {}
        self.created: weakref.WeakSet[Any] = weakref.WeakSet()
        # Called with each workspace that is made.
        self.watchers: list[Callable[[Workspace], None]] = []


mine = _OfThread()


def _after_fork() -> None:
    mine.named.clear()
    mine.created.clear()


os.register_at_fork(after_in_child=_after_fork)


def remember(workspace: Workspace) -> None:
    """Count a workspace as created by this thread."""
    mine.created.add(workspace)
    for watcher in list(mine.watchers):
        watcher(workspace)


def find(name: str) -> Workspace | None:
    """Return the workspace of `get` with that name, if there is one."""
    return mine.named.get(name)
