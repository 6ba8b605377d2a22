"""The speed-up predicted from costs measured alone, against figures worked out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import Call, World, write

from results.costs import Alone, Waits, prediction, read
from results.judge import judge
from results.records import INSTRUMENTED, Generation, Json
from results.runfile import RunFile
from results.verdicts import CellVerdict, as_json

STATED: dict[str, Json] = {
    "rows": 1, "draft_length": 2, "t_ms": 10.0, "d_ms": 1.0, "o_ms": 1.5, "t_1_ms": 9.0, "o_1_ms": 1.0,
    "measured_over_floor": 1.25,
}  # fmt: skip
JOIN: dict[str, Json] = {"join_ms": 40.0, "join_further_ms": 30.0}


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


def test_waiting_for_others_to_join_takes_its_share_of_every_token() -> None:
    costs, often, seldom = read({**STATED, **JOIN}), Waits(times=0.05, further=0.02), Waits(0.01, 0.0)
    assert costs is not None
    told = prediction(3.0, costs, often, seldom)
    assert (told.wait_ms, told.plain_wait_ms) == pytest.approx((0.05 * 40 + 0.02 * 30, 0.01 * 40))
    assert told.speedup == pytest.approx((9 + 1 + 0.4) / ((2 * 1 + 10 + 1.5) / 3 + 2.6))
    assert told.break_even == pytest.approx(1.35)
    for unknown in (prediction(3.0, costs), prediction(3.0, costs, often), prediction(3.0, costs, None, seldom),
                    prediction(3.0, replace(costs, join=None), often, seldom)):  # fmt: skip
        assert (unknown.wait_ms, unknown.plain_wait_ms) == (None, None)
        assert unknown.speedup == pytest.approx(3 / 1.35)


@pytest.mark.parametrize(
    "stated",
    [
        None, 7, [], {}, {**STATED, "t_ms": "10"}, {**STATED, "t_ms": True}, {**STATED, "t_ms": float("nan")},
        {**STATED, "d_ms": None}, {**STATED, "o_ms": -1.0}, {**STATED, "t_ms": 0}, {**STATED, "rows": 0},
        {**STATED, "draft_length": 2.0}, {**STATED, "draft_length": 0}, {**STATED, "t_ms": 10**400},
        {**STATED, "t_1_ms": float("inf")}, {**STATED, "o_1_ms": 5e-324}, {**STATED, "t_ms": 1e300},
        {k: v for k, v in STATED.items() if k != "o_1_ms"},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_no_cost(stated: object) -> None:
    assert read(stated) is None


WORK: dict[str, Json] = {"bytes": 2e9, "flops": 5e9, "bandwidth": 5e10, "peak": 1e12, "floor_ms": 8.0}


def test_the_work_of_a_pass_is_told_as_it_was_stated() -> None:
    costs = read({**STATED, **WORK})
    assert costs is not None
    told = prediction(3.0, costs)
    assert (told.bytes, told.flops, told.bandwidth, told.peak, told.floor_ms) == (2e9, 5e9, 5e10, 1e12, 8.0)
    assert (told.t_1_ms, told.o_1_ms, told.measured_over_floor) == (9.0, 1.0, 1.25)


@pytest.mark.parametrize("key", [*WORK, "measured_over_floor"])
@pytest.mark.parametrize("odd", [None, "5", True, -1.0, 0, float("nan"), float("inf"), 10**400, [], {}])
def test_work_that_is_not_understood_is_unknown_and_nothing_else_suffers(key: str, odd: Json) -> None:
    full = {**STATED, **WORK}
    for stated in ({**full, key: odd}, {name: value for name, value in full.items() if name != key}):
        costs, whole = read(stated), read(full)
        assert costs is not None and whole is not None
        assert costs == replace(whole, **{key: None})
        assert prediction(3.0, costs).speedup == prediction(3.0, whole).speedup


@pytest.mark.parametrize("odd", ["40", -1.0, float("nan"), float("inf"), 10**400])
def test_joins_that_are_not_understood_are_unknown(odd: Json) -> None:
    for key in JOIN:
        costs = read({**STATED, **JOIN, key: odd})
        assert costs is not None and costs.join is None


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
        "speedup", "break_even", "t_ms", "d_ms", "o_ms", "measured_over_floor", "wait_ms", "plain_wait_ms",
        "t_1_ms", "o_1_ms", "bytes", "flops", "bandwidth", "peak", "floor_ms",
    }  # fmt: skip
    assert as_json(found[1])["prediction"] is None


@pytest.mark.parametrize("change", [{"rows": 8}, {"draft_length": 3}, {"t_ms": "fast"}])
def test_costs_of_other_steps_predict_nothing(tmp_path: Path, change: dict[str, Json]) -> None:
    def by(call: Call) -> dict[str, Json] | None:
        return {**STATED, **change} if call.k == 2 else None

    assert cells(tmp_path, stating(by))[2].prediction is None


BATCH: dict[str, Json] = {**STATED, **JOIN, "rows": 2}


def waiting(drafted: Json, plain: Json, **world: Any) -> World:
    """Two rows of 40 tokens after the first."""

    def spoil(call: Call, seen: Generation) -> Generation:
        waits = {2: drafted, 0: plain}.get(call.k)
        costs: dict[str, Json] = {"costs": BATCH} if call.k == 2 else {}
        return replace(seen, statement={**costs, "waits": waits}) if call.phase == INSTRUMENTED else seen

    return World(lengths=(2,), batch_size=2, spoil=spoil, **world)


WAITS: Json = [[[5, 1], [11, 3]], [[7, 1]]]
"""Row by row, [tokens it had, prompts that joined]."""


def test_waits_are_counted_over_the_tokens_that_are_timed(tmp_path: Path) -> None:
    told = cells(tmp_path, waiting(WAITS, [[], [[40, 1]]]))[2].prediction
    assert told is not None
    assert (told.wait_ms, told.plain_wait_ms) == pytest.approx(((3 * 40 + 2 * 30) / 80, 40 / 80))


def test_waits_after_the_natural_end_do_not_count(tmp_path: Path) -> None:
    """It ends with the 11th token, so that ten of each row are timed."""
    told = cells(tmp_path, waiting(WAITS, [[], [[40, 1]]], eos_at=10))[2].prediction
    assert told is not None
    assert (told.wait_ms, told.plain_wait_ms) == pytest.approx((2 * 40 / 20, 0.0))


@pytest.mark.parametrize("unknown", [None, [[]], [[], None], [[], [3]], [[], [[3, "1"]]], [[], [[3]]], {"0": []}, 7])
def test_without_waits_of_both_arms_the_formula_goes_without(tmp_path: Path, unknown: Json) -> None:
    for number, (drafted, plain) in enumerate([(WAITS, unknown), (unknown, [[], []])]):
        (folder := tmp_path / str(number)).mkdir()
        told = cells(folder, waiting(drafted, plain))[2]
        assert told.prediction is not None and told.acceptance is not None
        assert (told.prediction.wait_ms, told.prediction.plain_wait_ms) == (None, None)
        assert told.prediction.speedup == pytest.approx(told.acceptance.length / told.prediction.break_even)
