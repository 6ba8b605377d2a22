"""Where an Ollama server is, what it is asked, and what its answers are worth."""

from pathlib import Path
from typing import Any

import pytest

from backends.ollama_server import asking, places
from backends.ollama_server.log import Told
from backends.ollama_server.reading import Answer
from results.errors import UsageError
from results.records import Arrival, Draft, DraftCounts, EngineConfig, Generation, Json, Pair, Prompt, Request, Sampling

PAIR = Pair("gemma4", "gemma4:e4b", None)
TEXT = Prompt("p", "w", "c", None, "def")
K4 = Draft("mtp", 4)


def place(**options: Json) -> places.Place:
    return places.place(PAIR, EngineConfig(options=options), {})


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("box:8080", "http://box:8080"),
        ("https://box", "https://box:443"),
        ("http://box/ollama/", "http://box:11434/ollama"),
        ("[::1]:99", "http://[::1]:99"),
        ("  'box' ", "http://box:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(value: str, url: str) -> None:
    assert places.host(value) == url


def test_options_go_before_the_environment(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.touch()
    found = places.place(
        PAIR, EngineConfig(options={"url": "http://a:1", "log": str(log)}), {"OLLAMA_HOST": "http://b:2"}
    )
    assert (found.url, found.log, found.context) == ("http://a:1", log, places.CONTEXT)
    assert places.place(PAIR, EngineConfig(), {"OLLAMA_HOST": "http://b:2"}).url == "http://b:2"
    assert places.place(PAIR, EngineConfig(max_context=1000), {}).context == 1000 + places.MARGIN


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"log": "/nowhere/server.log"}, r"ollama\.log: no such file"),
        ({"start": True, "url": "http://a:1"}, "give one of them"),
        ({"plain_model": "gemma4:e4b"}, "name one without a drafter"),
        ({"modell": "x"}, "no option 'modell'"),
        ({"num_ctx": "big"}, r"ollama\.num_ctx: expected a whole number"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, Json], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        place(**options)


def test_a_request_says_everything() -> None:
    asked = asking.generate(place(), TEXT, Request(32, K4, Sampling(0.7, 40, 0.9, 5)), 2)
    options: Any = asked["options"]
    assert (asked["model"], asked["prompt"], asked["raw"], asked["keep_alive"]) == ("gemma4:e4b", "def", True, "10m")
    assert (options["draft_num_predict"], options["num_predict"], options["num_thread"]) == (4, 32, 2)
    assert (options["temperature"], options["top_k"], options["top_p"], options["seed"]) == (0.7, 40, 0.9, 5)
    assert (options["repeat_penalty"], options["min_p"]) == (1.0, 0.0)


def test_the_plain_arm_switches_drafts_off_or_is_another_tag() -> None:
    """Not left out: a Modelfile's own draft_num_predict would hold."""
    plain: Any = asking.generate(place(), TEXT, Request(32), None)
    assert (plain["model"], plain["options"]["draft_num_predict"]) == ("gemma4:e4b", 0)
    two = place(plain_model="gemma4:e4b-plain")
    assert asking.generate(two, TEXT, Request(32), None)["model"] == "gemma4:e4b-plain"
    assert asking.generate(two, TEXT, Request(32, K4), None)["model"] == "gemma4:e4b"
    assert asking.unload(two, None) == {"model": "gemma4:e4b-plain", "keep_alive": 0, "stream": False}


def test_what_ollama_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot run past the end of text"):
        asking.generate(place(), TEXT, Request(8, ignore_eos=True), None)
    with pytest.raises(ValueError, match="takes text"):
        asking.generate(place(), Prompt("p", "w", "c", (1, 2), None), Request(8), None)


LAST = {"done": True, "done_reason": "length", "eval_count": 6, "prompt_eval_count": 14, "load_duration": 900}


def read(draft: Draft | None = None, told: Told | None = None, context: int = 4096, **last: Any) -> Generation:
    answer = Answer(sent=0)
    for ns, text in ((10, "a"), (20, "bc"), (30, "d")):
        answer.take(ns, {"response": text, "done": False})
    answer.take(31, {"response": "", **LAST, **last})
    return answer.generation(draft, told, context)


def test_tokens_are_counted_by_the_server_and_not_by_chunks() -> None:
    seen = read()
    assert (seen.n_tokens, seen.token_ids, seen.text, seen.prompt_tokens) == (6, None, "abcd", 14)
    assert seen.arrivals == (Arrival(10, 1), Arrival(20, 2), Arrival(30, 6))
    assert (seen.finish_reason, seen.counts, seen.cached_tokens) == ("length", None, None)


def test_counts_come_from_the_log_alone() -> None:
    told = Told(DraftCounts(None, 9, 3), 14)
    assert read(K4, told).counts == DraftCounts(None, 9, 3)
    assert read(None, told).counts == DraftCounts(None, 9, 3)  # a plain arm that drafts is to be seen
    assert read(K4, Told(DraftCounts(None, 0, 0), 14)).counts == DraftCounts(None, 0, 0)
    assert read(None, Told(DraftCounts(None, 0, 0), 14)).counts is None
    assert read(K4, Told(None, None)).counts is None


def test_prompt_tokens_from_the_cache_are_what_was_not_computed() -> None:
    assert read(told=Told(None, 14)).cached_tokens == 0
    assert read(told=Told(None, 13)).cached_tokens == 0  # <bos>, which every prompt begins with
    assert read(told=Told(None, 4)).cached_tokens == 10


def test_a_prompt_that_may_have_been_cut_is_a_failure() -> None:
    with pytest.raises(RuntimeError, match=r"fill the context of 20, .* -o ollama\.num_ctx=40"):
        read(context=20)


def test_an_answer_without_a_count_is_a_failure() -> None:
    with pytest.raises(RuntimeError, match="no eval_count"):
        read(eval_count=None)
