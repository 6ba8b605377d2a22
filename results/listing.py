"""What lies in a folder of run files, at a glance."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from results.errors import RunFileError, UsageError
from results.records import Json
from results.runfile import RunFile, State


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run file; where it cannot be read, `problem` says why and the rest is unknown."""

    file: str
    """Its name inside the folder."""
    size_bytes: int | None
    problem: str | None = None
    """One line."""
    name: str | None = None
    created: str | None = None
    """UTC, ISO 8601."""
    state: State | None = None
    """`running` while its writer lives."""
    backends: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    cells: int | None = None
    """Speculative cells to be measured; those put aside are not among them."""
    trials: int | None = None
    failed: int | None = None
    """Trials that failed."""


def list_runs(folder: Path) -> list[RunSummary]:
    """Every `*.sqlite` of a folder, by name (names begin with the time of the run).

    Reads each file's manifest and counts only: what the rows say is not checked, and nothing is judged.
    """
    return [_summary(path) for path in run_files(folder)]


def run_files(folder: Path) -> list[Path]:
    """Every `*.sqlite` of a folder, by name. Raises UsageError."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".sqlite")
    except OSError as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error


def _summary(path: Path) -> RunSummary:
    try:
        with RunFile.open(path, allow_live=True, thorough=False) as file:
            return RunSummary(
                file=path.name,
                size_bytes=path.stat().st_size,
                name=_text(file.manifest.get("name")),
                created=moment(file.manifest.get("created_unix_ns")),
                state=file.state,
                backends=tuple(_texts(file, "SELECT DISTINCT backend FROM cell")),
                pairs=tuple(_texts(file, "SELECT DISTINCT pair FROM cell")),
                cells=_count(file, "SELECT count(*) FROM cell WHERE role = 'speculative' AND skipped IS NULL"),
                trials=_count(file, "SELECT count(*) FROM trial"),
                failed=_count(file, "SELECT count(*) FROM trial WHERE failure_kind IS NOT NULL"),
            )
    except RunFileError as error:
        return RunSummary(path.name, path.stat().st_size if path.is_file() else None, problem=str(error))


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def moment(unix_ns: Json) -> str | None:
    """A stored time as UTC, ISO 8601, to the second; None where it is none."""
    if not isinstance(unix_ns, int):
        return None
    try:
        return datetime.fromtimestamp(unix_ns // 10**9, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None  # a stranger's file may name a year that no calendar has


def _texts(file: RunFile, sql: str) -> Iterator[str]:
    return (str(row[0]) for row in file.query(sql))


def _count(file: RunFile, sql: str) -> int:
    (row,) = file.query(sql)
    return int(row[0])
