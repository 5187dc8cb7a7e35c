# SPDX-License-Identifier: BSD-3-Clause
"""The choices that a configuration is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Policy(StrEnum):
    """A choice; its members are equal to their lower-case names."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        name = value.lower() if isinstance(value, str) else None
        named = cls.__members__.items()  # those with two names, too
        return next((member for key, member in named if key.lower() == name), None)


class LearningPolicy(Policy):
    """Choose when the size of the block is learned.

    Attributes
    ----------
    FIRST_LOOP
        From the first cycle that allocates. Without an `initial_size` that cycle is
        served from outside the block; with one it uses it, and the block may grow.
    OVER_TIME
        After `cycles_before_initialization` cycles that allocate something, from the
        one that needed most. Until then the block is as `initial_size` says, without
        it there is none. With a count of 0 only `Workspace.learn` sizes the block.
    NONE
        Never: `initial_size` is final, but for `Workspace.learn`.

    Examples
    --------
    >>> import wspace
    >>> wspace.LearningPolicy("First_Loop")
    <LearningPolicy.FIRST_LOOP: 'first_loop'>
    """

    FIRST_LOOP = "first_loop"
    OVER_TIME = "over_time"
    NONE = "none"


class AllocationPolicy(Policy):
    """Choose how much room a learned size gets.

    Attributes
    ----------
    STRICT
        The learned size as it is.
    OVERALLOCATE
        The learned size and the fraction `overallocation` of it, at every growth.

    Examples
    --------
    >>> import wspace
    >>> wspace.AllocationPolicy("strict") is wspace.AllocationPolicy.STRICT
    True
    """

    STRICT = "strict"
    OVERALLOCATE = "overallocate"


class SpillPolicy(Policy):
    """Choose what happens to an allocation that does not fit into the block.

    Attributes
    ----------
    REALLOCATE
        Serve it elsewhere, and grow the block at the end of the cycle up to `max_size`.
    EXTERNAL
        Serve it elsewhere, never grow, and warn once when it persists.
    FAIL
        Raise `WorkspaceFullError`.

    Examples
    --------
    >>> import wspace
    >>> wspace.SpillPolicy("fail") is wspace.SpillPolicy.FAIL
    True
    """

    REALLOCATE = "reallocate"
    EXTERNAL = "external"
    FAIL = "fail"


class ResetPolicy(Policy):
    """Choose how long what a cycle makes is meant to live.

    Attributes
    ----------
    BLOCK_LEFT
        To its end: the memory is rewound at every exit.
    RING
        Some cycles longer: each cycle takes the next of `slots` blocks, and one in
        which arrays are alive is never taken. Also called ENDOFBUFFER_REACHED.

    Examples
    --------
    >>> import wspace
    >>> wspace.ResetPolicy("endofbuffer_reached")
    <ResetPolicy.RING: 'ring'>
    """

    BLOCK_LEFT = "block_left"
    RING = "ring"
    ENDOFBUFFER_REACHED = "ring"


class LocationPolicy(Policy):
    """Choose where the block is.

    Attributes
    ----------
    RAM
        In memory of the process.
    MMAP
        In a file, whose pages are read and written as they are used: for data that is
        larger than memory, or that outlives the process.

    Examples
    --------
    >>> import wspace
    >>> wspace.LocationPolicy("mmap") is wspace.LocationPolicy.MMAP
    True
    """

    RAM = "ram"
    MMAP = "mmap"


class BusyPolicy(Policy):
    """Choose what a cycle does while the slot whose turn it is holds arrays.

    Attributes
    ----------
    SPILL
        It is served from outside the ring, and counts as spilled.
    SKIP
        It takes the next slot that is free; with none it is served from outside.
    WAIT
        It waits for the slot, for `busy_timeout_s` seconds at most.
    RAISE
        Entering is a `WorkspaceStateError`. With ``spill="fail"`` SPILL, and SKIP with
        no slot free, are the same.

    Examples
    --------
    >>> import wspace
    >>> wspace.BusyPolicy("wait") is wspace.BusyPolicy.WAIT
    True
    """

    SPILL = "spill"
    SKIP = "skip"
    WAIT = "wait"
    RAISE = "raise"


class EscapePolicy(Policy):
    """Choose what is said of captured arrays that are alive at the exit.

    Attributes
    ----------
    IGNORE
        Nothing; the statistics count them.
    WARN
        A `ResourceWarning`.
    RAISE
        An `EscapedArrayError`, unless another exception is passing.

    Examples
    --------
    >>> import wspace
    >>> wspace.EscapePolicy("warn") is wspace.EscapePolicy.WARN
    True
    """

    IGNORE = "ignore"
    WARN = "warn"
    RAISE = "raise"
