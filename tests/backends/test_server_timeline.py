"""Token ids per event become arrivals; a batch becomes requests side by side."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.server.timeline import Timeline
from backends.server.together import together
from results.records import Arrival, Request

CHUNKS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=8)


@given(CHUNKS)
def test_new_tokens_and_all_so_far_give_the_same_arrivals(chunks: list[list[int]]) -> None:
    new, whole, so_far = Timeline(100), Timeline(100), []
    for step, chunk in enumerate(chunks):
        so_far = [*so_far, *chunk]
        new.add(100 + step, chunk)
        whole.reach(100 + step, so_far)
    assert new.ids == whole.ids == so_far
    assert new.arrivals == whole.arrivals
    assert [arrival.tokens for arrival in new.arrivals] == sorted({arrival.tokens for arrival in new.arrivals})
    if so_far:
        assert new.arrivals[-1].tokens == len(so_far)


def test_times_count_from_when_the_request_was_sent() -> None:
    timeline = Timeline(1_000)
    timeline.add(1_500, [])
    timeline.add(2_000, [7, 8])
    assert timeline.arrivals == (Arrival(1_000, 2),)


def test_a_stream_that_takes_tokens_back_is_an_error() -> None:
    timeline = Timeline(0)
    timeline.reach(1, [1, 2])
    with pytest.raises(RuntimeError, match="changed tokens"):
        timeline.reach(2, [1, 3, 4])
    with pytest.raises(RuntimeError, match="changed tokens"):
        timeline.reach(2, [1])


def test_requests_run_at_the_same_time_and_answer_in_order() -> None:
    all_here = threading.Barrier(3)

    def ask(item: int, _: Request) -> int:
        all_here.wait(5)  # passes only if all three are in flight
        return item * 10

    assert together(ask, [1, 2, 3], Request(8)) == [10, 20, 30]


def test_one_request_runs_in_the_calling_thread() -> None:
    assert together(lambda item, _: threading.get_ident(), ["a"], Request(8)) == [threading.get_ident()]


def test_the_first_failure_is_raised_once_all_have_ended() -> None:
    ended = []

    def ask(item: int, _: Request) -> int:
        if item == 2:
            raise RuntimeError("request 2")
        ended.append(item)
        return item

    with pytest.raises(RuntimeError, match="request 2"):
        together(ask, [1, 2, 3], Request(8))
    assert sorted(ended) == [1, 3]


def test_no_request_gives_no_answer() -> None:
    assert together(lambda item, _: item, [], Request(8)) == []


def test_a_closed_loop_keeps_so_many_in_flight_and_sends_in_order() -> None:
    flying, most, sent = 0, 0, []
    lock = threading.Lock()

    def ask(item: int, _: Request) -> int:
        nonlocal flying, most
        with lock:
            flying, most = flying + 1, max(most, flying + 1)
            sent.append(item)
        time.sleep(0.02)
        with lock:
            flying -= 1
        return -item

    assert together(ask, [*range(12)], Request(8, in_flight=3)) == [-item for item in range(12)]
    assert most == 3
    assert sorted(sent[:3]) == [0, 1, 2]
    assert all(abs(item - place) < 3 for place, item in enumerate(sent))


def test_each_prompt_is_asked_for_by_itself_and_the_first_end_one_after_the_other() -> None:
    asked = together(lambda _, request: request, [*range(6)], Request(10, in_flight=2, staggered=4))
    assert asked == [Request(tokens) for tokens in (3, 5, 8, 10, 10, 10)]
    assert together(lambda _, request: request, ["a"], Request(10)) == [Request(10)]
