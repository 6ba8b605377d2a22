"""Answers of vLLM, SGLang, llama.cpp and servers of unknown make, as they were captured: tokens, counts, arrivals."""

from typing import Any

import pytest

from backends.openai_server import counters, dialect
from backends.openai_server.places import Place
from backends.openai_server.reading import Answer
from results.records import Arrival, Draft, DraftCounts, Generation, Prompt, Request, Sampling

PLACE = Place("http://host:8000", "m", chat=False, draft_length=4, key_variable=None)
TEXT = Prompt("p", "w", "c", None, "def")


def read(*events: tuple[int, dict[str, Any]]) -> Generation:
    answer = Answer(sent=1000)
    for ns, data in events:
        answer.take(1000 + ns, data)
    return answer.generation({})


def piece(text: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": reason, **more}]}


def test_vllm_sends_ids_and_counts_drafts_per_request() -> None:
    seen = read(
        (10, piece("rit", token_ids=[1077])),
        (20, piece("create a", token_ids=[1850, 5, 9])),
        (30, piece("", "length", token_ids=[531])),
        (
            31,
            {
                "choices": [],
                "usage": {"prompt_tokens": 19, "total_tokens": 24, "completion_tokens": 5},
                "metrics": {
                    "speculative_decoding": {
                        "num_spec_steps": 2,
                        "num_accepted_draft_tokens": 3,
                        "num_draft_tokens": 8,
                    }
                },
            },
        ),
    )
    assert seen.token_ids == (1077, 1850, 5, 9, 531)
    assert seen.arrivals == (Arrival(10, 1), Arrival(20, 4), Arrival(30, 5))
    assert seen.counts == DraftCounts(2, 8, 3)
    assert (seen.prompt_tokens, seen.finish_reason, seen.text) == (19, "length", "ritcreate a")


def test_sglang_tells_its_drafts_in_a_chunk_without_choices() -> None:
    details = {
        "spec_accept_length": 1.0909,
        "spec_num_correct_drafts": 4,
        "spec_num_proposed_drafts": 9,
        "spec_verify_ct": 3,
        "spec_correct_drafts_histogram": [1, 1, 0, 1],
    }
    delta = {"choices": [{"index": 0, "delta": {"reasoning_content": None, "role": "assistant", "content": ""}}]}
    chunks = [("cond", 10, 1), ("argument D", 20, 5), (" prog", 30, 8)]
    seen = read(
        (5, {**delta, "usage": {"prompt_tokens": 13, "completion_tokens": 0}}),
        *(
            (ns, {"choices": [{"delta": {"content": text}}], "usage": {"prompt_tokens": 13, "completion_tokens": n}})
            for text, ns, n in chunks
        ),
        (31, {"choices": [{"delta": {"reasoning_content": None}, "finish_reason": "length"}]}),
        (32, {"choices": [], "usage": None, "sglext": {"spec_tokens_details": details}}),
        (33, {"choices": [], "usage": {"prompt_tokens": 13, "completion_tokens": 8}}),
    )
    assert (seen.token_ids, seen.n_tokens, seen.text) == (None, 8, "condargument D prog")
    assert seen.arrivals == (Arrival(10, 1), Arrival(20, 5), Arrival(30, 8))
    assert seen.counts == DraftCounts(3, 9, 4, (2, 1, 1))


def test_llama_cpp_counts_in_its_timings_and_leaves_out_drafts_of_zero() -> None:
    def timings(n: int, **drafts: int) -> dict[str, Any]:
        return {"timings": {"cache_n": 0, "prompt_n": 14, "predicted_n": n, **drafts}}

    drafted = read(
        (10, piece("a") | timings(1)),
        (20, piece("b") | timings(2, draft_n=3, draft_n_accepted=1)),
        (20, piece("c") | timings(3, draft_n=3, draft_n_accepted=1)),
        (21, piece("", "stop") | timings(3, draft_n=3, draft_n_accepted=1) | {"usage": {"completion_tokens": 3}}),
    )
    assert drafted.counts == DraftCounts(None, 3, 1)
    assert drafted.arrivals == (Arrival(10, 1), Arrival(20, 2), Arrival(20, 3))
    assert drafted.cached_tokens == 0
    idle = read(
        (10, piece("a") | timings(1)), (11, piece("", "stop") | timings(1) | {"usage": {"completion_tokens": 1}})
    )
    assert idle.counts == DraftCounts(None, 0, 0)


def test_a_server_of_unknown_make_reveals_no_counts_and_no_ids() -> None:
    seen = read(
        (10, piece("one")),
        (20, piece(" two three")),
        (30, piece("", "stop")),
        (31, {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 6}}),
    )
    assert (seen.token_ids, seen.counts, seen.n_tokens, seen.cached_tokens) == (None, None, 6, None)
    assert seen.arrivals == (Arrival(10, 1), Arrival(20, 6))
    assert seen.statement["chunks_counted"] is False


def test_a_server_that_counts_no_tokens_is_no_basis_for_a_figure() -> None:
    with pytest.raises(RuntimeError, match="does not count its tokens"):
        read((10, piece("one")), (20, piece("", "stop")))


@pytest.mark.parametrize(
    ("owner", "name"), [("vllm", "vllm"), ("sglang", "sglang"), ("llamacpp", "llamacpp"), ("library", "unknown")]
)
def test_the_owner_of_a_model_tells_whose_server_it_is(owner: str, name: str) -> None:
    assert dialect.of({"data": [{"id": "other", "owned_by": "x"}, {"id": "m", "owned_by": owner}]}, "m") == name


def test_only_documented_parameters_go_to_a_server_of_unknown_make() -> None:
    asked = dialect.body("unknown", PLACE, TEXT, Request(8, sampling=Sampling(0.5, None, 0.9, 3)))
    assert asked == {
        "model": "m",
        "prompt": "def",
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with pytest.raises(ValueError, match="it cannot run past the end of text"):
        dialect.body("unknown", PLACE, TEXT, Request(8, ignore_eos=True))
    with pytest.raises(ValueError, match="it cannot sample from the top 5"):
        dialect.body("unknown", PLACE, TEXT, Request(8, sampling=Sampling(1.0, 5)))


def test_known_servers_are_asked_for_no_cache_and_neutral_sampling() -> None:
    first, second = (dialect.body("vllm", PLACE, TEXT, Request(8, Draft("mtp", 4), ignore_eos=True)) for _ in "ab")
    assert first["return_token_ids"] is True
    assert (first["ignore_eos"], first["top_k"], first["repetition_penalty"]) == (True, -1, 1.0)
    assert first["cache_salt"] != second["cache_salt"]
    assert dialect.body("sglang", PLACE, TEXT, Request(8))["return_spec_tokens_details"] is True
    assert dialect.body("llamacpp", PLACE, TEXT, Request(8))["cache_prompt"] is False


def test_a_chat_endpoint_takes_a_turn_and_no_ids() -> None:
    chat = Place("http://host", "m", chat=True, draft_length=None, key_variable=None)
    assert dialect.body("unknown", chat, TEXT, Request(8))["messages"] == [{"role": "user", "content": "def"}]
    with pytest.raises(ValueError, match="cannot be sent as a chat turn"):
        dialect.body("unknown", chat, Prompt("p", "w", "c", (1, 2), None), Request(8))


def test_vllm_has_counters_of_drafts_only_where_it_drafts() -> None:
    on = 'vllm:generation_tokens_total{engine="0"} 5.0\nvllm:spec_decode_num_drafts_total{engine="0"} 1.0\n'
    assert dialect.says_speculative("vllm", on, None) is True
    assert dialect.says_speculative("vllm", on.splitlines()[0], None) is False
    assert dialect.says_speculative("vllm", None, None) is None
    assert dialect.says_speculative("sglang", None, {"speculative_algorithm": None}) is False
    assert dialect.says_speculative("llamacpp", "llamacpp:n_decode_total 6", None) is None


METRICS = """\
# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="tiny"} 73.0
vllm:spec_decode_num_drafts_created{engine="0",model_name="tiny"} 1.7954391696897e+09
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="tiny"} 292.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="tiny"} 11.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="tiny",position="0"} 7.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="tiny",position="1"} 4.0
vllm:spec_decode_num_accepted_tokens_per_pos_created{engine="0",model_name="tiny",position="1"} 1.7954391696897748e+09
vllm:generation_tokens_total{engine="0",model_name="tiny"} 85.0
vllm:generation_tokens_total{engine="1",model_name="tiny"} 1.0
"""


def test_counters_are_summed_over_engines_and_taken_apart_by_position() -> None:
    names = counters.NAMES["vllm"]
    before, after = counters.read("", names), counters.read(METRICS, names)
    assert counters.grown(before, after, names.tokens) == 86
    assert counters.counts(before, after, names, 85, 4) == DraftCounts(73, 292, 11, (7, 4, 0, 0))
    assert counters.counts(after, after, names, 1, 4) == DraftCounts(0, 0, 0, (0, 0, 0, 0))


def test_a_server_without_counters_of_drafts_has_none() -> None:
    names = counters.NAMES["vllm"]
    page = counters.read("vllm:generation_tokens_total 5\n", names)
    assert counters.counts(page, page, names, 5, 4) is None


def test_passes_without_a_draft_are_counted_by_what_they_emitted() -> None:
    """llama.cpp, k = 3, 3 tokens: one pass drafted 1 and accepted none, the last one had no room to draft."""
    assert counters.passes(1, 0, 3) == 2
    assert counters.passes(4, 3, 8) == 4
    assert counters.passes(None, 3, 8) is None
