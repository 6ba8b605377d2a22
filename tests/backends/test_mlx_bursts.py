"""Rounds from what mlx-vlm streams and what its drafter records: identities, cut rounds, and evidence that lies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from backends.mlxvlm.bursts import Chunk, Recorded, Responses, arrivals, checked
from results.records import Round


def recorded(rounds: Sequence[tuple[int, int]]) -> Recorded:
    """(drafted, accepted) of each round."""
    drafted, accepted = tuple(d for d, _ in rounds), tuple(a for _, a in rounds)
    totals = (len(rounds), sum(accepted), sum(drafted)) if rounds else (None, None, None)
    return Recorded(accepted, drafted, totals)


def chunks(*tokens: int) -> list[Chunk]:
    return [Chunk(1000 * index, count) for index, count in enumerate(tokens)]


@dataclass
class Engine:
    """Streams tokens one by one, as mlx-vlm does, and records a round before its tokens."""

    drafter: Any = field(default_factory=lambda: SimpleNamespace(accept_lens=[]))

    def stream(self, bursts: Sequence[int], *, stopped: bool) -> Any:
        total = sum(bursts)
        so_far = 0
        for index, burst in enumerate(bursts):
            if index:
                self.drafter.accept_lens.append(burst - 1)
            for _ in range(burst):
                so_far += 1
                if not (stopped and so_far == total):
                    yield SimpleNamespace(generation_tokens=so_far, token_ids=None)
        yield SimpleNamespace(generation_tokens=total, token_ids=[7] * total)


@pytest.mark.parametrize("stopped", [False, True], ids=["length", "end token"])
@pytest.mark.parametrize("bursts", [(1,), (1, 5), (1, 5, 1, 3), (1, 1, 1)])
def test_a_burst_is_a_round_and_the_closing_response_is_no_token(bursts: tuple[int, ...], stopped: bool) -> None:
    engine = Engine()
    responses = Responses(engine.drafter)
    responses.read(engine.stream(bursts, stopped=stopped))
    assert tuple(chunk.tokens for chunk in responses.chunks()) == bursts
    assert arrivals(responses.chunks(), sent=0)[-1].tokens == sum(bursts)


def test_a_plain_arm_gives_its_tokens_one_by_one() -> None:
    responses = Responses(None)
    responses.read(Engine().stream((1, 1, 1, 1), stopped=False))
    assert [chunk.tokens for chunk in responses.chunks()] == [1, 1, 1, 1]


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="without a closing response"):
        Responses(None).read([SimpleNamespace(generation_tokens=1, token_ids=None)])
    with pytest.raises(RuntimeError, match="without a closing response"):
        Responses(None).read([])


def test_whole_rounds_emit_what_they_accepted_and_one() -> None:
    assert checked(chunks(1, 3, 1), recorded([(4, 2), (4, 0)]), 4, 96) == [Round(4, 2, 3), Round(4, 0, 1)]


def test_drafts_beyond_the_end_of_the_text_were_not_accepted() -> None:
    assert checked(chunks(1, 5, 2), recorded([(4, 4), (4, 4)]), 4, 96)[-1] == Round(4, 2, 2)


def test_near_the_limit_fewer_are_drafted_and_the_target_s_own_token_does_not_fit() -> None:
    assert checked(chunks(1, 5, 2), recorded([(4, 4), (2, 2)]), 4, 8)[-1] == Round(2, 2, 2)


def test_one_token_needs_no_round() -> None:
    assert checked(chunks(1), recorded([]), 4, 1) == []


@pytest.mark.parametrize(
    ("seen", "evidence", "phrase"),
    [
        (chunks(9), recorded([]), "drafted nothing"),
        (chunks(1, 3, 1), recorded([(4, 2)]), "2 bursts of tokens, but 1 rounds"),
        (chunks(1, 3), Recorded((2,), (), (1, 2, 4)), "bursts of tokens"),
        (chunks(1, 3), Recorded((2,), (4,), (2, 2, 4)), "sum up to"),
        (chunks(2, 3), recorded([(4, 2)]), "the prefill gave 2"),
        (chunks(1, 3), recorded([(3, 2)]), "asked for 4 drafts with 95 tokens to go, but 3"),
        (chunks(1, 2, 1), recorded([(4, 2), (4, 0)]), "round 0 accepted 2 drafts but gave 2"),
        (chunks(1, 4), recorded([(4, 2)]), "round 0 accepted 2 drafts but gave 4"),
    ],
)
def test_evidence_that_contradicts_itself_fails_the_trial(seen: list[Chunk], evidence: Recorded, phrase: str) -> None:
    with pytest.raises(RuntimeError, match=phrase):
        checked(seen, evidence, 4, 96)
