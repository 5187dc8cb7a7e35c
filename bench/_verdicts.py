# SPDX-License-Identifier: BSD-3-Clause
"""Claims about ratios of times, and what came of them."""

from __future__ import annotations

from bench._case import Outcome
from bench._report import Verdict

# Identical code that differs by more forgives too much.
WORST_CONTROL = 0.9


def not_slower(
    outcome: Outcome, claim: str, variant: str, base: str, control: tuple[str, str]
) -> Verdict:
    """Compare with what two runs of the same code differ by, in either direction."""
    same, ratio = outcome.ratio(*control), outcome.ratio(variant, base)
    bound = min(same.low, 1 / same.high)
    text = f"{ratio} times as fast; A/A {same}, so at least {bound:.3f}"
    too_noisy = bound <= ratio.median < 1 and bound < WORST_CONTROL
    holds = None if too_noisy else ratio.median >= bound
    return Verdict(claim, holds, text, outcome.case, base)


def at_least(
    outcome: Outcome, claim: str, variant: str, base: str, factor: float
) -> Verdict:
    ratio = outcome.ratio(variant, base)
    text = f"{ratio} times as fast, at least {factor:.3f}"
    return Verdict(claim, ratio.median >= factor, text, outcome.case, base)


def not_wholly_below(
    outcome: Outcome, claim: str, variant: str, base: str, factor: float
) -> Verdict:
    """Hold unless the whole 95 % interval lies below."""
    ratio = outcome.ratio(variant, base)
    text = f"{ratio} times as fast, not wholly below {factor:.2f}"
    return Verdict(claim, ratio.high >= factor, text, outcome.case, base)
