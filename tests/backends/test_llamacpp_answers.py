"""What llama-server answers: streams, counters, tokens of a text, scores. Literals: xllamacpp 2026.10.11549."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backends.llama import asking, counters, scoring, text
from backends.llama.launching import device_argument, parse_devices, reason
from backends.llama.session import Answer, ServerSession
from results.errors import UsageError
from results.records import Arrival, Draft, DraftCounts, Encoded, Prompt, Request, Sampling, SessionFacts

METRICS = """# HELP llamacpp:spec_decode_num_draft_tokens_total Number of draft tokens generated.
# TYPE llamacpp:spec_decode_num_draft_tokens_total counter
llamacpp:spec_decode_num_draft_tokens_total 24
llamacpp:spec_decode_num_accepted_tokens_total 4
llamacpp:spec_decode_num_drafts_total 8
llamacpp:n_busy_slots_per_decode 1
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 2
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="1"} 1
llamacpp:spec_decode_num_accepted_tokens_per_pos_total{position="2"} 1
"""


def event(content: str, tokens: list[int], predicted: int, **more: Any) -> dict[str, Any]:
    return {"index": 0, "content": content, "tokens": tokens, "stop": False, "tokens_predicted": predicted, **more}


FINAL = {
    "stop": True,
    "stop_type": "limit",
    "tokens_evaluated": 5,
    "generation_settings": {"speculative.types": "none,draft-mtp"},
    "timings": {"cache_n": 0, "prompt_n": 5, "predicted_n": 3, "draft_n": 4, "draft_n_accepted": 1},
}


def answered(*events: dict[str, Any]) -> Answer:
    answer = Answer({"asked": True}, 1_000)
    for step, seen in enumerate(events):
        answer.take(2_000 + step, seen)
    return answer


# ------------------------------------------------------------------------------------------------- counters


def test_counters_are_read_by_name_and_position() -> None:
    found = counters.read(METRICS)
    assert found["drafts", None] == 8
    assert found["draft_tokens", None] == 24
    assert found["accepted_tokens_per_pos", 1] == 1
    assert len(found) == 6


def test_counts_are_what_grew_and_a_position_without_a_line_accepted_nothing() -> None:
    timings = {"draft_n": 24, "draft_n_accepted": 4}
    found = counters.counts(timings, 13, 4, {}, counters.read(METRICS))
    assert found == DraftCounts(8, 24, 4, (2, 1, 1, 0))


def test_a_last_pass_that_had_no_room_to_draft_is_a_pass_too() -> None:
    timings = {"draft_n": 24, "draft_n_accepted": 4}
    assert counters.counts(timings, 14, 4, {}, counters.read(METRICS)).rounds == 9


def test_the_end_of_text_may_cut_accepted_drafts() -> None:
    timings = {"draft_n": 24, "draft_n_accepted": 4}
    assert counters.counts(timings, 11, 4, {}, counters.read(METRICS)).rounds == 8


def test_nothing_drafted_is_zero_and_not_unknown() -> None:
    assert counters.counts({}, 5, 2, {}, {}) == DraftCounts(4, 0, 0, (0, 0))


def test_beside_other_requests_only_the_answer_s_own_totals_are_known() -> None:
    assert counters.counts({"draft_n": 8, "draft_n_accepted": 3}, 9, 4, None, None) == DraftCounts(None, 8, 3)


def test_two_ways_of_counting_that_disagree_fail_the_trial() -> None:
    with pytest.raises(RuntimeError, match="counts 20 drafted and 4 accepted in its answer, but 24 and 4 in /metrics"):
        counters.counts({"draft_n": 20, "draft_n_accepted": 4}, 9, 4, {}, counters.read(METRICS))


# --------------------------------------------------------------------------------------------------- streams


def test_every_event_counts_the_tokens_so_far() -> None:
    answer = answered(event(" a", [7], 1), event(" b", [8], 2), event("", [], 2, **FINAL))
    assert answer.tokens == [7, 8]
    assert answer.arrivals == [Arrival(1_000, 1), Arrival(1_001, 2)]
    assert answer.text == " a b"


def never(_: Any) -> list[int]:
    raise AssertionError("nothing was lost")


def test_ids_that_the_stream_left_out_come_from_the_same_request_in_one_piece() -> None:
    answered(event(" a", [7], 1), event("", [], 1, **FINAL)).lost_ids(never)
    answer = answered(event(" a", [7], 1), event("🌍", [148], 5), event("", [], 6, **FINAL))
    asked = []

    def whole(body: Any) -> list[int]:
        asked.append(body)
        return [7, 247, 166, 147, 148, 9]

    answer.lost_ids(whole)
    assert asked == [{"asked": True}]
    assert answer.tokens == [7, 247, 166, 147, 148, 9]
    assert [arrival.tokens for arrival in answer.arrivals] == [1, 5, 6]


@pytest.mark.parametrize("other", [[7, 247, 166], [8, 247, 166, 147, 148]])
def test_another_answer_does_not_tell_which_ids_were_lost(other: list[int]) -> None:
    answer = answered(event(" a", [7], 1), event("🌍", [148], 5), event("", [], 5, **FINAL))
    with pytest.raises(RuntimeError, match="gave others when asked again"):
        answer.lost_ids(lambda _: other)


# --------------------------------------------------------------------------------------- a session, its server faked

Reply = Callable[[str, dict[str, Any]], Any]


def faked(reply: Reply) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        found = reply(request.url.path, json.loads(request.content or b"{}"))
        return httpx.Response(200, text=found) if isinstance(found, str) else httpx.Response(200, json=found)

    return httpx.Client(transport=httpx.MockTransport(handle), base_url="http://server")


def session_of(reply: Reply, draft: Draft | None = None, slots: int = 1, synthetic: bool = False) -> ServerSession:
    facts = SessionFacts({}, "cpu", "float32", (1,), 64, 2048)
    return ServerSession(faked(reply), facts, draft, slots, lambda: None, synthetic)


def streaming(path: str, body: dict[str, Any]) -> Any:
    if path == "/metrics":
        return ""
    events = [event(" a", [7], 1), event(" b", [8], 2), event("", [], 2, **FINAL)]
    return "".join(f"data: {json.dumps(e)}\n\n" for e in events)


PROMPT = Prompt("p", "w", "c", (2, 5), None)


def test_a_generation_says_what_the_server_said() -> None:
    (seen,) = session_of(streaming, slots=2).generate([PROMPT], Request(2))
    assert (seen.token_ids, seen.text, seen.finish_reason) == ((7, 8), " a b", "length")
    assert (seen.prompt_tokens, seen.cached_tokens, seen.n_prefill) == (5, 0, 1)
    assert seen.statement["speculative"] is True  # of a plain arm: it contradicts, and the cell is invalid
    assert seen.statement["timings"] == FINAL["timings"]
    assert "synthetic" not in seen.statement


def test_a_first_event_of_two_tokens_is_not_the_prefill_s_alone() -> None:
    """A token that ends within a character makes no event."""

    def late(path: str, body: dict[str, Any]) -> Any:
        whole = {"tokens": [7, 8]}
        events = [event(" ä", [8], 2), event("", [], 2, **FINAL)]
        return "".join(f"data: {json.dumps(e)}\n\n" for e in events) if body.get("stream") else whole

    (seen,) = session_of(late, slots=2).generate([PROMPT], Request(2))
    assert (seen.token_ids, seen.n_prefill) == ((7, 8), 1)
    assert [arrival.tokens for arrival in seen.arrivals] == [2]


def test_forced_acceptance_is_labelled_synthetic() -> None:
    (seen,) = session_of(streaming, slots=2, synthetic=True).generate([PROMPT], Request(2))
    assert seen.statement["synthetic"] is True


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (Request(2, Draft("mtp", 3)), "launched for mtp with k = 4, not for mtp with k = 3"),
        (Request(2), "launched for mtp with k = 4, not for plain decoding"),
        (Request(2, Draft("mtp", 4), capture="rounds"), "no instrumented pass"),
    ],
)
def test_what_this_launch_cannot_do_is_refused(request_: Request, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        session_of(streaming, Draft("mtp", 4)).generate([PROMPT], request_)


def test_more_requests_than_slots_are_refused_with_the_option_that_helps() -> None:
    with pytest.raises(ValueError, match=r"a batch of 2 .* -o llamacpp\.parallel=2"):
        session_of(streaming).generate([PROMPT, PROMPT], Request(2))
    with pytest.raises(ValueError, match="at least one prompt"):
        session_of(streaming).generate([], Request(2))


def test_wrong_prompts_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="vocabulary of 2,048"):
        session_of(streaming).generate([Prompt("p", "w", "c", (2048,), None)], Request(2))
    with pytest.raises(UsageError, match="are 66 tokens, the target takes 64"):
        session_of(streaming).generate([PROMPT], Request(64))


def test_a_server_with_a_drafter_is_not_asked_for_scores() -> None:
    with pytest.raises(NotImplementedError, match="plain launch"):
        session_of(streaming, Draft("mtp", 4)).score(PROMPT, (1,))
    with pytest.raises(NotImplementedError, match="sampled"):
        session_of(streaming).score(PROMPT, (1,), Sampling(1.0))


def test_scores_are_of_forced_tokens_each_after_its_own_prefill() -> None:
    asked = []

    def reply(path: str, body: dict[str, Any]) -> Any:
        asked.append((body["prompt"], body["logit_bias"][0][0], body["n_predict"], body["cache_prompt"]))
        shown = {"id": body["logit_bias"][0][0], "logprob": -1.5, "top_logprobs": [{"id": 3, "logprob": -0.5}]}
        return {"completion_probabilities": [shown]}

    first, second = scoring.scores(faked(reply), (2, 5), (3, 4))
    assert asked == [([2, 5], 3, 1, False), ([2, 5, 3], 4, 1, False)]
    assert (first.position, first.token_id, first.best_id, first.logit) == (0, 3, 3, None)
    assert (second.token_id, second.logprob, second.best_logprob) == (4, -1.5, -0.5)


def test_a_bias_that_did_not_force_its_token_is_an_error() -> None:
    shown = {"id": 9, "logprob": -1.0, "top_logprobs": [{"id": 9, "logprob": -1.0}]}
    with pytest.raises(RuntimeError, match="was to score token 3 and chose 9"):
        scoring.scores(faked(lambda *_: {"completion_probabilities": [shown]}), (2,), (3,))


# ------------------------------------------------------------------------------------------------ what is asked


def test_everything_is_said_and_nothing_cached() -> None:
    greedy = asking.completion((1, 2), 5, Sampling())
    assert (greedy["prompt"], greedy["n_predict"], greedy["cache_prompt"], greedy["top_k"]) == ([1, 2], 5, False, 1)
    assert "ignore_eos" not in greedy
    assert (greedy["min_p"], greedy["repeat_penalty"]) == (0.0, 1.0)
    sampled = asking.completion((1,), 5, Sampling(0.7, None, 0.9, 11))
    assert sampled["samplers"] == ["temperature", "top_k", "top_p"]
    assert (sampled["temperature"], sampled["top_k"], sampled["top_p"], sampled["seed"]) == (0.7, 0, 0.9, 11)
    assert asking.completion((1,), 5, Sampling(1.0, 64))["top_p"] == 1.0


# ----------------------------------------------------------------------------------------------- tokens of a text

PIECES = {"<bos>": 2, "im": 10, "port": 11, " os": 12, "<user>": 5, "<model>": 6, "\n": 13}


def tokenizer(path: str, body: dict[str, Any]) -> Any:
    if path == "/apply-template":
        mode = "\n" if body["chat_template_kwargs"]["enable_thinking"] else ""
        return {"prompt": f"<user>{body['messages'][0]['content']}<model>{mode}"}
    rest, found = body["content"], [{"id": 2, "piece": "<bos>"}] if body["add_special"] else []
    while rest:
        piece = next((p for p in PIECES if rest.startswith(p)), None)
        if piece is None:  # bytes, one token each
            found += [{"id": 100 + byte, "piece": [byte]} for byte in rest[0].encode()]
        else:
            found.append({"id": PIECES[piece], "piece": piece})
        rest = rest[len(piece or " ") :]
    return {"tokens": found}


def encode(content: str, *, chat: bool = False, thinking: bool = False) -> Encoded:
    return text.encode(faked(tokenizer), content, chat=chat, thinking=thinking)


def test_a_text_is_content_behind_the_tokens_the_model_wants() -> None:
    assert encode("import os") == Encoded((2,), (10, 11, 12), ())
    assert encode("") == Encoded((2,), (), ())


def test_a_character_of_several_tokens_is_content() -> None:
    assert encode("é") == Encoded((2,), (100 + 0xC3, 100 + 0xA9), ())


def test_a_chat_s_marks_are_head_and_tail() -> None:
    assert encode("import", chat=True) == Encoded((2, 5), (10, 11), (6,))
    assert encode("import", chat=True, thinking=True) == Encoded((2, 5), (10, 11), (6, 13))
    assert encode("", chat=True) == Encoded((2, 5), (), (6,))


def test_a_template_that_shows_its_content_twice_cannot_be_split() -> None:
    def twice(path: str, body: dict[str, Any]) -> Any:
        return {"prompt": body["messages"][0]["content"] * 2} if path == "/apply-template" else tokenizer(path, body)

    with pytest.raises(UsageError, match="shows its content 2 times, not once; use --raw"):
        text.encode(faked(twice), "x", chat=True, thinking=False)


def test_a_blank_that_a_tokenizer_puts_before_all_is_no_part_of_the_text() -> None:
    def blank(path: str, body: dict[str, Any]) -> Any:
        return {"tokens": [{"id": 1, "piece": " a"}, {"id": 2, "piece": "b"}]}

    assert text.encode(faked(blank), "ab", chat=False, thinking=False) == Encoded((), (1, 2), ())


def test_tokens_that_do_not_spell_the_text_cannot_be_cut() -> None:
    with pytest.raises(UsageError, match="do not spell it"):
        text.encode(faked(lambda *_: {"tokens": [{"id": 1, "piece": "x"}]}), "ab", chat=False, thinking=False)


# --------------------------------------------------------------------------------------------- devices, last words

LISTING = """load_backend: loaded CUDA backend
Available devices:
  CUDA0: NVIDIA H200 (143156 MiB, 142600 MiB free)
  CUDA1: NVIDIA H200 (143156 MiB, 142600 MiB free)
"""


def test_devices_are_chosen_by_the_names_that_mtpbench_uses() -> None:
    found = parse_devices(LISTING)
    assert [name for name, _ in found] == ["CUDA0", "CUDA1"]
    assert device_argument("auto", found) is None
    assert device_argument("cpu", []) == "none"
    assert (device_argument("cuda", found), device_argument("cuda:1", found)) == ("CUDA0", "CUDA1")
    assert device_argument("mps", [("MTL0", "Apple M4")]) == "MTL0"
    with pytest.raises(UsageError, match="here are: cpu, CUDA0, CUDA1"):
        device_argument("cuda:2", found)
    with pytest.raises(UsageError, match=r"here are: cpu$"):
        device_argument("mps", parse_devices("Available devices:\n"))


def test_the_first_error_of_the_log_is_the_reason() -> None:
    lines = [
        "0.00.052 E llama_init_from_model: Gemma4Assistant requires ctx_other (this warning is normal during fitting)",
        "0.00.066 W load: control-looking token: 6",
        "0.00.071 E llama_model_load: error loading model: tensor 'x' data is not within the file bounds",
        "0.00.072 E srv load_model: failed to load model",
    ]
    assert reason(lines) == "llama_model_load: error loading model: tensor 'x' data is not within the file bounds"
    assert reason(["error: invalid argument: --nonsense"]) == "error: invalid argument: --nonsense"
    assert reason(["ggml.c:1: GGML_ASSERT(a == b) failed"]) == "ggml.c:1: GGML_ASSERT(a == b) failed"
    assert reason(["0.1 I all is well"]) is None
