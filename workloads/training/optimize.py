"""What both trainings share: Muon for matrices, AdamW for the rest, warm-up and decay, progress lines."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

Report = Callable[[int, str], None]
"""How a stage tells its progress: units done so far, and the newest figure."""

DECAY_SHARE = 0.6
"""Share of the steps over which the learning rate falls linearly to zero."""
WARM_UP = 20
PROGRESS_SECONDS = 30.0


class Optimizer:
    """Muon (Jordan et al. 2024) over the weight matrices and AdamW over embeddings and norms, on one schedule."""

    def __init__(self, model: nn.Module, steps: int, muon_lr: float, adam_lr: float) -> None:
        linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        # A tied head goes by its embedding's name here, which is no linear layer's: it belongs to AdamW.
        matrices = [weight for name, weight in model.named_parameters() if name in linear]
        rest = [weight for name, weight in model.named_parameters() if name not in linear]
        self.steps = steps
        self.done = 0
        self.parameters = matrices + rest
        self.inner: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.peaks = (muon_lr, adam_lr)

    def step(self, loss: Tensor) -> None:
        """Backward pass of `loss` and one update; gradients are clipped to norm 1."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, peak in zip(self.inner, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(self.done, self.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.done += 1


def rate(step: int, steps: int) -> float:
    """Learning rate at `step` (from 0) as a share of its peak: warm-up, plateau, linear decay towards 0."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / max(1.0, DECAY_SHARE * steps))


class Progress:
    """One line of what a stage has done every half minute, and a last one at its end."""

    def __init__(self, stage: str, total: int, say: Callable[[str], None]) -> None:
        self.stage, self.total, self.say = stage, total, say
        self.started = self.said = time.monotonic()

    def __call__(self, done: int, what: str) -> None:
        """`done` of `total` units are ready; `what` is the newest figure."""
        now = time.monotonic()
        if done < self.total and now - self.said < PROGRESS_SECONDS:
            return
        self.said = now
        spent = (now - self.started) / 60
        self.say(f"{self.stage} {done}/{self.total}  {what}  {spent:.1f} min, {spent / done * self.total:.1f} in all")
