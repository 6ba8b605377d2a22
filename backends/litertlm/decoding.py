"""Decoding with LiteRT-LM: text in, text out, one prompt a call.

An engine's sessions choose by themselves whether they draft, so that one engine serves both arms. What was drafted an
engine says only when it is destroyed, over all its sessions; so an instrumented call gets an engine of its own.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import litert_lm

from backends.base import GREEDY, Session
from backends.litertlm import asking
from backends.litertlm.acceptance import decoded, stated
from backends.litertlm.descriptor import printed
from backends.litertlm.engine import Engine, Settings, facts, launch
from results.records import Arrival, Encoded, Generation, Prompt, Request, Sampling, TokenScore

ALWAYS_BEST = litert_lm.SamplerConfig(**asking.GREEDY)


class DecodingSession(Session):
    """One engine for timed calls, and one for each instrumented call."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        begin = engine.bos_token_id
        self._head = () if begin is None else (begin,)
        """What the engine puts before every text."""
        self.facts = facts(engine, settings)

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        """The engine's own tokens, for cutting texts to length: they cannot be sent, the text is."""
        return Encoded(self._head, tuple(self._engine.tokenize(text)), ())

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        """One prompt. An instrumented call of the speculative arm brings `counts`."""
        text = self._text(prompts, request)
        return [decode(self._engine, text, request) if request.capture == "timing" else self._counted(text, request)]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        """The engine scores whole texts, not tokens."""
        raise NotImplementedError("LiteRT-LM shows no scores of tokens")

    def _counted(self, text: str, request: Request) -> Generation:
        engine = launch(self._settings)
        try:
            seen = decode(engine, text, request)
        finally:
            with printed() as log:
                engine.close()
        rate = stated(log.text)
        said = {**seen.statement, "speculative": rate is not None, "success_rate": rate}
        if request.draft is None:
            return replace(seen, statement=said)
        stopped = seen.finish_reason == "stop"
        counts, n_tokens = decoded(rate, seen.n_tokens, request.draft.length, stopped=stopped)
        last = replace(seen.arrivals[-1], tokens=n_tokens)
        return replace(seen, n_tokens=n_tokens, arrivals=(*seen.arrivals[:-1], last), counts=counts, statement=said)

    def _text(self, prompts: Sequence[Prompt], request: Request) -> str:
        """The prompt's text. Raises ValueError for what the runtime cannot do."""
        if len(prompts) != 1:
            raise ValueError(f"LiteRT-LM decodes one prompt at a time: no batch of {len(prompts)}")
        if request.sampling.temperature > 0:
            raise ValueError("LiteRT-LM drafts greedily whatever the sampler says: temperature 0 only")
        if request.ignore_eos:
            raise ValueError("LiteRT-LM cannot run past the end of a text (ignore_eos)")
        room = self._settings.context - request.max_new_tokens
        if request.draft is not None:
            self._check_draft(request.draft.method, request.draft.length)
            room -= request.draft.length  # the last round runs past the limit
        text = prompts[0].text
        if text is None:
            raise ValueError(f"LiteRT-LM takes text, and prompt {prompts[0].key} has only token ids")
        length = len(self._head) + len(self._engine.tokenize(text))
        if length > room:  # where it overflows, the engine ends the text as if it had come to its end
            raise ValueError(
                f"prompt {prompts[0].key} has {length} tokens; of {self._settings.context} the output leaves {room}"
            )
        return text

    def _check_draft(self, method: str, length: int) -> None:
        if method != "mtp":
            raise ValueError(f"LiteRT-LM has no draft method {method!r}")
        if not self._settings.mtp:
            raise ValueError("this engine was opened without its drafter: name mtp among the methods")
        if self._settings.bundle.draft_length not in (None, length):
            raise ValueError(
                f"the bundle drafts {self._settings.bundle.draft_length} tokens a round, fixed at export, not {length}"
            )


def decode(engine: Engine, text: str, request: Request) -> Generation:
    """Decode one text greedily.

    The engine tells how many tokens it emitted, but not how many are in a chunk: arrivals begin with the end of the
    prefill, at 0 tokens, from which all tokens were decoded; each chunk brought at least one; the last has them all.
    """
    chunks: list[tuple[int, str]] = []
    sent = time.perf_counter_ns()
    session = engine.create_session(
        apply_prompt_template=False,
        sampler_config=ALWAYS_BEST,
        max_output_tokens=request.max_new_tokens,
        **asking.drafting(request.draft is not None),
    )
    try:
        session.run_prefill([text])
        prefilled = time.perf_counter_ns()
        for piece in session.run_decode_async():
            chunks.append((time.perf_counter_ns(), piece.texts[0]))
        ended = time.perf_counter_ns()
        told = session.get_benchmark_info()
    finally:
        session.close()
    n_tokens = told.last_decode_token_count
    arrivals = [Arrival(prefilled - sent, 0)]
    arrivals += [Arrival(ns - sent, min(i, n_tokens)) for i, (ns, _) in enumerate(chunks, 1)]
    arrivals.append(Arrival(ended - sent, n_tokens))
    return Generation(
        n_tokens=n_tokens,
        token_ids=None,
        text="".join(piece for _, piece in chunks),
        arrivals=tuple(arrivals),
        n_prefill=min(1, n_tokens),
        prompt_tokens=told.last_prefill_token_count,
        finish_reason="length" if n_tokens >= request.max_new_tokens else "stop",
        statement={
            "prefill_tokens_per_second": told.last_prefill_tokens_per_second,
            "decode_tokens_per_second": told.last_decode_tokens_per_second,
            "time_to_first_token_s": told.time_to_first_token_in_second,
        },
    )
