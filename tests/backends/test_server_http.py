"""Streamed answers of a real HTTP server: times, the last event, error events, disconnects."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends.server import http, process
from backends.server.stream import JsonLines

FAKE = Path(__file__).with_name("fake_server.py")


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with (
        process.started("fake", lambda port: [sys.executable, str(FAKE), str(port), "fine"]) as up,
        http.client(up.url) as client,
    ):
        yield client


def stream(to: httpx.Client, *pieces: str, **settings: Any) -> list[http.Timed]:
    return [*http.events(to, "/stream", {"pieces": pieces}, **settings)]


def test_events_carry_the_time_they_came(server: httpx.Client) -> None:
    first, second = stream(server, 'data: {"a": 1}\n\n', "-", 'data: {"a"', "-", ": 2}\n\n", "data: [DONE]\n\n", ".")
    assert (first.data, second.data) == ({"a": 1}, {"a": 2})
    assert second.ns - first.ns > 80_000_000


def test_the_last_event_ends_an_answer_that_says_no_done(server: httpx.Client) -> None:
    found = stream(server, 'data: {"stop": false}\n\n', 'data: {"stop": true}\n\n', ".", last=lambda e: e["stop"])
    assert [event.data["stop"] for event in found] == [False, True]


def test_keep_alives_and_lines_of_json_are_read_too(server: httpx.Client) -> None:
    assert [e.data for e in stream(server, ": ping\n\n", "data: {}\n\n", "data: [DONE]\n\n", ".")] == [{}]
    found = stream(server, '{"done": false}\n{"do', 'ne": true}\n', ".", last=lambda e: e["done"], parser=JsonLines)
    assert [event.data["done"] for event in found] == [False, True]


@pytest.mark.parametrize("end", ["!", "."])
def test_an_answer_that_ends_before_its_last_event_is_an_error(server: httpx.Client, end: str) -> None:
    with pytest.raises(RuntimeError, match=r"POST /stream: the (connection broke|answer ended before)"):
        stream(server, 'data: {"a": 1}\n\n', end)


def test_done_does_not_stand_for_the_event_that_completes_an_answer(server: httpx.Client) -> None:
    with pytest.raises(RuntimeError, match="ended before its last event"):
        stream(server, "data: {}\n\n", "data: [DONE]\n\n", ".", last=lambda event: "stop" in event)


@pytest.mark.parametrize(
    "event",
    ['data: {"error": {"message": "out of\\nslots", "code": 500}}', 'event: error\ndata: {"message": "out of slots"}',
     'data: {"error": "out of slots"}'],
)  # fmt: skip
def test_an_error_event_is_raised_in_the_server_s_words(server: httpx.Client, event: str) -> None:
    with pytest.raises(RuntimeError, match=r"POST /stream: the server broke off: out of slots$"):
        stream(server, "data: {}\n\n", f"{event}\n\n", ".")


def test_an_event_that_is_no_json_is_an_error(server: httpx.Client) -> None:
    with pytest.raises(RuntimeError, match="POST /stream: not JSON"):
        stream(server, "data: {\n\n", ".")


def test_a_refusal_is_one_line_with_the_server_s_words(server: httpx.Client) -> None:
    with pytest.raises(RuntimeError, match=r"^POST /refuse: 400 no such thing$"):
        http.post(server, "/refuse", {})
    with pytest.raises(RuntimeError, match=r"^POST /refuse: 400 no such thing$"):
        [*http.events(server, "/refuse", {})]


def test_a_server_that_is_not_there_is_an_error() -> None:
    with http.client("http://127.0.0.1:9") as nobody, pytest.raises(RuntimeError, match="GET /x: no answer"):
        http.get(nobody, "/x")


def test_answers_are_read_as_json(server: httpx.Client) -> None:
    assert http.post(server, "/echo", {"é": [1]}) == {"é": [1]}


@pytest.mark.parametrize(("keep", "connections"), [(True, 1), (False, 3)])
def test_a_connection_is_used_again_only_where_asked_for(server: httpx.Client, keep: bool, connections: int) -> None:
    with http.client(str(server.base_url), keep_alive=keep) as client:
        assert len({http.post(client, "/who", {})["port"] for _ in range(3)}) == connections
