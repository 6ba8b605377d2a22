"""The real llama.cpp in its own environment: known acceptance, other methods, and everything that can go wrong."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hosted import HostedSession, hosted, hosting, needs
from launches import Launches
from test_server_process import gone, lives
from the_gguf_pair import DRAFTER, ENGINE, MTP, PAIR, TARGET, engine_of

from backends.base import Session
from backends.protocol import Open
from harness.client import CallFailed
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair, Prompt, Request, Sampling

pytestmark = [pytest.mark.model, needs("llamacpp")]

PROMPT = Prompt("p", "w", "c", (2, 263, 994, 457, 1870, 277, 333, 1256), None)


@pytest.fixture(scope="module")
def session() -> Iterator[Launches]:
    with ExitStack() as stack:
        yield Launches(stack, lambda draft: hosted("llamacpp", PAIR, engine_of(draft)))


def server_of(session: Session) -> int:
    """The server's process: the one child of the session's worker."""
    assert isinstance(session, HostedSession)
    (child,) = Path(f"/proc/{session.worker.pid}/task/{session.worker.pid}/children").read_text().split()
    return int(child)


def test_the_demo_pair_accepts_as_known_and_says_what_the_target_says_alone(
    session: Launches, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    """820 of 1,246 drafts at k = 4 (measured with xllamacpp 2026.10.11549, with AVX-512); all outputs the same."""
    drafted = accepted = 0
    for prompt, reference in zip(prompts, references, strict=True):
        (plain,), (seen,) = session.generate([prompt], Request(96)), session.generate([prompt], Request(96, MTP))
        assert plain.token_ids == seen.token_ids
        assert plain.token_ids == tuple(reference["greedy_ids"])
        assert seen.counts is not None
        assert seen.counts.drafted is not None
        assert seen.counts.accepted is not None
        assert seen.counts.per_position is not None
        assert sum(seen.counts.per_position) == seen.counts.accepted
        assert seen.statement["speculative"] is True
        assert plain.statement["speculative"] is False
        drafted, accepted = drafted + seen.counts.drafted, accepted + seen.counts.accepted
    assert accepted / drafted == pytest.approx(0.658, abs=0.01)
    assert drafted == pytest.approx(1246, rel=0.02)


def test_facts_say_what_runs(session: Launches) -> None:
    plain, drafted = session.facts, session.of(MTP).facts
    assert plain.versions["xllamacpp"]
    assert (plain.device, plain.dtype, plain.vocab_size, plain.eos_token_ids) == ("cpu", "float32", 2048, (1, 6))
    assert plain.chat_template
    assert plain.drafter_bytes is None
    assert drafted.drafter_bytes
    assert set(drafted.files) == {"target/target-f32.gguf", "drafter/drafter-f32.gguf"}
    assert json.dumps(drafted.statement).count("draft-mtp") == 1


def test_a_chat_is_framed_by_the_model_s_template(session: Launches) -> None:
    framed, raw = (session.encode("import os", chat=chat, thinking=False) for chat in (True, False))
    assert raw.head == (2,)
    assert framed.head[0] == 2
    assert len(framed.head) > 1
    assert framed.tail
    assert framed.content == raw.content


def test_another_draft_length_or_arm_needs_another_launch(session: Launches) -> None:
    with pytest.raises(ValueError, match="launched for mtp with k = 4"):
        session.of(MTP).generate([PROMPT], Request(4, Draft("mtp", 3)))
    with pytest.raises(ValueError, match="launched for plain decoding"):
        session.of(None).generate([PROMPT], Request(4, MTP))


def test_requests_in_flight_together_each_have_their_clock_and_no_rounds(session: Launches) -> None:
    rows = session.generate([PROMPT, replace(PROMPT, key="q"), replace(PROMPT, key="r")], Request(24, MTP))
    assert len({row.token_ids for row in rows}) == 1
    for row in rows:
        assert row.counts is not None
        assert row.counts.drafted
        assert row.counts.rounds is None
        assert row.arrivals[0].tokens == 1
    with pytest.raises(ValueError, match="batch of 4 needs as many slots"):
        session.generate([PROMPT] * 4, Request(4))


@pytest.mark.parametrize("draft", [None, MTP])
def test_tokens_inside_characters_keep_their_ids(session: Launches, draft: Draft | None) -> None:
    """The stream leaves them out. Hot sampling of a byte-fallback vocabulary makes many."""
    (seen,) = session.generate([PROMPT], Request(64, draft, Sampling(30.0, seed=5)))
    assert seen.token_ids is not None
    assert len(seen.token_ids) == seen.n_tokens == seen.arrivals[-1].tokens
    if draft is None:
        assert len(seen.arrivals) < seen.n_tokens  # some came without an event of their own


def test_scores_agree_with_the_target_s_own_choice_and_see_another(session: Launches) -> None:
    (seen,) = session.generate([PROMPT], Request(6))
    assert seen.token_ids is not None
    scores = session.score(PROMPT, seen.token_ids)
    assert [s.best_id for s in scores] == [s.token_id for s in scores] == list(seen.token_ids)
    assert all(s.logprob == s.best_logprob and s.logit is None for s in scores)
    other, _ = session.score(PROMPT, (3, seen.token_ids[1]))
    assert other.best_id == seen.token_ids[0]
    assert other.logprob is not None
    assert other.best_logprob is not None
    assert other.logprob < other.best_logprob
    with pytest.raises(NotImplementedError):
        session.of(MTP).score(PROMPT, (3,))


def test_the_gguf_target_computes_what_transformers_computes_from_its_folder(
    session: Launches, demo: Session, prompts: list[Prompt]
) -> None:
    """Log-probabilities of another text than its own, which tell of every weight that was converted."""
    text = prompts[2].token_ids
    assert text is not None
    for mine, theirs in zip(session.score(prompts[1], text[:16]), demo.score(prompts[1], text[:16]), strict=True):
        assert mine.best_id == theirs.best_id
        assert mine.logprob == pytest.approx(theirs.logprob, abs=2e-3)
        assert mine.best_logprob == pytest.approx(theirs.best_logprob, abs=2e-3)


def test_a_small_model_that_is_the_target_itself_has_every_draft_accepted() -> None:
    draft = Draft("draft-model", 3)
    with hosted("llamacpp", Pair("self", TARGET, TARGET), engine_of(draft)) as session:
        (seen,) = session.generate([PROMPT], Request(41, draft))
    assert seen.counts is not None
    assert seen.counts.drafted
    assert seen.counts.accepted == seen.counts.drafted


def test_prompt_lookup_needs_no_drafter(session: Launches, prompts: list[Prompt]) -> None:
    draft = Draft("prompt-lookup", 4)
    options = {"spec-ngram-simple-size-n": 3}
    engine = replace(engine_of(draft), options=options)
    with hosted("llamacpp", replace(PAIR, assistant=None), engine) as looking:
        for prompt in prompts[:3]:
            (seen,), (plain,) = looking.generate([prompt], Request(96, draft)), session.generate([prompt], Request(96))
            assert seen.token_ids == plain.token_ids
            assert seen.counts is not None
            assert seen.counts.accepted is not None
            assert seen.counts.rounds == 95 - seen.counts.accepted
            assert seen.counts.drafted  # the demo pair repeats itself


def test_forced_acceptance_is_synthetic() -> None:
    engine = replace(engine_of(MTP), options={"spec-synth-len": 2.5})
    with hosted("llamacpp", PAIR, engine) as session:
        (seen,) = session.generate([PROMPT], Request(24, MTP))
    assert seen.statement["synthetic"] is True


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("pair", "engine", "told"),
    [
        (replace(PAIR, assistant=TARGET), engine_of(MTP), "the drafter holds no MTP layers"),
        (replace(PAIR, target=DRAFTER), ENGINE, "the target is itself a drafter"),
        (replace(PAIR, target="/no/such.gguf"), ENGINE, "is no GGUF model file: No such file"),
        (PAIR, replace(ENGINE, options={"nonsense": 1}), "invalid argument: --nonsense"),
        (PAIR, replace(ENGINE, options={"flash-attn": "maybe"}), "unknown value for --flash-attn: 'maybe'"),
        (PAIR, replace(ENGINE, options={"server": "/no/such/llama-server"}), "no program that can be run"),
        (PAIR, replace(ENGINE, dtype="bfloat16"), "holds float32"),
        (PAIR, replace(ENGINE, device="cuda:7"), "here are: cpu"),
    ],
)
def test_wrong_input_is_one_line(pair: Pair, engine: EngineConfig, told: str) -> None:
    with pytest.raises(UsageError) as caught, hosted("llamacpp", pair, engine):
        pass
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("which", ["target", "drafter"])
def test_a_cut_file_is_told_in_llama_cpp_s_words_and_the_worker_opens_the_next(tmp_path: Path, which: str) -> None:
    cut = tmp_path / "cut.gguf"
    whole = Path(TARGET if which == "target" else DRAFTER).read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    pair = Pair("cut", str(cut), DRAFTER) if which == "target" else Pair("cut", TARGET, str(cut))
    with hosting("llamacpp") as worker:
        with pytest.raises(UsageError, match=r"not within the file bounds, model is corrupted or incomplete"):
            worker.ask(Open(pair, engine_of(MTP)), 60)
        assert worker.ask(Open(PAIR, engine_of(MTP)), 60).vocab_size == 2048


def test_a_server_that_crashes_fails_its_call_and_the_next_launch_works() -> None:
    with hosted("llamacpp", PAIR, engine_of(MTP)) as session:
        session.generate([PROMPT], Request(4, MTP))
        os.kill(server_of(session), signal.SIGABRT)
        with pytest.raises(RuntimeError, match=r"llama-server ended by SIGABRT"):
            session.generate([PROMPT], Request(4, MTP))
    with hosted("llamacpp", PAIR, engine_of(MTP)) as session:
        session.generate([PROMPT], Request(4, MTP))


def test_a_worker_killed_at_once_leaves_no_server() -> None:
    with hosting("llamacpp") as worker:
        worker.ask(Open(PAIR, engine_of(None)), 60)
        (server,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        assert lives(int(server))
        os.kill(worker.pid, signal.SIGKILL)  # it alone, not its group
        assert gone(int(server))
        with pytest.raises(CallFailed):
            worker.ask(Open(PAIR, engine_of(None)), 60)


def test_a_closed_session_leaves_no_server() -> None:
    with hosted("llamacpp", PAIR, engine_of(None)) as session:
        server = server_of(session)
        assert lives(server)
    assert gone(server)
