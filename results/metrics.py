"""Latencies and lengths of generations, from their token ids and arrivals (METHOD section 1).

Everything works on many generations at once: the values of all of them one after another in one array, and how many
belong to each. Times are nanoseconds since the request was sent.

The natural end of a generation is its first end-of-sequence token, or its last token where there is none. What comes
after it (a forced output length runs on) is left out of every figure here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.records import Generation

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RowTimings:
    """Timings of generations up to their natural ends; one entry each, all 0 where nothing arrived."""

    chunks: Ints
    """Chunks that brought new tokens, up to the natural end."""
    tokens: Ints
    """Tokens that had arrived, at most up to the natural end."""
    ttft_ns: Ints
    """Request sent -> first chunk."""
    e2e_ns: Ints
    """Request sent -> the chunk that holds the natural end."""
    decode_ns: Ints
    """First chunk -> the chunk that holds the natural end; from the end of the prefill where chunks are uncounted."""
    decode_tokens: Ints
    """Tokens after the first chunk; all of them where chunks are uncounted."""
    uncounted: Ints
    """1 where the runtime does not say how many tokens a chunk brings (`results.records.Arrival`), else 0."""


class Timing(NamedTuple):
    """One trial: a call with one row, or a batch of rows."""

    ttft_ns: float
    """Mean over rows."""
    e2e_ns: float
    """Mean over rows."""
    decode_ns: float
    """Sum over rows of the time from first to last chunk."""
    decode_tokens: int
    """Sum over rows of the tokens in that time."""
    wall_ns: float
    """Request sent -> the last row's natural end; of a closed loop, its rows' time shared out among the slots."""
    tokens: int
    """All rows together."""
    gaps: int
    """Sum over rows of the gaps between chunks; where chunks are uncounted, that before the first one included."""

    @property
    def tpot_ns(self) -> float | None:
        """Time per output token: decode time / decode tokens, rows pooled; None if every row came in one chunk.

        For one row this is METHOD's (t_last - t_first) / (n - n_first). For rows in lockstep it is the time of a step.
        Where rows advance and end on their own it weighs each row by its tokens, so a batch is not charged for a row
        that went on alone: that shows in the throughput instead.
        """
        return self.decode_ns / self.decode_tokens if self.decode_tokens else None

    @property
    def inter_chunk_ns(self) -> float | None:
        """Mean time between chunks. With speculation a chunk holds up to k + 1 tokens, so this is no token latency."""
        return self.decode_ns / self.gaps if self.gaps else None


def occurring(values: Ints) -> list[int]:
    """The values that occur, ascending. np.unique without counts would import numpy.ma: `show` has no time for that."""
    return sorted(set(values.tolist()))


def quantiles(values: Floats | Ints, *shares: float) -> list[float]:
    """Quantiles, linear between order statistics: np.quantile's default, without its import of numpy.ma."""
    found: list[float] = np.interp(shares, np.linspace(0, 1, len(values)), np.sort(values)).tolist()
    return found


def medians_by(keys: Ints, values: Floats | Ints) -> dict[int, float]:
    """The median of each key's values, keys ascending. keys, values: (n,)."""
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    count = np.diff(first, append=len(keys))
    middle = (values[first + (count - 1) // 2] + values[first + count // 2]) / 2
    return dict(zip(keys[first].tolist(), middle.tolist(), strict=True))


def natural_lengths(ids: Ints, lengths: Ints, eos: Sequence[int]) -> Ints:
    """Tokens up to and including the first of `eos` in each generation; its whole length where there is none.

    ids: (total,), the tokens of all generations; lengths: (generations,).
    """
    natural = lengths.copy()
    hits = np.flatnonzero(np.isin(ids, np.asarray(eos, dtype=np.int64)))
    if len(hits):
        owner = np.repeat(np.arange(len(lengths)), lengths)[hits]
        starts = np.cumsum(lengths) - lengths
        np.minimum.at(natural, owner, hits - starts[owner] + 1)
    return natural


def row_timings(times: Ints, tokens: Ints, arrivals: Ints, natural: Ints, text_only: NDArray[np.bool_]) -> RowTimings:
    """Timings of each generation from its arrivals.

    times, tokens: (total,), when each chunk came and how many tokens there were by then; arrivals, natural, text_only:
    (generations,), how many chunks each generation has, where it ends, and whether it has no token ids. Chunks without
    a new token are no chunks.
    """
    rows = len(arrivals)
    owner = np.repeat(np.arange(rows), arrivals)
    begun, uncounted = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.bool_)
    opening = (np.cumsum(arrivals) - arrivals)[arrivals > 0]
    begun[arrivals > 0], uncounted[arrivals > 0] = times[opening], tokens[opening] == 0
    uncounted &= text_only
    before = np.where(owner == np.roll(owner, 1), np.roll(tokens, 1), 0)
    if len(before):
        before[0] = 0
    new = tokens > before
    times, tokens, owner = times[new], tokens[new], owner[new]
    arrived = np.bincount(owner, minlength=rows)
    some = arrived > 0
    first = (np.cumsum(arrived) - arrived)[some]
    short_of_end = np.bincount(owner[tokens < natural[owner]], minlength=rows)[some]
    last = first + np.minimum(short_of_end, arrived[some] - 1)
    end = np.minimum(tokens[last], natural[some])

    def spread(values: Ints) -> Ints:
        filled = np.zeros(rows, dtype=np.int64)
        filled[some] = values
        return filled

    return RowTimings(
        chunks=spread(last - first + 1),
        tokens=spread(end),
        ttft_ns=spread(times[first]),
        e2e_ns=spread(times[last]),
        decode_ns=spread(times[last] - np.where(uncounted[some], begun[some], times[first])),
        decode_tokens=spread(np.where(uncounted[some], end, np.maximum(end - tokens[first], 0))),
        uncounted=uncounted.astype(np.int64),
    )


def steady(row: Ints, trial: Ints, slots: Ints) -> NDArray[np.bool_]:
    """(rows,): which rows are timed. Of a closed loop all but the first and the last `slots` requests.

    row: (rows,), each row's place in its trial, in the order of sending; slots: (trials,), requests in flight, 0 where
    all rows were sent at once. The first requests fill the loop all together; the last run with ever fewer beside
    them. Which ones these are depends on no time, so that every arm is timed on the same prompts.
    """
    asked, held = np.bincount(trial, minlength=len(slots))[trial], slots[trial]
    timed: NDArray[np.bool_] = (held == 0) | ((row >= held) & (row < asked - held))
    return timed


def trial_timings(rows: RowTimings, row: Ints, trial: Ints, slots: Ints) -> list[Timing | None]:
    """The timings of each trial from those of its rows; None where a trial has no row that arrived.

    row, slots: as in `steady`; trial: (rows,), the index of each row's trial. Rows that came in one chunk add no decode
    time and no decode token. A closed loop has no wall time of its own, because others' requests overlap its edges:
    with every slot always taken, its rows' time, shared out among the slots, is what they took (Little's law).
    """
    trials = len(slots)
    seen = (rows.chunks > 0) & steady(row, trial, slots)
    timed = seen & (rows.decode_tokens > 0)
    count = np.bincount(trial[seen], minlength=trials)
    mean = np.maximum(count, 1)

    def total(values: Ints, keep: NDArray[np.bool_]) -> Floats:
        return np.bincount(trial[keep], weights=values[keep], minlength=trials).astype(np.float64)

    wall = np.zeros(trials, dtype=np.int64)
    np.maximum.at(wall, trial, rows.e2e_ns)
    looping = slots > 0
    wall[looping] = (total(rows.e2e_ns, seen)[looping] / slots[looping]).astype(np.int64)
    columns = zip(
        count.tolist(),
        (total(rows.ttft_ns, seen) / mean).tolist(),
        (total(rows.e2e_ns, seen) / mean).tolist(),
        total(rows.decode_ns, timed).tolist(),
        total(rows.decode_tokens, timed).astype(np.int64).tolist(),
        wall.tolist(),
        total(rows.tokens, seen).astype(np.int64).tolist(),
        total(rows.chunks - 1 + rows.uncounted, timed).astype(np.int64).tolist(),
        strict=True,
    )
    return [Timing(*values) if n else None for n, *values in columns]


def timing(generations: Sequence[Generation], eos: Sequence[int], in_flight: int | None = None) -> Timing | None:
    """The timing of one trial from its rows as they came from a session; None if nothing arrived.

    in_flight: of a closed loop (`results.records.Request`).
    """
    lengths = np.array([g.n_tokens for g in generations], dtype=np.int64)
    natural = lengths.copy()
    for row, generation in enumerate(generations):
        if generation.token_ids is not None:
            ids = np.asarray(generation.token_ids, dtype=np.int64)
            natural[row] = natural_lengths(ids, lengths[row : row + 1], eos)[0]
    arrivals = [a for g in generations for a in g.arrivals]
    rows = row_timings(
        np.array([a.ns for a in arrivals], dtype=np.int64),
        np.array([a.tokens for a in arrivals], dtype=np.int64),
        np.array([len(g.arrivals) for g in generations], dtype=np.int64),
        natural,
        np.array([g.token_ids is None for g in generations], dtype=np.bool_),
    )
    places = np.arange(len(generations))
    return trial_timings(rows, places, np.zeros_like(places), np.array([in_flight or 0]))[0]


def tokens_per_s(timings: Iterable[Timing]) -> float | None:
    """All tokens over all wall time, every row of a batch counted; None where no time passed."""
    timings = list(timings)
    wall = sum(t.wall_ns for t in timings)
    return 1e9 * sum(t.tokens for t in timings) / wall if wall else None


def distinct_4grams(ids: Ints, lengths: Ints, natural: Ints) -> Floats:
    """Share of different 4-grams among all 4-grams of each generation up to its natural end; NaN below four tokens.

    4-grams are compared by 40-bit hashes: even among 8,000 tokens the chance of one collision is below 1 in 10,000.
    At most 2^24 generations a call.
    """
    rows = len(lengths)
    owner = np.repeat(np.arange(rows), lengths)
    position = np.arange(len(ids)) - (np.cumsum(lengths) - lengths)[owner]
    hashed = np.zeros(len(ids), dtype=np.uint64)
    window = ids.astype(np.uint64)
    for _ in range(4):
        hashed = (hashed ^ window) * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(29)
        window = np.roll(window, -1)
    inside = position + 4 <= natural[owner]
    grams = np.bincount(owner[inside], minlength=rows)
    keys = np.sort(owner[inside].astype(np.uint64) << np.uint64(40) | hashed[inside] >> np.uint64(24))
    first_seen = np.ones(len(keys), dtype=bool)
    first_seen[1:] = keys[1:] != keys[:-1]
    distinct = np.bincount((keys[first_seen] >> np.uint64(40)).astype(np.int64), minlength=rows)
    return np.where(grams > 0, distinct / np.maximum(grams, 1), np.nan)
