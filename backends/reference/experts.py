"""How many experts a target pass really reads: the routers' choices, layer by layer, kept while rounds go on.

Plain decoding of one row touches `top_k_experts` a layer. A verification of k drafts touches up to k + 1 times as many,
and every further expert is further weights to read: why drafting gains less in mixtures of experts at batch 1.
Hooks see what runs as it is written, and nothing of compiled steps or graphs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from results.records import Json

ROUTER = "TextRouter"
"""How the class of a router ends; it gives (probabilities, weights, chosen experts [rows * tokens, experts])."""
KEPT_BYTES = 2**28
"""Of choices kept until a pass is over."""


def routers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Of every layer that has one, in their order; empty for a dense model."""
    return [module for module in model.modules() if type(module).__name__.endswith(ROUTER)]


class Experts:
    """What the routers chose in the rounds of one decoding."""

    def __init__(self) -> None:
        self._now: list[torch.Tensor] = []
        self._rounds: list[tuple[list[torch.Tensor], list[int], int]] = []
        self._room = KEPT_BYTES

    @contextmanager
    def attached(self, model: torch.nn.Module) -> Iterator[None]:
        hooks = [router.register_forward_hook(self._chose) for router in routers(model)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def begin(self) -> None:
        """A round begins; what prefills chose is forgotten."""
        self._now = []

    def end(self, places: Sequence[int], rows: int) -> None:
        """It is over. places: rows that hold a prompt, of how many there are."""
        self._room -= sum(chosen.nbytes for chosen in self._now)
        if self._now and self._room >= 0:
            self._rounds.append((self._now, [*places], rows))
        self._now = []

    def told(self) -> dict[str, Json] | None:
        """distinct_per_layer: mean over the rounds kept. tokens_per_pass: rows times tokens. None: nothing was seen."""
        if not self._rounds:
            return None
        counts = [[_distinct(chosen, places, rows) for chosen in each] for each, places, rows in self._rounds]
        tokens = [len(places) * (layers[0].shape[0] // rows) for layers, places, rows in self._rounds]
        means: list[Json] = [sum(layer) / len(counts) for layer in zip(*counts, strict=True)]
        return {"distinct_per_layer": means, "tokens_per_pass": sum(tokens) / len(tokens)}

    def _chose(self, module: torch.nn.Module, args: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        self._now.append(output[2])


def _distinct(chosen: torch.Tensor, places: list[int], rows: int) -> int:
    """chosen: [rows * tokens, experts of a token]; rows without a prompt do not count."""
    return len(set(chosen.view(rows, -1)[places].flatten().tolist()))
