"""Do the injected faults do what their names say? Only then does it mean something that a check catches them."""

import dataclasses

import pytest
import torch
from support.broken import greedy
from support.broken.session import Engine, Remembering
from transformers.cache_utils import DynamicLayer

from backends.base import Session
from results.records import Draft, Generation, Prompt, Request

pytestmark = pytest.mark.model

K = 4
DRAFTED = Request(32, Draft("mtp", K), ignore_eos=True, capture="rounds")
PLAIN = Request(32, ignore_eos=True)


def one(session: Session, prompt: Prompt, request: Request = DRAFTED) -> Generation:
    (seen,) = session.generate([prompt], request)
    return seen


def tokens_of(session: Session, prompts: list[Prompt], request: Request = DRAFTED) -> list[tuple[int, ...]]:
    return [one(session, prompt, request).token_ids or () for prompt in prompts]


def regrets(session: Session, prompt: Prompt, seen: Generation) -> list[float]:
    """Best logit - chosen logit of every token; of rounding errors nothing is left."""
    scores = session.score(prompt, seen.token_ids or ())
    return [round((s.best_logit or 0) - (s.logit or 0), 3) for s in scores]


def test_the_healthy_engine_gives_the_target_s_own_tokens(real: Remembering, prompts: list[Prompt]) -> None:
    assert tokens_of(Engine(real), prompts) == tokens_of(real, prompts, PLAIN)


def test_unverified_drafts_are_drafts_that_the_target_did_not_choose(real: Remembering, prompts: list[Prompt]) -> None:
    engine = greedy.UnverifiedDraft(real, seed=1)
    wrong = 0
    for prompt in prompts:
        seen = one(engine, prompt)
        assert seen.rounds is not None
        at = seen.n_prefill
        regret = regrets(real, prompt, seen)
        for r in seen.rounds:
            wrong += any(regret[at : at + r.accepted])
            assert r.emitted <= r.accepted or regret[at + r.accepted] == 0  # the target's own token is right
            at += r.emitted
    assert wrong >= 3


def test_the_share_of_unverified_drafts_is_one_in_n(
    real: Remembering, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greedy.UnverifiedDraft, "n", 10**9)
    assert tokens_of(greedy.UnverifiedDraft(real, 2), prompts) == tokens_of(real, prompts, PLAIN)
    monkeypatch.setattr(greedy.UnverifiedDraft, "n", 1)
    assert tokens_of(greedy.UnverifiedDraft(real, 3), prompts) == tokens_of(greedy.ForcedAcceptance(real), prompts)


def test_seeds_leave_other_drafts_unverified(real: Remembering, prompts: list[Prompt]) -> None:
    first, again, other = (tokens_of(greedy.UnverifiedDraft(real, seed), prompts) for seed in (1, 1, 4))
    assert first == again != other


def test_forced_acceptance_accepts_every_draft(real: Remembering, prompts: list[Prompt]) -> None:
    for prompt in prompts:
        rounds = one(greedy.ForcedAcceptance(real), prompt).rounds or ()
        assert all(r.accepted == r.drafted for r in rounds)
    assert all(tokens_of(greedy.ForcedAcceptance(real), [p]) != tokens_of(real, [p], PLAIN) for p in prompts)


def test_the_wrong_bonus_token_is_the_second_choice_after_k_accepted_drafts(
    real: Remembering, prompts: list[Prompt]
) -> None:
    wrong = 0
    for prompt in prompts:
        seen = one(greedy.WrongBonus(real), prompt)
        at, expected = seen.n_prefill, set()
        for r in seen.rounds or ():
            if r.drafted and r.accepted == r.drafted:
                expected.add(at + r.accepted)
            at += r.emitted
        assert {i for i, regret in enumerate(regrets(real, prompt, seen)) if regret > 0} == expected
        wrong += len(expected)
    assert wrong >= 6


def test_off_by_one_verifies_drafts_one_position_further_on(real: Remembering, prompts: list[Prompt]) -> None:
    engine = greedy.OffByOne(real)
    starts: list[int] = []

    def spy(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        starts.append(int(kwargs["position_ids"][0, 0]))

    with engine.injected(prompts[0], DRAFTED):  # the spy comes after it and sees what the target gets
        handle = engine.target.register_forward_pre_hook(spy, with_kwargs=True)
        seen = one(real.engine, prompts[0])
        handle.remove()
    emitted = [seen.n_prefill, *(r.emitted for r in seen.rounds or ())]
    length = len(prompts[0].token_ids or ())
    assert starts == [0, *(length + sum(emitted[:i]) for i in range(1, len(emitted)))]
    assert tokens_of(engine, prompts) != tokens_of(real, prompts, PLAIN)


def test_a_stale_cache_keeps_the_rejected_draft_in_the_place_of_what_replaced_it() -> None:
    layer = DynamicLayer()
    greedy._Stale(layer)

    def add(*values: float) -> None:
        states = torch.tensor(values).reshape(1, 1, -1, 1)
        layer.update(states, -states)

    add(1, 2, 3, 4)  # one token, and three drafts after it
    layer.crop(-2)  # two of them rejected
    add(7, 8, 9)  # the correction, and two drafts
    layer.crop(0)  # none rejected
    add(10)
    assert layer.keys.flatten().tolist() == [1, 2, 3, 8, 9, 10]
    assert layer.values.flatten().tolist() == [-1, -2, -3, -8, -9, -10]


def test_a_stale_cache_spoils_what_comes_after_the_first_rejection(real: Remembering, prompts: list[Prompt]) -> None:
    changed = 0
    for prompt in prompts:
        healthy, stale = one(Engine(real), prompt), one(greedy.StaleCache(real), prompt)
        rejected = next(i for i, r in enumerate(healthy.rounds or ()) if r.accepted < r.drafted)
        until = healthy.n_prefill + sum(r.emitted for r in (healthy.rounds or ())[: rejected + 1])
        assert (stale.token_ids or ())[:until] == (healthy.token_ids or ())[:until]
        changed += stale.token_ids != healthy.token_ids
    assert changed == len(prompts)


def test_leaked_state_decodes_as_if_the_prompt_began_like_the_one_before(
    real: Remembering, prompts: list[Prompt]
) -> None:
    engine = greedy.LeakedState(real)
    first, second = prompts[:2]
    assert tokens_of(engine, [first]) == tokens_of(real, [first], PLAIN)  # nothing came before it
    mixed = (*(first.token_ids or ())[: engine.block], *(second.token_ids or ())[engine.block :])
    expected = tokens_of(real, [dataclasses.replace(second, token_ids=mixed)], PLAIN)
    assert tokens_of(engine, [second]) == expected != tokens_of(real, [second], PLAIN)
    assert tokens_of(engine, [second]) == expected  # another pass over the same prompt


@pytest.mark.parametrize("fault", [greedy.ForcedAcceptance, greedy.OffByOne, greedy.StaleCache, greedy.LeakedState])
def test_nothing_stays_attached_after_a_call(
    real: Remembering, prompts: list[Prompt], fault: type[greedy.InsideTheCall]
) -> None:
    engine = fault(real)
    tokens_of(engine, prompts[:2], dataclasses.replace(DRAFTED, max_new_tokens=9))
    assert not engine.target._forward_hooks
    assert not engine.target._forward_pre_hooks
    request = dataclasses.replace(DRAFTED, max_new_tokens=9)
    assert one(real.engine, prompts[1], request).token_ids == one(real, prompts[1], PLAIN).token_ids[:9]  # type: ignore[index]
