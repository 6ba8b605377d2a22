"""Text the target writes itself: batches of continuations of corpus prompts."""

import numpy as np
import torch
from torch import Tensor

from workloads.training.corpus import Tokens
from workloads.training.models import Target
from workloads.training.train_target import batch

ROWS = 64
"""Sequences generated together."""
OWN_PROMPT = 32
TEMPERATURE = 0.8


@torch.no_grad()
def continue_(target: Target, prompts: Tensor, new_tokens: int, *, sample: bool = False) -> Tensor:
    """int64 [rows, prompt + new_tokens]: `prompts` [rows, prompt] continued past any <eos>, greedy or at T=0.8."""
    how = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0} if sample else {"do_sample": False}
    mask = torch.ones_like(prompts)
    written: Tensor = target.generate(
        prompts, attention_mask=mask, max_new_tokens=new_tokens, min_new_tokens=new_tokens, **how
    )
    return written


def own_text(target: Target, tokens: Tokens, sequences: int, length: int, seed: int) -> Tensor:
    """int64 [sequences, length]: 32 tokens of the corpus and what the target makes of them, half greedy, half T=0.8."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 2])
    prompts = batch(tokens, rng, sequences, min(OWN_PROMPT, length // 2))
    new_tokens = length - prompts.shape[1]
    half = sequences // 2
    greedy = [continue_(target, rows, new_tokens) for rows in torch.split(prompts[:half], ROWS)]
    sampled = [continue_(target, rows, new_tokens, sample=True) for rows in torch.split(prompts[half:], ROWS)]
    return torch.cat(greedy + sampled)
