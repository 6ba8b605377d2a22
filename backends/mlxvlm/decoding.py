"""A session over mlx-vlm's `stream_generate`: one call per prompt, with the draft length of its request."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import mlx.core as mx
from mlx_vlm.generate import stream_generate
from mlx_vlm.generate.common import generation_stream
from mlx_vlm.sample_utils import MIN_SAMPLING_TEMPERATURE
from mlx_vlm.speculative.utils import speculative_stats_since, speculative_stats_snapshot

from backends.base import GREEDY, Session
from backends.hf import encoding  # needs Transformers' tokenizers only, no PyTorch
from backends.mlxvlm import asking, scoring
from backends.mlxvlm.bursts import Recorded, Responses, arrivals, checked
from backends.mlxvlm.loading import Model, Models
from backends.mlxvlm.watching import Steps
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from results.records import Encoded, Generation, Json, Prompt, Request, Round, Sampling, TokenScore


class DecodingSession(Session):
    """Plain and MTP decoding over one loaded pair."""

    def __init__(self, models: Models) -> None:
        self.facts = models.facts
        self._models = models

    def release(self) -> None:
        """Let go of the models; the session cannot be used after it."""
        del self._models

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        chat = chat and self.facts.chat_template
        return encoding.encode(self._models.tokenizer, text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        if len(prompts) != 1:
            raise ValueError(f"this adapter decodes one row at a time, not a batch of {len(prompts)}")
        ids = ids_of(self, prompts[0])
        self._refuse(ids, request)
        target, drafter = self._models.target, self._models.drafter if request.draft else None
        arguments, seen = self._arguments(request)
        greedy = request.sampling.temperature == 0
        steps = Steps(keep_logits=drafter is None and greedy) if request.capture == "rounds" else None
        responses = Responses(drafter)
        before = _forget(drafter)
        with ExitStack() as watch:
            watch.enter_context(self._ending(None if request.ignore_eos else self.facts.eos_token_ids))
            if steps is not None:
                watch.enter_context(steps.attached(target, drafter))
            inputs = mx.array([list(ids)])
            mx.eval(inputs)
            _drain()
            mx.reset_peak_memory()
            sent = time.perf_counter_ns()
            tokenizer = self._models.tokenizer
            responses.read(stream_generate(target, tokenizer, "", input_ids=inputs, **arguments))
            _drain()
        peak = int(mx.get_peak_memory())
        return [self._generation(ids, request, sent, responses, steps, _recorded(drafter, before), seen, peak)]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        if not continuation:
            return []
        self._refuse_sampling(sampling)
        ids = [*ids_of(self, prompt), *continuation]
        refuse_length(self.facts, len(ids))
        model = self._models.target.language_model
        hidden = model.model(mx.array([ids[:-1]]))[0, -len(continuation) :]
        found: list[TokenScore] = []
        for start in range(0, len(continuation), scoring.AT_ONCE):
            rows, tokens = hidden[start : start + scoring.AT_ONCE], continuation[start : start + scoring.AT_ONCE]
            found += scoring.scores(model.logits_from_hidden(rows), tokens, sampling, start)
        return found

    # ------------------------------------------------------------------------------------- what is asked

    def _refuse(self, ids: Sequence[int], request: Request) -> None:
        if request.draft is not None and request.draft.method not in self._models.methods:
            raise ValueError(f"this session was opened for {self._models.methods}, not {request.draft.method!r}")
        self._refuse_sampling(request.sampling)
        refuse_length(self.facts, len(ids) + request.max_new_tokens)
        refuse_unknown_tokens(self.facts, [ids])

    def _refuse_sampling(self, sampling: Sampling) -> None:
        if 0 < sampling.temperature < MIN_SAMPLING_TEMPERATURE:
            raise ValueError(f"mlx-vlm takes temperatures below {MIN_SAMPLING_TEMPERATURE} for that; ask for 0 or more")
        if sampling.top_k is not None and sampling.top_k >= (self.facts.vocab_size or sampling.top_k + 1):
            raise ValueError(f"mlx-vlm takes a top-k below the vocabulary of {self.facts.vocab_size:,}")

    def _arguments(self, request: Request) -> tuple[dict[str, Any], dict[str, Json]]:
        """For `stream_generate`, and for the record.

        Above temperature 0 MLX's own generator is seeded, which drives the target and, from the same state, the
        drafter: their draws then agree more often. With `seed=` in the call mlx-vlm would take another sampler, whose
        draws are tied to positions, and accept half as many drafts.
        """
        sampling = request.sampling
        arguments = asking.decoding(request.max_new_tokens, sampling, request.draft, self._models.options)
        seen: dict[str, Json] = {}
        if sampling.temperature > 0:
            seed = int.from_bytes(os.urandom(4)) if sampling.seed is None else sampling.seed
            mx.random.seed(seed)
            seen["seed"] = seed
        if request.draft is not None:
            arguments["draft_model"] = self._models.drafter
        return arguments, seen

    @contextmanager
    def _ending(self, eos: Sequence[int] | None) -> Iterator[None]:
        """The tokens that end a text, for one generation; None: none does."""
        criteria: Any = self._models.tokenizer.stopping_criteria
        before = criteria.eos_token_ids
        criteria.eos_token_ids = list(eos or ())
        try:
            yield
        finally:
            criteria.eos_token_ids = before

    # -------------------------------------------------------------------------------------- what was seen

    def _generation(
        self,
        prompt: Sequence[int],
        request: Request,
        sent: int,
        responses: Responses,
        steps: Steps | None,
        recorded: Recorded | None,
        seen: dict[str, Json],
        peak: int,
    ) -> Generation:
        tokens = tuple(responses.last.token_ids)
        chunks = responses.chunks()
        rounds: Sequence[Round] | None = None
        if recorded is not None and request.draft is not None:
            rounds = checked(chunks, recorded, request.draft.length, request.max_new_tokens)
            names = ("rounds", "accepted", "drafted")
            seen = seen | {"speculative_stats": dict(zip(names, recorded.totals, strict=True))}
        logits = None if steps is None else steps.logits()
        return Generation(
            n_tokens=len(tokens),
            token_ids=tokens,
            text=str(self._models.tokenizer.decode(list(tokens), skip_special_tokens=True)),
            arrivals=arrivals(chunks, sent),
            n_prefill=chunks[0].tokens,
            prompt_tokens=responses.last.prompt_tokens,
            rounds=steps.timed(rounds, chunks) if steps is not None and rounds is not None else None,
            steps=steps.plain(chunks) if steps is not None and rounds is None else None,
            scores=None if logits is None else tuple(scoring.scores(logits[: len(tokens)], tokens, GREEDY)),
            finish_reason=responses.last.finish_reason,
            cached_tokens=responses.last.cached_tokens,
            peak_memory_bytes=peak,
            statement=seen,
        )


def _forget(drafter: Model | None) -> tuple[int, float, int]:
    """Rounds of the call before are dropped: mlx-vlm does so only after the prefill. The totals until now."""
    if drafter is None:
        return (0, 0.0, 0)
    drafter.accept_lens, drafter.draft_lens = [], []
    snapshot: tuple[int, float, int] = speculative_stats_snapshot(drafter)
    return snapshot


def _recorded(drafter: Model | None, before: tuple[int, float, int]) -> Recorded | None:
    if drafter is None:
        return None
    totals = speculative_stats_since(drafter, before)
    return Recorded(tuple(map(int, drafter.accept_lens)), tuple(drafter.draft_lens), totals)


def _drain() -> None:
    """Wait until the device has done everything asked of it: a plain call leaves a step behind that nobody reads."""
    mx.synchronize(generation_stream)
    mx.synchronize()
