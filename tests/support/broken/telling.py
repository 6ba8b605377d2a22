"""Faults in what an engine does or tells around tokens that are correct: idle drafters, counters, streams, baselines.

Where a fault is one of telling, the real engine decodes and its record is changed on the way out.
"""

import dataclasses
from itertools import accumulate

from support.broken.session import Engine

from results.records import Arrival, Draft, DraftCounts, Generation, PlainStep, Prompt, Request, Round


class Idle(Engine):
    """The drafter is loaded, and the engine decodes without it."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        assert request.draft is not None
        plain = self.honest(prompt, dataclasses.replace(request, draft=None))
        rounds = None
        if plain.steps is not None:
            rounds = tuple(Round(0, 0, 1, None, step.pass_ns, step.total_ns) for step in plain.steps)
        return dataclasses.replace(plain, rounds=rounds, steps=None, statement={"draft_length": request.draft.length})


class OtherLength(Engine):
    """The engine drafts another number of tokens than it was asked for, and says what it was asked for."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        assert request.draft is not None
        asked = request.draft.length
        other = 1 + (self.seed + asked) % 8
        taken = other if other != asked else asked + 1
        seen = self.honest(prompt, dataclasses.replace(request, draft=Draft(request.draft.method, taken)))
        return dataclasses.replace(seen, statement={**seen.statement, "draft_length": asked})


class PrefillAsRound(Engine):
    """The prefill is told as the first round."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        seen = self.honest(prompt, request)
        if seen.rounds is None:
            return seen
        return dataclasses.replace(seen, rounds=(Round(0, 0, seen.n_prefill), *seen.rounds))


class PrefillInTotals(Engine):
    """Only totals are told, and the prefill's token is among the accepted: all tokens - rounds, as some servers do."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        seen = self.honest(prompt, request)
        if seen.rounds is None:
            return seen
        drafted = sum(r.drafted for r in seen.rounds)
        counts = DraftCounts(len(seen.rounds), drafted, seen.n_tokens - len(seen.rounds))
        return dataclasses.replace(seen, rounds=None, counts=counts)


class SecretlySpeculative(Engine):
    """The plain arm drafts `length` tokens a round and does not say so."""

    length = 3

    def plain(self, prompt: Prompt, request: Request) -> Generation:
        seen = self.honest(prompt, dataclasses.replace(request, draft=Draft("mtp", self.length)))
        steps = None
        if seen.rounds is not None:
            steps = tuple(PlainStep(r.verify_ns or 0, r.total_ns or 0) for r in seen.rounds)
        return dataclasses.replace(seen, rounds=None, steps=steps, statement={})


class LostAtTheEnd(Engine):
    """Where a text ends, the last round's tokens are dropped, and its counters with them."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        seen = self.honest(prompt, request)
        return seen if seen.finish_reason != "stop" else _without_last_chunk(seen)


class DuplicatedChunk(Engine):
    """One chunk of a stream comes twice, and whoever counts the stream's tokens counts them twice."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        seen = self.honest(prompt, request)
        chunks = _chunks(seen)
        if len(chunks) < 2:
            return seen
        again = self.draw(prompt).randrange(1, len(chunks))
        times = [arrival.ns for arrival in seen.arrivals]
        return _of_chunks(seen, [*chunks[: again + 1], *chunks[again:]], [*times[: again + 1], *times[again:]])


def _without_last_chunk(seen: Generation) -> Generation:
    chunks = _chunks(seen)
    if len(chunks) < 2:
        return seen
    cut = _of_chunks(seen, chunks[:-1], [arrival.ns for arrival in seen.arrivals[:-1]])
    return dataclasses.replace(cut, rounds=None if seen.rounds is None else seen.rounds[:-1])


def _chunks(seen: Generation) -> list[tuple[int, ...]]:
    """The tokens of a generation as they arrived."""
    ends = [arrival.tokens for arrival in seen.arrivals]
    return [(seen.token_ids or ())[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _of_chunks(seen: Generation, chunks: list[tuple[int, ...]], times: list[int]) -> Generation:
    tokens = tuple(token for chunk in chunks for token in chunk)
    arrivals = tuple(Arrival(ns, so_far) for ns, so_far in zip(times, accumulate(map(len, chunks)), strict=True))
    return dataclasses.replace(seen, n_tokens=len(tokens), token_ids=tokens, text=None, arrivals=arrivals)
