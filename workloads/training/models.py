"""The two models: a deep and narrow Gemma 4 target, and an MTP assistant that reads its keys and values."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma4AssistantConfig,
    Gemma4AssistantForCausalLM,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
)

from workloads.training.settings import Settings
from workloads.training.tokenizer import BOS, EOS, SPECIAL

Target = Any
"""A `Gemma4ForCausalLM`. Transformers' annotations refuse its own models (`generate` on them), so they are no help."""
Assistant = Any
"""A `Gemma4AssistantForCausalLM`."""

FULL, SLIDING = "full_attention", "sliding_attention"
SOFT_CAP = 30.0
DRAFTER_LAYERS = {1: (FULL,), 2: (SLIDING, FULL)}
"""Layer types of a drafter by depth; each reads the K/V of the target's last layer of its type."""
FIRST_NORM = 0.3
"""First weight of the drafter's final norm: with 1 its first guesses are wrong with the target's confidence."""


def _text_config(settings: Settings, hidden: int, layer_types: tuple[str, ...], **other: Any) -> Any:
    configuration: Any = Gemma4TextConfig  # its annotations lack the flat keys that it reads
    return configuration(
        vocab_size=settings.vocab,
        hidden_size=hidden,
        intermediate_size=settings.mlp,
        num_hidden_layers=len(layer_types),
        layer_types=list(layer_types),
        num_attention_heads=settings.heads,
        num_key_value_heads=1,
        head_dim=settings.head_dim,
        global_head_dim=settings.head_dim,
        sliding_window=settings.window,
        max_position_embeddings=settings.context,
        hidden_size_per_layer_input=0,
        vocab_size_per_layer_input=0,
        pad_token_id=0,
        bos_token_id=SPECIAL.index(BOS),
        eos_token_id=SPECIAL.index(EOS),
        **other,
    )


def load_target(folder: Path) -> Target:
    """The target saved in `folder`, in float32, ready to run."""
    model: Target = Gemma4ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def load_assistant(folder: Path) -> Assistant:
    """The drafter saved in `folder`, in float32, ready to run."""
    model: Assistant = Gemma4AssistantForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def new_target(settings: Settings) -> Target:
    """An untrained target in float32: three sliding layers to each full one, the last one full."""
    layer_types = (SLIDING, SLIDING, SLIDING, FULL) * (settings.layers // 4)
    config = _text_config(settings, settings.hidden, layer_types, final_logit_softcapping=SOFT_CAP)
    return Gemma4ForCausalLM(config)


def new_assistant(settings: Settings, target: Target) -> Assistant:
    """A drafter that reads the target's K/V and starts from its head."""
    layer_types = DRAFTER_LAYERS[settings.drafter_layers]
    text_config = _text_config(settings, settings.drafter_hidden, layer_types, num_kv_shared_layers=len(layer_types))
    config = Gemma4AssistantConfig(text_config=text_config, backbone_hidden_size=settings.hidden)
    assistant = Gemma4AssistantForCausalLM(config)
    _warm_start(assistant, target)
    return assistant


@torch.no_grad()
def _warm_start(assistant: Assistant, target: Target) -> None:
    """Start the drafter's tied head as the target's, kept to as many of its leading directions as the drafter has.

    Its layers start fresh: copied from the target and projected to fewer channels they began worse than random
    ones (KL 4.6 against 2.9 nats after 26 steps), because norms do not survive the projection.
    """
    head = target.lm_head.weight * target.model.norm.weight
    directions = torch.linalg.svd(head, full_matrices=False).Vh[: assistant.model.config.hidden_size]
    assistant.model.embed_tokens.weight.copy_(head @ directions.T)
    assistant.model.norm.weight.fill_(FIRST_NORM)
