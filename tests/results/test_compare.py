"""Two runs side by side: cells are matched, ratios paired where the prompts are the same, differences said."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.big_run import write_big_run
from support.samples import CELLS, GENERATION, LAUNCH, MANIFEST, PROMPT, TRIAL
from support.verdicts import acceptance, cell, demo, hostile, missing_intervals, run_facts, speedup, troubled, verdict

from results.compare import Ratio, compare, speedup_ratio
from results.judge import judge
from results.origin import Origin, origin
from results.records import SessionFacts
from results.store import RunFile, RunWriter
from results.verdicts import RunVerdict, Speedup, as_json

SAME = {group: {unit: f"prompt {unit}" for unit in range(24)} for group in range(2)}
OTHER = {group: {unit: f"another {unit}" for unit in range(24)} for group in range(2)}


def faster(run: RunVerdict, factor: float) -> RunVerdict:
    """The same run with every speed-up multiplied."""
    cells = []
    for one in run.cells:
        assert one.speedup and one.speculative and one.speculative.tpot_ms
        units = tuple((unit, category, ratio * factor) for unit, category, ratio in one.speedup.per_unit)
        gain = replace(one.speedup, point=one.speedup.point * factor, per_unit=units)
        arm = replace(one.speculative, tpot_ms=one.speculative.tpot_ms / factor)
        cells.append(replace(one, speedup=gain, speculative=arm))
    return replace(run, cells=cells)


def origins(a: dict[int, dict[int, str]], b: dict[int, dict[int, str]]) -> tuple[Origin, Origin]:
    return Origin(a, {}), Origin(b, {})


def test_cells_are_matched_and_ratios_are_b_over_a() -> None:
    a, b = demo(), faster(demo(), 1.1)
    found = compare(a, b)
    assert len(found.cells) == 12 and not found.only_a and not found.only_b
    for one in found.cells:
        assert one.speedup is not None and one.speedup.point == pytest.approx(1.1)
        assert one.speculative_tpot == pytest.approx(1 / 1.1)
        assert one.plain_tpot == 1.0
        assert one.acceptance is not None and one.acceptance.point == 0.0
        assert (one.status_a, one.status_b) == ("ok", "ok")


def test_the_same_prompts_are_paired_whatever_their_order() -> None:
    gain = speedup(4, 1.0, seed=1)
    turned = tuple((23 - unit, category, ratio * 1.1) for unit, category, ratio in gain.per_unit)
    a, b = verdict([cell(4, speedup=gain)]), verdict([cell(4, speedup=replace(gain, per_unit=turned))])
    reversed_prompts = {0: {23 - unit: digest for unit, digest in SAME[0].items()}}
    (one,) = compare(a, b, origins(SAME, reversed_prompts)).cells
    assert one.speedup is not None and one.speedup.interval is not None
    assert (one.speedup.basis, one.speedup.units) == ("paired by prompt", 24)
    assert one.speedup.point == pytest.approx(1.1)
    assert one.speedup.interval.low == pytest.approx(1.1) and one.speedup.interval.high == pytest.approx(1.1)


def test_other_prompts_are_not_paired_and_that_is_said() -> None:
    found = compare(demo(), faster(demo(), 1.1), origins(SAME, OTHER))
    assert {one.speedup.basis for one in found.cells if one.speedup} == {"unpaired"}
    assert "12 of 12 cells have too few prompts in common to pair their speed-ups" in found.warnings
    for one in found.cells:
        assert one.speedup is not None and one.speedup.interval is not None
        assert one.speedup.interval.low < 1.1 < one.speedup.interval.high
        assert one.speedup.interval.high / one.speedup.interval.low > 1.01


def test_prompts_in_common_are_paired_when_they_are_at_least_half() -> None:
    def basis(common: int) -> tuple[str, int]:
        mixed = {0: {unit: SAME[0][unit] if unit < common else OTHER[0][unit] for unit in range(24)}}
        (one,) = compare(verdict([cell(4)]), verdict([cell(4)]), origins(SAME, mixed)).cells
        assert one.speedup is not None
        return one.speedup.basis, one.speedup.units

    assert basis(12) == ("paired by prompt", 12)
    assert basis(11) == ("unpaired", 24)


@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_covers_the_true_ratio(paired: bool) -> None:
    rng = random.Random(1)
    truth, covered, runs = 1.05, 0, 800

    def drawn(base: list[float], factor: float, sd: float) -> Speedup:
        logs = [log + math.log(factor) + rng.gauss(0, sd) for log in base]
        units = tuple((unit, "c", math.exp(log)) for unit, log in enumerate(logs))
        return replace(speedup(4, 1.0, 0), point=math.exp(sum(logs) / len(logs)), per_unit=units)

    for _ in range(runs):
        prompts = [rng.gauss(0.7, 0.2) for _ in range(20)]
        others = prompts if paired else [rng.gauss(0.7, 0.2) for _ in range(12)]
        digests = {unit: str(unit) for unit in range(20)}
        a, b = drawn(prompts, 1.0, 0.02), drawn(others, truth, 0.05)
        ratio = speedup_ratio(a, b, (digests, digests) if paired else None)
        assert ratio.interval is not None
        covered += ratio.interval.low <= truth <= ratio.interval.high
        assert (ratio.interval.high / ratio.interval.low < 1.12) == paired, "pairing takes the prompts' spread away"
    assert 0.93 <= covered / runs <= 0.99


def test_what_cannot_be_computed_is_none() -> None:
    (one,) = compare(missing_intervals(), missing_intervals(), origins(SAME, SAME)).cells
    assert one.speedup == Ratio(1.0, None, 0.95, 0, "unpaired")
    assert one.acceptance is not None and one.acceptance.interval is None
    bare = verdict([cell(2, speedup=None, acceptance=None, baseline=None, speculative=None, status="failed")])
    (one,) = compare(missing_intervals(), bare).cells
    assert (one.status_a, one.status_b) == ("ok", "failed")
    assert (one.speedup, one.speedup_b, one.acceptance, one.plain_tpot, one.speculative_tpot) == (None,) * 5
    assert one.speedup_a == 1.5


def test_acceptance_differences_carry_both_uncertainties() -> None:
    before = acceptance(4)
    after = replace(before, length=2.0, low=1.7, high=2.3)
    (one,) = compare(verdict([cell(4, acceptance=before)]), verdict([cell(4, acceptance=after)])).cells
    assert one.acceptance is not None and one.acceptance.interval is not None
    assert before.low is not None and before.high is not None
    half = math.hypot(0.3, (before.high - before.low) / 2)
    assert one.acceptance.point == pytest.approx(2.0 - before.length)
    assert one.acceptance.interval.high - one.acceptance.point == pytest.approx(half)


def test_cells_of_one_run_only_and_doubled_cells_are_listed() -> None:
    a, b = verdict([cell(1), cell(2), cell(2)]), verdict([cell(2), cell(3), cell(3, group=1, prompt_tokens=None)])
    found = compare(a, b)
    assert [one.cell.draft_length for one in found.cells] == [2]
    assert [key.draft_length for key in found.only_a] == [1, 2]
    assert [(key.draft_length, key.prompt_tokens) for key in found.only_b] == [(3, 64), (3, None)]
    assert any(warning.startswith("several cells are transformers demo mtp k=2") for warning in found.warnings)


def test_what_differs_in_machine_versions_and_settings_is_said_once_each() -> None:
    facts = run_facts()
    provenance: dict[str, Any] = {
        **facts["provenance"],
        "cpu": {"model": "Another", "cores": 2, "threads": 2},
        "load_average": [9, 9, 9],
    }
    b = verdict([cell(1)], provenance=provenance, sweep={**facts["sweep"], "threads": 4, "draft_lengths": [1]})
    engines = ({"transformers demo": {"versions": {"torch": "2.13.0"}}}, {"transformers demo": {"versions": {}}})
    found = compare(verdict([cell(1)]), b, (Origin({}, engines[0]), Origin({}, engines[1])))
    assert set(found.warnings) >= {
        "provenance.cpu.model: AMD EPYC 9B14 in A, Another in B",
        "sweep.threads: nothing in A, 4 in B",
        "transformers demo.versions.torch: 2.13.0 in A, nothing in B",
    }
    assert not any("load_average" in warning or "draft_lengths" in warning for warning in found.warnings)


def test_a_comparison_is_strict_json_whatever_the_runs_hold() -> None:
    for a, b in ((troubled(), demo()), (hostile(), hostile()), (demo(), missing_intervals())):
        found = compare(a, b, origins(SAME, SAME))
        assert json.loads(json.dumps(as_json(found), allow_nan=False))["schema"] == 1


def test_a_run_s_origin_tells_prompts_by_content_and_engines_by_launch(tmp_path: Path) -> None:
    facts = SessionFacts({"torch": "2.13.0"}, "cpu", "float32", (1,), None, None, files={"config.json": "ab12"})

    def write(path: Path, order: tuple[int, ...]) -> Origin:
        prompts = (PROMPT, replace(PROMPT, key="coding/04", token_ids=(8, 9)), replace(PROMPT, token_ids=None))
        with RunWriter.create(path, MANIFEST) as writer:
            for one in CELLS:
                writer.add_cell(one)
            ids = {index: writer.add_prompt(prompts[index]) for index in order}
            writer.add_launch(replace(LAUNCH, facts=facts))
            for unit in range(3):
                batch = [(ids[unit], GENERATION), (ids[0], GENERATION)]
                writer.add_trial(replace(TRIAL, unit=unit), batch, {})
        with RunFile.open(path) as file:
            return origin(file)

    a, b = write(tmp_path / "a.sqlite", (0, 1, 2)), write(tmp_path / "b.sqlite", (2, 0, 1))
    assert a == b, "ids differ, contents do not"
    assert len(set(a.prompts[0].values())) == 3
    assert a.engines["transformers demo"]["versions"] == {"torch": "2.13.0"}


def test_a_stored_run_compared_with_itself_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    write_big_run(tmp_path / "run.sqlite", units=30, repeats=2)
    with RunFile.open(tmp_path / "run.sqlite") as file:
        judged, where = judge(file), origin(file)
    found = compare(judged, judged, (where, where))
    assert len(found.cells) == 10 and not found.warnings
    for one in found.cells:
        assert one.speedup is not None and one.speedup.interval is not None
        assert (one.speedup.basis, one.speedup.units) == ("paired by prompt", 30)
        assert one.speedup.interval.low == one.speedup.point == one.speedup.interval.high == 1.0
