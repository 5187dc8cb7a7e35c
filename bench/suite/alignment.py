# SPDX-License-Identifier: BSD-3-Clause
"""What alignment alone gives: the same buffers, 16 and 64 bytes aligned.

Twelve operations by hand in buffers of one's own, so that nothing is allocated. malloc
aligns large arrays to 16 bytes, a workspace to 64: what this gives is a part of what a
workspace gains, and no merit of its own. No claim is made of it.
"""

from __future__ import annotations

from functools import partial

from bench._case import Benchmark, Case, Prepared, Variant, loop_of
from bench._report import format_size
from bench.suite.chain import ByHand, operands, shifted

SIZES = [1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 23]


def prepare(size: int, offset: int) -> Prepared:
    x, y = (shifted(operand, offset) for operand in operands(size))
    step = ByHand(x, y, 12)
    step.shift(offset)
    return Prepared(loop_of(step), step)


def case(size: int) -> Case:
    return Case(
        f"12 of {format_size(size)}",
        [
            Variant("16 bytes", partial(prepare, size, 16)),
            Variant("16 bytes again (A/A)", partial(prepare, size, 16)),
            Variant("32 bytes", partial(prepare, size, 32)),
            Variant("64 bytes", partial(prepare, size, 0)),
        ],
    )


BENCHMARK = Benchmark("alignment", __doc__, [case(size) for size in SIZES])
