"""Streamed answers, pure: bytes in, events out, however the bytes were cut on their way.

Server-sent events as the WHATWG HTML standard parses them (section 9.2.6: comments, multi-line data, LF, CR, CRLF), and
newline-delimited JSON. Characters are decoded only once a line is complete, so that no cut falls into one.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(rb"\r\n|\n|\r")
_TEXT_LINE = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    data: str
    name: str = "message"
    """The `event:` field."""


class Lines:
    """Bytes -> complete lines, each ended by LF, CR or CRLF."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        held = b"\r" if (self._rest + chunk).endswith(b"\r") else b""  # it may be half of a CRLF
        whole = (self._rest + chunk).removesuffix(held) if held else self._rest + chunk
        *complete, self._rest = _LINE.split(whole)
        self._rest += held
        return [line.decode("utf-8", "replace") for line in complete]

    def rest(self) -> str:
        """What came after the last line's end."""
        return self._rest.decode("utf-8", "replace")


class ServerSentEvents:
    """`text/event-stream`. An event is complete with the blank line after it; comments keep a connection alive."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._data: list[str] = []
        self._name = ""
        self._first = True

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that `chunk` completes."""
        return [event for line in self._lines.feed(chunk) if (event := self._take(line)) is not None]

    def end(self) -> list[Event]:
        """The stream is over: a last event without its blank line still counts, for servers that leave it out."""
        lines = [*_TEXT_LINE.split(self._lines.rest()), ""]
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: str) -> Event | None:
        if self._first:
            self._first, line = False, line.removeprefix("\ufeff")
        if not line:
            event = Event("\n".join(self._data), self._name or "message") if self._data else None
            self._data, self._name = [], ""
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None


class JsonLines:
    """Newline-delimited JSON: one event per line that is not blank."""

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, chunk: bytes) -> list[Event]:
        """Events that `chunk` completes."""
        return [Event(line) for line in self._lines.feed(chunk) if line.strip()]

    def end(self) -> list[Event]:
        """The stream is over: a last line may lack its end."""
        rest = self._lines.rest()
        return [Event(rest)] if rest.strip() else []
