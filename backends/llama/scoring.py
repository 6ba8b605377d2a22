"""Teacher-forced scores from an undrafted llama-server, which has no log-probabilities of a prompt's tokens.

Each token is asked for by a request of its own: everything before it as one prefill, one token more, forced by a bias.
`logprob` is of the logits before any bias or sampler. So each score comes from a prefill, as the certificate needs;
a continuation of n tokens costs n of them. A server with a drafter is not asked: it makes log-probabilities up.
"""

from collections.abc import Sequence
from typing import Any

import httpx

from backends.base import GREEDY
from backends.llama import asking
from backends.server import http
from results.records import TokenScore

FORCE = 1e6
"""Added to a logit: beyond any that a model has."""


def scores(server: httpx.Client, prompt: Sequence[int], continuation: Sequence[int]) -> list[TokenScore]:
    """One score per token, of the plain softmax. Raw logits stay unknown: the server shows log-probabilities only."""
    return [
        _score(server, [*prompt, *continuation[:position]], position, token)
        for position, token in enumerate(continuation)
    ]


def _score(server: httpx.Client, prefix: Sequence[int], position: int, token: int) -> TokenScore:
    body: dict[str, Any] = asking.completion(prefix, 1, GREEDY) | {"n_probs": 1, "logit_bias": [[token, FORCE]]}
    answer = http.post(server, "/completion", body)
    (shown,) = answer["completion_probabilities"]
    (best,) = shown["top_logprobs"]
    if int(shown["id"]) != token:
        raise RuntimeError(f"llama-server was to score token {token} and chose {shown['id']}")
    return TokenScore(position, token, int(best["id"]), None, None, float(shown["logprob"]), float(best["logprob"]))
