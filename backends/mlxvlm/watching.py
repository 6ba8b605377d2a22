"""What is watched while mlx-vlm generates: responses always, and on request where the time of each step went.

`Responses` reads what `stream_generate` yields, and how many rounds the drafter has recorded by then: that is all
there is in a headline pass. `Steps` adds, for an instrumented pass, marks round the target's passes and the drafts.
MLX computes lazily, so a mark waits until what it follows is computed: an instrumented pass loses the overlap of
computing one step and building the next.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx
from mlx_vlm.speculative import mtp

from backends.mlxvlm.loading import Model
from results.records import Arrival, PlainStep, Round


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens that one step of the engine gave."""

    ns: int
    """When the last of them reached the caller (`time.perf_counter_ns`)."""
    tokens: int
    """Of them."""


class Responses:
    """The responses of one call of `stream_generate`, in order."""

    def __init__(self, drafter: Model | None) -> None:
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


# ------------------------------------------------------------------------------------- the instrumented pass

KEPT_BYTES = 2**29
"""Of logits kept until the end of an instrumented pass: 512 MiB are 512 tokens of 262,144 float32."""


@dataclass(frozen=True, slots=True)
class _Span:
    begin: int
    end: int

    @property
    def ns(self) -> int:
        return self.end - self.begin


class Steps:
    """Marks round every target pass, and round every draft of a speculative arm."""

    def __init__(self, *, keep_logits: bool) -> None:
        """keep_logits: of every plain pass, for `logits`."""
        self._keep_logits = keep_logits
        self._passes: list[_Span] = []
        self._drafts: list[_Span] = []
        self._verify_began = 0
        self._logits: list[mx.array] = []
        self._room = KEPT_BYTES

    @contextmanager
    def attached(self, target: Model, drafter: Model | None) -> Iterator[None]:
        """For one generation. drafter: None in a plain arm."""
        with ExitStack() as undo:
            if drafter is None:
                kind = type(target.language_model)
                undo.enter_context(_replaced(kind, "__call__", self._timed_pass))
            else:
                undo.enter_context(_replaced(type(drafter), "draft_block", self._timed_draft))
                undo.enter_context(_replaced(mtp, "_mtp_verify_target", self._begun_verification))
                undo.enter_context(_replaced(mtp, "_mtp_acceptance_walk", self._ended_verification))
            yield

    def _timed_pass(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(model: Model, inputs: mx.array, *args: Any, **kwargs: Any) -> Any:
            if "n_to_process" in kwargs:  # a piece of the prefill, before the pass that gives the first token
                return original(model, inputs, *args, **kwargs)
            mx.eval(inputs)  # the token before: its sampling belongs to its own step
            begin = time.perf_counter_ns()
            output = original(model, inputs, *args, **kwargs)
            mx.eval(output.logits)
            self._passes.append(_Span(begin, time.perf_counter_ns()))
            last = output.logits[0, -1]
            self._room -= output.logits.nbytes
            if self._keep_logits and self._room >= 0:
                self._logits.append(last)
            return output

        return call

    def _timed_draft(self, original: Callable[..., mx.array]) -> Callable[..., mx.array]:
        def draft_block(*args: Any, **kwargs: Any) -> mx.array:
            begin = time.perf_counter_ns()
            drafts = original(*args, **kwargs)
            mx.eval(drafts)
            self._drafts.append(_Span(begin, time.perf_counter_ns()))
            return drafts

        return draft_block

    def _begun_verification(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def verify(*args: Any, **kwargs: Any) -> Any:
            self._verify_began = time.perf_counter_ns()
            return original(*args, **kwargs)

        return verify

    def _ended_verification(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def walk(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)  # ends with the target's tokens on the host, so the pass is computed
            self._passes.append(_Span(self._verify_began, time.perf_counter_ns()))
            return found

        return walk

    def logits(self) -> mx.array | None:
        """[tokens, vocabulary] that chose the tokens, as far as there was room; None where none were kept."""
        return mx.stack(self._logits) if self._logits else None

    def plain(self, chunks: Sequence[Chunk]) -> tuple[PlainStep, ...]:
        """Steps of a plain arm after the prefill.

        mlx-vlm starts the pass for the next token before it hands out a token, the last one included: between two
        arrivals lies the pass for the token after the second.
        """
        if len(self._passes) not in (len(chunks), len(chunks) + 1):
            raise RuntimeError(f"{len(chunks)} tokens, but {len(self._passes)} target passes")
        between = zip(self._passes[2:], pairwise(chunks), strict=False)
        return tuple(PlainStep(pass_ns=span.ns, total_ns=after.ns - before.ns) for span, (before, after) in between)

    def timed(self, rounds: Sequence[Round], chunks: Sequence[Chunk]) -> tuple[Round, ...]:
        """The rounds with their times."""
        if not len(rounds) == len(self._passes) == len(self._drafts):
            raise RuntimeError(f"{len(rounds)} rounds, {len(self._drafts)} drafts, {len(self._passes)} verifications")
        steps = zip(rounds, pairwise(chunks), self._drafts, self._passes, strict=True)
        return tuple(
            Round(each.drafted, each.accepted, each.emitted, drafts.ns, verified.ns, after.ns - before.ns)
            for each, (before, after), drafts, verified in steps
        )


@contextmanager
def _replaced(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        setattr(owner, name, original)
