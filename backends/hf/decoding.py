"""A session over Transformers' `generate`: one call per request, with the draft method and length of that request.

Nothing but the models lives from one call to the next. The drafter's settings have their place on the assistant
(`generate` ignores them as arguments), so they are set anew for every call.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.candidate_generator import CandidateGenerator

from backends.base import GREEDY, Session
from backends.hf import asking, encoding, scoring
from backends.hf.loading import Models
from backends.hf.watching import Arrivals, Steps, clock_of, drafting, evidence
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from results.records import Arrival, Draft, Encoded, Generation, Json, Prompt, Request, Sampling, TokenScore


class DecodingSession(Session):
    """Plain, MTP, small-draft-model and prompt-lookup decoding over one loaded pair."""

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
        rows = [ids_of(self, prompt) for prompt in prompts]
        self._refuse(rows, request)
        target, device = self._models.target, self._models.device
        arguments = {**self._batch(rows), **self._arm(request.draft), "generation_config": self._config(request)}
        if request.sampling.seed is not None:
            torch.manual_seed(request.sampling.seed)
        arrivals = Arrivals()
        made: list[CandidateGenerator] = []
        greedy = request.draft is None and request.sampling.temperature == 0
        steps = Steps(clock_of(device), keep_logits=greedy) if request.capture == "rounds" else None
        with ExitStack() as watch:
            watch.enter_context(drafting(target, made, patch=None if steps is None else steps.patch))
            if steps is not None:
                watch.enter_context(steps.attached(target))
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            _drain(device)
            sent = time.perf_counter_ns()
            target.generate(**arguments, streamer=arrivals)
            _drain(device)
        seen = evidence(request.draft, made)
        if steps is not None:
            steps.agree_with(arrivals, speculative=request.draft is not None)
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        return [
            self._generation(row, index, request, sent, arrivals, steps, seen, peak) for index, row in enumerate(rows)
        ]

    @torch.no_grad()
    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        if not continuation:
            return []
        ids = [*ids_of(self, prompt), *continuation]
        refuse_length(self.facts, len(ids))
        inputs = torch.tensor([ids[:-1]], device=self._models.device)
        logits = self._models.target(input_ids=inputs, use_cache=False, logits_to_keep=len(continuation)).logits[0]
        return scoring.scores(logits, continuation, sampling)

    # ------------------------------------------------------------------------------------- what is asked

    def _refuse(self, rows: Sequence[Sequence[int]], request: Request) -> None:
        if not rows:
            raise ValueError("a batch needs at least one prompt")
        if request.draft is not None:
            if request.draft.method not in self._models.methods:
                raise ValueError(f"this session was opened for {self._models.methods}, not {request.draft.method!r}")
            if len(rows) > 1:
                raise ValueError(f"Transformers speculates for one row at a time, not for a batch of {len(rows)}")
        refuse_length(self.facts, max(map(len, rows)) + request.max_new_tokens)
        refuse_unknown_tokens(self.facts, rows)

    def _batch(self, rows: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Rows padded on the left to the longest one, with the mask that hides the padding."""
        width, pad = max(map(len, rows)), self._models.pad
        ids = [[pad] * (width - len(row)) + list(row) for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        device = self._models.device
        return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}

    def _arm(self, draft: Draft | None) -> dict[str, Any]:
        if draft is None or draft.method == "prompt-lookup":
            return {}
        assistant = self._models.assistant
        assert assistant is not None  # loaded wherever a method needs one
        assistant.generation_config = GenerationConfig.from_dict(asking.assistant_config(draft))
        return {"assistant_model": assistant}

    def _config(self, request: Request) -> GenerationConfig:
        """Everything said explicitly: what is left out, `generate` fills from defaults that sample with top-k 50."""
        settings = asking.decoding(request.max_new_tokens, request.sampling, request.draft)
        settings["eos_token_id"] = None if request.ignore_eos else list(self._models.eos) or None
        settings["pad_token_id"] = self._models.pad
        return GenerationConfig.from_dict(settings)

    # -------------------------------------------------------------------------------------- what was seen

    def _generation(
        self,
        prompt: Sequence[int],
        row: int,
        request: Request,
        sent: int,
        arrivals: Arrivals,
        steps: Steps | None,
        seen: dict[str, Json],
        peak: int | None,
    ) -> Generation:
        chunks = _until_end(arrivals.of_row(row), () if request.ignore_eos else self._models.eos)
        tokens = tuple(token for chunk in chunks for token in chunk)
        times = arrivals.times[1:][: len(chunks)]
        speculative = request.draft is not None
        if speculative and steps is not None:
            seen = seen | steps.prefill_drafts(chunks[0])
        return Generation(
            n_tokens=len(tokens),
            token_ids=tokens,
            text=str(self._models.tokenizer.decode(list(tokens), skip_special_tokens=True)),
            arrivals=tuple(
                Arrival(then - sent, so_far) for then, so_far in zip(times, accumulate(map(len, chunks)), strict=True)
            ),
            n_prefill=len(chunks[0]),
            prompt_tokens=len(prompt),
            rounds=steps.rounds(times, chunks) if speculative and steps is not None else None,
            steps=steps.plain(times) if not speculative and steps is not None else None,
            scores=_own_scores(steps, row, tokens) if steps is not None else None,
            finish_reason="stop" if not request.ignore_eos and tokens[-1] in self._models.eos else "length",
            cached_tokens=0,  # every call starts with an empty cache
            peak_memory_bytes=peak,
            statement=seen,
        )


def _until_end(chunks: Sequence[Sequence[int]], eos: Sequence[int]) -> list[list[int]]:
    """The chunks up to the first token that ends the text, it included; in a batch, padding follows."""
    kept: list[list[int]] = []
    for chunk in chunks:
        end = next((index + 1 for index, token in enumerate(chunk) if token in eos), None)
        kept.append(list(chunk[:end]))
        if end is not None:
            break
    return kept


def _own_scores(steps: Steps, row: int, tokens: Sequence[int]) -> tuple[TokenScore, ...] | None:
    logits = steps.logits(row)
    return None if logits is None else tuple(scoring.scores(logits[: len(tokens)], tokens, GREEDY))


def _drain(device: torch.device) -> None:
    """Wait until the device has done everything asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
