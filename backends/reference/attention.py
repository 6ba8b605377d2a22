"""Attention for passes of few tokens over fixed buffers, as Transformers' modules call it.

The heads that share a K/V head are laid beside each other as rows of one matrix product, so that keys and values are
read once and not repeated for every head; a compiler fuses mask and softmax between the two products. Softmax in
float32, as PyTorch's own kernels. Wide passes (the prefill) go to PyTorch's kernel, which keeps no square of scores.
"""

from typing import Any

import torch
from transformers import AttentionInterface

NAME = "mtpbench_grouped"
WIDE = 32
"""Tokens from which PyTorch's kernel is used."""


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
    shared = heads // key.shape[1]
    if tokens >= WIDE:
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=shared > 1
        )
        return out.transpose(1, 2).contiguous(), None
    stacked = query.reshape(rows, key.shape[1], shared * tokens, size)
    scores = (stacked @ key.transpose(2, 3)).float() * scaling
    scores = scores.view(rows, key.shape[1], shared, tokens, -1)
    scores = scores.masked_fill(~attention_mask[:, :, None], torch.finfo(torch.float32).min)
    weights = scores.softmax(-1).to(value.dtype).view(rows, key.shape[1], shared * tokens, -1)
    out = (weights @ value).view(rows, heads, tokens, size)
    return out.transpose(1, 2).contiguous(), None


def use(model: Any) -> None:
    """Have this model's text layers attend so."""
    AttentionInterface.register(NAME, grouped)
    model.set_attn_implementation(NAME)
