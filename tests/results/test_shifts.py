"""Changes of level: found where they are, and no oftener than the level says where there are none."""

import numpy as np
import pytest

from results.trends.shifts import can_be_searched, shifts

LEVEL = 0.05


def noise(seed: int, *levels: tuple[float, int], size: float = 0.005) -> list[float]:
    """Runs around each (level, number of runs)."""
    rng = np.random.default_rng(seed)
    return [float(level + rng.normal(0, size)) for level, runs in levels for _ in range(runs)]


def test_a_step_is_found_where_it_is_with_both_levels() -> None:
    (one,) = shifts(noise(1, (0.7, 8), (0.6, 6)), LEVEL)
    assert one.at == 8 and one.p < 0.001
    assert one.before == pytest.approx(0.7, abs=0.01) and one.after == pytest.approx(0.6, abs=0.01)


def test_several_steps_are_found_in_order_and_levels_are_those_between_them() -> None:
    found = shifts(noise(2, (0.7, 6), (0.5, 7), (0.65, 8)), LEVEL)
    assert [one.at for one in found] == [6, 13]
    assert found[0].after == found[1].before == pytest.approx(0.5, abs=0.01)


def test_one_odd_run_is_no_change() -> None:
    values = noise(3, (0.7, 10))
    values[5] -= 0.2
    assert shifts(values, LEVEL) == []


def test_two_runs_on_either_side_are_the_least() -> None:
    assert shifts([0.7, 0.3, 0.3], LEVEL) == [] and not can_be_searched(3)
    assert [one.at for one in shifts([0.7, 0.7001, 0.3, 0.3001], LEVEL)] == [2]


def test_a_constant_series_does_not_change_and_a_step_between_constants_does() -> None:
    assert shifts([0.7] * 12, LEVEL) == []
    assert [one.at for one in shifts([0.7] * 6 + [0.71] * 6, LEVEL)] == [6]


@pytest.mark.parametrize("runs", [4, 7, 20])
def test_where_nothing_changes_the_level_is_kept(runs: int) -> None:
    called = sum(bool(shifts(noise(seed, (0.7, runs)), LEVEL)) for seed in range(1000))
    assert 15 <= called <= 85, "5 % of 1,000, with room for chance on either side"


@pytest.mark.parametrize("series", [1001, 1_000_000])
@pytest.mark.parametrize("runs", [2, 6, 30])
def test_a_plain_step_is_found_among_any_number_of_series(series: int, runs: int) -> None:
    (one,) = shifts(noise(5, (0.0, runs), (2.0, runs), size=0.001), LEVEL / series)
    assert one.at == runs and 0 < one.p <= LEVEL / series


@pytest.mark.parametrize("runs", [4, 12])
def test_a_level_rarer_than_what_is_simulated_is_kept_too(runs: int) -> None:
    values = np.random.default_rng(runs).normal(0.7, 0.005, (20_000, runs))
    called = sum(bool(shifts([*row], 4e-4)) for row in values)
    assert 1 <= called <= 20, "at most 8 are expected"


def test_scale_and_place_do_not_matter() -> None:
    values = np.array(noise(4, (0.0, 6), (0.02, 6)))
    at = [one.at for one in shifts([*values], LEVEL)]
    assert at and at == [one.at for one in shifts([*(1000 + 50 * values)], LEVEL)]
