"""SGLang's own counts of a request -> DraftCounts. Pure.

The keys were renamed twice (proposed: until 0.5.10, in 0.5.11, since 0.5.12 or 0.5.22; see NAMES); a reader of one name
would find no acceptance at all. None of them is there where no verification took place.
"""

from collections.abc import Mapping
from typing import Any

from results.records import DraftCounts

ROUNDS = "spec_verify_ct"
PROPOSED = ("spec_num_proposed_drafts", "spec_proposed_drafts", "spec_draft_token_num")
"""0.5.22 and later · 0.5.11 to 0.5.20 · up to 0.5.20 beside it."""
ACCEPTED = ("spec_num_correct_drafts", "spec_accepted_drafts", "spec_accept_token_num")
HISTOGRAM = ("spec_correct_drafts_histogram", "spec_accept_histogram")


def of(told: Mapping[str, Any], k: int | None) -> DraftCounts | None:
    """told: `meta_info` of /generate, or `sglext.spec_tokens_details` of the OpenAI endpoints.

    k: draft length, for as many positions; None: as many as ever accepted. None where nothing was verified.
    `spec_accept_length` is not read: it counts the prefill's token as a round's.
    """
    rounds = told.get(ROUNDS)
    if not rounds:
        return None
    histogram = _first(told, HISTOGRAM)
    return DraftCounts(
        rounds=rounds,
        drafted=_first(told, PROPOSED),
        accepted=_first(told, ACCEPTED),
        per_position=None if histogram is None else at_least(histogram, k),
    )


def at_least(histogram: list[int], k: int | None) -> tuple[int, ...]:
    """Rounds that accepted exactly 0, 1, … drafts -> rounds that accepted at least 1, 2, …, k."""
    longest = max(len(histogram) - 1, k or 0)
    return tuple(sum(histogram[i:]) for i in range(1, longest + 1))


def acceptance_length(told: Mapping[str, Any]) -> float | None:
    """1 + accepted drafts per verification; None where nothing was verified."""
    found = of(told, None)
    if found is None or not found.rounds or found.accepted is None:
        return None
    return 1 + found.accepted / found.rounds


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((told[name] for name in names if told.get(name) is not None), None)
