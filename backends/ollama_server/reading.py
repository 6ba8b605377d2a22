"""Streamed lines of Ollama's /api/generate -> one Generation. Pure."""

from collections.abc import Mapping
from typing import Any

from backends.ollama_server.log import Told
from backends.server.chunks import Chunks
from results.records import Draft, DraftCounts, FinishReason, Generation, Json

KEPT = ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
"""Of the last line, what goes into the statement (durations in ns)."""
REASONS: Mapping[str, FinishReason] = {"length": "length", "stop": "stop"}
SHARED = 1
"""Tokens that every prompt has in common with the one before it, whatever they say: <bos>."""


class Answer:
    """One streamed answer, line by line."""

    def __init__(self, sent: int) -> None:
        """sent: `time.perf_counter_ns` when the request was sent."""
        self._chunks = Chunks(sent)
        self._texts: list[str] = []
        self.last: dict[str, Any] = {}

    def take(self, ns: int, data: Mapping[str, Any]) -> None:
        """A line at `ns` (`time.perf_counter_ns`)."""
        text = data.get("response") or ""
        self._texts.append(text)
        self._chunks.add(ns, text, None)
        if data.get("done"):
            self.last = dict(data)

    def generation(self, draft: Draft | None, told: Told | None, context: int) -> Generation:
        """What came of it. told: by the server's log, where it was read.

        Raises RuntimeError where the server did not count its tokens, and where it may have cut the prompt: it does so
        silently, to fit its context (tokens).
        """
        n_tokens, prompt = self.last.get("eval_count"), self.last.get("prompt_eval_count")
        if not isinstance(n_tokens, int) or n_tokens < 1:
            raise RuntimeError("Ollama told of no token: its last line has no eval_count")
        if isinstance(prompt, int) and prompt + n_tokens >= context:
            raise RuntimeError(
                f"{prompt} prompt tokens and {n_tokens} new ones fill the context of {context}, to which Ollama cuts "
                f"prompts without a word: -o ollama.num_ctx={2 * context}"
            )
        said: dict[str, Json] = {key: self.last[key] for key in KEPT if key in self.last}
        return Generation(
            n_tokens=n_tokens,
            token_ids=None,
            text="".join(self._texts),
            arrivals=self._chunks.arrivals(n_tokens),
            prompt_tokens=prompt if isinstance(prompt, int) else None,
            counts=_counts(draft, told, n_tokens),
            finish_reason=REASONS.get(str(self.last.get("done_reason"))),
            cached_tokens=_cached(prompt, told),
            statement={**said, "chunks_counted": False},
        )


def _counts(draft: Draft | None, told: Told | None, tokens: int) -> DraftCounts | None:
    """The plain arm has none, unless something was drafted: then it is no plain arm."""
    found = told.counts if told else None
    if found is None or (draft is None and not found.drafted):
        return None
    if found.drafted == 0 and tokens == 1:  # the prefill's token is all there is
        return None
    return found


def _cached(prompt: Any, told: Told | None) -> int | None:
    """Prompt tokens from the prompt cache, as far as the log tells; a shared <bos> is not held against a call."""
    if told is None or told.evaluated is None or not isinstance(prompt, int):
        return None
    cached = max(0, prompt - told.evaluated)
    return 0 if cached <= SHARED else cached
