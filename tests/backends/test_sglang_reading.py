"""SGLang's answers, as captured from 0.5.23 and as older versions called their keys."""

from typing import Any

import pytest

from backends.sglang_server import counts
from backends.sglang_server.reading import Answer
from results.records import Arrival, Draft, DraftCounts

CAPTURED: dict[str, Any] = {
    "finish_reason": {"type": "length", "length": 24},
    "prompt_tokens": 10,
    "completion_tokens": 24,
    "cached_tokens": 0,
    "e2e_latency": 0.5504187179999462,
    "spec_accept_rate": 0.0,
    "spec_accept_length": 1.0434782608695652,
    "spec_num_correct_drafts": 0,
    "spec_num_proposed_drafts": 69,
    "spec_verify_ct": 23,
    "spec_correct_drafts_histogram": [23],
}
"""K = 3, a random drafter: nothing is accepted, and `spec_accept_length` is above 1 all the same."""


def event(ids: list[int], total: int, text: str = "", **meta: Any) -> dict[str, Any]:
    told = {"finish_reason": None, "prompt_tokens": 10, "completion_tokens": total, "cached_tokens": 0, **meta}
    return {"text": text, "output_ids": ids, "meta_info": told}


def read(*events: dict[str, Any]) -> Answer:
    answer = Answer(sent=0)
    for number, data in enumerate(events, 1):
        answer.take(10 * number, data)
    return answer


def test_the_acceptance_length_leaves_out_the_prefill_s_token() -> None:
    assert counts.of(CAPTURED, 3) == DraftCounts(23, 69, 0, (0, 0, 0))
    assert counts.acceptance_length(CAPTURED) == 1.0


@pytest.mark.parametrize(
    ("proposed", "accepted", "histogram"),
    [
        ("spec_draft_token_num", "spec_accept_token_num", "spec_accept_histogram"),
        ("spec_proposed_drafts", "spec_accepted_drafts", "spec_accept_histogram"),
        ("spec_num_proposed_drafts", "spec_num_correct_drafts", "spec_correct_drafts_histogram"),
    ],
)
def test_every_version_s_names_are_read(proposed: str, accepted: str, histogram: str) -> None:
    told = {"spec_verify_ct": 4, proposed: 12, accepted: 6, histogram: [1, 1, 1, 1]}
    assert counts.of(told, 3) == DraftCounts(4, 12, 6, (3, 2, 1))
    assert counts.acceptance_length(told) == 2.5


def test_both_names_at_once_are_one_count() -> None:
    told = {"spec_verify_ct": 2, "spec_proposed_drafts": 6, "spec_draft_token_num": 6, "spec_accept_token_num": 1}
    assert counts.of(told, 3) == DraftCounts(2, 6, 1, None)


def test_where_nothing_was_verified_there_is_no_count() -> None:
    assert counts.of({"completion_tokens": 1}, 3) is None
    assert counts.of({"spec_verify_ct": 0}, 3) is None


def test_positions_that_were_never_reached_are_counted_as_none() -> None:
    assert counts.at_least([5, 2], 4) == (2, 0, 0, 0)
    assert counts.at_least([5, 2, 1], None) == (3, 1)


@pytest.mark.parametrize("incremental", [False, True])
def test_ids_come_all_so_far_or_new_only(incremental: bool) -> None:
    steps = [([7], "a"), ([8, 9, 4], "bcd"), ([], ""), ([5], "e")]
    events, ids, text = [], [], ""
    for new, more in steps:
        ids, text = ids + new, text + more
        events.append(event(new if incremental else ids, len(ids), more if incremental else text))
    events[-1]["meta_info"]["finish_reason"] = {"type": "length", "length": 5}
    seen = read(*events).generation(None, {})
    assert (seen.token_ids, seen.text) == ((7, 8, 9, 4, 5), "abcde")
    assert seen.arrivals == (Arrival(10, 1), Arrival(20, 4), Arrival(40, 5))
    assert (seen.n_prefill, seen.finish_reason, seen.counts) == (1, "length", None)


def test_ids_that_fit_neither_way_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="sent 2 ids after 1 and speaks of 5 tokens"):
        read(event([7], 1), event([8, 9], 5))


def test_ids_that_change_afterwards_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="changed tokens that it had already sent"):
        read(event([7], 1), event([8, 9], 2))


def test_a_drafted_arm_in_which_nothing_was_verified_drafted_nothing() -> None:
    whole = event([7, 8], 2, "ab", finish_reason={"type": "stop", "matched": 8})
    assert read(whole).generation(Draft("mtp", 3), {}).counts == DraftCounts(0, 0, 0)
    assert read(whole).generation(None, {}).counts is None


def test_an_aborted_request_gives_nothing() -> None:
    with pytest.raises(RuntimeError, match="SGLang aborted the request: out of KV cache"):
        read(event([7], 1, finish_reason={"type": "abort", "message": "out of KV cache"})).generation(None, {})


def test_tokens_of_a_prefix_cache_are_told() -> None:
    assert read(event([7], 1, cached_tokens=8)).generation(None, {}).cached_tokens == 8
