"""What vLLM says, as records: rounds and totals from its counters, scores from its logits, reasons from its output."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.vllm_server import counters, refusals, rounds, scoring
from results.records import Arrival, DraftCounts, Round, Sampling


def told(accepted: list[int], k: int = 4) -> dict[str, Any]:
    """`metrics.speculative_decoding` of vLLM 0.32.0."""
    return {
        "mean_acceptance_length": 1 + sum(accepted) / max(len(accepted), 1),
        "draft_acceptance_rate": 0.5,
        "acceptance_histogram": [accepted.count(j) for j in range(k + 1)],
        "num_spec_steps": len(accepted),
        "num_accepted_draft_tokens": sum(accepted),
        "num_draft_tokens": k * len(accepted),
        "num_spec_tokens": k,
        "per_step_accepted": accepted or None,
        "per_step_drafted": [k] * len(accepted) or None,
    }


# vLLM 0.32.0, the demo pair's first prompt, 24 tokens: chunks 1 | 1 5 1 3 2 1 1 1 3 1 3 1
SEEN = [0, 4, 0, 2, 1, 0, 0, 0, 2, 0, 2, 2]
CHUNKS = [1, 5, 1, 3, 2, 1, 1, 1, 3, 1, 3, 1]


def test_a_last_round_that_the_length_limit_cut_accepted_what_it_verified() -> None:
    found = rounds.rounds(told(SEEN), 23, CHUNKS, always=True)
    assert found is not None
    assert [each.accepted for each in found] == SEEN
    assert [each.emitted for each in found] == CHUNKS
    assert found[-1] == Round(drafted=4, accepted=2, emitted=1)


def test_chunks_that_were_merged_on_their_way_change_no_round() -> None:
    merged = [6, 4, 2, 5, 3, 3]
    assert sum(merged) == 23
    assert rounds.rounds(told(SEEN), 23, merged, always=True) == rounds.rounds(told(SEEN), 23, CHUNKS, always=True)


def test_a_request_that_the_prefill_ended_has_no_round() -> None:
    assert rounds.rounds(told([]), 0, [], always=True) == ()
    assert rounds.rounds(told([]), 0, [], always=False) == ()


def test_steps_without_a_draft_lie_between_those_that_vllm_counts() -> None:
    found = rounds.rounds(told([4, 0]), 8, [1, 5, 1, 1], always=False)
    assert found == (Round(0, 0, 1), Round(4, 4, 5), Round(4, 0, 1), Round(0, 0, 1))
    merged = rounds.rounds(told([3, 1], 3), 8, [1, 7], always=False)
    assert merged == (Round(0, 0, 1), Round(3, 3, 4), Round(3, 1, 2), Round(0, 0, 1))


@pytest.mark.parametrize("ends", [[1, 2, 7, 8, 9], [2, 7, 8, 9], [7, 9], [9]])
def test_the_first_event_may_bring_more_than_the_prefill_s_token(ends: list[int]) -> None:
    chunks = rounds.chunks_of([Arrival(at, tokens) for at, tokens in enumerate(ends)])
    found = rounds.rounds(told([4, 0]), 8, chunks, always=False)
    assert found is not None
    assert [each.accepted for each in found if each.drafted] == [4, 0]
    assert sum(each.emitted for each in found) == 8


def test_counters_that_do_not_fit_the_tokens_leave_the_rounds_open() -> None:
    assert rounds.rounds(told([4, 0]), 3, [1, 1, 1], always=False) is None
    assert rounds.rounds(told([4, 4]), 3, [3], always=True) is None
    assert rounds.rounds(told([1]) | {"per_step_accepted": None}, 2, [2], always=True) is None
    assert rounds.rounds(told([1]), 5, [2], always=False) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=30), st.integers(0, 4), st.data())
def test_rounds_and_chunks_of_any_decoding_are_found_again(
    steps: list[tuple[bool, int]], cut: int, data: st.DataObject
) -> None:
    true = [Round(4, accepted, accepted + 1) if drafts else Round(0, 0, 1) for drafts, accepted in steps]
    if true:
        true[-1] = Round(true[-1].drafted, true[-1].accepted, max(1, true[-1].emitted - cut))
    counted = [each.accepted for each in true if each.drafted]
    ends = [sum(each.emitted for each in true[: i + 1]) for i in range(len(true))]
    kept = [end for end in ends[:-1] if data.draw(st.booleans())] + ends[-1:]
    chunks = [end - start for start, end in pairwise([0, *kept])]
    found = rounds.rounds(told(counted), sum(chunks), chunks, always=False)
    assert found is not None
    assert sum(each.emitted for each in found) == sum(chunks)
    assert [each.accepted for each in found if each.drafted] == counted
    assert all(each.emitted == each.accepted + 1 for each in found[:-1])


def test_totals_are_by_position_and_count_rounds_only_where_all_are_known() -> None:
    assert rounds.counts(told([4, 0, 2]), None, always=True) == DraftCounts(3, 12, 6, (2, 2, 1, 1))
    assert rounds.counts(told([4, 0, 2]), None, always=False).rounds is None
    known = (Round(0, 0, 1), Round(4, 4, 5))
    assert rounds.counts(told([4]), known, always=False) == DraftCounts(2, 4, 4, (1, 1, 1, 1))


# ------------------------------------------------------------------------------------------------ the server's totals

METRICS = """# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="m"} 335.0
vllm:spec_decode_num_drafts_created{engine="0",model_name="m"} 1.7954391696897e+09
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 1340.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 859.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="0"} 269.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="1"} 232.0
vllm:num_requests_running{engine="0"} 0.0
"""


def test_a_request_s_counts_are_what_the_server_s_totals_grew_by() -> None:
    after = counters.read(METRICS)
    assert after["drafts", None] == 335
    before = {("drafts", None): 325.0, ("draft_tokens", None): 1300.0, ("accepted_tokens", None): 840.0}
    before |= {("accepted_tokens_per_pos", 0): 262.0}
    assert counters.between(before, after, always=True) == DraftCounts(10, 40, 19, (7, 232))
    assert counters.between({}, after, always=False) == DraftCounts(None, 1340, 859, (269, 232))


def test_a_server_without_such_counters_reveals_nothing() -> None:
    assert counters.between({}, counters.read("vllm:num_requests_running 0.0\n"), always=True) is None


def test_engines_of_one_server_count_together() -> None:
    two = METRICS + METRICS.replace('engine="0"', 'engine="1"')
    assert counters.read(two)["drafts", None] == 670


# ------------------------------------------------------------------------------------------------------------- scores

PROMPT_LOGITS = [
    None,
    {"898": {"logprob": 10.5, "rank": 1, "decoded_token": " ="}},
    {
        "263": {"logprob": 14.25, "rank": 3, "decoded_token": "\n"},
        "326": {"logprob": 15.5, "rank": 1, "decoded_token": "_"},
    },
]


def test_greedy_scores_are_the_chosen_and_the_best_logit() -> None:
    chosen, other = scoring.scores(scoring.of_prompt(PROMPT_LOGITS, 2), (898, 263), Sampling())
    assert (chosen.token_id, chosen.best_id, chosen.logit, chosen.best_logit) == (898, 898, 10.5, 10.5)
    assert (other.token_id, other.best_id, other.logit, other.best_logit) == (263, 326, 14.25, 15.5)
    assert other.logprob is None


def test_the_first_token_of_all_has_no_logits() -> None:
    with pytest.raises(RuntimeError, match="no logits of the prompt"):
        scoring.of_prompt(PROMPT_LOGITS, 3)


def test_a_token_as_good_as_the_best_is_the_best() -> None:
    (found,) = scoring.scores([scoring.Position((4, 9), (1.5, 1.5))], (9,), Sampling())
    assert found.best_id == 9


def test_logits_of_an_answer_name_their_tokens_by_id() -> None:
    answer = {"tokens": ["token_id:7"], "top_logprobs": [{"token_id:3": 9.5, "token_id:7": 8.25}]}
    (found,) = scoring.scores(scoring.of_answer(answer), (7,), Sampling())
    assert (found.best_id, found.logit, found.best_logit) == (3, 8.25, 9.5)


LOGITS = (3.0, 2.0, 2.0, 1.0, 0.0)


def probabilities(sampling: Sampling) -> list[float]:
    import numpy as np

    return [float(p) for p in np.exp(scoring.log_probabilities(np.array(LOGITS), sampling))]


def test_temperature_divides_the_logits() -> None:
    expected = [math.exp(x / 2) for x in LOGITS]
    assert probabilities(Sampling(2.0)) == pytest.approx([x / sum(expected) for x in expected])


def test_top_k_keeps_what_equals_the_last() -> None:
    found = probabilities(Sampling(1.0, top_k=2))
    assert found[3:] == [0.0, 0.0]
    assert found[1] == found[2] > 0


def test_top_p_keeps_the_fewest_that_reach_it_and_always_the_best() -> None:
    assert probabilities(Sampling(1.0, top_p=0.01)) == [1.0, 0, 0, 0, 0]
    assert [p > 0 for p in probabilities(Sampling(1.0, top_p=0.75))] == [True, True, True, False, False]


def test_moments_are_those_of_the_truncated_distribution() -> None:
    position = scoring.Position((0, 1, 2, 3, 4), LOGITS)
    sampling = Sampling(1.0, top_k=2)
    (kept,) = scoring.scores([position], (2,), sampling)
    p = probabilities(sampling)
    entropy = -sum(x * math.log(x) for x in p if x)
    assert kept.logprob == pytest.approx(math.log(p[2]))
    assert kept.entropy == pytest.approx(entropy)
    assert kept.variance == pytest.approx(sum(x * (math.log(x) + entropy) ** 2 for x in p if x))
    assert kept.mass_above == pytest.approx(p[0] + p[1])
    (dropped,) = scoring.scores([position], (4,), sampling)
    assert dropped.logprob == -math.inf
    assert dropped.mass_above == pytest.approx(1.0)


def test_as_many_logits_are_asked_for_as_decide_the_distribution() -> None:
    assert scoring.wanted(Sampling(), 262_144) == 1
    assert scoring.wanted(Sampling(1.0), 2048) == -1
    assert scoring.wanted(Sampling(1.0, top_k=64), 262_144) == 64 + scoring.SPARE
    with pytest.raises(NotImplementedError, match="only with a top-k"):
        scoring.wanted(Sampling(1.0, top_p=0.9), 262_144)


# ------------------------------------------------------------------------------------------------------------ reasons

UNKNOWN_FLAG = """Triton is installed, but doesn't include CPU backend. Disabling Triton.
usage: main.py [-h] [-v]
main.py: error: unrecognized arguments: --tensor-paralel-size=2"""
WRONG_VALUE = """usage: vllm serve [model_tag] [options]
main.py serve: error: argument --block-size: invalid int value: 'x'"""
CONTRADICTION = """    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (999999) is greater than 2048 [type=value_error, input_value=…]
    For further information visit https://errors.pydantic.dev/2.14/v/value_error
nanobind: leaked 4 instances!"""
UNKNOWN_KEY = """pydantic_core._pydantic_core.ValidationError: 1 validation error for SpeculativeConfig
bogus
  Unexpected keyword argument [type=unexpected_keyword_argument, input_value=1, input_type=int]
    For further information visit https://errors.pydantic.dev/2.14/v/unexpected_keyword_argument"""
CRASH = """(APIServer pid=1) WARNING 11-24 18:49:40 [system_utils.py:255] errors like `OSError: [Errno 24]`
(Worker pid=3) ERROR 11-24 18:50:25 [multiproc_executor.py:1063] AssertionError: All drafting layers differ
(EngineCore pid=2) ERROR 11-24 18:50:25 [core.py:1510] RuntimeError: Worker failed with error 'All drafting layers'
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
nanobind: leaked 514 functions!"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (UNKNOWN_FLAG, "unrecognized arguments: --tensor-paralel-size=2"),
        (WRONG_VALUE, "argument --block-size: invalid int value: 'x'"),
        (CONTRADICTION, "ModelConfig: User-specified max_model_len (999999) is greater than 2048"),
        (UNKNOWN_KEY, "SpeculativeConfig: bogus Unexpected keyword argument"),
    ],
)
def test_what_vllm_says_against_its_arguments_is_found(output: str, said: str) -> None:
    assert refusals.refused(output.splitlines()) == said
    assert refusals.why(output.splitlines()) == said


def test_a_crash_is_told_by_its_first_cause() -> None:
    assert refusals.refused(CRASH.splitlines()) is None
    assert refusals.why(CRASH.splitlines()) == "AssertionError: All drafting layers differ"
    assert refusals.why(CRASH.splitlines()[3:]) == (
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    )
    assert refusals.why(["INFO: all is well"]) is None
