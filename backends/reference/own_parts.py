"""Ablations: what a drafter would cost that had for itself what Gemma 4's shares with the target.

Keys and values, as ordinary draft models have them: Gemma 4's drafter reads the target's, so it needs no prefill and
never has to catch up. This one pays for both: a pass over every prompt, a pass over the tokens of each round, and key
and value projections in every layer of every pass. All that is thrown away, and the drafts come from the shared keys
and values as ever, so tokens and acceptance stay those of MTP and only time and memory differ: the price of not
sharing, at the drafter's present quality.

The table of input embeddings: a copy of the target's, so that memory alone differs.
"""

import copy
from collections.abc import Iterator

import torch

from backends.hf.loading import Model
from backends.reference.models import Drafter, Lent, Masks, Target


class _WithOwn(torch.nn.Module):
    """A query projection that also projects keys and values, and keeps them where a compiler must not drop them."""

    def __init__(self, query: torch.nn.Linear, width: int) -> None:
        super().__init__()
        self.query = query
        self.own = torch.nn.Linear(query.in_features, width, bias=False, dtype=query.weight.dtype)
        self.own.to(query.weight.device)
        self.kept = torch.zeros(1, dtype=query.weight.dtype, device=query.weight.device)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        self.kept.copy_(self.own(hidden).sum())
        projected: torch.Tensor = self.query(hidden)
        return projected


def with_table(drafter: Drafter, target: Target) -> Drafter:
    """The same drafter with a table of input embeddings for itself."""
    return Drafter(drafter.model, copy.deepcopy(target.text.embed_tokens))


def bytes_of(drafter: Drafter, lent: Lent) -> int:
    """Memory of what a drafter has for itself here: table, projections, and keys and values as many as it is lent."""
    held = 0 if drafter.own_table is None else sum(weight.nbytes for weight in drafter.own_table.parameters())
    kinds = drafter.model.config.get_text_config().layer_types
    for layer, kind in zip(drafter.model.model.layers, kinds, strict=True):
        if isinstance(query := layer.self_attn.q_proj, _WithOwn):
            held += query.own.weight.nbytes + sum(tensor.nbytes for tensor in lent[kind])
    return held


def with_cache(drafter: Drafter, lent: Lent) -> Drafter:
    """The same drafter with projections of its own, of the target's sizes and with random weights; it shares all other
    weights with the first."""
    model: Model = copy.deepcopy(drafter.model, {id(tensor): tensor for tensor in _tensors(drafter.model)})
    kinds = model.config.get_text_config().layer_types
    for layer, kind in zip(model.model.layers, kinds, strict=True):
        heads, size = lent[kind][0].shape[1], lent[kind][0].shape[3]
        layer.self_attn.q_proj = _WithOwn(layer.self_attn.q_proj, 2 * heads * size)
    return Drafter(model)


def catch_up(drafter: Drafter, positions: torch.Tensor, lent: Lent, masks: Masks, hidden: torch.Tensor) -> None:
    """A pass over as many tokens as a round can bring, whichever they are."""
    nothing = hidden[:, None].expand(-1, positions.shape[1], -1)
    drafter.advance(nothing, nothing, positions, lent, masks)


def prefill(drafter: Drafter, hidden: torch.Tensor, positions: torch.Tensor, masks: Masks) -> None:
    """A pass over whole prompts: hidden [prompts, tokens, the target's hidden size]."""
    prompts, tokens, _ = hidden.shape
    own = {kind: (hidden.new_zeros(prompts, heads, tokens, size),) * 2 for kind, heads, size in _shapes(drafter)}
    drafter.advance(hidden, hidden, positions, own, masks)


def _shapes(drafter: Drafter) -> Iterator[tuple[str, int, int]]:
    config = drafter.model.config.get_text_config()
    for layer, kind in zip(drafter.model.model.layers, config.layer_types, strict=True):
        size = layer.self_attn.head_dim
        yield kind, layer.self_attn.q_proj.own.out_features // (2 * size), size


def _tensors(model: Model) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()
