"""Decoding a batch: prompts take places, rounds go on, places become free and are taken again.

One wait for the device a round: for its tokens, and how many drafts each row kept. Rows advance by their own counts.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from backends.hf.watching import KEPT_BYTES, Clock, Mark
from backends.reference.engine import Round, Running
from backends.reference.experts import Experts
from results.records import Arrival, PlainStep, Request
from results.records import Round as RoundRecord

PREFILL_TOKENS = 16_384
"""Of one prefill, padding included."""


@dataclass(slots=True)
class Row:
    """One prompt's decoding so far."""

    index: int
    """Among the prompts."""
    sent: int
    tokens: list[int] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    rounds: list["Seen"] = field(default_factory=list)
    logits: list[torch.Tensor] = field(default_factory=list)
    """[emitted, vocabulary] of prefill and rounds, by which its first tokens were chosen; where they are kept."""
    ended: bool = False
    """By a token that ends the text."""
    waits: list["Wait"] = field(default_factory=list)
    """For prompts that joined while it was decoding."""

    def take(self, chunk: Sequence[int], limit: int, eos: frozenset[int], now: int) -> int:
        """Tokens of a round, as far as they belong to the text; how many that were."""
        before = len(self.tokens)
        for token in chunk:
            self.tokens.append(token)
            self.ended = token in eos
            if self.done(limit):
                break
        self.arrivals.append(Arrival(now - self.sent, len(self.tokens)))
        return len(self.tokens) - before

    def done(self, limit: int) -> bool:
        return self.ended or len(self.tokens) == limit


@dataclass(frozen=True, slots=True)
class Wait:
    """A row stood still while others were prefilled."""

    had: int
    """Tokens that it had."""
    prompts: int
    """Prefilled together."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A round as one row had it; times are the whole batch's."""

    drafted: int
    kept: int
    emitted: int
    times: "Times | None"


@dataclass(slots=True)
class Times:
    """Marks of an instrumented round, read when all is over."""

    began: Mark
    drafted: Mark
    verified: Mark
    total_ns: int = 0


@dataclass(slots=True)
class Room:
    """For logits that are kept until all is over; from the first that finds none, no more are."""

    bytes: int = KEPT_BYTES

    def take(self, logits: torch.Tensor, copy: bool) -> torch.Tensor | None:
        """What may be kept of them. copy: their memory will be used again."""
        self.bytes -= logits.nbytes
        if self.bytes < 0:
            return None
        return logits.clone() if copy else logits


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a batch."""

    request: Request
    eos: frozenset[int]
    """Tokens that end a text; empty where decoding shall run past them."""
    clock: Clock | None
    """Of an instrumented pass."""
    room: Room | None = None
    """Keep logits there."""
    experts: Experts | None = None
    """Watches the routers of a mixture."""


def decode(running: Running, prompts: Sequence[tuple[int, ...]], order: Order) -> list[Row]:
    """The prompts, as many at a time as there are places; the next takes the first place that becomes free."""
    waiting = deque(range(len(prompts)))
    places: list[Row | None] = [None] * running.rows.size
    finished: list[Row] = []
    draws = running.generator(order.request.sampling.seed, prompts)
    try:
        while waiting or any(places):
            free = [place for place, row in enumerate(places) if row is None]
            if free and waiting:
                _join(running, places, free, waiting, prompts, order, draws)
            else:
                _round(running, places, order, draws)
            for place, row in enumerate(places):
                if row is not None and row.done(order.request.tokens_of(row.index)):
                    running.rows.leave(place)
                    places[place] = None
                    finished.append(row)
    finally:
        for place in range(running.rows.size):
            running.rows.leave(place)
    return sorted(finished, key=lambda row: row.index)


def _join(
    running: Running,
    places: list[Row | None],
    free: list[int],
    waiting: "deque[int]",
    prompts: Sequence[tuple[int, ...]],
    order: Order,
    draws: torch.Generator | None,
) -> None:
    """Prefill waiting prompts into free places, together as far as memory bears it; each emits its first token."""
    widest = max(len(prompts[index]) for index in list(waiting)[: len(free)])
    taken = free[: min(len(waiting), max(1, PREFILL_TOKENS // widest))]
    for other in places:
        if other is not None:
            other.waits.append(Wait(len(other.tokens), len(taken)))
    rows = [Row(waiting.popleft(), time.perf_counter_ns()) for _ in taken]
    logits = running.fill(taken, [prompts[row.index] for row in rows])
    first = running.first(logits, draws)
    running.rows.last[taken] = first
    tokens, now = first.tolist(), time.perf_counter_ns()
    kept = order.room.take(logits, copy=False) if order.room else None
    for at, (place, row, token) in enumerate(zip(taken, rows, tokens, strict=True)):
        places[place] = row
        row.take([token], order.request.tokens_of(row.index), order.eos, now)
        if kept is not None:
            row.logits.append(kept[at : at + 1])


def _round(running: Running, places: list[Row | None], order: Order, draws: torch.Generator | None) -> None:
    if order.experts is not None:
        order.experts.begin()
    begin = time.perf_counter_ns()
    done: Round = running.round(order.clock, draws)
    outcome = done.verified.outcome.tolist()  # waits for the device
    now = time.perf_counter_ns()
    times = None if done.marks is None else Times(*done.marks)
    logits = order.room.take(done.verified.logits, running.path.endswith("graphs")) if order.room else None
    for place, row in enumerate(places):
        if row is None:
            continue
        *tokens, kept = outcome[place]
        emitted = row.take(tokens[: kept + 1], order.request.tokens_of(row.index), order.eos, now)
        row.rounds.append(Seen(running.rule.length, min(kept, emitted), emitted, times))
        if logits is not None:
            row.logits.append(logits[place, :emitted])
    if times is not None:
        times.total_ns = time.perf_counter_ns() - begin
    if order.experts is not None:
        order.experts.end([place for place, row in enumerate(places) if row is not None], len(places))


def rounds_of(row: Row, clock: Clock) -> tuple[RoundRecord, ...]:
    """Of an instrumented speculative pass. accepted: drafts that reached the output."""
    return tuple(
        RoundRecord(
            drafted=seen.drafted,
            accepted=seen.kept,
            emitted=seen.emitted,
            draft_ns=clock.between(seen.times.began, seen.times.drafted),
            verify_ns=clock.between(seen.times.drafted, seen.times.verified),
            total_ns=seen.times.total_ns,
        )
        for seen in row.rounds
        if seen.times is not None
    )


def steps_of(row: Row, clock: Clock) -> tuple[PlainStep, ...]:
    """Of an instrumented plain pass."""
    return tuple(
        PlainStep(clock.between(seen.times.drafted, seen.times.verified), seen.times.total_ns)
        for seen in row.rounds
        if seen.times is not None
    )


def margins(row: Row) -> list[float]:
    """The best logit less the second best at each of its tokens whose logits were kept, to 6 significant digits."""
    found: list[float] = []
    for logits in row.logits:
        best = logits.topk(2, dim=-1).values.float()
        found += (best[:, 0] - best[:, 1]).tolist()
    return [float(f"{margin:.6g}") for margin in found]
