"""Whole verdicts from run files whose truth is known."""

import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import Call, World, write

from results.expected import StepCosts
from results.intervals import t_quantile
from results.judge import judge
from results.records import CONTROL, HEADLINE, INSTRUMENTED, PLAIN, Failure, Generation
from results.runfile import RunFile
from results.verdicts import AcceptanceOf, ArmTiming, CellVerdict, Interval, RunVerdict, as_json

DEFAULT = World()


def verdict(folder: Path, world: World = DEFAULT, confidence: float = 0.95) -> RunVerdict:
    with RunFile.open(write(folder / "run.sqlite", world)) as file:
        return judge(file, confidence=confidence)


def cell(folder: Path, world: World = DEFAULT, k: int = 1) -> CellVerdict:
    return next(c for c in verdict(folder, world).cells if c.draft_length == k)


# -------------------------------------------------------------------------- one cell, every figure worked out by hand
#
# k = 1 on the default world: a plain step takes 10 ms, a round 1 + 9.5 + 0.5 = 11 ms. Drafts that would be accepted,
# round by round: 2 0 4 1 1 and over again, so at k = 1: 1 0 1 1 1, which emits 2 1 2 2 2 tokens. Unit u starts u
# rounds later. 40 tokens after the prefill's take, from the start of the pattern, 4 whole turns (20 rounds, 36
# tokens), 2, 1, and a last round that accepts 1 and emits the one token left: 23 rounds, and so 23 * 11 ms.
# Unit 1 starts with 1 2 2 2 2: 36 tokens, then 1 2, then the last round: 23. Unit 2: 2 2 2 2 1, 36, then 2 2: 22.
# Unit 3: 2 2 2 1 2, 36, 2 2: 22.


ROUNDS = (23, 23, 22, 22)


def test_the_speed_up_is_the_geometric_mean_over_units(tmp_path: Path) -> None:
    told = cell(tmp_path).speedup
    assert told is not None
    ratios = [400 / (11 * rounds) for rounds in ROUNDS]
    assert [ratio for _, _, ratio in told.per_unit] == pytest.approx(ratios)
    assert told.point == pytest.approx(math.prod(ratios) ** (1 / 4))
    assert told.total_time_ratio == pytest.approx(1600 / (11 * sum(ROUNDS)))
    assert told.e2e == pytest.approx(math.prod(420 / (20 + 11 * rounds) for rounds in ROUNDS) ** (1 / 4))
    assert told.throughput == pytest.approx(4 * 420 / (4 * 20 + 11 * sum(ROUNDS)))
    assert told.these_prompts == Interval(pytest.approx(told.point), pytest.approx(told.point))
    assert (told.launches, told.basis, told.confidence) == (1, "within this launch", 0.95)


def test_timings_are_medians_over_units(tmp_path: Path) -> None:
    found = cell(tmp_path)
    assert found.baseline == ArmTiming(10.0, 20.0, pytest.approx(41 / 0.420), 1.0, 10.0)
    assert found.speculative is not None
    assert found.speculative.tpot_ms == pytest.approx(11 * 22.5 / 40)
    assert found.speculative.inter_chunk_ms == pytest.approx(11.0)


def test_acceptance_leaves_the_cut_last_round_out(tmp_path: Path) -> None:
    # Units 0 and 1 end with a cut round; units 2 and 3 do not. Accepted: 40 tokens - rounds, the cut round emits 1.
    found = cell(tmp_path).acceptance
    assert found is not None
    assert (found.rounds, found.rounds_left_out) == (22 * 4, 2)
    accepted = (39 - 22) * 2 + (40 - 22) * 2
    assert found.length == pytest.approx(1 + accepted / 88)
    assert found.rate == pytest.approx(accepted / 88)
    assert found.per_position == (pytest.approx(accepted / 88),)
    # Units 0 and 2 are code, 17 and 18 of 22 accepted: residuals -1/2 and 1/2, variance 2 * (1/2) / 44^2, df 1.
    low = 1 + 35 / 44 - t_quantile(1, 0.95) / 44
    assert found.by_category["code"] == AcceptanceOf("code", pytest.approx(1 + 35 / 44), pytest.approx(low), 2.0, 44)


@pytest.mark.parametrize(
    ("told", "ratio"),
    [
        (lambda k: {"distinct_per_layer": [8 * (1 + k), 8 * (1 + k) - 2]}, 23 / 7),
        (lambda k: {"distinct_per_layer": [8.0]} if k else {}, None),
        (lambda k: {"distinct_per_layer": [True, "8", float("inf"), -1]}, None),
        (lambda k: [8], None),
    ],
)
def test_experts_of_a_verification_stand_beside_those_of_a_plain_pass(
    tmp_path: Path, told: Callable[[int], Any], ratio: float | None
) -> None:
    def told_by(call: Call, seen: Generation) -> Generation:
        return replace(seen, statement={"experts": told(call.k)}) if call.phase == INSTRUMENTED else seen

    found = cell(tmp_path, World(spoil=told_by), k=2).costs
    assert found is not None and found.widening is not None
    assert found.widening.experts == (None if ratio is None else pytest.approx(ratio))


def test_costs_and_theory_come_from_the_instrumented_pass(tmp_path: Path) -> None:
    found = cell(tmp_path, k=2)
    assert found.costs is not None and found.costs.widening is not None
    assert replace(found.costs, widening=None) == StepCosts(9.0, 1.0, 10.0, 1.0, 0.5, 1.0)
    wider = found.costs.widening
    assert (wider.ratio, wider.low, wider.high, wider.units) == (*[pytest.approx(10 / 9)] * 3, 4)
    assert found.acceptance is not None
    assert found.theory is not None
    assert found.theory.alpha == pytest.approx(70 / 88)
    assert found.theory.leviathan == pytest.approx((1 - (70 / 88) ** 3) / ((1 - 70 / 88) * (2 / 9 + 1)))
    assert found.theory.predicted == pytest.approx(found.acceptance.length * 10 / 12.5)
    assert found.speedup is not None
    assert found.theory.waterfall[-1].speedup == found.speedup.point


def test_the_a_a_arm_certifies_the_noise(tmp_path: Path) -> None:
    def slow_control(call: Call) -> float:
        return 1.0 + 0.01 * call.unit * (call.cell.role == CONTROL)

    still, moved = tmp_path / "still", tmp_path / "moved"
    still.mkdir()
    moved.mkdir()
    assert cell(still).aa == Interval(1.0, 1.0)
    aa = cell(moved, World(slowness=slow_control)).aa
    assert aa is not None
    assert aa.low < 0.99 < aa.high


def test_an_effect_within_the_noise_is_not_distinguishable(tmp_path: Path) -> None:
    world = World(slowness=lambda call: 4.0 if call.cell.role == CONTROL and call.unit % 2 else 1.0)
    assert cell(tmp_path, world).distinguishable is False


def test_without_an_a_a_arm_nothing_is_called_distinguishable(tmp_path: Path) -> None:
    found = verdict(tmp_path, World(control=False))
    assert {(c.aa, c.distinguishable) for c in found.cells} == {(None, None)}
    assert any("no A/A arm" in line for line in found.warnings)


def test_one_unit_has_no_interval_for_new_prompts(tmp_path: Path) -> None:
    found = verdict(tmp_path, World(units=1))
    told = found.cells[0].speedup
    assert told is not None
    assert told.these_prompts is not None
    assert (told.new_prompts, told.adjusted) == (None, None)
    assert found.best[0].adjusted is None
    assert not found.best[0].distinguishable


def test_two_launches_are_judged_over_launches(tmp_path: Path) -> None:
    world = World(launches=2, slowness=lambda call: 1.1 if call.launch and not call.k else 1.0)
    told = cell(tmp_path, world).speedup
    assert told is not None
    assert (told.launches, told.basis) == (2, "over launches")
    once = math.prod(400 / (11 * rounds) for rounds in ROUNDS) ** (1 / 4)
    assert told.point == pytest.approx(once * math.sqrt(1.1))


def test_the_best_of_a_group_is_judged_for_having_been_chosen(tmp_path: Path) -> None:
    found = verdict(tmp_path)
    (best,) = found.best
    top = max(found.cells, key=lambda c: c.speedup.point if c.speedup else 0.0)
    assert (best.cell_id, best.draft_length, best.candidates) == (top.cell_id, 2, 3)
    assert top.speedup is not None
    assert top.speedup.adjusted is not None
    assert top.speedup.new_prompts is not None
    assert best.adjusted == top.speedup.adjusted
    assert top.speedup.adjusted.low < top.speedup.new_prompts.low < top.speedup.new_prompts.high


def test_an_invalid_cell_is_never_the_best(tmp_path: Path) -> None:
    def cached(call: Call, seen: Generation) -> Generation:
        return replace(seen, cached_tokens=8) if call.k == 2 else seen

    found = verdict(tmp_path, World(spoil=cached))
    assert found.best[0].draft_length != 2
    assert found.best[0].candidates == 2


def test_tokens_after_the_natural_end_are_left_out_everywhere(tmp_path: Path) -> None:
    # The end is the tenth token: nine after the prefill's. A plain arm takes 9 steps.
    found = cell(tmp_path, World(eos_at=9, units=2))
    assert found.baseline is not None
    assert found.baseline.tpot_ms == pytest.approx(10.0)
    assert found.tokens_after_eos == 2 * 2 * 31
    # Unit 0 emits 2 1 2 2 2 tokens: the fifth round ends with the end token, after 55 ms. Unit 1: 1 2 2 2 2.
    assert found.speculative is not None
    assert found.speculative.tpot_ms == pytest.approx(55 / 9)
    assert found.acceptance is not None
    assert found.acceptance.rounds == 5 + 5


def test_a_batch_is_one_unit_with_its_prompts(tmp_path: Path) -> None:
    found = cell(tmp_path, World(batch_size=3))
    assert (found.n_units, found.n_prompts, found.batch_size) == (4, 12, 3)
    assert found.baseline is not None
    assert found.baseline.tpot_ms == pytest.approx(10.0)
    assert found.baseline.tokens_per_s == pytest.approx(3 * 41 / 0.420)


def test_batches_of_several_categories_are_mixed(tmp_path: Path) -> None:
    told = cell(tmp_path, World(units=4, categories=("code", "prose"))).speedup
    assert told is not None
    assert [category for _, category, _ in told.per_unit] == ["code", "prose", "code", "prose"]


def test_flagged_trials_are_counted_and_kept(tmp_path: Path) -> None:
    def flags(call: Call) -> tuple[str, ...]:
        return ("foreign-load",) if call.unit == 0 and call.cell.role == PLAIN and call.phase == HEADLINE else ()

    found = verdict(tmp_path, World(flags=flags))
    assert found.cells[0].flags == {"foreign-load": 2}
    assert (found.cells[0].trials, found.cells[0].trials_flagged, found.cells[0].n_units) == (16, 2, 4)
    assert (found.run["trials"], found.run["trials_flagged"], found.run["trials_failed"]) == (60, 2, 0)
    assert found.run["warm_ups"] == 20


def test_many_flags_looping_and_noise_are_remarked(tmp_path: Path) -> None:
    def loop(call: Call, seen: Generation) -> Generation:
        return replace(seen, token_ids=(5, 6) * 20 + (5,))

    world = World(
        spoil=loop,
        flags=lambda call: ("throttled",),
        slowness=lambda call: 1.5 if call.cell.role == CONTROL and call.unit % 2 else 1.0,
        state="interrupted",
    )
    lines = "\n".join(verdict(tmp_path, world).warnings)
    assert "interrupted" in lines
    assert "60 of 60 trials are flagged (throttled 60)" in lines
    assert "4 units with a ratio" in lines
    assert "plain decoding against itself differs" in lines
    assert "the output loops (as little as 5% of its 4-grams differ)" in lines


def test_costly_instruments_and_other_prompt_lengths_are_remarked(tmp_path: Path) -> None:
    world = World(
        slowness=lambda call: 1.3 if call.phase == INSTRUMENTED else 1.0,
        spoil=lambda call, seen: replace(seen, prompt_tokens=9),
    )
    found = verdict(tmp_path, world)
    assert any("takes up to 30% longer" in line for line in found.warnings)
    assert any("counts 9 prompt tokens where 8 were asked for" in line for line in found.warnings)


def test_a_group_says_why_it_ended(tmp_path: Path) -> None:
    assert cell(tmp_path).stopped == "all repeats done"


def test_a_lower_confidence_gives_narrower_intervals(tmp_path: Path) -> None:
    wide, narrow = tmp_path / "wide", tmp_path / "narrow"
    wide.mkdir()
    narrow.mkdir()
    of_95, of_80 = (verdict(at, DEFAULT, c).cells[0].speedup for at, c in ((wide, 0.95), (narrow, 0.8)))
    assert of_95 and of_80 and of_95.new_prompts and of_80.new_prompts
    assert of_95.new_prompts.low < of_80.new_prompts.low


def test_every_verdict_is_plain_json(tmp_path: Path) -> None:
    def crash(call: Call, seen: Generation) -> Generation | Failure:
        return Failure("crash", "gone") if call.k == 4 else seen

    told = json.loads(json.dumps(as_json(verdict(tmp_path, World(spoil=crash, skipped={1: "no"})))))
    assert {c["status"] for c in told["cells"]} == {"skipped", "ok", "failed"}
    assert set(told["cells"][0]) == {f.name for f in fields(CellVerdict)}


def test_a_run_without_cells_has_an_empty_verdict(tmp_path: Path) -> None:
    found = verdict(tmp_path, World(units=0))
    assert found.best == []
    assert all(c.speedup is None and c.acceptance is None and c.theory is None for c in found.cells)


def test_the_run_tells_each_runtime_s_versions_as_its_worker_stated_them(tmp_path: Path) -> None:
    assert verdict(tmp_path).run["versions"] == {"fake": {"fake": "1"}}
