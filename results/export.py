"""The raw tables of a run file for other tools: CSV and Parquet (a folder, one file per table) or JSON (one file).

Columns are those of `results.schema`; blobs become lists, JSON columns stay JSON. Rows are streamed, so that a file of
any size is exported in little memory.
"""

import csv
import difflib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from results.codec import SCORE_NUMBERS, json_value
from results.errors import UsageError
from results.runfile import RunFile
from results.verdicts import RunVerdict, as_json

SCHEMA = 1
"""Of the JSON export."""
TABLES = {
    "run": "run",
    "cells": "cell",
    "prompts": "prompt",
    "launches": "launch",
    "trials": "trial",
    "generations": "generation",
    "rounds": "round",
    "scores": "score",
    "telemetry": "telemetry",
}
"""Name of the exported table -> table of the run file."""

Format = Literal["csv", "parquet", "json"]
Kind = Literal["integer", "real", "text", "flag", "json", "ids", "pairs", "numbers"]

_BATCH = 2000
_KINDS: dict[str, Kind] = {"INTEGER": "integer", "REAL": "real", "TEXT": "text"}
_SPECIAL: dict[str, Kind] = {
    "value.run": "json",
    "synthetic": "flag",
    "rounds_revealed": "flag",
    "engine": "json",
    "facts": "json",
    "flags": "json",
    "count_per_position": "json",
    "statement": "json",
    "token_ids": "ids",
    "best_ids": "ids",
    "arrivals": "pairs",
    "steps": "pairs",
    "numbers": "numbers",
}
_NAMES = {
    "arrivals": ("ns", "tokens"),
    "steps": ("pass_ns", "total_ns"),
    "numbers": ("logit", "best_logit", "logprob", "best_logprob", "entropy", "variance", "mass_above"),
}
_ITEM_BYTES = {"ids": 4, "pairs": 16, "numbers": 8 * SCORE_NUMBERS}


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a run file, to be read from start to end."""

    file: RunFile
    name: str
    columns: tuple[tuple[str, Kind], ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """As SQLite holds them."""
        key = "generation_id, idx" if self.name == "round" else "rowid"
        return self.file.query(f"SELECT * FROM {self.name} ORDER BY {key}")


def tables(file: RunFile) -> dict[str, Table]:
    """Exported name -> table."""
    return {name: Table(file, table, tuple(_columns(file, table))) for name, table in TABLES.items()}


def _columns(file: RunFile, table: str) -> Iterator[tuple[str, Kind]]:
    for name, declared in file.query("SELECT name, type FROM pragma_table_info(?)", (table,)):
        yield name, _SPECIAL.get(f"{name}.{table}") or _SPECIAL.get(name) or _KINDS[declared]


def export(
    file: RunFile, fmt: str, out: Path, *, overwrite: bool = False, verdict: RunVerdict | None = None
) -> list[Path]:
    """Write a run file's raw tables; returns the files written.

    fmt: `csv` or `parquet` fill the folder `out`, `json` writes the file `out` (with `verdict`, where one is given).
    Raises UsageError for an unknown format, what exists already (unless `overwrite`), and what cannot be written.
    Nothing half-written is left behind.
    """
    if fmt not in get_args(Format):
        near = difflib.get_close_matches(fmt, get_args(Format), n=1)
        raise UsageError(f"unknown format {fmt!r}; {f'did you mean {near[0]}?' if near else 'csv, parquet or json'}")
    if out.exists() and out.samefile(file.path):
        raise UsageError(f"{out} is the run file itself, which no export replaces: name another place with --output")
    if fmt == "json":
        with _placed([out], overwrite) as (part,):
            _write_json(part, file, verdict)
        return [out]
    write = _write_csv if fmt == "csv" else _write_parquet
    targets = [out / f"{name}.{fmt}" for name in TABLES]
    with _placed(targets, overwrite) as parts:
        for part, table in zip(parts, tables(file).values(), strict=True):
            write(part, table)
    return targets


@contextmanager
def _placed(targets: Sequence[Path], overwrite: bool) -> Iterator[list[Path]]:
    """Temporary names beside `targets`, which take their place all together once the block has ended well."""
    folder = targets[0].parent
    there = [target for target in targets if target.exists()]
    if there and not overwrite:
        raise UsageError(f"{there[0]} exists already: name another place with --output, or replace it with --overwrite")
    parts = [target.with_name(f".{target.name}.{os.getpid()}.part") for target in targets]
    made = not folder.exists()
    with _writing(targets[0]):
        folder.mkdir(exist_ok=True)
    try:
        with _writing(targets[0]):
            yield parts
            for part, target in zip(parts, targets, strict=True):
                part.replace(target)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


# ------------------------------------------------------------------------------------------------------- values


def _pairs(blob: bytes) -> Any:
    return np.frombuffer(blob, "<i8").reshape(-1, 2)


def _ids(blob: bytes) -> Any:
    return np.frombuffer(blob, "<i4")


def _numbers(blob: bytes) -> Any:
    return np.frombuffer(blob, "<f8").reshape(-1, SCORE_NUMBERS)


def spreadsheet_safe(text: str) -> str:
    """`text`, which no spreadsheet takes for a formula: `'` before what begins like one (OWASP, CSV injection).

    Text that begins with `'` gets one more, so that taking away one leading `'` always gives the text back.
    """
    return f"'{text}" if text[:1] in tuple("=+-@\t\r\n'＝＋－＠") else text


_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_IN_CSV: dict[Kind, Callable[[Any], Any]] = {
    "text": spreadsheet_safe,
    "flag": lambda value: "true" if value else "false",
    "ids": lambda blob: _COMPACT(_ids(blob).tolist()),
    "pairs": lambda blob: _COMPACT(_pairs(blob).tolist()),
    "numbers": lambda blob: _COMPACT(as_json(_numbers(blob).tolist())),
}
_IN_JSON: dict[Kind, Callable[[Any], Any]] = {
    "flag": bool,
    "real": as_json,
    "json": lambda text: as_json(json_value(text)),
    "ids": lambda blob: _ids(blob).tolist(),
    "pairs": lambda blob: _pairs(blob).tolist(),
    "numbers": lambda blob: as_json(_numbers(blob).tolist()),
}
_ARRAYS: dict[Kind, Callable[[bytes], Any]] = {"ids": _ids, "pairs": _pairs, "numbers": _numbers}


def _converted(table: Table, converters: dict[Kind, Callable[[Any], Any]]) -> Iterator[list[Any]]:
    by_column = [converters.get(kind) for _, kind in table.columns]
    for row in table.rows():
        yield [
            value if value is None or convert is None else convert(value)
            for value, convert in zip(row, by_column, strict=True)
        ]


# ------------------------------------------------------------------------------------------------------ formats


def _write_csv(path: Path, table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        # Quoted text keeps its place even where a spreadsheet takes semicolons for separators.
        writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([name for name, _ in table.columns])
        writer.writerows(_converted(table, _IN_CSV))


def _write_json(path: Path, file: RunFile, verdict: RunVerdict | None) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    head = {"schema": SCHEMA, "run": as_json(file.manifest), "state": file.state, "stopped": as_json(file.stopped())}
    with path.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(f"{encode(head)[:-1]}")
        for name, table in tables(file).items():
            if name == "run":
                continue
            stream.write(f',\n"{name}": [')
            names = [column for column, _ in table.columns]
            for index, row in enumerate(_converted(table, _IN_JSON)):
                stream.write(("," if index else "") + "\n" + encode(dict(zip(names, row, strict=True))))
            stream.write("]")
        stream.write(f',\n"verdict": {encode(as_json(verdict))}}}\n')


def _write_parquet(path: Path, table: Table) -> None:
    import pyarrow as pa  # here, because it takes longer to import than the other formats take to write
    import pyarrow.parquet as pq

    simple = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "json": pa.string()}

    def array(name: str, kind: Kind, values: Sequence[Any]) -> Any:
        if kind == "flag":
            return pa.array(values, pa.int64()).cast(pa.bool_())
        if kind in simple:
            return pa.array(values, simple[kind])
        flat = _ARRAYS[kind](b"".join(value or b"" for value in values))
        sizes = [len(value or b"") // _ITEM_BYTES[kind] for value in values]
        offsets = pa.array(np.concatenate(([0], np.cumsum(sizes, dtype=np.int32))), pa.int32())
        items = pa.array(flat) if kind == "ids" else pa.StructArray.from_arrays([*flat.T], names=_NAMES[name])
        return pa.ListArray.from_arrays(offsets, items, mask=pa.array([value is None for value in values], pa.bool_()))

    def batch(rows: Sequence[tuple[Any, ...]]) -> Any:
        by_column = zip(*rows, strict=True) if rows else ([] for _ in table.columns)
        arrays = [array(name, kind, values) for (name, kind), values in zip(table.columns, by_column, strict=True)]
        return pa.record_batch(arrays, names=[name for name, _ in table.columns])

    rows = table.rows()
    first = batch(list(islice(rows, _BATCH)))
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        while more := list(islice(rows, _BATCH)):
            writer.write_batch(batch(more))
