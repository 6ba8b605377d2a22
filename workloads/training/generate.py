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
    """int64 [sequences, length]: 32 tokens of the corpus and what the target makes of them, half greedy, half T=0.8.

    The rows alternate between greedy and sampled, so that any prefix of them holds both.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    prompt = min(OWN_PROMPT, length // 2)
    written: dict[bool, list[Tensor]] = {False: [], True: []}
    for sample, rows in written.items():
        left = sequences // 2 if sample else sequences - sequences // 2
        while left > 0:
            prompts = batch(tokens, rng, min(ROWS, left), prompt)
            rows.append(continue_(target, prompts, length - prompt, sample=sample))
            left -= ROWS
    greedy, sampled = (
        torch.cat(rows) if rows else torch.empty(0, length, dtype=torch.long) for rows in written.values()
    )
    mixed = torch.empty(sequences, length, dtype=torch.long)
    mixed[0::2], mixed[1::2] = greedy, sampled
    return mixed
