"""Decoding a batch: prompts take places, rounds go on, places become free and are taken again.

One wait for the device a round: for its tokens, and how many drafts each row kept. Rows advance by their own counts.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from backends.hf.watching import Clock, Mark
from backends.reference.engine import Round, Running
from results.records import Arrival, PlainStep
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
    """[vocabulary] each, where they are kept."""
    ended: bool = False
    """By a token that ends the text."""

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


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a batch."""

    max_new_tokens: int
    eos: frozenset[int]
    """Tokens that end a text; empty where decoding shall run past them."""
    clock: Clock | None
    """Of an instrumented pass."""
    keep_logits: bool = False
    seed: int | None = None


def decode(running: Running, prompts: Sequence[tuple[int, ...]], order: Order) -> list[Row]:
    """The prompts, as many at a time as there are places; the next takes the first place that becomes free."""
    waiting = deque(range(len(prompts)))
    places: list[Row | None] = [None] * running.rows.size
    finished: list[Row] = []
    draws = running.generator(order.seed)
    try:
        while waiting or any(places):
            free = [place for place, row in enumerate(places) if row is None]
            if free and waiting:
                _join(running, places, free, waiting, prompts, order, draws)
            else:
                _round(running, places, order, draws)
            for place, row in enumerate(places):
                if row is not None and row.done(order.max_new_tokens):
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
    rows = [Row(waiting.popleft(), time.perf_counter_ns()) for _ in taken]
    logits = running.fill(taken, [prompts[row.index] for row in rows])
    first = running.first(logits, draws)
    running.rows.last[taken] = first
    tokens, now = first.tolist(), time.perf_counter_ns()
    for place, row, token, scored in zip(taken, rows, tokens, logits, strict=True):
        places[place] = row
        row.take([token], order.max_new_tokens, order.eos, now)
        if order.keep_logits:
            row.logits.append(scored)


def _round(running: Running, places: list[Row | None], order: Order, draws: torch.Generator | None) -> None:
    begin = time.perf_counter_ns()
    done: Round = running.round(order.clock, draws)
    outcome = done.verified.outcome.tolist()  # waits for the device
    now = time.perf_counter_ns()
    times = None if done.marks is None else Times(*done.marks)
    for place, row in enumerate(places):
        if row is None:
            continue
        *tokens, kept = outcome[place]
        emitted = row.take(tokens[: kept + 1], order.max_new_tokens, order.eos, now)
        row.rounds.append(Seen(running.rule.length, min(kept, emitted), emitted, times))
        if order.keep_logits:
            row.logits.append(done.verified.logits[place, 0].clone())
    if times is not None:
        times.total_ns = time.perf_counter_ns() - begin


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
