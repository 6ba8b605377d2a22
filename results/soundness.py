"""What every row must be before anything is computed from it: run files come from strangers.

SQLite enforces none of this by itself (any column takes any type), so each table is looked through once on opening,
and each row is looked at when it is written, so that no run ends in a file that is refused. Whatever reads a file
may rely on types, ranges, references, and the shape of JSON and blobs.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from results import schema
from results.codec import MALFORMED, SCORE_NUMBERS, json_list, json_object
from results.errors import RunFileError
from results.opening import one_line
from results.rows import to_engine, to_facts

MAX_COUNT = 2**31 - 1
"""Tokens, rows, ids."""
MAX_DRAFT = 4096
"""Drafts per round."""
MAX_NS = 10**15
"""Eleven days: no call takes longer."""

_FAILURE = """(failure_kind IS NULL OR (failure_kind IN ('crash', 'timeout', 'oom', 'refused', 'error')
  AND failure_message IS NOT NULL AND failure_detail IS NOT NULL))"""

CONDITIONS = {
    "run": "true",
    "cell": f"""role IN ('plain', 'control', 'speculative', 'batch-shape', 'biased')
  AND (role = 'speculative') = (method IS NOT NULL)
  AND (method IS NULL) = (draft_length IS NULL) AND coalesce(draft_length, 1) BETWEEN 1 AND {MAX_DRAFT}
  AND batch_size BETWEEN 1 AND 65536 AND coalesce(prompt_tokens, 0) BETWEEN 0 AND {MAX_COUNT}
  AND output_tokens BETWEEN 0 AND {MAX_COUNT} AND temperature BETWEEN 0 AND 1e9 AND coalesce(top_k, 1) >= 1
  AND coalesce(top_p, 1) > 0 AND coalesce(top_p, 1) <= 1 AND synthetic IN (0, 1)
  AND group_no BETWEEN 0 AND {MAX_COUNT}""",
    "prompt": """(token_ids IS NOT NULL OR text IS NOT NULL) AND synthetic IN (0, 1)
  AND (token_ids IS NULL OR (length(token_ids) > 0 AND length(token_ids) % 4 = 0))""",
    "launch": f"{_FAILURE} AND started_unix_ns >= 0",
    "trial": f"""phase IN ('warmup', 'headline', 'instrumented', 'certificate') AND half IN (0, 1) AND {_FAILURE}
  AND unit BETWEEN 0 AND {MAX_COUNT} AND repeat BETWEEN 0 AND {MAX_COUNT} AND started_unix_ns >= 0
  AND wall_ns BETWEEN 0 AND {MAX_NS} AND coalesce(cpu_ns, 0) BETWEEN 0 AND {MAX_NS} * 1024""",
    "generation": f"""n_tokens BETWEEN 0 AND {MAX_COUNT} AND n_prefill BETWEEN 0 AND {MAX_COUNT}
  AND row BETWEEN 0 AND 65535 AND coalesce(prompt_tokens, 0) BETWEEN 0 AND {MAX_COUNT}
  AND coalesce(length(token_ids), 4 * n_tokens) = 4 * n_tokens AND (token_ids IS NOT NULL OR text IS NOT NULL)
  AND length(arrivals) % 16 = 0 AND coalesce(length(steps), 0) % 16 = 0 AND rounds_revealed IN (0, 1)
  AND coalesce(count_rounds, 0) BETWEEN 0 AND {MAX_COUNT} AND coalesce(count_drafted, 0) BETWEEN 0 AND {MAX_COUNT}
  AND coalesce(count_accepted, 0) BETWEEN 0 AND {MAX_COUNT} AND coalesce(cached_tokens, 0) BETWEEN 0 AND {MAX_COUNT}
  AND coalesce(finish_reason, 'length') IN ('length', 'stop', 'cancelled')
  AND coalesce(peak_memory_bytes, 0) >= 0""",
    "round": f"""idx BETWEEN 0 AND {MAX_COUNT} AND drafted BETWEEN 0 AND {MAX_DRAFT}
  AND accepted BETWEEN 0 AND drafted AND emitted BETWEEN 0 AND accepted + 1
  AND coalesce(draft_ns, 0) BETWEEN 0 AND {MAX_NS} AND coalesce(verify_ns, 0) BETWEEN 0 AND {MAX_NS}
  AND coalesce(total_ns, 0) BETWEEN 0 AND {MAX_NS}""",
    "telemetry": "true",
    "score": f"""kind IN ('incremental', 'prefill', 'replay', 'reference') AND start BETWEEN 0 AND {MAX_COUNT}
  AND length(token_ids) > 0 AND length(token_ids) % 4 = 0 AND length(best_ids) = length(token_ids)
  AND length(numbers) = length(token_ids) / 4 * {8 * SCORE_NUMBERS}""",
    "group_state": "true",
}
"""Per table, what its records promise at construction (`results.records`), and no number beyond reason."""

_JSON: tuple[tuple[str, str, str, Callable[[str], object]], ...] = (
    ("launch", "engine", "", to_engine),
    ("launch", "facts", "", to_facts),
    ("trial", "flags", "[]", lambda text: json_list(text, str)),
    ("generation", "count_per_position", "[]", lambda text: json_list(text, int)),
    ("generation", "statement", "{}", json_object),
)
"""Table, column, the text that needs no look, and what parses the others."""


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise RunFileError, naming table and row, for the first row that no writer of ours could have stored.

    300 MB with a million rounds take two seconds, a third of which goes into SQLite's own check of pages and indexes.
    """
    for (finding,) in connection.execute("PRAGMA integrity_check(1)"):
        if finding != "ok":
            raise RunFileError(f"{path} is damaged ({one_line(finding)}); copy it again from its origin")
    for table in CONDITIONS:
        for (row,) in connection.execute(f"SELECT {_key(table)} FROM {table} WHERE {_unsound(table)} LIMIT 1"):
            where = f"table {table}, row {one_line(row)}"
            raise RunFileError(f"{path}: {where} holds what mtpbench never writes (altered or damaged)")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        raise RunFileError(f"{path}: table {table}, row {one_line(row)} refers to a {parent} that is not there")
    for table, column, plain, parse in _JSON:
        for row, text in connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} <> ?", (plain,)):
            try:
                parse(text)
            except MALFORMED as error:
                where = f"table {table}, row {one_line(row)}, column {column}"
                raise RunFileError(f"{path}: {where}: {one_line(error)}") from error


def check_written(connection: sqlite3.Connection, table: str, row: int) -> None:
    """Raise ValueError where a row just written would be refused by `check`; JSON and references are not looked at."""
    found = connection.execute(f"SELECT * FROM {table} WHERE {_key(table)} = ? AND {_unsound(table)} LIMIT 1", (row,))
    for values in found:
        raise ValueError(f"out of range for table {table} (results.soundness): {one_line(values)}")


def _key(table: str) -> str:
    return "generation_id" if table == "round" else "rowid"


@cache
def _unsound(table: str) -> str:
    """The SQL condition of a row that breaks the type of a column or the table's own condition."""
    with closing(sqlite3.connect(":memory:")) as reference:
        for step in schema.MIGRATIONS:
            step(reference)
        columns = reference.execute(f"PRAGMA table_info({table})").fetchall()
    typed = [
        f"(typeof({name}) = '{kind.lower()}'{'' if not_null or primary else f' OR {name} IS NULL'})"
        for _, name, kind, not_null, _, primary in columns
    ]
    return f"({' AND '.join(typed)} AND {CONDITIONS[table]}) IS NOT TRUE"
