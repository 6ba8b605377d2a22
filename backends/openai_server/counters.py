"""Counters of a server's /metrics page before and after one request -> DraftCounts. Pure.

They count for everybody, so they tell of a request only where it ran alone: the tokens that the server counted
meanwhile must be the request's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from results.records import DraftCounts


@dataclass(frozen=True, slots=True)
class Names:
    """How a server calls its counters; None: it has none."""

    tokens: str
    drafted: str | None
    accepted: str | None
    rounds: str | None
    per_position: str | None


_VLLM, _LLAMA = "vllm:spec_decode_num_", "llamacpp:spec_decode_num_"
NAMES: Mapping[str, Names] = {
    "vllm": Names(
        "vllm:generation_tokens_total",
        f"{_VLLM}draft_tokens_total",
        f"{_VLLM}accepted_tokens_total",
        f"{_VLLM}drafts_total",
        f"{_VLLM}accepted_tokens_per_pos_total",
    ),
    "sglang": Names("sglang:generation_tokens_total", None, None, "sglang:spec_verify_calls_total", None),
    "llamacpp": Names(
        "llamacpp:tokens_predicted_total",
        f"{_LLAMA}draft_tokens_total",
        f"{_LLAMA}accepted_tokens_total",
        f"{_LLAMA}drafts_total",
        f"{_LLAMA}accepted_tokens_per_pos_total",
    ),
}

_SAMPLE = re.compile(r"^([\w:]+)(?:\{(.*)\})? (\S+)(?: \d+)?$", re.MULTILINE)
_POSITION = re.compile(r'(?:^|,)\s*position="(\d+)"')

Page = Mapping[tuple[str, int | None], int]
"""(counter, position or None) -> total over all engines behind the server."""


def read(text: str, names: Names) -> Page:
    """The counters that are named, from a page in Prometheus' format."""
    wanted = {names.tokens, names.drafted, names.accepted, names.rounds, names.per_position} - {None}
    page: dict[tuple[str, int | None], int] = {}
    for name, labels, value in _SAMPLE.findall(text):
        if name in wanted:
            at = _POSITION.search(labels)
            key = (name, int(at[1]) if at else None)
            page[key] = page.get(key, 0) + int(float(value))
    return page


def grown(before: Page, after: Page, name: str | None) -> int | None:
    """How much a counter has grown; None where the server has none of that name."""
    if name is None or (name, None) not in after:
        return None
    return after[name, None] - before.get((name, None), 0)


def counts(before: Page, after: Page, names: Names, tokens: int, k: int | None) -> DraftCounts | None:
    """Of the one request between the two pages, which gave so many tokens; None where the server counts no drafts.

    k: the draft length, for as many positions; None: the positions that the server names.
    """
    rounds, drafted, accepted = (grown(before, after, name) for name in (names.rounds, names.drafted, names.accepted))
    if rounds is None and drafted is None:
        return None
    rounds = passes(rounds, accepted, tokens)
    positions = sorted({at for name, at in after if name == names.per_position and at is not None})
    key = names.per_position or ""
    per_position = [after.get((key, at), 0) - before.get((key, at), 0) for at in range(k or len(positions))]
    return DraftCounts(rounds, drafted, accepted, tuple(per_position) if positions else None)


def passes(rounds: int | None, accepted: int | None, tokens: int) -> int | None:
    """Target passes after the prefill: vLLM and llama.cpp leave out those without a draft, for want of one or of room.

    Those emitted one token each, so that tokens = 1 + passes + accepted drafts, less what was cut from the last pass.
    """
    return rounds if rounds is None or accepted is None else max(rounds, tokens - 1 - accepted)
