"""What a pair can do, measured on text that neither model has seen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.generation.streamers import BaseStreamer

from results.errors import UsageError
from workloads.training.corpus import Tokens
from workloads.training.drafting import accepted, read, replay
from workloads.training.models import Assistant, Target
from workloads.training.tokenizer import SPECIAL

LOSS_TOKENS = 131_072
TRIES = 1000


@dataclass(frozen=True, slots=True)
class Prompt:
    """A held-out text whose tokens are `ids` (without <bos>), and what really follows it."""

    text: str
    ids: list[int]
    following: list[int]


@dataclass(frozen=True, slots=True)
class Generation:
    """One greedy generation, plain (no rounds) or assisted."""

    ids: list[int]
    """The new tokens."""
    rounds: list[tuple[int, int]]
    """(drafted, accepted) of each round that drafted."""
    cpu_seconds: float


def held_out_prompts(
    tokenizer: Tokenizer, held_out: Tokens, count: int, prompt_tokens: int, new_tokens: int, seed: int
) -> list[Prompt]:
    """`count` seeded places of the held-out text whose decoded text encodes to the same tokens again."""
    rng = np.random.default_rng([seed, 4])
    prompts: list[Prompt] = []
    span = prompt_tokens + new_tokens
    for start in rng.integers(0, max(1, len(held_out) - span), size=TRIES):
        window = held_out[start : start + span].tolist()
        ids, following = window[:prompt_tokens], window[prompt_tokens:]
        text = tokenizer.decode(ids)
        whole = len(window) == span and min(window) >= len(SPECIAL)  # inside one file
        if whole and tokenizer.encode(text, add_special_tokens=False).ids == ids:
            prompts.append(Prompt(text, ids, following))
        if len(prompts) == count:
            return prompts
    raise UsageError(
        f"the held-out text yields {len(prompts)} prompts of {prompt_tokens} tokens, not {count}: give more text "
        "with --corpus, or lower --prompts, --prompt-tokens or --new-tokens"
    )


@torch.no_grad()
def held_out_loss(target: Target, held_out: Tokens, length: int) -> float:
    """Mean cross-entropy in nats per token over windows of `length` (at most 131,072 tokens of them), in float32."""
    ids = torch.from_numpy(held_out[:LOSS_TOKENS].astype(np.int64))
    length = min(length, len(ids))
    rows = ids[: len(ids) // length * length].view(-1, length)
    losses = [
        F.cross_entropy(target(part, use_cache=False).logits[:, :-1].flatten(0, 1), part[:, 1:].flatten()) * len(part)
        for part in torch.split(rows, 8)
    ]
    return float(sum(losses) / len(rows))


def given_previous(hits: Tensor) -> list[float | None]:
    """P(draft j accepted | drafts before it accepted) per draft step; None where no round came so far.

    hits: bool [..., steps], whether drafts 0..j were all accepted (`drafting.accepted`).
    """
    reached = [int(hits[..., 0].numel()), *(int(n) for n in hits.flatten(0, -2).sum(0))]
    return [now / before if before else None for before, now in pairwise(reached)]


class _Steps(BaseStreamer):
    """How many tokens each step of a generation emitted; the first call hands over the prompt."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def put(self, value: Tensor) -> None:
        self.sizes.append(value.numel())

    def end(self) -> None:
        """Nothing is kept back."""


@torch.no_grad()
def generate(
    target: Target,
    prompt: Sequence[int],
    new_tokens: int,
    assistant: Assistant | None = None,
    draft_tokens: int = 0,
) -> Generation:
    """Greedy generation by Transformers, with `assistant` drafting `draft_tokens` a round where one is given."""
    drafted: list[int] = []

    def before_pass(_module: nn.Module, _args: tuple[object, ...], kwargs: dict[str, Tensor]) -> None:
        drafted.append(kwargs["input_ids"].shape[1] - 1)

    steps = _Steps()
    ids = torch.tensor([list(prompt)])
    if assistant is not None:
        assistant.generation_config.num_assistant_tokens = draft_tokens  # generate()'s own argument is ignored
        assistant.generation_config.num_assistant_tokens_schedule = "constant"
    hook = target.register_forward_pre_hook(before_pass, with_kwargs=True)
    started = time.process_time()
    try:
        out = target.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            assistant_model=assistant,
            max_new_tokens=new_tokens,
            do_sample=False,
            streamer=steps,
        )
    finally:
        hook.remove()
    spent = time.process_time() - started
    emitted = steps.sizes[2:]  # after the prompt and the prefill's own token
    rounds = [(d, e - 1) for d, e in zip(drafted[1:], emitted, strict=True) if d] if assistant else []
    return Generation(out[0, len(prompt) :].tolist(), rounds, spent)


def replayed(
    target: Target, assistant: Assistant, prompt: Sequence[int], new: Sequence[int], k: int
) -> list[tuple[int, int]]:
    """The rounds that `k` drafts need for the greedy tokens `new`, from the parallel pass used in distillation."""
    padding = [0] * k  # after the end, where no earlier position sees it: so that every real position has k steps
    seen = read(target, torch.tensor([[*prompt, *new, *padding]]))
    return replay(accepted(assistant, seen, k)[0], len(prompt), len(new), k)
