"""Simultaneous intervals of the arms of a group."""

import math

import numpy as np
import pytest

from results import selection, speedup
from results.speedup import Effects
from results.verdicts import Interval


def effects(per_unit: list[float], launches: int = 1) -> Effects:
    """Units whose every visit gave the same log ratio."""
    halves = np.repeat(np.array(per_unit)[:, None, None], launches, axis=1).repeat(2, axis=2)
    halves = halves + 0.01 * np.arange(launches)[None, :, None]
    return Effects(np.arange(len(per_unit)), halves, np.arange(launches), halves / 2)


def width(interval: Interval | None) -> float:
    assert interval is not None
    return math.log(interval.high / interval.low)


UNITS = [0.1, 0.5, 0.3, 0.2, 0.6, 0.4]


@pytest.mark.parametrize("launches", [1, 3])
def test_a_single_arm_needs_no_adjustment(launches: int) -> None:
    e = effects(UNITS, launches)
    _, new = speedup.intervals(e, 0.95)
    assert width(selection.adjusted({4: e}, 0.95)[4]) == pytest.approx(width(new))


def test_arms_that_vary_independently_need_wider_intervals_than_arms_that_vary_together() -> None:
    rng = np.random.default_rng(3)
    alone = effects(UNITS)
    together = selection.adjusted({k: effects([u + k for u in UNITS]) for k in range(6)}, 0.95)
    apart = selection.adjusted({k: effects(rng.permutation(UNITS).tolist()) for k in range(6)}, 0.95)
    _, single = speedup.intervals(alone, 0.95)
    assert width(together[0]) == pytest.approx(width(single), rel=0.02)
    assert width(apart[0]) > 1.2 * width(single)


def test_an_arm_with_one_unit_has_no_interval_and_does_not_disturb_the_others() -> None:
    adjusted = selection.adjusted({1: effects(UNITS), 2: effects([0.3])}, 0.95)
    assert adjusted[2] is None
    assert adjusted[1] == selection.adjusted({1: effects(UNITS)}, 0.95)[1]


def test_no_arm_is_no_interval() -> None:
    assert selection.adjusted({}, 0.95) == {}


def test_the_same_file_always_gives_the_same_interval() -> None:
    arms = {k: effects(np.random.default_rng(k).permutation(UNITS).tolist()) for k in range(4)}
    assert selection.adjusted(arms, 0.95) == selection.adjusted(arms, 0.95)


def test_arms_that_never_vary_are_no_error() -> None:
    adjusted = selection.adjusted({1: effects([0.2] * 5), 2: effects(UNITS[:5])}, 0.95)
    assert width(adjusted[1]) == pytest.approx(0.0)
