"""What an instrumented pass sees besides times: the experts that a pass reads, and the margins of its choices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from the_demo_pair import DEMO, ENGINE, PAIR
from tiny_pairs import SHAPES, make
from transformers import AutoModelForCausalLM

from backends.base import Session
from backends.reference import Adapter, decoding
from results.records import Draft, Prompt, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
TOP_K, EXPERTS, LAYERS = SHAPES["MoE"]["top_k_experts"], SHAPES["MoE"]["num_experts"], 6
PROMPTS = [Prompt(f"p/{i}", "demo", "coding", tuple(range(5 + i, 25 + i)), None) for i in range(4)]
REQUEST = Request(12, ignore_eos=True, capture="rounds")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Adapter().open(make(tmp_path_factory.mktemp("MoE"), "MoE"), MTP) as session:
        yield session


@pytest.fixture(scope="module")
def dense() -> Iterator[Session]:
    with Adapter().open(PAIR, MTP) as session:
        yield session


def told(session: Session, prompts: Sequence[Prompt], request: Request) -> Any:
    return session.generate(prompts, request)[0].statement["experts"]


def test_a_plain_pass_of_one_row_reads_as_many_experts_a_layer_as_a_token_has(mixture: Session) -> None:
    assert told(mixture, PROMPTS[:1], REQUEST) == {
        "distinct_per_layer": [float(TOP_K)] * LAYERS,
        "tokens_per_pass": 1.0,
    }


def test_a_verification_reads_more_and_a_batch_more_again(mixture: Session) -> None:
    drafted = told(mixture, PROMPTS[:1], replace(REQUEST, draft=Draft("mtp", 3)))
    assert drafted["tokens_per_pass"] == 4.0
    assert sum(drafted["distinct_per_layer"]) > 1.2 * TOP_K * LAYERS
    assert all(TOP_K <= layer <= EXPERTS for layer in drafted["distinct_per_layer"])
    batch = told(mixture, PROMPTS, replace(REQUEST, draft=Draft("mtp", 3)))
    assert sum(batch["distinct_per_layer"]) > sum(drafted["distinct_per_layer"])


def test_places_without_a_prompt_do_not_count(mixture: Session) -> None:
    """One prompt in flight after the other three ended: the last rounds are of one row."""
    looped = told(mixture, PROMPTS[:3], replace(REQUEST, in_flight=2))
    assert looped["tokens_per_pass"] == pytest.approx((2 * 11 + 1 * 11) / 22)


def test_nothing_is_told_of_dense_targets_nor_in_headline_passes(mixture: Session, dense: Session) -> None:
    assert "experts" not in dense.generate(PROMPTS[:1], REQUEST)[0].statement
    headline = mixture.generate(PROMPTS[:1], replace(REQUEST, capture="timing"))[0].statement
    assert not {"experts", "margins"} & headline.keys()


@pytest.mark.parametrize("k", [0, 3])
def test_margins_are_of_the_emitted_tokens(dense: Session, k: int) -> None:
    request = replace(REQUEST, draft=Draft("mtp", k) if k else None)
    for prompt in PROMPTS[:2]:
        (seen,) = dense.generate([prompt], request)
        (plain,) = dense.generate([prompt], REQUEST)
        margins: Any = seen.statement["margins"]
        assert len(margins) == seen.n_tokens
        assert margins == pytest.approx(plain.statement["margins"], abs=1e-4)
        assert all(margin > 0 for margin in margins)


def test_a_margin_is_the_gap_to_the_runner_up_by_transformers_logits(dense: Session) -> None:
    (seen,) = dense.generate(PROMPTS[:1], REQUEST)
    margins: Any = seen.statement["margins"]
    ids = torch.tensor([[*(PROMPTS[0].token_ids or ()), *(seen.token_ids or ())]])
    target = AutoModelForCausalLM.from_pretrained(DEMO / "target", dtype=torch.float32)
    logits = target(ids).logits[0, -len(margins) - 1 : -1]
    best, second = logits.topk(2, dim=-1).values.T
    assert margins == pytest.approx((best - second).tolist(), abs=1e-3)


def test_margins_end_where_memory_does(dense: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.reference.session.Room", lambda: decoding.Room(2048 * 4 * 5))
    (seen,) = dense.generate(PROMPTS[:1], REQUEST)
    margins: Any = seen.statement["margins"]
    assert len(margins) == 5
    assert seen.scores is not None and len(seen.scores) == 5
