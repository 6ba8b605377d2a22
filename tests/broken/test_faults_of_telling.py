"""Engines whose tokens are right, and that do or tell something else than they should."""

import dataclasses
from itertools import pairwise

import pytest
from support.broken import telling
from support.broken.session import Remembering

from backends.base import Session
from results.records import Draft, Generation, Prompt, Request

pytestmark = pytest.mark.model

K = 4
DRAFTED = Request(32, Draft("mtp", K), capture="rounds")
HEADLINE = dataclasses.replace(DRAFTED, capture="timing")


def one(session: Session, prompt: Prompt, request: Request = DRAFTED) -> Generation:
    (seen,) = session.generate([prompt], request)
    return seen


def test_an_idle_drafter_gives_the_right_tokens_one_by_one(real: Remembering, prompts: list[Prompt]) -> None:
    for request in (DRAFTED, HEADLINE):
        seen, right = one(telling.Idle(real), prompts[0], request), one(real, prompts[0], request)
        assert seen.token_ids == right.token_ids
        assert [a.tokens for a in seen.arrivals] == [*range(1, 33)]
        assert seen.statement["draft_length"] == K
        assert [(r.drafted, r.emitted) for r in seen.rounds or ()] == [(0, 1)] * 31 * (request is DRAFTED)


def test_another_draft_length_is_taken_and_not_told(real: Remembering, prompts: list[Prompt]) -> None:
    lengths = set()
    for seed in range(8):
        seen = one(telling.OtherLength(real, seed), prompts[0])
        assert seen.token_ids == one(real, prompts[0]).token_ids
        assert seen.statement["draft_length"] == K
        lengths.add(max(r.drafted for r in seen.rounds or ()))
    assert lengths == {1, 2, 3, 5, 6, 7, 8}


def test_the_prefill_is_told_as_a_round_of_its_own(real: Remembering, prompts: list[Prompt]) -> None:
    seen, right = one(telling.PrefillAsRound(real), prompts[0]), one(real, prompts[0])
    assert (seen.rounds or ())[1:] == right.rounds
    assert (seen.rounds or ())[0].emitted == right.n_prefill == seen.n_prefill == 1


def test_totals_hold_one_accepted_draft_too_many(real: Remembering, prompts: list[Prompt]) -> None:
    seen, right = one(telling.PrefillInTotals(real), prompts[0]), one(real, prompts[0])
    assert seen.rounds is None
    assert seen.counts is not None
    assert seen.counts.rounds == len(right.rounds or ())
    assert seen.counts.accepted == sum(r.accepted for r in right.rounds or ()) + 1


def test_a_secretly_speculative_baseline_needs_fewer_passes_and_comes_in_bursts(
    real: Remembering, prompts: list[Prompt]
) -> None:
    request = Request(32, capture="rounds")
    seen, right = one(telling.SecretlySpeculative(real), prompts[0], request), one(real, prompts[0], request)
    assert (seen.token_ids, seen.rounds, seen.statement) == (right.token_ids, None, {})
    assert len(seen.steps or ()) < len(right.steps or ()) == 31
    assert any(b.tokens - a.tokens > 1 for a, b in pairwise(seen.arrivals))


def test_tokens_are_lost_only_where_a_text_ends(real: Remembering, ending: Remembering, prompts: list[Prompt]) -> None:
    lost = []
    for prompt in prompts:
        engine, right = telling.LostAtTheEnd(ending), one(ending, prompt)
        seen = one(engine, prompt)
        assert right.token_ids is not None
        assert seen.token_ids == right.token_ids[: seen.n_tokens]
        assert seen.arrivals[-1].tokens == seen.n_tokens == seen.n_prefill + sum(r.emitted for r in seen.rounds or ())
        lost.append(right.n_tokens - seen.n_tokens)
        if right.finish_reason == "length":
            assert seen == right
        assert one(telling.LostAtTheEnd(real), prompt).n_tokens == 32
    assert sum(n > 0 for n in lost) >= 4


def test_a_duplicated_chunk_is_counted_twice(real: Remembering, prompts: list[Prompt]) -> None:
    for prompt in prompts:
        seen, right = one(telling.DuplicatedChunk(real, seed=5), prompt), one(real, prompt)
        whole, twice = right.token_ids or (), seen.token_ids or ()
        extra = len(twice) - len(whole)
        assert 1 <= extra <= K + 1
        assert any(twice == whole[:at] + whole[at - extra : at] + whole[at:] for at in range(extra, 33))
        assert (seen.rounds, seen.arrivals[-1].tokens) == (right.rounds, len(twice))


@pytest.mark.parametrize("fault", [telling.Idle, telling.OtherLength, telling.PrefillAsRound, telling.PrefillInTotals,
                                   telling.LostAtTheEnd, telling.DuplicatedChunk])  # fmt: skip
def test_the_plain_arm_is_left_alone(real: Remembering, prompts: list[Prompt], fault: type[telling.Engine]) -> None:
    request = Request(32, capture="rounds")
    assert one(fault(real, 3), prompts[0], request) == one(real, prompts[0], request)
