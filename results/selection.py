"""Choosing the best of several arms, and judging it for having been chosen: simultaneous (max-T) intervals (METHOD
section 3)."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import numpy as np

from results import speedup
from results.intervals import max_t_quantile
from results.metrics import Floats
from results.speedup import Effects
from results.verdicts import Interval

_Arm = TypeVar("_Arm")

SHARED_PLAIN = 0.5
"""Correlation of what a launch adds to two arms: both ratios have the plain arm in them, and more is not assumed."""
MIN_UNITS = 4
"""Fewer units give no correlation."""
CLOSE = 1 - 1e-9
"""Arms that agree wholly, as far as Fisher's z can say it."""


def adjusted(arms: Mapping[int, Effects], confidence: float) -> dict[int, Interval | None]:
    """New-prompts intervals that all hold at once, so that the largest may be picked; None where an arm has none.

    Each part of an arm's variance gets the quantile of the largest |T| over all arms instead of Student's: with the
    arms' correlation over units for the part that prompts add, with `SHARED_PLAIN` for the part that launches add,
    and with the fewest degrees of freedom that any arm has.
    """
    parts = {arm: found for arm, e in arms.items() if (found := speedup.new_prompts(e))}
    if not parts:
        return dict.fromkeys(arms)
    correlations = (_correlation([arms[arm] for arm in parts]), of_launches(len(parts)))
    quantiles = [
        max_t_quantile(int(min(df)), correlation, confidence)
        for correlation, position in zip(correlations, range(2), strict=True)
        if (df := [found[position].df for found in parts.values() if position < len(found)])
    ]
    return {
        arm: speedup.interval(e, parts[arm], quantiles[: len(parts[arm])], confidence) if arm in parts else None
        for arm, e in arms.items()
    }


def best(
    arms: Iterable[_Arm], judged: Callable[[_Arm], tuple[float, Interval | None]], aa: Interval | None
) -> _Arm | None:
    """Of the arms that are distinguishably faster than plain decoding that with the largest gain; where none is, that
    with the largest gain of all. None without arms.

    judged: gain and interval (`adjusted`) of an arm. The intervals hold all at once, so that any arm may be picked: one
    that came out higher and cannot be told from plain decoding speaks against none that can.
    """

    def rank(arm: _Arm) -> tuple[bool, float]:
        gain, interval = judged(arm)
        return gain > 1 and bool(speedup.distinguishable(interval, aa)), gain

    return max(arms, key=rank, default=None)


def of_launches(arms: int) -> Floats:
    """(arms, arms): correlation of what launches add."""
    correlation: Floats = np.full((arms, arms), SHARED_PLAIN) + (1 - SHARED_PLAIN) * np.eye(arms)
    return correlation


def _correlation(arms: list[Effects]) -> Floats:
    """(arms, arms): of the effects, over the units that all arms have; none where these are too few.

    Each is taken one standard error (Fisher's z, 1 / sqrt(units - 3)) nearer to 0: among many arms over few units,
    chance alone makes some agree, and arms that agree are widened too little.
    """
    shared = set.intersection(*(set(e.units.tolist()) for e in arms))
    if len(shared) < MIN_UNITS:
        return np.eye(len(arms))
    values = np.stack([e.per_unit[np.isin(e.units, list(shared))] for e in arms])
    values = values - values.mean(axis=1, keepdims=True)
    size = np.sqrt((values**2).sum(axis=1))
    values = values / np.where(size > 0, size, 1)[:, None]
    seen = np.clip(values @ values.T, -CLOSE, CLOSE)
    nearer = np.maximum(np.abs(np.arctanh(seen)) - 1 / math.sqrt(len(shared) - 3), 0)
    correlation: Floats = np.sign(seen) * np.tanh(nearer)
    np.fill_diagonal(correlation, 1.0)
    return correlation
