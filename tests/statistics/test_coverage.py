"""Do the intervals cover what they name, as often as they say? Simulated runs with known truth (`support.chain`).

Runs are few enough for seconds, so that a coverage is known to one or two in a hundred; the tolerances allow for it.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from support.chain import Machine, Simulated, simulate

from results import selection, speedup
from results.intervals import t_quantile
from results.verdicts import Interval

RUNS = 300
LAUNCHES = Machine(launches=0.03)
AT_LEAST, AT_MOST = 0.93, 0.985
"""Nominal 0.95. Above is only wasteful; outliers, which blow up variances, take some intervals there."""
EQUAL = simulate(runs=RUNS, units=20, machine=Machine(prompts=0, prompts_by_arm=0.05), speedups=(1.0, *[1.5] * 9))

DESIGNS = {
    "20 prompts once": simulate(runs=RUNS, units=20, seed=0),
    "8 prompts once": simulate(runs=RUNS, units=8, seed=1),
    "20 prompts twice": simulate(runs=RUNS, units=20, passes=2, seed=2),
    "8 prompts five times": simulate(runs=RUNS, units=8, passes=5, seed=3),
    "20 prompts in 3 launches": simulate(runs=RUNS, units=20, launches=3, machine=LAUNCHES, seed=4),
    "without outliers": simulate(runs=RUNS, units=20, machine=Machine(outliers=0), seed=5),
    "noise that lasts": simulate(runs=RUNS, units=20, machine=Machine(autocorrelation=0.9), seed=6),
    "slowing by half": simulate(runs=RUNS, units=20, machine=Machine(drift=0.5), seed=7),
}


def covers(interval: Interval | None, log_truth: float) -> bool:
    assert interval is not None
    return interval.low <= math.exp(log_truth) <= interval.high


def judged(simulated: Simulated) -> Iterator[tuple[int, int, Interval | None, Interval | None]]:
    """(run, arm, interval on these prompts, on new ones)."""
    runs, arms = simulated.halves.shape[:2]
    for run in range(runs):
        for arm in range(arms):
            yield run, arm, *speedup.intervals(simulated.effects(run, arm), 0.95)


@pytest.mark.parametrize("design", DESIGNS)
def test_both_intervals_cover_what_they_name(design: str) -> None:
    simulated = DESIGNS[design]
    found = [(run, arm, these, new) for run, arm, these, new in judged(simulated) if arm > 0]
    these = np.mean([covers(interval, simulated.of_units[run, arm].mean()) for run, arm, interval, _ in found])
    new = np.mean([covers(interval, simulated.of_arms[arm]) for _, arm, _, interval in found])
    assert AT_LEAST <= these <= AT_MOST
    # All arms see the same prompts: 300 runs are 300 draws of them, whatever the number of arms.
    assert AT_LEAST - 0.015 <= new <= AT_MOST


def test_the_a_a_arm_is_rarely_called_different() -> None:
    certificates = [
        speedup.intervals(simulated.effects(run, 0), 0.95)[1] for simulated in DESIGNS.values() for run in range(RUNS)
    ]
    assert np.mean([not covers(aa, 0.0) for aa in certificates]) <= 0.05


def test_an_arm_without_effect_is_even_more_rarely_called_distinguishable() -> None:
    nothing = simulate(runs=2 * RUNS, units=20, speedups=(1.0, 1.0))
    called = [
        speedup.distinguishable(*(speedup.intervals(nothing.effects(run, arm), 0.95)[1] for arm in (1, 0)))
        for run in range(2 * RUNS)
    ]
    assert np.mean(called) <= 0.03


def test_two_launches_cover_new_prompts_where_a_single_df_would_not() -> None:
    # Launches vary as much as prompts do: Satterthwaite's df for the sum covers 88 % here.
    machine = Machine(prompts=0.02, prompts_by_arm=0.02, launches=0.03)
    simulated = simulate(runs=RUNS, units=20, launches=2, machine=machine, speedups=(1.0, 1.5, 1.5))
    covered = [covers(new, simulated.of_arms[arm]) for _, arm, _, new in judged(simulated) if arm > 0]
    assert np.mean(covered) >= AT_LEAST


@pytest.mark.parametrize("simulated", [DESIGNS["20 prompts once"], EQUAL], ids=["one arm is best", "all are alike"])
def test_the_chosen_best_is_covered_by_its_adjusted_interval(simulated: Simulated) -> None:
    covered = []
    for run in range(RUNS):
        arms = {arm: simulated.effects(run, arm) for arm in range(1, simulated.halves.shape[1])}
        best = max(arms, key=lambda arm: speedup.point(arms[arm]))
        covered.append(covers(selection.adjusted(arms, 0.95)[best], simulated.of_arms[best]))
    assert np.mean(covered) >= 0.94


def test_without_adjustment_the_chosen_best_is_covered_too_rarely() -> None:
    covered = []
    for run in range(RUNS):
        arms = [EQUAL.effects(run, arm) for arm in range(1, EQUAL.halves.shape[1])]
        best = max(range(len(arms)), key=lambda arm: speedup.point(arms[arm]))
        covered.append(covers(speedup.intervals(arms[best], 0.95)[1], math.log(1.5)))
    assert np.mean(covered) <= 0.88


def test_mirrored_blocks_are_better_than_arms_one_after_the_other() -> None:
    drifting = replace(Machine(outliers=0, wave=0), drift=0.06)
    error, covered = {}, {}
    for mirrored in (True, False):
        simulated = simulate(runs=RUNS, units=20, machine=drifting, speedups=(1.0, 1.5), mirrored=mirrored)
        points = [speedup.point(simulated.effects(run, 1)) for run in range(RUNS)]
        error[mirrored] = float(np.sqrt(np.mean((points - simulated.of_units[:, 1].mean(axis=1)) ** 2)))
        these = [(run, found) for run, arm, found, _ in judged(simulated) if arm == 1]
        covered[mirrored] = np.mean([covers(found, simulated.of_units[run, 1].mean()) for run, found in these])
    assert error[True] < 0.005
    assert error[False] > 0.015
    assert covered[False] < 0.5
    assert covered[True] >= AT_LEAST


def test_stopping_on_precision_from_20_units_on_keeps_the_coverage() -> None:
    most = 60
    simulated = simulate(runs=RUNS, units=most, speedups=(1.0, 1.5, 1.8), seed=11)
    covered, stopped = [], []
    for run in range(RUNS):
        whole = [simulated.effects(run, arm) for arm in range(3)]
        for units in range(20, most + 1, 2):
            arms = [replace(e, units=e.units[:units], halves=e.halves[:units]) for e in whole]
            reached = speedup.precision_of(arms).half_width
            if reached is not None and reached <= 0.015:
                break
        stopped.append(units)
        for arm in (1, 2):
            found, _ = speedup.intervals(arms[arm], 0.95)
            covered.append(covers(found, simulated.of_units[run, arm, :units].mean()))
    assert 20 < np.mean(stopped) < most
    assert np.mean(covered) >= AT_LEAST


def test_nominal_levels_other_than_95_percent_hold_too() -> None:
    simulated = DESIGNS["20 prompts twice"]
    for confidence in (0.8, 0.99):
        covered = [
            covers(speedup.intervals(simulated.effects(run, 3), confidence)[0], simulated.of_units[run, 3].mean())
            for run in range(RUNS)
        ]
        assert np.mean(covered) == pytest.approx(confidence, abs=0.06 if confidence < 0.9 else 0.02)
    assert t_quantile(19, 0.8) < t_quantile(19, 0.99)
