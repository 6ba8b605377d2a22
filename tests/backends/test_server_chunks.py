"""Arrivals of a streamed text, whether its tokens are counted on the way or only in the end."""

import pytest

from backends.server.chunks import Chunks
from results.records import Arrival


def test_the_server_s_own_counts_are_taken_as_they_are() -> None:
    chunks = Chunks(100)
    for ns, tokens in ((110, 1), (120, 4), (130, 4), (140, 6)):
        chunks.add(ns, "text", tokens)
    assert chunks.arrivals(6) == (Arrival(10, 1), Arrival(20, 4), Arrival(40, 6))
    assert chunks.counted


def test_a_token_without_text_is_a_chunk_where_it_is_counted() -> None:
    chunks = Chunks(0)
    chunks.add(5, "", 1)
    chunks.add(6, "é", 2)
    assert chunks.arrivals(2) == (Arrival(5, 1), Arrival(6, 2))


def test_uncounted_chunks_bring_one_token_each_and_the_last_one_the_rest() -> None:
    chunks = Chunks(0)
    for ns, text in ((1, ""), (5, "a"), (7, "bcd"), (9, "e"), (10, "")):
        chunks.add(ns, text, None)
    chunks.add(11, "", 9)
    assert chunks.arrivals(9) == (Arrival(5, 1), Arrival(7, 2), Arrival(9, 9))
    assert not chunks.counted


def test_more_chunks_than_tokens_keep_the_time_of_the_last() -> None:
    chunks = Chunks(0)
    for ns in (1, 2, 3):
        chunks.add(ns, "x", None)
    assert chunks.arrivals(2) == (Arrival(1, 1), Arrival(2, 1), Arrival(3, 2))


def test_nothing_that_arrived_is_nothing() -> None:
    assert Chunks(0).arrivals(3) == ()


def test_counts_that_the_server_takes_back_are_an_error() -> None:
    chunks = Chunks(0)
    chunks.add(1, "a", 5)
    with pytest.raises(RuntimeError, match="streamed 5 tokens and then speaks of 4"):
        chunks.arrivals(4)
