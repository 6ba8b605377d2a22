"""A server that reveals nothing (a stub that hides what a real llama.cpp says): measured, unverified, never ranked."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hosted import needs
from served_llama import llama
from stubs.plain_openai import plain_openai

from backends.openai import Adapter
from harness.experiment import measure
from harness.sweep import Sweep
from results.errors import UsageError
from results.judge import judge
from results.records import Draft, EngineConfig, Pair, Prompt, Request
from results.store import RunFile

pytestmark = [pytest.mark.model, needs("llamacpp")]
PAIR = Pair("demo", "demo", None)
PROMPT = Prompt("p", "w", "c", None, "import os\n\ndef walk(path):\n    ")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[str, str]]:
    """URLs of real servers, without and with 4 drafts a round."""
    with llama(None) as plain, llama(4) as drafting:
        yield plain.url, drafting.url


def test_its_cells_are_unverified_and_none_is_best(servers: tuple[str, str], tmp_path: Path) -> None:
    texts = [f"def {name}(path):\n    " for name in ("walk", "copy", "read", "find")]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    with ExitStack() as stack:
        plain, drafting = (stack.enter_context(plain_openai(url)) for url in servers)
        sweep = Sweep(
            backends=("openai",),
            pairs=("demo",),
            methods=("native-mtp",),
            draft_lengths=(4,),
            workloads=(str(tmp_path / "texts.jsonl"),),
            prompts=4,
            output_tokens=24,
            repeats=1,
            backend={"openai": {"url": drafting, "plain_url": plain, "draft_length": 4}},
        )
        measured = measure(sweep, tmp_path / "run.sqlite")
    with RunFile.open(measured.path) as file:
        verdict = judge(file)
    (cell,) = verdict.cells
    assert cell.status == "unverified"
    assert cell.reason == "the runtime reveals neither rounds nor counts of drafts"
    assert cell.speedup is not None
    assert cell.acceptance is None
    assert verdict.best == []
    assert cell.equivalence is not None
    assert cell.equivalence.verdict == "text-only"


def test_real_servers_reveal_their_counts_at_one_request_at_a_time(servers: tuple[str, str]) -> None:
    plain, drafting = servers
    options = {"url": drafting, "plain_url": plain, "draft_length": 4}
    request = Request(24, Draft("mtp", 4))
    with Adapter().open(PAIR, EngineConfig(draft=request.draft, options=options)) as session:
        assert session.facts.statement["dialect"] == "llamacpp"
        (alone,) = session.generate([PROMPT], request)
        both = session.generate([PROMPT, PROMPT], request)
    assert alone.counts is not None
    assert alone.counts.rounds
    assert alone.counts.per_position is not None
    assert sum(alone.counts.per_position) == alone.counts.accepted
    assert [seen.counts and (seen.counts.rounds, seen.counts.drafted) for seen in both] == [
        (None, alone.counts.drafted)
    ] * 2


def test_a_plain_arm_that_drafts_is_seen(servers: tuple[str, str]) -> None:
    plain, drafting = servers
    swapped = {"url": plain, "plain_url": drafting, "draft_length": 4}
    with Adapter().open(PAIR, EngineConfig(options=swapped)) as session:
        (seen,) = session.generate([PROMPT], Request(24))
    assert seen.counts is not None
    assert seen.counts.drafted


def test_a_drafted_arm_whose_server_does_not_draft_has_counts_of_zero(servers: tuple[str, str]) -> None:
    plain, drafting = servers
    swapped = {"url": plain, "plain_url": drafting, "draft_length": 4}
    draft = Draft("mtp", 4)
    with Adapter().open(PAIR, EngineConfig(draft=draft, options=swapped)) as session:
        (seen,) = session.generate([PROMPT], Request(24, draft))
    assert seen.counts is not None
    assert (seen.counts.drafted, seen.counts.accepted) == (0, 0)


def test_several_tokens_in_a_chunk_are_not_taken_for_one(servers: tuple[str, str]) -> None:
    plain, _ = servers
    with plain_openai(plain, merge=3) as merging:
        engine = EngineConfig(options={"url": "http://127.0.0.1:9", "plain_url": merging})
        with Adapter().open(PAIR, engine) as session:
            (seen,) = session.generate([PROMPT], Request(24))
    assert seen.n_tokens == 24
    assert seen.arrivals[-1].tokens == 24
    assert len(seen.arrivals) < 12
    assert seen.statement["chunks_counted"] is False


def test_a_server_that_counts_no_tokens_is_refused_when_it_is_opened(servers: tuple[str, str]) -> None:
    plain, _ = servers
    with plain_openai(plain, usage=False) as silent:
        engine = EngineConfig(options={"url": "http://127.0.0.1:9", "plain_url": silent})
        with pytest.raises(UsageError, match="does not count its tokens"), Adapter().open(PAIR, engine):
            pass


def test_a_server_that_dies_in_the_middle_of_an_answer_fails_the_call() -> None:
    with llama(None) as doomed:
        engine = EngineConfig(options={"url": "http://127.0.0.1:9", "plain_url": doomed.url})
        with Adapter().open(PAIR, engine) as session:
            killing = threading.Timer(0.1, os.kill, (doomed.pid, signal.SIGKILL))
            killing.start()
            with pytest.raises(RuntimeError, match="/v1/completions"):
                session.generate([PROMPT], Request(1500))
            killing.join()


def test_a_server_that_is_not_there_is_named() -> None:
    engine = EngineConfig(options={"url": "http://127.0.0.1:10", "plain_url": "http://127.0.0.1:9"})
    with (
        pytest.raises(UsageError, match=r"openai: http://127\.0\.0\.1:9: asked for 2 tokens: .*refused"),
        Adapter().open(PAIR, engine),
    ):
        pass
