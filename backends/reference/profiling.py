"""The acceptance profile: how many drafts would be accepted from every position of a greedy text, in one pass.

The drafter keeps nothing of its own from round to round, so that what it drafts from a position depends on the text
before it alone, and not on the rounds that led there. All positions of a text that is known already are drafted
from side by side, over the keys and values of one prefill; every draft length up to `k_max` then follows from the
counts (`results.profile`).
"""

from collections.abc import Mapping, Sequence

import torch

from backends.reference.cache import FULL, SLIDING, Filling, Layout, prefill_masks
from backends.reference.models import Drafter, Target

AT_ONCE = 64
"""Positions drafted from at a time: of 262,144 float32 logits each, 64 are 64 MiB."""
UNKNOWN = -1
"""No token: what the text does not tell."""


class Lending(Filling):
    """A cache for a prefill that keeps the keys and values that the drafter reads, and no others."""

    def __init__(self, layout: Layout) -> None:
        self.lent: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        """{layer type: (keys, values)}, each [1, K/V heads, tokens, head size]: slots are positions."""
        self._kinds = {layout.lends(kind): kind for kind in set(layout.kinds)}

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if layer in self._kinds:
            self.lent[self._kinds[layer]] = (key, value)
        return key, value


def accepted(
    target: Target, drafter: Drafter, prompt: Sequence[int], continuation: Sequence[int], k_max: int
) -> list[int]:
    """For every token of `continuation` but the last: how many of the k_max drafts made after it equal what follows.

    Entry i counts at most the len(continuation) - 1 - i tokens that are known to follow.
    """
    if len(continuation) < 2:
        return []
    device = target.text.embed_tokens.weight.device
    text = torch.tensor([*prompt, *continuation, *[UNKNOWN] * k_max], device=device)
    width = len(prompt) + len(continuation) - 2  # the last draft is made after the last token but one
    positions = torch.arange(width, device=device)[None]
    masks = prefill_masks(torch.tensor([width], device=device), width, target.layout.window)
    lending = Lending(target.layout)
    hidden = target.hidden(text[None, :width], positions, masks, lending)
    starts = torch.arange(len(prompt), width + 1, device=device)
    found: list[int] = []
    for at in torch.split(starts, AT_ONCE):
        found += _from(at, text, hidden[0], target, drafter, lending, k_max).tolist()
    return found


def seen_from(at: torch.Tensor, slots: int, window: int) -> Mapping[str, torch.Tensor]:
    """{layer type: [1, 1, positions, slots]}: what the drafter sees from these positions, where slot i holds i.

    As `models.drafter_masks`: everything before a position, of which a sliding layer sees the last window + 1.
    """
    held, last = torch.arange(slots, device=at.device), at[:, None] - 1
    before = held <= last
    return {FULL: before[None, None], SLIDING: (before & (held > last - window - 1))[None, None]}


def _from(
    at: torch.Tensor, text: torch.Tensor, hidden: torch.Tensor, target: Target, drafter: Drafter, lending: Lending,
    k_max: int,
) -> torch.Tensor:  # fmt: skip
    """[positions]: drafts accepted from positions `at`. hidden: [tokens, hidden size], of the whole text."""
    masks = seen_from(at, hidden.shape[0], drafter.window)
    token, state, position = text[at][None], hidden[at - 1][None], at[None]
    going = torch.ones_like(at, dtype=torch.bool)
    counts = torch.zeros_like(at)
    for i in range(1, k_max + 1):
        last, state = drafter.advance(target.embed(token), state, position, lending.lent, masks)
        token = drafter.best(last)
        going &= token[0] == text[at + i]
        counts += going
        if not going.any():
            break
    return counts
