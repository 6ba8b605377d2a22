"""Faults that make the tokens wrong: in verification, positions and caches. All are in the speculative arm only."""

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from support.broken.passes import Inputs, inputs_changed, verdicts_changed
from support.broken.session import Engine, Remembering

from backends.hf.decoding import DecodingSession
from results.records import Generation, Prompt, Request

NOTHING = float("-inf")


class InsideTheCall(Engine):
    """An engine whose fault acts while the real one decodes, for the reason that `cause` gives."""

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        def call(asked: Request) -> list[Generation]:
            with self.injected(prompt, asked):
                return self.real.engine.generate([prompt], asked)

        (seen,) = self.real.once((type(self).__name__, *self.cause()), [prompt], request, call)
        return seen

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        """The fault, for one call."""
        raise NotImplementedError

    def cause(self) -> tuple[object, ...]:
        """What the fault depends on beside prompt and request."""
        return ()

    @property
    def target(self) -> Any:
        assert isinstance(self.real.engine, DecodingSession)
        return self.real.engine._models.target


class UnverifiedDraft(InsideTheCall):
    """Each draft has a chance of one in `n` of being taken without a look at what the target says."""

    n: ClassVar[int] = 8

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        rng = self.draw(prompt)

        def judge(logits: torch.Tensor, drafts: torch.Tensor) -> None:
            for row, draft in zip(logits, drafts.tolist(), strict=False):
                if rng.random() * self.n < 1:
                    row[draft] = row.max() + 1

        return verdicts_changed(self.target, judge)

    def cause(self) -> tuple[object, ...]:
        return (self.seed,)


class ForcedAcceptance(InsideTheCall):
    """Every draft is taken, whatever the target says."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        def judge(logits: torch.Tensor, drafts: torch.Tensor) -> None:
            logits[torch.arange(len(drafts)), drafts] = logits.max() + 1

        return verdicts_changed(self.target, judge)


class WrongBonus(InsideTheCall):
    """Where all drafts are accepted, the bonus token is the target's second choice: the nearest wrong one."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        def judge(logits: torch.Tensor, drafts: torch.Tensor) -> None:
            if torch.equal(logits[:-1].argmax(-1), drafts):
                logits[-1, logits[-1].argmax()] = NOTHING

        return verdicts_changed(self.target, judge)


class OffByOne(InsideTheCall):
    """Drafts are verified one position further on than they stand."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        def shift(inputs: Inputs) -> None:
            inputs["position_ids"] = inputs["position_ids"] + 1

        return inputs_changed(self.target, verify=shift)


class StaleCache(InsideTheCall):
    """After a rejection the rejected draft's keys and values stay, where the token that replaced it belongs."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        return inputs_changed(self.target, verify=_keep_rejected)


def _keep_rejected(inputs: Inputs) -> None:
    """Makes every layer of the call's cache keep, at its next update after a crop, what the crop took first."""
    for layer in inputs["past_key_values"].layers:
        if "crop" not in layer.__dict__:
            _Stale(layer)


class _Stale:
    """One layer of a cache: what a crop of n tokens took first stands at -n, and comes back at the next update."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.rejected: tuple[torch.Tensor, torch.Tensor] | None = None
        self.original_crop, self.original_update = layer.crop, layer.update
        layer.__dict__["crop"], layer.__dict__["update"] = self.crop, self.update

    def crop(self, tokens: int) -> None:
        self.rejected = None
        if tokens:
            first = slice(tokens, tokens + 1 or None)
            self.rejected = (self.layer.keys[..., first, :], self.layer.values[..., first, :])
        self.original_crop(tokens)

    def update(self, keys: torch.Tensor, values: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.rejected is not None:
            keys, values = (
                torch.cat([stale, fresh[..., 1:, :]], dim=-2)
                for stale, fresh in zip(self.rejected, (keys, values), strict=True)
            )
        return self.original_update(keys, values, *args, **kwargs)


class LeakedState(InsideTheCall):
    """The first block of every prompt is served from a prefix cache that holds the prompt before it."""

    block: ClassVar[int] = 16
    """Tokens."""

    def __init__(self, real: Remembering, seed: int = 0) -> None:
        super().__init__(real, seed)
        self._prompts: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def speculative(self, prompt: Prompt, request: Request) -> Generation:
        ids = prompt.token_ids or ()
        if ids != self._prompts[1]:
            self._prompts = (self._prompts[1], ids)
        return super().speculative(prompt, request)

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        (leaked,) = self.cause()

        def collide(inputs: Inputs) -> None:
            inputs["input_ids"] = inputs["input_ids"].clone()
            inputs["input_ids"][0, : len(leaked)] = torch.tensor(leaked, dtype=torch.long)

        return inputs_changed(self.target, prefill=collide)

    def cause(self) -> tuple[tuple[int, ...]]:
        before, ids = self._prompts
        return (before[: min(self.block, len(ids) - 1)],)
