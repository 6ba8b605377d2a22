"""A session over the reference engine: batches, and everything that is seen of them."""

import math
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from weakref import WeakSet

import torch

from backends.base import GREEDY, Session
from backends.hf import encoding, scoring
from backends.hf.loading import Models
from backends.hf.watching import clock_of
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from backends.reference import costs, decoding, memory, profiling, settings
from backends.reference.cache import prefill_masks
from backends.reference.decoding import Order, Room, Row
from backends.reference.engine import Engine, Running
from backends.reference.experts import Experts
from backends.reference.settings import Settings
from backends.reference.steps import Rule
from results.errors import UsageError
from results.records import Encoded, EngineConfig, Generation, Json, Prompt, Request, Sampling, TokenScore

LENGTHS = 4
"""Prompts of which one is less than 2 ** (1 / 4) times as long as the other are of the same length, about."""


class ReferenceSession(Session):
    """Plain and MTP decoding of batches over one loaded pair."""

    def __init__(self, models: Models, config: EngineConfig, own: Settings) -> None:
        self.facts = models.facts
        self._models, self._own = models, own
        self._engine = Engine(models, own.path, config.max_context)
        self._measured: set[tuple[int, Rule, int]] = set()
        self._ran: WeakSet[Running] = WeakSet()

    def release(self) -> None:
        """Let go of models and buffers; the session cannot be used after it."""
        del self._models, self._engine, self._measured, self._ran

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        chat = chat and self.facts.chat_template
        return encoding.encode(self._models.tokenizer, text, chat=chat, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        rows = [ids_of(self, prompt) for prompt in prompts]
        self._refuse(rows, request)
        running = self.running(rows, request)
        device = self._models.device
        clock = clock_of(device) if request.capture == "rounds" else None
        order = Order(
            request=request,
            eos=frozenset(() if request.ignore_eos else self._models.eos),
            clock=clock,
            room=Room() if clock is not None else None,
            experts=Experts() if clock is not None and running.path == "eager" else None,
        )
        if running.path != "eager" and running not in self._ran:
            running.prime(rows[0])
        memory.watch_peak(device)
        with order.experts.attached(self._models.target) if order.experts else nullcontext():
            decoded = decoding.decode(running, rows, order)
        # Of graphs in the instrumented pass only: looking at their pools takes time of the call.
        peak = memory.peak_bytes(device, graphs=clock is not None and running.path.endswith("graphs"))
        experts = order.experts.told() if order.experts else None
        seen: dict[str, Json] = {} if experts is None else {"experts": experts}
        told = [
            self._generation(row, len(prompt), running, order, peak, seen)
            for row, prompt in zip(decoded, rows, strict=True)
        ]
        self._ran.add(running)
        if clock is not None:
            first = {**told[0].statement, **self._batch(running, rows, request, decoded)}
            told[0] = replace(told[0], statement=first)
        return told

    def _batch(
        self, running: Running, prompts: Sequence[tuple[int, ...]], request: Request, decoded: Sequence[Row]
    ) -> dict[str, Json]:
        """What is told of a whole instrumented batch, in its first row's statement.

        waits: for each row, the tokens that it had whenever it waited for others to join, and how many these were; of
        several rows. costs: once for each batch size and rule (of several rows also for each length of prompts, by
        which a join costs), as soon as plain steps ran too: none is compiled for this.
        """
        told: dict[str, Json] = {}
        size = running.rows.size
        if size > 1:
            told["waits"] = [[[wait.had, wait.prompts] for wait in row.waits] for row in decoded]
        length = round(LENGTHS * math.log2(max(map(len, prompts)))) if size > 1 else 0
        plain, kind = self.running(prompts, replace(request, draft=None)), (size, running.rule, length)
        if kind in self._measured or (running.path != "eager" and plain not in self._ran):
            return told
        self._measured.add(kind)
        with suppress(torch.OutOfMemoryError):  # a device filled to the brim has no room for the copy that is timed
            told["costs"] = costs.measure(running, plain, prompts[:size]).json
        return told

    @torch.inference_mode()
    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        if not continuation:
            return []
        ids = [*ids_of(self, prompt), *continuation]
        refuse_length(self.facts, len(ids))
        target, device = self._engine.target, self._models.device
        width = len(ids) - 1
        masks = prefill_masks(torch.tensor([width], device=device), width, target.layout.window)
        positions = torch.arange(width, device=device)[None]
        hidden = target.hidden(torch.tensor([ids[:-1]], device=device), positions, masks, None)
        return scoring.scores(target.logits(hidden[0, -len(continuation) :]), continuation, sampling)

    @torch.inference_mode()
    def profile(self, prompt: Prompt, continuation: Sequence[int], k_max: int) -> list[int]:
        if self._engine.drafter is None:
            raise ValueError("this session was opened for no drafts, and a profile is made of them")
        if self._own.sees_rejected:
            raise UsageError(
                "a profile needs reference.rejected_kv=hidden: what rejected drafts leave depends on rounds"
            )
        if self._own.acceptance is not None:
            raise UsageError("a profile tells what the target accepts: leave out the acceptance that is forced")
        ids = ids_of(self, prompt)
        refuse_length(self.facts, len(ids) + len(continuation))
        refuse_unknown_tokens(self.facts, [[*ids, *continuation]])
        return profiling.accepted(self._engine.target, self._engine.drafter, ids, continuation, k_max)

    def running(self, rows: Sequence[Sequence[int]], request: Request) -> Running:
        """The steps that decode such prompts so."""
        size = min(len(rows), request.in_flight or len(rows))
        rule = settings.rule(self._own, request.draft, request.sampling)
        return self._engine.running(size, rule, max(map(len, rows)) + request.max_new_tokens)

    def _refuse(self, rows: Sequence[Sequence[int]], request: Request) -> None:
        if not rows:
            raise ValueError("a batch needs at least one prompt")
        if request.draft is not None and self._engine.drafter is None:
            raise ValueError(f"this session was opened for no drafts, not {request.draft.method!r}")
        if request.draft is not None:
            settings.refuse_method(request.draft.method)
            memory.refuse_length(request.draft.length, self.facts.context_limit)
        refuse_length(self.facts, max(map(len, rows)) + request.max_new_tokens)
        refuse_unknown_tokens(self.facts, rows)

    def _generation(
        self, row: Row, prompt_tokens: int, running: Running, order: Order, peak: int | None, seen: dict[str, Json]
    ) -> Generation:
        speculative, clock = running.rule.length > 0, order.clock
        statement: dict[str, Json] = {"path": running.path, "cache_bytes": running.rows.cache.nbytes, **seen}
        if speculative:
            statement["draft_length"] = running.rule.length
        if running.own_bytes:
            statement["own_bytes"] = running.own_bytes
        if speculative and running.rule.forced is not None:
            statement |= {"synthetic": True, "acceptance": list(running.rule.forced)}
        if row.logits:
            statement["margins"] = [*decoding.margins(row)]
        plain_greedy = row.logits and not speculative and running.rule.greedy
        scores = scoring.scores(torch.cat(row.logits), row.tokens, GREEDY) if plain_greedy else None
        return Generation(
            n_tokens=len(row.tokens),
            token_ids=tuple(row.tokens),
            text=str(self._models.tokenizer.decode(row.tokens, skip_special_tokens=True)),
            arrivals=tuple(row.arrivals),
            prompt_tokens=prompt_tokens,
            rounds=decoding.rounds_of(row, clock) if clock is not None and speculative else None,
            steps=decoding.steps_of(row, clock) if clock is not None and not speculative else None,
            scores=None if scores is None else tuple(scores),
            finish_reason="stop" if row.ended else "length",
            cached_tokens=0,  # every prompt is computed from its first token on
            peak_memory_bytes=peak,
            statement=statement,
        )
