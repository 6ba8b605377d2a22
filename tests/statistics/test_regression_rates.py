"""Slow-downs of known size: what must not fail does not, what must be found is."""

import pytest

from tests.statistics.study_regression import GATES, LIMIT, SLOWDOWNS, Gate, rates, too_many

named = pytest.mark.parametrize("design", GATES, ids=lambda design: design.name)
UNKNOWING = "1 baseline, runs differ"
"""Its interval says that it knows nothing of how runs differ."""


@named
def test_at_most_the_stated_level_fails_within_the_limit(design: Gate) -> None:
    found = [too_many(rates(design, slowdown), slowdown) for slowdown in SLOWDOWNS if slowdown <= LIMIT]
    assert found == [False, False, design.name == UNKNOWING]


@named
def test_a_slow_down_of_a_tenth_is_found(design: Gate) -> None:
    found = rates(design, 0.10)
    assert found.failed >= (0.85 if design.baselines == 3 else 0.99)
    assert found.passed == 0


@named
def test_at_the_limit_most_are_inconclusive(design: Gate) -> None:
    assert rates(design, LIMIT).inconclusive >= 0.6
    assert rates(design, 0.05).passed <= 0.01


@named
def test_no_slow_down_passes_oftener_the_more_is_known(design: Gate) -> None:
    one, three, five, ten = (rates(GATES[i], 0.0).passed for i in (2, 3, 4, 5))
    assert three < five < ten < one
    assert rates(design, 0.0).failed <= 0.005
