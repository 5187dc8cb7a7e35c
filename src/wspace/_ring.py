# SPDX-License-Identifier: BSD-3-Clause
"""The slots of a ring: what they hold, and waiting for one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wspace import _errors
from wspace._config import WorkspaceConfig
from wspace._policies import BusyPolicy

if TYPE_CHECKING:
    from wspace._arena import Arena

# Between looks at a slot that is waited for; at first, and in the end.
_SHORT_S, _LONG_S = 50e-6, 5e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStats:
    """Hold a snapshot of one slot of a workspace with ``reset="ring"``.

    Attributes
    ----------
    capacity : int
        Size of its block, in bytes; 0 if it has none yet.
    used : int
        In use in it now, in bytes.
    live : int
        Count of allocations in use; the slot is free when it is 0.
    high_water : int
        Most in use at once by one of its cycles, in bytes.
    generation : int
        Number of its last cycle; 0 before its first.
    cycles : int
        Count of cycles that it has served.
    held : int
        Count of cycles that found something alive in it when its turn came.
    is_next : bool
        Whether its turn is the next cycle.

    Examples
    --------
    >>> import wspace
    >>> ws = wspace.Workspace("demo", reset="ring", slots=2, initial_size="1MiB")
    >>> with ws:
    ...     batch = ws.zeros(1000)
    >>> [slot.live for slot in ws.slot_stats]
    [1, 0]
    """

    capacity: int
    used: int
    live: int
    high_water: int
    generation: int
    cycles: int
    held: int
    is_next: bool


def slot_stats(arena: Arena) -> tuple[SlotStats, ...]:
    """Return the figures of each slot, in the order of their turns."""
    return tuple(SlotStats(**figures) for figures in arena.slots())


def await_slot(name: str, arena: Arena, config: WorkspaceConfig) -> None:
    """Return when the slot whose turn it is has become free; raise if it may not."""
    waits = config.on_busy is BusyPolicy.WAIT
    deadline = time.monotonic() + config.busy_timeout_s
    pause = _SHORT_S
    while True:
        slots = slot_stats(arena)
        number = next(i for i, slot in enumerate(slots) if slot.is_next)
        slot = slots[number]
        if not slot.live:
            return
        left = deadline - time.monotonic()
        if not waits or left <= 0:
            waited = config.busy_timeout_s if waits else None
            told = slot.live, slot.used, slot.generation, waited
            raise _errors.slot_busy(name, number, len(slots), *told)
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONG_S)
