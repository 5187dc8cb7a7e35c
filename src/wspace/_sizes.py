# SPDX-License-Identifier: BSD-3-Clause
"""Sizes in bytes: read from what users write, and written for people."""

from __future__ import annotations

import operator
import re
import sys
from typing import SupportsIndex, TypeAlias

import numpy as np

from wspace import _errors

Size: TypeAlias = SupportsIndex | str

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_FACTORS: dict[str, int] = {
    unit.lower(): base**power
    for base, units in ((1024, _BINARY_UNITS), (1000, _DECIMAL_UNITS))
    for power, unit in enumerate(units)
}
_SIZE = re.compile(r"\s*([+-]?)([0-9]+)\s*([A-Za-z]*)\s*")


def parse_size(value: Size, field: str = "size") -> int:
    """Read a size in bytes, or with a unit.

    Parameters
    ----------
    value : int or str
        A count of bytes, or a whole number with a unit in any case: binary
        (``"64MiB"``) or decimal (``"64MB"``).
    field : str
        What the size is called in the messages.

    Returns
    -------
    int
        The size in bytes.

    Raises
    ------
    TypeError
        If `value` is neither an integer nor a string.
    ValueError
        If it is negative, no whole number, of an unknown unit, or more than
        ``sys.maxsize`` bytes.

    Examples
    --------
    >>> parse_size("64MiB"), parse_size("64 MB"), parse_size(4096)
    (67108864, 64000000, 4096)
    """
    if isinstance(value, str):
        nbytes = _parse_text(value, field)
    else:
        nbytes = value = read_integer(
            value, field, "an int or a string such as '64MiB'"
        )
    if nbytes < 0:
        raise _errors.not_allowed(field, "at least 0 bytes", value)
    if nbytes > sys.maxsize:
        raise _errors.not_allowed(field, f"at most {sys.maxsize:,} bytes", value)
    return nbytes


def _parse_text(text: str, field: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        whole = "a whole number with a unit, such as '64MiB'"
        raise _errors.not_allowed(field, whole, text)
    sign, digits, unit = match.groups()
    factor = _FACTORS.get(unit.lower() or "b")
    if factor is None:
        units = dict.fromkeys(_DECIMAL_UNITS + _BINARY_UNITS)
        raise _errors.not_allowed(field, f"in {', '.join(units)}", text)
    # Python refuses to read thousands of digits; 30 are enough for the refusal.
    return int(sign + (digits.lstrip("0")[:30] or "0")) * factor


def format_bytes(*sizes: int) -> str:
    """Write sizes in bytes with the binary unit that suits the largest.

    Parameters
    ----------
    *sizes : int
        Sizes in bytes, at least one, none negative.

    Returns
    -------
    str
        The sizes, separated by slashes, to a tenth of the unit.

    Examples
    --------
    >>> format_bytes(50331648, 67108864)
    '48.0/64.0 MiB'
    >>> format_bytes(512)
    '512 B'
    """
    largest = max(sizes)
    power = 0
    # Compare what will be written: 1023.96 KiB reads 1.0 MiB.
    while round(largest / 1024**power, 1) >= 1024 and power < len(_BINARY_UNITS) - 1:
        power += 1
    digits = 1 if power else 0
    written = "/".join(f"{size / 1024**power:.{digits}f}" for size in sizes)
    return f"{written} {_BINARY_UNITS[power]}"


def read_integer(value: object, field: str, allowed: str) -> int:
    """Read an integer of any type but bool; `allowed` describes it in the message."""
    # A flag where a number is wanted is a mistake, though bool is an int, and has an
    # index under NumPy before 2.3.
    if not isinstance(value, bool | np.bool) and isinstance(value, SupportsIndex):
        try:
            return operator.index(value)
        except TypeError:  # arrays have __index__, and most refuse
            pass
    raise _errors.wrong_type(field, allowed, value)
