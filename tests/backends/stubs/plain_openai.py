"""A STUB of a server that speaks OpenAI's API and nothing more, in front of a real one that gives tokens and times.

It refuses parameters that OpenAI does not document, sends several tokens in a chunk, tells their number only in the
end, and reveals nothing of drafts.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from stubs.http_server import DONE, Answer, event, serving

DOCUMENTED = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "seed", "stream", "stream_options"),
    *("presence_penalty", "frequency_penalty", "stop", "n", "user"),
}


@contextmanager
def plain_openai(behind: str, *, merge: int = 1, usage: bool = True, key: str | None = None) -> Iterator[str]:
    """behind: URL of the real server. merge: chunks sent as one. usage: told in the end, where asked for.

    key: the API key it wants; a wrong one is quoted in the refusal.
    """

    def models(headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        return 200, {"object": "list", "data": [{"id": "demo", "object": "model", "owned_by": "somebody"}]}

    def completions(headers: Mapping[str, str], body: dict[str, Any]) -> Answer:
        given = (headers.get("Authorization") or "").removeprefix("Bearer ")
        if key is not None and given != key:
            return 401, {"error": {"message": f"Incorrect API key provided: {given}", "code": "invalid_api_key"}}
        if unknown := sorted({*body} - DOCUMENTED):
            return 400, {"error": {"message": f"Unrecognized request argument supplied: {unknown[0]}"}}
        if {*body["stream_options"]} - {"include_usage"}:
            return 400, {"error": {"message": "Unknown parameter in stream_options"}}
        return _pieces(behind, body, merge, usage)

    with serving({"GET /v1/models": models, "POST /v1/completions": completions}) as url:
        yield url


def _pieces(behind: str, body: dict[str, Any], merge: int, usage: bool) -> Iterator[str]:
    """What OpenAI would send of what the real server sends, which is told to cache no prompt."""
    held, texts, seen, reason, told = 0, "", 0, None, None
    with httpx.stream("POST", f"{behind}/v1/completions", json={**body, "cache_prompt": False}, timeout=60) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            data = json.loads(line[6:])
            (choice,) = data["choices"]
            told, reason = data.get("usage") or told, choice["finish_reason"]
            texts, held = texts + choice["text"], held + 1
            seen += 1
            if held == merge or seen == 1 or reason:
                yield event({"id": "c", "choices": [{"index": 0, "text": texts, "finish_reason": reason}]})
                texts, held = "", 0
    if usage and told:
        counted = {name: told[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        yield event({"id": "c", "choices": [], "usage": counted})
    yield DONE
