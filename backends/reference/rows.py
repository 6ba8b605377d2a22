"""What a batch carries from round to round, in tensors that never move: a row is a place that one prompt after another
takes."""

from collections.abc import Callable

import torch

from backends.reference.cache import Filling, Slots, prefill_masks
from backends.reference.models import Masks, Target

Also = Callable[[torch.Tensor, torch.Tensor, Masks], None]


class Rows:
    """The state of a batch. `lengths` counts tokens with keys and values; the last token's are written by its pass."""

    def __init__(self, target: Target, size: int, capacity: int, widest: int) -> None:
        """capacity: positions of a row, drafts beyond the end included. widest: tokens of the widest pass."""
        table = target.text.embed_tokens.weight
        device = table.device
        self.target, self.size, self.capacity, self.widest = target, size, capacity, widest
        self.cache = Slots(target.layout, size, capacity, widest, table.dtype, device)
        self.active = torch.zeros(size, dtype=torch.bool, device=device)
        self.lengths = torch.zeros(size, dtype=torch.long, device=device)
        self.written = torch.zeros(size, dtype=torch.long, device=device)
        self.last = torch.zeros(size, dtype=torch.long, device=device)
        self.hidden = torch.zeros(size, target.hidden_size, dtype=table.dtype, device=device)

    def fill(self, places: list[int], prompts: list[tuple[int, ...]], also: Also | None = None) -> torch.Tensor:
        """Prefill prompts into these rows, all in one pass; logits [prompts, vocabulary] of what follows them.

        also: is given the prompts' activations, positions and masks.
        """
        device = self.lengths.device
        width = max(map(len, prompts))
        ids = torch.tensor([[*prompt, *[0] * (width - len(prompt))] for prompt in prompts], device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        rows = torch.tensor(places, device=device)
        masks = prefill_masks(lengths, width, self.target.layout.window)
        positions = torch.arange(width, device=device).expand_as(ids)
        hidden = self.target.hidden(ids, positions, masks, Filling(self.cache, rows, lengths))
        if also is not None:
            also(hidden, positions, masks)
        ends = hidden[torch.arange(len(prompts), device=device), lengths - 1]
        self.lengths[rows] = lengths
        self.written[rows] = lengths - 1
        self.hidden[rows] = ends
        self.active[rows] = True
        return self.target.logits(ends)

    def leave(self, place: int) -> None:
        """The row's prompt is done; it computes on, over nothing, until another takes its place."""
        self.active[place] = False
        self.lengths[place] = self.written[place] = 0
