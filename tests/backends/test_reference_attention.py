"""Attention over fixed buffers: as exact as PyTorch's own, and by kernels that keep no square of scores."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from backends.reference import attention

MODULE = torch.nn.Module()
HEADS, KEPT, SIZE = 8, 2, 64
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def given(tokens: int, slots: int, dtype: torch.dtype) -> Tensors:
    """Queries, keys, values and a mask; norms as Gemma 4's query and key norms leave them."""
    numbers = torch.Generator().manual_seed(0)
    heads = [(HEADS, tokens), (KEPT, slots), (KEPT, slots)]
    made = [torch.randn(2, h, n, SIZE, generator=numbers) for h, n in heads]
    query, key, value = (torch.nn.functional.normalize(each, dim=-1) * SIZE**0.5 for each in made)
    mask = torch.arange(slots) < torch.arange(slots - tokens, slots)[:, None] + 1
    return query.to(dtype), key.to(dtype), value.to(dtype), mask.expand(2, 1, -1, -1)


def exact(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    every = [held.double().repeat_interleave(HEADS // KEPT, 1) for held in (key, value)]
    scores = query.double() @ every[0].transpose(2, 3)
    return (scores.masked_fill(~mask, -torch.inf).softmax(-1) @ every[1]).transpose(1, 2)


def error(seen: torch.Tensor, expected: torch.Tensor) -> float:
    return float((seen.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("tokens", [1, 5, attention.WIDE])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrow_and_wide_passes_are_as_exact_as_pytorch_s(tokens: int, dtype: torch.dtype) -> None:
    query, key, value, mask = given(tokens, 96, dtype)
    own = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=1.0, enable_gqa=True
    )
    out, _ = attention.grouped(MODULE, query, key, value, mask, 1.0)
    assert (out.dtype, out.shape) == (dtype, (2, tokens, HEADS, SIZE))
    expected = exact(query, key, value, mask)
    assert error(out, expected) <= max(
        1.3 * error(own.transpose(1, 2), expected), 1e-5
    )  # which is near enough in float32


def test_no_kernel_is_asked_for_shared_heads_and_a_mask_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA only the one that keeps all scores has both."""
    asked: list[tuple[int, int, bool]] = []
    own = torch.nn.functional.scaled_dot_product_attention

    def kernel(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **how: Any) -> torch.Tensor:
        asked.append((key.shape[1], value.shape[1], how.get("enable_gqa", False)))
        return own(query, key, value, **how)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", kernel)
    attention.grouped(MODULE, *given(attention.WIDE, 96, torch.float32), 1.0)
    assert asked == [(HEADS, HEADS, False)]


@pytest.mark.skipif(not attention.WIDENS, reason="this PyTorch rounds every product of bfloat16")
def test_on_cuda_products_are_not_rounded_and_keys_are_read_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[torch.dtype] = []
    own = torch.bmm

    def bmm(left: torch.Tensor, right: torch.Tensor, *, out_dtype: torch.dtype) -> torch.Tensor:
        read.extend((left.dtype, right.dtype, out_dtype))
        return own(left, right, out_dtype=out_dtype)

    monkeypatch.setattr(torch, "bmm", bmm)
    with FakeTensorMode(), torch.device("cuda"):  # a device that nothing is computed on
        query, key = (torch.empty(2, KEPT, n, SIZE, dtype=torch.bfloat16) for n in (12, 96))
        weights = torch.empty(2, KEPT, 12, 96)
        scores, out = attention.product(query, key.transpose(2, 3)), attention.product(weights, key)
    assert [(made.dtype, made.shape[2:]) for made in (scores, out)] == [
        (torch.float32, n) for n in ((12, 96), (12, SIZE))
    ]
    assert read == [torch.bfloat16, torch.bfloat16, torch.float32] * 2
