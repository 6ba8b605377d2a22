"""MTP without one of its parts: the tokens stay the target's own, and what a part was worth shows where it should."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import make

from backends.base import Session
from backends.reference import Adapter, own_parts
from results.ablations import WITHOUT
from results.records import Draft, Generation, Pair, Prompt, Request

pytestmark = pytest.mark.model
K, TOKENS = 3, 32
PROMPTS = [Prompt(f"p{n}", "made", "made", tuple(range(200 + n, 200 + 5 * n + 9)), None) for n in range(4)]


@pytest.fixture(scope="module", params=["demo", "edge"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    pair: Pair = PAIR if request.param == "demo" else make(tmp_path_factory.mktemp("edge"), "edge")
    with Adapter().open(pair, replace(ENGINE, methods=("mtp",))) as opened:
        yield opened


def decoded(session: Session, method: str | None) -> list[Generation]:
    draft = Draft(method, K) if method else None
    return session.generate(PROMPTS, Request(TOKENS, draft, ignore_eos=True, capture="rounds"))


def rounds(seen: Sequence[Generation]) -> list[list[tuple[int, int]]]:
    return [[(each.drafted, each.accepted) for each in row.rounds or ()] for row in seen]


def test_every_way_to_lose_a_part_is_one_of_the_engine_s_methods() -> None:
    assert {*WITHOUT.values()} < {*Adapter.capabilities.methods}


@pytest.mark.parametrize("method", WITHOUT.values())
def test_tokens_are_the_target_s_own_without_any_part(session: Session, method: str) -> None:
    plain = decoded(session, None)
    assert [row.token_ids for row in decoded(session, method)] == [row.token_ids for row in plain]


@pytest.mark.parametrize("part", ["shared-kv", "embeddings"])
def test_what_is_not_shared_costs_memory_and_changes_no_draft(session: Session, part: str) -> None:
    whole, without = decoded(session, "mtp"), decoded(session, WITHOUT[part])
    assert rounds(without) == rounds(whole)
    assert {"own_bytes" in row.statement for row in whole} == {False}
    held = {row.statement["own_bytes"] for row in without}
    assert len(held) == 1
    assert int(str(held.pop())) > 0


def test_a_table_of_one_s_own_is_as_large_as_the_target_s_and_another(session: Session) -> None:
    (row, *_) = decoded(session, WITHOUT["embeddings"])
    running = session.running([[1, 2, 3]], Request(4, Draft(WITHOUT["embeddings"], K)))
    table = running.rows.target.text.embed_tokens.weight
    assert row.statement["own_bytes"] == table.nbytes == running.own_bytes


def test_drafts_without_activations_are_worse() -> None:
    """On the pair that was trained to use them."""
    with Adapter().open(PAIR, replace(ENGINE, methods=("mtp",))) as session:
        kept = [
            sum(accepted for row in rounds(decoded(session, method)) for _, accepted in row)
            / sum(drafted for row in rounds(decoded(session, method)) for drafted, _ in row)
            for method in ("mtp", WITHOUT["activations"])
        ]
    assert kept[1] < 0.9 * kept[0]


def test_all_rows_and_rules_have_the_same_copy_of_the_table(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded(session, WITHOUT["embeddings"])
    monkeypatch.setattr(own_parts, "with_table", lambda *_: pytest.fail("copied again"))
    for rows, k in ((1, 2), (2, 3)):
        session.running([[1, 2, 3]] * rows, Request(4, Draft(WITHOUT["embeddings"], k)))
