"""Engines at T > 0: are the correct ones correct, and the others wrong in the way that is said?"""

import dataclasses
import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from support.broken import sampled
from support.broken.session import Engine, Remembering

from backends.base import Session
from results.records import Draft, Prompt, Request, Sampling

pytestmark = pytest.mark.model

DRAFTED = Request(40, Draft("mtp", 4), Sampling(1.0), ignore_eos=True, capture="rounds")


def surprise(session: Session, real: Remembering, prompts: list[Prompt], draws: int) -> float:
    """z = sum(log p + H) / sqrt(sum Var) over the tokens of rounds, `draws` continuations of each prompt: about N(0, 1)
    where the tokens are drawn from the target's own distribution, larger where they are too probable (METHOD 5)."""
    excess = variance = 0.0
    for seed, prompt in enumerate(prompts * draws):
        sampling = dataclasses.replace(DRAFTED.sampling, seed=seed)
        (seen,) = session.generate([prompt], dataclasses.replace(DRAFTED, sampling=sampling))
        for score in real.score(prompt, seen.token_ids or (), sampling)[seen.n_prefill :]:
            assert score.logprob is not None
            assert score.entropy is not None
            assert score.variance is not None
            excess += score.logprob + score.entropy
            variance += score.variance
    return excess / math.sqrt(variance)


@pytest.mark.parametrize("correct", [sampled.DrawnFromDrafter, sampled.JudgedAsCertain])
def test_a_correct_engine_s_tokens_are_as_probable_as_they_should_be(
    real: Remembering, prompts: list[Prompt], correct: type[Engine]
) -> None:
    assert abs(surprise(correct(real), real, prompts, draws=3)) < 2.6  # of 720 tokens; 1 correct engine in 100 is worse


def test_transformers_own_assisted_sampling_prefers_probable_tokens(real: Remembering, prompts: list[Prompt]) -> None:
    assert surprise(Engine(real), real, prompts, draws=1) > 4


def test_drafts_verified_as_argmax_leave_nothing_to_chance_after_the_first_token(
    real: Remembering, prompts: list[Prompt]
) -> None:
    firsts = set()
    for seed, prompt in enumerate(prompts * 2):
        request = dataclasses.replace(DRAFTED, sampling=Sampling(1.0, seed=seed), max_new_tokens=24)
        (seen,) = sampled.JudgedByArgmax(real).generate([prompt], request)
        first, *rest = seen.token_ids or ()
        firsts.add((prompt.key, first))
        begun = dataclasses.replace(prompt, token_ids=(*(prompt.token_ids or ()), first))
        (greedy,) = real.generate([begun], Request(23, ignore_eos=True))
        verified = sum(r.emitted for r in seen.rounds or () if r.drafted)  # all but a last token for which none is left
        assert len(rest) - verified <= 1
        assert tuple(rest[:verified]) == (greedy.token_ids or ())[:verified]
    assert len(firsts) > len(prompts)  # the prefill's own token is still drawn


def test_the_seed_decides_what_is_drawn(real: Remembering, prompts: list[Prompt]) -> None:
    engine = sampled.DrawnFromDrafter(real)
    requests = [dataclasses.replace(DRAFTED, sampling=Sampling(1.0, seed=seed)) for seed in (1, 1, 2)]
    first, again, other = (engine.generate(prompts[:1], request)[0].token_ids for request in requests)
    assert first == again != other


def test_drafts_are_drawn_from_the_drafter_s_distribution_at_the_asked_temperature() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    drafter = torch.nn.Identity()
    drafter.register_forward_hook(lambda module, args, output: SimpleNamespace(logits=logits.expand(1, 1, 4)))
    temperature, draws = 0.5, 4000

    def draft() -> tuple[torch.Tensor, torch.Tensor]:
        outputs = [drafter(None) for _ in range(draws)]
        drafted = torch.cat([output.logits for output in outputs], dim=1)
        return drafted.argmax(-1), drafted

    ids, told = sampled._drawn(temperature)(draft, SimpleNamespace(assistant_model=drafter))
    assert told is not None
    assert torch.equal(told, (logits / temperature).expand(1, draws, 4))
    expected = (logits / temperature).softmax(-1) * draws
    seen = Counter(ids.flatten().tolist())
    chi_square = sum((seen[i] - e) ** 2 / e for i, e in enumerate(expected.tolist()))
    assert chi_square < 16.3  # 99.9 % of chi-square with 3 degrees of freedom
