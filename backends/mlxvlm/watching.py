"""Where the time of each step goes, in an instrumented pass: marks round the target's passes and round the drafts.

MLX computes lazily, so a mark waits until what it follows is computed: an instrumented pass loses the overlap of
computing one step and building the next.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx
from mlx_vlm.speculative import mtp

from backends.mlxvlm.bursts import Chunk
from backends.mlxvlm.loading import Model
from results.records import PlainStep, Round

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
