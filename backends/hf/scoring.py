"""Scores of tokens from rows of logits: as the engine decoded them, or teacher-forced."""

from collections.abc import Sequence

import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from results.records import Sampling, TokenScore

AT_ONCE = 64
"""Rows of logits turned into probabilities at a time: of 262,144 float32 each, 64 rows are 64 MiB."""


def scores(logits: torch.Tensor, tokens: Sequence[int], sampling: Sampling) -> list[TokenScore]:
    """`logits` [tokens, vocabulary], row i judging tokens[i]. Above temperature 0, with the moments of log p."""
    found: list[TokenScore] = []
    for rows in torch.split(logits, AT_ONCE):
        chosen = torch.tensor(tokens[len(found) : len(found) + len(rows)], device=logits.device)
        found += _scored(rows.float(), chosen, sampling, first=len(found))
    return found


def _scored(logits: torch.Tensor, chosen: torch.Tensor, sampling: Sampling, first: int) -> list[TokenScore]:
    best, best_ids = logits.max(dim=-1)
    asked = _asked(logits, sampling)
    log_p = asked.log_softmax(dim=-1)
    index = chosen.unsqueeze(1)
    columns = [best_ids, logits.gather(1, index).squeeze(1), best]
    columns += [log_p.gather(1, index).squeeze(1), log_p.max(dim=-1).values]
    if sampling.temperature > 0:
        p = log_p.exp()
        finite = torch.where(p > 0, log_p, 0)  # what truncation took away adds nothing to any moment
        mean = (p * finite).sum(dim=-1)
        spread = (p * (finite - mean.unsqueeze(1)) ** 2).sum(dim=-1)
        columns += [-mean, spread, _mass_above(asked, p, index)]
    rows = zip(chosen.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
    return [TokenScore(position, token, *numbers) for position, (token, numbers) in enumerate(rows, first)]


def _asked(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Temperature and truncation as `generate` applies them, in its order, by its own classes."""
    if sampling.temperature == 0:
        return logits
    no_ids = torch.empty(0, dtype=torch.long)
    logits = TemperatureLogitsWarper(float(sampling.temperature))(no_ids, logits)
    if sampling.top_k is not None:
        logits = TopKLogitsWarper(sampling.top_k)(no_ids, logits)
    if sampling.top_p is not None and sampling.top_p < 1:
        logits = TopPLogitsWarper(sampling.top_p)(no_ids, logits)
    return logits


def _mass_above(asked: torch.Tensor, p: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Probability of what comes before the chosen token, the most probable first and ties by id; [tokens]."""
    own = asked.gather(1, chosen)
    ids = torch.arange(asked.shape[1], device=asked.device).unsqueeze(0)
    before = (asked > own) | ((asked == own) & (ids < chosen))
    return (p * before).sum(dim=-1)
