"""What the server counts: `/metrics` before and after a request, and the `timings` of its answer.

Identity, at one request at a time: tokens = 1 of the prefill + target passes + accepted drafts, less what the end of
text cut from the last pass. A pass without drafts (no room for any, or none found) is counted by no counter, so that
target passes are what the identity leaves, and at least the passes that had drafts.
"""

import re
from collections.abc import Mapping
from typing import Any

from results.records import DraftCounts

PREFIX = "llamacpp:spec_decode_num_"
_SAMPLE = re.compile(rf"^{PREFIX}(\w+?)_total(?:\{{position=\"(\d+)\"\}})? (\S+)$", re.MULTILINE)

Counters = Mapping[tuple[str, int | None], int]
"""(`drafts` | `draft_tokens` | `accepted_tokens` | `accepted_tokens_per_pos`, position or None) -> total."""


def read(text: str) -> Counters:
    """The speculation counters of a Prometheus page. A position that never accepted has no line."""
    return {(name, int(at) if at else None): int(float(value)) for name, at, value in _SAMPLE.findall(text)}


def counts(
    timings: Mapping[str, Any], tokens: int, k: int, before: Counters | None, after: Counters | None
) -> DraftCounts:
    """Totals of one answer of a speculative arm.

    before, after: None where other requests ran beside it; rounds and positions are then not revealed.
    Raises RuntimeError where the server's two ways of counting disagree.
    """
    drafted, accepted = int(timings.get("draft_n", 0)), int(timings.get("draft_n_accepted", 0))  # absent when 0
    if before is None or after is None:
        return DraftCounts(None, drafted, accepted)

    def grown(name: str, position: int | None = None) -> int:
        return after.get((name, position), 0) - before.get((name, position), 0)

    if (grown("draft_tokens"), grown("accepted_tokens")) != (drafted, accepted):
        raise RuntimeError(
            f"llama-server counts {drafted} drafted and {accepted} accepted in its answer, but "
            f"{grown('draft_tokens')} and {grown('accepted_tokens')} in /metrics"
        )
    passes = max(grown("drafts"), tokens - 1 - accepted)
    return DraftCounts(passes, drafted, accepted, tuple(grown("accepted_tokens_per_pos", i) for i in range(k)))
