"""Engines at T > 0. Transformers' own assisted sampling, as it is, is the plain `Engine`: biased, and not by our doing.

It drafts the drafter's favourite token and then judges it as if it had been drawn from the drafter's distribution q:
accepted with probability min(1, p/q), replaced by a draw from (p - q)+. Two ways to make that correct, and one not to:

    JudgedAsCertain    favourite drafts, judged as certain (q is one-hot): accepted with probability p. Lossless.
    DrawnFromDrafter   drafts drawn from q, judged by q: what Leviathan et al. (2023) prove. Lossless.
    JudgedByArgmax     drafts drawn from q, accepted where they are the target's favourite, replaced by it where not

Drafts drawn from q but judged as certain are lossless too: for every token y
    P(y) = q(y) p(y) + sum over x != y of q(x) (1 - p(x)) p(y) / (1 - p(x)) = p(y).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from support.broken.greedy import NOTHING, InsideTheCall
from support.broken.passes import drafting_changed, verdicts_changed

from results.records import Prompt, Request

Draft = Callable[[], tuple[torch.Tensor, torch.Tensor | None]]


class JudgedAsCertain(InsideTheCall):
    """Correct: the drafter's favourite tokens, judged as what they are: certain to be drafted."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        def propose(draft: Draft, generator: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
            ids, logits = draft()
            return ids, None if logits is None else _one_hot(ids[:, -logits.shape[1] :], logits)

        return drafting_changed(propose)


class DrawnFromDrafter(InsideTheCall):
    """Correct: drafts drawn from the drafter's distribution at the request's temperature, and judged by it."""

    def injected(self, prompt: Prompt, request: Request) -> AbstractContextManager[None]:
        return drafting_changed(_drawn(request.sampling.temperature))


class JudgedByArgmax(InsideTheCall):
    """Drafts are drawn, but verified as in greedy decoding: the temperature never reaches the tokens of a round."""

    @contextmanager
    def injected(self, prompt: Prompt, request: Request) -> Iterator[None]:
        def judge(logits: torch.Tensor, drafts: torch.Tensor) -> None:
            logits.copy_(_one_hot(logits.argmax(-1), logits))

        with drafting_changed(_drawn(request.sampling.temperature)), verdicts_changed(self.target, judge):
            yield


def _drawn(temperature: float) -> Callable[[Draft, Any], tuple[torch.Tensor, torch.Tensor | None]]:
    """The generator takes the largest logit at every step: with Gumbel noise added, that is a draw from softmax."""

    def propose(draft: Draft, generator: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        true: list[torch.Tensor] = []

        def disturb(module: Any, args: Any, output: Any) -> None:
            true.append(output.logits / temperature)
            output.logits = true[-1] - torch.empty_like(true[-1]).exponential_().log()

        handle = generator.assistant_model.register_forward_hook(disturb)
        try:
            ids, logits = draft()
        finally:
            handle.remove()
        return ids, None if logits is None else torch.cat(true, dim=1)

    return propose


def _one_hot(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Logits [..., vocabulary] under which each of `tokens` is certain."""
    return torch.full_like(like, NOTHING).scatter_(-1, tokens.unsqueeze(-1), 0.0)
