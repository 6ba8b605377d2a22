"""How sure it is which setting is the best."""

import numpy as np
import pytest
from support.chain import Machine, simulate

from results import selection
from results.choosing import standing
from results.speedup import Effects

PLAIN = 0


def effects(per_unit: list[float], launches: int = 1, between: float = 0.0) -> Effects:
    halves = np.repeat(np.array(per_unit)[:, None, None], launches, axis=1).repeat(2, axis=2)
    halves = halves + between * np.arange(launches)[None, :, None]
    return Effects(np.arange(len(per_unit)), halves, np.arange(launches), halves / 2)


UNITS = [0.1, 0.5, 0.3, 0.2, 0.6, 0.4]


def told(arms: dict[int, Effects], plain: int | None = PLAIN) -> dict[int, float]:
    found = standing.chances(arms, plain)
    assert found is not None
    assert sum(found.values()) == pytest.approx(1)
    return found


def test_a_setting_that_is_better_on_every_prompt_is_surely_the_best() -> None:
    # Both vary by prompt a lot, and together: their difference does not vary at all.
    found = told({1: effects(UNITS), 2: effects([u + 0.01 for u in UNITS])})
    assert found[2] > 0.98
    assert found[1] < 0.001


def test_settings_that_vary_on_their_own_are_less_sure() -> None:
    found = told({1: effects(UNITS), 2: effects([u + 0.01 for u in reversed(UNITS)])})
    assert 0.4 < found[1] < found[2] < 0.6


def test_settings_that_are_equal_share_it() -> None:
    found = told({1: effects([0.2] * 6), 2: effects([0.2] * 6), 3: effects([0.1] * 6)})
    assert found == {1: 0.5, 2: 0.5, 3: 0.0, PLAIN: 0.0}


def test_plain_decoding_takes_part_where_it_may() -> None:
    slower = {1: effects([-u for u in UNITS])}
    assert told(slower)[PLAIN] > 0.98
    assert standing.chances(slower, None) is None
    assert set(told({**slower, 2: effects(UNITS)}, None)) == {1, 2}


def test_launches_that_differ_make_it_less_sure() -> None:
    apart = {1: effects([0.10] * 6, 2, between=0.08), 2: effects([0.12] * 6, 2, between=-0.08)}
    assert told({1: effects([0.10] * 6, 2), 2: effects([0.12] * 6, 2)})[2] == 1
    assert 0.2 < told(apart)[1] < 0.8


def test_fewer_than_four_common_prompts_tell_nothing() -> None:
    assert standing.chances({1: effects(UNITS[:3])}, PLAIN) is None
    assert standing.chances({1: effects(UNITS[:4])}, PLAIN) is not None
    moved = effects(UNITS)
    others = Effects(moved.units + 3, moved.halves, moved.launch, moved.plain)
    assert standing.chances({1: moved, 2: others}, PLAIN) is None


def test_the_same_effects_always_give_the_same_probabilities() -> None:
    arms = {k: effects(np.random.default_rng(k).permutation(UNITS).tolist()) for k in (1, 2, 3)}
    assert told(arms) == told(arms)


@pytest.mark.parametrize("units", [6, 20])
def test_the_probability_is_that_of_being_right(units: int) -> None:
    """Of settings drawn at random, those that are called the best with a probability p are it in a share p of runs."""
    machine = Machine(prompts=0.1, prompts_by_arm=0.06)
    random = np.random.default_rng(5)
    claimed, right = [], []
    for seed in range(300):
        truths = tuple(np.exp(random.normal(0.3, 0.04, 3)).tolist())
        simulated = simulate(runs=1, units=units, machine=machine, speedups=truths, seed=seed)
        found = told({k: simulated.effects(0, k) for k in range(3)}, PLAIN + 9)
        best = max(found, key=lambda arm: found[arm])
        claimed.append(found[best])
        right.append(best == int(np.argmax(truths)))
    assert np.mean(right) == pytest.approx(np.mean(claimed), abs=0.06)
    assert 0.5 < np.mean(claimed) < 0.95


def test_of_two_that_are_equally_good_each_is_the_best_half_of_the_time_and_the_worse_one_never() -> None:
    simulated = simulate(runs=60, units=20, speedups=(1.3, 1.5, 1.5), seed=1)
    found = np.array([[*told({k: simulated.effects(run, k) for k in range(3)}, 9).values()] for run in range(60)])
    worse, one, other, plain = found.mean(axis=0)
    assert worse < 0.01
    assert plain < 0.001
    assert one == pytest.approx(0.5, abs=0.12)
    assert other == pytest.approx(0.5, abs=0.12)


def test_a_setting_as_good_as_the_chosen_one_is_rarely_called_beaten() -> None:
    """Chosen as the first of three equals, beside the others with intervals for all of them: 95 % hold."""
    simulated = simulate(runs=150, units=12, speedups=(1.0, 1.5, 1.5, 1.5), seed=3)
    beaten = 0
    for run in range(150):
        means = simulated.halves[run, 1:].mean(axis=(1, 2, 3))
        first, *others = (1 + np.argsort(-means)).tolist()
        halves = {arm: simulated.halves[run, first] - simulated.halves[run, arm] for arm in others}
        paired = {
            arm: Effects(np.arange(12), ratios, simulated.launch, simulated.plain[run] - simulated.halves[run, arm])
            for arm, ratios in halves.items()
        }
        found = selection.adjusted(paired, 0.95)
        beaten += any(interval is not None and interval.low > 1 for interval in found.values())
    assert 0 < beaten / 150 < 0.08
