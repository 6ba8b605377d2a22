"""The rules of one verification against the distributions they promise, and against rules that are wrong."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

from backends.reference import verdict
from backends.reference.verdict import Dice
from results.records import Sampling

SAMPLING = Sampling(1.0)
DRAWS = 60_000
LEVEL = 1e-4
GRID = 50
P = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1]])
"""Of the target at three positions: two drafts and the bonus."""
Q = torch.tensor([[0.1, 0.6, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]])
"""Of the drafter."""

Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None, Dice], tuple[torch.Tensor, torch.Tensor]]


def lossless(
    logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    return verdict.sampled(logits, drafts, q, SAMPLING, dice)


def as_if_sampled(
    logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wrong as Transformers is: the drafter's most probable tokens judged as if they had been drawn."""
    return verdict.sampled(logits, drafts, Q.expand(len(drafts), -1, -1), SAMPLING, dice)


def draft_not_removed(
    logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    """Wrong: after a rejection the draft can be drawn again."""
    tokens, kept = verdict.sampled(logits, drafts, q, SAMPLING, dice)
    rows = torch.arange(len(kept))
    final = verdict.draw(verdict.probabilities(logits, SAMPLING)[rows, kept], dice.choose)
    return tokens.scatter(1, kept[:, None], final[:, None]), kept


def outcomes(rule: Rule, *, drawn: bool) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [draws, 3], how many drafts were kept [draws]) at `P` with drafts of `Q`."""
    generator = torch.Generator().manual_seed(7)
    numbers = [torch.rand(DRAWS, n, generator=generator) for n in (2, 1, 2)]
    dice = Dice(numbers[0], numbers[1][:, 0], numbers[2])
    q = Q.expand(DRAWS, -1, -1)
    drafts = verdict.draw(q, dice.draft) if drawn else Q.argmax(-1).expand(DRAWS, -1)
    tokens, kept = rule(P.log().expand(DRAWS, -1, -1), drafts, q if drawn else None, dice)
    return tokens.numpy(), kept.numpy()


def p_values(rule: Rule, *, drawn: bool) -> list[float]:
    """Chi-square of the emitted tokens at each position that was reached, against the target there: of all, and of
    those after each token, because a token must not depend on how the one before it was come by."""
    tokens, kept = outcomes(rule, drawn=drawn)
    found = []
    for position in range(3):
        reached = tokens[kept >= position]
        groups = [reached]
        if position:
            groups += [reached[reached[:, position - 1] == token] for token in range(4)]
        for group in groups:
            if len(group) >= 500:
                counts = np.bincount(group[:, position], minlength=4)
                found.append(float(chisquare(counts, expected(position, len(group))).pvalue))
    return found


def expected(position: int, n: int) -> np.ndarray:
    p = P[position].double().numpy()
    return p / p.sum() * n


@pytest.mark.parametrize("drawn", [False, True], ids=["argmax-drafts", "sampled-drafts"])
def test_every_emitted_token_is_distributed_as_the_target_s(drawn: bool) -> None:
    assert min(p_values(lossless, drawn=drawn)) > LEVEL


@pytest.mark.parametrize(
    ("rule", "drawn"), [(as_if_sampled, False), (draft_not_removed, False), (draft_not_removed, True)]
)
def test_a_wrong_rule_is_found_out(rule: Rule, drawn: bool) -> None:
    assert min(p_values(rule, drawn=drawn)) < LEVEL


distributions = st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(lambda parts: sum(parts) > 0)


@settings(max_examples=30, derandomize=True)
@given(distributions, distributions, st.booleans())
def test_the_probability_of_every_token_is_the_target_s_whatever_the_drafter_s(
    target: list[int], drafter: list[int], drawn: bool
) -> None:
    """Not by chance: the dice take every value of a grid in turn, so that shares are integrals with a known error."""
    p, q = (torch.tensor(parts) / sum(parts) for parts in (target, drafter))
    grid = (torch.arange(GRID) + 0.5) / GRID
    accept, choose, draft = (axis.flatten() for axis in torch.meshgrid(grid, grid, grid, indexing="ij"))
    dice = Dice(accept[:, None], choose, draft[:, None])
    q = q.expand(len(accept), 1, -1)
    drafts = verdict.draw(q, dice.draft) if drawn else q.argmax(-1)
    logits = p.log().expand(len(accept), 2, -1)
    tokens, kept = verdict.sampled(logits, drafts, q if drawn else None, SAMPLING, dice)
    shares = torch.bincount(tokens[:, 0], minlength=4) / len(accept)
    torch.testing.assert_close(shares, p, atol=4 / GRID, rtol=0)
    torch.testing.assert_close(
        torch.bincount(tokens[kept == 1, 1], minlength=4) / max(1, int(kept.sum())),
        p * bool(kept.any()),
        atol=4 / GRID,
        rtol=0,
    )


def test_greedy_keeps_drafts_up_to_the_first_that_is_not_the_target_s() -> None:
    choice = torch.tensor([[3, 1, 2], [3, 1, 2], [3, 1, 2], [3, 1, 2]])
    logits = torch.nn.functional.one_hot(choice, 4).float()
    drafts = torch.tensor([[3, 1], [3, 0], [0, 1], [0, 0]])
    tokens, kept = verdict.greedy(logits, drafts)
    assert kept.tolist() == [2, 1, 0, 0]
    assert tokens.tolist() == choice.tolist()


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=30, unique=True),
    st.integers(1, 40),
    st.floats(0.05, 1.0),
    st.floats(0.3, 3.0),
)
def test_probabilities_are_those_of_transformers_warpers(
    numbers: list[float], top_k: int, top_p: float, temperature: float
) -> None:
    logits = torch.tensor([numbers])
    warped = TopKLogitsWarper(min(top_k, len(numbers)))(torch.empty(0), logits / temperature)
    if top_p < 1:
        warped = TopPLogitsWarper(top_p)(torch.empty(0), warped)
    ours = verdict.probabilities(logits, Sampling(temperature, top_k, top_p))
    torch.testing.assert_close(ours, warped.softmax(-1), atol=1e-6, rtol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1, exclude_max=True))
def test_a_draw_has_weight(weights: list[float], uniform: float) -> None:
    table = torch.tensor([weights])
    if float(table.sum()) == 0:
        return
    (index,) = verdict.draw(table, torch.tensor([uniform])).tolist()
    assert table[0, index] > 0


@pytest.mark.parametrize("uniform", [1 - 2**-24, 1.0], ids=["the-last-float32", "one"])
@pytest.mark.parametrize(("weights", "last"), [([0.3, 0.7, 0.0], 1), ([0.0, 1e-30, 0.0, 0.0], 1), ([0.1] * 10, 9)])
def test_a_draw_at_the_very_end_is_the_last_token_with_weight(weights: list[float], last: int, uniform: float) -> None:
    assert verdict.draw(torch.tensor([weights]), torch.tensor([uniform])).tolist() == [last]


def test_a_draw_at_the_very_beginning_is_the_first_token_with_weight() -> None:
    assert verdict.draw(torch.tensor([[0.0, 0.0, 0.4, 0.6]]), torch.tensor([0.0])).tolist() == [2]


def test_a_draw_needs_no_weights_that_add_up_to_one() -> None:
    weights, uniform = torch.tensor([[1.0, 3.0], [0.01, 0.03]]), torch.tensor([0.24, 0.26])
    assert verdict.draw(weights, uniform).tolist() == [0, 1]


def test_tokens_that_truncation_takes_away_are_neither_kept_nor_drawn() -> None:
    """Drafts of no probability are refused even by an acceptance of 0."""
    sampling = Sampling(1.0, top_k=2)
    logits = torch.tensor([[[3.0, 2.0, 1.0, 0.0]] * 2]).expand(1000, -1, -1)
    choose = torch.arange(1000) / 1000
    for draft in (2, 3):
        dice = Dice(torch.zeros(1000, 1), choose, torch.zeros(1000, 1))
        tokens, kept = verdict.sampled(logits, torch.full((1000, 1), draft), None, sampling, dice)
        assert not kept.any()
        assert set(tokens[:, 0].tolist()) == {0, 1}


def test_forced_acceptance_keeps_what_was_asked_for_and_then_the_target_s_own() -> None:
    dice = Dice(torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.1, 0.1]]), torch.zeros(3), torch.zeros(3, 2))
    own, drafts = torch.tensor([[5, 6, 7]] * 3), torch.tensor([[1, 2]] * 3)
    tokens, kept = verdict.forced(own, drafts, torch.tensor([0.5, 0.5]), dice)
    assert kept.tolist() == [1, 0, 2]
    assert [row[: count + 1] for row, count in zip(tokens.tolist(), kept.tolist(), strict=True)] == [
        [1, 6],
        [5],
        [1, 2, 7],
    ]
