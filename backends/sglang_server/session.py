"""A session over a running `sglang serve`: one streamed /generate per prompt, token ids in and out."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from backends.base import GREEDY, Session
from backends.hf import encoding
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from backends.server import http
from backends.server.process import Server
from backends.server.together import together
from backends.sglang_server.model import Target
from backends.sglang_server.reading import Answer
from results.records import (
    Draft,
    Encoded,
    Generation,
    Json,
    Prompt,
    Request,
    Sampling,
    SessionFacts,
    TokenScore,
)

FLUSHED_WITHIN = 5.0
"""Seconds: the cache cannot be flushed while a request runs, and one that has answered may not have ended yet."""


class ServedSession(Session):
    """Plain or speculative decoding, as the server was launched."""

    def __init__(
        self, facts: SessionFacts, target: Target, server: Server, to: httpx.Client, draft: Draft | None,
        statement: Mapping[str, Json], *, seeded: bool,
    ) -> None:  # fmt: skip
        """draft: the arm of this launch. statement: what holds of every generation. seeded: seeds are obeyed."""
        self.facts = facts
        self._target, self._server, self._to, self._draft = target, server, to, draft
        self._statement, self._seeded = statement, seeded

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        chat = chat and self.facts.chat_template
        return encoding.encode(self._target.tokenizer, text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        rows = [ids_of(self, prompt) for prompt in prompts]
        self._refuse(rows, request)
        try:
            self._flush()
            return together(self._one, rows, request)
        except RuntimeError:
            self._server.check()  # its last words say more than a broken connection
            raise

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        raise NotImplementedError("this adapter reads no scores from SGLang yet")

    # ------------------------------------------------------------------------------------------- what is asked

    def body(self, ids: Sequence[int], request: Request) -> dict[str, Json]:
        """Everything said explicitly: what is left out, a default fills. `extra_key`: no other request's cache."""
        sampling = request.sampling
        asked: dict[str, Json] = {
            "max_new_tokens": request.max_new_tokens,
            "temperature": sampling.temperature,
            "top_k": -1 if sampling.top_k is None else sampling.top_k,
            "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
            "min_p": 0.0,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "repetition_penalty": 1.0,
            "ignore_eos": request.ignore_eos,
        }
        if self._seeded and sampling.seed is not None:
            asked["sampling_seed"] = sampling.seed & 0x7FFFFFFF
        return {"input_ids": [*ids], "sampling_params": asked, "stream": True, "extra_key": secrets.token_hex(16)}

    def _one(self, ids: Sequence[int], request: Request) -> Generation:
        body = self.body(ids, request)
        answer = Answer(time.perf_counter_ns())
        for ns, data in http.events(self._to, "/generate", body):
            answer.take(ns, data)
        return answer.generation(self._draft, self._statement)

    def _flush(self) -> None:
        deadline = time.monotonic() + FLUSHED_WITHIN
        while True:
            try:
                http.act(self._to, "/flush_cache")
                return
            except RuntimeError:
                if time.monotonic() > deadline or self._server.ended():
                    raise
                time.sleep(0.02)

    def _refuse(self, rows: Sequence[Sequence[int]], request: Request) -> None:
        if not rows:
            raise ValueError("a batch needs at least one prompt")
        if request.draft != self._draft:
            raise ValueError(f"this server was launched for {self._draft or 'no drafts'}, not for {request.draft}")
        if request.capture == "rounds":
            raise ValueError("SGLang tells no single rounds")
        refuse_length(self.facts, max(map(len, rows)) + request.max_new_tokens, "this server")
        refuse_unknown_tokens(self.facts, rows)


def running(info: Mapping[str, Any]) -> dict[str, Any]:
    """What /server_info says of drafts, wherever the version has it."""
    states = info.get("internal_states") or [{}]
    names = ("speculative_algorithm", "speculative_num_steps", "speculative_num_draft_tokens")
    return {name: info.get(name, states[0].get(name)) for name in names}
