# SPDX-License-Identifier: BSD-3-Clause
"""Tables of figures, for people."""

from __future__ import annotations

import io
from collections.abc import Sequence

from wspace._sizes import format_bytes

_WIDTH = 200  # more than any table needs


def table_of(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | int]],
    total: Sequence[str | int],
    process_resident: int | None,
) -> str:
    """Write a table; numbers are sizes in bytes, and set to the right like counts.

    Parameters
    ----------
    columns : sequence of str
        The heads; the first two are of texts.
    rows : sequence of sequence of str or int
    total : sequence of str or int
        The last row.
    process_resident : int or None
        Told below the table, in bytes.

    Returns
    -------
    str
        Drawn by rich where that is installed.
    """
    heads = [column.replace("_", " ") for column in columns]
    body = [[_cell(value) for value in row] for row in rows]
    last = [_cell(value) for value in total]
    try:
        text = _rich_table(heads, body, last)
    except ImportError:
        text = _plain_table(heads, body, last)
    if process_resident is None:
        return text
    return f"{text}\nresident, the whole process: {format_bytes(process_resident)}"


def _cell(value: str | int) -> str:
    return value if isinstance(value, str) else format_bytes(value)


def _plain_table(
    heads: Sequence[str], body: Sequence[Sequence[str]], last: Sequence[str]
) -> str:
    widths = [max(map(len, column)) for column in zip(heads, *body, last, strict=True)]
    ruler = "  ".join("-" * width for width in widths)
    lines = [_plain_row(row, widths) for row in (heads, *body, last)]
    return "\n".join([lines[0], ruler, *lines[1:-1], ruler, lines[-1]])


def _plain_row(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.ljust(width) if column < 2 else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _rich_table(
    heads: Sequence[str], body: Sequence[Sequence[str]], last: Sequence[str]
) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_footer=True)
    for column, (head, foot) in enumerate(zip(heads, last, strict=True)):
        justify = "left" if column < 2 else "right"
        table.add_column(head, Text(foot), justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in body:
        table.add_row(*map(Text, row))  # names are no markup
    file = io.StringIO()
    Console(file=file, width=_WIDTH, color_system=None).print(table)
    return file.getvalue().rstrip("\n")
