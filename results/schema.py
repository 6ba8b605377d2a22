"""The tables of a run file, and the numbered steps from older schemas to this one.

Arrays are little-endian blobs: token ids int32, arrivals and steps int64 pairs, scores float64 (see `results.codec`).
JSON columns hold text. Nothing in a run file is ever executed or unpickled.
"""

import sqlite3
from collections.abc import Callable

APPLICATION_ID = 0x4D545042
"""`MTPB`: SQLite's application_id of every run file."""

Migration = Callable[[sqlite3.Connection], None]

MEASURED = """
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cell (
  id INTEGER PRIMARY KEY, group_no INTEGER NOT NULL, role TEXT NOT NULL, backend TEXT NOT NULL, pair TEXT NOT NULL,
  method TEXT, draft_length INTEGER, batch_size INTEGER NOT NULL, prompt_tokens INTEGER,
  output_tokens INTEGER NOT NULL, temperature REAL NOT NULL, top_k INTEGER, top_p REAL, sampling_seed INTEGER,
  dtype TEXT NOT NULL, device TEXT NOT NULL, synthetic INTEGER NOT NULL, skipped TEXT);
CREATE TABLE prompt (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL, workload TEXT NOT NULL, category TEXT NOT NULL,
  token_ids BLOB, text TEXT, synthetic INTEGER NOT NULL);
CREATE TABLE launch (
  id INTEGER PRIMARY KEY, backend TEXT NOT NULL, pair TEXT NOT NULL, engine TEXT NOT NULL, facts TEXT,
  started_unix_ns INTEGER NOT NULL, log TEXT NOT NULL,
  failure_kind TEXT, failure_message TEXT, failure_detail TEXT);
CREATE TABLE trial (
  id INTEGER PRIMARY KEY, cell_id INTEGER NOT NULL REFERENCES cell(id),
  launch_id INTEGER NOT NULL REFERENCES launch(id),
  unit INTEGER NOT NULL, repeat INTEGER NOT NULL, half INTEGER NOT NULL, phase TEXT NOT NULL,
  started_unix_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, cpu_ns INTEGER,
  failure_kind TEXT, failure_message TEXT, failure_detail TEXT, flags TEXT NOT NULL);
CREATE INDEX trial_cell ON trial (cell_id, phase, unit, repeat, half);
CREATE TABLE generation (
  id INTEGER PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trial(id), row INTEGER NOT NULL,
  prompt_id INTEGER NOT NULL REFERENCES prompt(id), n_tokens INTEGER NOT NULL, n_prefill INTEGER NOT NULL,
  prompt_tokens INTEGER, token_ids BLOB, text TEXT, arrivals BLOB NOT NULL, steps BLOB,
  rounds_revealed INTEGER NOT NULL, count_rounds INTEGER, count_drafted INTEGER, count_accepted INTEGER,
  count_per_position TEXT, finish_reason TEXT, cached_tokens INTEGER, peak_memory_bytes INTEGER,
  statement TEXT NOT NULL);
CREATE INDEX generation_trial ON generation (trial_id, row);
CREATE TABLE round (
  generation_id INTEGER NOT NULL REFERENCES generation(id), idx INTEGER NOT NULL, drafted INTEGER NOT NULL,
  accepted INTEGER NOT NULL, emitted INTEGER NOT NULL, draft_ns INTEGER, verify_ns INTEGER, total_ns INTEGER,
  PRIMARY KEY (generation_id, idx)) WITHOUT ROWID;
CREATE TABLE telemetry (trial_id INTEGER NOT NULL REFERENCES trial(id), name TEXT NOT NULL, value REAL NOT NULL);
CREATE TABLE group_state (group_no INTEGER PRIMARY KEY, stopped TEXT NOT NULL);
"""


SCORED = """
CREATE TABLE score (
  id INTEGER PRIMARY KEY, trial_id INTEGER NOT NULL REFERENCES trial(id),
  generation_id INTEGER NOT NULL REFERENCES generation(id), kind TEXT NOT NULL, start INTEGER NOT NULL,
  token_ids BLOB NOT NULL, best_ids BLOB NOT NULL, numbers BLOB NOT NULL);
CREATE INDEX score_generation ON score (generation_id, kind);
"""

TABLES = MEASURED + SCORED.lstrip()


def _create(tables: str) -> Migration:
    def step(connection: sqlite3.Connection) -> None:
        for statement in tables.split(";"):
            if statement.strip():
                connection.execute(statement)

    return step


MIGRATIONS: tuple[Migration, ...] = (_create(MEASURED), _create(SCORED))
"""Step i brings schema i to i + 1; the schema version is SQLite's user_version. 1: what a run measures. 2: the scores
of the losslessness certificate."""

VERSION = len(MIGRATIONS)
