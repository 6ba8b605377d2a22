"""A session over one llama-server: its arm is fixed at launch."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from backends.base import GREEDY, Session
from backends.llama import asking, counters, scoring, text
from backends.llama.counters import Counters
from backends.prompts import ids_of, refuse_length, refuse_unknown_tokens
from backends.server import http
from backends.server.together import at_once, together
from results.records import (
    Arrival,
    Draft,
    Encoded,
    Generation,
    Json,
    Prompt,
    Request,
    Sampling,
    SessionFacts,
    TokenScore,
)


class ServerSession(Session):
    """Plain or speculative decoding by one server, `slots` requests at a time.

    A batch is so many requests sent together, each with its own clock (`backends.server.together`).
    """

    def __init__(
        self,
        server: httpx.Client,
        facts: SessionFacts,
        draft: Draft | None,
        slots: int,
        check: Callable[[], None],
        synthetic: bool = False,
    ) -> None:
        """check: raises EngineLost, with the server's last words, where it has died. synthetic: forced acceptance."""
        self.facts = facts
        self._server, self._draft, self._slots = server, draft, slots
        self._check, self._synthetic = check, synthetic

    def encode(self, text_: str, *, chat: bool, thinking: bool) -> Encoded:
        return text.encode(self._server, text_, chat=chat and self.facts.chat_template, thinking=thinking)

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        rows = [ids_of(self, prompt) for prompt in prompts]
        self._refuse(rows, request)
        alone = request.draft is not None and len(rows) == 1
        try:
            before = self._counters() if alone else None
            answers = together(self._answer, rows, request)
            after = self._counters() if alone else None
            for answer in answers:
                answer.lost_ids(self._whole)
            return [
                self._generation(row, answer, request, before, after) for row, answer in zip(rows, answers, strict=True)
            ]
        except RuntimeError:
            self._check()  # where the server has died, its last words say more than a broken connection
            raise

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        """One prefill per token (`backends.llama.scoring`)."""
        if self._draft is not None:
            raise NotImplementedError("a llama-server with a drafter shows no log-probabilities; ask the plain launch")
        if sampling.temperature > 0:
            raise NotImplementedError("llama-server shows the distribution of sampled tokens only in part")
        try:
            return scoring.scores(self._server, ids_of(self, prompt), continuation)
        except RuntimeError:
            self._check()
            raise

    # ------------------------------------------------------------------------------------- what is asked

    def _refuse(self, rows: Sequence[Sequence[int]], request: Request) -> None:
        if not rows:
            raise ValueError("a batch needs at least one prompt")
        if request.draft != self._draft:
            raise ValueError(f"this llama-server was launched for {_arm(self._draft)}, not for {_arm(request.draft)}")
        if request.capture != "timing":
            raise ValueError("llama-server reveals no single rounds, so there is no instrumented pass")
        if (size := at_once(request, rows)) > self._slots:
            raise ValueError(
                f"a batch of {size} needs as many slots, and this llama-server has {self._slots}; "
                f"set -o llamacpp.parallel={size}"
            )
        refuse_unknown_tokens(self.facts, rows)
        refuse_length(self.facts, max(map(len, rows)) + request.max_new_tokens)

    def _counters(self) -> Counters:
        return counters.read(http.get(self._server, "/metrics"))

    # -------------------------------------------------------------------------------------- what was seen

    def _answer(self, row: Sequence[int], request: Request) -> "Answer":
        body = asking.completion(row, request.max_new_tokens, request.sampling)
        answer = Answer(body, time.perf_counter_ns())
        for ns, event in http.events(self._server, "/completion", body | {"stream": True}, last=_is_last):
            answer.take(ns, event)
        return answer

    def _whole(self, body: Mapping[str, Any]) -> list[int]:
        """The tokens of the same request, answered in one piece."""
        return [int(token) for token in http.post(self._server, "/completion", body)["tokens"]]

    def _generation(
        self, row: Sequence[int], answer: "Answer", request: Request, before: Counters | None, after: Counters | None
    ) -> Generation:
        final, tokens = answer.final, answer.tokens
        if not tokens:
            raise RuntimeError("llama-server answered without a token")
        timings: Mapping[str, Any] = final["timings"]
        types = str(final["generation_settings"]["speculative.types"])
        statement: dict[str, Json] = {
            "timings": dict(timings),
            "stop_type": final["stop_type"],
            "speculative.types": types,
            "speculative": any(name not in ("", "none") for name in types.split(",")),
        }
        if self._synthetic:
            statement["synthetic"] = True
        k = None if request.draft is None else request.draft.length
        return Generation(
            n_tokens=len(tokens),
            token_ids=tuple(tokens),
            text=answer.text,
            arrivals=tuple(answer.arrivals),
            prompt_tokens=int(final["tokens_evaluated"]),
            counts=None if k is None else counters.counts(timings, len(tokens), k, before, after),
            finish_reason="stop" if final["stop_type"] == "eos" else "length",
            cached_tokens=int(timings["cache_n"]),
            statement=statement,
        )


class Answer:
    """A streamed answer as it grows.

    Every event counts all tokens so far. It carries the id of the latest one only, and a token that ends within a
    character makes no event, so that its id is missing from the stream though it is in the count.
    """

    def __init__(self, body: Mapping[str, Any], sent: int) -> None:
        """body: what was asked. sent: when, by `time.perf_counter_ns`."""
        self.arrivals: list[Arrival] = []
        self.final: dict[str, Any] = {}
        self.text = ""
        self._body, self._sent = body, sent
        self._known: dict[int, int] = {}
        """Place in the output -> id."""

    @property
    def tokens(self) -> list[int]:
        return [self._known[place] for place in range(len(self._known))]

    def take(self, ns: int, event: dict[str, Any]) -> None:
        count, new = int(event["tokens_predicted"]), [int(token) for token in event["tokens"]]
        if count > (self.arrivals[-1].tokens if self.arrivals else 0):
            self.arrivals.append(Arrival(ns - self._sent, count))
        for place, token in enumerate(new, count - len(new)):
            self._known[place] = token
        self.text += str(event["content"])
        if event["stop"]:
            self.final = event

    def lost_ids(self, whole: Callable[[Mapping[str, Any]], list[int]]) -> None:
        """Fill in ids that the stream left out. whole: the tokens of a request when it is answered in one piece.

        Raises RuntimeError where that answer is another one.
        """
        count = int(self.final["tokens_predicted"])
        if len(self._known) == count:
            return
        again = whole(self._body)
        if len(again) != count or any(again[place] != token for place, token in self._known.items()):
            raise RuntimeError("llama-server streamed tokens without their ids, and gave others when asked again")
        self._known = dict(enumerate(again))


def _is_last(event: dict[str, Any]) -> bool:
    return event.get("stop") is True


def _arm(draft: Draft | None) -> str:
    return "plain decoding" if draft is None else f"{draft.method} with k = {draft.length}"
