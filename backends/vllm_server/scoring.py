"""Scores from the logits that vLLM gives for the tokens of a prompt (`prompt_logprobs`) or of an answer (`logprobs`).

The server runs with `--logprobs-mode raw_logits`: what it calls logprob is the raw logit of the target, in float32.
Greedy scores need the two logits of a position alone. Above temperature 0 a distribution is needed: all of the
vocabulary where that is small, else the k largest logits of a top-k that was asked for, which decide it fully.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.records import Sampling, TokenScore

WHOLE_VOCABULARY = 32_768
"""The largest vocabulary whose logits are asked for at every position: each travels as 60 bytes of JSON."""
SPARE = 16
"""Logits asked for beyond top-k: those equal to the last one belong to it too."""

Floats = NDArray[np.float64]


class Position(NamedTuple):
    """The target's logits at one position, as far as they were asked for."""

    ids: tuple[int, ...]
    """The best first."""
    logits: tuple[float, ...]

    def of(self, token: int) -> float:
        return self.logits[self.ids.index(token)]


def wanted(sampling: Sampling, vocab_size: int | None) -> int:
    """How many of the largest logits a position needs, -1 for all. Raises NotImplementedError."""
    if sampling.temperature == 0:
        return 1
    if vocab_size is not None and vocab_size <= WHOLE_VOCABULARY:
        return -1
    if sampling.top_k is not None:
        return sampling.top_k + SPARE
    raise NotImplementedError(
        f"vLLM would have to send {vocab_size or 'all'} logits for every token: sampled output of a vocabulary this "
        "large is scored only with a top-k"
    )


def of_prompt(given: Sequence[Mapping[str, Mapping[str, Any]] | None], tokens: int) -> list[Position]:
    """The last `tokens` positions of `prompt_logprobs`. Raises RuntimeError where the answer holds none."""
    found = []
    for each in given[len(given) - tokens :]:
        if not each:
            raise RuntimeError("the answer holds no logits of the prompt")
        ranked = sorted(each.items(), key=lambda item: (-item[1]["logprob"], item[1]["rank"]))
        found.append(Position(tuple(int(i) for i, _ in ranked), tuple(float(entry["logprob"]) for _, entry in ranked)))
    return found


def of_answer(logprobs: Mapping[str, Any]) -> list[Position]:
    """The positions of a completion's `logprobs`, with tokens written as `token_id:7`."""
    found = []
    for top in logprobs["top_logprobs"]:
        ranked = sorted(top.items(), key=lambda item: -item[1])
        ids = tuple(int(name.removeprefix("token_id:")) for name, _ in ranked)
        found.append(Position(ids, tuple(float(logit) for _, logit in ranked)))
    return found


def scores(
    positions: Sequence[Position], tokens: Sequence[int], sampling: Sampling, first: int = 0
) -> list[TokenScore]:
    """One score per token, `first` being the position of tokens[0]."""
    found = []
    for place, (position, token) in enumerate(zip(positions, tokens, strict=True), first):
        own = position.of(token)
        best = token if own == position.logits[0] else position.ids[0]
        numbers = _moments(position, token, sampling) if sampling.temperature > 0 else ()
        found.append(TokenScore(place, token, best, own, position.logits[0], *numbers))
    return found


def _moments(position: Position, token: int, sampling: Sampling) -> tuple[float, ...]:
    """log p of the token and of the best one, entropy, variance of log p, and the mass before the token."""
    logits, ids = np.array(position.logits), np.array(position.ids)
    log_p = log_probabilities(logits, sampling)
    p = np.exp(log_p)
    finite = np.where(p > 0, log_p, 0.0)  # what truncation took away adds nothing to any moment
    mean = float((p * finite).sum())
    variance = float((p * (finite - mean) ** 2).sum())
    own = position.ids.index(token)
    kept = np.where(np.isfinite(log_p), logits, -np.inf)
    before = (kept > kept[own]) | ((kept == kept[own]) & (ids < token))
    return float(log_p[own]), float(log_p.max()), -mean, variance, float(p[before].sum())


def log_probabilities(logits: Floats, sampling: Sampling) -> Floats:
    """Natural logarithms under temperature, then top-k, then top-p, as vLLM's sampler applies them; the best first.

    -inf where truncation leaves nothing. Tokens equal to the k-th all stay; top-p always leaves the best.
    """
    scaled: Floats = logits / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < len(scaled):
        scaled = np.where(scaled < scaled[sampling.top_k - 1], -np.inf, scaled)
    if sampling.top_p is not None and sampling.top_p < 1:
        p = np.exp(_log_softmax(scaled))
        rising = p[::-1].cumsum()[::-1]  # mass of a token and of all after it
        dropped = rising <= 1 - sampling.top_p
        dropped[0] = False
        scaled = np.where(dropped, -np.inf, scaled)
    return _log_softmax(scaled)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max()
    found: Floats = shifted - np.log(np.exp(shifted).sum())
    return found
