"""The tables of a run file as columns of numpy arrays: what every judgement is computed from.

A *row* is one generation: one prompt of one trial's batch. `ABSENT` stands for NULL in integer columns.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from results.metrics import Floats, Ints, RowTimings, distinct_4grams, natural_lengths, occurring, row_timings
from results.records import Launch
from results.runfile import RunFile

ABSENT = -1
TOLD = ('"speculative"', '"synthetic"', '"costs"', '"waits"', '"own_bytes"', '"experts"')
"""Keys of statements that judgements read."""
BLOCK = 4096
"""Rows decoded at once, so that their blobs take megabytes and not gigabytes."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """One entry per trial, in the order of their ids."""

    ids: Ints
    cell: Ints
    launch: Ints
    unit: Ints
    repeat: Ints
    half: Ints
    wall_ns: Ints
    cpu_ns: Ints
    phase: NDArray[np.str_]
    failures: dict[int, str]
    """Trial index -> `kind: message`."""
    flags: dict[int, list[str]]
    """Trial index -> what telemetry found wrong; absent where nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One entry per generation, in the order of their ids."""

    ids: Ints
    trial: Ints
    """Index of its trial."""
    row: Ints
    prompt: Ints
    n_tokens: Ints
    n_prefill: Ints
    prompt_tokens: Ints
    rounds_revealed: Ints
    count_rounds: Ints
    count_drafted: Ints
    count_accepted: Ints
    cached_tokens: Ints
    natural: Ints
    """Tokens up to the natural end."""
    arrived: Ints
    """Tokens by the last arrival."""
    output: Ints
    """Index of what it gave in `Extras.outputs`: equal outputs have equal indices."""
    distinct_4grams: Floats
    """NaN where there are no ids, or fewer than four."""
    timings: RowTimings


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What few rows have, by row index."""

    steps: dict[int, Ints]
    """(steps, 2): target pass and whole step of plain decoding, nanoseconds."""
    per_position: dict[int, tuple[int, ...]]
    """Rounds that accepted at least i drafts, i = 1..k."""
    said: dict[int, dict[str, Any]]
    """The engine's statement, where it says any of `TOLD`."""
    outputs: list[bytes | str]
    """Distinct outputs: token ids as int32, or the text where the runtime gives no ids."""

    def tokens(self, output: int) -> NDArray[np.int32]:
        """The token ids of an output that has them."""
        ids = self.outputs[output]
        assert isinstance(ids, bytes)
        return np.frombuffer(ids, dtype="<i4")


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """One entry per round, row by row in the order they ran."""

    row: Ints
    """Index of its row."""
    drafted: Ints
    accepted: Ints
    emitted: Ints
    draft_ns: Ints
    verify_ns: Ints
    total_ns: Ints
    start: Ints
    """Tokens of the row before this round, those of the prefill included."""
    last: Bools
    """The row's last round, where the end of text or the length limit may have cut it."""

    def take(self, keep: Bools) -> Self:
        """The rounds that `keep` selects."""
        return type(self)(*(getattr(self, column.name)[keep] for column in fields(self)))


def read_trials(file: RunFile) -> Trials:
    """All trials, warm-up included."""
    phases: list[str] = []
    failures: dict[int, str] = {}
    flags: dict[int, list[str]] = {}

    def numbers() -> Iterator[tuple[int, ...]]:
        found = file.query(
            "SELECT id, cell_id, launch_id, unit, repeat, half, wall_ns, coalesce(cpu_ns, -1), "
            "phase, failure_kind, failure_message, flags FROM trial ORDER BY id"
        )
        for index, (*columns, phase, kind, message, flagged) in enumerate(found):
            phases.append(phase)
            if kind is not None:
                failures[index] = f"{kind}: {message}"
            if flagged != "[]":
                flags[index] = json.loads(flagged)
            yield tuple(columns)

    table = _named(Trials, _table(numbers(), 8))
    return Trials(**table, phase=np.array(phases, dtype=np.str_), failures=failures, flags=flags)


def read_rows(file: RunFile, trials: Trials, launches: Mapping[int, Launch]) -> tuple[Rows, Extras]:
    """All generations. Their natural ends come from the end-of-sequence ids of the launch they ran in."""
    found = file.query(
        "SELECT id, trial_id, row, prompt_id, n_tokens, n_prefill, coalesce(prompt_tokens, -1), rounds_revealed, "
        "coalesce(count_rounds, -1), coalesce(count_drafted, -1), coalesce(count_accepted, -1), "
        "coalesce(cached_tokens, -1), arrivals, token_ids, CASE WHEN token_ids IS NULL THEN text END, "
        "steps, count_per_position, statement FROM generation ORDER BY id"
    )
    ends = {launch_id: launch.facts.eos_token_ids for launch_id, launch in launches.items() if launch.facts}
    extras = Extras({}, {}, {}, [])
    distinct: dict[bytes | str, int] = {}
    parts: list[Rows] = []
    while block := list(islice(found, BLOCK)):
        offset = len(parts) * BLOCK
        *numbers, arrivals, ids, texts, steps, positions, statements = zip(*block, strict=True)
        parts.append(_rows(np.array(numbers, dtype=np.int64), arrivals, ids, texts, distinct, trials, ends))
        for index, (passes, position, statement) in enumerate(zip(steps, positions, statements, strict=True), offset):
            if passes:
                extras.steps[index] = np.frombuffer(passes, dtype="<i8").reshape(-1, 2)
            if position is not None:
                extras.per_position[index] = tuple(json.loads(position))
            if any(key in statement for key in TOLD):
                extras.said[index] = json.loads(statement)
    parts = parts or [_rows(np.empty((12, 0), dtype=np.int64), (), (), (), distinct, trials, ends)]
    extras.outputs.extend(distinct)
    return _joined(parts), extras


def read_rounds(file: RunFile, rows: Rows) -> Rounds:
    """All rounds, each with where in its row's output it began."""
    row, drafted, accepted, emitted, draft_ns, verify_ns, total_ns = _table(
        file.query(
            "SELECT generation_id, drafted, accepted, emitted, coalesce(draft_ns, -1), coalesce(verify_ns, -1), "
            "coalesce(total_ns, -1) FROM round ORDER BY generation_id, idx"
        ),
        7,
    )
    row = np.searchsorted(rows.ids, row)
    last = np.ones(len(row), dtype=bool)
    last[:-1] = row[1:] != row[:-1]
    before = np.cumsum(emitted) - emitted
    first = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1]) if len(row) else row
    rounds_of_row = np.diff(first, append=len(row))
    start = before - np.repeat(before[first], rounds_of_row) + rows.n_prefill[row]
    return Rounds(row, drafted, accepted, emitted, draft_ns, verify_ns, total_ns, start, last)


def _table(rows: Iterator[tuple[int, ...]], columns: int) -> NDArray[np.int64]:
    """(columns, rows), without holding the rows as tuples."""
    flat = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
    return np.ascontiguousarray(flat.reshape(-1, columns).T)


def _named(kind: type[Trials | Rows], table: NDArray[np.int64]) -> dict[str, Any]:
    """The leading columns of `kind` by name."""
    return dict(zip((column.name for column in fields(kind)), table, strict=False))


def _rows(
    numbers: NDArray[np.int64],
    arrivals: Sequence[bytes],
    ids: Sequence[bytes | None],
    texts: Sequence[str | None],
    distinct: dict[bytes | str, int],
    trials: Trials,
    ends: Mapping[int, tuple[int, ...]],
) -> Rows:
    """One block of rows. numbers: (12, rows), the integer columns in the order of `Rows`.

    distinct: outputs seen so far, each with its index; grows.
    """
    numbers[1] = np.searchsorted(trials.ids, numbers[1])
    launch, n_tokens = trials.launch[numbers[1]], numbers[4]
    lengths = np.array([len(blob) // 4 if blob is not None else 0 for blob in ids], dtype=np.int64)
    tokens = np.frombuffer(b"".join(blob for blob in ids if blob is not None), dtype="<i4").astype(np.int64)
    natural = n_tokens.copy()
    launches = occurring(launch)
    for eos in {ends.get(launch_id, ()) for launch_id in launches}:  # one, unless a run changed its model
        alike = np.isin(launch, [launch_id for launch_id in launches if ends.get(launch_id, ()) == eos])
        known = alike & (lengths > 0)
        natural[known] = natural_lengths(tokens, lengths, eos)[known]
    text_only = np.array([blob is None for blob in ids], dtype=np.bool_)
    chunks = np.array([len(blob) // 16 for blob in arrivals], dtype=np.int64)
    times, so_far = np.frombuffer(b"".join(arrivals), dtype="<i8").reshape(-1, 2).T
    arrived = np.zeros(len(chunks), dtype=np.int64)
    arrived[chunks > 0] = so_far[(np.cumsum(chunks) - 1)[chunks > 0]]
    given = (text or "" if blob is None else blob for blob, text in zip(ids, texts, strict=True))
    return Rows(
        **_named(Rows, numbers),
        natural=natural,
        arrived=arrived,
        output=np.array([distinct.setdefault(each, len(distinct)) for each in given], dtype=np.int64),
        distinct_4grams=distinct_4grams(tokens, lengths, natural),
        timings=row_timings(times, so_far, chunks, natural, text_only),
    )


def _joined(parts: Sequence[Rows]) -> Rows:
    columns = {c.name: np.concatenate([getattr(p, c.name) for p in parts]) for c in fields(Rows) if c.name != "timings"}
    timings = (np.concatenate([getattr(p.timings, c.name) for p in parts]) for c in fields(RowTimings))
    return Rows(**columns, timings=RowTimings(*timings))
