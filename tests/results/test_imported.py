"""Cells that somebody else measured: shown with their speeds, never ranked, and nothing invented."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from results.errors import RunFileError
from results.imported import Stated
from results.judge import judge
from results.records import PLAIN, SPECULATIVE, Cell, Draft, Sampling
from results.runfile import RunFile
from results.store import RunWriter
from results.verdicts import RunVerdict

ONE = Stated(1_795_540_000_000, 1_795_540_060_000, 3, "1.0.15", 1500.0, 50.0, 0.2, 2100.0, 900.0)
FAST = replace(ONE, decode_tokens_per_s=80.0, ttft_s=0.25)


def written(path: Path, imported: Any) -> Path:
    cell = Cell(0, PLAIN, "app", "model", None, 1, 256, 128, Sampling(), "unstated", "phone GPU")
    with RunWriter.create(path, {"imported": imported}) as writer:
        writer.add_cell(cell)
        writer.add_cell(replace(cell, role=SPECULATIVE, draft=Draft("mtp", 4)))
        writer.finish("finished")
    return path


def judged(path: Path) -> RunVerdict:
    with RunFile.open(path) as file:
        return judge(file)


def of(*, plain: tuple[Stated, ...] = (ONE,), speculative: tuple[Stated, ...] = (FAST,)) -> dict[str, Any]:
    arms = {"plain": [asdict(each) for each in plain], "speculative": [asdict(each) for each in speculative]}
    return {"source": "the app", "groups": [{"group": 0, **arms}]}


def test_the_ratio_of_speeds_is_all_that_is_known(tmp_path: Path) -> None:
    found = judged(written(tmp_path / "run.sqlite", of()))
    (cell,) = found.cells
    assert (cell.status, cell.draft_length, cell.device, cell.prompt_tokens) == ("imported", 4, "phone GPU", 256)
    assert "the app" in cell.reason
    assert cell.speedup is not None
    assert cell.speedup.point == pytest.approx(1.6)
    assert (cell.speedup.these_prompts, cell.speedup.new_prompts, cell.speedup.adjusted) == (None, None, None)
    assert (cell.acceptance, cell.equivalence, cell.aa, cell.distinguishable) == (None, None, None, None)
    assert cell.baseline is not None
    assert cell.speculative is not None
    assert (cell.baseline.tpot_ms, cell.baseline.ttft_ms) == (20.0, 200.0)
    assert (cell.speculative.tpot_ms, cell.speculative.ttft_ms) == (12.5, 250.0)
    assert (cell.baseline.tokens_per_s, cell.speculative.tokens_per_s) == (None, None)


def test_it_is_never_ranked_and_certifies_nothing(tmp_path: Path) -> None:
    found = judged(written(tmp_path / "run.sqlite", of()))
    assert found.best == []
    assert (found.certificate.equivalence, found.warnings) == (None, [])


def test_benchmarks_of_one_setting_weigh_by_their_runs(tmp_path: Path) -> None:
    slower = replace(ONE, runs=1, decode_tokens_per_s=25.0)
    (cell,) = judged(written(tmp_path / "run.sqlite", of(plain=(ONE, slower)))).cells
    assert cell.baseline is not None
    assert cell.baseline.tpot_ms == (3 * 20 + 40) / 4


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    value = of()
    change(value)
    return value


@pytest.mark.parametrize(
    "imported",
    [
        7,
        {"groups": []},
        {"source": "the app"},
        {"source": "the app", "groups": [None]},
        spoilt(lambda v: v["groups"][0].update(group="0")),
        spoilt(lambda v: v["groups"][0].update(plain=[])),
        spoilt(lambda v: v["groups"][0].pop("speculative")),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(more=1)),
        spoilt(lambda v: v["groups"][0]["plain"][0].pop("runs")),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(runs=0)),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(runs=True)),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(decode_tokens_per_s=0)),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(decode_tokens_per_s=10**400)),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(decode_tokens_per_s=float("nan"))),
        spoilt(lambda v: v["groups"][0]["plain"][0].update(ttft_s="soon")),
    ],
)
def test_what_is_no_benchmark_is_refused_in_one_line(tmp_path: Path, imported: Any) -> None:
    path = written(tmp_path / "run.sqlite", imported)
    with pytest.raises(RunFileError, match="what was imported cannot be read") as caught:
        judged(path)
    assert "\n" not in str(caught.value)


def test_a_run_that_imported_nothing_is_as_before(tmp_path: Path) -> None:
    (cell,) = judged(written(tmp_path / "run.sqlite", None)).cells
    assert cell.status == "skipped"
