"""What no output replaces, whichever command writes it; and how one is written: whole or not at all, through links."""

import os
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path

import pytest
from support.big_run import write_big_run

from harness import profiling
from mtpbench.cli import run
from mtpbench.writing import write_file
from results.errors import UsageError
from results.export import TABLES

COMMANDS: dict[str, list[str]] = {
    "report": ["report", "{run}", "-o", "{out}"],
    "history": ["history", "{folder}", "-o", "{out}"],
    "export": ["export", "{run}", "-f", "json", "-o", "{out}", "--overwrite"],
    "profile": ["profile", "--out", "{out}"],
    "gate --junit": ["gate", "{run}", "--baseline", "{before}", "--junit", "{out}"],
    "gate --summary": ["gate", "{run}", "--baseline", "{before}", "--summary", "{out}"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("run", "before")):
        write_big_run(folder / f"{name}.sqlite", units=2, repeats=1, seed=seed)
    return {"folder": folder, "run": folder / "run.sqlite", "before": folder / "before.sqlite"}


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal comes before anything is done; and no CI job."""
    monkeypatch.setattr(profiling, "measure", lambda *_: pytest.fail("measured"))
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def refusal(command: list[str], out: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line."""
    assert run([part.format(out=out, **runs) for part in command]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def a_baseline(runs: dict[str, Path], _: Path) -> Path:
    return runs["before"]


def the_run_by_another_name(runs: dict[str, Path], folder: Path) -> Path:
    other = folder / "page.html"
    other.hardlink_to(runs["run"])
    return other


def a_link_to_a_run(runs: dict[str, Path], folder: Path) -> Path:
    link = folder / "link.html"
    link.symlink_to(runs["before"])
    return link


def no_run_yet(_: dict[str, Path], folder: Path) -> Path:
    return folder / "new.sqlite"


def a_log_of_a_run(_: dict[str, Path], folder: Path) -> Path:
    return folder / "run.sqlite-wal"


def a_link_to_no_run_yet(_: dict[str, Path], folder: Path) -> Path:
    link = folder / "link.html"
    link.symlink_to("new.sqlite")
    return link


def a_pipe(_: dict[str, Path], folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("place", "says"),
    [
        (a_baseline, "that is a run file"),
        (the_run_by_another_name, "that is a run file"),
        (a_link_to_a_run, "that is a run file"),
        (no_run_yet, "that is the name of a run file"),
        (a_log_of_a_run, "that is the name of a run file"),
        (a_link_to_no_run_yet, "that is the name of a run file"),
        (a_pipe, "that is no regular file"),
    ],
)
def test_no_command_replaces_a_run_file_or_a_device(
    command: str,
    place: Callable[[dict[str, Path], Path], Path],
    says: str,
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = place(runs, tmp_path)
    there = {path: path.lstat() for path in (*tmp_path.iterdir(), *runs["folder"].iterdir())}
    assert f"cannot write {out}: {says}" in refusal(COMMANDS[command], out, runs, capsys)
    after = {path: path.lstat() for path in (*tmp_path.iterdir(), *runs["folder"].iterdir())}
    assert {path: (seen.st_ino, seen.st_mtime_ns) for path, seen in after.items()} == {
        path: (seen.st_ino, seen.st_mtime_ns) for path, seen in there.items()
    }


@pytest.mark.parametrize("fmt", ["csv", "parquet"])
def test_no_table_that_is_exported_replaces_a_run_file(
    fmt: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / f"{[*TABLES][-1]}.{fmt}"
    table.hardlink_to(runs["before"])
    command = ["export", "{run}", "-f", fmt, "-o", "{out}", "--overwrite"]
    assert f"cannot write {table}: that is a run file" in refusal(command, tmp_path, runs, capsys)
    assert [*tmp_path.iterdir()] == [table] and table.samefile(runs["before"])


@pytest.mark.parametrize("command", ["report", "history", "gate --junit", "gate --summary"])
def test_a_place_that_is_none_is_refused_before_anything_is_read(
    command: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = {**runs, "run": tmp_path / "absent.sqlite"}
    for out, says in ((tmp_path, "that is a folder"), (tmp_path / "no" / "x", f"there is no folder {tmp_path / 'no'}")):
        assert f"cannot write {out}: {says}" in refusal(COMMANDS[command], out, absent, capsys)


def test_a_run_file_is_no_step_summary(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(runs["before"]))
    command = ["gate", "{run}", "--baseline", "{before}"]
    assert "that is a run file" in refusal(command, tmp_path, runs, capsys)


@pytest.mark.parametrize("command", ["report", "history", "export"])
def test_what_a_link_leads_to_is_written_and_the_link_stays(
    command: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "target"
    link.symlink_to(target)
    for before in (None, "old"):
        if before:
            target.write_text(before)
        assert run([part.format(out=link, **runs) for part in COMMANDS[command]]) == 0
        assert link.is_symlink() and len(target.read_text("utf-8")) > 100
        assert [*target.parent.iterdir()] == [target]
    capsys.readouterr()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "page.html"
    write_file("old", out)

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"cannot write .*page\.html: No space left on device"):
        write_file("new", out)
    assert out.read_text() == "old" and [*tmp_path.iterdir()] == [out]
    with pytest.raises(UsageError, match="File name too long"):
        write_file("new", tmp_path / ("x" * 254))
