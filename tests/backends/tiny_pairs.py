"""Tiny random pairs of the genuine Gemma 4 shapes, with the demo pair's tokenizer.

Weights as they are initialised repeat one token, which hides any mistake: a token's own embedding, which is also its
row of the output head, outweighs what the layers add. So embeddings are made small, and a few tokens' larger than the
rest, in target and drafter alike: texts vary, and by chance the two agree on a draft in ten, or two.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from the_demo_pair import DEMO

from results.records import Pair

TINY = {
    "num_hidden_layers": 6,
    "layer_types": ["sliding_attention", "full_attention"] * 3,
    "hidden_size": 64,
    "intermediate_size": 96,
    "sliding_window": 16,
    "initializer_range": 0.3,
}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "edge": {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 2048, "num_kv_shared_layers": 2},
    "MoE": {"enable_moe_block": True, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 32},
    "unified": {},
    "dense": {"attention_k_eq_v": True, "num_key_value_heads": 2, "num_global_key_value_heads": 1},
}
HEADS = ("attention_k_eq_v", "num_key_value_heads", "num_global_key_value_heads")
"""Of keys and values: a drafter that reads the target's is told how many there are."""
CENTROIDS = {"use_ordered_embeddings": True, "num_centroids": 64, "centroid_intermediate_top_k": 4}
SMALL, FAVOURED, HOW_MUCH = 0.01, range(100, 104), 12


def make(folder: Path, kind: str) -> Pair:
    """A multimodal target (its text part only is used) and its assistant, written to `folder`."""
    torch.manual_seed(0)
    text = _config(DEMO / "target") | TINY | SHAPES[kind]
    assistant = _config(DEMO / "assistant") | {"backbone_hidden_size": 64} | (CENTROIDS if kind == "edge" else {})
    assistant["text_config"] |= {"hidden_size": 32, "intermediate_size": 48, "sliding_window": 16}
    assistant["text_config"] |= {"initializer_range": 0.3}
    assistant["text_config"] |= {key: SHAPES[kind][key] for key in HEADS if key in SHAPES[kind]}
    family = "Gemma4Unified" if kind == "unified" else "Gemma4"
    if family == "Gemma4Unified":
        text["model_type"] = assistant["text_config"]["model_type"] = "gemma4_unified_text"
        assistant["model_type"] = "gemma4_unified_assistant"
    config = getattr(hf, f"{family}Config")(
        text_config=text, vision_config=None, audio_config=None, eos_token_id=[1, 6], pad_token_id=0, bos_token_id=2
    )
    target = getattr(hf, f"{family}ForConditionalGeneration")(config)
    drafter = getattr(hf, f"{family}AssistantForCausalLM")(getattr(hf, f"{family}AssistantConfig")(**assistant))
    if kind == "edge":
        drafter.masked_embedding.token_ordering.copy_(_ordering(text["vocab_size"]))
    with torch.no_grad():
        for table in (target.lm_head.weight, drafter.lm_head.weight):
            table.mul_(SMALL)
            table[FAVOURED] *= HOW_MUCH
        if kind == "edge":
            drafter.masked_embedding.centroids.weight[: len(FAVOURED) + 2] *= HOW_MUCH
    drafter.generation_config.num_assistant_tokens = 4
    target.save_pretrained(folder / "target")
    drafter.save_pretrained(folder / "assistant")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(DEMO / "target" / name, folder / "target" / name)
    return Pair(kind, str(folder / "target"), str(folder / "assistant"), random_weights=True)


def _ordering(tokens: int) -> torch.Tensor:
    """At random, but each favoured token at the head of a cluster of its own."""
    ordering = torch.randperm(tokens)
    for cluster, token in enumerate(FAVOURED):
        head = cluster * tokens // CENTROIDS["num_centroids"]
        ordering[ordering == token] = ordering[head].clone()
        ordering[head] = token
    return ordering


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    for key in ("architectures", "transformers_version", "dtype"):
        config.pop(key, None)
    return config
