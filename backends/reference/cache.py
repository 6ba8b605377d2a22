"""Keys and values of a fixed number of rows in buffers that never move, each row at its own length.

A full-attention layer keeps a slot per position. A sliding layer keeps a ring: position p lies in slot p modulo the
ring's size, which is the window plus the widest pass, so that no pass overwrites what one of its own queries may still
see, and a rejected draft needs no undoing: its slot is overwritten before anything could mistake it for an older one.
Which position a slot holds follows from the last one written (`positions`), and so do the masks.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from backends.hf.loading import Model

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What a target's layers keep."""

    heads: tuple[tuple[int, int] | None, ...]
    """Per layer: (K/V heads, head size); None where it reads another layer's."""
    kinds: tuple[str, ...]
    """Per layer: `full_attention` or `sliding_attention`."""
    window: int
    """Tokens that a sliding layer looks back, its own included."""

    def lends(self, kind: str) -> int:
        """The layer whose keys and values the drafter reads for its layers of this kind: the last that has any."""
        return max(i for i, kept in enumerate(self.heads) if kept is not None and self.kinds[i] == kind)


def layout_of(text_model: Model) -> Layout:
    """Of a `Gemma4TextModel`, by what its attention modules say of themselves. Raises ValueError for another kind."""
    heads: list[tuple[int, int] | None] = []
    for layer in text_model.layers:
        attention = layer.self_attn
        if attention.is_kv_shared_layer:
            heads.append(None)
        else:
            heads.append((attention.k_proj.out_features // attention.head_dim, attention.head_dim))
    config = text_model.config
    if unknown := set(config.layer_types) - {FULL, SLIDING}:
        raise ValueError(f"the reference engine knows no {', '.join(sorted(unknown))} layers")
    return Layout(tuple(heads), tuple(config.layer_types), config.sliding_window)


def row_bytes(layout: Layout, capacity: int, widest: int, itemsize: int) -> int:
    """Memory of one row's keys and values."""
    slots = {FULL: capacity, SLIDING: ring(layout, capacity, widest)}
    return sum(
        2 * kept[0] * kept[1] * slots[kind] * itemsize
        for kept, kind in zip(layout.heads, layout.kinds, strict=True)
        if kept
    )


def ring(layout: Layout, capacity: int, widest: int) -> int:
    """Slots of a sliding layer, in eights."""
    return min(capacity, -(-(layout.window + widest + 1) // 8) * 8)


class Slots:
    """The buffers, handed to Transformers' attention modules as their cache (they call `update` and nothing else)."""

    def __init__(
        self, layout: Layout, rows: int, capacity: int, widest: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """capacity: positions a row can hold. widest: tokens per row of the widest pass after the prefill."""
        self.layout, self.rows, self.capacity = layout, rows, capacity
        self.sizes: Mapping[str, int] = {FULL: capacity, SLIDING: ring(layout, capacity, widest)}
        self.keys: list[torch.Tensor | None] = []
        self.values: list[torch.Tensor | None] = []
        for kept, kind in zip(layout.heads, layout.kinds, strict=True):
            for buffers in (self.keys, self.values):
                shape = kept and (rows, kept[0], self.sizes[kind], kept[1])
                buffers.append(None if shape is None else torch.zeros(shape, dtype=dtype, device=device))
        self.slots = {kind: torch.arange(size, device=device) for kind, size in self.sizes.items()}
        self._places = torch.arange(rows, device=device)[:, None, None]
        self._heads = {h: torch.arange(h, device=device)[:, None] for h, _ in filter(None, layout.heads)}
        self._at: Mapping[str, torch.Tensor] = {}

    @property
    def nbytes(self) -> int:
        return sum(buffer.nbytes for buffer in (*self.keys, *self.values) if buffer is not None)

    def slots_of(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """{layer type: [rows, tokens]}: where a pass at these positions, consecutive in each row, writes."""
        return {kind: positions % size for kind, size in self.sizes.items()}

    def aim(self, at: Mapping[str, torch.Tensor]) -> None:
        """The next pass writes there."""
        self._at = at

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write a pass's keys and values [rows, heads, tokens, head size]; the whole buffers come back."""
        keys, values = self.keys[layer], self.values[layer]
        assert keys is not None and values is not None  # a layer that shares another's never asks
        # An index_put, because the compiler does a scatter on a copy of the whole buffer.
        where = (self._places, self._heads[key.shape[1]], self._at[self.layout.kinds[layer]][:, None])
        keys.index_put_(where, key)
        values.index_put_(where, value)
        return keys, values

    def positions(self, kind: str, last: torch.Tensor) -> torch.Tensor:
        """[rows, slots]: which position each slot holds, where `last` [rows] was written last; negative for none."""
        return last[:, None] - (last[:, None] - self.slots[kind]) % self.sizes[kind]

    def masks(self, positions: torch.Tensor) -> dict[str, torch.Tensor]:
        """{layer type: [rows, 1, tokens, slots]}: what a pass at these positions [rows, tokens] may see."""
        asks = positions[:, :, None]
        seen = {}
        for kind in self.sizes:
            held = self.positions(kind, positions[:, -1])[:, None, :]
            visible = (held >= 0) & (held <= asks)
            seen[kind] = (visible & (held > asks - self.layout.window) if kind == SLIDING else visible)[:, None]
        return seen

    def lent(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """{layer type: (keys, values)} that the drafter reads."""
        pairs = {}
        for kind in sorted(set(self.layout.kinds)):
            layer = self.layout.lends(kind)
            keys, values = self.keys[layer], self.values[layer]
            assert keys is not None and values is not None
            pairs[kind] = (keys, values)
        return pairs


class Filling:
    """A cache for a prefill: attention sees the pass's own keys and values, which also fill the rows' slots."""

    def __init__(self, into: Slots, rows: torch.Tensor, lengths: torch.Tensor) -> None:
        """rows: [prompts], which rows of `into`. lengths: [prompts] in tokens; what lies beyond is padding."""
        self._into, self._rows = into, rows
        self._held = {kind: into.positions(kind, lengths - 1).clamp_min(0) for kind in into.sizes}

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Slots.update`; what comes back is what was given."""
        held = self._held[self._into.layout.kinds[layer]][:, None, :, None]
        for given, buffers in ((key, self._into.keys), (value, self._into.values)):
            buffer = buffers[layer]
            assert buffer is not None
            at = held.clamp_max(given.shape[2] - 1).expand(-1, given.shape[1], -1, given.shape[3])
            buffer[self._rows] = given.gather(2, at)
        return key, value


def prefill_masks(lengths: torch.Tensor, width: int, window: int) -> dict[str, torch.Tensor]:
    """{layer type: [prompts, 1, width, width]} for prompts padded on the right; causal, each token sees itself."""
    at = torch.arange(width, device=lengths.device)
    causal = at[:, None] >= at
    near = at[:, None] < at + window
    real = (at < lengths[:, None])[:, None, None, :] | torch.eye(width, dtype=torch.bool, device=lengths.device)
    return {FULL: causal & real, SLIDING: causal & near & real}
