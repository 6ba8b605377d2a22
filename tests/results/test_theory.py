"""Expected speed-up and the loss waterfall, against figures worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from results.columns import ABSENT, Rounds
from results.expected import StepCosts, Widening
from results.metrics import medians_by
from results.passes import medians, widening
from results.theory import leviathan, theory, waterfall

MS = 1_000_000
COSTS = StepCosts(
    target_pass_1_ms=9.0,
    host_1_ms=1.0,
    target_pass_ms=10.0,
    draft_step_ms=1.0,
    host_ms=1.5,
    instrumented_over_headline=1.01,
)


def rounds(k: int, *times: tuple[int, int, int]) -> Rounds:
    """Complete rounds that took (draft, verify, total) nanoseconds."""
    n = len(times)
    draft, verify, total = np.array(times, dtype=np.int64).reshape(-1, 3).T
    same = np.full(n, k)
    return Rounds(np.zeros(n, int), same, same, same + 1, draft, verify, total, np.arange(n), np.zeros(n, bool))


def test_leviathans_expectation() -> None:
    # (1 - 0.8^5) / (0.2 * (4 * 0.1 + 1))
    assert leviathan(0.8, 4, 0.1) == pytest.approx(0.67232 / 0.28)


def test_a_drafter_that_is_always_right_brings_k_plus_one() -> None:
    assert leviathan(1.0, 4, 0.25) == pytest.approx(5 / 2)


def test_the_waterfall_goes_from_the_acceptance_length_to_the_measurement() -> None:
    steps = waterfall(3.0, 2, COSTS, measured=2.0)
    assert [step.speedup for step in steps] == pytest.approx([3.0, 30 / 12, 30 / 13, 30 / 13.5, 2.0])
    assert [step.label for step in steps] == [
        "ideal: acceptance length",
        "draft cost",
        "wider verification",
        "host overhead",
        "unexplained residual",
    ]


def test_the_prediction_is_the_generalised_formula() -> None:
    told = theory(alpha=0.8, k=2, length=3.0, costs=COSTS, measured=2.0)
    assert told is not None
    assert told.predicted == pytest.approx(3.0 * (9 + 1) / (2 * 1 + 10 + 1.5))
    assert told.leviathan == pytest.approx(leviathan(0.8, 2, 1 / 9))


def test_alpha_does_not_predict_the_draft_length_it_was_fitted_at() -> None:
    told = theory(alpha=0.8, k=1, length=1.8, costs=COSTS, measured=1.5)
    assert told is not None
    assert told.alpha == 0.8
    assert told.leviathan is None


def test_without_costs_only_alpha_is_told() -> None:
    told = theory(alpha=0.8, k=4, length=3.0, costs=None, measured=2.0)
    assert told is not None
    assert (told.leviathan, told.predicted, told.waterfall) == (None, None, ())
    assert theory(alpha=None, k=4, length=3.0, costs=None, measured=2.0) is None


def test_costs_are_medians() -> None:
    timed = rounds(2, (2 * MS, 10 * MS, 13 * MS), (4 * MS, 11 * MS, 17 * MS), (2 * MS, 12 * MS, 15 * MS))
    steps = [np.array([[9 * MS, 10 * MS], [9 * MS, 12 * MS]]), np.array([[8 * MS, 9 * MS]])]
    costs = medians(timed, steps, 1.02)
    assert costs == StepCosts(9.0, 1.0, 11.0, 1.0, 1.0, 1.02)


def test_a_verification_is_set_beside_plain_passes_of_the_same_prompts() -> None:
    wide = medians_by(np.array([0, 2, 0, 1, 0]), np.array([50, 7, 11, 18, 12]))  # prompt 2 has no plain pass
    plain = medians_by(np.array([1, 0, 0, 0, 1, 3]), np.array([9, 10, 10, 1, 11, 1]))
    assert (wide, plain) == ({0: 12, 1: 18, 2: 7}, {0: 10, 1: 10, 3: 1})
    found = widening(wide, plain, 0.95, experts=2.5)
    logs = np.log([1.2, 1.8])
    half = stats.t.ppf(0.975, 1) * logs.std(ddof=1) / 2**0.5
    assert found is not None and found.low is not None and found.high is not None
    assert (found.ratio, found.low, found.high) == pytest.approx(
        (np.exp(logs.mean()), np.exp(logs.mean() - half), np.exp(logs.mean() + half)), rel=1e-6
    )
    assert (found.units, found.experts) == (2, 2.5)
    assert widening({0: wide[0]}, plain, 0.95, None) == Widening(pytest.approx(1.2), None, None, 1, None)
    assert widening({2: wide[2]}, plain, 0.95, None) is None


def test_medians_by_key_are_those_of_each_key_alone() -> None:
    rng = np.random.default_rng(3)
    keys, values = rng.integers(-2, 9, 200), rng.normal(size=200)
    assert medians_by(keys, values) == {key: np.median(values[keys == key]) for key in np.unique(keys).tolist()}
    assert medians_by(keys[:0], values[:0]) == {}


def test_times_that_are_not_revealed_give_no_costs() -> None:
    steps = [np.array([[9 * MS, 10 * MS]])]
    assert medians(rounds(2, (ABSENT, ABSENT, ABSENT)), steps, None) is None
    assert medians(rounds(2, (1, 2, 3)), [], None) is None
