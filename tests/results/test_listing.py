"""A folder of run files at a glance: good ones, running ones, and whatever else lies there."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.samples import CELLS, LAUNCH, MANIFEST, TRIAL, fill

from results.errors import UsageError
from results.listing import RunSummary, list_runs
from results.records import Failure, Json
from results.store import RunWriter


def write(path: Path, manifest: dict[str, Json]) -> None:
    with RunWriter.create(path, manifest) as writer:
        fill(writer, 2)
        writer.add_cell(replace(CELLS[1], skipped="cannot run here", backend="mlx"))
        writer.add_trial(replace(TRIAL, failure=Failure("oom", "out of memory")), [], {})
        writer.finish("finished")


def test_a_finished_run_is_summed_up(tmp_path: Path) -> None:
    write(tmp_path / "a.sqlite", MANIFEST)
    (found,) = list_runs(tmp_path)
    assert found == RunSummary(
        file="a.sqlite",
        size_bytes=(tmp_path / "a.sqlite").stat().st_size,
        name="sample",
        created="2026-05-28T20:26:40+00:00",
        state="finished",
        backends=("transformers", "mlx"),
        pairs=("demo",),
        cells=1,
        trials=3,
        failed=1,
    )


def test_a_run_in_progress_is_listed_as_running(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "a.sqlite", MANIFEST) as writer:
        writer.add_launch(LAUNCH)
        (found,) = list_runs(tmp_path)
    assert (found.state, found.trials, found.problem) == ("running", 0, None)
    assert [one.state for one in list_runs(tmp_path)] == ["interrupted"]


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path / "good.sqlite", {"created_unix_ns": 10**30})
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "text.sqlite").write_text("not a database at all")
    (tmp_path / "folder.sqlite").mkdir()
    (tmp_path / "gone.sqlite").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.sqlite")
    (tmp_path / "notes.txt").write_text("not looked at")
    found = {one.file: one for one in list_runs(tmp_path)}
    assert list(found) == sorted(found)
    reasons = {name: one.problem for name, one in found.items()}
    for name, why in (
        ("empty.sqlite", "is empty"),
        ("text.sqlite", "not an SQLite database"),
        ("folder.sqlite", "is a folder"),
        ("gone.sqlite", "no run file"),
        ("pipe.sqlite", "not a regular file"),
    ):
        assert why in str(reasons.pop(name))
    assert reasons == {"good.sqlite": None}
    assert (found["good.sqlite"].name, found["good.sqlite"].created) == (None, None)


def test_an_empty_folder_has_no_runs_and_a_missing_one_is_one_line(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    with pytest.raises(UsageError, match="cannot read the folder"):
        list_runs(tmp_path / "missing")
