"""Files as crashes, copies and older versions leave them are read, and stay as they were."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.samples import CELLS, MANIFEST, fill

from results import schema
from results.store import RunFile, RunWriter

READ = """
import os, sys
from results.store import RunFile
if os.geteuid() == 0:  # root writes into read-only folders too
    os.setgid(65534)
    os.setuid(65534)
try:
    open(sys.argv[1] + ".test", "w")
except PermissionError:
    with RunFile.open(sys.argv[1]) as file:
        print(file.state, len(list(file.trials())))
"""


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A file and its log as a killed writer leaves them: the log holds two trials, the file none."""
    path, copy = tmp_path / "written" / "run.sqlite", tmp_path / "left" / "run.sqlite"
    path.parent.mkdir()
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 2)
        writer._set("writer", None)
        shutil.copytree(path.parent, copy.parent)
    return copy


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder that anyone may enter; outside pytest's own, which is its owner's alone."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def trials(path: Path) -> int:
    with RunFile.open(path) as file:
        assert file.state == "interrupted"
        return len(list(file.trials()))


def test_the_log_of_a_killed_writer_is_read_with_and_without_its_index(left: Path) -> None:
    assert trials(left) == 2
    left.with_name("run.sqlite-shm").unlink()
    assert trials(left) == 2


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
@pytest.mark.parametrize("names", [("", "-wal", "-shm"), ("", "-wal")], ids=("all", "no index"))
def test_it_is_read_from_a_read_only_folder(left: Path, locked_folder: Path, names: tuple[str, ...]) -> None:
    for suffix in names:
        shutil.copyfile(f"{left}{suffix}", locked_folder / f"run.sqlite{suffix}")
    before = {file.name: file.read_bytes() for file in locked_folder.iterdir()}
    locked_folder.chmod(0o555)
    output = subprocess.run(
        [sys.executable, "-c", READ, str(locked_folder / "run.sqlite")], capture_output=True, text=True, check=True
    ).stdout
    assert output.split() == ["interrupted", "2"]
    assert {file.name: file.read_bytes() for file in locked_folder.iterdir()} == before


def test_a_file_that_was_copied_without_its_log_is_read_as_far_as_it_goes(left: Path) -> None:
    left.with_name("run.sqlite-wal").unlink()
    left.with_name("run.sqlite-shm").unlink()
    with RunFile.open(left, allow_live=True) as file:
        assert list(file.trials()) == []
    assert [file.name for file in left.parent.iterdir()] == ["run.sqlite"], "and no log appears beside it"


def test_an_unfinished_transaction_is_rolled_back_in_a_copy(tmp_path: Path) -> None:
    path, copy = tmp_path / "run.sqlite", tmp_path / "copy" / "run.sqlite"
    copy.parent.mkdir()
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM round")
        connection.execute("INSERT INTO prompt SELECT 100, 'k', 'w', 'c', NULL, hex(zeroblob(500000)), 0")
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    before = {file.name: file.read_bytes() for file in copy.parent.iterdir()}
    assert before["run.sqlite"] != path.read_bytes() and before["run.sqlite-journal"]
    with RunFile.open(copy) as file:
        assert list(file.prompts()) == [1]
        assert len(file.generations(2)[0][1].rounds or ()) == 1
    assert {file.name: file.read_bytes() for file in copy.parent.iterdir()} == before


def test_an_older_schema_is_migrated_in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.sqlite"
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
    before = path.read_bytes()

    def second(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE note (text TEXT NOT NULL)")
        connection.execute("INSERT INTO note SELECT key FROM prompt")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with RunFile.open(path) as file:
        assert list(file.query("SELECT text FROM note")) == [("coding/03",)]
        assert file.cells() == dict(enumerate(CELLS, 1))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.sqlite"]


def test_names_that_mean_something_in_a_uri_are_plain_names(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&x=%41#b c.sqlite"
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer)
    assert trials(path) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
