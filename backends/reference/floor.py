"""What a pass of the target must read and compute at the least, and how fast this machine reads and computes.

The floor is that of a roofline: bytes that a pass must read / the bandwidth of a copy, or floating-point operations /
those of a large matrix product, whichever is longer. A model that fits the processor's caches can run below it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from backends.reference.alone import block, standing
from backends.reference.cache import SLIDING
from backends.reference.engine import Running
from backends.reference.experts import Experts, routers

COPY_BYTES = 2**28
"""Beyond the caches of CPUs and GPUs of 2026."""
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices of which a product gives the peak; elsewhere 4096."""
COPIES, PRODUCTS = 64, 8
"""Between two waits for a device that is no CPU: a wait and a launch are a tenth of one copy there."""


@dataclass(frozen=True, slots=True)
class Work:
    """Of one target pass, at the least."""

    bytes: float
    """Weights touched (of embedding tables the rows of its tokens, of mixtures the experts that were chosen), and keys
    and values in reach, each once."""
    flops: float
    """Two for each weight and token it meets, and the products of attention."""


@torch.inference_mode()
def work_of(running: Running, prompts: Sequence[tuple[int, ...]]) -> Work:
    """Of a pass over the last tokens of these prompts and their drafts."""
    target, rows = running.rows.target, running.rows.size
    tokens, itemsize = running.rule.length + 1, running.rows.hidden.itemsize
    config = target.text.config
    tables = {id(module.weight) for module in target.text.modules() if isinstance(module, torch.nn.Embedding)}
    mixtures = [module for module in target.text.modules() if type(module).__name__.endswith("TextExperts")]
    apart = tables | {id(weight) for module in mixtures for weight in module.parameters()}
    dense = [weight for weight in target.text.parameters() if id(weight) not in apart]
    head = target.head.weight
    looked_up = sum(module.embedding_dim for module in target.text.modules() if isinstance(module, torch.nn.Embedding))
    read = sum(weight.numel() for weight in dense) + head.numel() + rows * tokens * looked_up
    met = sum(weight.numel() for weight in dense if weight.dim() > 1) + head.numel()
    if mixtures:
        chosen = _chosen(running, prompts)
        for module, distinct in zip(mixtures, chosen, strict=True):
            one = sum(weight.numel() for weight in module.parameters()) / config.num_experts
            read, met = read + distinct * one, met + config.top_k_experts * one
    held = {
        kind: sum(min(len(prompt), target.layout.window) if kind == SLIDING else len(prompt) for prompt in prompts)
        for kind in target.layout.kinds
    }
    kept = sum(
        2 * size[0] * size[1] * held[kind]
        for size, kind in zip(target.layout.heads, target.layout.kinds, strict=True)
        if size
    )
    attention = sum(
        4 * config.num_attention_heads * layer.self_attn.head_dim * held[kind] * tokens
        for layer, kind in zip(target.text.layers, target.layout.kinds, strict=True)
    )
    return Work(float((read + kept) * itemsize), float(2 * met * rows * tokens + attention))


def _chosen(running: Running, prompts: Sequence[tuple[int, ...]]) -> list[float]:
    """Distinct experts of each mixture, in a pass run as it is written."""
    rows, experts = running.rows, Experts()
    with standing(running, prompts), experts.attached(rows.target.text):
        view = running.look()
        drafted = running.draft(view)
        experts.begin()
        rows.cache.aim(view.at)
        rows.target.hidden(torch.cat([rows.last[:, None], drafted.tokens], 1), view.positions, view.masks, rows.cache)
        experts.end(range(rows.size), rows.size)
    told = experts.told()
    assert told is not None and len(routers(rows.target.text)) > 0  # a mixture has a router
    return cast(list[float], told["distinct_per_layer"])


@functools.cache
def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second that a copy reads and writes, the best of five."""
    source = torch.ones(COPY_BYTES // 4, device=device)
    into = torch.empty_like(source)
    return 2 * COPY_BYTES / _best(lambda: into.copy_(source), COPIES, device)


@functools.cache
def product_peak(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of a square matrix product, the best of five. threads: of a CPU.

    Of random numbers: equal ones take a GPU less power, and it runs faster than it ever could with a model's.
    """
    side = SIDE.get(device.type, 4096)
    numbers = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(side, side, dtype=dtype, device=device, generator=numbers) for _ in range(2))
    return 2 * side**3 / _best(lambda: left @ right, PRODUCTS, device)


def _best(part: Callable[[], object], calls: int, device: torch.device) -> float:
    """Seconds of a call. calls: between two waits, where the device is no CPU."""
    calls = 1 if device.type == "cpu" else calls
    return min(block(part, calls, device)[0] for _ in range(6))
