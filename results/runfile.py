"""Reading a run file back: records exactly as they were written, or columns in bulk."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from results import rows, soundness
from results.codec import MALFORMED, json_value
from results.errors import RunFileError
from results.opening import UNREADABLE, connect, one_line, reading
from results.owner import Owner
from results.records import Cell, Generation, Json, Launch, Phase, Prompt, Scoring, Trial

State = Literal["running", "finished", "interrupted"]

_T = TypeVar("_T")
_KINDS = {"name": str, "schema_of": str, "created_unix_ns": int, "sweep": dict, "provenance": dict, "argv": list}
"""Keys of the manifest that others rely on, where they are present."""
_BATCH = 1000
"""Rows fetched at once."""


class RunFile:
    """A run file, for reading: a context manager, made by `RunFile.open`."""

    path: Path
    manifest: dict[str, Json]

    def __init__(self, path: Path, connection: sqlite3.Connection, *, shared: bool = False) -> None:
        """Take over a connection that `open` has checked, or share one of which a writer is the master."""
        self.path = path
        self._connection = connection
        self._shared = shared
        self.manifest = self._manifest()

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, allow_live: bool = False, thorough: bool = True) -> Self:
        """Open a run file read-only; an older schema is migrated in a private copy.

        allow_live: also while another process writes it (`state` is then `running`).
        thorough: look through every row once, so that whatever reads the file may rely on types and ranges.
        Raises RunFileError, in one line, for everything that is no sound run file.
        """
        path = Path(path)
        connection = connect(path)
        try:
            file = cls(path, connection)
            if not allow_live:
                file.refuse_live("wait for it, or stop it and continue with --resume")
            if thorough:
                with reading(path):
                    soundness.check(connection, path)
        except BaseException:
            connection.close()
            raise
        return file

    @property
    def state(self) -> State:
        """What became of the run; one whose writer has died was interrupted."""
        if self.manifest.get("state") == "running":
            owner = Owner.of_json(self.manifest.get("writer"))
            return "running" if owner is not None and owner.is_alive() else "interrupted"
        return "finished" if self.manifest.get("state") == "finished" else "interrupted"

    def refuse_live(self, advice: str) -> None:
        """Raise RunFileError, ending in `advice`, while a process writes this file."""
        owner = Owner.of_json(self.manifest.get("writer"))
        if owner is not None and self.state == "running":
            raise RunFileError(f"{self.path} is still being written by process {owner.pid}: {advice}")

    def cells(self) -> dict[int, Cell]:
        """All cells by id, those put aside included."""
        return self._records("cell", rows.to_cell)

    def prompts(self) -> dict[int, Prompt]:
        """All prompts by id."""
        return self._records("prompt", rows.to_prompt)

    def launches(self) -> dict[int, Launch]:
        """All launches by id, those that failed included."""
        return self._records("launch", rows.to_launch)

    def stopped(self) -> dict[int, str]:
        """Why measuring ended, by group; a group that was still being measured is absent."""
        return dict(self.query("SELECT group_no, stopped FROM group_state ORDER BY group_no"))

    def trials(self, *, cell_id: int | None = None, phase: Phase | None = None) -> Iterator[tuple[int, Trial]]:
        """(id, trial) in the order they ran; of one cell, of one phase where asked."""
        wanted = {"cell_id": cell_id, "phase": phase}
        where = " AND ".join(f"{column} = ?" for column, value in wanted.items() if value is not None) or "true"
        values = [value for value in wanted.values() if value is not None]
        for row in self.query(f"SELECT * FROM trial WHERE {where} ORDER BY id", values):
            yield row[0], self._decoded("trial", rows.to_trial, row)

    def generations(self, trial_id: int) -> list[tuple[int, Generation]]:
        """(prompt_id, generation) of each row of a trial's batch, as `RunWriter.add_trial` took them."""
        found = self.query("SELECT * FROM generation WHERE trial_id = ? ORDER BY row", (trial_id,))
        return [self._generation(row) for row in found]

    def generation(self, generation_id: int) -> Generation:
        """One generation; KeyError where there is none of this id."""
        for row in self.query("SELECT * FROM generation WHERE id = ?", (generation_id,)):
            return self._generation(row)[1]
        raise KeyError(generation_id)

    def scorings(self, generation_id: int) -> list[Scoring]:
        """How the tokens of a generation were scored, in the order it was done."""
        found = self.query("SELECT * FROM score WHERE generation_id = ? ORDER BY id", (generation_id,))
        return [self._decoded("score", rows.to_scoring, row) for row in found]

    def telemetry(self, trial_id: int) -> dict[str, float]:
        """What was read beside a trial, by name."""
        return dict(self.query("SELECT name, value FROM telemetry WHERE trial_id = ?", (trial_id,)))

    def query(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a SELECT over the tables of `results.schema`; judgements read columns in bulk with it."""
        try:
            cursor = self._connection.execute(sql, params)
            while found := cursor.fetchmany(_BATCH):
                yield from found
        except UNREADABLE as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise  # the SQL is wrong, not the file
            with reading(self.path):
                raise

    def close(self) -> None:
        """Release the file; a writer's own connection stays open."""
        if not self._shared:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _manifest(self) -> dict[str, Json]:
        found = {
            row[0]: self._decoded("run", lambda columns: json_value(*columns), row)
            for row in self.query("SELECT key, value FROM run")
        }
        for key, kind in _KINDS.items():
            if key in found and not isinstance(found[key], kind):
                raise RunFileError(f"{self.path}: table run, row {key} is no {kind.__name__}")
        return found

    def _records(self, table: str, decode: Callable[[rows.Row], _T]) -> dict[int, _T]:
        found = self.query(f"SELECT * FROM {table} ORDER BY id")
        return {row[0]: self._decoded(table, decode, row) for row in found}

    def _generation(self, row: rows.Row) -> tuple[int, Generation]:
        rounds = list(self.query(rows.ROUNDS_OF, (row[0],)))
        own = next((scoring.scores for scoring in self.scorings(row[0]) if scoring.kind == "incremental"), None)
        return self._decoded("generation", lambda columns: rows.to_generation(columns, rounds, own), row)

    def _decoded(self, table: str, decode: Callable[[rows.Row], _T], row: rows.Row) -> _T:
        try:
            return decode(row[1:])
        except MALFORMED as error:
            where = f"table {table}, row {one_line(row[0])}"
            raise RunFileError(f"{self.path}: {where}: {one_line(error)}") from error
