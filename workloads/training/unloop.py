"""Train the target out of its loops, so that easy repetition flatters the drafter less.

Sequence-level unlikelihood (Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training"): the target
continues prompts greedily; every token it wrote that completes a phrase seen before in the same sequence is made
less likely, while real text keeps the model a model of that text.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workloads.training.corpus import Tokens
from workloads.training.generate import continue_
from workloads.training.models import Target
from workloads.training.optimize import Optimizer, Report
from workloads.training.settings import Settings
from workloads.training.train_target import batch, next_token_loss

GRAM = 6
"""Tokens of a phrase that should not come again; source code repeats shorter ones rightly."""
ROWS, UPDATES = 48, 2
"""Sequences written per round, and updates made from them."""
MUON_LR, ADAM_LR = 0.004, 0.0015
WEIGHT = 3.0
"""Of the unlikelihood term against the cross-entropy of real text."""


def repeats(ids: Tensor, gram: int = GRAM) -> Tensor:
    """bool [rows, length]: whether the `gram` tokens ending here stood earlier in the same row of `ids`."""
    windows = ids.unfold(1, gram, 1)  # [rows, length - gram + 1, gram]
    same = (windows[:, :, None] == windows[:, None, :]).all(-1)
    seen = torch.tril(same, diagonal=-1).any(-1)
    return F.pad(seen, (gram - 1, 0))


def distinct_share(ids: Tensor, gram: int = 4) -> Tensor:
    """float [rows]: distinct `gram`-grams of each row as a share of all of its `gram`-grams."""
    return 1 - repeats(ids, gram)[:, gram - 1 :].float().mean(1)


def unlikelihood(target: Target, ids: Tensor, prompt: int) -> Tensor:
    """Mean of -log(1 - p(token)) over the tokens written after `prompt`, counting 0 where nothing was repeated."""
    with torch.autocast(ids.device.type, torch.bfloat16):
        logits = target(ids[:, :-1], use_cache=False).logits
    written = F.log_softmax(logits[:, prompt - 1 :].float(), -1).gather(-1, ids[:, prompt:, None])[..., 0]
    against = -torch.log1p(-written.exp().clamp(max=1 - 1e-5))
    return (against * repeats(ids)[:, prompt:]).mean()


def unloop(target: Target, settings: Settings, tokens: Tokens, say: Report) -> None:
    """Train `target` in place for `settings.unloop_rounds` rounds."""
    rng = np.random.default_rng([settings.seed, 1])
    optimizer = Optimizer(target, settings.unloop_rounds * UPDATES, MUON_LR, ADAM_LR)
    prompt = settings.length // 8
    for done in range(settings.unloop_rounds):
        ids = continue_(target, batch(tokens, rng, ROWS, prompt), settings.length // 2 - prompt)
        for rows in ids.chunk(UPDATES):
            real = next_token_loss(target, batch(tokens, rng, settings.batch, settings.length + 1))
            optimizer.step(real + WEIGHT * unlikelihood(target, rows, prompt))
        distinct = distinct_share(ids[:, prompt:]).mean().item()
        say(done + 1, f"distinct 4-grams {distinct:.2f}, loss {real.item():.3f}")
