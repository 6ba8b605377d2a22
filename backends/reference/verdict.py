"""Which drafts are kept, and what the target says instead: the rules of one verification, on the device.

A pass over the last token and its k drafts gives logits [rows, k + 1, vocabulary]: entry i judges draft i, and the last
one is the bonus position. Every rule gives `(tokens, kept)`: of `tokens` [rows, k + 1], the first kept + 1 are emitted.
"""

from dataclasses import dataclass

import torch

from results.records import Sampling


@dataclass(frozen=True, slots=True)
class Dice:
    """Uniform numbers of one round, drawn beforehand, so that a captured round has no generator inside it."""

    accept: torch.Tensor
    """[rows, k] in [0, 1)."""
    choose: torch.Tensor
    """[rows] in [0, 1)."""
    draft: torch.Tensor
    """[rows, k] in [0, 1): for a drafter that samples."""


def greedy(logits: torch.Tensor, drafts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept: the drafts up to the first that is not the target's own choice."""
    choice = logits.argmax(-1)
    kept = (choice[:, :-1] == drafts).int().cumprod(1).sum(1)
    return choice, kept


def sampled(
    logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, sampling: Sampling, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    """Speculative sampling: every token is distributed as the target's own (Leviathan et al. 2023, arXiv 2211.17192,
    algorithm 1 and appendix A.1).

    q: [rows, k, vocabulary] that the drafts were drawn from; None where each is the drafter's most probable token: then
    q is 1 at the draft, which is kept with probability p(draft), and else never drawn again.
    """
    p = probabilities(logits, sampling)
    judged = p[:, :-1]
    at = drafts[:, :, None]
    p_draft = judged.gather(2, at).squeeze(2)
    q_draft = torch.ones_like(p_draft) if q is None else q.gather(2, at).squeeze(2)
    kept = (dice.accept * q_draft < p_draft).int().cumprod(1).sum(1)
    rest = judged.scatter(2, at, 0.0) if q is None else (judged - q).clamp_min(0)
    rows = torch.arange(len(kept), device=kept.device)
    final = draw(torch.cat([rest, p[:, -1:]], dim=1)[rows, kept], dice.choose)
    tokens = torch.cat([drafts, final[:, None]], dim=1).scatter(1, kept[:, None], final[:, None])
    return tokens, kept


def probabilities(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """[..., vocabulary]: softmax after temperature, then top-k, then top-p, as Transformers orders them."""
    logits = logits.float() / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < logits.shape[-1]:
        least = logits.topk(sampling.top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = logits.sort(dim=-1)
        tail = ordered.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        tail[..., -1] = False
        logits = logits.masked_fill(tail.scatter(-1, order, tail), -torch.inf)
    return logits.softmax(-1)


def draw(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """One index per row of `weights` [..., n], which need not add up to 1, by inversion in float64."""
    sums = weights.double().cumsum(-1)
    found = torch.searchsorted(sums, (uniform.double() * sums[..., -1]).unsqueeze(-1), right=True).squeeze(-1)
    # A product that rounds up to the sum itself would fall behind the last token that has any weight.
    last = weights.shape[-1] - 1 - (weights.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(found, last)


def forced(
    own: torch.Tensor, drafts: torch.Tensor, conditional: torch.Tensor, dice: Dice
) -> tuple[torch.Tensor, torch.Tensor]:
    """Synthetic acceptance: draft i is kept with probability conditional[i] where those before it were, whatever the
    target says. own: [rows, k + 1], the target's choice at each position, of which the one after the kept drafts is
    used. The text means nothing; what a round costs does."""
    kept = (dice.accept < conditional).int().cumprod(1).sum(1)
    final = own.gather(1, kept[:, None])
    tokens = torch.cat([drafts, own[:, -1:]], dim=1).scatter(1, kept[:, None], final)
    return tokens, kept
