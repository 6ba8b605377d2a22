"""A writer that dies at any moment, or a disk that fills up under it, loses at most the trial in flight."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.samples import GENERATION, TRIAL

from results.errors import RunFileError
from results.store import RunFile, RunWriter

TESTS = Path(__file__).parents[1]

WRITE_ON = """
import sys
from support.samples import GENERATION, MANIFEST, TRIAL, fill
from results.store import RunWriter
with RunWriter.create(sys.argv[1], MANIFEST) as writer:
    fill(writer, 0)
    while True:
        print(writer.add_trial(TRIAL, [(1, GENERATION)] * 40, {"load": 0.5}), flush=True)
"""
FILL_UP = """
import resource, sys
from support.samples import GENERATION, MANIFEST, TRIAL, fill
from results.store import RunWriter
with RunWriter.create(sys.argv[1], MANIFEST) as writer:
    fill(writer, 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    while True:
        print(writer.add_trial(TRIAL, [(1, GENERATION)] * 40, {"load": 0.5}), flush=True)
"""


@contextmanager
def child(program: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes `path` and prints every trial id once it is committed."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: subprocess.Popen[str]) -> list[int]:
    """Ids in the rest of the output; a last line that was cut off announces nothing."""
    assert process.stdout is not None
    return [int(line) for line in process.stdout if line.endswith("\n")]


@pytest.mark.parametrize("after", [1, 40])
def test_a_killed_run_keeps_every_committed_trial_and_is_continued(tmp_path: Path, after: int) -> None:
    path = tmp_path / "run.sqlite"
    with child(WRITE_ON, path) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(after)]
        with pytest.raises(RunFileError, match=f"still being written by process {process.pid}"):
            RunFile.open(path)
        process.send_signal(signal.SIGKILL)
        seen += announced(process)
    left = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert "run.sqlite-wal" in left
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        kept = [trial for trial, _ in file.trials()]
        assert kept[: len(seen)] == seen
        assert len(kept) <= len(seen) + 1, "one more may have been committed and not announced"
        assert all(len(file.generations(trial)) == 40 for trial in kept)
    assert {name: (tmp_path / name).read_bytes() for name in left} == left, "reading changes nothing"
    with RunWriter.resume(path) as writer:
        assert writer.add_trial(TRIAL, [(1, GENERATION)], {}) == kept[-1] + 1
        writer.finish("finished")
    assert [file.name for file in tmp_path.iterdir()] == ["run.sqlite"]
    with RunFile.open(path) as file:
        assert file.state == "finished"
        assert len(list(file.trials())) == len(kept) + 1


def test_a_zombie_writes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with child(WRITE_ON, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with RunFile.open(path) as file:
            assert file.state == "interrupted"


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_the_trials_before(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with child(FILL_UP, path) as process:
        output, errors = process.communicate()
    kept = [int(line) for line in output.split()]
    assert f"results.errors.UsageError: cannot write {path}: " in errors
    assert f"what was measured before is kept, go on with --resume {path}" in errors
    assert len(kept) > 3
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        assert [trial for trial, _ in file.trials()] == kept
        assert all(len(file.generations(trial)) == 40 for trial in kept)
