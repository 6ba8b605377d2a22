"""Variance of the log speed-up, in independent parts (METHOD section 3).

these prompts   The units are fixed; what varies is noise. Over launches: t over the means of launches that saw the
                same units. Within one launch: t over whole passes, where at least `MIN_PASSES` were made; else the
                variance of block means within units, pooled; else, with one block a unit, that of the differences
                between its mirrored halves. In the latter two, trials that something else on the machine delayed are
                told from noise (`outlier_share`) and treated as what they are: independent of each other, as large as
                they were seen, in an unknown direction (`intervals.quantile`).
new prompts     The units are a sample: their variance / units, plus, over launches, that of launches / launches;
                each part with its own t quantile (`intervals.half_width`).
"""

import math

import numpy as np

from results.effects import Effects, crossed, mean_of
from results.intervals import Part
from results.metrics import Floats, quantiles

MIN_PASSES = 5
"""Whole passes over the units from which their means are trusted alone: they allow for noise that units of one pass
share, at the price of few degrees of freedom."""
MIRRORED = 1.2
"""Noise that lasts from trial to trial is partly common to the two halves of a mirrored block, so their mean varies
more than their difference shows: 1.0 to 1.32 times, for AR(1) noise of any persistence and 2 to 10 arms. In between,
independent noise (1.0) is covered 96.8 %, the most stubborn 93.9 %."""
EQUAL = 1 / 5
"""Noise within units has at least this share of the degrees of freedom that equally noisy units would give it: one
disturbed block looks like a noisy unit, and would otherwise leave hardly any."""


def these_prompts(e: Effects) -> Part | None:
    """Variance of the log speed-up if these very units were measured again; None with a single visit to each."""
    if e.over_launches:
        return _part(e.crossed_launches.mean(axis=0))
    passes = crossed(e.blocks)
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


def outlier_share(e: Effects) -> float:
    """Share, in the variance of half the difference of mirrored halves, that single disturbed trials have: 0 to 1.

    That half difference is the plain arm's own, p, less the other arm's, a. Noise makes both of them large, were it
    that of a noisy unit; a disturbed trial only one. So the smaller tells the noise: for normal p and a of variance
    v each, the mean of min(p^2, a^2) is v (1 - 2 / pi), and one outlier hardly moves it (Andersen, Dobrev & Schaumburg
    2012, J. Econometrics 169:75, who find jumps in prices so). Where one arm is noisier than the other, both are first
    brought to the same median size.
    """
    p = (e.plain[..., 0] - e.plain[..., 1]) / 2
    both = (e.halves[..., 0] - e.halves[..., 1]) / 2
    seen = np.isfinite(both)
    p, both = p[seen], both[seen]
    a = p - both
    if not both.any():
        return 0.0
    (size_p,), (size_a,) = quantiles(np.abs(p), 0.5), quantiles(np.abs(a), 0.5)
    if not (size_p and size_a):
        return 0.0
    ratio = size_a / size_p
    common = np.minimum(p**2 * ratio, a**2 / ratio).mean() * math.pi / (math.pi - 2)
    return max(0.0, 1 - float(common * (1 / ratio + ratio) / (both**2).mean()))


def _within_units(e: Effects) -> Part | None:
    """Noise of the mean of all units, from what varies within each; every unit adds degrees of freedom.

    A unit with several blocks: their variance / blocks. With one: (difference of its halves)^2 / 4, times `MIRRORED`
    as far as it is noise, not outliers. A unit with a single visit adds no knowledge, and is taken to be as noisy as
    half a block.

    An outlier x moves the mean of the k blocks or halves that it lies in by x / k and is seen in their variance as
    (x / k)^2: its size is known, its sign is not. Each unit is taken to hold the common share of outliers.

    Units need not be equally noisy: the degrees of freedom are Welch's (1947, Biometrika 34) for a sum of unequal
    variances c with f degrees of freedom each, (sum c)^2 / sum(c^2 / (f + 2)) - 2, rounded, at most sum f and at least
    `EQUAL` of it. Only noise makes the variance uncertain: of the second sum, the outliers' share is left out.
    """
    share = outlier_share(e)
    allowance = share + MIRRORED * (1 - share)
    seen = np.isfinite(e.blocks)
    count = seen.sum(axis=1)
    spread = np.where(seen, (e.blocks - mean_of(e.blocks, axis=1)[:, None]) ** 2, 0).sum(axis=1)
    only = e.halves[np.arange(len(e.units)), seen.argmax(axis=1)]
    from_halves = allowance * (only[:, 0] - only[:, 1]) ** 2 / 4
    variance = np.where(count > 1, spread / np.maximum(count - 1, 1) / count, from_halves)
    known = np.isfinite(variance)
    if not known.any():
        return None
    variance, each = variance[known], np.maximum(count - 1, 1)[known]
    total = variance.sum() + 2 * variance.mean() * (~known).sum()
    share /= allowance
    fourth = (1 - share) * (variance**2 / (each + 2)).sum()
    welch = variance.sum() ** 2 / fourth - 2 if fourth > 0 else math.inf
    most = int(each.sum())
    df = most if welch >= most else max(round(welch), math.ceil(EQUAL * most))
    outliers = np.sqrt(share * variance) / len(e.units) if share else variance[:0]
    return Part(float(total / len(e.units) ** 2), df, tuple(outliers.tolist()))


def _interaction(layout: Floats) -> float:
    """What noise adds to the variance of a unit's mean over launches, from what neither unit nor launch explains.

    Mean square of the residuals of the two-way layout (units, launches), over launches; 0 with a single unit.
    """
    units, launches = layout.shape
    if units < 2:
        return 0.0
    rest = layout - layout.mean(axis=1, keepdims=True) - layout.mean(axis=0) + layout.mean()
    return float((rest**2).sum() / ((units - 1) * (launches - 1)) / launches)


def _part(means: Floats) -> Part:
    return Part(float(means.var(ddof=1) / len(means)), len(means) - 1)
