"""The adapter on every published shape of Gemma 4, tiny and random: multimodal, edge, MoE, unified."""

from pathlib import Path

import pytest
from conformance import LONG, SHORT, assert_sound, one, prompt_of
from the_demo_pair import ENGINE
from tiny_pairs import SHAPES, make

from backends.transformers import Adapter
from results.records import Draft, Request

pytestmark = pytest.mark.model


@pytest.mark.parametrize("kind", SHAPES)
def test_greedy_tokens_batches_and_scores_agree_in_every_family(tmp_path: Path, kind: str) -> None:
    with Adapter().open(make(tmp_path, kind), ENGINE) as session:
        assert str(session.facts.statement["target_class"]).endswith("ForConditionalGeneration")
        assert (session.facts.vocab_size, session.facts.context_limit) == (2048, 2048)
        prompts = [prompt_of(session, SHORT), prompt_of(session, LONG)]
        request = Request(12, ignore_eos=True)
        alone = [one(session, prompt, request) for prompt in prompts]
        assert [row.token_ids for row in session.generate(prompts, request)] == [row.token_ids for row in alone]
        for prompt, plain in zip(prompts, alone, strict=True):
            request = Request(12, Draft("mtp", 3), ignore_eos=True, capture="rounds")
            drafted = one(session, prompt, request)
            assert_sound(drafted, request)
            assert drafted.token_ids == plain.token_ids
            assert drafted.rounds
            assert drafted.rounds[0].drafted == 3
            assert all(score.best_id == score.token_id for score in session.score(prompt, plain.token_ids or ()))
