"""Faults in the reference engine, for any batch size: each is in the code of its rounds, while a draft is asked for.

Where nothing is compiled, steps look their rules up at every call, so that one can be replaced for a call.
The plain arm stays healthy, as everywhere in this suite: the certificate sets drafts against it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from support.broken.session import Engine, Remembering

from backends.base import Session
from backends.reference import verdict
from backends.reference.cache import SLIDING, Filling, Slots
from backends.reference.engine import Running
from backends.reference.rows import Rows
from backends.reference.steps import View
from backends.reference.verdict import Dice
from results.records import Generation, Prompt, Request, Sampling

Fault = Callable[[], AbstractContextManager[Any]]
Judged = tuple[torch.Tensor, torch.Tensor]
"""(tokens, kept) of a verification."""

healthy: Fault = nullcontext
_greedy, _sampled = verdict.greedy, verdict.sampled
_look, _masks, _update = Running.look, Slots.masks, Slots.update
_fill, _filling = Rows.fill, Filling.update
NOT_CLEARED = 8
"""Positions of a row that the prompt before it leaves behind."""
BLUNT = 0.85
"""Of the asked temperature."""


class Seeded(Engine):
    """The reference engine, with a fault wherever it drafts. A batch is decoded as a batch."""

    def __init__(self, real: Remembering, drafting: Session, fault: Fault) -> None:
        """drafting: what decodes where drafts are asked for; `real` does all else."""
        super().__init__(real)
        self.drafting, self.fault = drafting, fault

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        if request.draft is None:
            return self.real.generate(prompts, request)
        with self.fault():
            return self.drafting.generate(prompts, request)


# ------------------------------------------------------------------------------------------ greedy verification


def one_draft_too_many() -> AbstractContextManager[Any]:
    """The draft after those that are the target's own is kept too."""

    def rule(logits: torch.Tensor, drafts: torch.Tensor) -> Judged:
        choice, kept = _greedy(logits, drafts)
        return _followed(drafts, choice, (kept + 1).clamp_max(drafts.shape[1]))

    return mock.patch.object(verdict, "greedy", rule)


def token_from_the_next_position() -> AbstractContextManager[Any]:
    """What the target says after the kept drafts is read one position further on."""

    def rule(logits: torch.Tensor, drafts: torch.Tensor) -> Judged:
        choice, kept = _greedy(logits, drafts)
        further = (kept + 1).clamp_max(drafts.shape[1])
        return choice.scatter(1, kept[:, None], choice.gather(1, further[:, None])), kept

    return mock.patch.object(verdict, "greedy", rule)


def first_row_s_count_for_all() -> AbstractContextManager[Any]:
    """Every row keeps as many drafts as the first."""

    def rule(logits: torch.Tensor, drafts: torch.Tensor) -> Judged:
        choice, kept = _greedy(logits, drafts)
        return _followed(drafts, choice, kept[:1].repeat(len(kept)))

    return mock.patch.object(verdict, "greedy", rule)


def _followed(drafts: torch.Tensor, choice: torch.Tensor, kept: torch.Tensor) -> Judged:
    """So many drafts, and after them what the target says there."""
    final = choice.gather(1, kept[:, None])
    return torch.cat([drafts, choice[:, -1:]], dim=1).scatter(1, kept[:, None], final), kept


# ------------------------------------------------------------------------------------------------- cache, positions


@contextmanager
def rejected_keys_stay() -> Iterator[None]:
    """The first rejected draft's keys and values stay where those of the token that replaced it belong."""
    rejected: dict[Slots, torch.Tensor] = {}

    def look(self: Running) -> View:
        rejected[self.rows.cache] = _rejected(self.rows)
        return _look(self)

    def update(self: Slots, key: torch.Tensor, value: torch.Tensor, layer: int, *rest: Any, **named: Any) -> Any:
        first = self._at[self.layout.kinds[layer]][:, 0]
        rows = torch.arange(self.rows)
        buffers = [buffer for buffer in (self.keys[layer], self.values[layer]) if buffer is not None]
        before = [buffer[rows, :, first].clone() for buffer in buffers]
        after = _update(self, key, value, layer, *rest, **named)
        for buffer, old in zip(buffers, before, strict=True):
            buffer[rows, :, first] = torch.where(rejected[self][:, None, None], old, buffer[rows, :, first])
        return after

    with mock.patch.object(Running, "look", look), mock.patch.object(Slots, "update", update):
        yield


def positions_off_by_one() -> AbstractContextManager[Any]:
    """A row of which a draft was rejected stands one position further on than it should."""

    def look(self: Running) -> View:
        behind = _rejected(self.rows)
        view = _look(self)
        return replace(view, positions=view.positions + behind[:, None])

    return mock.patch.object(Running, "look", look)


def _rejected(rows: Rows) -> torch.Tensor:
    """[rows]: the last pass wrote positions that were not kept."""
    return (rows.written >= rows.lengths) & rows.active


def window_too_wide() -> AbstractContextManager[Any]:
    """Sliding layers look one token further back."""

    def masks(self: Slots, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = _masks(self, positions)
        held = self.positions(SLIDING, positions[:, -1])[:, None, :]
        seen[SLIDING] |= ((held >= 0) & (held == positions[:, :, None] - self.layout.window))[:, None]
        return seen

    return mock.patch.object(Slots, "masks", masks)


# ----------------------------------------------------------------------------------------------------------- joins


def joining_prefill_lost() -> AbstractContextManager[Any]:
    """A prompt that joins others leaves nothing in its row's cache, which holds what the prompt before it left."""
    return _joining_keeps(None)


def row_not_cleared() -> AbstractContextManager[Any]:
    """A prompt that joins others finds the first positions of the prompt before it in its row."""
    return _joining_keeps(NOT_CLEARED)


@contextmanager
def _joining_keeps(positions: int | None) -> Iterator[None]:
    """positions: so many of the row's first slots keep what they held; None: all."""
    joining = False

    def fill(self: Rows, *given: Any, **named: Any) -> torch.Tensor:
        nonlocal joining
        joining = bool(self.active.any())
        return _fill(self, *given, **named)

    def update(self: Filling, key: torch.Tensor, value: torch.Tensor, layer: int, *rest: Any, **named: Any) -> Any:
        buffers = [buffer for buffer in (self._into.keys[layer], self._into.values[layer]) if buffer is not None]
        before = [buffer[self._rows, :, :positions].clone() for buffer in buffers]
        after = _filling(self, key, value, layer, *rest, **named)
        if joining:
            for buffer, old in zip(buffers, before, strict=True):
                buffer[self._rows, :, :positions] = old
        return after

    with mock.patch.object(Rows, "fill", fill), mock.patch.object(Filling, "update", update):
        yield


# -------------------------------------------------------------------------------------------------------- sampling


def draft_may_be_drawn_again() -> AbstractContextManager[Any]:
    """After a rejection the token is drawn from the target's whole distribution, the draft's share included."""

    def rule(
        logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, sampling: Sampling, dice: Dice
    ) -> Judged:
        tokens, kept = _sampled(logits, drafts, q, sampling, dice)
        whole = verdict.probabilities(logits, sampling)[torch.arange(len(kept)), kept]
        return tokens.scatter(1, kept[:, None], verdict.draw(whole, dice.choose)[:, None]), kept

    return mock.patch.object(verdict, "sampled", rule)


def kept_with_p() -> AbstractContextManager[Any]:
    """Drafts drawn from q are kept with probability p and not min(1, p/q), and replaced by a draw from (p - q)+."""

    def rule(
        logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, sampling: Sampling, dice: Dice
    ) -> Judged:
        assert q is not None  # where drafts are certain the two are the same
        p = verdict.probabilities(logits, sampling)
        share = p[:, :-1].gather(2, drafts[:, :, None]).squeeze(2)
        kept = (dice.accept < share).int().cumprod(1).sum(1)
        rest = torch.cat([(p[:, :-1] - q).clamp_min(0), p[:, -1:]], dim=1)
        final = verdict.draw(rest[torch.arange(len(kept)), kept], dice.choose)
        return _followed(drafts, final[:, None].expand(-1, drafts.shape[1] + 1), kept)

    return mock.patch.object(verdict, "sampled", rule)


def another_temperature() -> AbstractContextManager[Any]:
    """What verifies drafts takes a lower temperature than was asked for."""

    def rule(
        logits: torch.Tensor, drafts: torch.Tensor, q: torch.Tensor | None, sampling: Sampling, dice: Dice
    ) -> Judged:
        return _sampled(logits, drafts, q, replace(sampling, temperature=BLUNT * sampling.temperature), dice)

    return mock.patch.object(verdict, "sampled", rule)
