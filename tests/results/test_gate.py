"""The gate's rule, against figures worked out by hand."""

import math

import pytest

from results.gating.gate import Decision, Declared, rule, together
from results.intervals import Part, t_quantile

STEADY = [Part(0.01**2, 9)]
"""A standard error of 1 % on 9 degrees of freedom: at level 0.025 the interval reaches 2.262 %."""


def test_the_interval_is_the_effect_and_its_quantile() -> None:
    found = rule(math.log(1.5), STEADY, 1.2, Declared())
    assert found.interval is not None
    assert found.level == 0.025
    assert math.log(found.interval.high / 1.5) == pytest.approx(2.262157 * 0.01, rel=1e-5)
    assert math.log(1.5 / found.interval.low) == pytest.approx(2.262157 * 0.01, rel=1e-5)


@pytest.mark.parametrize(
    ("away", "decision"),
    [(-0.0230, "fail"), (-0.0225, "inconclusive"), (0.0, "inconclusive"), (0.0225, "inconclusive"), (0.0230, "pass")],
)
def test_only_an_interval_wholly_on_one_side_of_the_limit_decides(away: float, decision: Decision) -> None:
    assert rule(math.log(0.95) + away, STEADY, 0.95, Declared()).decision == decision


def test_an_effect_without_any_noise_at_the_limit_is_inconclusive() -> None:
    assert rule(0.0, [Part(0.0, 9)], 1.0, Declared()).decision == "inconclusive"


def test_an_effect_whose_noise_is_unknown_is_inconclusive() -> None:
    found = rule(-5.0, [], 1.0, Declared())
    assert (found.decision, found.interval) == ("inconclusive", None)


def test_several_parts_of_variance_have_a_quantile_each() -> None:
    parts = [Part(0.0003, 19), Part(0.0001, 2)]
    found = rule(0.0, parts, 1.0, Declared())
    assert found.interval is not None
    reach = math.sqrt(0.0003 * t_quantile(19, 0.95) ** 2 + 0.0001 * t_quantile(2, 0.95) ** 2)
    assert math.log(found.interval.high) == pytest.approx(reach)


def test_the_level_is_spent_late() -> None:
    # 1/27, 7/27 and 19/27 of it.
    declared = Declared(level=0.027, looks=3)
    assert [declared.spent(look) for look in (1, 2, 3)] == pytest.approx([0.001, 0.007, 0.019])


@pytest.mark.parametrize(("looks", "cells"), [(1, 1), (1, 6), (10, 1), (5, 12)])
def test_all_looks_and_cells_together_spend_the_level(looks: int, cells: int) -> None:
    declared = Declared(level=0.05, looks=looks, cells=cells)
    assert cells * sum(declared.spent(look) for look in range(1, looks + 1)) == pytest.approx(0.05)


def test_more_declared_looks_or_cells_make_a_look_harder_to_fail() -> None:
    seen = math.log(0.95) - 0.025
    assert rule(seen, STEADY, 0.95, Declared()).decision == "fail"
    assert rule(seen, STEADY, 0.95, Declared(cells=6)).decision == "inconclusive"
    assert rule(seen, STEADY, 0.95, Declared(looks=4), look=2).decision == "inconclusive"


def test_a_first_of_many_looks_still_fails_a_big_regression() -> None:
    # 0.025 / 1000 at 9 degrees of freedom: a quantile of 7.1.
    declared = Declared(looks=10)
    assert rule(math.log(0.95) - 0.08, STEADY, 0.95, declared).decision == "fail"
    assert rule(math.log(0.95) - 0.06, STEADY, 0.95, declared).decision == "inconclusive"


def test_a_look_that_may_spend_almost_nothing_has_finite_ends() -> None:
    found = rule(0.0, [Part(1.0, 1)], 1.0, Declared(level=1e-5, looks=10, cells=10))
    assert found.interval is not None
    assert math.isfinite(found.interval.high)


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (["pass", "pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["pass", "inconclusive", "fail"], "fail"),
        ([], "inconclusive"),
    ],
)
def test_cells_are_judged_together(decisions: list[Decision], expected: Decision) -> None:
    assert together(decisions) == expected


@pytest.mark.parametrize(
    "wrong", [{"level": 0.0}, {"level": 0.5}, {"level": 1e-11}, {"looks": 0}, {"looks": 1000}, {"cells": 0}]
)
def test_a_declaration_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Declared(**wrong)


def test_a_look_that_was_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="--look 3: it is from 1 to 2"):
        rule(0.0, STEADY, 1.0, Declared(looks=2), look=3)
    with pytest.raises(ValueError, match="not a ratio"):
        rule(0.0, STEADY, 0.0, Declared())
