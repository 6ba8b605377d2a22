"""An Ollama server (a stub over a real llama.cpp): what a change of arm costs, and what the log and the cache tell."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hosted import needs
from stubbed_ollama import PAIR, opened, stubbed
from stubs.ollama_server import Stub

from backends.ollama import Adapter
from backends.ollama_server import asking
from results.errors import UsageError
from results.records import Draft, EngineConfig, Prompt, Request

pytestmark = [pytest.mark.model, needs("llamacpp")]

K4 = Draft("mtp", 4)
PLAIN, DRAFTED = Request(24), Request(24, K4)
WALK = Prompt("a", "w", "c", None, "import os\n\ndef walk(path):\n    ")
COPY = Prompt("b", "w", "c", None, "import shutil\n\ndef copy(source, target):\n    ")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Stub, Path]]:
    with stubbed(tmp_path_factory.mktemp("ollama"), 4) as found:
        yield found


@pytest.fixture
def stub(server: tuple[str, Stub, Path]) -> Stub:
    stub = server[1]
    stub.asked.clear()
    stub.loaded, stub.reloads, stub.silent_log, stub.break_off = None, 0, False, False
    return stub


def prompts_asked(stub: Stub) -> list[str]:
    return [body.get("prompt", "unload") for body in stub.asked]


def test_the_request_after_a_change_is_thrown_away(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with opened(server[0], log=str(server[2])) as session:
        for request, prompt in ((PLAIN, WALK), (DRAFTED, WALK), (DRAFTED, COPY), (PLAIN, COPY)):
            (seen,) = session.generate([prompt], request)
            assert seen.statement["load_duration"] < 100_000_000  # the stub's loads take 200 ms
    assert prompts_asked(stub) == [
        *(asking.DROPPED, WALK.text),
        *(asking.DROPPED, WALK.text, COPY.text),
        *(asking.DROPPED, COPY.text),
    ]
    assert stub.reloads == 3


def test_a_prompt_that_the_model_has_seen_is_not_taken_from_its_cache(
    server: tuple[str, Stub, Path], stub: Stub
) -> None:
    with opened(server[0], log=str(server[2])) as session:
        first, second = (session.generate([WALK], DRAFTED)[0] for _ in range(2))
    assert prompts_asked(stub) == [asking.DROPPED, WALK.text, "unload", asking.DROPPED, WALK.text]
    assert (first.cached_tokens, second.cached_tokens) == (0, 0)
    assert (first.text, first.counts) == (second.text, second.counts)


def test_a_cache_that_was_hit_all_the_same_shows_in_the_log(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with opened(server[0], log=str(server[2])) as session:
        session.generate([WALK], PLAIN)
        longer = Prompt("c", "w", "c", None, f"{WALK.text}for name")
        (seen,) = session.generate([longer], PLAIN)
    assert seen.cached_tokens is not None
    assert seen.cached_tokens > 5


def test_acceptance_is_llama_cpp_s_own(server: tuple[str, Stub, Path], stub: Stub) -> None:
    url, _, log = server
    with opened(url, log=str(log)) as session:
        (plain,), (drafted,) = session.generate([WALK], PLAIN), session.generate([WALK], DRAFTED)
    assert plain.counts is None
    assert drafted.counts is not None
    assert drafted.counts.rounds is None
    assert drafted.counts.drafted
    assert drafted.counts.accepted
    assert f"{drafted.counts.accepted} accepted" in " ".join(log.read_text().split())
    assert drafted.text == plain.text


@pytest.mark.parametrize("batch", [1, 2])
def test_without_a_log_or_beside_others_nothing_is_revealed(
    server: tuple[str, Stub, Path], stub: Stub, batch: int
) -> None:
    options = {} if batch == 1 else {"log": str(server[2])}
    with opened(server[0], **options) as session:
        rows = session.generate([WALK, COPY][:batch], DRAFTED)
        assert session.facts.statement["acceptance"] == ("not revealed" if batch == 1 else "from the server's log")
    assert [row.counts for row in rows] == [None] * batch
    assert [row.cached_tokens for row in rows] == [None] * batch


def test_two_tags_are_two_arms(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with opened(server[0], plain_model="demo-plain") as session:
        (plain,), (drafted,) = session.generate([WALK], PLAIN), session.generate([WALK], DRAFTED)
    assert plain.text == drafted.text
    assert [body["model"] for body in stub.asked] == ["demo-plain", "demo-plain", "demo", "demo"]
    assert session.facts.statement["tags"]["demo"]["draft"] == ["DRAFT drafter.gguf"]  # type: ignore[index, call-overload]


def test_a_tag_that_stayed_loaded_keeps_no_prompt_either(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with opened(server[0], plain_model="demo-plain") as session:
        for request in (PLAIN, DRAFTED, PLAIN):
            session.generate([WALK], request)
    assert prompts_asked(stub)[-3:] == ["unload", asking.DROPPED, WALK.text]
    assert prompts_asked(stub).count("unload") == 1


def test_a_runner_that_dies_in_the_middle_is_a_failure(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with opened(server[0]) as session:
        session.generate([WALK], PLAIN)
        stub.break_off = True
        with pytest.raises(RuntimeError, match="llama runner process has terminated"):
            session.generate([COPY], PLAIN)


def test_a_tag_that_is_not_there_is_named(server: tuple[str, Stub, Path], stub: Stub) -> None:
    with (
        pytest.raises(UsageError, match=r"no model 'gemma4:x' \(.*not found\); ollama pull gemma4:x"),
        opened(server[0], plain_model="gemma4:x"),
    ):
        pass


def test_no_server_is_said_with_what_to_do() -> None:
    with (
        pytest.raises(UsageError, match=r"no Ollama server at http://127\.0\.0\.1:9 .*ollama serve"),
        opened("http://127.0.0.1:9"),
    ):
        pass


def test_starting_one_needs_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.ollama_server.attaching.shutil.which", lambda name: None)
    engine = EngineConfig(options={"start": True})
    with pytest.raises(UsageError, match="there is no program ollama on PATH"), Adapter().open(PAIR, engine):
        pass


def test_another_draft_method_cannot_be_chosen() -> None:
    engine = EngineConfig(methods=("eagle3",))
    with pytest.raises(UsageError, match="no draft method 'eagle3' to choose"), Adapter().open(PAIR, engine):
        pass


def test_the_probe_says_whether_a_server_answers(
    server: tuple[str, Stub, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server[0])
    assert Adapter().probe().version == "0.33.0-stub"
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    found = Adapter().probe()
    assert (found.version, found.reason) == (None, "no server answers at http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:x")
    assert not Adapter().probe().usable
