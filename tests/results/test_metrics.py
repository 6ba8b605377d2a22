"""Latencies and lengths, against figures worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.metrics import Timing, distinct_4grams, natural_lengths, quantiles, row_timings, timing, tokens_per_s
from results.records import Arrival, Generation

MS = 1_000_000
EOS = (1, 6)


def row(*arrivals: tuple[int, int], ids: list[int] | None = None) -> Generation:
    """A generation whose chunks came at (milliseconds, tokens so far)."""
    n = arrivals[-1][1] if arrivals else 0
    ids = ids if ids is not None else list(range(100, 100 + n))
    return Generation(n, tuple(ids), None, tuple(Arrival(ms * MS, tokens) for ms, tokens in arrivals))


def timed(*rows: Generation) -> Timing:
    found = timing(rows, EOS)
    assert found is not None
    return found


def test_tpot_is_the_time_after_the_first_chunk_per_token_after_it() -> None:
    found = timed(row((20, 1), (50, 3), (80, 5)))
    assert found.tpot_ns == 15 * MS  # (80 - 20) / (5 - 1)
    assert found.ttft_ns == 20 * MS
    assert found.e2e_ns == found.wall_ns == 80 * MS
    assert found.inter_chunk_ns == 30 * MS


def test_tokens_of_a_first_chunk_are_not_decoded() -> None:
    assert timed(row((20, 3), (80, 5))).tpot_ns == 30 * MS


def test_one_chunk_has_no_tpot() -> None:
    found = timed(row((20, 5)))
    assert found.tpot_ns is None
    assert found.inter_chunk_ns is None
    assert (found.e2e_ns, found.tokens) == (20 * MS, 5)


def test_what_follows_the_natural_end_is_left_out() -> None:
    # The end-of-sequence token is the fourth; it came with the chunk at 80 ms, which brought two more behind it.
    found = timed(row((20, 1), (50, 3), (80, 6), (110, 9), ids=[9, 9, 9, 6, 9, 9, 9, 1, 9]))
    assert found.tpot_ns == 20 * MS  # (80 - 20) / (4 - 1)
    assert found.e2e_ns == 80 * MS
    assert found.tokens == 4


def test_an_end_in_the_first_chunk_leaves_no_tpot() -> None:
    assert timed(row((20, 2), (50, 4), ids=[9, 1, 9, 9])).tpot_ns is None


def test_a_chunk_without_a_new_token_is_no_chunk() -> None:
    found = timed(row((5, 0), (20, 1), (30, 1), (50, 2)))
    assert (found.ttft_ns, found.tpot_ns, found.gaps) == (20 * MS, 30 * MS, 1)


def test_where_chunks_are_uncounted_all_tokens_were_decoded_after_the_prefill() -> None:
    uncounted = Generation(
        10, None, "text", tuple(Arrival(ms * MS, n) for ms, n in ((20, 0), (30, 1), (40, 2), (70, 10)))
    )
    found = timed(uncounted)
    assert (found.ttft_ns, found.decode_ns, found.decode_tokens) == (30 * MS, 50 * MS, 10)
    assert found.tpot_ns == 5 * MS
    assert found.inter_chunk_ns == 50 * MS / 3
    assert found.e2e_ns == 70 * MS
    with_ids = replace(uncounted, token_ids=(5,) * 10)
    assert timed(with_ids).tpot_ns == 40 * MS / 9


def test_nothing_that_arrived_gives_no_timing() -> None:
    assert timing([Generation(3, (5, 6, 7), None, ())], EOS) is None


def test_a_batch_pools_the_decode_time_of_its_rows() -> None:
    found = timed(row((20, 1), (60, 5)), row((30, 1), (90, 5)), row((25, 2)))
    assert found.tpot_ns == 12.5 * MS  # (40 + 60) / (4 + 4); the third row decoded nothing
    assert found.ttft_ns == 25 * MS
    assert found.wall_ns == 90 * MS
    assert found.tokens == 12


def test_rows_in_lockstep_have_the_tpot_of_a_step() -> None:
    assert timed(*[row((20, 1), (30, 2), (40, 3))] * 4).tpot_ns == 10 * MS


def test_throughput_is_all_tokens_over_all_wall_time() -> None:
    found = [timed(row((20, 1), (60, 5)), row((20, 1), (40, 3))), timed(row((40, 2)))]
    assert tokens_per_s(found) == pytest.approx((5 + 3 + 2) / 0.100)
    assert tokens_per_s([]) is None


def test_without_an_end_token_a_generation_ends_with_its_last_token() -> None:
    ids = np.array([5, 1, 5, 7, 8, 9])
    assert natural_lengths(ids, np.array([3, 3]), EOS).tolist() == [2, 3]
    assert natural_lengths(ids, np.array([3, 3]), ()).tolist() == [3, 3]


def test_distinct_4grams_are_counted_row_by_row() -> None:
    looping = [1, 2, 3, 4, 1, 2, 3, 4, 1]  # 1234 2341 3412 4123 1234 2341
    ids = np.array([*looping, *looping[:4], 7, 8])
    lengths = np.array([9, 4, 2])
    shares = distinct_4grams(ids, lengths, lengths)
    assert shares[:2].tolist() == [pytest.approx(4 / 6), 1.0]
    assert np.isnan(shares[2])


def test_4grams_past_the_natural_end_do_not_count() -> None:
    ids = np.array([1, 2, 3, 4, 5, 5, 5, 5, 5, 5])
    assert distinct_4grams(ids, np.array([10]), np.array([5])).tolist() == [1.0]


@settings(max_examples=200)
@given(st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=6), max_size=5), st.integers(1, 12))
def test_many_rows_at_once_are_timed_like_each_alone(gaps: list[list[tuple[int, int]]], natural: int) -> None:
    rows = [np.cumsum(np.array(one, dtype=np.int64).reshape(-1, 2), axis=0) for one in gaps]
    together = row_timings(
        np.concatenate([one[:, 0] for one in rows] or [np.empty(0, np.int64)]),
        np.concatenate([one[:, 1] for one in rows] or [np.empty(0, np.int64)]),
        np.array([len(one) for one in rows], dtype=np.int64),
        np.full(len(rows), natural),
        np.zeros(len(rows), dtype=np.bool_),
    )
    for i, one in enumerate(rows):
        chunks, so_far = [], 0
        for ns, tokens in one.tolist():
            if tokens > so_far and so_far < natural:
                chunks.append((ns, tokens))
            so_far = max(so_far, tokens)
        assert together.chunks[i] == len(chunks)
        if chunks:
            (first_ns, first_tokens), (last_ns, last_tokens) = chunks[0], chunks[-1]
            end = min(last_tokens, natural)
            assert together.ttft_ns[i] == first_ns
            assert together.decode_ns[i] == last_ns - first_ns
            assert together.decode_tokens[i] == max(end - first_tokens, 0)
            assert together.tokens[i] == end


@pytest.mark.parametrize("size", [1, 2, 3, 10, 101])
def test_quantiles_are_numpy_s_own(size: int) -> None:
    values = np.random.default_rng(size).normal(size=size)
    assert quantiles(values, 0.1, 0.5, 0.9) == pytest.approx(np.quantile(values, (0.1, 0.5, 0.9)).tolist())
    assert quantiles(values, 0.5) == pytest.approx([float(np.median(values))])


# --------------------------------------------------------------------------------------------------- closed loops


def of_loop(*durations_ms: int) -> list[Generation]:
    """Requests of 1 + 10 tokens each, the first token after 5 ms, the others until the end."""
    return [
        Generation(11, tuple(range(100, 111)), None, (Arrival(5_000_000, 1), Arrival(1_000_000 * ms, 11)))
        for ms in durations_ms
    ]


def test_of_a_closed_loop_the_first_and_last_requests_are_not_timed() -> None:
    rows = of_loop(999, 999, 25, 35, 45, 55, 6, 6)
    found = timing(rows, EOS, in_flight=2)
    assert found == timing(rows[2:6], EOS)._replace(wall_ns=(25 + 35 + 45 + 55) * 1_000_000 / 2)  # type: ignore[union-attr]
    assert found is not None
    assert found.tpot_ns == pytest.approx((20 + 30 + 40 + 50) * 1e6 / 40)
    assert tokens_per_s([found]) == pytest.approx(44 / 0.080)


def test_a_loop_too_short_to_be_steady_has_no_timing() -> None:
    assert timing(of_loop(10, 10, 10, 10), EOS, in_flight=2) is None


def test_throughput_of_a_loop_is_that_of_its_slots() -> None:
    """Two slots, requests of 10 and 30 ms in turn: in a long run, 2 x 11 tokens every 20 ms."""
    found = timing(of_loop(*[10, 30] * 40), EOS, in_flight=2)
    assert found is not None
    assert tokens_per_s([found]) == pytest.approx(2 * 11 / 0.020, rel=0.01)
