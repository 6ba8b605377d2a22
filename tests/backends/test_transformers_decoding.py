"""The Transformers adapter on the demo pair: the recorded figures, the rounds, the ends, the other methods."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conformance import assert_sound, one
from the_demo_pair import DEMO, ENGINE, PAIR

from backends.hf import watching
from backends.hf.decoding import DecodingSession
from backends.transformers import Adapter
from results.errors import UsageError
from results.records import Draft, Generation, Pair, Prompt, Request, Sampling

pytestmark = pytest.mark.model


@pytest.fixture
def session(demo: DecodingSession) -> DecodingSession:
    return demo


def ending_with(session: DecodingSession, *tokens: int) -> DecodingSession:
    """The same models, but other tokens end a text."""
    return DecodingSession(dataclasses.replace(session._models, eos=tokens))


def rounds_of(seen: Generation) -> list[tuple[int, int, int]]:
    assert seen.rounds is not None
    return [(r.drafted, r.accepted, r.emitted) for r in seen.rounds]


def mtp(k: int) -> Draft:
    return Draft("mtp", k)


# ----------------------------------------------------------------------------------- the recorded figures


@pytest.mark.parametrize(
    ("k", "first", "accepted", "drafted"),
    [(4, 12, 818, 1258), (1, 4, 166, 212), (8, 4, 281, 759)],  # all 12 at k=1: 517 of 616; at k=8: 868 of 2,099
)
def test_the_demo_pair_s_recorded_figures_are_reproduced(
    session: DecodingSession,
    prompts: list[Prompt],
    references: list[dict[str, Any]],
    k: int,
    first: int,
    accepted: int,
    drafted: int,
) -> None:
    """96 tokens each, float32. Tokens and the counts at k=4 were recorded outside this project's code."""
    request = Request(96, mtp(k), capture="rounds")
    totals = [0, 0]
    for prompt, reference in zip(prompts[:first], references, strict=False):
        seen = one(session, prompt, request)
        assert_sound(seen, request)
        assert list(seen.token_ids or ()) == reference["greedy_ids"]
        totals[0] += sum(accepted for _, accepted, _ in rounds_of(seen))
        totals[1] += sum(drafted for drafted, _, _ in rounds_of(seen))
    assert totals == [accepted, drafted]


def test_plain_decoding_gives_the_recorded_greedy_tokens(
    session: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    for prompt, reference in zip(prompts[:2], references, strict=False):
        assert list(one(session, prompt, Request(96)).token_ids or ()) == reference["greedy_ids"]


# ------------------------------------------------------------------------------------------- two passes


@pytest.mark.parametrize("draft", [None, mtp(1), mtp(4), Draft("prompt-lookup", 4)], ids=str)
def test_headline_and_instrumented_pass_see_the_same_chunks(
    session: DecodingSession, prompts: list[Prompt], draft: Draft | None
) -> None:
    headline = one(session, prompts[1], Request(40, draft))
    watched = one(session, prompts[1], Request(40, draft, capture="rounds"))
    assert headline.token_ids == watched.token_ids
    assert [a.tokens for a in headline.arrivals] == [a.tokens for a in watched.arrivals]
    assert headline.rounds is None
    assert headline.steps is None
    if draft is None:
        assert watched.steps is not None
        assert len(watched.steps) == 39
        assert all(0 < step.pass_ns < step.total_ns for step in watched.steps)
    else:
        sizes = [b.tokens - a.tokens for a, b in zip(headline.arrivals, headline.arrivals[1:], strict=False)]
        assert [emitted for _, _, emitted in rounds_of(watched)] == sizes


def test_every_round_times_drafting_and_verification_within_the_whole(
    session: DecodingSession, prompts: list[Prompt]
) -> None:
    rounds = one(session, prompts[0], Request(40, mtp(4), capture="rounds")).rounds
    assert rounds
    for r in rounds[:-1]:
        assert r.draft_ns is not None
        assert r.verify_ns is not None
        assert r.total_ns is not None
        assert min(r.draft_ns, r.verify_ns) > 0
        assert r.draft_ns + r.verify_ns < r.total_ns


def test_the_runtime_s_own_word_on_what_drafted_is_kept(session: DecodingSession, prompts: list[Prompt]) -> None:
    assert one(session, prompts[0], Request(4, mtp(3))).statement == {
        "candidate_generator": "SinglePositionMultiTokenCandidateGenerator",
        "draft_length": 3,
    }
    assert one(session, prompts[0], Request(4)).statement == {}


def test_a_drafter_that_never_ran_is_an_error_and_not_a_slow_arm(
    session: DecodingSession, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_arm", lambda draft: {})
    with pytest.raises(RuntimeError, match="but Transformers made no generator"):
        one(session, prompts[0], Request(4, mtp(3)))


def test_a_plain_arm_that_drafts_is_an_error(
    session: DecodingSession, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    speculative = session._arm(mtp(3))
    monkeypatch.setattr(session, "_arm", lambda draft: speculative)
    with pytest.raises(RuntimeError, match="asked for plain decoding, but Transformers made"):
        one(session, prompts[0], Request(4))


def test_a_draft_length_that_is_ignored_is_an_error(
    session: DecodingSession, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = session._arm(mtp(6))
    monkeypatch.setattr(session, "_arm", lambda draft: longer)
    with pytest.raises(RuntimeError, match="asked for draft length 3, but Transformers took 6"):
        one(session, prompts[0], Request(4, mtp(3)))


def test_nothing_stays_attached_to_the_models_after_a_call(session: DecodingSession, prompts: list[Prompt]) -> None:
    target = session._models.target
    before = {**target.__dict__}
    one(session, prompts[0], Request(4, mtp(2), capture="rounds"))
    assert not target._forward_pre_hooks
    assert not target._forward_hooks
    assert target.__dict__.keys() == before.keys()


# --------------------------------------------------------------------------------------------- the ends


@pytest.mark.parametrize("k", [1, 4])
def test_every_row_ends_at_the_token_that_ends_a_text_wherever_it_falls_in_a_round(
    session: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]], k: int
) -> None:
    greedy = references[1]["greedy_ids"][:16]
    cut = set()
    for end in dict.fromkeys(greedy):
        ours = ending_with(session, end)
        expected = greedy[: greedy.index(end) + 1]
        request = Request(20, mtp(k), capture="rounds")
        seen = one(ours, prompts[1], request)
        assert list(seen.token_ids or ()) == expected
        assert_sound(seen, request)
        assert seen.finish_reason == "stop"
        assert list(one(ours, prompts[1], Request(20)).token_ids or ()) == expected
        for _, accepted, emitted in rounds_of(seen)[-1:]:
            cut.add(accepted + 1 - emitted)
    assert cut == {0, 1}  # ended by the target's own token, and by an accepted draft


def test_the_end_is_run_past_where_asked(
    session: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    greedy = references[1]["greedy_ids"][:24]
    ours = ending_with(session, greedy[5])
    for draft in (None, mtp(4)):
        seen = one(ours, prompts[1], Request(24, draft, ignore_eos=True))
        assert (list(seen.token_ids or ()), seen.finish_reason) == (greedy, "length")


def test_rows_of_a_batch_end_each_at_its_own_place(
    session: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    shorter = dataclasses.replace(prompts[0], token_ids=(prompts[0].token_ids or ())[10:])
    batch = [prompts[1], shorter, prompts[2]]
    ours = ending_with(session, references[1]["greedy_ids"][5])
    alone = [one(ours, prompt, Request(24, capture="rounds")) for prompt in batch]
    assert len({seen.n_tokens for seen in alone}) > 1
    for row, single in zip(ours.generate(batch, Request(24, capture="rounds")), alone, strict=True):
        assert (row.token_ids, row.finish_reason) == (single.token_ids, single.finish_reason)
        assert [a.tokens for a in row.arrivals] == [*range(1, row.n_tokens + 1)]
        assert len(row.steps or ()) == row.n_tokens - 1


@pytest.mark.parametrize("k", [1, 2, 4, 7])
@pytest.mark.parametrize("extra", [-1, 0, 1, 2])
def test_drafts_shrink_where_fewer_fit(
    session: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]], k: int, extra: int
) -> None:
    length = max(1, k + extra)
    request = Request(length, mtp(k), ignore_eos=True, capture="rounds")
    seen = one(session, prompts[0], request)
    assert list(seen.token_ids or ()) == references[0]["greedy_ids"][:length]
    assert_sound(seen, request)
    so_far = seen.n_prefill
    for drafted, _, emitted in rounds_of(seen):
        assert drafted == min(k, length - so_far - 1)
        so_far += emitted


def test_what_does_not_fit_into_the_context_is_refused_before_anything_runs(session: DecodingSession) -> None:
    prompt = Prompt("p", "w", "c", (300,) * 2000, None)
    with pytest.raises(UsageError, match="prompt and output are 2,100 tokens, the target takes 2,048"):
        one(session, prompt, Request(100))
    with pytest.raises(UsageError, match="token id 5000 lies outside the target's vocabulary of 2,048"):
        one(session, Prompt("p", "w", "c", (5000,), None), Request(1))


def test_a_method_the_session_was_not_opened_for_is_refused(session: DecodingSession, prompts: list[Prompt]) -> None:
    with pytest.raises(ValueError, match="this session was opened for"):
        one(session, prompts[0], Request(4, Draft("draft-model", 2)))


# ------------------------------------------------------------------------------------------ other methods


def test_prompt_lookup_drafts_from_the_prompt_and_says_what_it_drafted_during_the_prefill(
    session: DecodingSession, references: list[dict[str, Any]]
) -> None:
    # A text that ends as it began, so that the first lookup finds something before any token is decoded.
    ids = references[0]["prompt_ids"]
    prompt = Prompt("p", "w", "c", (*ids, *references[0]["greedy_ids"][:20], *ids), None)
    request = Request(30, Draft("prompt-lookup", 4), capture="rounds")
    seen = one(session, prompt, request)
    assert_sound(seen, request)
    assert seen.token_ids == one(session, prompt, Request(30)).token_ids
    assert seen.statement["prefill_drafted"] == 4
    assert seen.n_prefill == 1 + int(str(seen.statement["prefill_accepted"])) > 1
    assert sum(accepted for _, accepted, _ in rounds_of(seen)) > 0


@pytest.fixture(scope="module")
def own_drafter() -> Iterator[DecodingSession]:
    engine = dataclasses.replace(ENGINE, methods=("draft-model",))
    with Adapter().open(Pair("self", PAIR.target, PAIR.target), engine) as session:
        assert isinstance(session, DecodingSession)
        yield session


@pytest.mark.parametrize("k", [1, 3])
def test_a_target_that_drafts_for_itself_is_always_right(
    own_drafter: DecodingSession, prompts: list[Prompt], references: list[dict[str, Any]], k: int
) -> None:
    request = Request(20, Draft("draft-model", k), ignore_eos=True, capture="rounds")
    seen = one(own_drafter, prompts[0], request)
    assert_sound(seen, request)
    assert list(seen.token_ids or ()) == references[0]["greedy_ids"][:20]
    assert (seen.statement["prefill_drafted"], seen.n_prefill) == (k, k + 1)
    assert all((drafted, accepted) == (k, k) for drafted, accepted, _ in rounds_of(seen)[:-1])
    assert seen.statement["candidate_generator"] == "AssistedCandidateGenerator"


# ------------------------------------------------------------------------------------ sampling and scores


def test_a_seed_makes_a_sample_repeatable_and_no_checkpoint_setting_leaks_into_it(
    session: DecodingSession, prompts: list[Prompt]
) -> None:
    config = session._config(Request(4, sampling=Sampling(temperature=0.7, seed=3)))
    assert (config.temperature, config.top_k, config.top_p) == (0.7, 0, 1.0)  # 0: no top-k, where 50 is the default
    assert session._models.target.generation_config.to_diff_dict().keys() <= {"transformers_version"}
    request = Request(12, sampling=Sampling(temperature=1.0, seed=3))
    first, again = (one(session, prompts[0], request).token_ids for _ in range(2))
    other = one(session, prompts[0], Request(12, sampling=Sampling(temperature=1.0, seed=4))).token_ids
    assert first == again != other


def test_a_sampled_speculative_pass_keeps_the_identities(session: DecodingSession, prompts: list[Prompt]) -> None:
    for seed in range(4):
        request = Request(24, mtp(4), Sampling(0.8, top_k=20, top_p=0.9, seed=seed), capture="rounds")
        assert_sound(one(session, prompts[seed], request), request)


def test_scores_are_the_logits_of_decoding_itself(session: DecodingSession, prompts: list[Prompt]) -> None:
    tokens = one(session, prompts[0], Request(6)).token_ids
    assert tokens is not None
    ids = torch.tensor([prompts[0].token_ids])
    raw = session._models.target.generate(
        ids, max_new_tokens=6, do_sample=False, return_dict_in_generate=True, output_logits=True, pad_token_id=0
    ).logits
    wrong = (tokens[0], 300, *tokens[2:])
    scores = session.score(prompts[0], tokens)
    for score, row in zip(scores, raw, strict=True):
        assert score.best_logit == pytest.approx(float(row.max()), abs=1e-4)
        assert score.best_logprob == pytest.approx(float(row.log_softmax(-1).max()), abs=1e-4)
    forced = session.score(prompts[0], wrong)
    assert forced[1].token_id == 300
    assert forced[1].best_id == tokens[1]
    assert forced[1].logit == pytest.approx(float(raw[1][0, 300]), abs=1e-4)
    assert forced[1].logprob == pytest.approx(float(raw[1].log_softmax(-1)[0, 300]), abs=1e-4)
    assert session.score(prompts[0], ()) == []


def test_long_continuations_are_scored_piece_by_piece_without_a_seam(
    session: DecodingSession, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = (prompts[1].token_ids or ())[:20]
    whole = session.score(prompts[0], tokens)
    monkeypatch.setattr("backends.hf.scoring.AT_ONCE", 7)
    assert session.score(prompts[0], tokens) == whole
    assert [s.position for s in whole] == [*range(20)]
    assert all(s.best_logprob is not None and -math.inf < s.best_logprob <= 0 for s in whole)


# --------------------------------------------------------------------------------------------- the facts


def test_the_session_knows_what_it_is(session: DecodingSession) -> None:
    facts = session.facts
    assert {"python", "torch", "transformers", "tokenizers"} <= facts.versions.keys()
    assert (facts.device, facts.dtype, facts.threads) == ("cpu", "float32", 1)
    assert (facts.eos_token_ids, facts.context_limit, facts.vocab_size) == ((1, 6), 2048, 2048)
    assert facts.target_bytes == pytest.approx(4.04e6 * 4, rel=0.01)  # 4.04 M parameters, tied ones once
    assert facts.drafter_bytes == pytest.approx(0.67e6 * 4, rel=0.01)
    assert facts.chat_template
    assert {"target/config.json", "target/model.safetensors", "drafter/model.safetensors"} <= facts.files.keys()
    assert facts.statement["attention"] == "sdpa"
    assert facts.statement["assistant_class"] == "Gemma4AssistantForCausalLM"


def test_no_assistant_is_loaded_where_no_method_needs_one() -> None:
    engine = dataclasses.replace(ENGINE, methods=(), dtype="bfloat16", options={"attn_implementation": "eager"})
    threads = torch.get_num_threads()
    with Adapter().open(Pair("plain", str(DEMO / "target"), None), engine) as session:
        assert session.facts.drafter_bytes is None
        assert (session.facts.dtype, session.facts.statement["attention"]) == ("bfloat16", "eager")
    assert torch.get_num_threads() == threads


def test_a_round_counts_only_drafts_that_reached_the_output() -> None:
    assert watching.common_prefix([1, 2, 3], [1, 2, 9]) == 2
    assert watching.common_prefix([1, 2, 3], [1, 2]) == 2
    assert watching.common_prefix([1, 2], [1, 2, 3]) == 2
    assert watching.common_prefix([], [1]) == 0
