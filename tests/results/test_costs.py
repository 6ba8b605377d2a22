"""The speed-up predicted from costs measured alone, against figures worked out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import Call, World, write

from results.costs import Alone, prediction, read
from results.judge import judge
from results.records import INSTRUMENTED, Generation, Json
from results.runfile import RunFile
from results.verdicts import CellVerdict, as_json

STATED: dict[str, Json] = {
    "rows": 1, "draft_length": 2, "t_ms": 10.0, "d_ms": 1.0, "o_ms": 1.5, "t_1_ms": 9.0, "o_1_ms": 1.0,
    "measured_over_floor": 1.25,
}  # fmt: skip


def test_the_formula_by_hand() -> None:
    costs = read(STATED)
    assert costs == Alone(1, 2, 10.0, 1.0, 1.5, 9.0, 1.0, 1.25)
    assert costs is not None
    told = prediction(3.0, costs)
    assert told.speedup == pytest.approx(3 * (9 + 1) / (2 * 1 + 10 + 1.5))
    assert (told.t_ms, told.d_ms, told.o_ms, told.measured_over_floor) == (10.0, 1.0, 1.5, 1.25)


def test_at_the_break_even_length_nothing_is_gained() -> None:
    costs = Alone(4, 2, 10.0, 1.0, 1.5, 9.0, 1.0, None)
    assert costs.break_even == pytest.approx(1.35)
    assert prediction(1.35, costs).speedup == pytest.approx(1.0)


@pytest.mark.parametrize(
    "stated",
    [
        None, 7, [], {}, {**STATED, "t_ms": "10"}, {**STATED, "t_ms": True}, {**STATED, "t_ms": float("nan")},
        {**STATED, "d_ms": None}, {**STATED, "o_ms": -1.0}, {**STATED, "t_ms": 0}, {**STATED, "rows": 0},
        {**STATED, "draft_length": 2.0}, {**STATED, "draft_length": 0},
        {k: v for k, v in STATED.items() if k != "o_1_ms"},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_no_cost(stated: object) -> None:
    assert read(stated) is None


def stating(by: Any) -> World:
    """A world in which the first instrumented generation of a call states what `by` gives."""

    def spoil(call: Call, seen: Generation) -> Generation:
        told = by(call) if call.phase == INSTRUMENTED and call.unit == 0 else None
        return seen if told is None else replace(seen, statement={"costs": told})

    return World(lengths=(1, 2), spoil=spoil)


def costs_of(call: Call) -> dict[str, Json] | None:
    return STATED if call.k == 2 else None


def cells(folder: Path, world: World) -> dict[int, CellVerdict]:
    with RunFile.open(write(folder / "run.sqlite", world)) as file:
        return {cell.draft_length: cell for cell in judge(file).cells}


def test_a_cell_with_costs_stated_is_predicted_from_them_and_its_own_acceptance(tmp_path: Path) -> None:
    found = cells(tmp_path, stating(costs_of))
    told, accepted = found[2].prediction, found[2].acceptance
    assert told is not None and accepted is not None
    assert told.speedup == pytest.approx(accepted.length * 10 / 13.5)
    assert found[1].prediction is None
    assert as_json(found[2])["prediction"].keys() == {
        "speedup", "break_even", "t_ms", "d_ms", "o_ms", "measured_over_floor",
    }  # fmt: skip
    assert as_json(found[1])["prediction"] is None


@pytest.mark.parametrize("change", [{"rows": 8}, {"draft_length": 3}, {"t_ms": "fast"}])
def test_costs_of_other_steps_predict_nothing(tmp_path: Path, change: dict[str, Json]) -> None:
    def by(call: Call) -> dict[str, Json] | None:
        return {**STATED, **change} if call.k == 2 else None

    assert cells(tmp_path, stating(by))[2].prediction is None
