"""Counts of a generation from the one figure that LiteRT-LM logs when an engine is destroyed."""

import pytest

from backends.litertlm.acceptance import NOTHING, UNKNOWN, decoded, stated
from results.records import DraftCounts

K = 4
LOG = b"""I0000 00:00:1795543594.838840    9649 llm_litert_mtp_drafter.cc:298] MTP Drafter - Success rate: 0.408163
INFO: [accelerator_registry.cc:43] DestroyAccelerator: ptr=0x557d945d2470, name=CpuAccelerator
"""


def test_the_rate_is_found_in_the_log() -> None:
    assert stated(LOG) == 0.408163
    assert stated(LOG + b"MTP Drafter - Success rate: 1\n") == 1.0
    assert stated(b"INFO: [accelerator_registry.cc:43] DestroyAccelerator\n") is None


@pytest.mark.parametrize(
    ("rate", "n_tokens", "rounds", "accepted"),
    [(0.540323, 99, 31, 67), (0.72, 98, 25, 72), (0.9375, 96, 20, 75), (0.398649, 97, 37, 59), (0.0, 2, 1, 0)],
)
def test_up_to_the_length_limit_every_token_is_accounted_for(
    rate: float, n_tokens: int, rounds: int, accepted: int
) -> None:
    found = decoded(rate, n_tokens, K, stopped=False)
    assert found.counts == DraftCounts(rounds, rounds * K, accepted)
    assert found.n_tokens == n_tokens == 1 + rounds + accepted


def test_an_end_that_the_target_added_loses_nothing() -> None:
    assert decoded(0.277778, 39, K, stopped=True) == (DraftCounts(18, 72, 20), 39)


def test_an_end_among_the_drafts_is_counted_as_the_plain_arm_counts_it() -> None:
    counts, n_tokens = decoded(0.541667, 18, K, stopped=True)
    assert (counts, n_tokens) == (DraftCounts(6, 24, 13), 19)
    assert 1 + 6 + 13 - n_tokens == 1  # the token after the end


def test_all_of_a_last_round_may_be_lost_but_the_end() -> None:
    assert decoded(0.785714, 25, K, stopped=True) == (DraftCounts(7, 28, 22), 26)


def test_where_two_numbers_of_rounds_fit_nothing_is_known() -> None:
    assert decoded(0.25, 13, K, stopped=True) == (UNKNOWN, 13)


def test_a_first_token_that_ends_the_text_tells_nothing_of_its_round() -> None:
    assert decoded(0.0, 0, K, stopped=True) == (UNKNOWN, 1)


def test_no_stated_rate_is_an_idle_drafter() -> None:
    assert decoded(None, 96, K, stopped=False) == (NOTHING, 96)
    assert decoded(float("nan"), 1, K, stopped=True) == (NOTHING, 1)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_another_draft_length_than_the_real_one_does_not_add_up(k: int) -> None:
    with pytest.raises(RuntimeError, match=f"rounds of {k} drafts"):
        decoded(0.540323, 99, k, stopped=False)


def test_every_possible_generation_is_told_right() -> None:
    for rounds in range(1, 60):
        for accepted in range(rounds * K + 1):
            rate = float(f"{accepted / (rounds * K):.6g}")
            expected = DraftCounts(rounds, rounds * K, accepted)
            assert decoded(rate, 1 + rounds + accepted, K, stopped=False) == (expected, 1 + rounds + accepted)
