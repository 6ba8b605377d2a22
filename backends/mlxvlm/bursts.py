"""From what `stream_generate` yields to chunks and rounds: the evidence of every pass, headline passes included.

The drafter records a round before its tokens are handed out one by one, so the number of rounds recorded by then tells
which round a token belongs to. Standard library only.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from results.records import Arrival, Round

Drafter = Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens that one step of the engine gave."""

    ns: int
    """When the last of them reached the caller (`time.perf_counter_ns`)."""
    tokens: int
    """Of them."""


class Responses:
    """The responses of one call of `stream_generate`, in order."""

    def __init__(self, drafter: Drafter | None) -> None:
        """drafter: None in a plain arm."""
        self._drafter = drafter
        self._seen: list[tuple[int, int, int]] = []
        self.last: Any = None
        """The closing response, with `token_ids` and `finish_reason`."""

    def read(self, responses: Iterable[Any]) -> None:
        """All of them: when, tokens so far, rounds so far."""
        drafter, seen = self._drafter, self._seen
        for response in responses:
            rounds = len(drafter.accept_lens) if drafter is not None else 0
            seen.append((time.perf_counter_ns(), response.generation_tokens, rounds))
            self.last = response
        if self.last is None or self.last.token_ids is None:
            raise RuntimeError("mlx-vlm ended without a closing response")

    def chunks(self) -> list[Chunk]:
        """By step: a plain step gives one token, a round a burst. The first is the prefill's.

        Responses that bring no token (the closing one repeats the last) are left out.
        """
        found: list[Chunk] = []
        so_far, step = 0, None
        for ns, tokens, rounds in self._seen:
            if tokens == so_far:
                continue
            fresh = tokens - so_far
            if self._drafter is not None and rounds == step:
                found[-1] = Chunk(ns, found[-1].tokens + fresh)
            else:
                found.append(Chunk(ns, fresh))
            so_far, step = tokens, rounds
        return found


def arrivals(chunks: Sequence[Chunk], sent: int) -> tuple[Arrival, ...]:
    found, so_far = [], 0
    for chunk in chunks:
        so_far += chunk.tokens
        found.append(Arrival(chunk.ns - sent, so_far))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the drafter recorded of a generation, round by round, and its totals."""

    accepted: tuple[int, ...]
    drafted: tuple[int, ...]
    totals: tuple[int | None, int | None, int | None]
    """Rounds, accepted, drafted of `speculative_stats_since`."""


def checked(chunks: Sequence[Chunk], recorded: Recorded, k: int, limit: int) -> list[Round]:
    """The rounds of a generation, without times. Raises RuntimeError where the evidence contradicts itself.

    k: the draft length asked for. limit: most tokens asked for. A round drafts k tokens, or as many as still fit, and
    emits what it accepted plus one; only the last may be cut, by an end token or the limit, inside its drafts:
    accepted are then those that reached the output, whereas mlx-vlm counts what the target agreed to.
    """
    bursts = chunks[1:]
    if not recorded.accepted and sum(chunk.tokens for chunk in chunks) > 1:
        raise RuntimeError(f"asked for {k} drafts a round, but mlx-vlm drafted nothing")
    sums = (len(recorded.accepted) or None, sum(recorded.accepted) or None, sum(recorded.drafted) or None)
    if len(recorded.drafted) != len(recorded.accepted) or len(bursts) != len(recorded.accepted):
        raise RuntimeError(f"{len(bursts)} bursts of tokens, but {len(recorded.accepted)} rounds recorded")
    if tuple(total or None for total in recorded.totals) != sums:
        raise RuntimeError(f"the drafter's totals are {recorded.totals}, its rounds sum up to {sums}")
    rounds, so_far = [], sum(chunk.tokens for chunk in chunks[:1])
    if so_far != 1:
        raise RuntimeError(f"the prefill gave {so_far} tokens, not one")
    for index, (burst, accepted, drafted) in enumerate(zip(bursts, recorded.accepted, recorded.drafted, strict=True)):
        if drafted != min(k, limit - so_far):
            raise RuntimeError(f"asked for {k} drafts with {limit - so_far} tokens to go, but {drafted} were drafted")
        whole = burst.tokens == accepted + 1
        if not whole and (index < len(bursts) - 1 or burst.tokens > accepted + 1):
            raise RuntimeError(f"round {index} accepted {accepted} drafts but gave {burst.tokens} tokens")
        rounds.append(Round(drafted, min(accepted, burst.tokens), burst.tokens))
        so_far += burst.tokens
    return rounds
