"""What losing a part of MTP costs, by hand."""

import math
from typing import Any

import pytest
from support.verdicts import acceptance, cell

from results.ablations import WHOLE, WITHOUT, ablations
from results.verdicts import CellVerdict, Speedup


def speedup(*ratios: float) -> Speedup:
    units = tuple((unit, "code", ratio) for unit, ratio in enumerate(ratios))
    point = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return Speedup(point, None, None, 0.95, 1, "within this launch", None, None, None, per_unit=units)


def arm(method: str, *ratios: float, k: int = 2, scale: float = 1.0, **changes: Any) -> CellVerdict:
    return cell(k, method=method, speedup=speedup(*ratios), acceptance=acceptance(k, scale), **changes)


def test_ratios_are_of_what_is_left_over_the_whole_and_paired_by_unit() -> None:
    whole, without = arm("mtp", 2.0, 1.0, 4.0), arm(WITHOUT["centroids"], 1.6, 0.8, 3.2, scale=0.5)
    (found,) = ablations([whole, without])
    assert (found.part, found.draft_length, found.units) == ("centroids", 2, 3)
    assert found.speedup == pytest.approx(0.8)
    assert found.new_prompts is not None  # every unit loses a fifth: nothing is left to chance
    assert (found.new_prompts.low, found.new_prompts.high) == pytest.approx((0.8, 0.8))
    assert found.acceptance == pytest.approx((1 + 0.41 + 0.345) / (1 + 0.82 + 0.69))
    assert not found.synthetic


def test_the_interval_is_student_s_over_units() -> None:
    logs = (0.1, 0.2, 0.6)
    without = arm(WITHOUT["activations"], *map(math.exp, logs))
    (found,) = ablations([arm("mtp", 1.0, 1.0, 1.0), without])
    middle, spread = 0.3, math.sqrt((0.04 + 0.01 + 0.09) / 2 / 3)
    assert found.new_prompts is not None
    assert math.log(found.new_prompts.low) == pytest.approx(middle - 4.302653 * spread, abs=1e-5)
    assert math.log(found.new_prompts.high) == pytest.approx(middle + 4.302653 * spread, abs=1e-5)


def test_each_draft_length_and_group_is_compared_with_its_own_whole() -> None:
    cells = [arm("mtp", 2.0, 2.0, k=k, group=group) for k in (1, 2) for group in (0, 1)]
    cells += [arm(WITHOUT["shared-kv"], 1.0, 1.0, k=2, group=1), arm(WITHOUT["centroids"], 1.0, 1.0, k=3)]
    assert [(a.part, a.draft_length, a.group) for a in ablations(cells)] == [("shared-kv", 2, 1)]


def test_what_is_not_valid_or_not_the_target_s_own_gives_no_price() -> None:
    good, bad = arm("mtp", 2.0, 2.0), WITHOUT["centroids"]
    assert ablations([good, arm(bad, 1.0, 1.0, status="invalid")]) == []
    assert ablations([arm("mtp", 2.0, 2.0, status="failed"), arm(bad, 1.0, 1.0)]) == []
    assert ablations([arm(bad, 1.0, 1.0)]) == []


def test_a_synthetic_side_makes_the_price_synthetic_and_hidden_acceptance_stays_unknown() -> None:
    (found,) = ablations([arm("mtp", 2.0, 2.0, synthetic=True), cell(2, method=WITHOUT["centroids"], acceptance=None)])
    assert found.synthetic
    assert found.acceptance is None


def test_no_two_parts_share_a_method() -> None:
    assert len({WHOLE, *WITHOUT.values()}) == len(WITHOUT) + 1
