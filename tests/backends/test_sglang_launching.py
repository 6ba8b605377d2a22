"""Launching SGLang (a stub of its protocol): what can go wrong, and what must be noticed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stubbed_sglang import Launch, opened, stubbed
from the_demo_pair import PAIR

from backends.base import Session
from backends.sglang import Adapter
from backends.sglang_server import launching
from results.errors import UsageError
from results.records import Draft, DraftCounts, EngineConfig, Prompt, Request

pytestmark = pytest.mark.model

K3 = Draft("mtp", 3)


@pytest.fixture
def stub(demo: Session, tmp_path: Path) -> Iterator[Launch]:
    with stubbed(demo, tmp_path) as engine:
        yield engine


def test_known_acceptance_comes_through(
    stub: Launch, demo: Session, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stub counts what Transformers' rounds were; under every version's names the adapter finds the same."""
    request = Request(48, K3)
    (real,) = demo.generate(prompts[:1], Request(48, K3, capture="rounds"))
    assert real.rounds
    at_least = tuple(sum(r.accepted >= i for r in real.rounds) for i in (1, 2, 3))
    accepted = sum(r.accepted for r in real.rounds)
    for version in ("0.5.12", "0.5.23"):
        monkeypatch.setenv("MTPBENCH_STUB_VERSION", version)
        with opened(stub(K3)) as session:
            (seen,) = session.generate(prompts[:1], request)
        assert seen.token_ids == real.token_ids
        assert seen.counts == DraftCounts(len(real.rounds), 3 * len(real.rounds), accepted, at_least)
        assert seen.statement["acceptance_length"] == 1 + accepted / len(real.rounds)
        assert seen.statement["speculative"] is True


def test_streams_of_new_ids_only_give_the_same(stub: Launch, prompts: list[Prompt]) -> None:
    with opened(stub(K3)) as whole, opened(stub(K3, incremental_streaming_output=True)) as parts:
        (one,), (other,) = (session.generate(prompts[:1], Request(24, K3)) for session in (whole, parts))
    assert (one.token_ids, one.text) == (other.token_ids, other.text)
    assert [a.tokens for a in one.arrivals] == [a.tokens for a in other.arrivals]


def test_an_idle_drafter_has_counts_of_zero(
    stub: Launch, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTPBENCH_STUB_FAULT", "idle")
    with opened(stub(K3)) as session:
        (seen,) = session.generate(prompts[:1], Request(8, K3))
    assert seen.counts == DraftCounts(0, 0, 0)


def test_a_server_that_does_not_draft_as_asked_is_refused(stub: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPBENCH_STUB_FAULT", "no-drafts")
    with pytest.raises(RuntimeError, match="SGLang drafts by None, and mtp is FROZEN_KV_MTP"), opened(stub(K3)):
        pass


@pytest.mark.parametrize(
    ("said", "draft", "why"),
    [
        (("NEXTN", 3, 4), None, "drafts by NEXTN although nothing was asked for"),
        (("FROZEN_KV_MTP", 3, 5), K3, "took k = 3 for 3 steps and 5 tokens verified together"),
        (("FROZEN_KV_MTP", 2, 4), K3, "took k = 3 for 2 steps"),
        (("EAGLE", 3, 4), K3, "drafts by EAGLE, and mtp is FROZEN_KV_MTP"),
    ],
)
def test_what_the_server_runs_with_must_be_the_arm(said: tuple[object, ...], draft: Draft | None, why: str) -> None:
    names = ("speculative_algorithm", "speculative_num_steps", "speculative_num_draft_tokens")
    with pytest.raises(RuntimeError, match=why):
        launching.check(dict(zip(names, said, strict=True)), draft)


def test_facts_tell_the_files_that_an_arm_loads_and_their_size(stub: Launch) -> None:
    with opened(stub(None)) as plain, opened(stub(K3)) as drafted:
        assert {name.partition("/")[0] for name in plain.facts.files} == {"target"}
        assert {name.partition("/")[0] for name in drafted.facts.files} == {"target", "drafter"}
        assert plain.facts.target_bytes == drafted.facts.target_bytes == 16_168_528
        assert (plain.facts.drafter_bytes, drafted.facts.drafter_bytes) == (None, 2_691_848)


def test_forced_acceptance_is_synthetic(stub: Launch, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(stub(K3)) as session:
        assert "synthetic" not in session.facts.statement
    monkeypatch.setenv("SGLANG_SIMULATE_ACC_LEN", "2.5")
    with opened(stub(K3)) as session:
        assert session.facts.statement["synthetic"] is True
        assert session.facts.statement["simulated_acceptance"] == "2.5"
        (seen,) = session.generate(prompts[:1], Request(4, K3))
        assert seen.statement["synthetic"] is True
    assert not launching.simulated({"SGLANG_SIMULATE_ACC_LEN": "-1"})
    assert not launching.simulated({})


def test_a_crash_in_the_middle_says_the_server_s_last_words(
    stub: Launch, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTPBENCH_STUB_FAULT", "crash")
    with opened(stub(None)) as session, pytest.raises(RuntimeError, match=r"Segmentation fault|SIGABRT"):
        session.generate(prompts[:1], Request(4))


def test_an_aborted_request_is_a_failure(stub: Launch, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPBENCH_STUB_FAULT", "abort")
    with opened(stub(None)) as session, pytest.raises(RuntimeError, match="aborted the request: out of KV cache"):
        session.generate(prompts[:1], Request(4))


def test_a_flag_that_sglang_does_not_know_ends_the_launch_with_its_words(stub: Launch) -> None:
    with (
        pytest.raises(RuntimeError, match="unrecognized arguments: --no-such-thing"),
        opened(stub(None, no_such_thing=1)),
    ):
        pass


def test_an_old_version_is_refused_before_it_is_measured(stub: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPBENCH_STUB_VERSION", "0.5.11")
    with pytest.raises(UsageError, match="knows no Gemma 4 MTP assistants"), opened(stub(K3)):
        pass


def test_a_request_for_another_arm_is_refused(stub: Launch, prompts: list[Prompt]) -> None:
    with opened(stub(K3)) as session:
        for other in (None, Draft("mtp", 2)):
            with pytest.raises(ValueError, match="this server was launched for"):
                session.generate(prompts[:1], Request(4, other))
        with pytest.raises(ValueError, match="no single rounds"):
            session.generate(prompts[:1], Request(4, K3, capture="rounds"))


def test_the_program_must_be_there() -> None:
    engine = EngineConfig(options={"server": "/nowhere/sglang"})
    with (
        pytest.raises(UsageError, match=r"sglang\.server: no program at /nowhere/sglang"),
        Adapter().open(PAIR, engine),
    ):
        pass


def test_without_sglang_the_probe_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.sglang.installed", lambda package: None)
    monkeypatch.setattr("backends.sglang.shutil.which", lambda name: None)
    found = Adapter().probe()
    assert not found.usable
    assert found.reason == "sglang is not installed"
    assert "mtpbench env create sglang" in found.advice
    assert "-o sglang.server=" in found.advice
