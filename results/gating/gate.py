"""The rule of a regression gate (METHOD section 6): pass, fail or inconclusive, at a level stated before (pure).

An effect is a log ratio, oriented so that larger is better: the log speed-up itself, or log(baseline / now) of a time.
It fails only if its interval lies wholly below the limit, and passes only if wholly above. Where the truth is exactly
the limit, the worst case, a cell of any run then fails with at most the stated probability, however often it was
looked at and however many cells were, and passes with at most the same.

Looks.  The level is spent over the declared looks by Kim & DeMets' function level * (look / looks)^3 (1987,
        Biometrika 74:149), close to O'Brien & Fleming's: early looks, whose intervals rest on little, get almost
        nothing (a big regression is caught all the same), the last one most. Each look tests at what is newly spent,
        so that the shares add up to the level (Bonferroni): true however looks depend on one another, be they one
        growing run or repeated jobs, and without the recursion over a known information that exact boundaries need.
Cells.  Bonferroni: they share a plain arm and a machine, and no model of that is needed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from results.intervals import Part, sure_half_width
from results.verdicts import Interval

Decision = Literal["pass", "fail", "inconclusive"]

LATE = 3
"""Exponent of the spending function: 1 spends evenly (Pocock's boundary, nearly), 3 late (O'Brien & Fleming's)."""
LEAST = 1e-10
"""Of the level of a look: from a tenth of it down, `t_quantile`, of a confidence that is all but 1, goes astray."""
WIDEST = 100.0
"""Half-width, in logs, at which a look that may spend almost nothing stops growing: its ends stay finite numbers."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What was laid down before the first look. Raises ValueError where it makes no sense."""

    level: float = 0.025
    """Probability, over all looks and cells together, of failing where every truth is exactly at its limit."""
    looks: int = 1
    """How often the data may be judged at most."""
    cells: int = 1
    """How many effects are gated."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise ValueError(f"--level {self.level:g}: it is between 0 and 0.5")
        if self.looks < 1:
            raise ValueError(f"--looks {self.looks}: it is at least 1")
        if self.cells < 1:
            raise ValueError(f"cells {self.cells}: they are at least 1")
        if (first := self.spent(1)) < LEAST:
            raise ValueError(
                f"--level {self.level:g} and --looks {self.looks}: of {self.cells} checks each would be judged at "
                f"{first:.1g} in the first look, too little for an interval; declare fewer looks or a higher level"
            )

    def spent(self, look: int) -> float:
        """The level of one cell at one look, 1 being the first."""
        if not 1 <= look <= self.looks:
            raise ValueError(f"--look {look}: it is from 1 to {self.looks}, the looks that were declared")
        before, after = (look - 1) / self.looks, look / self.looks
        return self.level / self.cells * (math.pow(after, LATE) - math.pow(before, LATE))


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one look at one cell says."""

    decision: Decision
    interval: Interval | None
    """Of the ratio, with confidence 1 - 2 * level; None where nothing is known about its variance."""
    level: float
    """What this look was allowed to spend, on either side."""


def rule(effect: float, parts: Sequence[Part], limit: float, declared: Declared, look: int = 1) -> Ruling:
    """Judge one cell at one look.

    effect: log ratio, larger is better; parts: of its variance, from `speedup.new_prompts` (or `these_prompts`);
    limit: a ratio, 0.95 where a slow-down to 95 % is the most that is tolerated.
    """
    if limit <= 0:
        raise ValueError(f"limit: {limit} is not a ratio above 0")
    level = declared.spent(look)
    if not parts:
        return Ruling("inconclusive", None, level)
    confidence = 1 - 2 * level
    reach = min(sure_half_width(parts, confidence), WIDEST)
    interval = Interval(math.exp(effect - reach), math.exp(effect + reach))
    if interval.high < limit:
        return Ruling("fail", interval, level)
    return Ruling("pass" if interval.low > limit else "inconclusive", interval, level)


def together(decisions: Iterable[Decision]) -> Decision:
    """Of all cells: fail if any fails, pass if all pass (and there are some), else inconclusive."""
    found = set(decisions)
    if "fail" in found:
        return "fail"
    return "pass" if found == {"pass"} else "inconclusive"
