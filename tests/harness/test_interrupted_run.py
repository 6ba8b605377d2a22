"""What an interrupt, a kill, or a full disk leaves behind, and how the run goes on."""

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from driving import start, trials, wait_for_trials

from harness.experiment import measure, resume
from harness.observe import Silent
from harness.sweep import Sweep
from results.errors import RunFileError, UsageError
from results.records import Cell
from results.store import RunFile

Make = Callable[..., Sweep]

BLOCK = 4 * 2 + 3 + 1
"""Calls of a first block: four arms twice, three of them with instruments."""


class Planned(Silent):
    """Remembers how many calls were left to make."""

    calls: int | None = None

    def planned(self, path: Path, cells: Sequence[Cell], calls: int | None) -> None:
        self.calls = calls


def check_complete(path: Path, units: int) -> None:
    """Every block is there as a whole under one launch; what an interrupted one left comes on top."""
    with RunFile.open(path) as file:
        assert file.state == "finished"
        whole = Counter((t.unit, t.repeat, t.launch_id) for _, t in file.trials() if t.phase != "warmup")
        complete = [(unit, repeat) for (unit, repeat, _), calls in whole.items() if calls == BLOCK]
        assert sorted(complete) == [(unit, 0) for unit in range(units)]
        calls = Counter((t.cell_id, t.unit, t.half, t.phase, t.launch_id) for _, t in file.trials(phase="headline"))
        assert set(calls.values()) == {1}


def test_a_killed_harness_loses_at_most_the_call_in_flight_and_resumes(bench: Path, sweep: Make) -> None:
    path = bench / "run.sqlite"
    process = start(path, sweep({"sleep_s": 0.03}))
    seen = wait_for_trials(path, BLOCK + 3, process)
    process.kill()
    process.communicate()
    assert seen <= trials(path) < 3 * BLOCK
    before = trials(path)
    assert resume(path).state == "finished"
    check_complete(path, 3)
    assert BLOCK * 3 <= trials(path) < BLOCK * 4
    with RunFile.open(path) as file:
        assert len(file.launches()) == 2
        assert before <= len([t for _, t in file.trials() if t.phase != "warmup"])


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_was_measured(bench: Path, sweep: Make, signal_number: int) -> None:
    path = bench / "run.sqlite"
    process = start(path, sweep({"sleep_s": 0.03}))
    wait_for_trials(path, BLOCK + 1, process)
    process.send_signal(signal_number)
    said, _ = process.communicate(timeout=30)
    assert said.strip() == "interrupted"
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        assert file.stopped() == {}
    assert not path.with_name("run.sqlite-wal").exists()
    assert resume(path).state == "finished"
    check_complete(path, 3)


def test_an_interrupt_before_anything_is_measured_leaves_nothing(bench: Path, sweep: Make) -> None:
    path = bench / "run.sqlite"
    process = start(path, sweep({"open": "hang"}))
    while not (bench / "run.logs").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert said.strip() == "nothing measured"
    assert not path.exists()
    assert not (bench / "run.logs").exists()


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_the_trials_before(bench: Path, sweep: Make) -> None:
    path = bench / "run.sqlite"
    process = start(path, sweep(prompts=30), file_limit=4_000_000)
    said, _ = process.communicate(timeout=60)
    assert said.startswith(f"cannot write {path}: ")
    assert said.count("\n") == 1
    assert trials(path) > BLOCK
    assert resume(path).state == "finished"
    check_complete(path, 30)


def test_a_finished_run_is_resumed_only_for_more(bench: Path, sweep: Make) -> None:
    path = measure(sweep(), bench / "run.sqlite").path
    with pytest.raises(UsageError, match="is finished: to measure more, change --repeats"):
        resume(path)
    planned = Planned()
    resume(path, {"repeats": "2"}, planned)
    assert planned.calls == 3 * 4 * 2
    with RunFile.open(path) as file:
        calls = Counter((t.cell_id, t.unit, t.repeat, t.half) for _, t in file.trials(phase="headline"))
        assert set(calls.values()) == {1}
        assert {repeat for _, _, repeat, _ in calls} == {0, 1}
        assert len([t for _, t in file.trials(phase="instrumented")]) == 3 * (3 + 1)


def test_a_resumed_run_keeps_its_sweep(bench: Path, sweep: Make) -> None:
    path = measure(sweep(), bench / "run.sqlite").path
    with pytest.raises(UsageError, match="-k: a resumed run keeps its sweep"):
        resume(path, {"draft_lengths": "3", "repeats": 2})


def test_a_run_file_cannot_grant_remote_code(bench: Path, sweep: Make) -> None:
    path = measure(sweep(trust_remote_code=True), bench / "run.sqlite").path
    resume(path, {"repeats": "2"})
    with RunFile.open(path) as file:
        assert [launch.engine.trust_remote_code for launch in file.launches().values()] == [True, False]


def test_other_prompts_or_model_files_than_before_are_refused(bench: Path, sweep: Make) -> None:
    path = measure(sweep(), bench / "run.sqlite").path
    texts = bench / "texts.jsonl"
    kept = texts.read_text()
    texts.write_text(kept.replace("prompt", "question"))
    with pytest.raises(UsageError, match=r"measured with other prompts than .* start a new run"):
        resume(path, {"repeats": "2"})
    texts.write_text(kept)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE launch SET facts = replace(facts, '\"a\"', '\"b\"')")
    with pytest.raises(UsageError, match=r"model files of .* are not those that were measured"):
        resume(path, {"repeats": "2"})


def test_a_run_that_is_still_being_written_is_not_resumed(bench: Path, sweep: Make) -> None:
    path = bench / "run.sqlite"
    process = start(path, sweep({"sleep_s": 0.05}))
    wait_for_trials(path, 1, process)
    with pytest.raises(RunFileError, match="still being written"):
        resume(path)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
