# SPDX-License-Identifier: BSD-3-Clause
"""Configuration of workspaces: the policies and `WorkspaceConfig`."""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypedDict, TypeVar, Unpack

from wspace import _errors
from wspace._sizes import Size, parse_size, read_integer

_P = TypeVar("_P", bound="_Policy")


class _Policy(StrEnum):
    """A choice; its members are equal to their lower-case names."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        name = value.lower() if isinstance(value, str) else None
        return next((member for member in cls if member.value == name), None)


class LearningPolicy(_Policy):
    """Choose when the size of the block is learned.

    Attributes
    ----------
    FIRST_LOOP
        From the first cycle that allocates. Without an `initial_size` that cycle is
        served from outside the block; with one it uses it.
    NONE
        Never: `initial_size` is final.

    Examples
    --------
    >>> import wspace
    >>> wspace.LearningPolicy("First_Loop")
    <LearningPolicy.FIRST_LOOP: 'first_loop'>
    """

    FIRST_LOOP = "first_loop"
    NONE = "none"


class AllocationPolicy(_Policy):
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


class SpillPolicy(_Policy):
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


class EscapePolicy(_Policy):
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
    "alignment": _read_alignment,
}


def _read_field(field: dataclasses.Field[Any], value: Any) -> Any:
    if isinstance(field.default, _Policy):
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
    spill: SpillPolicy | str
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
    spill : SpillPolicy or str
        What happens to an allocation that does not fit.
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
    spill: SpillPolicy = SpillPolicy.REALLOCATE
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
        if self.max_size is not None:
            for name in ("initial_size", "min_size"):
                if getattr(self, name) > self.max_size:
                    raise _errors.over_maximum(name, getattr(self, name), self.max_size)
        never_sized = self.learning is LearningPolicy.NONE and not self.initial_size
        if self.spill is SpillPolicy.FAIL and never_sized:
            raise _errors.nothing_fits()

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
