"""Scores of the Transformers adapter on the demo pair: teacher-forced, as decoded, and under any sampling."""

import dataclasses
import math

import pytest
import torch
from conformance import one

from backends.hf import scoring, watching
from backends.hf.decoding import DecodingSession
from results.records import Draft, Prompt, Request, Sampling, TokenScore

pytestmark = pytest.mark.model

SAMPLINGS = [
    Sampling(1.0),
    Sampling(0.7),
    Sampling(1.6, top_k=12),
    Sampling(0.8, top_p=0.85),
    Sampling(1.2, top_k=40, top_p=0.6),
    Sampling(0.05, top_k=5000),
]


@pytest.fixture
def session(demo: DecodingSession) -> DecodingSession:
    return demo


@torch.no_grad()
def logits_of(session: DecodingSession, prompt: Prompt, tokens: tuple[int, ...]) -> torch.Tensor:
    """[tokens, vocabulary] in float64, straight from the target."""
    ids = torch.tensor([[*(prompt.token_ids or ()), *tokens]])
    rows = session._models.target(input_ids=ids, use_cache=False).logits[0]
    return rows[-len(tokens) - 1 : -1].double()


def distribution(logits: torch.Tensor, sampling: Sampling) -> list[float]:
    """The asked distribution over one row of logits, by sorting: temperature, then top-k, then top-p."""
    p = (logits / sampling.temperature).softmax(-1)
    order = sorted(range(len(p)), key=lambda token: -float(p[token]))
    kept = order[: sampling.top_k]
    if sampling.top_p is not None:
        total, so_far, nucleus = sum(float(p[token]) for token in kept), 0.0, []
        for token in kept:
            if so_far >= sampling.top_p * total:
                break
            nucleus.append(token)
            so_far += float(p[token])
        kept = nucleus
    total = sum(float(p[token]) for token in kept)
    found = [0.0] * len(p)
    for token in kept:
        found[token] = float(p[token]) / total
    return found


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-4, abs=1e-4)


# --------------------------------------------------------------------------------- incremental and teacher-forced


@pytest.mark.parametrize("length", [1, 2, 40])
def test_teacher_forced_logits_are_those_of_decoding_itself_in_float32(
    session: DecodingSession, prompts: list[Prompt], length: int
) -> None:
    seen = one(session, prompts[0], Request(length, capture="rounds"))
    assert seen.token_ids is not None
    assert seen.scores is not None
    forced = session.score(prompts[0], seen.token_ids)
    assert len(forced) == len(seen.scores) == seen.n_tokens == length
    for own, other in zip(seen.scores, forced, strict=True):
        assert (own.position, own.token_id, own.best_id) == (other.position, other.token_id, other.best_id)
        assert own.logit == close(other.logit or math.nan)
        assert own.best_logit == close(other.best_logit or math.nan)
        assert own.logprob == close(other.logprob or math.nan)
        assert own.token_id == own.best_id


def test_rows_of_a_batch_get_their_own_scores(session: DecodingSession, prompts: list[Prompt]) -> None:
    shorter = Prompt("short", "w", "c", (prompts[1].token_ids or ())[7:], None)
    batch = [prompts[0], shorter, prompts[2]]
    seen = session.generate(batch, Request(12, capture="rounds"))
    own = [row.scores or () for row in seen]
    for prompt, row, scores in zip(batch, seen, own, strict=True):
        assert tuple(score.token_id for score in scores) == row.token_ids
        for score, forced in zip(scores, session.score(prompt, row.token_ids or ()), strict=True):
            assert score.logit == close(forced.logit or math.nan)
    assert len({scores[0].logit for scores in own}) == 3


def test_a_row_that_ends_earlier_is_scored_to_its_end(session: DecodingSession, prompts: list[Prompt]) -> None:
    alone = one(session, prompts[0], Request(12)).token_ids or ()
    ending = DecodingSession(dataclasses.replace(session._models, eos=(alone[4],)))
    seen = ending.generate([prompts[0], prompts[1]], Request(12, capture="rounds"))
    assert seen[0].n_tokens == alone.index(alone[4]) + 1 < 12
    assert [len(row.scores or ()) for row in seen] == [row.n_tokens for row in seen]


@pytest.mark.parametrize(
    "request_",
    [
        Request(8),
        Request(8, Draft("mtp", 3), capture="rounds"),
        Request(8, Draft("prompt-lookup", 3), capture="rounds"),
        Request(8, sampling=Sampling(0.8, seed=1), capture="rounds"),
    ],
    ids=["headline", "mtp", "prompt-lookup", "sampled"],
)
def test_own_scores_come_only_with_the_greedy_plain_instrumented_pass(
    session: DecodingSession, prompts: list[Prompt], request_: Request
) -> None:
    assert one(session, prompts[0], request_).scores is None
    assert one(session, prompts[0], Request(8, capture="rounds")).scores is not None


@pytest.mark.parametrize("kept", [0, 1, 5, 7])
def test_logits_are_kept_of_the_first_tokens_only_as_far_as_memory_allows(
    session: DecodingSession, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    whole = one(session, prompts[0], Request(8, capture="rounds"))
    row = (session.facts.vocab_size or 0) * 4
    monkeypatch.setattr(watching, "KEPT_BYTES", kept * row + row // 2)
    bounded = one(session, prompts[0], Request(8, capture="rounds"))
    assert bounded.token_ids == whole.token_ids
    assert bounded.scores == ((whole.scores or ())[:kept] or None)
    assert len(bounded.steps or ()) == 7


# ------------------------------------------------------------------------------------------------------ sampling


@pytest.fixture(scope="module")
def drawn(demo: DecodingSession, prompts: list[Prompt]) -> tuple[int, ...]:
    """A continuation of rather improbable tokens, so that truncation excludes some of them."""
    request = Request(24, sampling=Sampling(1.5, seed=5), ignore_eos=True)
    return one(demo, prompts[3], request).token_ids or ()


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_probabilities_and_moments_are_those_of_the_full_softmax(
    session: DecodingSession, prompts: list[Prompt], drawn: tuple[int, ...], sampling: Sampling
) -> None:
    logits = logits_of(session, prompts[3], drawn)
    for score, row in zip(session.score(prompts[3], drawn, sampling), logits, strict=True):
        p = distribution(row, sampling)
        surprisal = [-math.log(share) for share in p if share > 0]
        weights = [share for share in p if share > 0]
        entropy = sum(w * s for w, s in zip(weights, surprisal, strict=True))
        spread = sum(w * (s - entropy) ** 2 for w, s in zip(weights, surprisal, strict=True))
        own = p[score.token_id]
        assert score.logprob == (close(math.log(own)) if own > 0 else -math.inf)
        assert score.best_logprob == close(math.log(max(p)))
        assert score.entropy == close(entropy)
        assert score.variance == pytest.approx(spread, rel=1e-3, abs=1e-4)
        assert score.mass_above == close(sum(share for share in p if share > own))
        assert score.logit == close(float(row[score.token_id]))  # raw, whatever is asked
        assert score.best_logit == close(float(row.max()))


def test_a_seed_changes_no_score(session: DecodingSession, prompts: list[Prompt], drawn: tuple[int, ...]) -> None:
    one_seed, other = (session.score(prompts[3], drawn, Sampling(0.9, top_k=9, seed=seed)) for seed in (1, 2))
    assert one_seed == other


def test_truncated_tokens_have_no_probability_and_everything_above_them(
    session: DecodingSession, prompts: list[Prompt], drawn: tuple[int, ...]
) -> None:
    free = session.score(prompts[3], drawn, Sampling(1.0))
    cut = session.score(prompts[3], drawn, Sampling(1.0, top_k=1))
    excluded = [score for score in cut if score.token_id != score.best_id]
    assert excluded
    for score in excluded:
        assert (score.logprob, score.mass_above) == (-math.inf, pytest.approx(1.0))
        assert (score.entropy, score.variance) == (0.0, 0.0)
    assert all(score.logprob == 0.0 for score in cut if score.token_id == score.best_id)
    assert all(score.logprob is not None and score.logprob > -math.inf for score in free)


def test_what_sampling_draws_never_has_probability_0_under_its_own_truncation(
    session: DecodingSession, prompts: list[Prompt]
) -> None:
    for seed in range(3):
        sampling = Sampling(1.3, top_k=4, top_p=0.9, seed=seed)
        tokens = one(session, prompts[4], Request(16, sampling=sampling)).token_ids or ()
        scores = session.score(prompts[4], tokens, sampling)
        assert all(score.logprob is not None and score.logprob > -math.inf for score in scores)


# ----------------------------------------------------------------------------------------- rows of plain numbers


def scored(rows: list[list[float]], tokens: list[int], sampling: Sampling) -> list[TokenScore]:
    return scoring.scores(torch.tensor(rows), tokens, sampling)


def test_of_equal_probabilities_the_smaller_id_comes_first() -> None:
    """The transform u = mass above + V p then covers [0, 1) once, whatever ties."""
    rows = [[0.0, 1.0, 1.0, 0.0]] * 4
    above = [score.mass_above or 0.0 for score in scored(rows, [0, 1, 2, 3], Sampling(1.0))]
    p = [score.logprob and math.exp(score.logprob) for score in scored(rows, [0, 1, 2, 3], Sampling(1.0))]
    low, high = 1 / (2 + 2 * math.e), math.e / (2 + 2 * math.e)
    assert p == pytest.approx([low, high, high, low])
    assert above == pytest.approx([2 * high, 0.0, high, 2 * high + low])


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.9, top_k=20, top_p=0.8)], ids=["greedy", "sampled"])
@pytest.mark.parametrize("at_once", [1, 7, 20, 64])
def test_scoring_some_rows_at_a_time_makes_no_seam(
    monkeypatch: pytest.MonkeyPatch, sampling: Sampling, at_once: int
) -> None:
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(0)) * 3
    tokens = [*range(20)]
    whole = scoring.scores(logits, tokens, sampling)
    monkeypatch.setattr(scoring, "AT_ONCE", at_once)
    assert scoring.scores(logits, tokens, sampling) == whole
    assert [(score.position, score.token_id) for score in whole] == [*enumerate(tokens)]


def test_greedy_scores_have_no_moments_and_the_plain_softmax() -> None:
    (score,) = scored([[1.0, 3.0, 2.0]], [2], Sampling(0.0, top_k=1, top_p=0.1))
    assert (score.entropy, score.variance, score.mass_above) == (None, None, None)
    assert (score.best_id, score.logit, score.best_logit) == (1, 2.0, 3.0)
    assert score.logprob == pytest.approx(-math.log(1 + math.e + 1 / math.e))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_scored_in_float32(dtype: torch.dtype) -> None:
    logits = torch.randn(3, 500, generator=torch.Generator().manual_seed(1)).to(dtype)
    half = scoring.scores(logits, [1, 2, 3], Sampling(1.0))
    assert half == scoring.scores(logits.float(), [1, 2, 3], Sampling(1.0))
