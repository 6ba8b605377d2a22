"""Where a fault gets at the real engine: round its target's passes, and in place of its candidate generator's work.

Nothing stays attached after the `with` block.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.generation.candidate_generator import SinglePositionMultiTokenCandidateGenerator as Generator

Inputs = dict[str, Any]
"""Keyword arguments of a target pass."""
Change = Callable[[Inputs], None]
Judge = Callable[[torch.Tensor, torch.Tensor], None]


@contextmanager
def inputs_changed(target: Any, *, prefill: Change | None = None, verify: Change | None = None) -> Iterator[None]:
    """`prefill` may change the inputs of the first pass of a call, `verify` those of every later one, in place."""
    passes = 0

    def before(module: Any, args: tuple[Any, ...], kwargs: Inputs) -> tuple[tuple[Any, ...], Inputs]:
        nonlocal passes
        passes += 1
        change = prefill if passes == 1 else verify
        if change is not None:
            change(kwargs)
        return args, kwargs

    handle = target.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def verdicts_changed(target: Any, judge: Judge) -> Iterator[None]:
    """`judge(logits, drafts)` may change, in place, what the target says in every pass that verifies drafts.

    logits: [drafts + 1, vocabulary], row i judges draft i, the last one gives the bonus token. drafts: [drafts].
    """
    passes = 0

    def after(module: Any, args: tuple[Any, ...], kwargs: Inputs, output: Any) -> None:
        nonlocal passes
        passes += 1
        drafts = kwargs["input_ids"][0, 1:]
        if passes > 1 and len(drafts):
            judge(output.logits[0, -len(drafts) - 1 :], drafts)

    handle = target.register_forward_hook(after, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


Propose = Callable[[Callable[..., Any], Generator], tuple[torch.Tensor, torch.Tensor | None]]


@contextmanager
def drafting_changed(propose: Propose) -> Iterator[None]:
    """`propose(draft, generator)` stands in for the MTP generator's `get_candidates`; `draft()` is the original.

    Returns candidate ids and the logits that the verification is to believe they were drawn from.
    """
    original = Generator.get_candidates

    def get_candidates(self: Generator, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        return propose(lambda: original(self, *args, **kwargs), self)

    Generator.get_candidates = get_candidates  # type: ignore[method-assign]
    try:
        yield
    finally:
        Generator.get_candidates = original  # type: ignore[method-assign]
