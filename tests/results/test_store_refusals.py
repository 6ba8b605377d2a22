"""What is no sound run file is refused in one line that says why; a stranger's file executes nothing."""

import json
import math
import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.big_run import write_big_run
from support.samples import GENERATION, MANIFEST, TRIAL, fill

from results import schema, soundness
from results.codec import SCORE_NUMBERS, pack_ids
from results.errors import RunFileError
from results.judge import judge
from results.records import CERTIFICATE, Scoring, TokenScore
from results.store import RunFile, RunWriter
from results.verdicts import as_json

MANY = settings(max_examples=100, suppress_health_check=list(HealthCheck))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.sqlite"
    write(path)
    return path


def write(path: Path) -> None:
    """Two drafted calls, and a plain one whose output they leave at their last token; scored in every way."""
    plain = replace(GENERATION, token_ids=(7, 11, 13, 19), rounds=None, scores=scores((7, 11, 13, 19)))
    scorings = [
        Scoring(1, "prefill", scores((7, 11, 13, 17))),
        Scoring(1, "replay", scores((7, 11, 13, 17))[3:]),
        Scoring(3, "prefill", scores((7, 11, 13, 19))),
    ]
    with RunWriter.create(path, MANIFEST) as writer:
        fill(writer, 2)
        writer.add_trial(replace(TRIAL, cell_id=1), [(1, plain)], {})
        writer.add_scorings(replace(TRIAL, cell_id=1, phase=CERTIFICATE), scorings)
        writer.finish("finished")


def scores(tokens: Sequence[int]) -> tuple[TokenScore, ...]:
    """Each with the moments of a distribution over two equal tokens."""
    bit = math.log(2)
    return tuple(TokenScore(i, token, token, 9.0, 9.0, -bit, -bit, bit, 0.1, 0.5) for i, token in enumerate(tokens))


def alter(path: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement, values)
        connection.commit()


def refusal(path: Path) -> str:
    """The one line with which `open` refuses `path`."""
    with pytest.raises(RunFileError) as caught:
        RunFile.open(path).close()
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def read_everything(path: Path) -> None:
    """Rebuild every record of the file, and judge it."""
    with RunFile.open(path) as file:
        file.cells(), file.prompts(), file.launches(), file.stopped()
        for trial, _ in file.trials():
            for generation, _ in enumerate(file.generations(trial)):
                file.scorings(generation)
            file.telemetry(trial)
        json.dumps(as_json(judge(file)), allow_nan=False)


# ----------------------------------------------------------------------------------------------- not a run file


def test_a_missing_file_is_answered_with_the_nearest_name(path: Path) -> None:
    assert refusal(path.with_name("rum.sqlite")).endswith(f"did you mean {path}?")
    assert refusal(path.with_name("other")).endswith(f"see what is there with: mtpbench runs {path.parent}")
    assert "there is no folder" in refusal(path.parent / "nowhere" / "run.sqlite")


def test_a_folder_and_a_pipe_are_no_run_files(tmp_path: Path) -> None:
    assert "is a folder, not a run file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


def test_a_name_that_no_file_system_takes_is_one_line() -> None:
    assert "cannot read" in refusal(Path("x" * 5000))
    with pytest.raises(RunFileError, match="cannot read"):
        RunFile.open("a\0b")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"not a database, but long enough to be one" * 100, "not an SQLite database"),
        (b"SQLite", "is truncated: it ends after 6 bytes"),
        (b"SQLite format 3\0" + bytes(20), "is truncated: it ends after 36 bytes"),
        (b"SQLite format 3\0" + bytes(4096), "is damaged or cannot be read"),
    ],
    ids=("empty", "text", "six bytes", "half a header", "zeros"),
)
def test_content_that_is_no_database(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "run.sqlite"
    path.write_bytes(content)
    assert why in refusal(path)


def test_another_program_s_database_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    alter(path, "CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
    assert refusal(path).endswith("is an SQLite database, but not a run file of mtpbench")


def test_a_newer_schema_names_both_versions_and_the_way_out(path: Path) -> None:
    alter(path, f"PRAGMA user_version = {schema.VERSION + 6}")
    message = refusal(path)
    assert f"has schema {schema.VERSION + 6} and this mtpbench reads up to schema {schema.VERSION}" in message
    assert "pip install --upgrade mtpbench" in message
    alter(path, "PRAGMA user_version = 0")
    assert "has schema 0, which no mtpbench writes" in refusal(path)


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.05])
def test_a_truncated_file_says_how_much_is_missing(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    assert f"of its {len(content):,} bytes are there; copy it again" in refusal(path)


# ------------------------------------------------------------------------------------------------- altered files


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE TRIGGER evil AFTER INSERT ON run BEGIN DELETE FROM trial; END", "trigger 'evil'"),
        ("CREATE VIEW evil AS SELECT load_extension('evil')", "view 'evil'"),
        ("CREATE VIRTUAL TABLE evil USING fts5(x)", "table 'evil"),
        ("CREATE TABLE extra (x)", "table 'extra'"),
        ("CREATE INDEX extra ON cell (backend)", "index 'extra'"),
        ("DROP INDEX trial_cell", "index 'trial_cell'"),
        ("ALTER TABLE cell ADD COLUMN doubled GENERATED ALWAYS AS (draft_length * 2)", "table 'cell'"),
        ("DROP TABLE telemetry", "table 'telemetry'"),
    ],
)
def test_only_our_own_tables_are_read(path: Path, statement: str, what: str) -> None:
    alter(path, statement)
    assert f"is not as mtpbench writes it (the {what}" in refusal(path)


def test_statistics_that_a_database_browser_leaves_are_harmless(path: Path) -> None:
    alter(path, "ANALYZE")
    read_everything(path)


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        ("cell", 2, "draft_length", 0),
        ("cell", 2, "draft_length", 10**9),
        ("cell", 1, "role", "speculative"),
        ("cell", 1, "backend", b"bytes"),
        ("cell", 1, "temperature", -1.0),
        ("prompt", 1, "token_ids", b"12345"),
        ("launch", 1, "failure_kind", "boredom"),
        ("trial", 2, "phase", "encore"),
        ("trial", 1, "wall_ns", -1),
        ("trial", 1, "wall_ns", 2**62),
        ("trial", 1, "wall_ns", "soon"),
        ("trial", 1, "wall_ns", 1.5),
        ("generation", 2, "n_tokens", 5),
        ("generation", 2, "token_ids", None),
        ("generation", 2, "arrivals", b"odd"),
        ("generation", 2, "finish_reason", "boredom"),
        ("generation", 2, "row", -1),
        ("score", 2, "kind", "guess"),
        ("score", 2, "start", -1),
        ("score", 2, "token_ids", b""),
        ("score", 2, "best_ids", b"12345678"),
        ("score", 2, "numbers", b"12345678"),
    ],
)
def test_values_that_no_writer_stores_are_named_by_table_and_row(
    path: Path, table: str, row: int, column: str, value: object
) -> None:
    alter(path, f"UPDATE {table} SET {column} = ? WHERE id = {row}", values=(value,))
    assert f"table {table}, row {row} holds what mtpbench never writes" in refusal(path)


def test_rounds_that_break_their_identities_are_named(path: Path) -> None:
    alter(path, "UPDATE round SET accepted = 4 WHERE generation_id = 2")
    assert "table round, row 2 holds what mtpbench never writes" in refusal(path)


def test_references_into_nothing_are_named(path: Path) -> None:
    alter(path, "UPDATE generation SET prompt_id = 77 WHERE id = 2")
    assert "table generation, row 2 refers to a prompt that is not there" in refusal(path)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("trial", "flags", "{}"),
        ("trial", "flags", "[1]"),
        ("trial", "flags", "[" * 100_000),
        ("trial", "flags", "not json"),
        ("generation", "statement", "[]"),
        ("generation", "statement", '{"a": ' + "[" * 500 + "]" * 500 + "}"),
        ("generation", "statement", '{"a": ' + "1" * 10_000 + "}"),
        ("generation", "count_per_position", '["1"]'),
        ("launch", "engine", "{}"),
        ("launch", "engine", '{"dtype": 3}'),
        ("launch", "facts", "null"),
    ],
)
def test_malformed_json_is_named_by_table_row_and_column(path: Path, table: str, column: str, value: str) -> None:
    alter(path, f"UPDATE {table} SET {column} = ? WHERE id = 1", values=(value,))
    assert f"table {table}, row 1, column {column}: " in refusal(path)


def test_malformed_manifest_and_text_are_named(path: Path) -> None:
    alter(path, "UPDATE run SET value = '7' WHERE key = 'name'")
    assert refusal(path).endswith("table run, row name is no str")
    alter(path, "UPDATE run SET value = '\"sample\"' WHERE key = 'name'")
    alter(path, "UPDATE run SET value = 'oops' WHERE key = 'seed'")
    assert "table run, row seed: " in refusal(path)
    alter(path, "UPDATE run SET value = 'oops', key = ? WHERE key = 'seed'", values=("\x1b[2J\nseed",))
    assert "table run, row [2J seed: " in refusal(path)
    alter(path, "UPDATE run SET value = CAST(x'22ff22' AS TEXT) WHERE key LIKE '%seed'")
    assert "is damaged or cannot be read" in refusal(path)


def test_blobs_of_impossible_content_are_named_when_they_are_read(path: Path) -> None:
    backwards = struct.pack("<4q", 300, 1, 100, 4)
    alter(path, "UPDATE generation SET arrivals = ? WHERE id = 2", values=(backwards,))
    with RunFile.open(path) as file, pytest.raises(RunFileError, match="table generation, row 2: arrivals must be in"):
        file.generation(2)


def test_a_page_that_was_overwritten_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    write_big_run(path, units=6, repeats=1)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 16384 * 16384)
        file.write(b"\xa5" * 16384)
    assert "is damaged" in refusal(path)


# ------------------------------------------------------------------------------------------------------- any file


HOSTILE: st.SearchStrategy[Any] = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from((-1, 0, 1, 2, 2**31, 10**15))
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(("[]", "{}", "null", "[1e999]", "=1+1", '{"dtype": []}'))
    | st.binary(max_size=33)
)


def columns() -> Iterator[tuple[str, str]]:
    """Every column of every table."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for step in schema.MIGRATIONS:
            step(connection)
        for table in soundness.CONDITIONS:
            yield from ((table, name) for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))


COLUMNS = sorted(columns())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "run.sqlite"
    write(path)
    return path


def sound_or_refused(path: Path) -> None:
    """A changed file either reads to its end, or is refused in one line."""
    refused = ""
    try:
        read_everything(path)
    except RunFileError as error:
        refused = str(error)
    assert "\n" not in refused


@MANY
@given(place=st.sampled_from(COLUMNS), value=HOSTILE)
def test_any_value_anywhere_is_read_or_refused(original: Path, place: tuple[str, str], value: object) -> None:
    table, column = place
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        path.write_bytes(original.read_bytes())
        with suppress(sqlite3.IntegrityError):  # some columns of integers take nothing else
            alter(path, f"UPDATE OR IGNORE {table} SET {column} = ?", values=(value,))
        sound_or_refused(path)


NUMBERS = st.floats() | st.sampled_from((0.0, -0.0, 1.0, -1e308, 1e308, 5e-324, math.inf, -math.inf, math.nan))


@MANY
@example(temperature=0.0, rows=[([0.0] * 28, 0), ([1.7e308] * 28, 0), ([0.0] * 28, 0), ([-1.7e308] * 28, 0)])
@given(
    temperature=st.sampled_from((0.0, 1.0)),
    rows=st.lists(st.tuples(st.lists(NUMBERS, min_size=28, max_size=28), st.integers(0, 20)), min_size=4, max_size=4),
)
def test_any_numbers_in_scores_are_judged_without_a_warning(
    original: Path, temperature: float, rows: list[tuple[list[float], int]]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        path.write_bytes(original.read_bytes())
        alter(path, "UPDATE cell SET temperature = ?", values=(temperature,))
        for score, (numbers, best) in enumerate(rows, 1):
            tokens = 1 if score == 3 else 4  # the replay
            for at in range(0, len(numbers), SCORE_NUMBERS):  # records are refused whose best logit is none
                numbers[at + 1] = max(numbers[at : at + 2])
            packed = struct.pack(f"<{tokens * SCORE_NUMBERS}d", *numbers[: tokens * SCORE_NUMBERS])
            changed = (packed, pack_ids([best] * tokens), score)
            alter(path, "UPDATE score SET numbers = ?, best_ids = ? WHERE id = ?", values=changed)
        with RunFile.open(path) as file:
            (told,) = judge(file).cells
            assert (told.equivalence is None) == (temperature > 0) == (told.sampling is not None)
            json.dumps(as_json(told), allow_nan=False)


@MANY
@given(edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_is_read_or_refused(original: Path, edits: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        content = bytearray(original.read_bytes())
        for place, value in edits:
            content[place % len(content)] = value
        path.write_bytes(content)
        sound_or_refused(path)
