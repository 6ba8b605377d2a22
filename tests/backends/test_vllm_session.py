"""A session against a server that says what vLLM 0.32.0 said: requests as they are sent, answers as they are read."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from the_demo_pair import DEMO
from transformers import AutoTokenizer

from backends.vllm_server.model import Target
from backends.vllm_server.session import ServedSession
from results.errors import UsageError
from results.records import Draft, DraftCounts, Prompt, Request, Round, Sampling, SessionFacts

MTP = Draft("mtp", 4)
PROMPT = Prompt("p", "w", "c", (2, 263, 994), None)
CHUNKS = [[326], [1824], [346, 898, 1332, 263, 326]]
METRICS = {
    "time_to_first_token_ms": 65.4,
    "generation_time_ms": 386.7,
    "speculative_decoding": {
        "mean_acceptance_length": 3.0,
        "draft_acceptance_rate": 0.5,
        "acceptance_histogram": [1, 0, 0, 0, 1],
        "num_spec_steps": 2,
        "num_accepted_draft_tokens": 4,
        "num_draft_tokens": 8,
        "num_spec_tokens": 4,
        "per_step_accepted": [0, 4],
        "per_step_drafted": [4, 4],
    },
}
PLAIN = {key: value for key, value in METRICS.items() if key != "speculative_decoding"}


class Alive:
    """A server process that lives."""

    def check(self) -> None:
        pass


class Dead:
    def check(self) -> None:
        raise RuntimeError("vllm serve ended by SIGKILL: nothing")


def stream(chunks: list[list[int]], finish: str = "length", metrics: dict[str, Any] = METRICS, **usage: object) -> str:
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": None, "token_ids": ids}]}
        for ids in chunks
    ]
    events[-1]["choices"][0]["finish_reason"] = finish
    counted = {
        "prompt_tokens": 3,
        "completion_tokens": sum(map(len, chunks)),
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    events.append({"choices": [], "usage": counted | usage, "metrics": metrics})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


Answer = Callable[[httpx.Request], httpx.Response]


def session(
    answer: str | Answer,
    draft: Draft | None = MTP,
    *,
    revealing: bool = True,
    server: object = None,
    synthetic: bool = False,
) -> tuple[ServedSession, list[dict[str, Any]]]:
    """A session whose server answers `answer`, and the bodies that it is sent."""
    sent: list[dict[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(json.loads(request.content))
        return answer(request) if callable(answer) else httpx.Response(200, text=answer)

    to = httpx.Client(base_url="http://server", transport=httpx.MockTransport(handle))
    target = Target(AutoTokenizer.from_pretrained(DEMO / "target"), (1, 6), 2048, 2048, {})
    facts = SessionFacts({}, "cpu", "float32", (1, 6), 64, 2048)
    alive: Any = server or Alive()
    return ServedSession(facts, target, alive, to, draft, revealing=revealing, synthetic=synthetic), sent


def test_everything_is_said() -> None:
    asked, sent = session(stream(CHUNKS))
    asked.generate([PROMPT], Request(7, MTP))
    assert sent == [
        {
            "model": "target",
            "prompt": [2, 263, 994],
            "max_tokens": 7,
            "temperature": 0.0,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "ignore_eos": False,
            "stop_token_ids": [1, 6],
            "return_token_ids": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    asked.generate([PROMPT], Request(7, MTP, Sampling(0.8, 20, 0.9, seed=3), ignore_eos=True))
    expected = {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 3, "ignore_eos": True, "stop_token_ids": []}
    assert sent[1].items() >= expected.items()


def test_an_answer_is_tokens_times_totals_and_what_the_engine_said() -> None:
    (seen,) = session(stream(CHUNKS))[0].generate([PROMPT], Request(7, MTP))
    assert seen.token_ids == (326, 1824, 346, 898, 1332, 263, 326)
    assert seen.text == "_threads = []\n_"
    assert [arrival.tokens for arrival in seen.arrivals] == [1, 2, 7]
    assert (seen.n_prefill, seen.prompt_tokens, seen.cached_tokens) == (1, 3, 0)
    assert seen.finish_reason == "length"
    assert seen.counts == DraftCounts(2, 8, 4, (1, 1, 1, 1))
    assert seen.rounds is None
    assert seen.statement["speculative"] is True
    assert seen.statement["time_to_first_token_ms"] == 65.4
    assert "per_step" not in json.dumps(seen.statement)


def test_an_instrumented_pass_gives_rounds() -> None:
    (seen,) = session(stream(CHUNKS))[0].generate([PROMPT], Request(7, MTP, capture="rounds"))
    assert seen.rounds == (Round(4, 0, 1), Round(4, 4, 5))


def test_an_idle_drafter_has_drafted_nothing_or_says_that_it_is_off() -> None:
    """Either makes the cell invalid (`results.checks.idle`, `says_off`)."""
    none = {"num_spec_steps": 0, "num_accepted_draft_tokens": 0, "num_draft_tokens": 0, "acceptance_histogram": [0] * 5}
    idle = {"speculative_decoding": {**none, "per_step_accepted": [], "per_step_drafted": []}}
    (seen,) = session(stream([[326], [1824], [346]], metrics=idle))[0].generate([PROMPT], Request(3, MTP))
    assert seen.counts == DraftCounts(2, 0, 0, (0, 0, 0, 0))
    (seen,) = session(stream([[326], [1824], [346]], metrics=PLAIN))[0].generate([PROMPT], Request(3, MTP))
    assert (seen.counts, seen.statement["speculative"]) == (None, False)


def test_forced_acceptance_is_synthetic() -> None:
    (seen,) = session(stream(CHUNKS), synthetic=True)[0].generate([PROMPT], Request(7, MTP))
    assert seen.statement["synthetic"] is True


def test_the_plain_arm_s_instrumented_pass_brings_the_logits_it_chose_by() -> None:
    logprobs = {
        "tokens": ["token_id:326"],
        "token_logprobs": [9.8],
        "top_logprobs": [{"token_id:326": 9.8015, "token_id:5": 7.0}],
    }
    body = stream([[326]], metrics=PLAIN).replace('"logprobs": null', f'"logprobs": {json.dumps(logprobs)}', 1)
    asked, sent = session(body, draft=None)
    (seen,) = asked.generate([PROMPT], Request(1, capture="rounds"))
    assert seen.scores is not None
    assert (seen.scores[0].logit, seen.scores[0].best_id) == (9.8015, 326)
    assert seen.rounds is None
    assert seen.counts is None
    assert seen.statement["speculative"] is False
    assert sent[0].items() >= {"logprobs": 1, "return_tokens_as_token_ids": True}.items()


def test_the_end_token_is_part_of_the_output() -> None:
    (seen,) = session(stream([[326], [1]], "stop", PLAIN), draft=None)[0].generate([PROMPT], Request(9))
    assert (seen.token_ids, seen.finish_reason, seen.text) == ((326, 1), "stop", "_")


def test_a_prompt_s_logits_are_asked_for_as_one_prefill() -> None:
    given = [
        None,
        {"263": {"logprob": 1.0, "rank": 1}},
        {"994": {"logprob": 2.0, "rank": 1}},
        {"7": {"logprob": 3.0, "rank": 1}},
    ]
    answer = json.dumps({"choices": [{"prompt_logprobs": given}]})
    asked, sent = session(answer, draft=None)
    (score,) = asked.score(PROMPT, (7,))
    assert (score.position, score.token_id, score.logit, score.best_logit) == (0, 7, 3.0, 3.0)
    assert sent[0].items() >= {"prompt": [2, 263, 994, 7], "max_tokens": 1, "prompt_logprobs": 1}.items()
    assert "stream" not in sent[0]
    assert asked.score(PROMPT, ()) == []


@pytest.mark.parametrize(
    ("request_", "error", "told"),
    [
        (Request(7), ValueError, "launched for"),
        (Request(7, Draft("mtp", 3)), ValueError, "launched for"),
        (Request(62, MTP), UsageError, "this server takes 64"),
    ],
)
def test_what_this_launch_cannot_do_is_refused(request_: Request, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        session(stream(CHUNKS))[0].generate([PROMPT], request_)


def test_wrong_prompts_are_refused() -> None:
    with pytest.raises(UsageError, match="vocabulary of 2,048"):
        session(stream(CHUNKS))[0].generate([Prompt("p", "w", "c", (2, 2048), None)], Request(7, MTP))
    with pytest.raises(ValueError, match="at least one prompt"):
        session(stream(CHUNKS))[0].generate([], Request(7, MTP))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (stream(CHUNKS, completion_tokens=8), "7 tokens were streamed, 8 counted"),
        (stream(CHUNKS, finish="abort"), "ended the answer for the reason 'abort'"),
        (stream(CHUNKS).replace('"finish_reason": "length"', '"finish_reason": null'), "without its usage"),
        ('data: {"error": {"message": "engine died", "code": 500}}\n\ndata: [DONE]\n\n', "engine died"),
        (stream(CHUNKS).replace("data: [DONE]\n\n", ""), "before its last event"),
    ],
)
def test_an_answer_that_contradicts_itself_or_breaks_off_fails(answer: str, told: str) -> None:
    with pytest.raises(RuntimeError, match=told):
        session(answer)[0].generate([PROMPT], Request(7, MTP))


def test_a_server_that_died_tells_its_last_words() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    asked, _ = session(broken, server=Dead())
    with pytest.raises(RuntimeError, match="ended by SIGKILL"):
        asked.generate([PROMPT], Request(7, MTP))
    with pytest.raises(RuntimeError, match="ended by SIGKILL"):
        asked.score(PROMPT, (7,))


def test_an_older_version_s_counts_are_the_server_s_totals_of_one_request() -> None:
    drafts = iter(["335.0", "337.0"])

    def totals(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text=f'vllm:spec_decode_num_drafts_total{{engine="0"}} {next(drafts)}\n')
        return httpx.Response(200, text=stream(CHUNKS, metrics={}))

    asked, _ = session(totals, revealing=False)
    (seen,) = asked.generate([PROMPT], Request(7, MTP))
    assert seen.counts == DraftCounts(2, 0, 0, None)
    assert "speculative" not in seen.statement
    both = asked.generate([PROMPT, PROMPT], Request(7, MTP))  # whose drafts are whose is not known
    assert [each.counts for each in both] == [None, None]
    with pytest.raises(NotImplementedError):
        asked.score(PROMPT, (7,))
    with pytest.raises(ValueError, match="no single rounds"):
        asked.generate([PROMPT], Request(7, MTP, capture="rounds"))
