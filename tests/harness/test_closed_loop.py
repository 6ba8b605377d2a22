"""Servers at a batch size N: N requests kept in flight over more prompts, of which the middle ones are timed."""

from collections.abc import Callable
from pathlib import Path

from harness.candidates import candidates
from harness.experiment import measure
from harness.planner import make_plan
from harness.sweep import Sweep
from results.judge import judge
from results.records import BATCH_SHAPE, HEADLINE
from results.runfile import RunFile


def test_a_call_of_a_closed_loop_has_four_prompts_for_each_slot(bench: Path, sweep: Callable[..., Sweep]) -> None:
    asked = sweep(None, "scripted-loop", batch_sizes=[1, 3], prompts=2)
    one, three = make_plan(asked, [*candidates(asked)]).groups
    assert (one.rows, three.rows) == (1, 12)
    assert {three.rows_of(arm) for arm in three.arms} == {12}
    assert [arm.cell.batch_size for arm in three.arms if arm.cell.role == BATCH_SHAPE] == [1]
    assert not [arm for arm in one.arms if arm.cell.role == BATCH_SHAPE], "a server has one slot at batch size 1"
    assert {engine.config.max_batch for engine in make_plan(asked, [*candidates(asked)]).engines} == {3}


def test_its_middle_requests_are_timed_and_all_outputs_compared(bench: Path, sweep: Callable[..., Sweep]) -> None:
    path = bench / "run.sqlite"
    measure(sweep(None, "scripted-loop", batch_sizes=[2], prompts=3, draft_lengths=[2]), path)
    with RunFile.open(path) as file:
        trial_id, _ = next(iter(file.trials(phase=HEADLINE)))
        seen = [generation for _, generation in file.generations(trial_id)]
        (cell,) = judge(file).cells
    assert [generation.n_tokens for generation in seen] == [6, *[12] * 7]  # or all would begin and end together
    assert {generation.statement["in_flight"] for generation in seen} == {2}
    assert (cell.status, cell.n_units, cell.n_prompts) == ("ok", 3, 24)
    assert cell.equivalence is not None and (cell.equivalence.prompts, cell.equivalence.verdict) == (24, "identical")
    assert {(control.kind, control.diverged) for control in cell.equivalence.controls} >= {("batch-shape", 0)}
    assert cell.speedup is not None and cell.speedup.throughput is not None
    assert cell.baseline is not None and cell.baseline.tokens_per_s is not None
    # 12 tokens a request in 12 steps of 1 ms, in two slots: 2,000 tokens a second.
    assert abs(cell.baseline.tokens_per_s / 2000 - 1) < 0.05
