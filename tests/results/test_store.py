"""The life of a run file: begun, added to, finished, interrupted, continued."""

import math
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.samples import CELLS, GENERATION, LAUNCH, MANIFEST, PROMPT, TRIAL, fill

from results import schema
from results.errors import RunFileError, UsageError
from results.owner import Owner
from results.records import Generation, Json, Round, Trial
from results.store import RunFile, RunWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def test_a_finished_run_is_one_file(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        assert path.with_name("run.sqlite-wal").stat().st_size > 0
        writer.finish("finished")
    assert [file.name for file in path.parent.iterdir()] == ["run.sqlite"]
    assert path.read_bytes()[18:20] == b"\x01\x01", "no WAL mode"
    with RunFile.open(path) as file:
        assert file.state == "finished"


def test_reading_leaves_no_trace(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        writer.finish("finished")
    before = path.read_bytes()
    with RunFile.open(path) as file:
        assert len(list(file.trials())) == 1
        with pytest.raises(RunFileError, match="readonly"):
            next(file.query("DELETE FROM trial"))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["run.sqlite"]


def test_a_run_left_without_finishing_is_interrupted(path: Path) -> None:
    def crash() -> None:
        with RunWriter.create(path, MANIFEST) as writer:
            fill(writer, 2)
            raise KeyError

    with pytest.raises(KeyError):
        crash()
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        assert len(list(file.trials())) == 2


def test_the_writer_reads_what_it_has_written_so_far(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        with writer.file as file:
            assert file.state == "running"
            assert file.generations(1) == [(1, GENERATION)]
            assert file.cells() == dict(enumerate(CELLS, 1))
        writer.add_trial(TRIAL, [], {})
        assert len(list(writer.file.trials())) == 2
        writer.finish("finished")
        assert writer.file.state == "finished"


def test_nothing_is_kept_of_a_trial_that_could_not_be_stored_whole(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 0)
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            writer.add_trial(TRIAL, [(1, GENERATION), (99, GENERATION)], {})
        assert list(writer.file.trials()) == []
        assert next(writer.file.query("SELECT (SELECT count(*) FROM generation) + (SELECT count(*) FROM round)")) == (
            0,
        )


@pytest.mark.parametrize(
    ("trial", "generation", "table"),
    [
        (replace(TRIAL, wall_ns=-1), GENERATION, "trial"),
        (replace(TRIAL, unit=2**40), GENERATION, "trial"),
        (TRIAL, replace(GENERATION, n_prefill=-1), "generation"),
        (TRIAL, replace(GENERATION, finish_reason="eos"), "generation"),
        (TRIAL, replace(GENERATION, rounds=(Round(1, 1, 1), Round(2**20, 1, 1))), "round"),
    ],
)
def test_what_no_reader_would_take_is_not_written(path: Path, trial: Trial, generation: Generation, table: str) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        with pytest.raises(ValueError, match=f"out of range for table {table} "):
            writer.add_trial(trial, [(1, generation)], {})
    with RunFile.open(path) as file:
        assert len(list(file.trials())) == 1


def test_trials_are_found_by_cell_and_by_phase(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 0)
        for cell_id, phase in ((1, "headline"), (2, "headline"), (2, "instrumented")):
            writer.add_trial(replace(TRIAL, cell_id=cell_id, phase=phase), [], {})
        file = writer.file
        assert [trial for trial, _ in file.trials(cell_id=2)] == [2, 3]
        assert [trial for trial, _ in file.trials(phase="headline")] == [1, 2]
        assert [trial for trial, _ in file.trials(cell_id=2, phase="headline")] == [2]
        with pytest.raises(KeyError):
            file.generation(1)


def test_broken_text_and_unknown_readings_do_not_stop_a_run(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 0)
        broken = replace(GENERATION, text="half a pair: \ud83d.", statement={"said": "\ud83d"})
        writer.add_trial(TRIAL, [(1, broken)], {"load": math.nan, "mhz": 2100.0})
        seen = writer.file.generation(1)
        assert seen.text == "half a pair: \ufffd\ufffd\ufffd."
        assert seen.statement == {"said": "\ud83d"}
        assert writer.file.telemetry(1) == {"mhz": 2100.0}


def test_a_mistake_in_sql_is_no_fault_of_the_file(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer, pytest.raises(sqlite3.OperationalError, match="no such column"):
        list(writer.file.query("SELECT speed FROM trial"))


def test_the_stop_reason_of_a_group_can_be_replaced(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        writer.set_stopped(1, "time budget")
        writer.set_stopped(1, "precision reached")
        assert writer.file.stopped() == {1: "precision reached"}


# ----------------------------------------------------------------------------------------------------- continuing


def test_an_interrupted_run_is_continued(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        writer.finish("interrupted")
    with RunWriter.resume(path) as writer:
        assert writer.file.state == "running"
        assert writer.add_trial(TRIAL, [(1, GENERATION)], {}) == 2
        writer.finish("finished")
    with RunFile.open(path) as file:
        assert file.state == "finished"
        assert file.manifest["name"] == "sample"
        assert [trial for trial, _ in file.trials()] == [1, 2]
    assert [each.name for each in path.parent.iterdir()] == ["run.sqlite"]


def test_a_file_that_is_being_written_is_not_opened_by_accident(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        with pytest.raises(RunFileError, match=r"still being written by process \d+: wait for it"):
            RunFile.open(path)
        with pytest.raises(RunFileError, match=r"still being written by process \d+: stop it"):
            RunWriter.resume(path)
        with RunFile.open(path, allow_live=True) as file:
            assert file.state == "running"
            assert len(list(file.trials())) == 1


def test_a_reader_does_not_keep_a_run_from_finishing(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
        with RunFile.open(path, allow_live=True) as file:
            file._connection.execute("BEGIN")
            assert len(list(file.trials())) == 1
            writer.finish("finished")
            writer.close()
    with RunFile.open(path) as file:
        assert file.state == "finished"
        assert len(list(file.trials())) == 1


@pytest.mark.parametrize(
    "writer",
    [
        {"pid": 4_000_000, "start_s": 1.0, "host": "elsewhere", "boot_id": None},
        {"pid": 10**30, "start_s": 1.0, "host": "elsewhere", "boot_id": None},
        {"pid": "1"},
        None,
        7,
    ],
    ids=str,
)
def test_a_run_whose_writer_is_gone_was_interrupted(path: Path, writer: Json) -> None:
    with RunWriter.create(path, MANIFEST) as started:
        fill(started)
        started._set("writer", writer)
        with RunFile.open(path) as file:
            assert file.state == "interrupted"


@pytest.mark.parametrize("change", [{"start_s": 1.0}, {"boot_id": "another"}, {"host": "another"}], ids=str)
def test_another_process_of_the_same_number_is_not_the_writer(path: Path, change: dict[str, Any]) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        assert writer.file.state == "running"
        writer._set("writer", replace(Owner.current(), **change).as_json())
        assert writer.file.state == "interrupted"


def test_a_run_of_an_older_schema_is_not_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, lambda connection: None))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(RunFileError, match="begun by an older mtpbench"):
        RunWriter.resume(path)
    assert path.read_bytes() == before


# -------------------------------------------------------------------------------------------------- cannot be written


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        RunWriter.create(path, MANIFEST)
    assert path.read_text() == "precious"


def test_a_folder_that_is_missing_or_none_is_one_line(path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        RunWriter.create(path.parent / "missing" / "run.sqlite", MANIFEST)
    path.write_text("a file")
    with pytest.raises(UsageError, match=r"cannot write .*Not a directory"):
        RunWriter.create(path / "run.sqlite", MANIFEST)
    with pytest.raises(UsageError, match=r"cannot write .*name too long"):
        RunWriter.create(path.with_name("x" * 300), MANIFEST)


def test_a_disk_that_fills_up_keeps_the_trials_before(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 3)
        (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
        writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        large = replace(GENERATION, text="x" * 100_000)
        with pytest.raises(UsageError, match=r"no space left; what was measured before is kept, go on with --resume"):
            writer.add_trial(TRIAL, [(1, large)], {})
        assert len(list(writer.file.trials())) == 3
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        assert [file.generations(trial) for trial, _ in file.trials()] == [[(1, GENERATION)]] * 3


def test_a_launch_that_failed_is_kept(path: Path) -> None:
    with RunWriter.create(path, MANIFEST) as writer:
        assert writer.add_launch(LAUNCH) == 1
        assert writer.add_prompt(PROMPT) == 1
        assert writer.file.launches() == {1: LAUNCH}
