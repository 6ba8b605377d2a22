"""A session over an Ollama server.

A change of arm makes Ollama load the model anew, and the first request after that is slow. So every change is followed
by a request that is thrown away, before the clock of the measured one starts. A prompt that the loaded model has seen
would come from its prompt cache: then the model is unloaded first.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from backends.base import GREEDY, Session
from backends.ollama_server import asking, log
from backends.ollama_server.places import Place
from backends.ollama_server.reading import Answer
from backends.server import http
from backends.server.stream import JsonLines
from backends.server.together import together
from results.errors import UsageError
from results.records import Encoded, Generation, Json, Prompt, Request, Sampling, SessionFacts, TokenScore

GENERATE = "/api/generate"
DROPPED = Prompt("dropped", "dropped", "dropped", None, asking.DROPPED)


class OllamaSession(Session):
    """Plain and speculative decoding, by the same server."""

    def __init__(self, client: httpx.Client, place: Place, source: log.Log | None, threads: int | None) -> None:
        """source: the server's log, where it is known. Raises UsageError where the server has no such tag."""
        self._client, self._place, self._log, self._threads = client, place, source, threads
        self._last: tuple[str, int] | None = None
        """(tag, draft length) of the last request; other clients may have changed it since."""
        self._runners: dict[str, tuple[int, frozenset[str]]] = {}
        """Tag -> its draft length, and the prompts since it was loaded with that."""
        version = self._version()
        shown = {tag: self._show(tag) for tag in dict.fromkeys((place.model, place.plain_model)) if tag is not None}
        details = shown[place.model].get("details") or {}
        self.facts = SessionFacts(
            versions={"ollama": version},
            device="the server's own",
            dtype=str(details.get("quantization_level") or "unknown"),
            eos_token_ids=(),
            context_limit=place.context,
            vocab_size=None,
            threads=threads,
            statement={
                "url": place.url,
                "num_ctx": place.context,
                "log": None if place.log is None else place.log.name,
                "acceptance": "from the server's log" if source else "not revealed",
                "tags": {tag: _kept(found) for tag, found in shown.items()},
            },
        )

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        raise NotImplementedError("Ollama shows no tokens of a prompt")

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        for prompt in prompts:
            asking.generate(self._place, prompt, request, self._threads)  # what cannot be asked is refused at once
        self._settle([prompt.text or "" for prompt in prompts], request)
        if len(prompts) > 1 or self._log is None:  # the log does not say whose line is whose
            return together(self._one, prompts, request)
        mark = self._log.mark()
        answer = self._asked(prompts[0], request)
        told = log.wait(self._log, mark, drafted=request.draft is not None)
        return [answer.generation(request.draft, told, self._place.context)]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        raise NotImplementedError("Ollama scores no tokens that are given to it")

    def _settle(self, texts: Sequence[str], request: Request) -> None:
        """Have the arm's model loaded, warm, and with none of these prompts in its cache. Takes a load, untimed."""
        tag, length = asking.model(self._place, request.draft), request.draft.length if request.draft else 0
        before, seen = self._runners.get(tag, (None, frozenset()))
        again = before == length and bool(seen & {*texts})
        if self._last != (tag, length) or again:
            if again:
                http.post(self._client, GENERATE, asking.unload(self._place, request.draft))
            self._last = None
            mark = self._log.mark() if self._log else 0
            self._asked(DROPPED, Request(asking.DROPPED_TOKENS, request.draft))
            if self._log is not None:  # its lines are not to be taken for those of the next request
                log.wait(self._log, mark, drafted=request.draft is not None)
        kept = seen if before == length and not again else frozenset()
        self._last, self._runners[tag] = (tag, length), (length, kept | {*texts})

    def _one(self, prompt: Prompt, request: Request) -> Generation:
        return self._asked(prompt, request).generation(request.draft, None, self._place.context)

    def _asked(self, prompt: Prompt, request: Request) -> Answer:
        body = asking.generate(self._place, prompt, request, self._threads)
        answer = Answer(time.perf_counter_ns())
        for ns, data in http.events(self._client, GENERATE, body, last=_is_last, parser=JsonLines):
            answer.take(ns, data)
        return answer

    def _version(self) -> str:
        try:
            return str(http.get_json(self._client, "/api/version").get("version", "unknown"))
        except RuntimeError as error:
            raise UsageError(
                f"no Ollama server at {self._place.url} ({error}); start one (ollama serve), name another "
                "(-o ollama.url=…), or -o ollama.start=true"
            ) from error

    def _show(self, tag: str) -> Mapping[str, Any]:
        try:
            return http.post(self._client, "/api/show", {"model": tag})
        except RuntimeError as error:
            raise UsageError(
                f"Ollama at {self._place.url} has no model {tag!r} ({error}); ollama pull {tag}"
            ) from error


def _is_last(data: Mapping[str, Any]) -> bool:
    return bool(data.get("done"))


def _kept(shown: Mapping[str, Any]) -> dict[str, Json]:
    """Of /api/show, what tells two models apart; the licence and the template alone fill pages."""
    info = shown.get("model_info") or {}
    lines = str(shown.get("modelfile") or "").splitlines()
    return {
        "details": shown.get("details"),
        "parameters": shown.get("parameters"),
        "draft": [line for line in lines if line.startswith("DRAFT ")],
        "architecture": info.get("general.architecture"),
    }
