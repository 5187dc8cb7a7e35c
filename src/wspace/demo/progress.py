# SPDX-License-Identifier: BSD-3-Clause
"""A progress bar for a terminal; nothing anywhere else."""

from __future__ import annotations

import shutil
import time
from types import TracebackType
from typing import Self, TextIO

_REDRAW_S = 0.1
_TEXT_WIDTH = 24  # "  100 %, 120 s left"


class Progress:
    """Draw how much of `total` is done. Leaving the block wipes the bar.

    Parameters
    ----------
    total : int
        Number of calls of `advance` to come.
    stream : file
        Where to draw. Nothing is written unless it is a terminal.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._shown = stream.isatty()
        self._done = 0
        self._start = self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def advance(self) -> None:
        """Count one more as done."""
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._stream.write("\r" + self._render(now))
            self._stream.flush()

    def _render(self, now: float) -> str:
        width = max(10, min(60, shutil.get_terminal_size().columns - _TEXT_WIDTH))
        share = self._done / self._total
        left_s = (now - self._start) * (1.0 / share - 1.0)
        bar = "#" * round(share * width)
        return f"[{bar:.<{width}}] {share:4.0%}, {left_s:3.0f} s left\x1b[K"
