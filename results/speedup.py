"""Paired speed-up and its intervals (METHOD section 3).

A unit's effect is the mean over its visits (`results.effects`), the speed-up is exp(mean over units), every unit
weighing the same. Its interval is on these prompts, or on new prompts like these (`results.variance`).

`tests/statistics` shows the coverage of each, drift, autocorrelated noise and outliers included.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from results.effects import Effects, Pairs, Visit, effects, pair, point
from results.intervals import Part, half_width, quantile
from results.metrics import tokens_per_s
from results.variance import new_prompts, these_prompts
from results.verdicts import Interval, Speedup

__all__ = ["Effects", "Pairs", "Precision", "Visit", "distinguishable", "effects", "interval", "intervals"]
__all__ += ["new_prompts", "pair", "point", "precision", "precision_of", "summary", "these_prompts"]


def interval(e: Effects, parts: Sequence[Part], quantiles: Sequence[float], confidence: float) -> Interval | None:
    """The interval of the speed-up, given the parts of its variance and a quantile for each; None without parts."""
    if not parts:
        return None
    middle, reach = point(e), half_width(parts, quantiles, confidence)
    return Interval(math.exp(middle - reach), math.exp(middle + reach))


def intervals(e: Effects, confidence: float) -> tuple[Interval | None, Interval | None]:
    """(these prompts, new prompts)."""
    these, new = these_prompts(e), new_prompts(e)
    return (
        interval(e, [these], [quantile(these, confidence)], confidence) if these else None,
        interval(e, new, [quantile(part, confidence) for part in new], confidence),
    )


def distinguishable(judged: Interval | None, aa: Interval | None) -> bool | None:
    """Does the interval exclude 1, and the effect exceed both ends of the A/A interval? None if either is missing.

    judged: on new prompts, or on these where there is only one unit. Its middle is the effect.
    """
    if judged is None or aa is None:
        return None
    effect = abs(math.log(judged.low) + math.log(judged.high)) / 2
    noise = max(abs(math.log(aa.low)), abs(math.log(aa.high)))
    return not judged.low <= 1 <= judged.high and effect > noise


def summary(
    pairs: Pairs, e: Effects, categories: Mapping[int, str], adjusted: Interval | None, confidence: float
) -> Speedup:
    """The verdict on one arm. categories: of each unit; adjusted: from `results.selection`."""
    these, new = intervals(e, confidence)
    timed = [(p.timing, v.timing) for p, v in pairs if p.timing.tpot_ns and v.timing.tpot_ns]
    whole = effects(pairs, lambda visit: visit.timing.e2e_ns)
    plain_rate, arm_rate = (tokens_per_s(side) for side in zip(*timed, strict=True))
    return Speedup(
        point=math.exp(point(e)),
        these_prompts=these,
        new_prompts=new,
        confidence=confidence,
        launches=e.launches.shape[1],
        basis="over launches" if e.over_launches else "within this launch",
        total_time_ratio=sum(p.decode_ns for p, _ in timed) / sum(a.decode_ns for _, a in timed),
        e2e=math.exp(point(whole)) if whole else None,
        throughput=arm_rate / plain_rate if arm_rate and plain_rate else None,
        per_unit=tuple(
            (unit, categories[unit], math.exp(effect))
            for unit, effect in zip(e.units.tolist(), e.per_unit.tolist(), strict=True)
        ),
        adjusted=adjusted,
    )


class Precision(NamedTuple):
    """How well a group is known so far: what the stop rule asks."""

    half_width: float | None
    """The widest over its arms, relative (0.02 is 2 %), of the interval on these prompts; None if one has none yet."""
    units: int
    """The fewest units with a ratio that any arm has."""
    launches: int = 1
    """Over how many launches the interval is, the fewest of any arm: those that cover the units."""


def precision(plain: Sequence[Visit], arms: Iterable[Sequence[Visit]], confidence: float = 0.95) -> Precision:
    """Precision of a group from the visits of its plain arm and of each other arm, the control arm included.

    Arms without a visit are left out: those that failed would otherwise keep a group going for ever.
    """
    return precision_of([e for arm in arms if arm and (e := effects(pair(plain, arm)))], confidence)


def precision_of(arms: Sequence[Effects], confidence: float = 0.95) -> Precision:
    """Precision of a group from the effects of its arms."""
    parts = [these_prompts(e) for e in arms]
    widths = [math.expm1(half_width([p], [quantile(p, confidence)], confidence)) for p in parts if p]
    complete = bool(widths) and len(widths) == len(parts)
    return Precision(
        half_width=max(widths) if complete else None,
        units=min((len(e.units) for e in arms), default=0),
        launches=min((max(1, e.crossed_launches.shape[1]) for e in arms), default=1),
    )
