"""Which of several drafted settings is named: the same one in `show`, `report`, `recommend` and the break-even."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import Call, World, write
from support.paced import paced

from reports.groups import groups
from reports.words import decide
from results import selection
from results.choosing.recommend import recommend
from results.choosing.recommendation import Recommendation
from results.choosing.wishes import Wishes
from results.judge import Judged, judged
from results.records import CONTROL
from results.runfile import RunFile
from results.verdicts import Interval

AA = Interval(0.98, 1.02)
SURE, WILD = (1.45, Interval(1.3, 1.6)), (1.82, Interval(0.5, 6.7))
LESS, SLOWER, WORST = (1.2, Interval(1.1, 1.3)), (0.8, Interval(0.7, 0.9)), (0.9, Interval(0.2, 4.0))


@pytest.mark.parametrize(
    ("arms", "aa", "expected"),
    [
        ([SURE, WILD], AA, SURE),
        ([LESS, SURE, WILD], AA, SURE),
        ([SLOWER, WILD], AA, WILD),
        ([SLOWER, WORST], AA, WORST),
        ([SURE, WILD], Interval(0.4, 3.5), WILD),
        ([SURE, WILD], None, WILD),
        ([SURE, (1.9, None)], AA, SURE),
        ([], AA, None),
    ],
)
def test_the_best_is_the_largest_gain_of_those_that_can_be_told(arms: list[Any], aa: Any, expected: Any) -> None:
    assert selection.best(arms, lambda arm: arm, aa) == expected


def wild(**changes: Any) -> World:
    """k = 1 is 1.3 times as fast on every prompt, k = 4 twice on average, but half of that or double from prompt to
    prompt: nothing can be told of it."""
    world = paced({1: 1.3, 4: 2.0}, **changes)
    factor = {0: 0.25, 1: 4.0}
    return replace(world, slowness=lambda call: world.slowness(call) * (factor[call.unit % 2] if call.k == 4 else 1.0))


def run(folder: Path, *worlds: World) -> Judged:
    with RunFile.open(write(folder / "run.sqlite", *worlds)) as file:
        return judged(file)


def recommended(folder: Path, *worlds: World, **wishes: Any) -> Recommendation:
    with RunFile.open(write(folder / "run.sqlite", *worlds)) as file:
        return recommend([judged(file)], Wishes(**wishes))


def test_a_setting_that_came_out_higher_by_chance_hides_none_that_is_distinguishably_faster(tmp_path: Path) -> None:
    (found,) = recommended(tmp_path, wild()).choices
    assert found.setting is not None
    assert (found.outcome, found.setting.draft_length) == ("faster", 1)
    assert found.settings[2].gain == pytest.approx(2.0, rel=0.05)
    higher = f"k = 4 came out higher ({found.settings[2].gain:.2f}×), but cannot be told from plain decoding"
    assert found.reason == f"distinguishably better than plain decoding; {higher}"


def test_show_names_the_same_and_says_what_came_out_higher(tmp_path: Path) -> None:
    found = run(tmp_path, wild())
    (best,), (group,) = found.verdict.best, groups(found.verdict)
    assert (best.draft_length, best.distinguishable, best.candidates) == (1, True, 2)
    decision = decide(group)
    assert decision.headline.startswith("Draft 1 token a round: 1.3")
    assert "k = 4 came out higher (1.99×), but cannot be told from plain decoding" in decision.detail
    assert "widened for having chosen the best of 2" in decision.detail
    steady = replace(found.verdict, best=[replace(best, cell_id=best.cell_id + 1, draft_length=4, speedup=2.1)])
    assert "came out higher" not in decide(groups(steady)[0]).detail


def test_the_break_even_takes_the_same(tmp_path: Path) -> None:
    (even,) = recommended(tmp_path, wild(), wild(batch_size=2)).break_even
    assert [(at.batch_size, at.draft_length, at.outcome) for at in even.batches] == [(1, 1, "faster"), (2, 1, "faster")]


def test_where_only_the_a_a_interval_stands_against_a_gain_it_is_told(tmp_path: Path) -> None:
    world = paced({1: 1.3}, noise=0.001)

    def drifting(call: Call) -> float:
        return world.slowness(call) * (3.0 if call.cell.role == CONTROL and call.unit % 2 else 1.0)

    (found,) = recommended(tmp_path, replace(world, slowness=drifting)).choices
    assert found.outcome == "same"
    assert found.aa is not None
    told = f"not beyond what plain decoding differs from itself by, A/A {found.aa.low:.3f}–{found.aa.high:.3f}"
    assert found.reason == f"drafting brings no gain that this file can tell: {told}"


def test_where_the_gain_itself_cannot_be_told_the_a_a_interval_is_not_to_blame(tmp_path: Path) -> None:
    (found,) = recommended(tmp_path, paced({1: 1.002}, noise=0.03)).choices
    assert found.reason == "drafting brings no gain that this file can tell"
