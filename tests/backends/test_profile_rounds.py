"""The acceptance profile against the engine that it speaks for: every round, at every draft length, and every draft."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import endings
import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import SHAPES, make

from backends.base import Session
from backends.reference import Adapter
from backends.reference.cache import FULL, SLIDING, Layout, Slots
from backends.reference.models import drafter_masks
from backends.reference.profiling import AT_ONCE, seen_from
from backends.reference.session import ReferenceSession
from results.errors import UsageError
from results.profile import rounds
from results.records import Draft, Pair, Prompt, Request, Round

MTP = replace(ENGINE, methods=("mtp",))
K_MAX = 8
TOKENS = AT_ONCE + 17
"""Two chunks of positions: a wide one for PyTorch's attention kernel, a narrow one for the engine's own."""


def figures(taken: Sequence[Round] | None) -> list[tuple[int, int, int]]:
    assert taken
    return [(each.drafted, each.accepted, each.emitted) for each in taken]


def decoded(session: Session, prompt: Prompt, k: int, tokens: int = TOKENS) -> list[tuple[int, int, int]]:
    (row,) = session.generate([prompt], Request(tokens, Draft("mtp", k), capture="rounds"))
    return figures(row.rounds)


def plain(session: Session, prompt: Prompt, tokens: int = TOKENS) -> tuple[int, ...]:
    (row,) = session.generate([prompt], Request(tokens))
    assert row.token_ids is not None
    return row.token_ids


@pytest.fixture(scope="module", params=["demo", *SHAPES])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    kind = str(request.param)
    return PAIR if kind == "demo" else make(tmp_path_factory.mktemp(kind), kind)


@pytest.fixture(scope="module")
def session(pair: Pair) -> Iterator[Session]:
    with Adapter().open(pair, MTP) as session:
        yield session


@pytest.fixture(scope="module")
def engine() -> Iterator[Session]:
    with Adapter().open(PAIR, MTP) as session:
        yield session


@pytest.mark.model
def test_every_round_of_every_draft_length_is_the_engine_s(engine: Session, prompts: list[Prompt]) -> None:
    for prompt in prompts[:3]:
        profile = engine.profile(prompt, plain(engine, prompt), K_MAX)
        for k in range(1, K_MAX + 1):
            assert figures(rounds(profile, k)) == decoded(engine, prompt, k), f"{prompt.key} at k = {k}"


@pytest.mark.model
def test_prompts_of_other_lengths_and_pairs_of_every_kind_too(session: Session, prompts: list[Prompt]) -> None:
    ids = [token for prompt in prompts for token in prompt.token_ids or ()]
    for length in (9, 150):  # below a tiny pair's window of 16, and above the demo pair's of 128
        prompt = Prompt(f"p/{length}", "demo", "coding", tuple(ids[:length]), None)
        profile = session.profile(prompt, plain(session, prompt, 48), K_MAX)
        for k in (1, 3, 8):
            assert figures(rounds(profile, k)) == decoded(session, prompt, k, 48)


@pytest.mark.model
def test_a_profile_that_is_shifted_by_one_position_gives_other_rounds(engine: Session, prompts: list[Prompt]) -> None:
    for prompt in prompts[:2]:
        profile = engine.profile(prompt, plain(engine, prompt), K_MAX)
        known = range(len(profile), 0, -1)
        later = [min(count, left) for count, left in zip([0, *profile[:-1]], known, strict=True)]
        sooner = [*profile[1:], 0]
        for k in (2, 6):
            real = decoded(engine, prompt, k)
            assert figures(rounds(later, k)) != real
            assert figures(rounds(sooner, k)) != real


@pytest.mark.model
def test_the_drafts_are_the_engine_s_own_from_every_position(session: Session, prompts: list[Prompt]) -> None:
    # A random pair accepts nothing of its greedy text. The text that accepts everything is the drafter's.
    assert isinstance(session, ReferenceSession)
    text = [token for prompt in prompts for token in prompt.token_ids or ()][:190]
    first, k = 12, 5
    for at in (first, 14, 16, 17, 18, 40, 127, 128, 129, 130, 189):
        drafts = drafted(session, text[:at], text[at], k)
        prompt = Prompt("p", "demo", "coding", tuple(text[:first]), None)
        assert session.profile(prompt, [*text[first : at + 1], *drafts], k)[at - first] == k
        for kept in range(k):
            other = [*drafts[:kept], drafts[kept] ^ 1, *drafts[kept + 1 :]]
            assert session.profile(prompt, [*text[first : at + 1], *other], k)[at - first] == kept


def drafted(session: ReferenceSession, before: list[int], last: int, k: int) -> list[int]:
    """What the engine's own draft step says after these tokens."""
    running = session.running([before], Request(K_MAX, Draft("mtp", k)))
    with torch.inference_mode():
        running.fill([0], [tuple(before)])
        running.rows.last[0] = last
        tokens: list[int] = running.draft(running.look()).tokens[0].tolist()
    return tokens


def test_what_a_position_sees_is_what_a_round_there_sees() -> None:
    layout = Layout(((1, 4), (1, 4)), (FULL, SLIDING), window=6)
    slots = 20
    cache = Slots(layout, 1, slots, slots, torch.float32, torch.device("cpu"))
    at = torch.arange(1, slots)
    seen = seen_from(at, slots, window=6)
    for i, position in enumerate(at):
        lengths = position[None]
        masks = drafter_masks(cache, lengths, lengths - 1, 6, drafted=3, sees_rejected=False)
        for kind in (FULL, SLIDING):
            assert seen[kind][0, 0, i].tolist() == masks[kind][0, 0, 0].tolist(), (kind, int(position))


@pytest.mark.model
def test_a_text_that_ends_by_itself_is_cut_as_the_engine_cuts_it(
    tmp_path: Path, engine: Session, prompts: list[Prompt]
) -> None:
    whole = plain(engine, prompts[0])
    good = engine.profile(prompts[0], whole, 1)
    at = next(i for i in range(4, len(whole)) if whole[i] not in whole[:i] and good[i - 1])  # a token that is drafted
    ending = whole[at]
    with Adapter().open(endings.checkpoint(tmp_path, ending), MTP) as session:
        text = plain(session, prompts[0])
        profile = session.profile(prompts[0], text, K_MAX)
        taken = [decoded(session, prompts[0], k) for k in range(1, K_MAX + 1)]
    assert text == whole[: at + 1]
    assert [figures(rounds(profile, k)) for k in range(1, K_MAX + 1)] == taken
    assert any(emitted == accepted for *_, (_, accepted, emitted) in taken), "no round was cut"


@pytest.mark.model
def test_a_text_cut_short_has_the_same_profile_as_far_as_it_is_known(engine: Session, prompts: list[Prompt]) -> None:
    text = plain(engine, prompts[0], 32)
    profile = engine.profile(prompts[0], text, K_MAX)
    for tokens in (1, 2, 5, 23):
        short = engine.profile(prompts[0], text[:tokens], K_MAX)
        assert short == [min(count, tokens - 1 - i) for i, count in enumerate(profile[: tokens - 1])]


@pytest.mark.model
def test_a_longer_k_max_only_adds(engine: Session, prompts: list[Prompt]) -> None:
    text = plain(engine, prompts[3])
    found = [engine.profile(prompts[3], text, k) for k in (1, 4, 12)]
    for shorter, longer in pairwise(found):
        most = max(shorter)
        assert shorter == [min(count, most) for count in longer]
    assert [max(each) for each in found] == [1, 4, 12]


@pytest.mark.model
def test_a_session_that_cannot_says_so(demo: Session, prompts: list[Prompt]) -> None:
    with pytest.raises(NotImplementedError, match="gives no acceptance profile"):
        demo.profile(prompts[0], (1, 2), 4)
    undrafted, visible = replace(ENGINE, methods=()), replace(MTP, options={"rejected_kv": "visible"})
    with Adapter().open(PAIR, undrafted) as session, pytest.raises(ValueError, match="opened for no drafts"):
        session.profile(prompts[0], (1, 2), 4)
    with Adapter().open(PAIR, visible) as session, pytest.raises(UsageError, match="rejected_kv=hidden"):
        session.profile(prompts[0], (1, 2), 4)
