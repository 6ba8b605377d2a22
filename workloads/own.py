"""A user's own prompts: a JSON Lines file, a text file, or a folder of text files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from results.errors import UsageError
from workloads.rows import read_text, rows, suffix
from workloads.source import Source

TEXT_FIELDS = ("text", "prompt", "messages", "turns")
LICENCE = "not stated"


def load_own(path: Path) -> list[Source]:
    """The prompts of a file or folder.

    `.jsonl`: one object a line with `text`, `prompt`, `messages` or `turns`, and optionally `id`, `category`, `raw`
    and `bos` (see `Source`). Of a conversation the system message and the first user turn are taken. `.txt`: one
    prompt per paragraph. A folder: each `.txt` file in it is one prompt.
    Raises UsageError for an empty, unreadable or malformed file, naming file and line.
    """
    if path.is_dir():
        files = sorted(path.glob("*.txt"))
        sources = [_source(path, file.stem, {"text": read_text(file)}, str(file)) for file in files]
    elif suffix(path) == ".txt":
        texts = _paragraphs(read_text(path))
        sources = [_source(path, f"{n:03}", {"text": t}, str(path)) for n, t in enumerate(texts, 1)]
    elif suffix(path) in (".jsonl", ".jsonl.gz"):
        sources = [_source(path, f"{n:03}", row, where) for n, (where, row) in enumerate(rows(path), 1)]
    else:
        raise UsageError(f"{path} is no prompt file: expected .jsonl, .txt, or a folder of .txt files")
    if not sources:
        raise UsageError(f"{path} holds no prompts: expected {'.txt files' if path.is_dir() else 'at least one'}")
    keys: set[str] = set()
    for source in sources:
        if source.key in keys:
            raise UsageError(f"{path} has two prompts with the id {source.key.partition('/')[2]!r}")
        keys.add(source.key)
    return sources


def prompt_text(row: Mapping[str, Any], field: str, where: str) -> str:
    """The prompt in one field: a string, the first of several turns, or the opening of a conversation."""
    value = row[field]
    if field == "messages":
        value = "\n\n".join(_opening(value, where))
    elif isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {field!r} holds no text")
    return value


def _opening(messages: Any, where: str) -> Iterator[str]:
    """The system message, where there is one, and the first user turn."""
    for message in messages if isinstance(messages, list) else []:
        match message:
            case {"role": "system" | "developer", "content": str(content)}:
                yield content
            case {"role": "user", "content": str(content)}:
                yield content
                return
            case _:
                break
    raise UsageError(f"{where}: 'messages' needs {{role, content}} objects, a user's text before any answer")


def _source(path: Path, number: str, row: Mapping[str, Any], where: str) -> Source:
    field = next((name for name in TEXT_FIELDS if name in row), None)
    if field is None:
        raise UsageError(f"{where}: no prompt: expected one of the fields {', '.join(TEXT_FIELDS)}")
    for flag in ("raw", "bos"):
        if not isinstance(row.get(flag, True), bool):
            raise UsageError(f"{where}: {flag!r} is true or false, not {row[flag]!r}")
    if not row.get("bos", True) and not row.get("raw", False):
        raise UsageError(f"{where}: 'bos': false needs 'raw': true, for a chat template's start cannot be left out")
    name = path.name.removesuffix(suffix(path))
    return Source(
        key=f"{name}/{row.get('id', number)}",
        workload=str(path),
        category=str(row.get("category") or name),
        text=prompt_text(row, field, where),
        licence=LICENCE,
        raw=row.get("raw", False),
        bos=row.get("bos", True),
    )


def _paragraphs(text: str) -> list[str]:
    """Stretches of text between blank lines."""
    lines = [line.rstrip() for line in text.splitlines()]
    return [part.strip("\n") for part in "\n".join(lines).split("\n\n") if part.strip()]
