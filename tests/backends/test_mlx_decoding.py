"""The MLX adapter's figures on the demo pair and its siblings, on the real mlx-vlm in its own environment."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance import LONG, SHORT, assert_sound, one, prompt_of
from hosted import hosted, needs
from test_mlx_conformance import ENGINE
from the_demo_pair import DEMO, PAIR
from tiny_pairs import SHAPES, make

from backends.base import GREEDY, Session
from backends.transformers import Adapter as Reference
from results.errors import UsageError
from results.records import Draft, EngineConfig, Generation, Pair, Prompt, Request, Sampling

pytestmark = [pytest.mark.model, needs("mlx")]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with hosted("mlx", PAIR, ENGINE) as opened:
        yield opened


def refused(pair: Pair, engine: EngineConfig) -> str:
    with pytest.raises(UsageError) as caught, hosted("mlx", pair, engine):
        pytest.fail("it opened")
    message = str(caught.value)
    assert "\n" not in message
    return message


def totals(seen: Generation) -> dict[str, int]:
    found: Any = seen.statement["speculative_stats"]
    return dict(found)


def test_it_gives_the_reference_tokens_and_the_known_acceptance(
    session: Session, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    rounds = accepted = drafted = 0
    for prompt, reference in zip(prompts, references, strict=True):
        plain = one(session, prompt, Request(96))
        speculative = one(session, prompt, Request(96, Draft("mtp", 4)))
        assert plain.token_ids == tuple(reference["greedy_ids"])
        assert speculative.token_ids == plain.token_ids
        counted = totals(speculative)
        rounds, accepted, drafted = (
            rounds + counted["rounds"],
            accepted + counted["accepted"],
            drafted + counted["drafted"],
        )
    assert (rounds, accepted, drafted) == (319, 832, 1257)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_draft_length_is_obeyed_and_the_tokens_stay(session: Session, prompts: list[Prompt], k: int) -> None:
    for prompt in prompts[:2]:
        request = Request(64, Draft("mtp", k), capture="rounds")
        seen = one(session, prompt, request)
        assert_sound(seen, request)
        assert seen.token_ids == one(session, prompt, Request(64)).token_ids
        assert seen.rounds is not None
        assert all(each.drafted == k for each in seen.rounds[: -k - 1])
        assert len(seen.rounds) == len(seen.arrivals) - 1


def test_an_instrumented_pass_tells_where_every_step_s_time_went(session: Session, prompts: list[Prompt]) -> None:
    plain = one(session, prompts[0], Request(16, capture="rounds"))
    assert plain.steps is not None
    assert len(plain.steps) == 15
    assert all(0 < step.pass_ns <= step.total_ns for step in plain.steps)
    drafted = one(session, prompts[0], Request(16, Draft("mtp", 2), capture="rounds"))
    assert drafted.rounds
    for each in drafted.rounds:
        assert each.draft_ns and each.verify_ns and each.total_ns
        assert each.draft_ns + each.verify_ns <= each.total_ns


def test_the_plain_arm_s_own_logits_are_those_of_one_prefill(session: Session) -> None:
    prompt = prompt_of(session, LONG)
    plain = one(session, prompt, Request(32, capture="rounds"))
    assert plain.token_ids is not None
    assert plain.scores is not None
    own, prefill = plain.scores, session.score(prompt, plain.token_ids)
    assert [score.token_id for score in own] == [*plain.token_ids]
    assert all(score.best_id == score.token_id for score in own)
    for mine, other in zip(own, prefill, strict=True):
        assert mine.logit == pytest.approx(other.logit, abs=1e-4)
        assert mine.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_scores_are_those_of_transformers(session: Session, demo: Session, prompts: list[Prompt]) -> None:
    tokens = one(session, prompts[1], Request(24, ignore_eos=True)).token_ids
    assert tokens is not None
    for sampling in (GREEDY, Sampling(0.7), Sampling(1.0, top_k=20), Sampling(1.0, top_p=0.9)):
        for mine, theirs in zip(
            session.score(prompts[1], tokens, sampling), demo.score(prompts[1], tokens, sampling), strict=True
        ):
            assert (mine.position, mine.token_id, mine.best_id) == (theirs.position, theirs.token_id, theirs.best_id)
            for field in ("logit", "best_logit", "logprob", "best_logprob", "entropy", "variance", "mass_above"):
                assert getattr(mine, field) == pytest.approx(getattr(theirs, field), abs=1e-3), field


@pytest.mark.parametrize("sampling", [Sampling(1.0), Sampling(1.3, top_k=20, top_p=0.8)], ids=["plain", "truncated"])
def test_sampled_drafts_change_no_token_of_a_seed(session: Session, prompts: list[Prompt], sampling: Sampling) -> None:
    outputs = set()
    for seed in range(4):
        seeded = replace(sampling, seed=seed)
        plain = one(session, prompts[0], Request(16, sampling=seeded, ignore_eos=True))
        request = Request(16, Draft("mtp", 3), sampling=seeded, ignore_eos=True)
        speculative = one(session, prompts[0], request)
        assert speculative.token_ids == plain.token_ids
        assert plain.statement["seed"] == seed
        assert plain.token_ids is not None
        outputs.add(plain.token_ids)
        scores = session.score(prompts[0], plain.token_ids, seeded)
        assert all(score.logprob is not None and score.logprob > float("-inf") for score in scores)
    assert len(outputs) == 4


@pytest.mark.parametrize(
    ("sampling", "phrase"), [(Sampling(0.001), "temperatures below"), (Sampling(1.0, top_k=2048), "top-k below")]
)
def test_sampling_that_mlx_vlm_would_change_is_refused(session: Session, sampling: Sampling, phrase: str) -> None:
    prompt = prompt_of(session, SHORT)
    with pytest.raises(ValueError, match=phrase):
        one(session, prompt, Request(4, sampling=sampling))
    with pytest.raises(ValueError, match=phrase):
        session.score(prompt, (5,), sampling)


@pytest.mark.parametrize("draft", [None, Draft("mtp", 4)], ids=["plain", "mtp"])
def test_an_end_token_ends_the_text_wherever_it_falls_in_a_round(
    tmp_path: Path, prompts: list[Prompt], references: list[dict[str, Any]], draft: Draft | None
) -> None:
    """Tokens of the reference text are declared end tokens: one the prefill gives, and some within rounds."""
    wanted = references[0]["greedy_ids"]
    for position in (0, 9, 13):
        folder = tmp_path / str(position)
        shutil.copytree(DEMO / "target", folder)
        end = wanted[position]
        settings = json.loads((folder / "generation_config.json").read_text()) | {"eos_token_id": [end]}
        (folder / "generation_config.json").write_text(json.dumps(settings))
        expected = tuple(wanted[: wanted.index(end) + 1])
        with hosted("mlx", Pair("ends", str(folder), PAIR.assistant), ENGINE) as session:
            assert end in session.facts.eos_token_ids
            request = Request(96, draft, capture="rounds")
            seen = one(session, prompts[0], request)
            assert (seen.token_ids, seen.finish_reason) == (expected, "stop")
            assert_sound(seen, request)
            forced = one(session, prompts[0], Request(20, draft, ignore_eos=True))
            assert forced.token_ids == tuple(wanted[:20])


@pytest.mark.parametrize("kind", SHAPES)
def test_every_family_decodes_as_in_transformers(tmp_path: Path, kind: str) -> None:
    """Multimodal checkpoints without a vision part, as Transformers 5.22 saves them: edge, MoE, unified."""
    pair = make(tmp_path, kind)
    request = Request(12, ignore_eos=True)
    with Reference().open(pair, ENGINE) as reference:
        prompts = [prompt_of(reference, text) for text in (SHORT, LONG)]
        expected = [one(reference, prompt, request).token_ids for prompt in prompts]
    with hosted("mlx", pair, ENGINE) as session:
        assert str(session.facts.statement["target_class"]).startswith(
            "gemma4_unified" if kind == "unified" else "gemma4."
        )
        for prompt, tokens in zip(prompts, expected, strict=True):
            assert one(session, prompt, request).token_ids == tokens
            asked = Request(12, Draft("mtp", 3), ignore_eos=True, capture="rounds")
            drafted = one(session, prompt, asked)
            assert_sound(drafted, asked)
            assert drafted.token_ids == tokens
            assert drafted.rounds
            assert drafted.rounds[0].drafted == 3


def test_experts_in_bfloat16_are_refused_on_a_cpu(tmp_path: Path) -> None:
    assert "float32 only" in refused(make(tmp_path, "MoE"), replace(ENGINE, dtype="bfloat16", device="cpu"))


@pytest.mark.parametrize(
    ("engine", "phrase"),
    [
        (replace(ENGINE, device="tpu"), "device 'tpu' is none that MLX takes; choose auto, cpu, mps or cuda"),
        (replace(ENGINE, dtype="int3"), "dtype 'int3' is none that MLX takes; choose auto, float32, bfloat16, float16"),
        (replace(ENGINE, options={"magic": 1}), "mlx has no option 'magic'"),
    ],
)
def test_engine_settings_that_make_no_sense_are_refused(engine: EngineConfig, phrase: str) -> None:
    assert phrase in refused(PAIR, engine)


def damaged(folder: Path, change: Any) -> Pair:
    """The demo pair with the header of the target's weights changed."""
    shutil.copytree(DEMO / "target", folder)
    weights = folder / "model.safetensors"
    raw = weights.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    text = json.dumps(change(json.loads(raw[8 : 8 + size]))).encode()
    text += b" " * (-len(text) % 8)
    weights.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + size :])
    return Pair("damaged", str(folder), PAIR.assistant)


def test_a_tensor_that_is_missing_or_left_over_is_an_error_and_no_random_layer(tmp_path: Path) -> None:
    def renamed(header: dict[str, Any]) -> dict[str, Any]:
        header["model.layers.0.mlp.up_projection.weight"] = header.pop("model.layers.0.mlp.up_proj.weight")
        return header

    message = refused(damaged(tmp_path / "target", renamed), ENGINE)
    assert message.startswith("cannot load ")
    assert "up_proj" in message


def test_a_setting_that_mlx_vlm_would_guess_is_refused(tmp_path: Path) -> None:
    """mlx-vlm fills what config.json does not name with the default of one published model."""
    shutil.copytree(DEMO / "target", tmp_path / "target")
    config = json.loads((tmp_path / "target" / "config.json").read_text())
    del config["use_double_wide_mlp"]
    (tmp_path / "target" / "config.json").write_text(json.dumps(config))
    message = refused(Pair("x", str(tmp_path / "target"), None), replace(ENGINE, methods=()))
    assert "use_double_wide_mlp" in message
