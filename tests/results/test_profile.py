"""From accepted drafts at every position to rounds and acceptance, against decoding itself and figures by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.curve import acceptance, curve
from results.intervals import t_quantile
from results.profile import LONGEST, Profile, Text, rounds
from results.records import Prompt, SessionFacts
from results.verdicts import as_json

FACTS = SessionFacts({}, "cpu", "float32", (1,), None, None)


def text(*accepted: int, key: str = "a/0", category: str = "a") -> Text:
    return Text(Prompt(key, "w", category, (1,), None), tuple(range(len(accepted) + 1)), accepted)


def profile(*texts: Text, k_max: int = 4, **other: Any) -> Profile:
    given: dict[str, Any] = {
        "schema": 1, "mtpbench": "0", "created_unix_ns": 0, "pair": "p", "synthetic": False, "prompt_tokens": 64,
        "output_tokens": 8, "facts": FACTS, "sweep": {}, "provenance": {},
    }  # fmt: skip
    return Profile(**(given | {"k_max": k_max, "texts": texts} | other))


def figures(accepted: list[int], k: int) -> list[tuple[int, int]]:
    taken = rounds(accepted, k)
    assert {each.drafted for each in taken} <= {k}
    return [(each.accepted, each.emitted) for each in taken]


# ------------------------------------------------------------------------------------------------------- the walk


def test_a_round_goes_on_after_what_the_one_before_emitted() -> None:
    #  position    0  1  2  3  4  5  6
    accepted = [2, 5, 0, 1, 2, 1, 1]
    assert figures(accepted, 1) == [(1, 2), (0, 1), (1, 2), (1, 2)]
    assert figures(accepted, 2) == [(2, 3), (1, 2), (1, 2)]
    assert figures(accepted, 4) == figures(accepted, 2)


def test_drafts_that_reach_the_end_leave_no_room_for_the_target_s_token() -> None:
    assert figures([3, 2, 1], 4) == [(3, 3)]
    assert figures([2, 2, 1], 4) == [(2, 3)]
    assert figures([3, 2, 1], 2) == [(2, 3)]


def test_a_text_of_the_prefill_s_token_alone_takes_no_rounds() -> None:
    assert rounds([], 3) == ()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """(a greedy text, what a drafter says from each of its positions), of few tokens, so that drafts agree often."""
    token = st.integers(0, 1)
    known = draw(st.lists(token, min_size=1, max_size=30))
    drafts = [draw(st.lists(token, min_size=8, max_size=8)) for _ in known]
    good = draw(st.lists(st.integers(0, 8), min_size=len(known), max_size=len(known)))
    follows = [known[at + 1 :] for at in range(len(known))]
    return known, [[*right[:n], *guess][:8] for right, n, guess in zip(follows, good, drafts, strict=True)]


def common(a: list[int], b: list[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@given(worlds(), st.integers(1, 8))
def test_the_walk_is_what_speculative_decoding_does(world: tuple[list[int], list[list[int]]], k: int) -> None:
    known, drafts = world
    taken: list[tuple[int, int]] = []
    output = known[:1]
    while len(output) < len(known):
        at = len(output) - 1
        guess = drafts[at][:k]
        verified = [*known[at + 1 :], *[-1] * (k + 1)][: k + 1]  # what the target says where each draft stands
        kept = common(guess, verified)
        chunk = [*guess[:kept], verified[kept]][: len(known) - len(output)]  # the length limit
        taken.append((min(kept, len(chunk)), len(chunk)))
        output += chunk
    assert output == known
    assert figures([common(drafts[at], known[at + 1 :]) for at in range(len(known) - 1)], k) == taken


@given(worlds(), st.integers(1, 8))
def test_the_counts_add_up(world: tuple[list[int], list[list[int]]], k: int) -> None:
    known, drafts = world
    taken = rounds([common(drafts[at], known[at + 1 :]) for at in range(len(known) - 1)], k)
    assert 1 + sum(each.emitted for each in taken) == len(known)
    assert all(each.emitted == each.accepted + 1 for each in taken[:-1])


# ----------------------------------------------------------------------------------------------------- acceptance


def test_acceptance_is_counted_over_complete_rounds_and_by_category() -> None:
    # at k = 2: rounds of a/0 accept 2, 1 | cut; of b/0 accept 0, 0, 2
    found = profile(
        text(4, 3, 0, 1, 0, 2, 1), text(0, 0, 2, 2, 0, key="b/0", category="b"),
    )  # fmt: skip
    seen = acceptance(found, 2)
    assert seen is not None
    assert [figures(list(each.accepted), 2) for each in found.texts] == [
        [(2, 3), (1, 2), (2, 2)],
        [(0, 1), (0, 1), (2, 3)],
    ]
    assert (seen.rounds, seen.rounds_left_out) == (5, 1)
    assert seen.length == 1 + 5 / 5
    assert seen.rate == 0.5
    assert seen.per_position == (0.6, 0.4)
    assert {name: (part.length, part.rounds) for name, part in seen.by_category.items()} == {
        "a": (2.5, 2), "b": (pytest.approx(1 + 2 / 3), 3),
    }  # fmt: skip
    # residuals 3 - 2, 2 - 3; variance = 2/1 * 2 / 25; one degree of freedom, cut to 1..k+1
    assert t_quantile(1, 0.95) * (4 / 25) ** 0.5 > 2
    assert (seen.low, seen.high) == (1.0, 3.0)
    assert seen.per_request is not None
    assert seen.per_request.mean == pytest.approx((2.5 + 5 / 3) / 2)


def test_nothing_is_computed_where_no_round_is_complete() -> None:
    found = curve(profile(text(3, 2, 1), k_max=4))
    assert [point.acceptance is None for point in found.points] == [False, False, True, True]
    assert found.points[0].acceptance is not None
    assert found.points[0].acceptance.low is None  # one prompt
    stored = json.loads(json.dumps(as_json(found)))
    assert stored["points"][2] == {"draft_length": 3, "acceptance": None}
    assert (stored["prompts"], stored["tokens"], stored["k_max"]) == (1, 4, 4)


@given(worlds())
def test_the_mean_is_the_sum_over_positions(world: tuple[list[int], list[list[int]]]) -> None:
    known, drafts = world
    counts = tuple(common(drafts[at], known[at + 1 :]) for at in range(len(known) - 1))
    for point in curve(profile(text(*counts), k_max=8)).points:
        if (seen := point.acceptance) is not None:
            assert seen.length == pytest.approx(1 + sum(seen.per_position))
            assert seen.rate * point.draft_length == pytest.approx(sum(seen.per_position))


# --------------------------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize(
    ("accepted", "tokens", "says"),
    [
        ((1, 0), 2, "2 counts for 1 positions"),
        ((), 0, "an empty continuation"),
        ((3, 0), 3, r"the counts at \[0\]"),
        ((0, -1), 3, r"the counts at \[1\]"),
    ],
)
def test_counts_that_cannot_be_are_refused(accepted: tuple[int, ...], tokens: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Text(Prompt("k", "w", "c", (1,), None), tuple(range(tokens)), accepted)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"k_max": 0}, "k_max must lie in 1..64, not 0"),
        ({"k_max": LONGEST + 1}, "k_max must lie in 1..64, not 65"),
        ({"k_max": 1}, "2 of 1 drafts cannot be accepted"),
        ({"texts": ()}, "at least one text"),
        ({"schema": 2}, "schema 2 is not 1"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(other: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        profile(text(2, 1), **other)
