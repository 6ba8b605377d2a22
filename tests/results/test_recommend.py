"""From run files of known truth to a recommendation: what is recommended, what never is, and how sure it is."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.certificates import equivalence, sampling
from support.fake_run import Call, World, write
from support.paced import FAST, PLAIN_MS, paced, watts
from support.verdicts import cell, speedup, verdict

from results.choosing.breakeven import break_even
from results.choosing.recommend import recommend
from results.choosing.recommendation import AtBatch, Choice, Outcome, Place, Recommendation, Setting
from results.choosing.wishes import Wishes
from results.errors import UsageError
from results.judge import Judged, judged
from results.ranking import why_unranked
from results.records import CONTROL, Failure, Generation
from results.runfile import RunFile
from results.verdicts import CellVerdict, Interval, as_json

OPEN = ExitStack()


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    with OPEN:
        yield


def run(folder: Path, *worlds: World, name: str = "run") -> Judged:
    path = write(folder / f"{name}.sqlite", *worlds)
    return judged(OPEN.enter_context(RunFile.open(path)))


def recommended(folder: Path, *worlds: World, **wishes: Any) -> Recommendation:
    return recommend([run(folder, *worlds)], Wishes(**wishes))


def choice(folder: Path, world: World, **wishes: Any) -> Choice:
    (found,) = recommended(folder, world, **wishes).choices
    return found


def by_k(found: Choice) -> dict[int, Setting]:
    return {setting.draft_length: setting for setting in found.settings}


# ------------------------------------------------------------------------------------------------- what is recommended


def test_the_fastest_is_recommended_with_its_gain_interval_and_probability(tmp_path: Path) -> None:
    found = choice(tmp_path, paced())
    assert (found.outcome, found.units) == ("faster", 8)
    best = found.setting
    assert best is not None
    assert (best.draft_length, best.method) == (4, "mtp")
    assert best.gain == pytest.approx(2.0, rel=0.02)
    assert best.adjusted is not None
    assert best.adjusted.low < 2.0 < best.adjusted.high
    assert best.probability == pytest.approx(1.0, abs=0.001)
    assert best.figure == best.tpot_ms == pytest.approx(PLAIN_MS / 2, rel=0.02)
    assert [setting.draft_length for setting in found.settings] == [0, 1, 3, 4]
    assert sum(setting.probability or 0 for setting in found.settings) == pytest.approx(1)


def test_the_interval_of_the_chosen_is_the_one_that_show_gives(tmp_path: Path) -> None:
    judged_run = run(tmp_path, paced())
    (found,) = recommend([judged_run], Wishes()).choices
    shown = {cell.cell_id: cell.speedup for cell in judged_run.verdict.cells}
    assert found.chosen == judged_run.verdict.best[0].cell_id
    for setting in found.settings[1:]:
        told = shown[setting.cell_id]
        assert told is not None
        assert (setting.gain, setting.adjusted) == (told.point, told.adjusted)


def test_what_it_beats_and_what_does_as_well_are_told_by_paired_intervals(tmp_path: Path) -> None:
    found = choice(tmp_path, paced({1: 1.3, 3: 1.5, 4: 1.505}, noise=0.02))
    beside = {found.of(one.cell_id).draft_length: one for one in found.beside}
    chosen = found.setting
    assert chosen is not None
    other = 3 if chosen.draft_length == 4 else 4
    assert next(iter(beside)) == 0
    assert {k: one.distinguishable for k, one in beside.items()} == {0: True, 1: True, other: False}
    assert beside[1].gain == pytest.approx(1.5 / 1.3, rel=0.02)


def test_without_a_gain_plain_decoding_is_recommended_whatever_came_out_first(tmp_path: Path) -> None:
    found = choice(tmp_path, paced({1: 1.002, 3: 1.0, 4: 0.999}, noise=0.03))
    assert found.outcome == "same"
    assert found.setting is not None
    assert found.setting.method is None
    assert found.beside == ()


def test_drafting_that_costs_is_not_recommended(tmp_path: Path) -> None:
    found = choice(tmp_path, paced({1: 0.9, 3: 0.8}))
    assert (found.outcome, found.chosen) == ("slower", found.settings[0].cell_id)


def test_a_gain_within_what_plain_decoding_differs_from_itself_is_no_gain(tmp_path: Path) -> None:
    world = paced({1: 1.1}, noise=0.001)

    def drifting(call: Call) -> float:
        return world.slowness(call) * (1.3 if call.cell.role == CONTROL and call.unit % 2 else 1.0)

    assert choice(tmp_path, replace(world, slowness=drifting)).outcome == "same"


@pytest.mark.parametrize("changes", [{"control": False}, {"units": 1}])
def test_what_cannot_be_told_is_plain_decoding(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = choice(tmp_path, paced(**changes))
    assert found.outcome == "untold"
    assert found.setting is not None
    assert found.setting.method is None


def test_too_few_prompts_have_no_probability(tmp_path: Path) -> None:
    assert {setting.probability for setting in choice(tmp_path, paced(units=3)).settings} == {None}


def test_a_a_runs_recommend_plain_decoding(tmp_path: Path) -> None:
    worlds = [paced({1: 1.0, 3: 1.0, 4: 1.0}, noise=0.03, seed=seed, units=6) for seed in range(8)]
    found = recommended(tmp_path, *worlds)
    assert {one.outcome for one in found.choices} == {"same"}


# ---------------------------------------------------------------------------------------------------------- never this


def _unexplained(cell: CellVerdict) -> CellVerdict:
    return replace(cell, equivalence=replace(equivalence(), verdict="unexplained", reason="it differs"))


def _biased(cell: CellVerdict) -> CellVerdict:
    return replace(cell, equivalence=None, sampling=replace(sampling(), verdict="biased", reason="it is skewed"))


UNFIT = {
    "invalid": lambda cell: replace(cell, status="invalid", reason="drafted is 0"),
    "unverified": lambda cell: replace(cell, status="unverified", reason="nothing revealed"),
    "imported": lambda cell: replace(cell, status="imported"),
    "failed": lambda cell: replace(cell, status="failed", reason="killed"),
    "skipped": lambda cell: replace(cell, status="skipped"),
    "synthetic": lambda cell: replace(cell, synthetic=True),
    "unexplained": _unexplained,
    "biased": _biased,
    "no prompt gave a speed-up": lambda cell: replace(cell, speedup=None),
}


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return run(tmp_path_factory.mktemp("fast"), paced())


@given(spoilt=st.lists(st.sampled_from([None, *UNFIT]), min_size=len(FAST), max_size=len(FAST)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cell_that_may_not_be_ranked_is_never_recommended(fast: Judged, spoilt: list[str | None]) -> None:
    cells = [UNFIT[how](c) if how else c for how, c in zip(spoilt, fast.verdict.cells, strict=True)]
    judged_run = replace(fast, verdict=replace(fast.verdict, cells=cells))
    (found,) = recommend([judged_run], Wishes()).choices
    sound = {cell.cell_id for cell, how in zip(cells, spoilt, strict=True) if how is None}
    assert {setting.cell_id for setting in found.settings if setting.method} == sound
    assert {aside.cell_id for aside in found.aside} == {cell.cell_id for cell in cells} - sound
    for aside, how in zip(found.aside, filter(None, spoilt), strict=True):
        assert aside.reason.startswith(how)
    assert found.setting is not None
    assert found.outcome == ("faster" if sound else "plain only")
    assert found.chosen == (max(sound) if sound else found.settings[0].cell_id)


def test_every_status_but_ok_is_put_aside(fast: Judged) -> None:
    assert why_unranked(fast.verdict.cells[0]) == ""
    assert all(why_unranked(spoil(fast.verdict.cells[0])) for spoil in UNFIT.values())


def test_a_runtime_that_reveals_nothing_leaves_plain_decoding(tmp_path: Path) -> None:
    found = choice(tmp_path, paced(reveals="nothing"))
    assert found.outcome == "plain only"
    assert {aside.reason.partition(":")[0] for aside in found.aside} == {"unverified"}


def test_what_somebody_else_measured_is_listed_and_never_recommended() -> None:
    phone = cell(4, status="imported", reason="as stated", speedup=speedup(4, 3.0, seed=1))
    found = recommend([Judged(verdict([phone]), ())], Wishes())
    (only,) = found.choices
    assert (only.outcome, only.chosen, only.settings, found.picks) == ("none", None, (), ())
    assert [(aside.cell_id, aside.reason) for aside in only.aside] == [(phone.cell_id, "imported: as stated")]


def test_a_plain_arm_that_drafts_is_no_plain_decoding(tmp_path: Path) -> None:
    def drafting(call: Call, generation: Generation) -> Generation:
        return generation if call.k else replace(generation, statement={"speculative": True})

    found = choice(tmp_path, paced(spoil=drafting))
    assert (found.outcome, found.chosen) == ("none", None)
    assert {aside.reason.partition(":")[0] for aside in found.aside} == {"invalid"}


def test_random_weights_recommend_nothing_at_all(tmp_path: Path) -> None:
    found = choice(tmp_path, paced(synthetic=True))
    assert (found.outcome, found.chosen, found.settings) == ("none", None, ())


def test_a_plain_arm_that_failed_leaves_nothing(tmp_path: Path) -> None:
    def broken(call: Call, generation: Generation) -> Generation | Failure:
        return generation if call.k else Failure("crash", "killed")

    found = choice(tmp_path, paced(spoil=broken))
    assert (found.outcome, found.chosen) == ("none", None)


# -------------------------------------------------------------------------------------------------------------- limits


def test_settings_beyond_a_limit_fall_out_with_the_reason(tmp_path: Path) -> None:
    # Plain 10 ms, k = 1 7.7 ms, k = 3 6.7 ms, k = 4 5 ms; TTFT 20 ms, at every k times what makes its speed.
    found = choice(tmp_path, paced(), max_tpot_ms=7.0)
    assert {k: one.excluded.partition(" ")[0] for k, one in by_k(found).items()} == {0: "TPOT", 1: "TPOT", 3: "", 4: ""}
    assert "is above 7 ms" in by_k(found)[0].excluded
    assert by_k(found)[0].probability is None
    assert found.setting == by_k(found)[4]
    assert [found.of(one.cell_id).draft_length for one in found.beside] == [3]


def test_the_best_within_the_limits_is_recommended(tmp_path: Path) -> None:
    judged_run = run(tmp_path, paced())
    ttft = {cell.draft_length: cell.speculative.ttft_ms for cell in judged_run.verdict.cells if cell.speculative}
    limit = (ttft[1] + ttft[4]) / 2  # type: ignore[operator]
    (found,) = recommend([judged_run], Wishes(max_ttft_ms=limit)).choices
    kept = {k for k, time in ttft.items() if time is not None and time <= limit}
    assert found.setting is not None
    assert kept
    assert kept < set(FAST)
    assert found.setting.draft_length == (max(kept) if max(kept) else 0)


def test_where_plain_decoding_is_too_slow_drafting_needs_no_certainty(tmp_path: Path) -> None:
    found = choice(tmp_path, paced({1: 1.2}, control=False), max_tpot_ms=9.5)
    assert found.outcome == "limits"
    assert found.setting is not None
    assert found.setting.draft_length == 1


def test_where_nothing_keeps_the_limits_the_nearest_is_told(tmp_path: Path) -> None:
    found = choice(tmp_path, paced(), max_tpot_ms=1)
    assert (found.outcome, found.chosen) == ("none", None)
    assert found.reason == f"no setting keeps the limits: TPOT {by_k(found)[4].tpot_ms:.3g} ms is above 1 ms"


def test_smaller_batches_fall_out(tmp_path: Path) -> None:
    found = recommended(tmp_path, paced(), paced(batch_size=2), min_batch=2)
    assert [one.chosen is None for one in found.choices] == [True, False]
    assert found.choices[0].reason == "no setting keeps the limits: batch 1 is below 2"
    assert [pick.place.batch_size for pick in found.picks] == [2]


def test_memory_that_is_not_revealed_does_not_keep_a_limit(tmp_path: Path) -> None:
    assert {one.excluded for one in choice(tmp_path, paced(), memory_bytes=1e12).settings} == {"memory not revealed"}


def test_memory_is_the_most_that_a_call_took(tmp_path: Path) -> None:
    def stated(call: Call, generation: Generation) -> Generation:
        return replace(generation, peak_memory_bytes=10**9 * (1 + call.k) + call.unit)

    found = choice(tmp_path, paced(spoil=stated), memory_bytes=4.5e9)
    assert {k: one.memory_bytes for k, one in by_k(found).items()} == {k: 10**9 * (1 + k) + 7 for k in (0, 1, 3, 4)}
    assert by_k(found)[4].excluded == "memory 5 GB is above 4.5 GB"
    assert found.setting == by_k(found)[3]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"objective": "cost"}, "--price-per-hour"),
        ({"max_tpot_ms": 0.0}, "--max-tpot-ms"),
        ({"max_ttft_ms": float("nan")}, "--max-ttft-ms"),
        ({"min_batch": 0}, "--min-batch"),
        ({"price_per_hour": -1.0}, "--price-per-hour"),
        ({"price_per_hour": float("inf")}, "--price-per-hour inf: it is a finite number above 0"),
        ({"objective": "beauty"}, "latency, throughput"),
    ],
)
def test_wishes_that_cannot_be_meant_are_refused(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Wishes(**wishes)


# ---------------------------------------------------------------------------------------------------------- objectives


def test_throughput_counts_the_wall_time_of_all_tokens(tmp_path: Path) -> None:
    # 41 tokens: TTFT 20 ms x its factor and 40 x TPOT. A long prefill makes drafting pay less than its TPOT.
    found = choice(tmp_path, paced(), objective="throughput")
    for setting in found.settings:
        assert setting.figure == setting.tokens_per_s
    plain, best = by_k(found)[0], by_k(found)[4]
    assert plain.figure == pytest.approx(41 / 0.42, rel=0.02)
    assert best.figure is not None
    assert plain.figure is not None
    assert best.gain == pytest.approx(best.figure / plain.figure, rel=0.01)


def test_cost_is_the_price_of_an_hour_over_its_tokens(tmp_path: Path) -> None:
    found = recommended(tmp_path, paced(), objective="cost", price_per_hour=3.6)
    best = found.choices[0].setting
    assert found.unit == "per million tokens"
    assert best is not None
    assert best.tokens_per_s is not None
    assert best.figure == best.cost_per_million == pytest.approx(1000 / best.tokens_per_s)


def test_a_price_shows_money_beside_any_objective(tmp_path: Path) -> None:
    found = choice(tmp_path, paced(), price_per_hour=3.6)
    assert all(one.cost_per_million == pytest.approx(1000 / (one.tokens_per_s or 0)) for one in found.settings)
    assert {one.joules_per_token for one in found.settings} == {None}


def test_energy_is_power_times_time_over_tokens_and_may_decide_otherwise(tmp_path: Path) -> None:
    world = paced(telemetry=watts(plain=100.0, drafted=300.0))
    judged_run = run(tmp_path, world)
    (fastest,) = recommend([judged_run], Wishes()).choices
    (leanest,) = recommend([judged_run], Wishes(objective="energy")).choices
    assert (fastest.outcome, leanest.outcome) == ("faster", "slower")
    plain, drafted = by_k(leanest)[0], by_k(leanest)[4]
    assert plain.figure == plain.joules_per_token == pytest.approx(100 * 0.42 / 41, rel=0.02)
    assert drafted.joules_per_token == pytest.approx(300 / (drafted.tokens_per_s or 1), rel=0.02)


def test_energy_that_was_measured_nowhere_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no power was read"):
        recommended(tmp_path, paced(), objective="energy")


def test_a_group_without_power_beside_one_with_it_has_nothing_to_compare(tmp_path: Path) -> None:
    found = recommended(tmp_path, paced(telemetry=watts(100, 100)), paced(batch_size=2), objective="energy")
    assert [one.outcome for one in found.choices] == ["faster", "plain only"]
    assert {aside.reason for aside in found.choices[1].aside} == {"no power to compare"}
    assert len(found.picks) == 1


# ------------------------------------------------------------------------------------------------ over batches and runs


def test_the_best_of_all_is_that_of_the_objective(tmp_path: Path) -> None:
    worlds = (paced(), paced({1: 1.3, 3: 1.4}, batch_size=2))
    judged_run = run(tmp_path, *worlds)
    (quickest,) = recommend([judged_run], Wishes()).picks
    (most,) = recommend([judged_run], Wishes(objective="throughput")).picks
    assert (quickest.place.batch_size, most.place.batch_size) == (1, 2)
    assert quickest.among == most.among == 2


def test_workloads_are_not_chosen_between(tmp_path: Path) -> None:
    found = recommended(tmp_path, paced(), paced(temperature=1.0))
    assert len(found.picks) == 2


def test_several_files_stand_side_by_side(tmp_path: Path) -> None:
    runs = [run(tmp_path, paced(), name="a"), run(tmp_path, paced({1: 1.1}), name="b")]
    found = recommend(runs, Wishes())
    assert [Path(one.place.file).name for one in found.choices] == ["a.sqlite", "b.sqlite"]
    assert [Path(pick.place.file).name for pick in found.picks] == ["a.sqlite"]


def test_where_drafting_stops_paying_is_found_between_batches(tmp_path: Path) -> None:
    worlds = (paced({4: 2.0}), paced({4: 1.5}, batch_size=2), paced({4: 0.8}, batch_size=4))
    (even,) = recommended(tmp_path, *worlds).break_even
    assert [(at.batch_size, at.outcome) for at in even.batches] == [(1, "faster"), (2, "faster"), (4, "slower")]
    assert (even.pays_up_to, even.ends_at) == (2, 4)
    # log 1.5 / (log 1.5 - log 0.8) = 0.645 of the way from 2 to 4 in log(batch)
    assert even.crossing == pytest.approx(2 * 2**0.645, rel=0.02)


def test_limits_do_not_move_the_break_even(tmp_path: Path) -> None:
    worlds = (paced({4: 2.0}), paced({4: 0.8}, batch_size=2))
    (even,) = recommended(tmp_path, *worlds, min_batch=2, max_ttft_ms=1).break_even
    assert (even.pays_up_to, even.ends_at) == (1, 2)


PLACE = Place("f", 0, "b", "p", 1, 8, 41, 0.0, "float32", "cpu", "")


def at(batch: int, gain: float, outcome: Outcome) -> AtBatch:
    return AtBatch("f", batch, batch, 4, gain, None, outcome)


@pytest.mark.parametrize(
    ("batches", "up_to", "ends", "crossing"),
    [
        ([at(1, 2.0, "faster"), at(8, 1.2, "faster")], 8, None, None),
        ([at(1, 0.9, "slower"), at(8, 0.8, "slower")], None, 1, None),
        ([at(1, 2.0, "faster"), at(4, 1.02, "same")], 1, 4, None),
        ([at(1, 2.0, "faster"), at(4, 0.5, "slower")], 1, 4, 2.0),
        ([at(1, 2.0, "untold"), at(4, 0.5, "slower")], None, 4, 2.0),
        ([at(1, 2.0, "faster"), at(2, 1.5, "untold"), at(4, 1.4, "faster")], 4, None, None),
        ([at(1, 2.0, "faster"), at(2, 1.0, "same"), at(4, 1.4, "faster")], 1, 2, 2.0),
        ([at(1, 2.0, "untold"), at(2, 1.0, "untold")], None, None, 2.0),
    ],
)
def test_break_even(batches: Sequence[AtBatch], up_to: int | None, ends: int | None, crossing: float | None) -> None:
    found = break_even(PLACE, batches)
    assert (found.pays_up_to, found.ends_at) == (up_to, ends)
    assert found.crossing == (None if crossing is None else pytest.approx(crossing))


def test_one_batch_size_has_no_break_even(tmp_path: Path) -> None:
    assert recommended(tmp_path, paced()).break_even == ()


def test_it_is_json(tmp_path: Path) -> None:
    found = json.loads(json.dumps(as_json(recommended(tmp_path, paced()))))
    assert (found["schema"], found["objective"]) == (1, "latency")
    assert found["choices"][0]["settings"][0]["method"] is None
    assert Interval(**found["choices"][0]["settings"][1]["adjusted"]).low > 1
