"""Published statements beside a run: compared only with their like, and ruled by intervals."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.certificates import equivalence
from support.runs import run_file
from support.statements import checked, claim, measured, run_of
from support.verdicts import HOSTILE, demo, hostile, run_facts, speedup, verdict

from mtpbench.cli import run as mtpbench
from reports.claims import show_claims
from results.statements.claims import check
from results.statements.published import read_claims
from results.statements.ruling import Outcome
from results.statements.scope import mismatches, stands_in
from results.verdicts import Interval, RunVerdict, as_json

SHIPPED = Path(__file__).parents[2] / "workloads" / "claims.json"


@pytest.mark.parametrize(
    ("low", "high", "statement", "outcome"),
    [
        (3.0, 3.2, {"low": 3.11, "high": 3.11}, "reproduced"),
        (2.0, 2.2, {"low": 3.11, "high": 3.11}, "not reproduced"),
        (3.3, 3.4, {"low": 3.11, "high": 3.11}, "not reproduced"),
        (1.1332, 1.1338, {"low": 1.13, "high": 1.13}, "not reproduced"),
        (1.1332, 1.1338, {"low": 1.13, "high": 1.13, "rounding": 0.005}, "reproduced"),
        (0.9, 1.3, {"low": 1.13, "high": 1.13}, "not comparable"),
        (1.3, 1.5, {"low": 1.2, "high": 1.8}, "reproduced"),
        (1.1, 1.5, {"low": 1.2, "high": 1.8}, "not comparable"),
        (1.9, 2.1, {"low": 1.2, "high": 1.8}, "not reproduced"),
        (0.8, 0.9, {"high": 1}, "reproduced"),
        (1.1, 1.2, {"high": 1}, "not reproduced"),
        (0.9, 1.1, {"high": 1}, "not comparable"),
        (2.1, 2.4, {"low": 2}, "reproduced"),
        (1.1, 3.1, {"low": 2, "high": 2}, "not comparable"),
        (1.5, 6.0, {"low": 2, "high": 2}, "not comparable"),
        (1.5, 2.6, {"low": 2, "high": 2}, "reproduced"),
        (0.3, 0.7, {"low": 0.5, "high": 0.5}, "not comparable"),
        (0.4, 0.7, {"low": 0.5, "high": 0.5}, "reproduced"),
        (1.001, 1.014, {"low": 1.01, "high": 1.01}, "not comparable"),
        (1.006, 1.03, {"low": 1.01, "high": 1.01, "rounding": 0.005}, "not comparable"),
        (1.001, 1.09, {"low": 1.05, "high": 1.05, "rounding": 0.05}, "reproduced"),
        (0.99, 1.02, {"low": 1.01, "high": 1.01, "rounding": 0.05}, "not comparable"),
        (2.9, 3.2, {"at_most": 3.0}, "reproduced"),
        (1.35, 1.98, {"at_most": 1.95}, "not comparable"),
        (1.88, 1.98, {"at_most": 1.95}, "not comparable"),
        (1.88, 1.98, {"at_most": 1.95, "rounding": 0.05}, "reproduced"),
        (2.5, 2.9, {"at_most": 3.0}, "not reproduced"),
        (0.9, 3.2, {"at_most": 3.0}, "not comparable"),
    ],
)  # fmt: skip
def test_the_interval_rules(low: float, high: float, statement: dict[str, Any], outcome: Outcome) -> None:
    found = checked(run_of(measured(low, high)), statement)
    assert (found.outcome, found.found[0].outcome) == (outcome, outcome)
    assert found.found[0].interval == Interval(low, high)
    assert ("too imprecise" in found.why) == (outcome == "not comparable")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pair": "gemma-4-31B", "method": "eagle3"}, "method: published for mtp, measured eagle3"),
        ({"pair": "gemma-4-E4B"}, "model: published for gemma-4-31B, measured gemma-4-E4B"),
        ({"pair": "gemma-4-31B2"}, "model: published for gemma-4-31B, measured gemma-4-31B2"),
        ({"pair": "demo"}, "model: published for gemma-4-31B, measured demo"),
        ({"pair": "random:gemma-4-31B"}, "weights: random:gemma-4-31B has weights made at random"),
        ({"backend": "sglang"}, "runtime: published for vllm, measured sglang"),
        ({"batch_size": 4}, "batch: published for 1, measured 4"),
        ({"draft_length": 5}, "draft length: published for 4, measured 5"),
        ({"device": "cpu"}, "hardware: published for H100, measured cpu, Intel Xeon 8480"),
    ],
)
def test_another_model_runtime_machine_or_setting_is_never_compared(changes: dict[str, Any], why: str) -> None:
    found = checked(run_of(measured(3.0, 3.2, **changes)), {"low": 3.11, "high": 3.11})
    assert (found.outcome, found.found) == ("not comparable", ())
    assert found.why == why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"synthetic": True}, "synthetic"),
        ({"status": "unverified", "reason": "reveals nothing"}, "unverified: reveals nothing"),
        ({"status": "invalid", "reason": "the drafter is idle"}, "invalid: the drafter is idle"),
        ({"equivalence": equivalence(unexplained=1)}, "not the target's own"),
        ({"speedup": None}, "no speed-up"),
        ({"speedup": replace(speedup(4, 1.5, 1), new_prompts=None)}, "too few units"),
    ],
)
def test_a_cell_that_may_not_be_ranked_bears_nothing_out(changes: dict[str, Any], why: str) -> None:
    found = checked(run_of(measured(3.0, 3.2, **changes)), {"low": 3.11, "high": 3.11})
    assert found.outcome == "not comparable" and why in found.why


def test_up_to_is_not_reached_by_the_upper_end_of_an_interval_alone() -> None:
    found = checked(run_of(measured(1.35, 1.98)), {"at_most": 1.95})
    assert found.outcome == "not comparable"
    assert found.why.endswith("the best that was measured stays below it, but its interval does not rule it out")


def test_a_gain_no_larger_than_chance_is_too_imprecise() -> None:
    found = checked(run_of(measured(1.01, 1.04, distinguishable=False)), {"low": 1.02, "high": 1.02})
    assert found.outcome == "not comparable" and "not distinguishable" in found.why


def test_an_interval_that_holds_no_gain_too_says_nothing_where_chance_is_unknown() -> None:
    found = checked(run_of(measured(0.9, 1.3, distinguishable=None)), {"low": 1.13, "high": 1.13})
    assert found.outcome == "not comparable" and "no gain" in found.why


def test_weights_prompts_temperature_and_number_of_accelerators_are_part_of_the_scope() -> None:
    run, one = run_of(measured(3.0, 3.2), workload={"names": ["demo"]}), measured(3.0, 3.2)
    for scope, why in (
        ({"weights": ["FP8"]}, "weights: published for FP8, measured bfloat16"),
        ({"workload": "mt-bench"}, "prompts: published for mt-bench, measured demo"),
        ({"temperature": 1.0}, "temperature: published for 1, measured 0"),
        ({"gpus": 2}, "accelerators: published for 2, measured 1 listed"),
        ({"device": "cpu"}, "device: published for cpu, measured cuda:0"),
    ):
        (stated,) = claim({"low": 1}, **scope).stated()
        assert mismatches(stated, one, run.run) == [why]
    (stated,) = claim({"low": 1}, weights=["FP8"]).stated()
    assert mismatches(stated, replace(one, pair="x/gemma-4-31B-it-FP8"), run.run) == []


def test_where_the_draft_length_is_open_the_best_stands_for_it_with_its_widened_interval() -> None:
    cells = [measured(1.4, 1.5, k=1), measured(3.0, 3.2, k=4)]
    found = checked(run_of(*cells), {"low": 1.45, "high": 1.45}, draft_length=None)
    assert found.outcome == "not reproduced"
    (one,) = found.found
    assert (one.draft_length, one.candidates) == (4, 2)
    assert any("draft length" in note for note in found.notes)


def test_up_to_looks_at_the_best_of_all_and_says_what_the_source_left_open() -> None:
    cells = [measured(1.4, 1.5), measured(2.9, 3.2, group=1, prompt_tokens=256, pair="gemma-4-E4B")]
    found = checked(run_of(*cells), {"at_most": 3.0}, pairs=["gemma-4"], hardware=(), runtimes=(), batch=None,
                    draft_length=None)  # fmt: skip
    assert found.outcome == "reproduced" and found.found[0].pair == "gemma-4-E4B"
    assert found.notes == ("not stated by the source, and as measured here: runtime, hardware, batch, draft length, "
                           "prompts",)  # fmt: skip


def test_identical_output_is_said_of_every_setting() -> None:
    statement = {"metric": "identical output"}
    same, tie = measured(3.0, 3.2, equivalence=equivalence()), measured(3, 4, equivalence=equivalence(ties=1), group=1)
    assert checked(run_of(same), statement).outcome == "reproduced"
    found = checked(run_of(same, tie), statement)
    assert found.outcome == "not reproduced" and "explained by numerics" in found.why
    assert checked(run_of(measured(3.0, 3.2)), statement).outcome == "not comparable"


def test_names_are_found_as_whole_words() -> None:
    assert stands_in("Apple M*", "Apple M1 Max") and stands_in("H100", "NVIDIA H100 80GB HBM3")
    assert not stands_in("M1 Max", "Apple M1") and not stands_in("GB10", "GB100")
    assert not stands_in("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU")


def test_none_of_the_shipped_statements_is_comparable_with_the_demo_pair() -> None:
    found = check(demo(), read_claims(SHIPPED)).checked
    assert len(found) == 45 and {one.outcome for one in found} == {"not comparable"}
    assert all("model: published for gemma-4" in one.why or "gemma-4-" in one.why for one in found)
    json.dumps(as_json(check(hostile(), read_claims(SHIPPED))))


def test_the_shipped_statements_meet_their_own_like() -> None:
    run = run_of(measured(3.0, 3.2, k=1, draft_length=8), workload={"names": ["speed-bench"]})
    by_outcome = {one.id: one.outcome for one in check(run, read_claims(SHIPPED)).checked if one.found}
    assert by_outcome["vllm-31b-h100"] == "reproduced" and by_outcome["google-headline"] == "reproduced"
    assert "vllm-31b-rtx6000" not in by_outcome and "vllm-26b-h100" not in by_outcome


def test_a_run_without_cells_or_provenance_is_not_comparable() -> None:
    assert checked(verdict([]), {"low": 1}).why == "nothing was measured"
    odd = run_facts(provenance={"gpus": "none", "cpu": []}, workload="demo")
    assert checked(RunVerdict(odd, [measured(2.0, 3.0)]), {"low": 1}).why.startswith("hardware: ")


def test_the_command_prints_all_at_any_width_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.sqlite"
    run_file(path, demo()).close()
    assert mtpbench(["claims", str(path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["checked"]) == 45
    assert mtpbench(["claims", str(path)]) == 0
    assert "45 not comparable" in capsys.readouterr().out


def test_a_stranger_s_text_is_shown_harmlessly() -> None:
    file = io.StringIO()
    text = HOSTILE.replace("\ud800", "")  # which is no JSON
    bad = claim({"low": 1}, id=text, source=text, words=text, about=text, pairs=(), hardware=(), runtimes=(),
                remark=text)  # fmt: skip
    show_claims(check(run_of(measured(1.2, 1.3, backend=HOSTILE, pair=HOSTILE, method="mtp")), [bad]), Console(
        file=file, width=60))  # fmt: skip
    show_claims(check(hostile(), read_claims(SHIPPED)), Console(file=file, width=100))
    assert not any(sign in file.getvalue() for sign in "\x1b\x07\x00\x9b\u202e\u2066")
