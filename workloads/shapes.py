"""The shapes of the published pairs as configs, for models built without their weights; and the same made small.

The numbers are in `data/shapes.toml`; docs/workloads.md says where they were read.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
FULL, SLIDING = "full_attention", "sliding_attention"

Config = dict[str, Any]
"""A checkpoint's config.json, keys flat as in the demo pair's."""

TINY: Mapping[str, int | float] = {
    "vocab_size": 2048,
    "head_dim": 16,
    "global_head_dim": 32,
    "hidden_size": 64,
    "intermediate_size": 96,
    "sliding_window": 16,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,  # logits spread as far as at 5,376 hidden units with 0.02
}
TINY_WHERE_THERE: Mapping[str, int] = {
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 2048,
    "num_experts": 8,
    "top_k_experts": 2,
    "moe_intermediate_size": 32,
}
"""Only in models that have such parts at all."""
TINY_CENTROIDS: Mapping[str, int] = {"num_centroids": 64, "centroid_intermediate_top_k": 4}


def _read() -> Mapping[str, Any]:
    with (DATA / "shapes.toml").open("rb") as file:
        return tomllib.load(file)


_SHAPES = _read()
PUBLISHED: Mapping[str, float] = {name: pair["parameters"] for name, pair in _SHAPES["pairs"].items()}
"""Pair -> published number of parameters of its target; E2B's and E4B's count their towers too."""


def configs(name: str, *, tiny: bool = False) -> tuple[Config, Config]:
    """(target, assistant) of a registered pair, as Transformers' config classes take them.

    tiny: the same kinds of layers and parts, few and narrow, with the demo tokenizer's vocabulary.
    Raises KeyError for a pair of unknown shape.
    """
    pair = _SHAPES["pairs"][name]
    target, assistant = (_text(part, pair) for part in ("target", "assistant"))
    centroids: Config = dict(_SHAPES["centroids"]) if "hidden_size" in pair["assistant"] else {}
    if tiny:
        target, assistant = _small(target), _small(assistant) | {"hidden_size": 32, "intermediate_size": 48}
        centroids |= TINY_CENTROIDS if centroids else {}
    unified = "_unified" if pair.get("unified") else ""
    return (
        {"model_type": f"gemma4{unified}_text", **target},
        {
            "model_type": f"gemma4{unified}_assistant",
            "dtype": target["dtype"],
            "backbone_hidden_size": target["hidden_size"],
            "tie_word_embeddings": True,
            **centroids,
            "text_config": {"model_type": f"gemma4{unified}_text", **assistant},
        },
    )


def _text(part: str, pair: Mapping[str, Any]) -> Config:
    """A text model's config: what all have in common, what all of its part have, and its own."""
    config: Config = {**_SHAPES["common"], **_SHAPES[part], **pair[part]}
    return config | {"layer_types": _layers(config["num_hidden_layers"], config.pop("full_every"))}


def _layers(count: int, full_every: int) -> list[str]:
    return [FULL if (layer + 1) % full_every == 0 else SLIDING for layer in range(count)]


def _small(config: Config) -> Config:
    """Two periods of its layers, of which the second shares keys and values if any does; heads as they stand in
    proportion to each other."""
    layers, heads = config["layer_types"], config["num_key_value_heads"]
    period = layers.index(FULL) + 1
    per_group = config["num_attention_heads"] // heads
    few: Config = {"num_attention_heads": min(2, heads) * per_group, "num_key_value_heads": min(2, heads)}
    if config.get("num_global_key_value_heads"):
        few["num_global_key_value_heads"] = 1
    kept: Config = {name: value for name, value in TINY_WHERE_THERE.items() if config.get(name)}
    small: Config = {**config, **TINY, **kept, **few}
    if config["num_kv_shared_layers"] != len(layers):  # the assistant's four layers stay
        small |= {"num_hidden_layers": 2 * period, "layer_types": layers[: 2 * period]}
        small["num_kv_shared_layers"] = period if config["num_kv_shared_layers"] else 0
    return small
