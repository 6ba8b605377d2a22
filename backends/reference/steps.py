"""A round in two steps over `Rows`, without a word from the host: draft k tokens, then verify them in one pass.

Plain decoding is a verification of no drafts. Everything a step needs is in the rows' tensors, everything it leaves
too, so that it can be compiled or captured as it stands (`backends.reference.paths`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from backends.reference import verdict
from backends.reference.models import Drafter, drafter_masks
from backends.reference.rows import Rows
from backends.reference.verdict import Dice
from results.records import Sampling

GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Rule:
    """How a round goes, besides what its rows hold."""

    length: int
    """Draft length k; 0 is plain decoding."""
    sampling: Sampling = GREEDY
    samples_drafts: bool = False
    """Drafts are drawn from the drafter's distribution and not its most probable tokens."""
    forced: tuple[float, ...] | None = None
    """Synthetic acceptance: the probability of keeping draft i where those before it were kept."""
    sees_rejected: bool = False
    """The drafter sees keys and values of rejected drafts, as in Transformers."""
    full_softmax: bool = False
    """Ablation: the drafter's head over the whole vocabulary."""
    no_activations: bool = False
    """Ablation: the first draft of a round is conditioned on nothing."""

    @property
    def greedy(self) -> bool:
        return self.sampling.temperature == 0


@dataclass(frozen=True, slots=True)
class Drafted:
    """tokens [rows, k]; q [rows, k, vocabulary], which they were drawn from, where they were drawn."""

    tokens: torch.Tensor
    q: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Verified:
    """outcome [rows, k + 2]: the round's tokens, then how many drafts were kept. logits [rows, k + 1, vocabulary]."""

    outcome: torch.Tensor
    logits: torch.Tensor


Draft = Callable[[Dice], Drafted]
Verify = Callable[[Drafted, Dice], Verified]


def drafting(rows: Rows, drafter: Drafter, rule: Rule) -> Draft:
    """The step that drafts: k passes of the drafter at one position, over the target's keys and values."""

    def draft(dice: Dice) -> Drafted:
        lent = rows.cache.lent()
        masks = drafter_masks(
            rows.cache, rows.lengths, rows.written, drafter.window,
            drafted=rule.length, sees_rejected=rule.sees_rejected,
        )  # fmt: skip
        position = rows.lengths[:, None]
        token, hidden = rows.last[:, None], rows.hidden[:, None]
        if rule.no_activations:
            hidden = torch.zeros_like(hidden)
        tokens, distributions = [], []
        for i in range(rule.length):
            last, hidden = drafter.advance(rows.target.embed(token), hidden, position, lent, masks)
            if rule.samples_drafts:
                q = verdict.probabilities(drafter.scores(last), rule.sampling)
                distributions.append(q)
                token = verdict.draw(q, dice.draft[:, i : i + 1])
            else:
                token = drafter.best(last, full=rule.full_softmax)
            tokens.append(token)
        return Drafted(torch.cat(tokens, 1), torch.cat(distributions, 1) if distributions else None)

    return draft


def verifying(rows: Rows, rule: Rule) -> Verify:
    """The step that verifies: one pass over the last token and its drafts, then the rule, then the rows move on."""
    offsets = torch.arange(rule.length + 1, device=rows.lengths.device)
    places = torch.arange(rows.size, device=rows.lengths.device)

    def verify(drafted: Drafted, dice: Dice) -> Verified:
        ids = torch.cat([rows.last[:, None], drafted.tokens], dim=1)
        positions = rows.lengths[:, None] + offsets
        rows.cache.aim(positions)
        hidden = rows.target.hidden(ids, positions, rows.cache.masks(positions), rows.cache)
        logits = rows.target.logits(hidden)
        if rule.forced is not None:
            odds = torch.tensor(rule.forced, device=ids.device)
            tokens, kept = verdict.forced(logits.argmax(-1), drafted.tokens, odds, dice)
        elif rule.greedy:
            tokens, kept = verdict.greedy(logits, drafted.tokens)
        else:
            tokens, kept = verdict.sampled(logits, drafted.tokens, drafted.q, rule.sampling, dice)
        rows.last.copy_(tokens[places, kept])
        rows.hidden.copy_(hidden[places, kept])
        rows.written.copy_(positions[:, -1])
        rows.lengths.add_((kept + 1) * rows.active)
        return Verified(torch.cat([tokens, kept[:, None]], dim=1), logits)

    return verify
