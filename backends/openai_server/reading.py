"""Streamed events of /v1/completions or /v1/chat/completions -> one Generation. Pure.

Tokens are counted by their ids where the server sends them, else by its own counts (`usage`, llama.cpp's `timings`),
never by chunks. A server that tells the count only in the end leaves the chunks in between uncounted (`Chunks`).
"""

from collections.abc import Mapping
from typing import Any

from backends.openai_server.counters import passes
from backends.server.chunks import Chunks
from backends.sglang_server import counts as sglang
from results.records import DraftCounts, FinishReason, Generation, Json

KEPT = ("usage", "timings", "metrics", "sglext", "system_fingerprint")
"""Of the answer, what goes into the generation's statement: the last that came of each."""
REASONS: Mapping[str, FinishReason] = {"length": "length", "stop": "stop"}


class Answer:
    """One streamed answer, event by event."""

    def __init__(self, sent: int) -> None:
        """sent: `time.perf_counter_ns` when the request was sent."""
        self._chunks = Chunks(sent)
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._reason: str | None = None
        self.said: dict[str, Json] = {}

    def take(self, ns: int, data: Mapping[str, Any]) -> None:
        """An event at `ns` (`time.perf_counter_ns`)."""
        self.said.update({key: data[key] for key in KEPT if data.get(key) is not None})
        text = ""
        for choice in data.get("choices") or []:
            text += _text(choice)
            self._ids.extend(choice.get("token_ids") or [])
            self._reason = choice.get("finish_reason") or self._reason
        self._texts.append(text)
        if data.get("choices"):  # usage alone comes after the last token
            self._chunks.add(ns, text, len(self._ids) if self._ids else _so_far(data))

    def generation(self, statement: Mapping[str, Json]) -> Generation:
        """What came of it. Raises RuntimeError where the server did not say how many tokens that is.

        The prefill gives one token, even where a busy server sends it together with the next step's.
        """
        usage = self.said.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        told = usage.get("completion_tokens")
        if not self._ids and not isinstance(told, int):
            raise RuntimeError(
                "the server does not count its tokens: no usage came, although include_usage asked for it"
            )
        n_tokens = len(self._ids) if self._ids or not isinstance(told, int) else told
        prompt = usage.get("prompt_tokens")
        return Generation(
            n_tokens=n_tokens,
            token_ids=tuple(self._ids) or None,
            text="".join(self._texts),
            arrivals=self._chunks.arrivals(n_tokens),
            prompt_tokens=prompt if isinstance(prompt, int) else None,
            counts=counts(self.said, n_tokens),
            finish_reason=REASONS.get(self._reason or ""),
            cached_tokens=_cached(usage, self.said),
            statement={**self.said, "chunks_counted": self._chunks.counted, **statement},
        )


def counts(said: Mapping[str, Any], tokens: int) -> DraftCounts | None:
    """What an answer of so many tokens tells of its drafts: vLLM's metrics, SGLang's sglext, llama.cpp's timings."""
    if isinstance(found := (said.get("metrics") or {}).get("speculative_decoding"), dict):
        drafted, accepted = found.get("num_draft_tokens"), found.get("num_accepted_draft_tokens")
        return DraftCounts(passes(found.get("num_spec_steps"), accepted, tokens), drafted, accepted)
    if isinstance(found := (said.get("sglext") or {}).get("spec_tokens_details"), dict):
        return sglang.of(found, None)
    if isinstance(found := said.get("timings"), dict) and "predicted_n" in found:
        return DraftCounts(None, found.get("draft_n", 0), found.get("draft_n_accepted", 0))  # both absent when 0
    return None


def _text(choice: Mapping[str, Any]) -> str:
    delta = choice.get("delta")
    if not isinstance(delta, Mapping):
        return choice.get("text") or ""
    return (delta.get("reasoning_content") or delta.get("reasoning") or "") + (delta.get("content") or "")


def _so_far(data: Mapping[str, Any]) -> int | None:
    """Tokens so far by the server's count, where it tells with every event."""
    for key, name in (("timings", "predicted_n"), ("usage", "completion_tokens")):
        count = (data.get(key) or {}).get(name)
        if isinstance(count, int):
            return count
    return None


def _cached(usage: Mapping[str, Any], said: Mapping[str, Any]) -> int | None:
    """Prompt tokens from a prefix cache; None where the server does not say."""
    found = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    if found is None:
        found = (said.get("timings") or {}).get("cache_n")
    return found if isinstance(found, int) else None
