"""What is scored for the losslessness certificate of a healthy or diverging engine, and how often."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from certifying import Certified

from harness.experiment import resume
from results.certificate import EquivalenceName

Certify = Callable[..., Certified]


def wrong(at: int, rank: int = 1, draft: int = 2, **more: object) -> dict[str, object]:
    return {"draft": draft, "at": at, "rank": rank, "how": "wrong", **more}


def test_each_distinct_output_is_scored_once_and_a_healthy_run_takes_at_most_one_prefill_per_sequence(
    certify: Certify,
) -> None:
    for overrides in ({"speed": False}, {"speed": True, "repeats": 2}):
        done = certify(**overrides)
        assert [(call["prompt"], len(call["tokens"])) for call in done.calls] == [(16, 12)] * 3
        assert len(done.calls) < len(done.sequences)
        assert {verdict.verdict for verdict in done.greedy} == {"identical"}
        assert [verdict.scored for verdict in done.greedy] == [3, 3]
        assert all(0 < verdict.scored <= verdict.sequences for verdict in done.greedy)


def test_equal_outputs_to_different_prompts_are_scored_for_each_prompt(certify: Certify) -> None:
    done = certify(batch_sizes=[2])
    assert len(done.calls) == 6
    assert sorted(done.forced) == [(prompt, "plain") for prompt in range(1, 7)]


def test_an_output_that_differs_is_scored_beside_the_plain_one_and_asked_again_where_it_does(certify: Certify) -> None:
    done = certify({"diverge": [wrong(3)]})
    assert Counter((call["prompt"], len(call["tokens"])) for call in done.calls) == {(16, 12): 6, (16 + 3, 1): 3}
    told = [(role, s.kind, s.scores[0].position, len(s.scores)) for _, role, s in done.scorings]
    assert Counter(told) == {
        ("plain", "incremental", 0, 12): 3,
        ("plain", "prefill", 0, 12): 3,
        ("speculative", "prefill", 0, 12): 3,
        ("speculative", "replay", 3, 1): 3,
    }


@pytest.mark.parametrize(
    ("how", "kind", "verdict"),
    [
        ("tie", "tie", "equivalent"),
        ("replayed", "batch_numerics", "equivalent"),
        ("wrong", "unexplained", "unexplained"),
    ],
)
def test_a_divergence_is_explained_by_what_was_scored(
    certify: Certify, how: str, kind: str, verdict: EquivalenceName
) -> None:
    done = certify({"diverge": [{"draft": 2, "at": 5, "how": how}]})
    first, second = done.greedy
    assert first.verdict == "identical"
    assert (second.verdict, getattr(second, kind), second.identical) == (verdict, 3, 0)
    assert [found.position for found in second.divergences] == [5, 5, 5]
    assert second.tolerance == pytest.approx(2e-3, rel=0.3)  # twice the scripted noise
    assert second.control_divergences == 0


def test_later_regrets_are_replayed_the_worst_first_after_the_first_divergence(certify: Certify) -> None:
    done = certify({"diverge": [wrong(2, 1), wrong(4, 3), wrong(6, 2), wrong(8, 5)]}, prompts=1)
    assert done.replayed == [2, 8, 4, 6]


def test_a_later_token_that_the_target_never_chooses_is_unexplained_after_a_tie(certify: Certify) -> None:
    done = certify({"diverge": [{"draft": 2, "at": 2, "how": "tie"}, wrong(7)]}, prompts=1)
    assert done.replayed == [2, 7]
    (_, found) = done.greedy
    assert (found.verdict, found.unexplained) == ("unexplained", 1)
    assert found.reason.startswith("1 of 1 prompts: token 7 of ")


def test_no_output_is_replayed_more_often_than_the_limit(certify: Certify, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = [1, *(2 + position for position in range(1, 12))]
    monkeypatch.setattr("harness.certify.MAX_REPLAYS", 5)
    done = certify({"diverge": [wrong(at, rank) for at, rank in enumerate(ranks)]}, prompts=1)
    assert done.replayed == [0, 11, 10, 9, 8]


def test_only_the_plain_arm_s_own_scores_are_kept_as_it_decoded(certify: Certify) -> None:
    done = certify(speed=True)
    own = {prompt: s for prompt, role, s in done.scorings if s.kind == "incremental" and role == "plain"}
    forced = {prompt: s for prompt, role, s in done.scorings if s.kind == "prefill"}
    assert len(own) == len([1 for _, _, s in done.scorings if s.kind == "incremental"]) == 3
    for prompt, scoring in own.items():
        pairs = zip(scoring.scores, forced[prompt].scores, strict=True)
        apart = [abs((one.logit or 0) - (other.logit or 0)) for one, other in pairs]
        assert 0 < max(apart) <= 1e-3
    assert [verdict.noise_tokens for verdict in done.greedy] == [36, 36]


def test_an_output_is_held_against_the_plain_output_that_it_follows_longest(certify: Certify) -> None:
    """The plain arm's instrumented pass leaves its headline pass at token 2, and so does the drafting one."""
    rules = [wrong(2, draft=0, capture="rounds"), wrong(2, capture="rounds"), wrong(6, capture="rounds")]
    done = certify({"diverge": rules}, speed=True, prompts=1)
    assert [role for _, role in done.forced] == ["plain", "plain", "speculative"]
    assert done.replayed == [6]
    assert [found.position for found in done.greedy[1].divergences] == [6]


def test_where_the_plain_arm_later_gives_an_output_nearer_to_a_scored_one_the_target_is_asked_there_too(
    certify: Certify,
) -> None:
    """At the second visit the plain arm takes what the drafting one took at token 2, and leaves it at token 6."""
    later = [wrong(at, draft=0, when="second-visit") for at in (2, 6)]
    done = certify({"diverge": [wrong(2), *later]}, speed=True, prompts=1, draft_lengths=[2])
    assert done.replayed == [2]
    Path("second-visit").touch()
    resume(done.path, {"repeats": "2"})
    done = replace(done)
    assert sorted(role for _, role in done.forced) == ["plain", "plain", "speculative"]
    assert sorted(done.replayed) == [2, 6]
    (found,) = done.greedy
    assert (found.verdict, found.batch_numerics, found.divergences[0].position) == ("equivalent", 1, 6)


def test_a_unit_without_a_plain_output_is_not_scored(certify: Certify) -> None:
    fails = [{"draft": 0, "capture": "rounds", "nth": 1, "do": "error"}]
    done = certify({"script": fails, "diverge": [wrong(3)]})
    assert len([call for call in done.calls if call["prompt"] == 16]) == 2 * 2
    assert [verdict.prompts for verdict in done.greedy] == [2, 2]


# ------------------------------------------------------------------------------------------------------------ sampled


def sampled(certify: Certify, options: dict[str, object] | None = None, **overrides: object) -> Certified:
    asked = {"temperature": [0.8], "top_k": 6, "draft_lengths": [2], "output_tokens": 40, **overrides}
    return certify(options, **asked)


def test_every_sampled_output_of_plain_speculative_and_biased_arms_is_scored_once_as_asked(certify: Certify) -> None:
    done = sampled(certify)
    assert Counter(role for _, role in done.forced) == {"plain": 9, "speculative": 9, "biased": 9}  # 3 prompts, 3 draws
    assert len(done.calls) == len({tuple(call["tokens"]) for call in done.calls}) == 27
    assert {(call["temperature"], call["seed"]) for call in done.calls} == {(0.8, None)}
    assert done.replayed == []


def test_scores_of_sampled_outputs_are_of_the_asked_distribution_in_the_biased_arm_too(certify: Certify) -> None:
    done = sampled(certify)
    weights = [math.exp(-0.5 * rank / 0.8) for rank in range(6)]  # the scripted logits: 10, 9.5, 9, …, top-k 6
    entropy = -sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights)
    for role in ("plain", "speculative", "biased"):
        scores = [score for _, found, scoring in done.scorings if found == role for score in scoring.scores]
        assert len(scores) == 9 * 40
        assert {round(score.entropy or 0, 9) for score in scores} == {round(entropy, 9)}
        assert all(score.logprob in [pytest.approx(math.log(w / sum(weights))) for w in weights] for score in scores)


def test_a_sampler_that_prefers_the_best_token_is_biased_and_a_fair_one_is_not(certify: Certify) -> None:
    for bias, verdict in ((0.0, "not distinguishable"), (0.3, "biased")):
        (found,) = sampled(certify, {"bias": bias}, repeats=10).sampled
        assert (found.verdict, found.negative_control, found.positive_control) == (verdict, True, True)
        assert found.n == 3 * 10 * 39
