"""Every runtime's plain output under the target of one reference runtime: a broken port shows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import referee
from harness.experiment import measure, resume
from harness.sweep import Sweep
from mtpbench.cli import run as command
from results.judge import judge
from results.records import CERTIFICATE
from results.runfile import RunFile
from results.verdicts import CellVerdict

MakeSweep = Callable[..., Sweep]


@pytest.fixture(autouse=True)
def _the_scorer_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referee, "REFERENCE", "scripted-scorer")


def measured(sweep: Sweep, path: Path) -> dict[str, CellVerdict]:
    """The first verdict of each backend."""
    measure(sweep, path)
    with RunFile.open(path) as file:
        return {cell.backend: cell for cell in reversed(judge(file).cells)}


def wrong(*positions: int) -> dict[str, object]:
    """A runtime whose undrafted target takes the second best token at these positions."""
    return {"diverge": [{"draft": 0, "at": at, "how": "wrong"} for at in positions]}


def test_a_runtime_with_the_same_target_is_told_from_one_that_computes_another(
    bench: Path, sweep: MakeSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    for positions, chosen, doubtful in (((), 1.0, False), ((3,), 11 / 12, False), ((3, 7), 10 / 12, True)):
        path = bench / f"run-{len(positions)}.sqlite"
        options = {"scripted-mute": wrong(*positions)}
        cells = measured(sweep(None, "scripted-mute", "scripted-scorer", backend=options), path)
        found = cells["scripted-mute"].cross_runtime
        assert found is not None
        assert (found.reference, found.prompts, found.tokens) == ("scripted-scorer", 3, 36)
        assert found.chosen == pytest.approx(chosen)
        assert found.regrets.max == (0.5 if positions else 0.0)
        assert found.doubtful == doubtful
        assert cells["scripted-scorer"].cross_runtime is None
        assert command(["show", str(path)]) in (0, 4)
        shown = " ".join(capsys.readouterr().out.split())
        assert f"{chosen:.1%} of 36 tokens" in shown
        assert ("may compute another model" in shown) == doubtful
    assert command(["show", str(path), "--json"]) in (0, 4)
    assert json.loads(capsys.readouterr().out)["cells"][0]["cross_runtime"]["doubtful"] is True


def test_a_run_without_the_reference_or_above_temperature_0_has_no_comparison(bench: Path, sweep: MakeSweep) -> None:
    alone = measured(sweep(None, "scripted-mute"), bench / "alone.sqlite")
    sampled = measured(sweep(None, "scripted-mute", "scripted-scorer", temperature=[1.0]), bench / "sampled.sqlite")
    assert alone["scripted-mute"].cross_runtime is None
    assert sampled["scripted-mute"].cross_runtime is None


def test_a_reference_that_fails_is_told_and_made_up_for_when_resumed(bench: Path, sweep: MakeSweep) -> None:
    path = bench / "run.sqlite"
    options = {"scripted-scorer": {"scoring": [{"nth": 4, "do": "error", "once": str(bench / "once")}]}}
    cells = measured(sweep(None, "scripted-mute", "scripted-scorer", backend=options, repeats=1), path)
    before = cells["scripted-mute"].cross_runtime
    assert before is None or before.tokens < 36
    assert cells["scripted-mute"].speedup is not None
    resume(path, {"repeats": 2})
    with RunFile.open(path) as file:
        failed = [trial.failure for _, trial in file.trials(phase=CERTIFICATE) if trial.failure]
        after = next(cell.cross_runtime for cell in judge(file).cells if cell.backend == "scripted-mute")
    assert [failure.message for failure in failed] == ["ValueError: no such shape"]
    assert after is not None
    assert after.tokens == 36
