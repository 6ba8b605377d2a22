"""The raw tables that a report carries with it: shown in part, downloadable as CSV without network or script.

Texts of a run file are cleaned and cut, and rows are bounded, so that no file can blow a report up; what was cut is
said, and `mtpbench export` writes everything.
"""

import base64
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from reports.text import ABSENT, clean, number
from results.export import spreadsheet_safe
from results.runfile import RunFile
from results.verdicts import RunVerdict, as_json

TRIALS = 20_000
"""Rows of trials in the CSV files of one report, shared among its runs."""
SHOWN = 200
"""Rows of one table on the pages of one report, shared as well; each run has a few."""
_FEWEST = 10
_TEXT = 200
"""Characters of a text."""
_CELL = ("group", "backend", "pair", "method", "draft_length", "batch_size", "prompt_tokens", "output_tokens",
         "temperature", "dtype", "device", "status", "synthetic", "output", "speedup.point", "speedup.new_prompts.low",
         "speedup.new_prompts.high", "speculative.tpot_ms", "speculative.ttft_ms", "speculative.tokens_per_s",
         "acceptance.length", "n_prompts", "n_units", "trials", "trials_failed", "trials_flagged")  # fmt: skip
"""What the page shows of a cell; the CSV holds every single figure of it."""
_LEFT_OUT = ("per_unit", "by_category", "by_output_position", "waterfall", "divergences", "findings", "flags")
"""Lists of a verdict, which have no place in a row."""

_TRIAL = """
SELECT trial.id, group_no, role, method, draft_length, batch_size, prompt_tokens, launch_id, unit, repeat, half, phase,
  started_unix_ns, wall_ns, cpu_ns, (SELECT sum(n_tokens) FROM generation WHERE trial_id = trial.id) AS tokens,
  failure_kind, failure_message, flags
FROM trial JOIN cell ON cell.id = cell_id ORDER BY trial.id
"""
_GENERATION = """
SELECT group_no, role, method, draft_length, batch_size, phase, category, count(*) AS generations,
  count(DISTINCT prompt_id) AS prompts, sum(n_tokens) AS tokens, min(n_tokens) AS fewest, max(n_tokens) AS most,
  sum(count_rounds) AS rounds, sum(count_drafted) AS drafted, sum(count_accepted) AS accepted,
  max(peak_memory_bytes) AS peak_memory_bytes
FROM generation JOIN trial ON trial.id = trial_id JOIN cell ON cell.id = cell_id JOIN prompt ON prompt.id = prompt_id
GROUP BY cell.id, phase, category ORDER BY cell.id, phase, category
"""
_TRIAL_COLUMNS = ("trial", "group", "role", "method", "k", "batch", "prompt_tokens", "launch", "unit", "repeat", "half",
                  "phase", "started_unix_ns", "wall_ns", "cpu_ns", "tokens", "failure", "message", "flags")  # fmt: skip
_GENERATION_COLUMNS = ("group", "role", "method", "k", "batch", "phase", "category", "generations", "prompts", "tokens",
                       "fewest", "most", "rounds", "drafted", "accepted", "peak_memory_bytes")  # fmt: skip

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One value on the page."""

    text: str
    sort: int | float | None
    """What to sort by; None: by the text."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One table."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Shown, ...], ...]
    total: int
    """Rows in the run file."""
    held: int
    """Rows in the CSV."""
    file: str
    """What the download is called."""
    href: str
    """The CSV itself, as a data address."""


def tables(file: RunFile, verdict: RunVerdict, runs: int) -> tuple[Raw, ...]:
    """Cells with their figures, generations in sums, single trials. runs: how many share the report."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.path.stem)[:40].strip("-.") or "run"
    shown = max(_FEWEST, SHOWN // runs)
    cells = [dict(_flat(as_json(cell))) | {"output": cell.output} for cell in verdict.cells]
    every = tuple(dict.fromkeys((*_CELL, *(name for cell in cells for name in cell))))
    ((trials,),) = file.query("SELECT count(*) FROM trial")
    held = list(islice(_safe(file.query(_TRIAL)), max(1, TRIALS // runs)))
    sums = list(_safe(file.query(_GENERATION)))
    return (
        _raw("cells", "Cells and their figures", stem, every, [tuple(map(cell.get, every)) for cell in cells],
             len(cells), shown, len(_CELL)),
        _raw("generations", "Generations, summed by cell, phase and category", stem, _GENERATION_COLUMNS, sums,
             len(sums), shown),
        _raw("trials", "Single trials", stem, _TRIAL_COLUMNS, held, trials, shown),
    )  # fmt: skip


def _raw(
    name: str, title: str, stem: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]], total: int, shown: int,
    width: int | None = None,
) -> Raw:  # fmt: skip
    """width: columns on the page, the first ones; None: all."""
    return Raw(
        name=name,
        title=title,
        columns=tuple(columns[:width]),
        rows=tuple(tuple(map(_shown, row[:width])) for row in rows[:shown]),
        total=total,
        held=len(rows),
        file=f"{stem}-{name}.csv",
        href=_address(columns, rows),
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Single figures of a verdict under dotted names; a list of numbers becomes one text."""
    for key, inner in value.items():
        if key in _LEFT_OUT:
            continue
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{name}.")
        elif isinstance(inner, list):
            if all(isinstance(item, int | float) for item in inner):
                yield name, " ".join(f"{item:.6g}" for item in inner)
        else:
            yield name, clean(inner, _TEXT) if isinstance(inner, str) else inner


def _safe(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Value, ...]]:
    cleaned: dict[str, str] = {}  # most texts come again in every row

    def text(value: str) -> str:
        if len(value) > _TEXT:
            return clean(value, _TEXT)
        if value not in cleaned:
            cleaned[value] = clean(value, _TEXT)
        return cleaned[value]

    for row in rows:
        yield tuple(text(value) if isinstance(value, str) else value for value in row)


def _shown(value: Value) -> Shown:
    if value is None:
        return Shown(ABSENT, None)
    if isinstance(value, bool):
        return Shown("yes" if value else "no", None)
    if isinstance(value, str):
        return Shown(value, None)
    return Shown(str(value) if isinstance(value, int) else number(value, 4), value)


def _address(columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> str:
    """The rows as CSV in a data address; no text of it is taken for a formula by a spreadsheet."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows(
        [
            spreadsheet_safe(v) if isinstance(v, str) else str(v).lower() if isinstance(v, bool) else v
            for v in row
        ]
        for row in rows
    )  # fmt: skip
    packed = base64.b64encode(stream.getvalue().encode("utf-8")).decode()
    return f"data:text/csv;charset=utf-8;base64,{packed}"
