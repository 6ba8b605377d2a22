"""Writing a run file: one SQLite database per run, one transaction per trial.

While a run is being written the file is in WAL mode, so that a kill at any moment loses at most the trial in flight;
`RunWriter.finish` folds the log in, and a finished run is one file.
"""

import math
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from results import rows, schema, soundness
from results.codec import storable, to_json
from results.errors import RunFileError, UsageError
from results.opening import MAX_VALUE_BYTES, migrate
from results.owner import Owner
from results.records import Cell, Generation, Json, Launch, Prompt, Scoring, Trial
from results.runfile import RunFile, State

__all__ = ["RunFile", "RunWriter", "State"]

_PAGE_BYTES = 16384
"""A generation of 128 tokens takes 3 KB, of which SQLite's usual 4 KB pages would hold one each."""
_WAIT_S = 30.0
"""For another process that has locked the file, such as a backup."""
_FOLD_WAIT_MS = 500
"""For readers when the log is folded in at the end, which may as well be left undone."""


class RunWriter:
    """The one process that adds to a run file: a context manager, made by `create` or `resume`.

    Every method that adds raises UsageError, in one line, where the disk is full or gone, and ValueError for values
    that `RunFile.open` would refuse; what was added before stays readable.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Take over a connection that `create` or `resume` has made."""
        self.path = path
        self._connection = connection
        self._finished = False

    @classmethod
    def create(cls, path: str | os.PathLike[str], manifest: Mapping[str, Json]) -> Self:
        """Start a new file. Raises UsageError where it exists, or cannot be written."""
        path = Path(path).expanduser()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError as error:
            raise UsageError(
                f"{path} exists already: name another file, or continue it with --resume {path}"
            ) from error
        except FileNotFoundError as error:
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}") from error
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
        writer = cls(path, _connect(path))
        try:
            writer._connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            with writer._transaction():
                migrate(writer._connection)
                writer._claim(manifest)
            writer._log_ahead()
        except BaseException:
            writer._connection.close()
            path.unlink()
            raise
        return writer

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> Self:
        """Go on with a file whose writer has stopped or died.

        Raises RunFileError for what `RunFile.open` refuses, for a live writer, and for an older schema: one run is
        never measured by two versions.
        """
        path = Path(path).expanduser()
        with RunFile.open(path, allow_live=True):
            writer = cls(path, _connect(path))
        try:
            with writer._transaction():
                writer.file.refuse_live("stop it before continuing")
                (version,) = writer._connection.execute("PRAGMA user_version").fetchone()
                if version < schema.VERSION:
                    raise RunFileError(
                        f"{path} was begun by an older mtpbench (schema {version}, now {schema.VERSION}): "
                        "it can be shown but not continued; start a new run"
                    )
                writer._claim({})
            writer._log_ahead()
        except BaseException:
            writer._connection.close()
            raise
        return writer

    @property
    def file(self) -> RunFile:
        """A reader over the same connection: what was added so far, for the stop rule and for resuming."""
        return RunFile(self.path, self._connection, shared=True)

    def add_cell(self, cell: Cell) -> int:
        """Store a cell; returns its id."""
        with self._transaction():
            return self._insert("cell", rows.of_cell(cell))

    def add_prompt(self, prompt: Prompt) -> int:
        """Store a prompt; returns its id."""
        with self._transaction():
            return self._insert("prompt", rows.of_prompt(prompt))

    def add_launch(self, launch: Launch) -> int:
        """Store a launch; returns its id."""
        with self._transaction():
            return self._insert("launch", rows.of_launch(launch))

    def add_trial(
        self, trial: Trial, generations: Sequence[tuple[int, Generation]], telemetry: Mapping[str, float]
    ) -> int:
        """Store a trial, its generations as (prompt_id, what was seen), their rounds, scores and telemetry, or nothing.

        A reading that is NaN is unknown and not stored.
        """
        with self._transaction():
            trial_id = self._insert("trial", rows.of_trial(trial))
            for row, (prompt_id, seen) in enumerate(generations):
                generation_id = self._insert("generation", rows.of_generation(trial_id, row, prompt_id, seen))
                self._connection.executemany(
                    "INSERT INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [rows.of_round(generation_id, index, each) for index, each in enumerate(seen.rounds or ())],
                )
                soundness.check_written(self._connection, "round", generation_id)
                if seen.scores:
                    self._add_scoring(trial_id, Scoring(generation_id, "incremental", seen.scores))
            self._connection.executemany(
                "INSERT INTO telemetry VALUES (?, ?, ?)",
                [(trial_id, name, value) for name, value in telemetry.items() if not math.isnan(value)],
            )
        return trial_id

    def add_scorings(self, trial: Trial, scorings: Sequence[Scoring]) -> int:
        """Store a call that scored outputs which are in the file already, all or nothing; returns the trial's id."""
        with self._transaction():
            trial_id = self._insert("trial", rows.of_trial(trial))
            for scoring in scorings:
                self._add_scoring(trial_id, scoring)
        return trial_id

    def set_stopped(self, group: int, why: str) -> None:
        """Store why measuring a group ended."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO group_state VALUES (?, ?)", (group, storable(why)))

    def finish(self, state: State) -> None:
        """Mark the run `finished` or `interrupted` and fold the log in, so that the run is one file."""
        with self._writing():
            # Before the mark, because a disk that was full has room again once the log is folded in.
            self._connection.execute(f"PRAGMA busy_timeout = {_FOLD_WAIT_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with self._transaction():
            self._set("state", state)
        self._finished = True
        with self._writing():
            self._leave_log()

    def close(self) -> None:
        """Release the file; a run that was not finished is marked as interrupted."""
        try:
            if not self._finished:
                self._finished = True  # tried once, even where it fails: closing again does nothing
                self.finish("interrupted")
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            self.close()
        except UsageError as problem:
            if error is None:
                raise
            error.add_note(f"{problem} (while closing)")  # the first error, e.g. a full disk, says more

    def _claim(self, manifest: Mapping[str, Json]) -> None:
        for key, value in {**manifest, "state": "running", "writer": Owner.current().as_json()}.items():
            self._set(key, value)

    def _set(self, key: str, value: Json) -> None:
        self._connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, to_json(value)))

    def _add_scoring(self, trial_id: int, scoring: Scoring) -> None:
        self._insert("score", rows.of_scoring(trial_id, scoring))

    def _insert(self, table: Literal["cell", "prompt", "launch", "trial", "generation", "score"], row: rows.Row) -> int:
        cursor = self._connection.execute(
            f"INSERT INTO {table} VALUES (NULL{', ?' * len(row)})", [storable(value) for value in row]
        )
        assert cursor.lastrowid is not None
        soundness.check_written(self._connection, table, cursor.lastrowid)
        return cursor.lastrowid

    def _log_ahead(self) -> None:
        with self._writing():
            self._connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL: a commit outlives the process as soon as the log is written; FULL would also wait for the disk
            # after every trial, which guards against power cuts only and disturbs the next trial's timing.
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _leave_log(self) -> None:
        try:
            self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            # Another process reads the file just now: it stays in WAL mode, complete, with an empty log beside it.
            if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself on some errors
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            why = "no space left" if error.sqlite_errorcode == sqlite3.SQLITE_FULL else str(error)
            raise UsageError(
                f"cannot write {self.path}: {why}; what was measured before is kept, go on with --resume {self.path}"
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_WAIT_S)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
