"""How sure it is which of several settings of a group is the best, plain decoding among them."""

from collections.abc import Mapping

import numpy as np

from results.effects import Effects
from results.intervals import Part
from results.metrics import Floats
from results.selection import MIN_UNITS, of_launches
from results.variance import new_prompts

DRAWS = 20_000
"""Of the bootstrap: a probability is then right to a third of a percent (one standard error)."""
_SEED = 20_261_128


def chances(arms: Mapping[int, Effects], plain: int | None) -> dict[int, float] | None:
    """Arm -> the probability that it is the best for prompts like these; they add up to 1.

    arms: effects log(plain / arm) of every drafted setting, more is better. plain: the key under which plain decoding
    takes part, with an effect of 0 that is known exactly; None where it does not. None with fewer than `MIN_UNITS`
    units that all arms have, or with nothing to choose from.

    A parametric bootstrap: the means of all arms are drawn together around those that were seen, from a multivariate t
    with the covariance that the units show / units (units - 1 degrees of freedom), and besides, where an arm was
    measured over launches, from one with the variance of its launches / launches, the correlation of
    `selection.of_launches` and the fewest degrees of freedom that any arm has: the parts of
    `results.variance.new_prompts`. Percentiles of resampled prompts would need 20 of them (METHOD section 3). Settings
    that are equal in a draw share it. The seed is fixed, so that a file always gives the same answer.
    """
    keys = [*arms, *([plain] if plain is not None else [])]
    if len(keys) < 2:
        return None
    shared = set.intersection(*(set(e.units.tolist()) for e in arms.values()))
    if len(shared) < MIN_UNITS:
        return None
    values = np.stack([e.per_unit[np.isin(e.units, list(shared))] for e in arms.values()])
    random = np.random.default_rng(_SEED)
    parts = [new_prompts(e) for e in arms.values()]
    drawn = values.mean(axis=1) + _drawn(random, _of_units(values, [of_arm[0] for of_arm in parts]), len(shared) - 1)
    launches = [of_arm[1] if len(of_arm) > 1 else None for of_arm in parts]
    if df := [part.df for part in launches if part]:
        drawn += _drawn(random, _of_launches(launches), min(df))
    if plain is not None:
        drawn = np.column_stack([drawn, np.zeros(DRAWS)])
    first = drawn == drawn.max(axis=1, keepdims=True)
    return dict(zip(keys, (first / first.sum(axis=1, keepdims=True)).mean(axis=0).tolist(), strict=True))


def _of_units(values: Floats, parts: list[Part]) -> Floats:
    """(arms, arms): covariance of the means over units; each variance is that of the arm's own part."""
    spread = np.atleast_2d(np.cov(values))
    seen = np.sqrt(np.diag(spread))
    wanted = np.sqrt([part.variance for part in parts])
    scale = np.divide(wanted, seen, out=np.zeros_like(seen), where=seen > 0)
    covariance: Floats = spread * np.outer(scale, scale)
    return covariance


def _of_launches(parts: list[Part | None]) -> Floats:
    """(arms, arms): covariance of what launches add."""
    deviation = np.sqrt([part.variance if part else 0.0 for part in parts])
    covariance: Floats = of_launches(len(parts)) * np.outer(deviation, deviation)
    return covariance


def _drawn(random: np.random.Generator, covariance: Floats, df: float) -> Floats:
    """(draws, arms): multivariate t around 0. The symmetric root is the same on every machine."""
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    scale = np.sqrt(random.chisquare(df, DRAWS) / df)
    drawn: Floats = random.standard_normal((DRAWS, len(covariance))) @ root / scale[:, None]
    return drawn
