"""The rules by which an interval bears out a published figure, or does not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from results.statements.published import Statement
from results.verdicts import CellVerdict, Interval

Outcome = Literal["reproduced", "not reproduced", "not comparable"]


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured at one setting, and what it says to the statement."""

    backend: str
    pair: str
    method: str
    draft_length: int
    batch_size: int
    prompt_tokens: int | None
    outcome: Outcome
    why: str
    point: float | None = None
    """In the unit of the statement's metric."""
    interval: Interval | None = None
    """For other prompts like these; widened where the draft length was chosen among several."""
    candidates: int = 1
    """Draft lengths among which this one was chosen."""


def found(cell: CellVerdict, ruling: tuple[Outcome, str], point: float | None = None,
          interval: Interval | None = None, candidates: int = 1) -> Found:  # fmt: skip
    """A finding at the setting of `cell`."""
    outcome, why = ruling
    return Found(cell.backend, cell.pair, cell.method, cell.draft_length, cell.batch_size, cell.prompt_tokens,
                 outcome, why, point, interval, candidates)  # fmt: skip


def unusable(cell: CellVerdict) -> str | None:
    """Why no speed-up of this cell counts; None: it does."""
    if cell.status != "ok":
        return f"the cell is {cell.status}" + (f": {cell.reason}" if cell.reason else "")
    if cell.synthetic:
        return "the cell is synthetic: forced acceptance or random weights"
    if cell.not_lossless:
        return "the cell's output is not the target's own"
    if cell.speedup is None:
        return "no speed-up was measured"
    return None if cell.speedup.new_prompts else "too few units for an interval"


def against(
    point: float, interval: Interval, stated: Statement, *, gain: bool = True, noise: bool = False
) -> tuple[Outcome, str]:
    """What a measured figure and its interval say to the published one, and why.

    gain: 1 stands for "no gain", and an interval that holds it with the figure tells nothing. noise: the effect is no
    larger than what plain decoding shows against itself.
    """
    if stated.at_most is not None:
        low = stated.at_most - stated.rounding
        if interval.high < low:
            return "not reproduced", "the best that was measured ends below it"
        if interval.low <= 1 <= interval.high or noise:
            return "not comparable", "too imprecise: the best that was measured holds the figure and no gain (1) alike"
        if point < low:
            why = "too imprecise: the best that was measured stays below it, but its interval does not rule it out"
            return "not comparable", why
        return "reproduced", "the best that was measured reaches it"
    low = -math.inf if stated.low is None else stated.low - stated.rounding
    high = math.inf if stated.high is None else stated.high + stated.rounding
    if interval.high < low or interval.low > high:
        return "not reproduced", f"the interval lies {'below' if interval.high < low else 'above'} what was published"
    if noise and not low < 1 < high:
        return "not comparable", "too imprecise: not distinguishable from plain decoding"
    if stated.single:
        if gain and interval.low <= 1 <= interval.high:
            return "not comparable", "too imprecise: the interval holds the figure and no gain (1) alike"
        if not _near(interval, stated):
            why = "too imprecise: the interval holds the figure, but goes further from it than half its distance from 1"
            return "not comparable", why
        return "reproduced", "the interval holds the figure"
    if low <= interval.low and interval.high <= high:
        return "reproduced", "the interval lies inside what was published"
    return "not comparable", "too imprecise: only a part of the interval lies inside what was published"


def _near(interval: Interval, stated: Statement) -> bool:
    """Whether no end is further from the single figure than half the figure's own distance from 1 (in logs), or than
    its rounding."""
    figure = stated.low or 1.0
    half = math.exp(abs(math.log(figure)) / 2)
    low, high = figure - stated.rounding, figure + stated.rounding
    return min(low, figure / half) <= interval.low and interval.high <= max(high, figure * half)


def together(findings: Sequence[Found], *, everywhere: bool = False) -> tuple[Outcome, str]:
    """One outcome for several settings, and at how many of them.

    A figure is reproduced where it is at any setting: the source does not say at which. That outputs are identical
    is said of every setting, so one that is not is enough (`everywhere`).
    """
    if len(findings) == 1:
        return findings[0].outcome, findings[0].why
    order: tuple[Outcome, ...] = ("not reproduced", "reproduced") if everywhere else ("reproduced", "not reproduced")
    for outcome in order:
        having = [one for one in findings if one.outcome == outcome]
        if having:
            rest = [one for one in findings if one.outcome not in (outcome, "not comparable")]
            told = f"{having[0].why}; at {len(having)} of {len(findings)} settings measured"
            return outcome, told + (f", and {rest[0].outcome} at {len(rest)}" if rest else "")
    return "not comparable", findings[0].why if findings else "nothing that bears on it was measured"
