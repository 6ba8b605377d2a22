"""An API key gets to the server, and nowhere else: not into a message, a log, or what is stored."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stubs.http_server import DONE, Answer, event, serving

from backends.openai import Adapter
from backends.protocol import Generate, Open
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair, Prompt, Request

KEY = "sk-9f3b-this-must-not-be-seen"
PAIR = Pair("m", "m", None)
PROMPT = Prompt("p", "w", "c", None, "def")


def completions(headers, body) -> Answer:  # type: ignore[no-untyped-def]
    given = (headers.get("Authorization") or "").removeprefix("Bearer ")
    if given != KEY:
        return 401, {"error": {"message": f"Incorrect API key provided: {given}"}}
    if body["prompt"] == "refuse":
        return 500, f"<html>{'x' * 380} {given} {'x' * 50}</html>"
    if body["prompt"] == "break":
        return iter([event({"error": {"message": f"quota of {given} is used up"}})])
    choice = {"index": 0, "text": "a", "finish_reason": "length"}
    return iter([event({"choices": [choice], "usage": {"completion_tokens": 1, "prompt_tokens": 1}}), DONE])


@pytest.fixture
def url() -> Iterator[str]:
    with serving({"POST /v1/completions": completions}) as found:
        yield found


def engine(url: str, **more: Json) -> EngineConfig:
    return EngineConfig(draft=Draft("mtp", 4), options={"url": url, "plain_url": "http://127.0.0.1:9", **more})


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "MY_KEY"])
def test_the_key_is_sent_and_not_told(url: str, variable: str, tmp_path: Path) -> None:
    own: dict[str, Json] = {"draft_length": 4} | ({"key_env": variable} if variable == "MY_KEY" else {})
    environment = {**worker_environment(os.environ, 1), variable: KEY}
    said = []
    with Worker("openai", tmp_path / "log", environment) as worker:
        facts = worker.ask(Open(PAIR, engine(url, **own)), 60)
        reply = worker.ask(Generate((PROMPT,), Request(1)), 60)
        for order in ("refuse", "break"):
            with pytest.raises(CallFailed) as caught:
                worker.ask(Generate((dataclasses.replace(PROMPT, text=order),), Request(1)), 60)
            said += [caught.value.failure.message, caught.value.failure.detail]
    assert reply.generations[0].text == "a"
    told = [repr(facts), repr(reply), *said, (tmp_path / "log").read_text()]
    assert not any("this-must-not" in text for text in told)
    assert "quota of [API key] is used up" in said[2]


def test_a_wrong_key_is_refused_in_words_that_do_not_quote_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    with (
        pytest.raises(UsageError, match=r"401 Incorrect API key provided: \[API key\]") as caught,
        Adapter().open(PAIR, engine(url, draft_length=4)),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_a_key_that_is_named_and_not_there_is_said_by_its_name(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with (
        pytest.raises(UsageError, match="environment variable MY_KEY, which should hold the API key, is not set"),
        Adapter().open(PAIR, engine(url, draft_length=4, key_env="MY_KEY")),
    ):
        pass


@pytest.mark.parametrize("value", ["sk-secret\r\nX-Header: 1", "sk-sécret"])
def test_what_can_be_no_key_is_refused_unquoted(url: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", value)
    with (
        pytest.raises(UsageError, match="MY_KEY holds characters that no API key can have") as caught,
        Adapter().open(PAIR, engine(url, draft_length=4, key_env="MY_KEY")),
    ):
        pass
    assert "cret" not in str(caught.value)
