"""How much one run differs from one or several others, and what that is uncertain by (METHOD section 6).

Prompts.    Where at least half of the smaller run's units hold the same prompts, differences are taken unit by unit:
            mean d_p, variance / units. Otherwise each run's mean is taken with its own variance.
Runs.       From `FEWEST_RUNS` baselines on, how far their means lie apart shows what a further run would add. With m
            baselines of variance s^2 between their means, now - mean(baselines) varies by s^2 (1 + 1 / m), on m - 1
            degrees of freedom. Noise that is in both parts is taken out of the prompts' part, as over launches
            (`results.variance`): it is the residual of the two-way layout (units, baselines).
Acceptance. A ratio of sums r = A / D, linearised over prompts: a prompt's part in r is (A_p - r D_p) / D. The part in
            now - mean(baselines) is the difference of those, so that equal prompts cancel and others add:
            variance P / (P - 1) * sum of squares (Cochran 1977, section 6.3). Few prompts that agree do not make it
            zero: on top, one of each run's prompts is taken to come out anew, by r (1 - r) / D of its share, with half
            a draft accepted and half a one rejected in r.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from results.gating.observed import Drafts
from results.intervals import Part
from results.metrics import Floats

FEWEST_RUNS = 3
"""Baselines from which how much runs differ is estimated at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """now - mean(baselines), of a mean over units; or a mean alone."""

    effect: float
    now: float
    """The present run's mean over the units compared; the baselines' is `now - effect`."""
    units: int
    """Units in common where paired, else those of the smaller run."""
    paired: bool
    prompts: tuple[Part, ...]
    """What other prompts would change: shrinks with more units. Empty: too few units."""
    launches: tuple[Part, ...] = ()
    """What further launches within the runs would."""
    runs: Part | None = None
    """What a further run would; None with fewer than `FEWEST_RUNS` baselines."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of the variance; empty where some of it is not known."""
        if not self.prompts:
            return ()
        return (*self.prompts, *(self.launches if self.runs is None else (self.runs,)))

    def opposite(self) -> "Change":
        """The same with its sign turned."""
        return replace(self, effect=-self.effect, now=-self.now)


def alone(values: Mapping[str, float], launches: Part | None) -> Change | None:
    """A mean by itself; None without units."""
    if not values:
        return None
    logs = np.array([*values.values()])
    own = (launches,) if launches else ()
    mean = float(logs.mean())
    return Change(mean, mean, len(logs), False, _over(logs), own)


def change(
    now: Mapping[str, float], baselines: Sequence[Mapping[str, float]], launches: Sequence[Part | None] = ()
) -> Change | None:
    """Of logs by unit; None without a unit in some run.

    launches: what they add to the variance of each run's mean, now first; counted only where every run knows.
    """
    if not now or not baselines or not all(baselines):
        return None
    shared = [unit for unit in now if all(unit in one for one in baselines)]
    smaller = min(len(now), *(len(one) for one in baselines))
    paired = len(shared) >= 2 and 2 * len(shared) >= smaller
    known = [part for part in launches if part is not None]
    own = tuple(
        part._replace(variance=part.variance / (len(baselines) ** 2 if i else 1)) for i, part in enumerate(known)
    )
    if len(known) < 1 + len(baselines):  # a run with a single launch does not know how far launches move it
        own = ()
    if paired:
        layout = np.array([[one[unit] for one in baselines] for unit in shared])
        here = np.array([now[unit] for unit in shared])
        d = here - layout.mean(axis=1)
        runs = _between(layout.mean(axis=0))
        prompts = _over(d)
        if runs is not None:
            noise = _residual(layout) * (1 + 1 / len(baselines)) / len(shared)
            prompts = tuple(part._replace(variance=max(0.0, part.variance - noise)) for part in prompts)
        return Change(float(d.mean()), float(here.mean()), len(shared), True, prompts, own, runs)
    here, there = np.array([*now.values()]), [np.array([*one.values()]) for one in baselines]
    means = np.array([one.mean() for one in there])
    parts = [_over(one) for one in there]
    # Baselines may hold the same prompts: their mean is then no surer than one of them.
    both = (*_over(here), max((p[0] for p in parts), key=lambda p: p.variance)) if all(parts) and len(here) > 1 else ()
    return Change(float(here.mean() - means.mean()), float(here.mean()), smaller, False, both, own, _between(means))


def acceptance_change(now: Mapping[str, Drafts], baselines: Sequence[Mapping[str, Drafts]]) -> Change | None:
    """Of acceptance rates, as a difference; see the module. None where a run reveals no drafts."""
    if not now or not baselines or not all(baselines):
        return None
    rates = [rate(one) for one in (now, *baselines)]
    parts: dict[str, float] = {}
    for one, r, weight in zip((now, *baselines), rates, (1.0, *[-1 / len(baselines)] * len(baselines)), strict=True):
        total = sum(drafts.drafted for drafts in one.values())
        for prompt, drafts in one.items():
            parts[prompt] = parts.get(prompt, 0.0) + weight * (drafts.accepted - r * drafts.drafted) / total
    influence = np.array([*parts.values()])
    n = len(influence)
    anew = _anew(now) + sum(map(_anew, baselines)) / len(baselines) ** 2
    prompts = (Part(float(n / (n - 1) * (influence**2).sum()) + anew, n - 1),) if n > 1 else ()
    fewest = min(len(one) for one in (now, *baselines))
    paired = all(2 * len(one.keys() & now.keys()) >= fewest for one in baselines)
    return Change(rates[0] - sum(rates[1:]) / len(baselines), rates[0], fewest, paired, prompts)


def _anew(drafts: Mapping[str, Drafts]) -> float:
    """Variance of a run's rate if the drafts of one of its prompts were drawn again."""
    accepted, drafted = map(sum, zip(*drafts.values(), strict=True))
    r = (accepted + 0.5) / (drafted + 1)
    return float(r * (1 - r) / drafted / len(drafts))


def rate(drafts: Mapping[str, Drafts]) -> float:
    """accepted / drafted."""
    accepted, drafted = map(sum, zip(*drafts.values(), strict=True))
    return float(accepted / drafted)


def _over(values: Floats) -> tuple[Part, ...]:
    """The variance of a mean over units; empty with a single one."""
    n = len(values)
    return (Part(float(values.var(ddof=1)) / n, n - 1),) if n > 1 else ()


def _between(means: Floats) -> Part | None:
    m = len(means)
    return Part(float(means.var(ddof=1)) * (1 + 1 / m), m - 1) if m >= FEWEST_RUNS else None


def _residual(layout: Floats) -> float:
    """Mean square of what neither unit nor run explains."""
    units, runs = layout.shape
    rest = layout - layout.mean(axis=1, keepdims=True) - layout.mean(axis=0) + layout.mean()
    return float((rest**2).sum() / ((units - 1) * (runs - 1)))
