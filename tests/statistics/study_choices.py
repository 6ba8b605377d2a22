"""What is done with intervals: picking the best of several arms, stopping once they are narrow, ordering the arms."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from results import selection, speedup
from results.speedup import Effects
from tests.statistics.designs import SEVEN_LENGTHS, USUAL, Design
from tests.statistics.study_intervals import covers
from tests.support.chain import simulate

RUNS = 2_000
RUNS_OF_MANY_ARMS = 1_000
RUNS_THAT_GROW = 1_500
NORMAL = 1.96

# ------------------------------------------------------------------------------------------- the best of several

APART = replace(USUAL, prompts=0.0, prompts_by_arm=0.05)
"""Arms vary from prompt to prompt each on its own: picking the largest then flatters most."""
TEN_ALIKE = (1.0, *[1.5] * 9)
BEST_OF = (
    Design("seven draft lengths, 20 prompts", speedups=SEVEN_LENGTHS),
    Design("seven draft lengths, 5 prompts", units=5, speedups=SEVEN_LENGTHS),
    Design("nine arms all alike, 20 prompts", machine=APART, speedups=TEN_ALIKE),
    Design("nine arms all alike, 5 prompts", units=5, machine=APART, speedups=TEN_ALIKE),
    Design("nine arms all alike, 3 launches", launches=3, machine=replace(APART, launches=0.03), speedups=TEN_ALIKE),
)


class BestOf(NamedTuple):
    """Shares of runs in which the truth lies in the interval."""

    plain: float
    """That of the best arm, in its interval as if it had been the only arm."""
    adjusted: float
    """That of the best arm, in its adjusted interval."""
    all_arms: float
    """Those of all arms at once, in their adjusted intervals: what these are made for."""


@lru_cache
def best_of(design: Design) -> BestOf:
    """The arm with the largest measured speed-up is picked."""
    simulated = design.simulated(RUNS_OF_MANY_ARMS, seed=100 + BEST_OF.index(design))
    found = []
    for run in range(RUNS_OF_MANY_ARMS):
        arms = {arm: simulated.effects(run, arm) for arm in range(1, len(design.speedups))}
        best = max(arms, key=lambda arm: speedup.point(arms[arm]))
        adjusted = selection.adjusted(arms, 0.95)
        held = [covers(adjusted[arm], simulated.of_arms[arm]) for arm in arms]
        alone = speedup.intervals(arms[best], 0.95)[1]
        found.append((covers(alone, simulated.of_arms[best]), held[best - 1], all(held)))
    return BestOf(*np.mean(found, axis=0))


# ------------------------------------------------------------------------------------------------ the stop rule


@dataclass(frozen=True)
class Stopping:
    """A group is measured block by block until its precision is reached, or all is measured."""

    name: str
    precision: float
    units: int
    passes: int = 1
    least: int = 20
    """Units before which it never stops."""
    normal: bool = False
    """With the normal quantile in place of Student's, which is no method of ours."""


STOPPING = (
    Stopping("±0.5 %, up to 60 prompts", 0.005, units=60),
    Stopping("±0.45 %, 24 prompts in up to 4 passes", 0.0045, units=24, passes=4),
    Stopping("±1.2 %, up to 60 prompts, from 2 on", 0.012, units=60, least=2),
    Stopping("±1.2 %, from 2 on, normal quantile", 0.012, units=60, least=2, normal=True),
)


class Stopped(NamedTuple):
    """Over runs."""

    blocks: float
    """Median of blocks measured."""
    these: float
    """Coverage of the interval on these prompts, of those measured by then."""
    new: float
    """Coverage of the interval on new prompts."""
    without: float
    """Coverage on these prompts had that median been laid down before."""


@lru_cache
def stopped(rule: Stopping) -> Stopped:
    """The control arm and one draft length, the fewest that a group has; the intervals of the latter are judged."""
    simulated = simulate(
        runs=RUNS_THAT_GROW,
        units=rule.units,
        passes=rule.passes,
        speedups=(1.0, 1.5),
        seed=200 + STOPPING.index(rule),
    )
    whole = rule.units * rule.passes

    def reach(effects: Effects) -> float:
        part = speedup.these_prompts(effects)
        return NORMAL * math.sqrt(part.variance) if part else math.inf

    def reached(run: int, blocks: int) -> bool:
        def narrow(*arms: int) -> bool:
            effects = [simulated.effects(run, arm, blocks) for arm in arms]
            if rule.normal:
                return max(reach(e) for e in effects) <= rule.precision
            known = speedup.precision_of(effects)
            return known.half_width is not None and known.half_width <= rule.precision

        return narrow(1) and narrow(1, 0)  # one arm alone first: it settles most looks, in half the time

    def holds(run: int, blocks: int) -> tuple[bool, bool]:
        effects = simulated.effects(run, 1, blocks)
        these, new = speedup.intervals(effects, 0.95)
        truth = simulated.of_units[run, 1, : len(effects.units)].mean()
        held = abs(speedup.point(effects) - truth) <= reach(effects) if rule.normal else covers(these, truth)
        return held, covers(new, simulated.of_arms[1])

    ends = [next((b for b in range(rule.least, whole) if reached(run, b)), whole) for run in range(RUNS_THAT_GROW)]
    median = int(np.median(ends))
    these, new = np.mean([holds(run, blocks) for run, blocks in enumerate(ends)], axis=0)
    without, _ = np.mean([holds(run, median) for run in range(RUNS_THAT_GROW)], axis=0)
    return Stopped(median, these, new, without)


# ------------------------------------------------------------------------------------------------ nothing to find


@lru_cache
def called_distinguishable() -> float:
    """How often an arm that is exactly as fast as the plain one is called distinguishable."""
    simulated = simulate(runs=RUNS, units=20, speedups=(1.0, 1.0), seed=250)
    news = [[speedup.intervals(simulated.effects(run, arm), 0.95)[1] for arm in (1, 0)] for run in range(RUNS)]
    return float(np.mean([bool(speedup.distinguishable(judged, aa)) for judged, aa in news]))


# --------------------------------------------------------------------------------------------- order of the arms

DRIFTS = (0.0, 0.02, 0.06, 0.20)


class Ordered(NamedTuple):
    """Over runs."""

    error: float
    """Root mean square error of the speed-up of these prompts, relative."""
    these: float
    """Coverage on these prompts."""
    new: float
    """Coverage on new prompts."""


@lru_cache
def ordered(mirrored: bool, drift: float) -> Ordered:
    """Plain and one draft length, 20 prompts."""
    machine = replace(USUAL, drift=drift, wave=0.0)
    simulated = simulate(runs=RUNS, units=20, machine=machine, speedups=(1.5,), mirrored=mirrored, seed=300)
    errors, held = [], []
    for run in range(RUNS):
        effects, truth = simulated.effects(run, 0), simulated.of_units[run, 0].mean()
        these, new = speedup.intervals(effects, 0.95)
        errors.append(np.expm1(speedup.point(effects) - truth))
        held.append((covers(these, truth), covers(new, simulated.of_arms[0])))
    return Ordered(float(np.sqrt(np.mean(np.square(errors)))), *np.mean(held, axis=0))
