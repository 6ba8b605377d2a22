"""Requests to an OpenAI-compatible server that somebody else runs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from backends.base import GREEDY, Session
from backends.openai_server import counters, dialect
from backends.openai_server.places import KEY, Place
from backends.openai_server.reading import Answer
from backends.server import http
from backends.server.together import together
from results.errors import UsageError
from results.records import DraftCounts, Encoded, Generation, Json, Prompt, Request, Sampling, SessionFacts, TokenScore

PROBE = Prompt("probe", "probe", "probe", None, "The quick brown fox")
MOST = 20
"""Models of a server that are named; a hosted service has hundreds."""
COUNTED_WITHIN = 2.0
"""Seconds in which a server's own counters must have caught up with an answer."""

T = TypeVar("T")


class ServerSession(Session):
    """One server; nothing of it is started or stopped here."""

    def __init__(self, client: httpx.Client, place: Place) -> None:
        """Asks the server what it is, and for two tokens. Raises UsageError where it does not serve."""
        self._client, self._place = client, place
        where = f"openai: {place.url}"
        models = _else_none(lambda: http.get_json(client, "/v1/models")) or {}
        self.dialect = dialect.of(models, place.model)
        served = [str(each.get("id")) for each in models.get("data") or [] if isinstance(each, dict)][:MOST]
        metrics = _else_none(lambda: http.get(client, "/metrics"))
        self._names = counters.NAMES.get(self.dialect) if metrics is not None else None
        path, key = dialect.VERSIONS.get(self.dialect, ("", ""))
        info = _else_none(lambda: http.get_json(client, path)) if path else None
        self._speculative = dialect.says_speculative(self.dialect, metrics, info)
        try:
            probe = self._asked(PROBE, Request(2))
        except (RuntimeError, ValueError) as error:
            serves = f" serves {', '.join(served)}" if served else ""
            raise UsageError(f"{where}{serves}: asked for 2 tokens: {error}") from error
        self.facts = SessionFacts(
            versions={self.dialect if info else "server": str((info or {}).get(key, "unknown"))},
            device="remote",
            dtype="unknown",
            eos_token_ids=(),
            context_limit=dialect.context(models, place.model),
            vocab_size=None,
            chat_template=place.chat,
            statement={
                "url": place.url,
                "model": place.model,
                "served": [*served],
                "dialect": self.dialect,
                "speculative": self._speculative,
                "draft_length_stated": place.draft_length,
                "token_ids": probe.token_ids is not None,
                "chunks_counted": probe.statement["chunks_counted"],
                "counters": self._names is not None,
            },
        )

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        raise NotImplementedError("an OpenAI-compatible server shows no tokens of a prompt")

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        if len(prompts) > 1:  # the server's counters count for all of them together
            return together(self._asked, prompts, request)
        (prompt,) = prompts
        names = self._names
        if names is None:
            return [self._asked(prompt, request)]
        before = counters.read(http.get(self._client, "/metrics"), names)
        seen = self._asked(prompt, request)
        found = self._counted(before, names, seen.n_tokens, request)
        return [replace(seen, counts=_best(seen.counts, found, request))]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        raise NotImplementedError("an OpenAI-compatible server scores no tokens that are given to it")

    def _asked(self, prompt: Prompt, request: Request) -> Generation:
        path = "/v1/chat/completions" if self._place.chat else "/v1/completions"
        body = dialect.body(self.dialect, self._place, prompt, request)
        answer = Answer(time.perf_counter_ns())
        for ns, data in http.events(self._client, path, body):
            answer.take(ns, data)
        said: dict[str, Json] = {} if self._speculative is None else {"speculative": self._speculative}
        seen = answer.generation(said)
        return replace(seen, counts=_best(seen.counts, None, request))

    def _counted(
        self, before: counters.Page, names: counters.Names, tokens: int, request: Request
    ) -> DraftCounts | None:
        """What the server's counters say of the request that has just ended; None where others ran beside it."""
        deadline = time.monotonic() + COUNTED_WITHIN
        while True:
            after = counters.read(http.get(self._client, "/metrics"), names)
            new = counters.grown(before, after, names.tokens)
            if new is None or new > tokens:
                return None
            if new == tokens:
                length = request.draft.length if request.draft else None
                return counters.counts(before, after, names, tokens, length)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.005)


def _best(told: DraftCounts | None, counted: DraftCounts | None, request: Request) -> DraftCounts | None:
    """The answer's own counts, completed by the server's counters where both say the same.

    The plain arm has none, unless something was drafted: then it is no plain arm.
    """
    found = told or counted
    if (
        told is not None
        and counted is not None
        and (told.drafted, told.accepted) == (counted.drafted, counted.accepted)
    ):
        found = replace(
            told,
            rounds=counted.rounds if told.rounds is None else told.rounds,
            per_position=counted.per_position if told.per_position is None else told.per_position,
        )
    if found is not None and request.draft is None:
        drafts = found.rounds if found.drafted is None else found.drafted
        return found if drafts else None
    return found


def _else_none(ask: Callable[[], T]) -> T | None:
    """What a server answers to a question that not every server knows."""
    try:
        return ask()
    except RuntimeError:
        return None


@contextmanager
def attached(place: Place, environment: Mapping[str, Any]) -> Iterator[ServerSession]:
    """environment: where the key is looked for. Raises UsageError where the key that was named is not there."""
    variable = place.key_variable or (KEY if environment.get(KEY) else None)
    with http.client(place.url, key_variable=variable) as client:
        yield ServerSession(client, place)
