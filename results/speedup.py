"""Paired speed-up and its intervals (METHOD section 3).

The effect of a visit is log(plain / arm) of the same unit, repeat and half of a mirrored block. A unit's effect is
the mean over its visits, the speed-up is exp(mean over units), every unit weighing the same.

    these prompts   The units are fixed; what varies is noise. Over launches: t over the means of launches that saw the
                    same units. Within one launch: t over whole passes, where at least `MIN_PASSES` were made; else the
                    variance of block means within units, pooled; else, with one block a unit, that of the differences
                    between its mirrored halves.
    new prompts     The units are a sample: their variance / units, plus, over launches, that of launches / launches;
                    each part with its own t quantile (`intervals.half_width`).

`tests/statistics` shows the coverage of each of these, drift, autocorrelated noise and outliers included.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.intervals import Part, half_width, t_quantile
from results.metrics import Floats, Ints, Timing, tokens_per_s
from results.verdicts import Interval, Speedup

MIN_PASSES = 5
"""Whole passes over the units from which their means are trusted alone: they allow for noise that units of one pass
share, at the price of few degrees of freedom."""
MIRRORED = 1.2
"""Noise that lasts from trial to trial is partly common to the two halves of a mirrored block, so their mean varies
more than their difference shows: 1.0 to 1.32 times, for AR(1) noise of any persistence and 2 to 10 arms. In between,
independent noise (1.0) is covered 96.8 %, the most stubborn 93.9 %."""
EQUAL = 1 / 3
"""Noise within units has at least this share of the degrees of freedom that equally noisy units would give it."""
COVERS = 0.8
"""A launch, or a pass, counts as one if it saw this share of the units."""


class Visit(NamedTuple):
    """One headline trial that gave a timing."""

    unit: int
    repeat: int
    half: int
    launch: int
    timing: Timing


Pairs = list[tuple[Visit, Visit]]


def pair(plain: Iterable[Visit], arm: Iterable[Visit]) -> Pairs:
    """(plain, arm) visits of the same unit, repeat and half.

    Where a launch served both arms, both visits must be of the same launch (a run that was resumed in the middle of a
    block leaves visits that are not). Where each arm has launches of its own, any two will do.
    """
    plain, arm = list(plain), list(arm)
    shared = bool({v.launch for v in plain} & {v.launch for v in arm})

    def place(visit: Visit) -> tuple[int, int, int, int | None]:
        return visit.unit, visit.repeat, visit.half, visit.launch if shared else None

    baseline = {place(v): v for v in plain}
    return [(baseline[place(v)], v) for v in arm if place(v) in baseline]


@dataclass(frozen=True, eq=False)
class Effects:
    """Log ratios plain / arm of every visit, arranged as the design is; NaN where a visit is missing."""

    units: Ints
    """(units,), ascending: those with at least one ratio."""
    halves: NDArray[np.float64]
    """(units, blocks, 2). A block of this array is one (launch, repeat): one pass over the units."""
    launch: Ints
    """(blocks,): which launch each belongs to, numbered from 0."""

    @cached_property
    def blocks(self) -> Floats:
        """(units, blocks): means over halves."""
        return _mean(self.halves, axis=2)

    @cached_property
    def launches(self) -> Floats:
        """(units, launches): means over blocks."""
        parts = [_mean(self.blocks[:, self.launch == i], axis=1) for i in range(self.launch.max() + 1)]
        return np.stack(parts, axis=1)

    @cached_property
    def crossed_launches(self) -> Floats:
        """(units seen by all of them, launches that cover the units)."""
        return _crossed(self.launches)

    @property
    def over_launches(self) -> bool:
        """At least two launches cover the units, so that what a launch adds can be told from what a prompt adds."""
        return int(self.crossed_launches.shape[1]) >= 2

    @cached_property
    def per_unit(self) -> Floats:
        """(units,): the effect of each."""
        return _mean(self.launches if self.over_launches else self.blocks, axis=1)


def effects(pairs: Pairs, value: Callable[[Timing], float | None] = lambda timing: timing.tpot_ns) -> Effects | None:
    """Arrange the log ratios of `value`; None if no pair has a ratio."""
    ratios = [
        (p.unit, (p.launch, v.launch, v.repeat), v.half, math.log(a / b))
        for p, v in pairs
        if (a := value(p.timing)) and (b := value(v.timing))
    ]
    if not ratios:
        return None
    units = {unit: i for i, unit in enumerate(sorted({unit for unit, *_ in ratios}))}
    blocks = {block: i for i, block in enumerate(sorted({block for _, block, *_ in ratios}))}
    launches = {launch: i for i, launch in enumerate(sorted({block[:2] for block in blocks}))}
    halves = np.full((len(units), len(blocks), 2), np.nan)
    for unit, block, half, ratio in ratios:
        halves[units[unit], blocks[block], half] = ratio
    return Effects(np.array(list(units)), halves, np.array([launches[block[:2]] for block in blocks]))


def point(e: Effects) -> float:
    """The log speed-up."""
    return float(e.per_unit.mean())


def these_prompts(e: Effects) -> Part | None:
    """Variance of the log speed-up if these very units were measured again; None with a single visit to each."""
    if e.over_launches:
        return _part(e.crossed_launches.mean(axis=0))
    passes = _crossed(e.blocks)
    if passes.shape[1] >= MIN_PASSES:
        return _part(passes.mean(axis=0))
    return _within_units(e)


def new_prompts(e: Effects) -> list[Part]:
    """Variance of the log speed-up if other units like these were measured, in parts; empty with fewer than two."""
    if len(e.units) < 2:
        return []
    prompts = _part(e.per_unit)
    if not e.over_launches:
        return [prompts]
    alone = max(0.0, prompts.variance - _interaction(e.crossed_launches) / len(e.units))
    return [prompts._replace(variance=alone), _part(e.crossed_launches.mean(axis=0))]


def interval(e: Effects, parts: Sequence[Part], quantiles: Sequence[float]) -> Interval | None:
    """The interval of the speed-up, given the parts of its variance and a quantile for each; None without parts."""
    if not parts:
        return None
    middle, reach = point(e), half_width(parts, quantiles)
    return Interval(math.exp(middle - reach), math.exp(middle + reach))


def intervals(e: Effects, confidence: float) -> tuple[Interval | None, Interval | None]:
    """(these prompts, new prompts)."""
    these, new = these_prompts(e), new_prompts(e)
    return (
        interval(e, [these], [t_quantile(these.df, confidence)]) if these else None,
        interval(e, new, [t_quantile(part.df, confidence) for part in new]),
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
    whole = effects(pairs, lambda timing: timing.e2e_ns)
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
    widths = [math.expm1(half_width([p], [t_quantile(p.df, confidence)])) for p in parts if p]
    complete = bool(widths) and len(widths) == len(parts)
    return Precision(
        half_width=max(widths) if complete else None,
        units=min((len(e.units) for e in arms), default=0),
        launches=min((max(1, e.crossed_launches.shape[1]) for e in arms), default=1),
    )


def _within_units(e: Effects) -> Part | None:
    """Noise of the mean of all units, from what varies within each; every unit adds degrees of freedom.

    A unit with several blocks: their variance / blocks. With one: (difference of its halves)^2 / 4 * `MIRRORED`. A
    unit with a single visit adds no knowledge, and is taken to be as noisy as half a block.

    Units need not be equally noisy: the degrees of freedom are Welch's (1947, Biometrika 34) for a sum of unequal
    variances c with f degrees of freedom each, (sum c)^2 / sum(c^2 / (f + 2)) - 2, rounded, at most sum f and at least
    `EQUAL` of it (one disturbed trial looks like a noisy unit, and would otherwise leave hardly any).
    """
    seen = np.isfinite(e.blocks)
    count = seen.sum(axis=1)
    spread = np.where(seen, (e.blocks - _mean(e.blocks, axis=1)[:, None]) ** 2, 0).sum(axis=1)
    only = e.halves[np.arange(len(e.units)), seen.argmax(axis=1)]
    from_halves = MIRRORED * (only[:, 0] - only[:, 1]) ** 2 / 4
    variance = np.where(count > 1, spread / np.maximum(count - 1, 1) / count, from_halves)
    known = np.isfinite(variance)
    if not known.any():
        return None
    variance, each = variance[known], np.maximum(count - 1, 1)[known]
    total = variance.sum() + 2 * variance.mean() * (~known).sum()
    fourth = (variance**2 / (each + 2)).sum()
    welch = variance.sum() ** 2 / fourth - 2 if fourth > 0 else math.inf
    most = int(each.sum())
    df = most if welch >= most else max(round(welch), math.ceil(EQUAL * most))
    return Part(float(total / len(e.units) ** 2), df)


def _interaction(crossed: Floats) -> float:
    """What noise adds to the variance of a unit's mean over launches, from what neither unit nor launch explains.

    Mean square of the residuals of the two-way layout (units, launches), over launches; 0 with a single unit.
    """
    units, launches = crossed.shape
    if units < 2:
        return 0.0
    rest = crossed - crossed.mean(axis=1, keepdims=True) - crossed.mean(axis=0) + crossed.mean()
    return float((rest**2).sum() / ((units - 1) * (launches - 1)) / launches)


def _part(means: Floats) -> Part:
    return Part(float(means.var(ddof=1) / len(means)), len(means) - 1)


def _crossed(values: Floats) -> Floats:
    """The columns that cover the rows, in the rows that all those columns have."""
    seen = np.isfinite(values)
    covering = seen.mean(axis=0) >= COVERS
    rows = seen[:, covering].all(axis=1)
    return values[rows][:, covering] if rows.any() else values[:, :0]


def _mean(values: Floats, axis: int) -> Floats:
    """Mean of what is there; NaN where nothing is."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axis)
    mean: Floats = np.full(count.shape, np.nan)
    np.divide(np.where(seen, values, 0).sum(axis=axis), count, out=mean, where=count > 0)
    return mean
