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
    few = design.baselines == 3 or design.launches > 1  # two degrees of freedom
    assert found.failed >= (0 if few and design.cells > 1 else 0.85 if few else 0.99)
    assert found.passed == 0


@named
def test_at_the_limit_most_are_inconclusive(design: Gate) -> None:
    assert rates(design, LIMIT).inconclusive >= 0.6
    assert rates(design, 0.05).passed <= 0.01


@named
def test_what_is_no_slower_does_not_fail(design: Gate) -> None:
    assert rates(design, 0.0).failed <= 0.005


def test_more_baselines_let_more_pass() -> None:
    named = {design.name: rates(design, 0.0).passed for design in GATES}
    three, five, ten = (named[f"{n} baselines, runs differ"] for n in (3, 5, 10))
    assert three < five < ten < named["1 baseline"]
    assert three < named["1 baseline, 3 launches in each, runs differ"]
