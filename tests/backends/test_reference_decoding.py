"""The reference engine against Transformers: tokens in every family and batch, and every round at batch 1."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import SHAPES, make

from backends import transformers
from backends.base import Session
from backends.reference import Adapter, decoding
from results.records import Draft, EngineConfig, Generation, Json, Pair, Prompt, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
TOKENS = 48


def options(**given: Json) -> EngineConfig:
    return replace(MTP, options=given)


def drafts(k: int) -> Draft | None:
    return Draft("mtp", k) if k else None


def full_rounds(seen: Generation, k: int) -> list[tuple[int, int, int]]:
    """Rounds that no length limit shortened or cut: Transformers drafts fewer tokens near it."""
    assert seen.rounds is not None
    full = [(each.drafted, each.accepted, each.emitted) for each in seen.rounds[:-1]]
    return full[: next((at for at, each in enumerate(full) if each[0] < k), len(full))]


@pytest.fixture(scope="module", params=["demo", *SHAPES])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    kind = str(request.param)
    return PAIR if kind == "demo" else make(tmp_path_factory.mktemp(kind), kind)


@pytest.fixture(scope="module")
def theirs(pair: Pair) -> Iterator[Session]:
    with transformers.Adapter().open(pair, MTP) as session:
        yield session


@pytest.fixture(scope="module")
def ours(pair: Pair) -> Iterator[Session]:
    with Adapter().open(pair, MTP) as session:
        yield session


@pytest.fixture(scope="module")
def unequal(references: list[dict[str, Any]]) -> list[Prompt]:
    """Seven prompts, from shorter than a tiny pair's window of 16 to longer than the demo pair's of 128."""
    lengths = (9, 40, 150, 64, 17, 128, 90)
    ids = [token for reference in references for token in reference["prompt_ids"]]
    return [Prompt(f"u/{n}", "demo", "coding", tuple(ids[10 * i : 10 * i + n]), None) for i, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def plain(theirs: Session, unequal: list[Prompt]) -> list[tuple[int, ...] | None]:
    """What Transformers decodes, one prompt at a time, without drafts."""
    request = Request(TOKENS, ignore_eos=True)
    return [theirs.generate([prompt], request)[0].token_ids for prompt in unequal]


@pytest.mark.parametrize("k", [0, 1, 4])
def test_tokens_are_those_of_transformers_alone_in_a_batch_and_in_a_closed_loop(
    ours: Session, unequal: list[Prompt], plain: list[tuple[int, ...] | None], k: int
) -> None:
    request = Request(TOKENS, drafts(k), ignore_eos=True)
    assert [ours.generate([prompt], request)[0].token_ids for prompt in unequal[:3]] == plain[:3]
    assert [row.token_ids for row in ours.generate(unequal, request)] == plain
    looped = ours.generate(unequal, replace(request, in_flight=3))
    assert [row.token_ids for row in looped] == plain


@pytest.mark.parametrize("k", [1, 4])
def test_a_row_of_a_batch_advances_as_it_does_alone(ours: Session, unequal: list[Prompt], k: int) -> None:
    request = Request(TOKENS, drafts(k), ignore_eos=True, capture="rounds")
    batch = ours.generate(unequal, request)
    for prompt, row in zip(unequal, batch, strict=True):
        (alone,) = ours.generate([prompt], request)
        assert shape(row) == shape(alone)


def shape(seen: Generation) -> Sequence[tuple[int, int, int]]:
    assert seen.rounds is not None
    return [(each.drafted, each.accepted, each.emitted) for each in seen.rounds]


@pytest.mark.parametrize("k", [1, 4, 8])
def test_rounds_are_those_of_transformers_where_its_drafter_s_view_is_asked_for(
    theirs: Session, pair: Pair, unequal: list[Prompt], k: int
) -> None:
    request = Request(TOKENS, drafts(k), ignore_eos=True, capture="rounds")
    with Adapter().open(pair, options(rejected_kv="visible")) as ours:
        for prompt in unequal[::2]:
            expected = full_rounds(theirs.generate([prompt], request)[0], k)
            got = full_rounds(ours.generate([prompt], request)[0], k)
            assert got[: len(expected)] == expected
            assert len(expected) >= 3


def test_the_view_of_rejected_drafts_changes_the_demo_pair_s_rounds(prompts: list[Prompt]) -> None:
    request = Request(96, drafts(4), ignore_eos=True, capture="rounds")
    rounds = []
    for view in ("hidden", "visible"):
        with Adapter().open(PAIR, options(rejected_kv=view)) as session:
            rounds.append([shape(session.generate([prompt], request)[0]) for prompt in prompts[:4]])
    assert rounds[0] != rounds[1]


@pytest.mark.parametrize(("k", "accepted", "drafted"), [(1, 523, 623), (4, 831, 1280), (8, 899, 2000)])
def test_the_demo_pair_s_acceptance(
    prompts: list[Prompt], references: list[dict[str, Any]], k: int, accepted: int, drafted: int
) -> None:
    with Adapter().open(PAIR, MTP) as session:
        rows = session.generate(prompts, Request(96, drafts(k), ignore_eos=True, capture="rounds"))
    rounds = [each for row in rows for each in row.rounds or ()]
    assert [list(row.token_ids or ()) for row in rows] == [reference["greedy_ids"] for reference in references]
    assert (sum(each.accepted for each in rounds), sum(each.drafted for each in rounds)) == (accepted, drafted)


def test_prompts_that_are_too_many_for_one_prefill_are_taken_in_several(
    prompts: list[Prompt], references: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PREFILL_TOKENS", 2 * max(len(prompt.token_ids or ()) for prompt in prompts))
    with Adapter().open(PAIR, MTP) as session:
        rows = session.generate(prompts[:5], Request(24, drafts(4), ignore_eos=True))
    assert [list(row.token_ids or ()) for row in rows] == [ref["greedy_ids"][:24] for ref in references[:5]]


def test_a_longer_request_and_a_wider_draft_make_room_and_change_nothing(prompts: list[Prompt]) -> None:
    with Adapter().open(PAIR, MTP) as session:
        short = session.generate(prompts[:2], Request(8, drafts(4), ignore_eos=True))
        longer = session.generate(prompts[:2], Request(96, drafts(12), ignore_eos=True, capture="rounds"))
        again = session.generate(prompts[:2], Request(8, drafts(4), ignore_eos=True))
    assert [row.token_ids for row in again] == [row.token_ids for row in short]
    assert [(row.token_ids or ())[:8] for row in longer] == [row.token_ids for row in short]
    assert {each.drafted for row in longer for each in row.rounds or ()} == {12}


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's compiler asks for its own old parts
def test_a_compiled_engine_gives_the_same_tokens_and_says_that_it_is_compiled(tmp_path: Path) -> None:
    pair = make(tmp_path, "edge")
    ids = tuple(range(100, 130))
    prompt = Prompt("p", "demo", "coding", ids, None)
    request = Request(12, drafts(2), ignore_eos=True, capture="rounds")
    rows = []
    for path in ("eager", "compiled"):
        with Adapter().open(pair, options(path=path)) as session:
            (row,) = session.generate([prompt], request)
            rows.append(row)
            assert row.statement["path"] == path
    assert rows[0].token_ids == rows[1].token_ids
    assert shape(rows[0]) == shape(rows[1])


def test_a_step_that_pytorch_does_not_compile_is_an_error_and_not_eager(
    prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)
    with (
        Adapter().open(PAIR, options(path="compiled")) as session,
        pytest.raises(RuntimeError, match="was to be compiled, and PyTorch ran it as it is written"),
    ):
        session.generate(prompts[:1], Request(4, drafts(2)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"path": "fast"}, "reference.path: expected eager or compiled or graphs or compiled\\+graphs, not 'fast'"),
        ({"acceptance": 1.5}, "reference.acceptance: expected a rate in 0..1"),
        ({"acceptance": []}, "reference.acceptance: expected a rate in 0..1"),
        ({"pth": "eager"}, "did you mean reference.path"),
    ],
)
def test_wrong_options_are_one_line(given: dict[str, Json], message: str) -> None:
    with pytest.raises(Exception, match=message), Adapter().open(PAIR, options(**given)):
        raise AssertionError


def test_forced_acceptance_is_kept_as_often_as_asked_for_and_said_to_be_synthetic(prompts: list[Prompt]) -> None:
    with Adapter().open(PAIR, options(acceptance=[0.8, 0.5])) as session:
        request = Request(200, drafts(3), ignore_eos=True, capture="rounds")
        rows = session.generate(prompts[:8], request)
    assert all(row.statement["synthetic"] for row in rows)
    rounds = [each for row in rows for each in (row.rounds or ())[:-1]]
    expected = 0.8 + 0.8 * 0.5 + 0.8 * 0.5 * 0.5
    assert sum(each.accepted for each in rounds) / len(rounds) == pytest.approx(expected, abs=0.15)
