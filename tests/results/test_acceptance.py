"""Acceptance, against figures worked out by hand."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from results.acceptance import from_counts, from_rounds, pooled
from results.columns import ABSENT, Rounds, Rows
from results.intervals import t_quantile
from results.metrics import RowTimings

NO_TIMINGS = RowTimings(*(np.zeros(0, dtype=np.int64) for _ in fields(RowTimings)))


def rows_of(prompts: list[int], **columns: list[int]) -> Rows:
    """Rows of these prompts, 100 tokens each unless said otherwise."""
    n = len(prompts)
    values: dict[str, Any] = {f.name: np.full(n, ABSENT) for f in fields(Rows)}
    values |= {"ids": np.arange(n), "prompt": np.array(prompts), "timings": NO_TIMINGS}
    values |= {"n_tokens": np.full(n, 100), "natural": np.full(n, 100), "n_prefill": np.ones(n, int)}
    return Rows(**(values | {name: np.array(column) for name, column in columns.items()}))


def rounds_of(*accepted: list[int], k: int, start: int = 1) -> Rounds:
    """One row per list, of complete rounds that accepted so many drafts."""
    row = np.repeat(np.arange(len(accepted)), [len(each) for each in accepted])
    flat = np.concatenate([np.array(each, dtype=np.int64) for each in accepted])
    starts = np.concatenate([start + np.cumsum([0, *(a + 1 for a in each)])[:-1] for each in accepted])
    last = np.append(row[1:] != row[:-1], True)
    unknown = np.full(len(flat), ABSENT)
    return Rounds(row, np.full(len(flat), k), flat, flat + 1, unknown, unknown, unknown, starts, last)


def test_the_interval_is_the_ratio_estimator_linearised_over_prompts() -> None:
    # r = 15 / 12; residuals -1, 0, 1; variance = 3/2 * 2 / 144; df = 2
    found = pooled(np.array([4.0, 5, 6]), np.array([4.0, 4, 4]), np.array([7, 8, 9]), k=4, confidence=0.95)
    assert found.length == 2.25
    assert found.high == pytest.approx(2.25 + t_quantile(2, 0.95) * (1.5 * 2 / 144) ** 0.5)
    assert found.low == pytest.approx(2.25 - t_quantile(2, 0.95) * (1.5 * 2 / 144) ** 0.5)


def test_a_prompt_visited_twice_is_one_cluster() -> None:
    once = pooled(np.array([4.0, 5, 6]), np.array([4.0, 4, 4]), np.array([7, 8, 9]), 4, 0.95)
    twice = pooled(np.array([4.0, 5, 6] * 2), np.array([4.0, 4, 4] * 2), np.array([7, 8, 9] * 2), 4, 0.95)
    assert twice == pytest.approx(once)


def test_an_interval_stays_between_nothing_and_everything_accepted() -> None:
    found = pooled(np.array([0.0, 4]), np.array([1.0, 1]), np.array([1, 2]), k=4, confidence=0.95)
    assert (found.low, found.high) == (1.0, 5.0)


def test_one_prompt_has_no_interval() -> None:
    assert pooled(np.array([4.0]), np.array([2.0]), np.array([7]), 4, 0.95) == (3.0, None, None)


def test_acceptance_over_rounds() -> None:
    rows = rows_of([10, 11])
    found = from_rounds(rounds_of([2, 0, 1], [2], k=2), rows, {10: "code", 11: "prose"}, 2, 0.95)
    assert found is not None
    assert found.length == 1 + 5 / 4
    assert found.rate == 5 / 8
    assert found.per_position == (3 / 4, 2 / 4)
    assert found.length == pytest.approx(1 + sum(found.per_position))
    assert (found.rounds, found.rounds_left_out) == (4, 0)
    assert found.per_request is not None
    assert found.per_request.mean == pytest.approx((2 + 3) / 2)
    assert {name: (part.length, part.rounds) for name, part in found.by_category.items()} == {
        "code": (2.0, 3),
        "prose": (3.0, 1),
    }


def test_rounds_that_are_not_complete_are_left_out_and_counted() -> None:
    rounds = rounds_of([2, 2, 2, 2], k=2)
    rounds.drafted[1] = 1  # shortened by the runtime
    rounds.emitted[3] = 1  # cut by the length limit
    found = from_rounds(rounds, rows_of([10]), {10: ""}, 2, 0.95)
    assert found is not None
    assert (found.rounds, found.rounds_left_out) == (2, 2)


def test_rounds_that_reach_past_the_natural_end_are_left_out() -> None:
    rounds = rounds_of([2, 2, 2], k=2)  # tokens 1-3, 4-6, 7-9 after the prefill's token 0
    kept = [from_rounds(rounds, rows_of([10], natural=[n]), {10: ""}, 2, 0.95) for n in (7, 6, 4, 3)]
    assert [found.rounds if found else 0 for found in kept] == [2, 1, 1, 0]


@pytest.mark.parametrize("k", [2, 8])
def test_where_texts_end_says_nothing_about_acceptance(k: int) -> None:
    """Every draft is accepted with the same probability: rounds near the end must not be those that accepted little."""
    rng, rate, n = np.random.default_rng(3), 0.8, 24
    texts: list[list[int]] = []
    for _ in range(4_000):
        texts.append([])
        while 1 + sum(kept + 1 for kept in texts[-1]) < n:
            texts[-1].append(min(int(rng.geometric(1 - rate)) - 1, k))
    rounds = rounds_of(*texts, k=k)
    rounds.emitted[:] = np.minimum(rounds.emitted, n - rounds.start)
    ends = rows_of([*range(len(texts))], natural=[n] * len(texts))
    found = from_rounds(rounds, ends, dict.fromkeys(range(len(texts)), ""), k, 0.95)
    truth = sum(rate**i for i in range(k + 1))
    assert found is not None and found.length == pytest.approx(truth, rel=0.01)


def test_output_positions_are_shown_in_stretches() -> None:
    found = from_rounds(rounds_of([3] * 5, k=3), rows_of([10], natural=[40]), {10: ""}, 3, 0.95)
    assert found is not None
    assert [(part.label, part.rounds) for part in found.by_output_position] == [("0–15", 4), ("16–31", 1)]


def test_long_outputs_have_longer_stretches() -> None:
    found = from_rounds(rounds_of([3] * 200, k=3), rows_of([10], natural=[1000]), {10: ""}, 3, 0.95)
    assert found is not None
    assert [part.label for part in found.by_output_position][:2] == ["0–127", "128–255"]


def test_totals_give_the_same_figures() -> None:
    rows = rows_of([10, 11], count_rounds=[3, 1], count_drafted=[6, 2], count_accepted=[3, 2])
    found = from_counts(np.array([0, 1]), rows, {0: (2, 1), 1: (1, 1)}, {10: "code", 11: "prose"}, 2, 0.95)
    assert found is not None
    assert found.from_counts
    assert (found.length, found.rate) == (1 + 5 / 4, 5 / 8)
    assert found.per_position == (3 / 4, 2 / 4)
    assert found.by_category["prose"].length == 3.0


def test_totals_of_a_prompt_are_taken_once() -> None:
    rows = rows_of([10, 10], count_rounds=[4, 4], count_drafted=[8, 8], count_accepted=[4, 4])
    found = from_counts(np.array([0, 1]), rows, {}, {10: ""}, 2, 0.95)
    assert found is not None
    assert found.rounds == 4


def test_rounds_that_are_not_counted_follow_from_the_identity() -> None:
    rows = rows_of([10], n_tokens=[41], count_drafted=[40], count_accepted=[20])
    found = from_counts(np.array([0]), rows, {}, {10: ""}, 2, 0.95)
    assert found is not None
    assert found.rounds == 41 - 1 - 20
    assert found.length == 2.0
    assert found.per_position == ()


def test_nothing_revealed_is_no_acceptance() -> None:
    assert from_counts(np.array([0]), rows_of([10]), {}, {10: ""}, 2, 0.95) is None
    assert from_rounds(rounds_of([], k=2), rows_of([10]), {10: ""}, 2, 0.95) is None
