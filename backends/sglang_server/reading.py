"""Streamed events of SGLang's /generate -> one Generation. Pure.

Ids come all so far with every event, or only the new ones (`--incremental-streaming-output`); `completion_tokens` tells
which, event by event.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backends.server.timeline import Timeline
from backends.sglang_server import counts
from results.records import Draft, DraftCounts, FinishReason, Generation, Json

REASONS: Mapping[str, FinishReason] = {"length": "length", "stop": "stop"}
KEPT = ("finish_reason", "queue_time", "e2e_latency", "first_token_latency", "decode_throughput", "num_retractions")
"""Of `meta_info`, what goes into the statement, beside everything that begins with `spec_`."""


class Answer:
    """One streamed answer, event by event."""

    def __init__(self, sent: int) -> None:
        """sent: `time.perf_counter_ns` when the request was sent."""
        self._timeline = Timeline(sent)
        self._text = ""
        self.meta: dict[str, Any] = {}

    def take(self, ns: int, data: Mapping[str, Any]) -> None:
        """An event at `ns` (`time.perf_counter_ns`). Raises RuntimeError for one that makes no sense."""
        self.meta = dict(data.get("meta_info") or self.meta)
        ids, text = data.get("output_ids"), data.get("text") or ""
        if ids is None:
            raise RuntimeError("SGLang sent no output_ids; versions since 0.5.0 do")
        known = len(self._timeline.ids)
        total = self.meta.get("completion_tokens", len(ids))
        if len(ids) == total:
            self._timeline.reach(ns, ids)
            self._text = text
        elif len(ids) == total - known:
            self._timeline.add(ns, ids)
            self._text += text
        else:
            raise RuntimeError(f"SGLang sent {len(ids)} ids after {known} and speaks of {total} tokens")

    def generation(self, draft: Draft | None, statement: Mapping[str, Json]) -> Generation:
        """What came of it, in an arm that drafts so. Raises RuntimeError where the request was aborted."""
        reason = self.meta.get("finish_reason") or {}
        if reason.get("type") == "abort":
            raise RuntimeError(f"SGLang aborted the request: {reason.get('message') or 'it does not say why'}")
        found = counts.of(self.meta, draft.length if draft else None)
        if found is None and draft is not None:  # keys are left out where nothing was verified
            found = DraftCounts(0, 0, 0)
        said = {key: value for key, value in self.meta.items() if key in KEPT or key.startswith("spec_")}
        seen = Generation(
            n_tokens=len(self._timeline.ids),
            token_ids=tuple(self._timeline.ids),
            text=self._text,
            arrivals=self._timeline.arrivals,
            prompt_tokens=self.meta.get("prompt_tokens"),
            counts=found,
            finish_reason=REASONS.get(str(reason.get("type"))),
            cached_tokens=self.meta.get("cached_tokens"),
            statement={**said, **statement},
        )
        length = counts.acceptance_length(self.meta)
        return seen if length is None else replace(seen, statement={**seen.statement, "acceptance_length": length})
