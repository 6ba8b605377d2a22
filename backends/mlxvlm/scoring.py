"""Scores of tokens from rows of logits: as the engine decoded them, or teacher-forced."""

from collections.abc import Sequence

import mlx.core as mx
from mlx_vlm.sample_utils import apply_top_k, apply_top_p

from results.records import Sampling, TokenScore

AT_ONCE = 64
"""Rows of logits turned into probabilities at a time: of 262,144 float32 each, 64 rows are 64 MiB."""


def scores(logits: mx.array, tokens: Sequence[int], sampling: Sampling, first: int = 0) -> list[TokenScore]:
    """`logits` [tokens, vocabulary], row i judging tokens[i]. Above temperature 0, with the moments of log p.

    first: position of tokens[0].
    """
    found: list[TokenScore] = []
    for start in range(0, len(tokens), AT_ONCE):
        rows, chosen = logits[start : start + AT_ONCE], tokens[start : start + AT_ONCE]
        found += _scored(rows.astype(mx.float32), mx.array(list(chosen)), sampling, first + start)
    return found


def _scored(logits: mx.array, chosen: mx.array, sampling: Sampling, first: int) -> list[TokenScore]:
    asked = as_sampled(logits, sampling)
    log_p = asked - mx.logsumexp(asked, axis=-1, keepdims=True)
    index = chosen[:, None]
    columns = [mx.argmax(logits, axis=-1), mx.take_along_axis(logits, index, axis=-1)[:, 0], logits.max(axis=-1)]
    columns += [mx.take_along_axis(log_p, index, axis=-1)[:, 0], log_p.max(axis=-1)]
    if sampling.temperature > 0:
        p = mx.exp(log_p)
        finite = mx.where(p > 0, log_p, 0)  # what truncation took away adds nothing to any moment
        mean = (p * finite).sum(axis=-1)
        spread = (p * (finite - mean[:, None]) ** 2).sum(axis=-1)
        columns += [-mean, spread, _mass_above(asked, p, index)]
    rows = zip(chosen.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
    return [TokenScore(position, token, *numbers) for position, (token, numbers) in enumerate(rows, first)]


def as_sampled(logits: mx.array, sampling: Sampling) -> mx.array:
    """Truncation and temperature by mlx-vlm's own functions, in its order: top-p goes before the temperature."""
    if sampling.temperature == 0:
        return logits
    log_p = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    if sampling.top_p is not None and sampling.top_p < 1:
        log_p = apply_top_p(log_p, sampling.top_p)
    if sampling.top_k is not None:
        log_p = apply_top_k(log_p, sampling.top_k)
    return log_p / sampling.temperature


def _mass_above(asked: mx.array, p: mx.array, chosen: mx.array) -> mx.array:
    """Probability of what comes before the chosen token, the most probable first and ties by id; [tokens]."""
    own = mx.take_along_axis(asked, chosen, axis=-1)
    ids = mx.arange(asked.shape[1])[None]
    before = (asked > own) | ((asked == own) & (ids < chosen))
    return (p * before).sum(axis=-1)
