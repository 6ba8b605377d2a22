"""Do the intervals cover what they name, as often as they say? Simulated runs with known truth (`support.chain`)."""

import math

import numpy as np
import pytest

from results import speedup
from results.intervals import t_quantile
from results.variance import MIRRORED
from tests.statistics.designs import BAND, DESIGNS, RUNS, Design
from tests.statistics.study_intervals import covers, figures

named = pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)


@named
def test_the_interval_on_these_prompts_covers_their_true_speed_up(design: Design) -> None:
    assert design.these[0] <= figures(design).these <= design.these[1]


@named
def test_the_interval_on_new_prompts_covers_the_true_speed_up_of_all(design: Design) -> None:
    assert design.new[0] <= figures(design).new <= design.new[1]


def test_most_designs_need_no_wider_band() -> None:
    assert sum(design.weak for design in DESIGNS) <= len(DESIGNS) / 3
    assert not any(design.weak for design in DESIGNS[:7])


@pytest.mark.parametrize("design", [d for d in DESIGNS if d.weak], ids=lambda design: design.name)
def test_a_design_with_a_wider_band_needs_it(design: Design) -> None:
    found = figures(design)
    inside = all(BAND[0] <= covered <= BAND[1] for covered in (found.these, found.new))
    assert not inside, "it holds: the table must not call it weak"


def test_the_a_a_arm_is_called_different_in_at_most_5_percent() -> None:
    """But for arms of unequal noise that lasts: neighbouring prompts then share what cancels everywhere else."""
    called = {design: figures(design).called for design in DESIGNS}
    assert np.mean(list(called.values())) <= 0.05
    above = [d for d, share in called.items() if share > 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)]
    assert [d.machine.plain_noise for d in above] == [1 / 3]
    assert max(called.values()) <= 0.07


def test_intervals_are_not_bought_with_width() -> None:
    """Beside the narrowest interval there could be, of known noise: 1.96 standard errors."""
    simulated = DESIGNS[0].simulated()
    arm = simulated.halves.shape[1] - 1
    errors = simulated.halves[:, arm].mean(axis=(1, 2, 3)) - simulated.of_units[:, arm].mean(axis=1)
    assert figures(DESIGNS[0]).these_width <= 1.10 * 1.96 * errors.std()


def test_nominal_levels_other_than_95_percent_hold_too() -> None:
    simulated = DESIGNS[4].simulated(runs=1_000, seed=60)
    truths = simulated.of_units[:, 2].mean(axis=1)
    for confidence, slack in ((0.8, 0.03), (0.99, 0.01)):
        held = [
            covers(speedup.intervals(simulated.effects(run, 2), confidence)[0], truth)
            for run, truth in enumerate(truths)
        ]
        assert np.mean(held) == pytest.approx(confidence, abs=slack)


def test_a_smaller_df_for_all_parts_would_waste_and_satterthwaites_would_miss() -> None:
    """Two launches that differ more than the prompts: why each part of a variance has a quantile of its own."""
    design = next(d for d in DESIGNS if d.name.startswith("2 launches that differ"))
    simulated = design.simulated(runs=1_000, seed=61)
    satterthwaite, widths = [], []
    for run in range(1_000):
        e = simulated.effects(run, 2)
        parts = speedup.new_prompts(e)
        total = sum(part.variance for part in parts)
        df = total**2 / sum(part.variance**2 / part.df for part in parts)
        reach = t_quantile(max(1, round(df)), 0.95) * math.sqrt(total)
        satterthwaite.append(abs(speedup.point(e) - simulated.of_arms[2]) <= reach)
        found = speedup.interval(e, parts, [t_quantile(part.df, 0.95) for part in parts], 0.95)
        assert found is not None
        widths.append(math.log(found.high / found.low) / 2 / (t_quantile(1, 0.95) * math.sqrt(total)))
    assert np.mean(satterthwaite) < 0.93
    assert np.median(widths) < 0.98


@pytest.mark.parametrize("persistence", [0.0, 0.3, 0.6, 0.7, 0.8, 0.9, 0.99])
@pytest.mark.parametrize("arms", [2, 3, 4, 6, 10])
def test_the_allowance_for_mirrored_halves_lies_within_what_noise_that_lasts_can_do(
    arms: int, persistence: float
) -> None:
    """Exactly, for AR(1) noise: variance of a block's mean, over that of half the difference of its halves."""
    trials = 2 * arms
    covariance = persistence ** np.abs(np.subtract.outer(np.arange(trials), np.arange(trials)))
    mean = difference = 0.0
    for plain in range(arms):
        for arm in set(range(arms)) - {plain}:
            first = np.eye(trials)[plain] - np.eye(trials)[arm]
            for sign in (1, -1):
                weights = (first + sign * first[::-1]) / 2
                variance = weights @ covariance @ weights
                mean, difference = (mean + variance, difference) if sign == 1 else (mean, difference + variance)
    assert 1.0 - 1e-9 <= mean / difference <= 1.32
    coverage = math.erf(t_quantile(1e5, 0.95) * math.sqrt(MIRRORED / (mean / difference)) / math.sqrt(2))
    assert BAND[0] <= coverage <= BAND[1]
