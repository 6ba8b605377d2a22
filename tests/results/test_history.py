"""A folder of run files as a history: order, figures, changes of level, and what else changed."""

import io
import json
import math
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.big_run import write_big_run
from support.certificates import equivalence
from support.verdicts import HOSTILE, cell, hostile, run_facts, verdict

from mtpbench.cli import run as mtpbench
from reports.history import blocks, headline, name, show_history, telling
from results.errors import UsageError
from results.origin import Origin
from results.trends.history import Changed, History, Point, Snapshot, Trend, history, read, snapshot
from results.verdicts import CellVerdict, as_json

DAY = 86_400 * 10**9
START = 1_795_447_200_000_000_000


def at(day: int, gain: float = 1.0, *, seed: int | None = None, prompts: str = "prompt", engine: str = "0.1",
       changes: dict[str, Any] | None = None, **facts: Any) -> Snapshot:  # fmt: skip
    """The run of a day: one cell whose speed-up is `gain` of usual, give or take half a per cent."""
    off = math.exp(random.Random(day if seed is None else seed).gauss(0, 0.005))
    one = cell(4, scale=gain * off)
    if gain != 1.0 and one.acceptance:
        one = replace(one, acceptance=replace(one.acceptance, length=3.58))
    where = Origin({0: {0: f"{prompts} 0", 1: f"{prompts} 1"}}, {"transformers demo": {"versions": {"torch": engine}}})
    run = run_facts(created_unix_ns=START + day * DAY, **facts)
    return Snapshot(f"day-{day:02}.sqlite", run, where, (replace(one, **(changes or {})),))


def of(*runs: Snapshot) -> History:
    return history("runs", runs)


def only(found: History) -> Trend:
    (trend,) = found.trends
    return trend


def test_runs_stand_in_the_order_of_their_making_and_figures_with_them() -> None:
    found = of(at(2), at(0), at(1))
    assert [run.file for run in found.runs] == ["day-00.sqlite", "day-01.sqlite", "day-02.sqlite"]
    assert [run.number for run in found.runs] == [point.run for point in only(found).points] == [1, 2, 3]
    first = only(found).points[0]
    assert first.speedup == at(0).cells[0].speedup.point and first.interval is not None
    assert first.tpot_ms and first.plain_tpot_ms and first.acceptance and first.acceptance_interval


def test_a_slower_version_is_a_change_of_level_and_the_version_stands_beside_it() -> None:
    runs = [at(day) for day in range(6)] + [at(day, 0.9, engine="0.2") for day in range(6, 12)]
    found = of(*runs)
    changes = {one.metric: one for one in only(found).changes}
    assert set(changes) == {"speed-up", "speculative TPOT"}
    gain = changes["speed-up"]
    assert gain.run == 7 and gain.after / gain.before == pytest.approx(0.9, abs=0.01)
    assert changes["speculative TPOT"].after > changes["speculative TPOT"].before
    assert found.runs[6].changed == (Changed("transformers demo.versions.torch", "0.1", "0.2"),)
    assert not found.runs[5].changed


def test_the_level_is_shared_by_all_series() -> None:
    assert of(*(at(day) for day in range(6))).searched == 3
    assert not only(of(*(at(day) for day in range(6)))).changes
    several = [replace(one, cells=(one.cells[0], replace(one.cells[0], batch_size=4))) for one in map(at, range(6))]
    assert history("runs", several).searched == 6


@pytest.mark.parametrize(("days", "remark"), [(1, "one run only"), (3, "3 runs only")])
def test_too_few_runs_are_said(days: int, remark: str) -> None:
    found = of(*(at(day) for day in range(days)))
    assert only(found).remark.startswith(remark) and found.searched == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "failed", "reason": "crash"}, "crash"),
        ({"status": "invalid", "reason": "the drafter is idle"}, "the drafter is idle"),
        ({"equivalence": equivalence(unexplained=1)}, "the output is not the target's own"),
    ],
)
def test_a_cell_that_may_not_be_counted_is_a_gap_with_its_reason(changes: dict[str, Any], why: str) -> None:
    found = only(of(at(0), at(1, changes=changes), at(2)))
    assert found.points[1].speedup is None and found.points[1].why == why


def test_accelerators_drivers_settings_and_prompts_that_change_are_told() -> None:
    def gpu(driver: str) -> dict[str, Any]:
        return run_facts()["provenance"] | {"gpus": [{"name": "H100", "driver": driver}]}

    sweep = run_facts()["sweep"] | {"backend": {"vllm": {"eager": True}}}
    found = of(at(0, provenance=gpu("570")), at(1, provenance=gpu("580"), prompts="other", sweep=sweep))
    told = {one.what: (one.before, one.now) for one in found.runs[1].changed}
    assert told["provenance.gpus.0.driver"] == ("570", "580")
    assert told["prompts"] == ("2 units", "2 units, 0 of them the same")
    assert told["sweep.backend.vllm.eager"] == ("nothing", "True")
    assert [one.what for one in telling(found.runs[1].changed)][-1].startswith("sweep.")


def test_of_several_cells_alike_in_one_run_the_first_is_taken() -> None:
    one = at(0)
    doubled = replace(one, cells=(one.cells[0], replace(one.cells[0], speedup=None)))
    assert [point.speedup for point in only(of(doubled)).points] == [one.cells[0].speedup.point]


def test_blocks_go_from_the_lowest_to_the_highest_and_noise_stays_in_the_middle() -> None:
    assert blocks([1.0, 2.0, None, 4.0]) == "▁▅·█"
    assert set(blocks([1.0, 1.001, 1.0])) <= set("▄▅")
    assert blocks([None, None]) == "··" and len(blocks([1.0] * 100)) == 60


def write(folder: Path, days: int) -> None:
    for day in range(days):
        write_run(folder / f"day-{day}.sqlite", day)


def write_run(path: Path, day: int, units: int = 4) -> None:
    write_big_run(path, units=units, repeats=1, seed=day)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE run SET value = ? WHERE key = 'created_unix_ns'", (str(START + day * DAY),))


def test_the_command_reads_a_folder_draws_a_page_and_names_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    write(runs, 2)
    (runs / "odd.sqlite").write_text("no run file")
    page = tmp_path / "history.html"
    assert mtpbench(["history", str(runs), "--json", "-o", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["file"] for run in found["runs"]] == ["day-0.sqlite", "day-1.sqlite"]
    assert len(found["trends"]) == 10 and len(found["problems"]) == 1 and "odd.sqlite" in found["problems"][0]
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert mtpbench(["history", str(runs)]) == 0
    assert "2 runs of 10 cells: too few to tell a change of level" in " ".join(capsys.readouterr().out.split())


def test_copies_of_a_run_are_one_run_and_the_fullest_of_them_counts(tmp_path: Path) -> None:
    write(tmp_path, 2)
    shutil.copy(tmp_path / "day-0.sqlite", tmp_path / "again.sqlite")
    write_run(tmp_path / "before-resumed.sqlite", 1, units=3)
    found, problems = read(tmp_path)
    assert [one.file for one in found] == ["again.sqlite", "day-1.sqlite"]
    assert [line.replace(f"{tmp_path}/", "").partition(",")[0] for line in problems] == [
        "day-0.sqlite is a copy of again.sqlite",
        "before-resumed.sqlite is a copy of day-1.sqlite",
    ]


def test_what_cannot_be_a_history_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nowhere"], [str(tmp_path)], [str(tmp_path), "-o", "x.sqlite"],
                      [str(tmp_path), "-o", "no/such/place.html"]):  # fmt: skip
        assert mtpbench(["history", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(UsageError, match="`mtpbench run` writes one"):
        read(tmp_path)


def test_a_stranger_s_text_is_shown_harmlessly() -> None:
    bad = snapshot(HOSTILE, hostile(), Origin({}, {HOSTILE: {HOSTILE: HOSTILE}}))
    found = history(HOSTILE, [replace(bad, run=bad.run | {"created_unix_ns": at}) for at in (None, "x", 2**80, 5)],
                    [HOSTILE])  # fmt: skip
    file = io.StringIO()
    for width in (40, 120):
        show_history(found, Console(file=file, width=width))
    assert not any(sign in file.getvalue() for sign in "\x1b\x07\x00\x9b\u202e\u2066\ud800")
    json.dumps(as_json(found))


def test_the_headline_counts() -> None:
    assert headline(of(at(0))) == "1 run of 1 cell: too few to tell a change of level"
    assert headline(of(*map(at, range(6)))) == "6 runs of 1 cell: no change of level"
    assert "k = 4, batch 1, 64 prompt tokens" in name(only(of(at(0))).cell)


def test_a_run_without_any_figure_has_none() -> None:
    bare: CellVerdict = replace(cell(4), speedup=None, speculative=None, baseline=None, acceptance=None)
    found = history("runs", [Snapshot("a", verdict([bare]).run, Origin({}, {}), (bare,))])
    assert only(found).points == (Point(1, "ok", ""),) and only(found).remark == "no run has a figure that counts"
