"""A session over a running `vllm serve`: one streamed completion per prompt, of token ids, from token ids."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from backends.base import GREEDY, Session
from backends.hf import encoding
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from backends.server import http
from backends.server.process import Server
from backends.server.timeline import Timeline
from backends.server.together import together
from backends.vllm_server import counters, rounds, scoring
from backends.vllm_server.flags import SERVED
from backends.vllm_server.model import Target
from results.records import (
    Draft,
    DraftCounts,
    Encoded,
    FinishReason,
    Generation,
    Json,
    Prompt,
    Request,
    Round,
    Sampling,
    SessionFacts,
    TokenScore,
)

COMPLETIONS = "/v1/completions"

SOMETIMES = ("prompt-lookup",)
"""Methods that propose nothing in some steps."""

NEUTRAL: dict[str, Json] = {
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""What a checkpoint or a default might otherwise bring in."""

FINISHED: Mapping[str, FinishReason] = {"length": "length", "stop": "stop"}


class ServedSession(Session):
    """Plain or speculative decoding, as the server was launched."""

    def __init__(
        self, facts: SessionFacts, target: Target, server: Server, to: httpx.Client, draft: Draft | None,
        *, revealing: bool, synthetic: bool,
    ) -> None:  # fmt: skip
        """draft: the arm of this launch. revealing: see `versions.Installed`. synthetic: acceptance is forced."""
        self.facts = facts
        self._target, self._server, self._to, self._draft = target, server, to, draft
        self._revealing, self._synthetic = revealing, synthetic
        self._always = draft is not None and draft.method not in SOMETIMES

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        chat = chat and self.facts.chat_template
        return encoding.encode(self._target.tokenizer, text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        rows = [ids_of(self, prompt) for prompt in prompts]
        self._refuse(rows, request)
        totals = self._draft is not None and not self._revealing and len(rows) == 1
        before = self._totals() if totals else {}
        try:
            found = together(self._one, rows, request)
        except RuntimeError:
            self._server.check()  # its last words say more than a broken connection
            raise
        if totals:
            return [replace(found[0], counts=counters.between(before, self._totals(), always=self._always))]
        return found

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        if not self._revealing:
            raise NotImplementedError("this vLLM shows no logits of a prompt")
        if not continuation:
            return []
        ids = [*ids_of(self, prompt), *continuation]
        largest = scoring.wanted(sampling, self.facts.vocab_size)
        refuse_length(self.facts, len(ids) + 1, "this server")
        body = self._body(ids, Request(1)) | {"prompt_logprobs": largest}
        try:
            answer = http.post(self._to, COMPLETIONS, body)
        except RuntimeError:
            self._server.check()
            raise
        given = answer["choices"][0].get("prompt_logprobs") or ()
        return scoring.scores(scoring.of_prompt(given, len(continuation)), continuation, sampling)

    # ------------------------------------------------------------------------------------- what is asked

    def _refuse(self, rows: Sequence[Sequence[int]], request: Request) -> None:
        if not rows:
            raise ValueError("a batch needs at least one prompt")
        if request.draft != self._draft:
            raise ValueError(f"this server was launched for {self._draft or 'no drafts'}, not for {request.draft}")
        if request.capture == "rounds" and not self._revealing:
            raise ValueError("this vLLM tells no single rounds")
        refuse_length(self.facts, max(map(len, rows)) + request.max_new_tokens, "this server")
        refuse_unknown_tokens(self.facts, rows)

    def _body(self, ids: Sequence[int], request: Request) -> dict[str, Json]:
        """Everything said explicitly: what is left out, a default fills."""
        sampling = request.sampling
        body: dict[str, Json] = {
            "model": SERVED,
            "prompt": list(ids),
            "max_tokens": request.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p or 1.0,
            "top_k": sampling.top_k or 0,
            "ignore_eos": request.ignore_eos,
            # of a checkpoint's end tokens, vLLM knows by itself only the tokenizer's; these end even with ignore_eos
            "stop_token_ids": [] if request.ignore_eos else list(self._target.eos),
            "return_token_ids": True,
            **NEUTRAL,
        }
        return body | ({} if sampling.seed is None else {"seed": sampling.seed})

    # -------------------------------------------------------------------------------------- what was seen

    def _one(self, ids: Sequence[int], request: Request) -> Generation:
        body = self._body(ids, request) | {"stream": True, "stream_options": {"include_usage": True}}
        scored = request.capture == "rounds" and request.draft is None and request.sampling.temperature == 0
        if scored:
            body |= {"logprobs": 1, "return_tokens_as_token_ids": True}
        finish: FinishReason | None = None
        last: Mapping[str, Any] = {}
        positions: list[scoring.Position] = []
        timeline = Timeline(time.perf_counter_ns())
        for event in http.events(self._to, COMPLETIONS, body):
            last = event.data
            for choice in event.data["choices"]:
                timeline.add(event.ns, choice["token_ids"])
                finish = _finish(choice["finish_reason"]) or finish
                if scored:
                    positions += scoring.of_answer(choice["logprobs"])
        if (usage := last.get("usage")) is None or finish is None:
            raise RuntimeError("the answer ended without its usage, or without a reason")
        tokens = tuple(timeline.ids)
        if usage["completion_tokens"] != len(tokens):
            raise RuntimeError(f"{len(tokens)} tokens were streamed, {usage['completion_tokens']} counted")
        metrics = last.get("metrics") or {}
        seen = metrics.get("speculative_decoding") if self._revealing else None
        known, totals = self._drafts(seen, timeline)
        return Generation(
            n_tokens=len(tokens),
            token_ids=tokens,
            text=str(self._target.tokenizer.decode(list(tokens), skip_special_tokens=True)),
            arrivals=timeline.arrivals,
            prompt_tokens=usage["prompt_tokens"],
            rounds=known if request.capture == "rounds" else None,
            counts=totals,
            scores=tuple(scoring.scores(positions, tokens, request.sampling)) if scored else None,
            finish_reason=finish,
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            statement=self._statement(metrics, seen),
        )

    def _drafts(
        self, seen: Mapping[str, Any] | None, timeline: Timeline
    ) -> tuple[tuple[Round, ...] | None, DraftCounts | None]:
        """Rounds and totals of a request; the prefill emits one token."""
        if seen is None:
            return None, None
        chunks = rounds.chunks_of(timeline.arrivals)
        known = rounds.rounds(seen, len(timeline.ids) - 1, chunks, always=self._always)
        return known, rounds.counts(seen, known, always=self._always)

    def _statement(self, metrics: Mapping[str, Any], seen: Mapping[str, Any] | None) -> dict[str, Json]:
        said: dict[str, Json] = {key: value for key, value in metrics.items() if key != "speculative_decoding"}
        if seen is not None:
            said["speculative_decoding"] = rounds.told(seen)
        if self._revealing:
            said["speculative"] = seen is not None
        return said | ({"synthetic": True} if self._synthetic else {})

    def _totals(self) -> counters.Totals:
        return counters.read(http.get(self._to, "/metrics"))


def _finish(said: str | None) -> FinishReason | None:
    if said is not None and said not in FINISHED:
        raise RuntimeError(f"vLLM ended the answer for the reason {said!r}")
    return None if said is None else FINISHED[said]
