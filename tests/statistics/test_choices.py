"""Picking the best arm, stopping early and the order of the arms: what they do to coverage, and what undoes it."""

import pytest

from tests.statistics import study_choices as study
from tests.statistics.study_choices import BEST_OF, STOPPING, Stopping


@pytest.mark.parametrize("design", BEST_OF, ids=lambda design: design.name)
def test_adjusted_intervals_hold_for_all_arms_at_once_and_so_for_the_best(design: study.Design) -> None:
    found = study.best_of(design)
    assert 0.93 <= found.all_arms <= 0.98
    assert found.adjusted >= 0.95


def test_without_adjustment_the_chosen_best_is_covered_too_rarely() -> None:
    alike = [study.best_of(design) for design in BEST_OF if design.speedups == study.TEN_ALIKE]
    assert max(found.plain for found in alike) <= 0.93


OURS = pytest.mark.parametrize("rule", [r for r in STOPPING if not r.normal], ids=lambda rule: rule.name)


@OURS
def test_stopping_on_precision_keeps_the_coverage(rule: Stopping) -> None:
    found = study.stopped(rule)
    assert rule.least <= found.blocks < rule.units * rule.passes
    assert 0.93 <= found.these <= 0.97
    assert 0.93 <= found.new <= 0.97
    assert found.without - found.these <= 0.02


def test_with_the_normal_quantile_stopping_from_2_units_on_would_spoil_it() -> None:
    assert study.stopped(next(rule for rule in STOPPING if rule.normal)).these <= 0.85


def test_an_arm_without_effect_is_even_more_rarely_called_distinguishable() -> None:
    assert study.called_distinguishable() <= 0.03


@pytest.mark.parametrize("drift", study.DRIFTS)
def test_mirrored_blocks_do_not_mind_drift(drift: float) -> None:
    found = study.ordered(mirrored=True, drift=drift)
    assert found.error < 0.004
    assert 0.93 <= found.these <= 0.97
    assert 0.93 <= found.new <= 0.97


def test_arms_one_after_the_other_are_wrong_by_half_the_drift_and_their_intervals_do_not_say_so() -> None:
    still, drifting = (study.ordered(mirrored=False, drift=drift) for drift in (0.0, 0.06))
    assert drifting.error == pytest.approx(0.03, abs=0.003)
    assert drifting.these < 0.05
    assert drifting.new < 0.90
    # Even without drift: noise that lasts is shared by neighbours in time, which here are the visits of one arm.
    assert still.these < 0.7
