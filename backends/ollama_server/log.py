"""What an Ollama server logs about one request: drafts, and prompt tokens that were really computed.

The API tells neither. Lines of the GGUF engine are llama.cpp's own, those of the MLX engine Ollama's:

    slot print_timing: id  0 | task 6 | prompt eval time =   16.31 ms /    14 tokens (…)
    slot print_timing: id  0 | task 6 | draft acceptance = 0.27273 (   21 accepted /    77 generated), mean len =  1.81
    … msg="speculative decode stats" iterations=23 drafted=69 accepted=30

They carry no name of a request, so they tell of it only where it ran alone.
"""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from results.records import DraftCounts

GGUF = re.compile(r"draft acceptance\s*=\s*[\d.]+\s*\(\s*(\d+) accepted\s*/\s*(\d+) generated\)")
MLX = re.compile(r"speculative decode stats\b(.*)")
EVALUATED = re.compile(r"prompt eval time\s*=\s*[\d.]+ ms\s*/\s*(\d+) tokens")
ENDED = re.compile(r"\btotal time\s*=\s*[\d.]+ ms\s*/\s*\d+ tokens")
"""Comes with every request of the GGUF engine, just before the line about its drafts."""
_PAIR = re.compile(r"\b(\w+)=(\d+)\b")

WITHIN = 3.0
"""Seconds until a line must have been written."""
GRACE = 0.3
"""Seconds from a request's last own line in which one about drafts would come, if any did."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the log says of a request."""

    counts: DraftCounts | None
    """None: nothing, or more than one request's."""
    evaluated: int | None
    """Prompt tokens that were computed; the others came from the prompt cache."""


def read(lines: Sequence[str]) -> Told:
    """Of the lines that came with one request. Counts of 0 where it is told of, and nothing was drafted."""
    drafts = [_gguf(found) for line in lines if (found := GGUF.search(line))]
    drafts += [_mlx(found[1]) for line in lines if (found := MLX.search(line))]
    evaluated = [int(found[1]) for line in lines if (found := EVALUATED.search(line))]
    counts = drafts[0] if len(drafts) == 1 else None
    if not drafts and len(evaluated) == 1:
        counts = DraftCounts(None, 0, 0)
    return Told(counts, evaluated[0] if len(evaluated) == 1 else None)


def _gguf(found: re.Match[str]) -> DraftCounts:
    return DraftCounts(rounds=None, drafted=int(found[2]), accepted=int(found[1]))


def _mlx(pairs: str) -> DraftCounts:
    told = {name: int(value) for name, value in _PAIR.findall(pairs)}
    return DraftCounts(told.get("iterations"), told.get("drafted"), told.get("accepted"))


class Log(Protocol):
    """Lines as they are written."""

    def mark(self) -> int: ...

    def since(self, mark: int) -> list[str]: ...


class LogFile:
    """A log that another process appends to; a mark is a place in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mark(self) -> int:
        return self._path.stat().st_size

    def since(self, mark: int) -> list[str]:
        """Complete lines after the mark; all of the file where it was begun anew meanwhile."""
        with self._path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(mark if mark <= size else 0)
            text = file.read().decode("utf-8", "replace")
        return text.split("\n")[:-1]


def wait(log: Log, mark: int, *, drafted: bool) -> Told:
    """What came since `mark`, as soon as the request's last line is there.

    drafted: a line about drafts is to be expected.
    """
    deadline, ended = time.monotonic() + WITHIN, None
    while True:
        lines = log.since(mark)
        told, now = read(lines), time.monotonic()
        if ended is None and any(ENDED.search(line) for line in lines):
            ended = now
        about_drafts = any(GGUF.search(line) or MLX.search(line) for line in lines)
        over = ended is not None and (not drafted or now > ended + GRACE)
        if about_drafts or over or now > deadline:
            return told
        time.sleep(0.01)
