"""Talking to a server: one client, plain answers, and streamed ones with the time of every event.

A failure is a RuntimeError of one line that says what was asked (method and path), never with which headers; a server
that quotes the API key in its own words has it blotted out.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from backends.server.stream import Event, JsonLines, ServerSentEvents
from results.errors import UsageError

Payload = dict[str, Any]

DONE = "[DONE]"
"""OpenAI's last event."""
IDLE = 2.0
"""Seconds after which a connection is not used again: servers hang up after 5, and a request may cross that."""
SILENCE = 600.0
"""Seconds without a byte after which an answer is given up."""


class Timed(NamedTuple):
    """An event of a streamed answer."""

    ns: int
    """`time.perf_counter_ns` when its last byte was read."""
    data: Payload


def client(
    url: str, *, key_variable: str | None = None, silence: float = SILENCE, keep_alive: bool = False
) -> httpx.Client:
    """A client for the server at `url`; close it, or use it in a `with` block.

    key_variable: the environment variable with the API key; nothing else is taken from the environment (no proxies).
    keep_alive: use a connection for more than one request. It saves a handshake, which counts where a server is far
    away; but a server may close it at the very moment it is used again, as llama.cpp's does after every stream.
    Raises UsageError where that variable is not set, or holds what cannot be a key.
    """
    headers = {}
    if key_variable is not None:
        key = os.environ.get(key_variable, "").strip()
        if not key:
            raise UsageError(f"the environment variable {key_variable}, which should hold the API key, is not set")
        if not (key.isascii() and key.isprintable()):  # httpx would quote it in its error
            raise UsageError(f"the environment variable {key_variable} holds characters that no API key can have")
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None if keep_alive else 0)
    timeout = httpx.Timeout(silence, connect=10.0)
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, limits=limits, trust_env=False)


def get(to: httpx.Client, path: str) -> str:
    """The text at `path`. Raises RuntimeError."""
    return _asked(to, "GET", path, None).text


def get_json(to: httpx.Client, path: str) -> Payload:
    return _json(to, f"GET {path}", get(to, path))


def act(to: httpx.Client, path: str) -> str:
    """What a POST without a body answers. Raises RuntimeError."""
    return _asked(to, "POST", path, None).text


def post(to: httpx.Client, path: str, body: Mapping[str, Any]) -> Payload:
    """The JSON object that the server answers. Raises RuntimeError."""
    return _json(to, f"POST {path}", _asked(to, "POST", path, body).text)


def events(
    to: httpx.Client,
    path: str,
    body: Mapping[str, Any],
    *,
    last: Callable[[Payload], bool] | None = None,
    parser: type[ServerSentEvents] | type[JsonLines] = ServerSentEvents,
) -> Iterator[Timed]:
    """The events of a streamed POST, each with its time of arrival, up to the last one; given once all have come.

    last: tells the event that completes the answer, which is yielded; without it, `[DONE]` is (and always ends).
    Raises RuntimeError on a refusal, on an error event, and where the stream ends before its last event.
    """
    what = f"POST {path}"
    arrived, broken = _recorded(to, path, body)
    for now, event in _parsed(arrived, parser()):
        if event.data == DONE:
            if last is None:
                return
            break
        data = _payload(to, what, event)
        yield Timed(now, data)
        if last is not None and last(data):
            return
    if broken is not None:
        raise RuntimeError(f"{what}: the connection broke ({type(broken).__name__}: {broken})") from broken
    raise RuntimeError(f"{what}: the answer ended before its last event")


def _recorded(
    to: httpx.Client, path: str, body: Mapping[str, Any]
) -> tuple[list[tuple[int, bytes]], httpx.TransportError | None]:
    """The bytes of a streamed answer with their times, and what broke it off, if anything did.

    Nothing is parsed while they come: on few cores that would take time from the engine, at every token.
    """
    arrived: list[tuple[int, bytes]] = []
    try:
        with to.stream("POST", path, json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                said = _blotted(to, answer.read().decode("utf-8", "replace"))
                raise RuntimeError(_blotted(to, refusal(f"POST {path}", answer.status_code, said)))
            for chunk in answer.iter_bytes():
                arrived.append((time.perf_counter_ns(), chunk))
    except httpx.TransportError as error:
        return arrived, error
    return arrived, None


def _parsed(arrived: list[tuple[int, bytes]], stream: ServerSentEvents | JsonLines) -> Iterator[tuple[int, Event]]:
    """An event has the time of the chunk that completed it."""
    for now, chunk in arrived:
        for event in stream.feed(chunk):
            yield now, event
    if arrived:
        for event in stream.end():
            yield arrived[-1][0], event


def refusal(what: str, status: int, text: str) -> str:
    """One line: what was asked, the status, and the server's own words, wherever it hides them."""
    try:
        said = json.loads(text)
    except ValueError:
        return f"{what}: {status} {_line(text)}"
    return f"{what}: {status} {_line(_words(said))}"


def _payload(to: httpx.Client, what: str, event: Event) -> Payload:
    data = _json(to, what, event.data)
    if event.name == "error" or data.get("error"):
        raise RuntimeError(_blotted(to, f"{what}: the server broke off: {_line(_words(data))}"))
    return data


def _words(said: Any) -> str:
    """The message in the error shapes of OpenAI, llama.cpp, vLLM, Ollama and FastAPI; else all of it."""
    while isinstance(said, dict) and (inner := said.get("error") or said.get("message") or said.get("detail")):
        said = inner
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _asked(to: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
    try:
        answer = to.request(method, path, json=body)
    except httpx.TransportError as error:
        raise RuntimeError(f"{method} {path}: no answer ({type(error).__name__}: {error})") from error
    if answer.status_code != httpx.codes.OK:
        said = _blotted(to, answer.text)  # before it is cut to length, and again once it is unescaped
        raise RuntimeError(_blotted(to, refusal(f"{method} {path}", answer.status_code, said)))
    return answer


def _json(to: httpx.Client, what: str, text: str) -> Payload:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RuntimeError(_blotted(to, f"{what}: not JSON ({error}): {_line(text)}")) from error
    if not isinstance(data, dict):
        raise RuntimeError(_blotted(to, f"{what}: no JSON object: {_line(text)}"))
    return data


def _blotted(to: httpx.Client, message: str) -> str:
    key = to.headers.get("Authorization", "").removeprefix("Bearer ")
    return message.replace(key, "[API key]") if key else message


def _line(text: str) -> str:
    return " ".join(text.split())[:400] or "(no words)"
