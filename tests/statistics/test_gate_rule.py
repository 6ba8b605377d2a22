"""The gate's false-fail rate with the truth exactly at the limit, where it is largest."""

import math

import pytest

from tests.statistics import study_gate as study
from tests.statistics.study_gate import GATES, LEVEL, RUNS, Gate

named = pytest.mark.parametrize("design", GATES, ids=lambda design: design.name)
ERROR = math.sqrt(LEVEL * (1 - LEVEL) / RUNS)
"""Standard error of a simulated rate."""


@named
def test_at_most_the_stated_level_fails_with_the_truth_at_the_limit(design: Gate) -> None:
    # A single look spends the whole level, and then only the simulation's own error may take it further.
    slack = 2 * ERROR if design.looks * design.cells == 1 else 0.0
    assert study.rates(design).spent <= LEVEL + slack


def test_looks_and_cells_that_cost_nothing_multiply_the_rate() -> None:
    ten = next(design for design in GATES if design.looks == 10)
    assert 0.09 <= study.rates(ten).free <= 0.12
    assert study.rates(GATES[-1]).free >= 0.15


@pytest.mark.parametrize("design", [d for d in GATES if d.looks > 1], ids=lambda design: design.name)
def test_spending_late_finds_a_regression_at_least_as_often_as_equal_shares(design: Gate) -> None:
    found = study.rates(design)
    assert found.found >= found.found_even


def test_a_regression_of_two_percent_is_found_with_60_prompts() -> None:
    assert study.rates(GATES[1]).found >= 0.8
