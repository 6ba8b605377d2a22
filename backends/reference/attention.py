"""Attention for passes of few tokens over fixed buffers, as Transformers' modules call it.

The heads that share a K/V head are laid beside each other as rows of one matrix product, so that keys and values are
read once and not repeated for every head; a compiler fuses mask and softmax between the two products. Scores and
softmax in float32, as in PyTorch's own kernels: Gemma 4 does not scale its scores down, and rounded to bfloat16 large
ones are off by tenths.

Wide passes (the prefill) go to PyTorch's kernels that keep no scores. Keys and values are repeated for them, because on
CUDA no such kernel takes a mask and heads that share keys and values both.
"""

from typing import Any

import torch
from transformers import AttentionInterface

NAME = "mtpbench_grouped"
WIDE = 32
"""Tokens from which PyTorch's kernel is used."""
WIDENS = hasattr(torch.ops.aten.bmm, "dtype")
"""This PyTorch has products of bfloat16 that are float32, on CUDA only."""


def grouped(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query [rows, heads, tokens, size], key and value [rows, K/V heads, slots, size], mask of booleans
    [rows, 1, tokens, slots] -> [rows, tokens, heads, size]."""
    rows, heads, tokens, size = query.shape
    kept = key.shape[1]
    shared = heads // kept
    if tokens >= WIDE:
        key, value = (held.repeat_interleave(shared, 1) if shared > 1 else held for held in (key, value))
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling
        )
        return out.transpose(1, 2).contiguous(), None
    stacked = query.reshape(rows, kept, shared * tokens, size)
    scores = product(stacked, key.transpose(2, 3)) * scaling
    scores = scores.view(rows, kept, shared, tokens, -1)
    scores = scores.masked_fill(~attention_mask[:, :, None], torch.finfo(torch.float32).min)
    weights = scores.softmax(-1).view(rows, kept, shared * tokens, -1)
    out = product(weights, value).to(value.dtype).view(rows, heads, tokens, size)
    return out.transpose(1, 2).contiguous(), None


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left @ right in float32, of matrices [rows, heads, …]; left may have been computed in float32."""
    if right.is_cuda and right.dtype != torch.float32 and WIDENS:  # reads them as they are, and does not round
        flat = torch.bmm(left.to(right.dtype).flatten(0, 1), right.flatten(0, 1), out_dtype=torch.float32)
        return flat.view(*left.shape[:-1], -1)
    return left.float() @ right.float()


def use(model: Any) -> None:
    """Have this model's text layers attend so."""
    AttentionInterface.register(NAME, grouped)
    model.set_attn_implementation(NAME)
