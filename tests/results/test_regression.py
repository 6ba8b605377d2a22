"""A run against its baselines: which cell, by how much, how sure; and what may not be compared at all."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from support.certificates import equivalence, sampling, untested
from support.gated import as_run, baselines, observed, without
from support.verdicts import run_facts

from results.errors import UsageError
from results.gating.limits import Criterion, Finding, GateVerdict, Limits
from results.gating.observed import Drafts, Run
from results.gating.regression import gate
from results.intervals import Part
from results.origin import Origin
from results.verdicts import as_json

EVERYTHING = Limits(min_speedup=1.5, acceptance_drop=0.02, equivalence=True, tpot_asked=True)


def one(verdict: GateVerdict, criterion: Criterion) -> Finding:
    (found,) = (finding for finding in verdict.findings if finding.criterion == criterion)
    return found


def now(**changes: Any) -> Run:
    return as_run([observed(seed=7, **changes)])


def test_a_run_that_is_the_same_passes_and_tpot_is_left_out_for_want_of_baselines() -> None:
    found = gate(now(), baselines(1), Limits())
    assert found.decision == "pass"
    assert [(f.criterion, f.decision) for f in found.findings] == [
        ("status", "pass"), ("speed-up", "pass"), ("TPOT", None),
    ]  # fmt: skip
    assert found.gated == 1
    assert "give 3 baseline runs or more, 2 are missing" in one(found, "TPOT").reason
    assert "paired by prompt" in one(found, "speed-up").basis


def test_a_slow_down_of_a_tenth_fails_by_as_much() -> None:
    found = gate(now(slowdown=0.1), baselines(1), Limits())
    loss = one(found, "speed-up")
    assert found.decision == loss.decision == "fail"
    assert loss.estimate == pytest.approx(1 / 1.1 - 1, abs=0.01)
    assert loss.limit == -0.03 and loss.interval is not None
    assert loss.interval.low < loss.estimate < loss.interval.high < loss.limit
    assert loss.baseline is not None and loss.now == pytest.approx(loss.baseline / 1.1, rel=0.01)


def test_tpot_is_gated_from_three_baselines_on() -> None:
    found = gate(now(slowdown=0.1), baselines(3, spread=0.001), Limits(speedup_loss=None))
    slower = one(found, "TPOT")
    assert slower.decision == "fail" and slower.limit == pytest.approx(0.03)
    assert slower.estimate == pytest.approx(0.1, abs=0.01)
    assert slower.interval is not None and slower.interval.low > 0.03
    assert slower.baseline == pytest.approx(7 / 2, rel=0.05), "milliseconds"


def test_tpot_that_was_asked_for_is_inconclusive_with_two_baselines() -> None:
    found = gate(now(), baselines(2), Limits(tpot_asked=True))
    assert found.decision == "inconclusive"
    tpot = one(found, "TPOT")
    assert tpot.decision == "inconclusive" and "1 is missing" in tpot.reason
    assert tpot.settling is not None and (tpot.settling.prompts, tpot.settling.runs) == (None, 1)


def test_how_baselines_differ_widens_the_interval() -> None:
    calm = one(gate(now(), baselines(5, spread=0.0), Limits()), "speed-up").interval
    restless = one(gate(now(), baselines(5, spread=0.02), Limits()), "speed-up").interval
    assert calm is not None and restless is not None
    assert restless.high - restless.low > 2 * (calm.high - calm.low)


def test_other_prompts_need_leave_and_are_then_not_paired() -> None:
    other = as_run([observed(seed=7, prompts="another")])
    with pytest.raises(UsageError, match=r"differ in prompts: 1 of 1 cells .*--allow prompts"):
        gate(other, baselines(1), Limits())
    found = gate(other, baselines(1), Limits(), allowed=["prompts"])
    loss, paired = one(found, "speed-up"), one(gate(now(), baselines(1), Limits()), "speed-up")
    assert loss.basis.startswith("unpaired") and loss.decision == "inconclusive"
    assert loss.interval is not None and paired.interval is not None
    assert loss.interval.high - loss.interval.low > 3 * (paired.interval.high - paired.interval.low)


@pytest.mark.parametrize("prompts", ["prompt", "other"])
def test_the_figures_beside_each_other_are_of_the_units_compared(prompts: str) -> None:
    verdict = gate(now(units=14, prompts=prompts), baselines(3), Limits(), allowed=["prompts"])
    for criterion in ("speed-up", "TPOT"):
        found = one(verdict, criterion)
        assert found.baseline and found.now and found.estimate is not None
        assert found.now / found.baseline - 1 == pytest.approx(found.estimate)


@pytest.mark.parametrize(
    ("facts", "kind", "told"),
    [
        ({"cpu": {"model": "Another"}}, "hardware", "provenance.cpu.model"),
        ({"gpus": [{"name": "H200", "memory_bytes": 1, "driver": "1"}]}, "hardware", "GPUs: none in A, H200 in B"),
        ({"environment": {"OMP_NUM_THREADS": "4"}}, "settings", "provenance.environment.OMP_NUM_THREADS"),
    ],
)
def test_other_hardware_and_settings_are_refused_unless_allowed(facts: dict[str, object], kind: str, told: str) -> None:
    known = run_facts()["provenance"]
    other = as_run([observed(seed=7)], provenance=known | facts)
    with pytest.raises(UsageError, match=f"differ in {kind}: .*{told}.*--allow {kind}"):
        gate(other, baselines(1), Limits(), allowed=[k for k in ("hardware", "settings", "prompts") if k != kind])
    assert any(told in note for note in gate(other, baselines(1), Limits(), allowed=[kind]).notes)


def test_a_refusal_is_one_harmless_line_whatever_the_file_says() -> None:
    cpu = {"model": "\x1b[31mred\n\u202eEVIL\x9b1m"}
    other = as_run([observed(seed=7)], provenance=run_facts()["provenance"] | {"cpu": cpu})
    with pytest.raises(UsageError) as refused:
        gate(other, baselines(1), Limits())
    assert str(refused.value).isprintable()


def test_how_far_the_plain_arm_itself_moved_stands_beside_the_speed_up() -> None:
    quick = replace(observed().verdict.baseline, tpot_ms=7.09 / 1.1)  # type: ignore[type-var]
    found = gate(as_run([without(observed(seed=7, slowdown=0.1), baseline=quick)]), baselines(2), Limits())
    assert one(found, "speed-up").plain_tpot == pytest.approx(1 / 1.1)


def test_a_run_is_no_baseline_of_itself_and_no_baseline_counts_twice() -> None:
    here, there = now(), baselines(2)
    for same in ([*there, here], [there[0], *there]):
        with pytest.raises(UsageError, match="hold the same run"):
            gate(here, same, Limits())


def test_what_differs_from_some_baselines_only_names_them() -> None:
    facts = run_facts()["provenance"]
    one_, two = (
        as_run([observed(seed=i)], f"{i}", provenance=facts | {"git": {"commit": c}}) for i, c in ((1, "a"), (2, "b"))
    )
    here = as_run([observed(seed=7)], provenance=facts | {"git": {"commit": "b"}})
    assert gate(here, [one_, two], Limits()).notes == ("1: provenance.git.commit: a in A, b in B",)
    assert gate(here, [one_], Limits()).notes == ("provenance.git.commit: a in A, b in B",)


def test_a_run_that_did_not_end_is_named() -> None:
    found = gate(as_run([observed(seed=7)], state="interrupted"), baselines(1), Limits())
    assert found.notes == ("runs/now.sqlite: its run is interrupted, not finished",)


def test_flagged_trials_are_counted() -> None:
    found = gate(as_run([observed(seed=7)], trials=70, trials_flagged=3), baselines(1), Limits())
    assert found.notes == ("runs/now.sqlite: flagged trials: 3 of 70",)


def test_a_synthetic_run_is_never_held_against_a_real_one() -> None:
    real, forced = (as_run([without(observed(seed=seed), synthetic=seed == 8)]) for seed in (7, 8))
    new, old = gate(forced, baselines(1), Limits()), gate(real, [forced], Limits())
    assert [(f.criterion, f.decision) for f in new.findings] == [("status", "fail")]
    assert one(new, "status").reason.startswith("SYNTHETIC now")
    assert [(f.criterion, f.decision) for f in old.findings] == [("status", "inconclusive")]
    assert "SYNTHETIC in the baseline" in one(old, "status").reason
    there = baselines(1)
    assert gate(real, [forced, *there], Limits()).decision == "pass", "a real baseline counts before a synthetic one"


def test_synthetic_runs_are_held_against_each_other_and_said_to_be() -> None:
    there, here = (as_run([without(observed(seed=seed), synthetic=True)]) for seed in (1, 7))
    found = gate(here, [there], Limits())
    assert found.decision == "pass" and one(found, "speed-up").decision == "pass"
    assert found.notes[0].startswith("1 of 1 cells are SYNTHETIC in all runs")


def test_versions_and_drivers_may_differ_and_are_said() -> None:
    gpu = {"name": "H200", "memory_bytes": 1}
    facts = run_facts()["provenance"]
    there = as_run([observed()], "before", provenance=facts | {"gpus": [gpu | {"driver": "1"}]})
    here = as_run([observed(seed=7)], provenance=facts | {"gpus": [gpu | {"driver": "2"}]})
    torch = ({"transformers demo": {"versions": {"torch": v}, "threads": 2}} for v in ("2.12", "2.13"))
    there, here = (replace(run, origin=Origin({}, engines)) for run, engines in zip((there, here), torch, strict=True))
    found = gate(here, [there], Limits())
    assert found.decision == "pass"
    assert any("gpus" in note for note in found.notes)
    assert "transformers demo.versions.torch: 2.12 in A, 2.13 in B" in found.notes


@pytest.mark.parametrize("status", ["failed", "invalid", "skipped"])
def test_a_cell_that_was_ok_and_no_longer_is_fails(status: str) -> None:
    worse = as_run([without(observed(seed=7), status=status, reason="crash: killed by signal 9")])
    found = gate(worse, baselines(1), Limits())
    assert found.decision == "fail"
    (only,) = found.findings
    assert only.reason == f"ok in the baseline, {status} now: crash: killed by signal 9"


def test_a_missing_cell_fails_and_a_new_one_is_said() -> None:
    found = gate(as_run([observed(2)]), baselines(1), Limits())
    assert found.decision == "fail"
    assert one(found, "status").reason == "ok in the baseline, missing now"
    assert [key.draft_length for key in found.new] == [2]


def test_a_cell_that_was_not_ok_in_the_baseline_is_put_aside() -> None:
    there = as_run(
        [observed(), without(observed(2), status="invalid"), without(observed(1), status="skipped")], "before"
    )
    found = gate(as_run([observed(seed=7), observed(2), without(observed(1), status="skipped")]), [there], Limits())
    assert found.decision == "pass" and not found.new
    assert [key.draft_length for key in found.put_aside] == [2]


def test_a_cell_that_can_no_longer_be_verified_is_inconclusive() -> None:
    found = gate(as_run([without(observed(seed=7), status="unverified", reason="no rounds")]), baselines(1), Limits())
    assert found.decision == "inconclusive" and one(found, "status").decision == "inconclusive"


def test_a_runtime_that_never_reveals_its_rounds_can_be_gated() -> None:
    before = as_run([without(observed(), status="unverified", reason="no rounds")])
    found = gate(as_run([without(observed(seed=7), status="unverified", reason="no rounds")]), [before], Limits())
    assert found.decision == "pass"


def test_no_speed_up_counts_where_the_output_is_not_the_target_s_own() -> None:
    wrong = as_run([without(observed(seed=7), equivalence=equivalence(unexplained=2))])
    found = gate(wrong, baselines(1), Limits())
    assert found.decision == "fail"
    (only,) = found.findings
    assert "UNEXPLAINED" in only.reason
    with pytest.raises(UsageError, match="nothing to hold this run against"):
        gate(wrong, [as_run(wrong.cells)], Limits())


@pytest.mark.parametrize(
    ("certificate", "decision"),
    [
        ({"equivalence": equivalence()}, "pass"),
        ({"equivalence": equivalence(ties=1)}, "pass"),
        ({"equivalence": equivalence(unexplained=1)}, "fail"),
        ({"equivalence": untested()}, "inconclusive"),
        ({}, "inconclusive"),
        ({"temperature": 1.0, "sampling": sampling()}, "pass"),
        ({"temperature": 1.0, "sampling": sampling("biased")}, "fail"),
    ],
)
def test_equivalence_is_required_of_every_cell_that_was_measured(certificate: dict[str, object], decision: str) -> None:
    new = observed(2, seed=3, **certificate)  # type: ignore[arg-type]
    found = gate(as_run([observed(4, seed=7, equivalence=equivalence()), new]), baselines(1), Limits(equivalence=True))
    judged = [f.decision for f in found.findings if f.criterion == "equivalence" and f.cell.draft_length == 2]
    assert judged == [decision]
    assert found.decision == decision


def test_acceptance_is_held_against_an_absolute_drop() -> None:
    limits = Limits(speedup_loss=None, acceptance_drop=0.02)
    same, less = (gate(now(fewer=fewer), baselines(1), limits) for fewer in (0, 5))
    assert one(same, "acceptance").decision == "pass" and one(same, "acceptance").estimate == 0
    lost = one(less, "acceptance")
    assert lost.decision == "fail" and lost.estimate == pytest.approx(-0.05) and lost.limit == -0.02
    assert lost.interval is not None and lost.interval.low < -0.05 < lost.interval.high < -0.02


@pytest.mark.parametrize(("units", "decision"), [(2, "inconclusive"), (4, "inconclusive"), (24, "pass")])
def test_few_prompts_that_agree_do_not_make_acceptance_certain(units: int, decision: str) -> None:
    limits = Limits(speedup_loss=None, acceptance_drop=0.02)
    found = gate(now(units=units), baselines(1, units=units), limits)
    assert one(found, "acceptance").estimate == 0
    assert one(found, "acceptance").decision == decision


def test_the_interval_of_acceptance_is_clustered_by_prompt() -> None:
    before = baselines(1)
    here = observed(seed=7)
    drafts = {name: Drafts(d.accepted + (8 if i % 2 else -8), 100) for i, (name, d) in enumerate(here.drafts.items())}
    found = gate(as_run([replace(here, drafts=drafts)]), before, Limits(speedup_loss=None, acceptance_drop=0.02))
    change = one(found, "acceptance")
    # 24 differences of +-0.08: standard error 0.08 / sqrt(23), t(23; 0.95) = 2.069; two rates of 2,400 drafts each of
    # which a 24th is drawn anew
    rate = change.now
    assert change.interval is not None and rate is not None
    variance = 0.08**2 / 23 + 2 * rate * (1 - rate) / 2400 / 24
    assert change.interval.high - change.interval.low == pytest.approx(2 * 2.0687 * math.sqrt(variance), rel=1e-3)
    assert change.decision == "inconclusive"


def test_a_runtime_that_hides_acceptance_is_inconclusive_where_that_is_gated() -> None:
    hidden = as_run([replace(observed(seed=7), drafts={})])
    found = gate(hidden, baselines(1), Limits(acceptance_drop=0.02))
    assert one(found, "acceptance").decision == "inconclusive"
    assert "does not reveal" in one(found, "acceptance").reason


@pytest.mark.parametrize(("least", "decision"), [(1.5, "pass"), (2.0, "inconclusive"), (2.5, "fail")])
def test_a_minimum_speed_up_needs_no_baseline_figure(least: float, decision: str) -> None:
    found = gate(now(), baselines(1), Limits(speedup_loss=None, min_speedup=least))
    reached = one(found, "minimum speed-up")
    assert reached.decision == decision and reached.limit == pytest.approx(least)
    assert reached.estimate == pytest.approx(reached.now)


def test_launches_within_the_runs_widen_the_interval() -> None:
    def width(launches: Part | None) -> float:
        there = as_run([observed(launches=launches)])
        found = one(gate(as_run([observed(seed=7, launches=launches)]), [there], Limits()), "speed-up").interval
        assert found is not None
        return found.high - found.low

    assert width(Part(1e-4, 2)) > 2 * width(None)


def test_the_level_is_shared_by_looks_and_checks() -> None:
    looks = [gate(now(), baselines(3), EVERYTHING, looks=3, look=look) for look in (1, 2, 3)]
    assert looks[0].gated == 4
    spent = [one(found, "speed-up").level for found in looks]
    assert sum(level for level in spent if level) == pytest.approx(0.025 / 4)
    assert spent == sorted(spent, key=lambda level: level or 0)
    with pytest.raises(ValueError, match="--look 4"):
        gate(now(), baselines(3), Limits(), looks=3, look=4)


def test_further_prompts_that_would_settle_it_do() -> None:
    def ask(units: int) -> Finding:
        before = as_run([observed(noise=0.08, units=units)])
        return one(gate(as_run([observed(noise=0.08, units=units, seed=7)]), [before], Limits()), "speed-up")

    first = ask(24)
    assert first.decision == "inconclusive" and first.settling is not None and first.settling.prompts
    assert ask(24 + 4 * first.settling.prompts).decision == "pass", "the estimate may move, so give it room"


def test_further_runs_that_would_settle_it_are_counted() -> None:
    found = one(gate(now(slowdown=0.02), baselines(3, spread=0.015), Limits(speedup_loss=None)), "TPOT")
    assert found.decision == "inconclusive" and found.settling is not None
    assert found.settling.prompts is None and found.settling.runs is not None and 1 <= found.settling.runs <= 20


def test_at_the_limit_no_number_would_settle_it() -> None:
    there = observed(noise=0.0)
    shift = {
        name: log + math.log(0.97) + (0.01 if i % 2 else -0.01) for i, (name, log) in enumerate(there.speedup.items())
    }
    found = one(gate(as_run([replace(there, speedup=shift)]), [as_run([there])], Limits()), "speed-up")
    assert found.decision == "inconclusive"
    assert found.settling is not None and (found.settling.prompts, found.settling.runs) == (None, None)


def test_one_unit_gives_no_interval_and_no_verdict() -> None:
    found = gate(as_run([observed(units=1, seed=7)]), [as_run([observed(units=1)])], Limits())
    loss = one(found, "speed-up")
    assert loss.decision == "inconclusive" and loss.interval is None and "at least 2" in loss.reason


def test_odd_limits_are_refused() -> None:
    for odd in ({"speedup_loss": 1.0}, {"slowdown": -0.1}, {"min_speedup": 0.0}, {"acceptance_drop": math.nan}):
        with pytest.raises(ValueError, match="--m"):
            Limits(**odd)  # type: ignore[arg-type]


def test_a_verdict_is_strict_json() -> None:
    found = gate(now(slowdown=0.02), baselines(3, spread=0.01), EVERYTHING)
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert told["schema"] == 1 and told["decision"] in ("pass", "fail", "inconclusive")
    assert {f["criterion"] for f in told["findings"]} == {
        "status", "equivalence", "speed-up", "minimum speed-up", "TPOT", "acceptance",
    }  # fmt: skip
