"""What is watched while `generate` runs: arrivals always, and on request where the time of each step went.

`Arrivals` is the streamer of every pass, and all there is in a headline pass. `Steps` adds, for an instrumented
pass, two hooks round the target's forward and a patch round the candidate generator's `get_candidates`. Both
agree on every draft (width of the target pass = drafted + 1), or the pass is thrown away.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from transformers.generation.candidate_generator import CandidateGenerator
from transformers.generation.streamers import BaseStreamer

from backends.hf.loading import Model
from results.records import Draft, Json, PlainStep, Round

GENERATORS = {
    "mtp": "SinglePositionMultiTokenCandidateGenerator",
    "draft-model": "AssistedCandidateGenerator",
    "prompt-lookup": "PromptLookupCandidateGenerator",
}
"""The class that drafts for a method: `generate` silently decodes without drafts under some settings."""


class Arrivals(BaseStreamer):
    """Notes when tokens reach the host. `generate` puts the prompt first, then once per step all its new tokens."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.chunks: list[torch.Tensor] = []

    def put(self, value: torch.Tensor) -> None:
        """`value` is on the CPU: [rows] from plain decoding, [1, tokens] from assisted."""
        self.times.append(time.perf_counter_ns())
        self.chunks.append(value)

    def end(self) -> None:
        """Nothing is held back."""

    def of_row(self, row: int) -> list[list[int]]:
        """The tokens of one row, chunk by chunk, without the prompt."""
        return [chunk[row].tolist() if chunk.dim() == 2 else [int(chunk[row])] for chunk in self.chunks[1:]]


Patch = Callable[[CandidateGenerator], None]


@contextmanager
def drafting(target: Model, made: list[CandidateGenerator], patch: Patch | None) -> Iterator[None]:
    """Collects the candidate generators that `generate` makes: one call per generation, none per step.

    `_get_candidate_generator` is private; it is where every method of assisted generation passes through.
    """
    original = target._get_candidate_generator

    def make(*args: Any, **kwargs: Any) -> CandidateGenerator:
        generator: CandidateGenerator = original(*args, **kwargs)
        made.append(generator)
        if patch is not None:
            patch(generator)
        return generator

    target.__dict__["_get_candidate_generator"] = make
    try:
        yield
    finally:
        del target.__dict__["_get_candidate_generator"]


def evidence(draft: Draft | None, made: Sequence[CandidateGenerator]) -> dict[str, Json]:
    """What the runtime made to draft with, for the record. Raises RuntimeError where it is not what was asked for."""
    names = [type(generator).__name__ for generator in made]
    if names != ([] if draft is None else [GENERATORS[draft.method]]):
        raise RuntimeError(f"asked for {draft or 'plain decoding'}, but Transformers made {names or 'no generator'}")
    if draft is None:
        return {}
    length = getattr(made[0], "num_assistant_tokens", getattr(made[0], "num_output_tokens", None))
    if length != draft.length:
        raise RuntimeError(f"asked for draft length {draft.length}, but Transformers took {length}")
    return {"candidate_generator": names[0], "draft_length": draft.length}


# ------------------------------------------------------------------------------------- the instrumented pass

KEPT_BYTES = 2**29
"""Of logits kept until the end of an instrumented pass: 512 MiB are 1,024 tokens of 262,144 bfloat16."""

Mark = Any
"""A point in time: host nanoseconds, or an event in the device's queue."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How a step is timed on a device without disturbing it more than needed."""

    mark: Callable[[], Mark]
    between: Callable[[Mark, Mark], int]
    """Nanoseconds from one mark to another; asked only after the pass."""


def clock_of(device: torch.device) -> Clock:
    """CUDA: events, read after the pass. MPS: the queue is drained at every mark. CPU: the host's clock."""
    if device.type == "cuda":
        return Clock(_cuda_event, lambda begin, end: round(begin.elapsed_time(end) * 1e6))
    if device.type == "mps":
        return Clock(_drained, lambda begin, end: end - begin)
    return Clock(time.perf_counter_ns, lambda begin, end: end - begin)


def _cuda_event() -> Mark:
    event: Any = torch.Event(device="cuda", enable_timing=True)
    event.record()
    return event


def _drained() -> Mark:
    torch.mps.synchronize()
    return time.perf_counter_ns()


@dataclass(frozen=True, slots=True)
class _Span:
    begin: Mark
    end: Mark


@dataclass(frozen=True, slots=True)
class _Proposal:
    """What `get_candidates` returned: the text so far, lengthened by the drafts."""

    span: _Span
    known: int
    ids: torch.Tensor

    @property
    def drafts(self) -> list[int]:
        drafts: list[int] = self.ids[0, self.known :].tolist()
        return drafts


class Steps:
    """Marks round every target pass, and round every draft of a speculative arm."""

    def __init__(self, clock: Clock, *, keep_logits: bool) -> None:
        """keep_logits: of the last token of every target pass, for `logits`."""
        self._clock = clock
        self._keep_logits = keep_logits
        self._began: Mark = None
        self._widths: list[int] = []
        self._passes: list[_Span] = []
        self._proposals: list[_Proposal] = []
        self._logits: list[torch.Tensor] = []
        self._room = KEPT_BYTES

    @contextmanager
    def attached(self, target: Model) -> Iterator[None]:
        before = target.register_forward_pre_hook(self._before, with_kwargs=True)
        after = target.register_forward_hook(self._after)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def patch(self, generator: CandidateGenerator) -> None:
        """Patched, not wrapped: `generate` asks for the generator's class."""
        original: Any = generator.get_candidates

        def get_candidates(input_ids: torch.Tensor, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
            begin = self._clock.mark()
            ids, logits = original(input_ids, **kwargs)
            span = _Span(begin, self._clock.mark())
            self._proposals.append(_Proposal(span, input_ids.shape[1], ids))
            return ids, logits

        generator.__dict__["get_candidates"] = get_candidates

    def _before(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._widths.append(kwargs["input_ids"].shape[1])
        self._began = self._clock.mark()

    def _after(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._passes.append(_Span(self._began, self._clock.mark()))
        last = output.logits[:, -1]
        self._room -= last.untyped_storage().nbytes()  # of the whole tensor, which a view keeps alive
        if (
            self._keep_logits and self._room >= 0
        ):  # a reference to what `generate` lets go of: nothing is computed before the pass is over
            self._logits.append(last)

    def logits(self, row: int) -> torch.Tensor | None:
        """[passes, vocabulary] that chose a row's tokens, as far as there was room; None where none were kept."""
        return torch.stack([last[row] for last in self._logits]) if self._logits else None

    def agree_with(self, arrivals: Arrivals, *, speculative: bool) -> None:
        """Raises RuntimeError unless every step made one target pass, one arrival and, if it drafts, one proposal."""
        steps = len(arrivals.chunks) - 1
        late = len(self._passes) - steps  # on MPS, plain decoding notices the end one pass late and drops that pass
        if late not in (0, 1) or len(self._proposals) != steps * speculative:
            raise RuntimeError(f"{steps} arrivals, {len(self._passes)} target passes, {len(self._proposals)} proposals")

    def plain(self, times: Sequence[int]) -> tuple[PlainStep, ...]:
        """Steps of a row after the prefill; `times`: when the prefill's token and every later one of it arrived."""
        return tuple(
            PlainStep(pass_ns=self._ns(span), total_ns=now - then)
            for span, (then, now) in zip(self._passes[1:], pairwise(times), strict=False)  # other rows may go on
        )

    def rounds(self, times: Sequence[int], chunks: Sequence[Sequence[int]]) -> tuple[Round, ...]:
        """Rounds after the prefill, one per chunk.

        accepted: drafts that reached the output. The runtime's own count is one too low where EOS or the length
        limit cut a round inside its drafts, because it takes the last token for the target's own.
        """
        steps = zip(pairwise(times), chunks[1:], self._proposals[1:], self._passes[1:], self._widths[1:], strict=True)
        return tuple(self._round(*step) for step in steps)

    def _round(
        self, arrived: tuple[int, int], chunk: Sequence[int], proposal: _Proposal, verified: _Span, width: int
    ) -> Round:
        drafts = proposal.drafts
        if width != len(drafts) + 1:
            raise RuntimeError(f"the target verified {width - 1} drafts where {len(drafts)} were drafted")
        return Round(
            drafted=len(drafts),
            accepted=common_prefix(drafts, chunk),
            emitted=len(chunk),
            draft_ns=self._ns(proposal.span),
            verify_ns=self._ns(verified),
            total_ns=arrived[1] - arrived[0],
        )

    def prefill_drafts(self, chunk: Sequence[int]) -> dict[str, Json]:
        """Drafts verified together with the prompt (prompt lookup, a small draft model): no round, but told."""
        drafts = self._proposals[0].drafts
        return {"prefill_drafted": len(drafts), "prefill_accepted": common_prefix(drafts, chunk)}

    def _ns(self, span: _Span) -> int:
        return self._clock.between(span.begin, span.end)


def common_prefix(drafts: Sequence[int], chunk: Sequence[int]) -> int:
    """How many tokens the two begin with in common."""
    for index, (draft, token) in enumerate(zip(drafts, chunk, strict=False)):
        if draft != token:
            return index
    return min(len(drafts), len(chunk))
