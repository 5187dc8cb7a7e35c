# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of workspaces: `WorkspaceConfig`, and how its fields are read."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, SupportsIndex, TypedDict, TypeVar, Unpack

from wspace import _errors
from wspace._policies import (
    AllocationPolicy,
    BusyPolicy,
    EscapePolicy,
    LearningPolicy,
    LocationPolicy,
    Policy,
    ResetPolicy,
    SpillPolicy,
)
from wspace._sizes import Size, parse_size, read_integer

_P = TypeVar("_P", bound="Policy")

_MOST_SLOTS = 1024  # as in the core

_PERCENTILE = re.compile(r"\s*[pP]([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*")


def _read_limit(value: Any, field: str) -> int | None:
    if value is None:
        return None
    limit = parse_size(value, field)
    if limit == 0:  # elsewhere 0 means no bound; it must not mean the opposite here
        raise _errors.not_allowed(field, "at least 1 byte, or None for no bound", value)
    return limit


def _read_alignment(value: Any, field: str) -> int:
    alignment = read_integer(value, field, "an int")
    if not 1 <= alignment <= _errors.MAX_ALIGNMENT or alignment & (alignment - 1):
        raise _errors.bad_alignment(alignment, field=field)
    return alignment


def _read_flag(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _errors.wrong_type(field, "True or False", value)


def _read_fraction(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _errors.wrong_type(field, "a number", value)
    try:
        fraction = float(value)
    except OverflowError:
        fraction = math.inf
    if not 0 <= fraction < math.inf:
        raise _errors.not_allowed(field, "a finite number of at least 0", fraction)
    return fraction


def _read_count(value: Any, field: str) -> int:
    count = read_integer(value, field, "an int")
    if not 0 <= count <= sys.maxsize:
        raise _errors.not_allowed(field, "a count of at least 0", value)
    return count


def _read_slots(value: Any, field: str) -> int:
    slots = read_integer(value, field, "an int")
    if not 1 <= slots <= _MOST_SLOTS:
        allowed = f"a count from 1 to {_MOST_SLOTS}"
        raise _errors.not_allowed(field, allowed, slots)
    return slots


def _read_path(value: Any, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        raise _errors.wrong_type(field, "a path or None", value)
    path = os.fsdecode(value)
    if not path or "\0" in path:
        raise _errors.not_allowed(field, "the path of a file", path)
    return path


def _read_share(value: Any, field: str) -> float | None:
    allowed = "a percentile such as 'p95', a fraction above 0 and up to 1, or None"
    if value is None:
        return None
    if isinstance(value, str):
        match = _PERCENTILE.fullmatch(value)
        if match is None:
            raise _errors.not_allowed(field, allowed, value)
        share = float(match[1]) / 100
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _errors.wrong_type(field, allowed, value)
    else:
        share = float(value)
    if not 0 < share <= 1:
        raise _errors.not_allowed(field, allowed, value)
    return share


def _read_policy(value: Any, field: str, kind: type[_P]) -> _P:
    allowed = _errors.one_of(kind)
    # Members of another enum are strings too, and never meant.
    foreign = isinstance(value, Enum) and not isinstance(value, kind)
    if foreign or not isinstance(value, str):
        raise _errors.wrong_type(field, allowed, value)
    try:
        return kind(value)
    except ValueError:
        raise _errors.not_allowed(field, allowed, value) from None


# Readers of the fields whose default does not tell what they take.
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "max_size": _read_limit,
    "overallocation": _read_fraction,
    "busy_timeout_s": _read_fraction,
    "slots": _read_slots,
    "path": _read_path,
    "cycles_before_initialization": _read_count,
    "trim_to": _read_share,
    "alignment": _read_alignment,
}


def _read_field(field: dataclasses.Field[Any], value: Any) -> Any:
    if isinstance(field.default, Policy):
        return _read_policy(value, field.name, type(field.default))
    read: Callable[[Any, str], Any] = parse_size
    if isinstance(field.default, bool):
        read = _read_flag
    return _READERS.get(field.name, read)(value, field.name)


class ConfigFields(TypedDict, total=False):
    """Types that the fields of `WorkspaceConfig` are given in."""

    initial_size: Size
    min_size: Size
    max_size: Size | None
    learning: LearningPolicy | str
    allocation: AllocationPolicy | str
    overallocation: float
    cycles_before_initialization: SupportsIndex
    trim_to: float | str | None
    spill: SpillPolicy | str
    reset: ResetPolicy | str
    slots: SupportsIndex
    on_busy: BusyPolicy | str
    busy_timeout_s: float
    location: LocationPolicy | str
    path: str | os.PathLike[str] | None
    escape: EscapePolicy | str
    checked: bool
    capture: bool
    alignment: SupportsIndex
    min_block: Size
    huge_pages: bool
    populate: bool
    zero_on_reset: bool
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceConfig:
    """Describe how a workspace gets, grows and watches its memory.

    Frozen, and checked once when it is made. Sizes are ints in bytes or strings such as
    ``"64MiB"`` (binary) and ``"64MB"`` (decimal); policies are members of their enums
    or their names in any case.

    Parameters
    ----------
    initial_size : int or str
        Size of the block at first use, in bytes; 0 leaves it to be learned.
    min_size : int or str
        Floor of every learned size, in bytes.
    max_size : int or str or None
        Ceiling of every learned size, in bytes; with ``spill="fail"`` the bound of all
        memory of the workspace. None sets no bound.
    learning : LearningPolicy or str
        When the size of the block is learned.
    allocation : AllocationPolicy or str
        Whether a learned size gets room to spare.
    overallocation : float
        That room, as a fraction of the learned size.
    cycles_before_initialization : int
        Count of cycles that allocate something after which ``learning="over_time"``
        sizes the block; with 0 only `Workspace.learn` does.
    trim_to : str or float or None
        Have the block follow the needs of the last cycles, down as well as up: a
        percentile of them such as ``"p95"``, or the same as a fraction, 0.95. None
        never makes it smaller.
    spill : SpillPolicy or str
        What happens to an allocation that does not fit.
    reset : ResetPolicy or str
        Whether the memory of a cycle is used again by the next one, or goes round a
        ring; all sizes are those of one slot then.
    slots : int
        Count of blocks of the ring, from 1 to 1024.
    on_busy : BusyPolicy or str
        What a cycle does while arrays are alive in the slot whose turn it is.
    busy_timeout_s : float
        How long ``on_busy="wait"`` waits, in seconds.
    location : LocationPolicy or str
        Whether the block is in memory or a file; a file has the size `initial_size`,
        or more if it had, and keeps it.
    path : str or path-like or None
        That file: it is made, or kept with its bytes, and is there when the workspace
        is closed. None makes a temporary one without a name.
    escape : EscapePolicy or str
        What is said of captured arrays that are alive at the exit, from the cycle after
        learning on.
    checked : bool
        Whether the creators return `wspace.Array`, which is stale after its cycle, or
        plain arrays.
    capture : bool
        Whether NumPy's own allocations are routed into the workspace.
    alignment : int
        Alignment of each allocation in bytes, a power of two from 1 to 256.
    min_block : int or str
        Smallest allocation that is captured, in bytes; NumPy serves smaller ones.
    huge_pages : bool
        Whether to ask the system for huge pages.
    populate : bool
        Whether to touch the pages of the block when it is made.
    zero_on_reset : bool
        Whether to clear the memory at the end of each cycle; for secrets.
    record : bool
        Whether to keep the call site of each allocation.

    Raises
    ------
    TypeError
        If a value is of a type that its field does not take.
    ValueError
        If a value is not allowed, or two of them contradict each other.

    Examples
    --------
    >>> import wspace
    >>> config = wspace.WorkspaceConfig(max_size="64MiB", spill="fail")
    >>> config.max_size, config.spill
    (67108864, <SpillPolicy.FAIL: 'fail'>)
    >>> config.replace(max_size=None)
    WorkspaceConfig(spill='fail')
    """

    initial_size: int = 0
    min_size: int = 0
    max_size: int | None = None
    learning: LearningPolicy = LearningPolicy.FIRST_LOOP
    allocation: AllocationPolicy = AllocationPolicy.OVERALLOCATE
    overallocation: float = 0.3
    cycles_before_initialization: int = 0
    trim_to: float | None = None
    spill: SpillPolicy = SpillPolicy.REALLOCATE
    reset: ResetPolicy = ResetPolicy.BLOCK_LEFT
    slots: int = 4
    on_busy: BusyPolicy = BusyPolicy.SPILL
    busy_timeout_s: float = 10.0
    location: LocationPolicy = LocationPolicy.RAM
    path: str | None = None
    escape: EscapePolicy = EscapePolicy.IGNORE
    checked: bool = True
    capture: bool = True
    alignment: int = 64
    min_block: int = 1024
    huge_pages: bool = False
    populate: bool = False
    zero_on_reset: bool = False
    record: bool = False

    if TYPE_CHECKING:  # the generated one has the types of what is read

        def __init__(self, **fields: Unpack[ConfigFields]) -> None: ...

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _read_field(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self) -> None:
        """Raise where two fields contradict each other; max_size wins over min_size."""
        if self.max_size is not None and self.initial_size > self.max_size:
            raise _errors.over_maximum("initial_size", self.initial_size, self.max_size)
        never_sized = self.learning is LearningPolicy.NONE and not self.initial_size
        if self.spill is SpillPolicy.FAIL and never_sized:
            raise _errors.nothing_fits()
        if self.trim_to is not None and self.spill is not SpillPolicy.REALLOCATE:
            raise _errors.trimmed_for_good("spill", self.spill)
        if self.trim_to is not None and self.learning is LearningPolicy.NONE:
            raise _errors.trimmed_for_good("learning", self.learning)
        if self.reset is ResetPolicy.RING and self.escape is not EscapePolicy.IGNORE:
            raise _errors.ring_escapes(self.escape)
        if self.location is LocationPolicy.MMAP:
            self._check_file()
        for name, (other, needed) in _ONLY_WITH.items():
            is_set = getattr(self, name) != _defaults()[name]
            if is_set and getattr(self, other) is not needed:
                raise _errors.needs(name, getattr(self, name), other, needed)

    def _check_file(self) -> None:
        for name in ("reset", "trim_to", "huge_pages", "populate"):
            value = getattr(self, name)
            if value != _defaults()[name]:
                raise _errors.not_in_a_file(name, value)
        if self.learning is LearningPolicy.OVER_TIME:
            raise _errors.not_in_a_file("learning", self.learning)
        if self.path is None and not self.initial_size:
            raise _errors.file_without_size(None)

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={str(value) if isinstance(value, Enum) else value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"WorkspaceConfig({', '.join(changed)})"

    def replace(self, **fields: Unpack[ConfigFields]) -> WorkspaceConfig:
        """Make a config that differs from this one in single fields.

        Parameters
        ----------
        **fields
            New values, as for `WorkspaceConfig`.

        Returns
        -------
        WorkspaceConfig
            This one if `fields` is empty.

        Raises
        ------
        TypeError
            If a name is no field, or a value of a type that its field does not take.
        ValueError
            As for `WorkspaceConfig`; the fields are checked together.

        Examples
        --------
        >>> import wspace
        >>> wspace.WorkspaceConfig(min_size="1MiB").replace(record=True)
        WorkspaceConfig(min_size=1048576, record=True)
        """
        return merge(self, fields)


# Fields that mean something only with one policy.
_ONLY_WITH: dict[str, tuple[str, Policy]] = {
    "cycles_before_initialization": ("learning", LearningPolicy.OVER_TIME),
    "slots": ("reset", ResetPolicy.RING),
    "on_busy": ("reset", ResetPolicy.RING),
    "busy_timeout_s": ("on_busy", BusyPolicy.WAIT),
    "path": ("location", LocationPolicy.MMAP),
}


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(WorkspaceConfig)}


def merge(
    config: WorkspaceConfig | None, fields: Mapping[str, Any] | ConfigFields
) -> WorkspaceConfig:
    """Put single fields over a config, or over the defaults if it is None."""
    if config is None:
        config = WorkspaceConfig()
    if not isinstance(config, WorkspaceConfig):
        raise _errors.wrong_type("config", "a WorkspaceConfig or None", config)
    names = [field.name for field in dataclasses.fields(config)]
    for name in fields:
        if name not in names:
            closest = next(iter(difflib.get_close_matches(name, names, n=1)), None)
            raise _errors.unknown_field(name, closest, names)
    return dataclasses.replace(config, **fields) if fields else config


def first_difference(
    one: WorkspaceConfig, other: WorkspaceConfig
) -> tuple[str, Any, Any] | None:
    """Find a field in which two configs differ: its name and both values."""
    for field in dataclasses.fields(one):
        values = getattr(one, field.name), getattr(other, field.name)
        if values[0] != values[1]:
            return field.name, *values
    return None
