"""LiteRT-LM decoding for real: the acceptance of the demo pair, texts that end, and what an idle drafter looks like."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosted import hosted, needs
from the_demo_pair import DEMO
from the_litert_bundle import ENGINE, PAIR, stopping_at

from backends.base import Session
from results.metrics import timing
from results.records import Draft, Encoded, Generation, Prompt, Request
from workloads.prompts import fit, load

pytestmark = [pytest.mark.model, needs("litert")]

K = 4
DRAFT = Draft("mtp", K)
LINES = (DEMO / "prompts.jsonl").read_text().splitlines()
PROMPTS = [Prompt(str(i), "demo", "coding", None, json.loads(line)["text"]) for i, line in enumerate(LINES)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("litert") / "log"


@pytest.fixture(scope="module")
def session(log: Path) -> Iterator[Session]:
    with hosted("litert", PAIR, ENGINE, log) as session:
        yield session


def one(session: Session, prompt: Prompt, request: Request) -> Generation:
    (found,) = session.generate([prompt], request)
    return found


def test_drafted_text_is_the_plain_text_and_three_in_five_drafts_are_accepted(session: Session) -> None:
    drafted = accepted = rounds = 0
    for prompt in PROMPTS:
        plain = one(session, prompt, Request(96))
        timed = one(session, prompt, Request(96, DRAFT))
        counted = one(session, prompt, Request(96, DRAFT, capture="rounds"))
        assert plain.text
        assert timed.text == counted.text
        assert timed.text is not None
        assert timed.text.startswith(plain.text)
        assert (timed.counts, plain.counts) == (None, None)
        assert counted.counts is not None
        assert counted.counts.rounds is not None
        assert counted.counts.drafted is not None
        assert counted.counts.accepted is not None
        assert counted.n_tokens == timed.n_tokens == 1 + counted.counts.rounds + counted.counts.accepted
        rounds += counted.counts.rounds
        drafted += counted.counts.drafted
        accepted += counted.counts.accepted
    assert (rounds, accepted, drafted) == (340, 816, 1360)  # as the engine's one rate over all of them: 0.6


def test_texts_are_tokenized_as_the_checkpoint_s_tokenizer_does(session: Session) -> None:
    for line in map(json.loads, LINES):
        encoded = session.encode(line["text"], chat=False, thinking=False)
        assert (encoded.head, encoded.content, encoded.tail) == ((2,), tuple(line["prompt_ids"]), ())


def test_prompts_are_cut_to_the_length_that_the_engine_counts(session: Session) -> None:
    def encode(texts: list[str]) -> list[Encoded]:
        return [session.encode(text, chat=False, thinking=False) for text in texts]

    for prompt in fit(load("demo"), encode, 50, 8, as_text=True):
        assert one(session, prompt, Request(1)).prompt_tokens == 50


def test_what_the_engine_logs_when_it_is_destroyed_stays_in_the_log(session: Session, log: Path) -> None:
    one(session, PROMPTS[0], Request(96, DRAFT, capture="rounds"))
    assert "MTP Drafter - Success rate: 0.540323" in log.read_text()


def test_an_instrumented_plain_call_says_that_nothing_was_drafted(session: Session) -> None:
    seen = one(session, PROMPTS[0], Request(24, capture="rounds"))
    assert seen.counts is None
    assert seen.statement["speculative"] is False


def test_arrivals_begin_with_the_prefill_s_end_and_hold_all_tokens_at_the_last(session: Session) -> None:
    for draft in (None, DRAFT):
        seen = one(session, PROMPTS[0], Request(48, draft))
        tokens = [arrival.tokens for arrival in seen.arrivals]
        assert tokens[:2] == [0, 1]
        assert tokens[-1] == seen.n_tokens
        assert timing([seen], ()) is not None
        per_second = seen.statement["decode_tokens_per_second"]
        assert isinstance(per_second, float)
        own = seen.n_tokens / per_second * 1e9
        ours = seen.arrivals[-1].ns - seen.arrivals[0].ns
        assert own < ours < 3 * own + 5e7  # the engine's clock, and what it costs to be told on a busy machine


@pytest.mark.parametrize(("prompt", "token", "plain_tokens", "drafted_tokens"), [(0, 360, 15, 14), (8, 280, 75, 75)])
def test_a_text_that_ends_inside_a_round_is_the_plain_one(
    tmp_path: Path, prompt: int, token: int, plain_tokens: int, drafted_tokens: int
) -> None:
    """The engine counts an end token among accepted drafts out, and one that the target adds in."""
    with hosted("litert", stopping_at(token, tmp_path / "stopping.litertlm"), ENGINE) as session:
        plain = one(session, PROMPTS[prompt], Request(96))
        timed = one(session, PROMPTS[prompt], Request(96, DRAFT))
        counted = one(session, PROMPTS[prompt], Request(96, DRAFT, capture="rounds"))
    assert plain.text == timed.text == counted.text
    assert (plain.finish_reason, timed.finish_reason, counted.finish_reason) == ("stop", "stop", "stop")
    assert (plain.n_tokens, timed.n_tokens) == (plain_tokens, drafted_tokens)
    assert counted.n_tokens == counted.arrivals[-1].tokens == plain_tokens
    assert counted.counts is not None
    assert counted.counts.rounds is not None
    assert counted.counts.accepted is not None
    assert 0 <= 1 + counted.counts.rounds + counted.counts.accepted - counted.n_tokens <= K
