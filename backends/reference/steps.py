"""A round in three steps over `Rows`, without a word from the host: look where the rows are, draft k tokens, and verify
them in one pass.

Plain decoding is a verification of no drafts. Everything a step needs is in the rows' tensors or in what the steps
before it gave, so that each can be compiled or captured as it stands (`backends.reference.paths`). Looking is a step of
its own because masks inside another graph would be computed anew in every layer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from backends.reference import verdict
from backends.reference.models import Drafter, drafter_masks
from backends.reference.own_parts import catch_up
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
    own_prefill: bool = False
    """Ablation: the drafter pays for keys and values of its own (`backends.reference.own_parts`)."""
    own_embeddings: bool = False
    """Ablation: the drafter has a copy of the target's table for itself. Its values are the same; its memory is not."""

    @property
    def greedy(self) -> bool:
        return self.sampling.temperature == 0


@dataclass(frozen=True, slots=True)
class View:
    """Where the rows are at the beginning of a round."""

    positions: torch.Tensor
    """[rows, k + 1], of the pass that verifies."""
    at: Mapping[str, torch.Tensor]
    """{layer type: [rows, k + 1]}: the slots that it writes."""
    masks: Mapping[str, torch.Tensor]
    """{layer type: [rows, 1, k + 1, slots]}: what it sees."""
    drafter_masks: Mapping[str, torch.Tensor]
    """{layer type: [rows, 1, 1, slots]}: what the drafter sees."""


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


Look = Callable[[], View]
Draft = Callable[[View, Dice], Drafted]
Verify = Callable[[View, Drafted, Dice], Verified]


def looking(rows: Rows, drafter: Drafter | None, rule: Rule) -> Look:
    """The step that looks where the rows are."""
    offsets = torch.arange(rule.length + 1, device=rows.lengths.device)

    def look() -> View:
        cache = rows.cache
        positions = rows.lengths[:, None] + offsets
        return View(
            positions,
            cache.slots_of(positions),
            cache.masks(positions),
            {}
            if drafter is None or rule.length == 0
            else drafter_masks(
                cache, rows.lengths, rows.written, drafter.window,
                drafted=rule.length, sees_rejected=rule.sees_rejected,
            ),
        )  # fmt: skip

    return look


def drafting(rows: Rows, drafter: Drafter, rule: Rule) -> Draft:
    """The step that drafts: k passes of the drafter at one position, over the target's keys and values."""
    embed = drafter.own_table or rows.target.embed

    def draft(view: View, dice: Dice) -> Drafted:
        lent = rows.cache.lent()
        if rule.own_prefill:
            catch_up(drafter, view.positions, lent, view.drafter_masks, rows.hidden)
        position = rows.lengths[:, None]
        token, hidden = rows.last[:, None], rows.hidden[:, None]
        if rule.no_activations:
            hidden = torch.zeros_like(hidden)
        tokens, distributions = [], []
        for i in range(rule.length):
            last, hidden = drafter.advance(embed(token), hidden, position, lent, view.drafter_masks)
            if rule.samples_drafts:
                q = verdict.probabilities(drafter.scores(last, full=rule.full_softmax), rule.sampling)
                distributions.append(q)
                token = verdict.draw(q, dice.draft[:, i : i + 1])
            else:
                token = drafter.best(last, full=rule.full_softmax)
            tokens.append(token)
        return Drafted(torch.cat(tokens, 1), torch.cat(distributions, 1) if distributions else None)

    return draft


def verifying(rows: Rows, rule: Rule) -> Verify:
    """The step that verifies: one pass over the last token and its drafts, then the rule, then the rows move on."""
    places = torch.arange(rows.size, device=rows.lengths.device)
    odds = None if rule.forced is None else torch.tensor(rule.forced, device=places.device)

    def verify(view: View, drafted: Drafted, dice: Dice) -> Verified:
        ids = torch.cat([rows.last[:, None], drafted.tokens], dim=1)
        rows.cache.aim(view.at)
        hidden = rows.target.hidden(ids, view.positions, view.masks, rows.cache)
        logits = rows.target.logits(hidden)
        if odds is not None:
            tokens, kept = verdict.forced(logits.argmax(-1), drafted.tokens, odds, dice)
        elif rule.greedy:
            tokens, kept = verdict.greedy(logits, drafted.tokens)
        else:
            tokens, kept = verdict.sampled(logits, drafted.tokens, drafted.q, rule.sampling, dice)
        rows.last.copy_(tokens[places, kept])
        rows.hidden.copy_(hidden[places, kept])
        rows.written.copy_(view.positions[:, -1])
        rows.lengths.add_((kept + 1) * rows.active)
        return Verified(torch.cat([tokens, kept[:, None]], dim=1), logits)

    return verify
