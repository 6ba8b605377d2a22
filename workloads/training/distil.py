"""Distil the MTP drafter from the target."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workloads.training.corpus import Tokens
from workloads.training.drafting import Read, draft, labels, read
from workloads.training.models import Assistant, Target, new_assistant
from workloads.training.optimize import Optimizer, Report
from workloads.training.settings import Settings
from workloads.training.train_target import batch

MUON_LR, ADAM_LR = 0.01, 0.004
STEP_DECAY = 0.9
"""Weight of draft step j is this to the power j: a later draft counts only where all before it were accepted."""
OWN_SHARE = 2 / 3
"""Of each batch: text the target wrote, which is what a drafter meets at inference."""


def distillation_loss(assistant: Assistant, seen: Read, unroll: int) -> tuple[Tensor, float]:
    """(KL(target || drafter) in nats, averaged over positions and weighted over steps; argmax agreement at step 0)."""
    total, weights, agreement = torch.zeros(()), 0.0, 0.0
    for step, logits in enumerate(draft(assistant, seen, unroll)):
        want = labels(seen, step, unroll)
        divergence = F.kl_div(F.log_softmax(logits, -1), F.log_softmax(want, -1), log_target=True, reduction="sum")
        weight = STEP_DECAY**step
        total = total + weight * divergence / want[..., 0].numel()
        weights += weight
        if step == 0:
            agreement = (logits.argmax(-1) == want.argmax(-1)).float().mean().item()
    return total / weights, agreement


def _batches(settings: Settings, tokens: Tokens, own: Tensor) -> Iterator[Tensor]:
    """int64 [distil_batch, distil_length], without end: two thirds own text, the rest corpus."""
    rng = np.random.default_rng([settings.seed, 3])
    from_own = round(OWN_SHARE * settings.distil_batch)
    while True:
        written = own[torch.from_numpy(rng.integers(0, len(own), size=from_own))]
        real = batch(tokens, rng, settings.distil_batch - from_own, settings.distil_length)
        yield torch.cat([written, real])


def distil(settings: Settings, target: Target, tokens: Tokens, own: Tensor, say: Report) -> Assistant:
    """A drafter for `target`, trained on `tokens` of the corpus and on `own` [sequences, distil_length]."""
    torch.manual_seed(settings.seed)
    assistant = new_assistant(settings, target)
    optimizer = Optimizer(assistant, settings.distil_steps, MUON_LR, ADAM_LR)
    mean = 0.0
    for step, ids in zip(range(settings.distil_steps), _batches(settings, tokens, own), strict=False):
        loss, agreement = distillation_loss(assistant, read(target, ids), settings.unroll)
        optimizer.step(loss)
        mean += (agreement - mean) / min(step + 1, 50)
        say(step + 1, f"KL {loss.item():.3f}, first draft right {mean:.3f}")
    return assistant
