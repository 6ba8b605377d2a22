"""Rows of a text or table file, each with the place it stands at, so that a mistake is named exactly."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from results.errors import UsageError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet")

Row = tuple[str, dict[str, Any]]
"""Where it stands (`prompts.jsonl line 3`), and its fields."""


def suffix(path: Path) -> str:
    """The file's kind by its name; `.gz` counts together with what stands before it."""
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def rows(path: Path) -> Iterator[Row]:
    """Every row of a JSON Lines, JSON (a list of objects) or Parquet file.

    Raises UsageError, naming file and line, for what is neither text nor JSON nor an object.
    """
    if suffix(path) == ".parquet":
        yield from _parquet(path)
    elif suffix(path) == ".json":
        found = _parse(read_text(path), str(path))
        if not isinstance(found, list):
            raise UsageError(f"{path} holds no list of prompts: expected [{{…}}, …], or JSON Lines in a .jsonl file")
        for number, value in enumerate(found, 1):
            yield _object(value, f"{path} entry {number}")
    else:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                where = f"{path} line {number}"
                yield _object(_parse(line, where), where)


def read_text(path: Path) -> str:
    """The file's text. Raises UsageError where it cannot be read or is not UTF-8."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start} cannot be read") from error
    except (OSError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow  # here, not above: it takes a third of a second and only Parquet files need it
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise UsageError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from error
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{path} row {number}", row


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{where}, column {error.colno}" if error.lineno == 1 else f"{where} line {error.lineno}"
        raise UsageError(f"{place}: no JSON: {error.msg}") from error


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise UsageError(
            f"{where}: expected an object with text, prompt, messages or turns, not {json.dumps(value)[:40]}"
        )
    return where, value
