"""The figures of a pair, put together from `evaluate`'s measurements."""

import numpy as np
import torch
from tokenizers import Tokenizer

from results.records import Json
from workloads.training.corpus import Tokens
from workloads.training.drafting import accepted, read
from workloads.training.evaluate import (
    Generation,
    Prompt,
    generate,
    given_previous,
    held_out_loss,
    held_out_prompts,
    replayed,
)
from workloads.training.generate import OWN_PROMPT, continue_
from workloads.training.models import Assistant, Target
from workloads.training.settings import Settings
from workloads.training.train_target import batch
from workloads.training.unloop import distinct_share

DRAFT_LENGTHS = (1, 2, 4, 8)
ROWS = 64
"""Sequences over which teacher-forced acceptance is taken."""


def measure(
    settings: Settings,
    tokenizer: Tokenizer,
    target: Target,
    assistant: Assistant,
    held_out: Tokens,
) -> tuple[dict[str, Json], list[Prompt], list[list[int]]]:
    """(figures, held-out prompts, the target's greedy tokens for each) of a pair in float32."""
    prompts = held_out_prompts(
        tokenizer, held_out, settings.prompts, settings.prompt_tokens, settings.new_tokens, settings.seed
    )
    plain = [generate(target, prompt.ids, settings.new_tokens) for prompt in prompts]
    figures: dict[str, Json] = {
        "parameters": {"target": target.num_parameters(), "assistant": assistant.num_parameters()},
        "held_out_loss_nats_per_token": held_out_loss(target, held_out, settings.length),
        "distinct_4_grams": _distinct(plain, prompts),
        "accepted_given_the_draft_before": _teacher_forced(settings, target, assistant, held_out),
        "drafting": {
            f"k={k}": _drafting(target, assistant, prompts, plain, settings.new_tokens, k) for k in DRAFT_LENGTHS
        },
    }
    return figures, prompts, [generation.ids for generation in plain]


def _distinct(plain: list[Generation], prompts: list[Prompt]) -> Json:
    """Share of distinct 4-grams per generation, and that of the text which really follows the same prompts."""
    shares = [distinct_share(torch.tensor([g.ids])).item() for g in plain]
    real = distinct_share(torch.tensor([p.following for p in prompts])).mean().item()
    return {"mean": sum(shares) / len(shares), "least": min(shares), "most": max(shares), "real_text": real}


def _teacher_forced(settings: Settings, target: Target, assistant: Assistant, held_out: Tokens) -> Json:
    """Acceptance per draft step on held-out text, and on the target's greedy continuations of held-out prompts."""
    length, unroll = settings.distil_length, settings.unroll
    rng = np.random.default_rng([settings.seed, 5])
    real = batch(held_out, rng, ROWS, length)
    prompt = min(OWN_PROMPT, length // 2)
    own = continue_(target, batch(held_out, rng, ROWS, prompt), length - prompt)
    hits = {
        "held_out_text": accepted(assistant, read(target, real), unroll),
        "own_greedy_text": accepted(assistant, read(target, own), unroll)[:, prompt - 1 :],
    }
    return {text: list(given_previous(each)) for text, each in hits.items()}


def _drafting(
    target: Target,
    assistant: Assistant,
    prompts: list[Prompt],
    plain: list[Generation],
    new_tokens: int,
    k: int,
) -> Json:
    """Assisted against plain generation of every prompt at draft length `k`."""
    assisted = [generate(target, prompt.ids, new_tokens, assistant, k) for prompt in prompts]
    rounds = [r for generation in assisted for r in generation.rounds]
    drafted, hits = sum(d for d, _ in rounds), sum(a for _, a in rounds)
    again = [r for p, g in zip(prompts, plain, strict=True) for r in replayed(target, assistant, p.ids, g.ids, k)]
    return {
        "prompts_with_the_same_tokens": sum(a.ids == p.ids for a, p in zip(assisted, plain, strict=True)),
        "of": len(prompts),
        "accepted": hits,
        "drafted": drafted,
        "acceptance": hits / drafted if drafted else None,
        "accepted_per_round": hits / len(rounds) if rounds else None,
        "rounds_that_accepted_at_least": [
            sum(a >= j for _, a in rounds) / len(rounds) if rounds else None for j in range(1, k + 1)
        ],
        "acceptance_predicted_by_the_distillation_pass": (
            sum(a for _, a in again) / sum(d for d, _ in again) if again else None
        ),
        "plain_over_assisted_cpu_time": sum(p.cpu_seconds for p in plain) / sum(a.cpu_seconds for a in assisted),
    }
