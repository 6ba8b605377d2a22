"""Streams: the same events however the bytes were cut."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.server.stream import Event, JsonLines, ServerSentEvents

ENDS = ("\n", "\r\n", "\r")
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
DATA = st.lists(TEXT, min_size=1, max_size=3)
"""Lines of one event."""
NAME = st.sampled_from(["", "error", "chunk"])


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def read(parser: ServerSentEvents | JsonLines, pieces: Sequence[bytes]) -> list[Event]:
    return [*(event for piece in pieces for event in parser.feed(piece)), *parser.end()]


@given(
    st.lists(st.tuples(DATA, NAME, st.booleans()), max_size=5), st.sampled_from(ENDS), st.lists(st.integers(0, 400)),
    st.booleans(),
)  # fmt: skip
def test_events_are_the_same_however_their_bytes_were_cut(
    events: list[tuple[list[str], str, bool]], end: str, places: list[int], last_blank: bool
) -> None:
    lines: list[str] = []
    for data, name, kept_alive in events:
        lines += [": ping", "id: 7", "retry: 10"] if kept_alive else []
        lines += [f"event: {name}"] if name else []
        lines += [f"data: {line}" for line in data]
        lines.append("")
    if not last_blank:
        lines = lines[:-1]
    stream = "".join(line + end for line in lines).encode()
    expected = [Event("\n".join(data), name or "message") for data, name, _ in events]
    assert read(ServerSentEvents(), cut(stream, places)) == expected


@given(
    st.lists(st.dictionaries(TEXT, TEXT, max_size=2).map(str), max_size=5), st.lists(st.integers(0, 400)), st.booleans()
)
def test_json_lines_are_the_same_however_their_bytes_were_cut(
    lines: list[str], places: list[int], last_end: bool
) -> None:
    stream = "\n".join(lines) + ("\n" if last_end else "")
    assert read(JsonLines(), cut(stream.encode(), places)) == [Event(line) for line in lines if line.strip()]


@pytest.mark.parametrize("place", range(1, 26))
def test_a_cut_inside_a_character_changes_nothing(place: int) -> None:
    stream = 'data: {"é": "🌍"}\r\n\r\n'.encode()
    assert read(ServerSentEvents(), [stream[:place], stream[place:]]) == [Event('{"é": "🌍"}')]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    parser = ServerSentEvents()
    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\n") == [Event("1")]


def test_a_carriage_return_at_the_end_of_a_chunk_waits_for_its_line_feed() -> None:
    parser = ServerSentEvents()
    assert parser.feed(b"data: 1\r\n\r") == []
    assert parser.feed(b"\ndata: 2\r\n\r\n") == [Event("1"), Event("2")]


def test_comments_unknown_fields_and_a_byte_order_mark_are_no_data() -> None:
    stream = b"\xef\xbb\xbf: hello\n\nfoo: bar\ndata\n\nevent: lonely\n\ndata:x\n\n"
    assert read(ServerSentEvents(), [stream]) == [Event(""), Event("x")]


def test_bytes_that_are_no_text_are_replaced_and_break_nothing() -> None:
    assert read(ServerSentEvents(), [b"data: \xff\n\n"]) == [Event("\ufffd")]
