"""What a gate reads of a run file is what its verdict says, prompt by prompt."""

import math
from pathlib import Path
from statistics import fmean, variance

import pytest
from support.big_run import write_big_run
from support.fake_run import Call, World, write

from results.gating.changes import rate
from results.gating.observed import Run, observe
from results.store import RunFile


def read(path: Path) -> Run:
    with RunFile.open(path) as file:
        return observe(file)


def test_speed_ups_tpot_and_drafts_are_those_of_the_verdict(tmp_path: Path) -> None:
    write_big_run(tmp_path / "run.sqlite", units=6, repeats=2)
    run = read(tmp_path / "run.sqlite")
    assert len(run.cells) == len(run.verdict.cells) == 10
    for cell in run.cells:
        gain, accepted, arm = cell.verdict.speedup, cell.verdict.acceptance, cell.verdict.speculative
        assert gain is not None and accepted is not None and arm is not None and arm.tpot_ms is not None
        assert [*cell.speedup.values()] == pytest.approx([math.log(ratio) for _, _, ratio in gain.per_unit])
        assert math.exp(fmean(cell.speedup.values())) == pytest.approx(gain.point)
        assert rate(cell.drafts) == pytest.approx(accepted.rate)
        assert len(cell.drafts) == len(cell.tpot) == 6
        middle = sorted(math.exp(log) / 1e6 for log in cell.tpot.values())
        assert middle[2] <= arm.tpot_ms <= middle[3]
        assert cell.speedup.keys() == cell.tpot.keys() <= {*run.origin.prompts[cell.verdict.group].values()}


@pytest.mark.parametrize("reveals", ["rounds", "counts", "nothing"])
def test_drafts_are_from_what_the_runtime_reveals(reveals: str, tmp_path: Path) -> None:
    run = read(write(tmp_path / "run.sqlite", World(reveals=reveals)))  # type: ignore[arg-type]
    for cell in run.cells:
        found = cell.verdict.acceptance
        assert (found is None) == (not cell.drafts) == (reveals == "nothing")
        assert found is None or rate(cell.drafts) == pytest.approx(found.rate)


def test_units_with_the_same_prompt_are_told_apart_and_prompts_are_not(tmp_path: Path) -> None:
    (cell,) = read(write(tmp_path / "run.sqlite", World(lengths=(2,), units=4))).cells  # all of one content
    assert len(cell.speedup) == len(cell.tpot) == 4
    assert len(cell.drafts) == 1


def test_what_launches_add_is_known_from_two_on(tmp_path: Path) -> None:
    def slowness(call: Call) -> float:
        return 1.0 + 0.1 * call.launch * (call.k > 0)

    once, twice = (
        read(write(tmp_path / f"{n}.sqlite", World(lengths=(2,), launches=n, slowness=slowness))).cells[0]
        for n in (1, 2)
    )
    assert once.launches is None and twice.launches is not None
    assert twice.launches.df == 1
    assert twice.launches.variance == pytest.approx(variance([0.0, math.log(1.1)]) / 2, rel=1e-3)


def test_cells_put_aside_are_kept_without_figures(tmp_path: Path) -> None:
    run = read(write(tmp_path / "run.sqlite", World(skipped={4: "the draft length is fixed"})))
    last = run.cells[-1]
    assert last.verdict.status == "skipped" and not last.speedup and not last.tpot and not last.drafts
