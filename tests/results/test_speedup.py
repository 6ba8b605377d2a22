"""Paired speed-up and its intervals, against figures worked out by hand."""

import math

import numpy as np
import pytest

from results import speedup
from results.intervals import Part, quantile, t_quantile
from results.metrics import Timing
from results.speedup import Effects, Visit
from results.variance import outlier_share
from results.verdicts import Interval


def visit(unit: int, tpot: float, *, repeat: int = 0, half: int = 0, launch: int = 1, tokens: int = 10) -> Visit:
    """A visit whose decode time per token was `tpot`."""
    timing = Timing(5.0, 5.0 + tpot * tokens, tpot * tokens, tokens, 5.0 + tpot * tokens, tokens + 1, tokens)
    return Visit(unit, repeat, half, launch, timing)


def effects(
    halves: list[list[list[float]]], launch: list[int] | None = None, plain: list[list[list[float]]] | None = None
) -> Effects:
    """Log ratios [unit][block][half]. Unless said otherwise, either arm has half of each: nothing is an outlier."""
    array = np.array(halves, dtype=float)
    return Effects(
        np.arange(len(array)),
        array,
        np.array(launch or [0] * array.shape[1]),
        array / 2 if plain is None else np.array(plain),
    )


def near(part: Part) -> Part:
    """Equal to a part with this variance, but for rounding; without outliers unless this one has some."""
    return part._replace(variance=pytest.approx(part.variance))


def both(*means: float) -> list[list[float]]:
    """Blocks whose halves agree."""
    return [[mean, mean] for mean in means]


def found(plain: list[Visit], arm: list[Visit]) -> Effects:
    e = speedup.effects(speedup.pair(plain, arm))
    assert e is not None
    return e


# ------------------------------------------------------------------------------------------------ pairing, point


def test_every_unit_weighs_the_same_on_a_log_scale() -> None:
    # Unit 0 is twice as fast in each of three visits, unit 1 half as fast in its only one.
    plain = [visit(0, 20), visit(0, 20, half=1), visit(0, 20, repeat=1), visit(1, 10)]
    arm = [visit(0, 10), visit(0, 10, half=1), visit(0, 10, repeat=1), visit(1, 20)]
    assert speedup.point(found(plain, arm)) == pytest.approx(0.0)


def test_visits_pair_by_unit_repeat_and_half() -> None:
    plain = [visit(0, 20), visit(0, 30, half=1), visit(1, 40, repeat=1)]
    arm = [visit(0, 10), visit(1, 10), visit(2, 10)]
    assert speedup.pair(plain, arm) == [(plain[0], arm[0])]


def test_visits_of_different_launches_do_not_pair_where_a_launch_serves_both_arms() -> None:
    plain = [visit(0, 20, launch=1), visit(1, 20, launch=1)]
    arm = [visit(0, 10, launch=1), visit(1, 10, launch=2)]
    assert len(speedup.pair(plain, arm)) == 1


def test_visits_of_different_launches_pair_where_every_arm_has_its_own() -> None:
    plain = [visit(0, 20, launch=1), visit(1, 20, launch=1)]
    arm = [visit(0, 10, launch=2), visit(1, 10, launch=2)]
    assert len(speedup.pair(plain, arm)) == 2


def test_a_unit_without_a_tpot_has_no_ratio() -> None:
    e = found([visit(0, 20), visit(1, 20, tokens=0)], [visit(0, 10), visit(1, 10)])
    assert e.units.tolist() == [0]
    assert speedup.effects(speedup.pair([visit(0, 20, tokens=0)], [visit(0, 10)])) is None


# ------------------------------------------------------------------------------------- variance on these prompts


def test_within_a_launch_noise_is_read_off_the_mirrored_halves() -> None:
    # (0.2^2, 0.1^2, 0) / 4 = 0.01, 0.0025, 0; variance of the mean of 3 units = 1.2 * 0.0125 / 9.
    # Welch: 0.0125^2 / ((0.01^2 + 0.0025^2) / 3) - 2 = 2.41 degrees of freedom.
    e = effects([[[0.1, 0.3]], [[0.5, 0.4]], [[0.2, 0.2]]])
    part = speedup.these_prompts(e)
    assert part == near(Part(1.2 * 0.0125 / 9, 2))


def test_units_that_are_equally_noisy_give_a_degree_of_freedom_each() -> None:
    part = speedup.these_prompts(effects([[[0.1, 0.3]], [[0.5, 0.3]], [[0.0, 0.2]], [[0.4, 0.6]]]))
    assert part == near(Part(1.2 * 0.01 / 4, 4))


def test_a_single_noisy_unit_leaves_a_fifth_of_the_degrees_of_freedom() -> None:
    # Welch alone: 0.01^2 / (0.01^2 / 3) - 2 = 1.
    part = speedup.these_prompts(effects([[[0.1, 0.3]], *([[[0.2, 0.2]]] * 9)]))
    assert part == near(Part(1.2 * 0.01 / 100, 2))


# Half differences of the plain arm 0.6, 0.1, 0.1, 0.2 and of the other 0.2, 0.1, 0.2, 0.6, in opposite directions, so
# that theirs together are 0.8, 0.2, 0.3, 0.8. Medians are 0.15 and 0.2: ratio 4 / 3. The smaller of p^2 * 4 / 3 and
# a^2 * 3 / 4 is that of 0.48, 0.03; 0.01333, 0.0075; 0.01333, 0.03; 0.05333, 0.27.
DISTURBED = {
    "halves": [[[0.8, -0.8]], [[0.2, -0.2]], [[0.3, -0.3]], [[0.8, -0.8]]],
    "plain": [[[0.6, -0.6]], [[0.1, -0.1]], [[0.1, -0.1]], [[0.2, -0.2]]],
}
SMALLER = (0.03 + 0.0075 + 0.04 / 3 + 0.16 / 3) / 4
NOISE = SMALLER * math.pi / (math.pi - 2) * (3 / 4 + 4 / 3) / ((0.64 + 0.04 + 0.09 + 0.64) / 4)


def test_outliers_are_what_the_smaller_of_both_half_differences_does_not_tell() -> None:
    assert outlier_share(effects(**DISTURBED)) == pytest.approx(1 - NOISE)


def test_outliers_need_no_allowance_for_noise_that_lasts_and_cost_no_degrees_of_freedom() -> None:
    share = 1 - NOISE
    allowance = share + 1.2 * (1 - share)
    part = speedup.these_prompts(effects(**DISTURBED))
    assert part is not None
    assert part.variance == pytest.approx(allowance * 1.41 / 16)
    assert sum(size**2 for size in part.outliers) == pytest.approx(share * 1.41 / 16)
    assert part.outliers[0] / part.outliers[1] == pytest.approx(4.0)
    # Welch: 1.41^2 / ((1 - outliers' share) * (0.64^2 + 0.04^2 + 0.09^2 + 0.64^2) / 3) - 2
    welch = 1.41**2 / ((1 - share / allowance) * 0.8289 / 3) - 2
    assert part.df == min(4, round(welch))


def test_noise_of_a_noisy_unit_and_of_a_noisy_arm_is_no_outlier() -> None:
    rng = np.random.default_rng(8)
    sizes = np.exp(rng.standard_normal((2_000, 1, 1)))
    plain, arm = (scale * sizes * rng.standard_normal((2_000, 1, 2)) for scale in (1.0, 0.2))
    e = Effects(np.arange(2_000), plain - arm, np.array([0]), plain)
    assert outlier_share(e) == pytest.approx(0.0, abs=0.15)
    arm[::20, 0, 0] += 20
    assert outlier_share(Effects(np.arange(2_000), plain - arm, np.array([0]), plain)) > 0.6


@pytest.mark.parametrize("plain", [[[[0.0, 0.0]], [[0.0, 0.0]]], [[[0.1, 0.3]], [[0.5, 0.4]]], [[[math.nan] * 2]] * 2])
def test_where_an_arm_never_varies_nothing_is_called_an_outlier(plain: list[list[list[float]]]) -> None:
    halves = [[[0.1, 0.3]], [[0.5, 0.4]]] if np.isfinite(plain).all() else [[[0.1, math.nan]], [[math.nan, 0.4]]]
    assert outlier_share(effects(halves, plain=plain)) == 0.0


def test_without_any_noise_all_degrees_of_freedom_stay() -> None:
    assert speedup.these_prompts(effects([both(0.1), both(0.2), both(0.3)])) == Part(0.0, 3)


def test_within_a_launch_noise_is_read_off_repeats_where_there_are_some() -> None:
    # Block means 0.1, 0.3 and 0.4, 0.2: s^2 / 2 = 0.01 each; each unit adds one degree of freedom.
    part = speedup.these_prompts(effects([both(0.1, 0.3), both(0.4, 0.2)]))
    assert part == near(Part(0.02 / 4, 2))


def test_from_five_passes_on_their_means_decide() -> None:
    # Every unit moves together, so that a pass is what varies.
    passes = [0.10, 0.12, 0.14, 0.16, 0.18]
    part = speedup.these_prompts(effects([both(*(p + u for p in passes)) for u in (0.0, 0.5, 0.9)]))
    assert part == near(Part(np.var(passes, ddof=1) / 5, 4))


def test_over_launches_their_means_decide() -> None:
    e = effects([both(0.1, 0.2, 0.3), both(0.5, 0.5, 0.8)], launch=[0, 1, 2])
    means = [0.3, 0.35, 0.55]
    assert e.over_launches
    assert speedup.these_prompts(e) == near(Part(np.var(means, ddof=1) / 3, 2))


def test_a_launch_that_saw_few_units_is_none_to_compare_with() -> None:
    # A run that was resumed in the middle of a pass: what differs between its launches may be the prompts.
    nan = math.nan
    e = effects([[[0.1, 0.1], [nan, nan]], [[nan, nan], [0.5, 0.6]]], launch=[0, 1])
    assert not e.over_launches
    assert speedup.point(e) == pytest.approx((0.1 + 0.55) / 2)


def test_a_unit_seen_once_is_taken_to_be_as_noisy_as_half_a_block() -> None:
    e = effects([[[0.1, 0.3]], [[0.5, math.nan]]])
    assert speedup.these_prompts(e) == near(Part(1.2 * (0.01 + 2 * 0.01) / 4, 1))


def test_a_single_visit_to_each_unit_tells_nothing_about_noise() -> None:
    assert speedup.these_prompts(effects([[[0.1, math.nan]], [[0.5, math.nan]]])) is None


# -------------------------------------------------------------------------------------- variance on new prompts


def test_new_prompts_vary_as_units_do() -> None:
    parts = speedup.new_prompts(effects([[[0.1, 0.3]], [[0.5, 0.5]], [[0.8, 0.8]]]))
    assert parts == [near(Part(np.var([0.2, 0.5, 0.8], ddof=1) / 3, 2))]


def test_over_launches_both_prompts_and_launches_count() -> None:
    parts = speedup.new_prompts(effects([both(0.1, 0.2), both(0.5, 0.8)], launch=[0, 1]))
    prompts, launches = np.var([0.15, 0.65], ddof=1) / 2, np.var([0.3, 0.5], ddof=1) / 2
    # What is left of 0.1, 0.2, 0.5, 0.8 without unit and launch is 0.05 in size: mean square 0.01, over 2 launches and
    # 2 units. That part of what units seem to vary is noise, which the launches' part holds already.
    prompts -= 0.01 / 4
    assert parts == [near(Part(prompts, 1)), near(Part(launches, 1))]


def test_prompts_that_vary_by_noise_alone_add_nothing_beside_launches() -> None:
    parts = speedup.new_prompts(effects([both(0.1, 0.2), both(0.2, 0.1), both(0.1, 0.2)], launch=[0, 1]))
    assert parts[0] == Part(0.0, 2)


def test_one_unit_says_nothing_about_other_prompts() -> None:
    assert speedup.new_prompts(effects([[[0.1, 0.3]]])) == []


def test_intervals_lie_around_the_geometric_mean() -> None:
    e = effects([[[0.1, 0.3]], [[0.5, 0.5]], [[0.8, 0.8]]])
    _, new = speedup.intervals(e, 0.95)
    reach = t_quantile(2, 0.95) * math.sqrt(np.var([0.2, 0.5, 0.8], ddof=1) / 3)
    assert new is not None
    assert (new.low, new.high) == pytest.approx((math.exp(0.5 - reach), math.exp(0.5 + reach)))


# --------------------------------------------------------------------------------------------------- judgements


@pytest.mark.parametrize(
    ("judged", "aa", "expected"),
    [
        (Interval(1.2, 1.3), Interval(0.98, 1.01), True),
        (Interval(0.7, 0.8), Interval(0.98, 1.01), True),
        (Interval(0.95, 1.30), Interval(0.98, 1.01), False),  # holds 1
        (Interval(1.005, 1.015), Interval(0.98, 1.01), False),  # smaller than what the plain arm does to itself
        (Interval(1.2, 1.3), None, None),
        (None, Interval(0.98, 1.01), None),
    ],
)
def test_an_effect_is_distinguishable_beyond_one_and_beyond_the_noise(
    judged: Interval | None, aa: Interval | None, expected: bool | None
) -> None:
    assert speedup.distinguishable(judged, aa) is expected


def test_the_stop_rule_sees_the_widest_arm_and_the_fewest_units() -> None:
    plain = [visit(u, 20, half=h) for u in range(3) for h in (0, 1)]
    steady = [visit(u, 10, half=h) for u in range(3) for h in (0, 1)]
    shaky = [visit(u, 10 + u * h, half=h) for u in range(2) for h in (0, 1)]
    known = speedup.precision(plain, [steady, shaky])
    part = speedup.these_prompts(found(plain, shaky))
    assert part is not None
    assert known.half_width == pytest.approx(math.expm1(quantile(part, 0.95) * math.sqrt(part.variance)))
    assert known.units == 2
    assert known.launches == 1


def test_precision_counts_the_launches_that_have_seen_the_units() -> None:
    def seen(launch: int, units: int) -> list[Visit]:
        return [visit(u, 20 + launch + h, repeat=launch, half=h, launch=launch) for u in range(units) for h in (0, 1)]

    assert speedup.precision(seen(1, 10) + seen(2, 7), [seen(1, 10) + seen(2, 7)]).launches == 1
    assert speedup.precision(seen(1, 10) + seen(2, 8), [seen(1, 10) + seen(2, 8)]).launches == 2


def test_the_stop_rule_knows_nothing_before_noise_can_be_seen() -> None:
    assert speedup.precision([visit(0, 20)], [[visit(0, 10)]]).half_width is None
    assert speedup.precision([], []).half_width is None


def test_an_arm_that_gave_nothing_does_not_keep_a_group_from_stopping() -> None:
    plain = [visit(0, 20, half=h) for h in (0, 1)]
    assert speedup.precision(plain, [plain, []]).half_width == 0.0


def test_ratios_beside_the_speed_up_are_of_the_paired_visits() -> None:
    plain = [visit(0, 20), visit(1, 40, tokens=30), visit(2, 99)]
    arm = [visit(0, 10), visit(1, 10, tokens=30)]
    pairs = speedup.pair(plain, arm)
    told = speedup.summary(pairs, found(plain, arm), {0: "code", 1: "prose"}, None, 0.95)
    assert told.point == pytest.approx(math.sqrt(2 * 4))
    assert told.total_time_ratio == pytest.approx((200 + 1200) / (100 + 300))
    assert told.e2e == pytest.approx(math.sqrt((205 / 105) * (1205 / 305)))
    assert told.throughput == pytest.approx((205 + 1205) / (105 + 305))
    assert told.per_unit == ((0, "code", pytest.approx(2.0)), (1, "prose", pytest.approx(4.0)))
    assert (told.launches, told.basis) == (1, "within this launch")
