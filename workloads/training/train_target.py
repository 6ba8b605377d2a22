"""Train the target on next-token cross-entropy."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workloads.training.corpus import Tokens
from workloads.training.models import Target, new_target
from workloads.training.optimize import Optimizer, Report
from workloads.training.settings import Settings

MUON_LR, ADAM_LR = 0.01, 0.004


def batch(tokens: Tokens, rng: np.random.Generator, rows: int, length: int) -> Tensor:
    """int64 [rows, length]: windows of the flat corpus at random places."""
    if len(tokens) <= length:
        tokens = np.resize(tokens, length + 1)  # a corpus shorter than one window is read round and round
    starts = rng.integers(0, len(tokens) - length, size=rows)
    return torch.from_numpy(np.stack([tokens[s : s + length] for s in starts]).astype(np.int64))


def next_token_loss(target: Target, ids: Tensor) -> Tensor:
    """Mean cross-entropy in nats per token; the forward pass runs under bf16 autocast."""
    with torch.autocast(ids.device.type, torch.bfloat16):
        logits = target(ids[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


def train_target(settings: Settings, tokens: Tokens, say: Report) -> Target:
    """A target trained for `settings.steps` steps on windows of `tokens`."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    target = new_target(settings)
    optimizer = Optimizer(target, settings.steps, MUON_LR, ADAM_LR)
    mean = 0.0
    for step in range(settings.steps):
        loss = next_token_loss(target, batch(tokens, rng, settings.batch, settings.length + 1))
        optimizer.step(loss)
        mean += (loss.item() - mean) / min(step + 1, 50)
        say(step + 1, f"loss {mean:.3f}")
    return target
