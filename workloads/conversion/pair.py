"""A pair's folder as the converters need it, and the pairs that they cannot do. Reads configs only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from results.errors import UsageError
from results.records import Json

Config = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class PairFolder:
    """PAIR/target and PAIR/assistant, each as `save_pretrained` writes it."""

    target: Path
    assistant: Path
    target_config: Config
    """The target's text part, whether or not it is nested."""
    assistant_config: Config
    """The assistant's own, its layers under `text_config`."""

    @property
    def drafting(self) -> Config:
        """The assistant's text part."""
        return _text(self.assistant_config)

    @property
    def as_wide(self) -> bool:
        """Whether target and assistant have one hidden size, which llama.cpp refuses."""
        return self.drafting.get("hidden_size") == self.assistant_config.get("backbone_hidden_size")


def read(folder: Path) -> PairFolder:
    """Raises UsageError where `folder` holds no Gemma 4 target with its MTP assistant."""
    target, assistant = (folder.resolve() / name for name in ("target", "assistant"))
    configs = [_config(part) for part in (target, assistant)]
    kinds = [str(config.get("model_type")) for config in configs]
    if not (kinds[0].startswith("gemma4") and kinds[1].startswith("gemma4") and kinds[1].endswith("_assistant")):
        raise UsageError(
            f"{folder} holds {kinds[0]} and {kinds[1]}; a Gemma 4 target and its MTP assistant can be converted"
        )
    return PairFolder(target, assistant, _text(configs[0]), configs[1])


def refuse_for_gguf(pair: PairFolder) -> None:
    """Raises UsageError for what llama.cpp's converter would stop at, or do wrong, without a reason that helps."""
    for part, config in ((pair.target, pair.target_config), (pair.assistant, pair.drafting)):
        if config.get("global_head_dim") is None:
            raise UsageError(
                f"{part}/config.json lacks global_head_dim, which llama.cpp's converter asks for: "
                "write the flat keys that published checkpoints have"
            )
        file = part / "tokenizer.json"
        if not file.is_file():
            raise UsageError(f"{file} does not exist; llama.cpp's converter reads the vocabulary from it")
        model = json.loads(file.read_bytes()).get("model", {})
        if not (model.get("type") == "BPE" and model.get("byte_fallback")):
            raise UsageError(f"{file} is no BPE with byte fallback, the only kind that llama.cpp knows for Gemma 4")


def refuse_for_litert(pair: PairFolder) -> None:
    """Raises UsageError for pairs that our export, made for small dense ones, would get wrong."""
    target, drafting = pair.target_config, pair.drafting
    if target.get("model_type") != "gemma4_text":
        raise UsageError(
            f"{pair.target} is a {target.get('model_type')} model; the LiteRT export is for text-only targets "
            "(gemma4_text)"
        )
    for key, has in (
        ("hidden_size_per_layer_input", "per-layer embeddings"),
        ("enable_moe_block", "experts"),
    ):
        if target.get(key):
            raise UsageError(f"{pair.target} has {has} ({key}), which the LiteRT export does not cover")
    for part, config in ((pair.target, target), (pair.assistant, drafting)):
        heads = {config.get("num_key_value_heads"), config.get("num_global_key_value_heads")} - {None}
        if heads != {1}:
            raise UsageError(
                f"{part} has {max(map(str, heads), default='no')} K/V heads; the LiteRT export is for one, "
                "whose query heads it lays out as rows"
            )
    if pair.assistant_config.get("use_ordered_embeddings"):
        raise UsageError(
            f"{pair.assistant} drafts by ordered embeddings (centroids); the LiteRT export is for a plain head"
        )


def _config(part: Path) -> Config:
    file = part / "config.json"
    if not file.is_file():
        raise UsageError(f"{file} does not exist; give --pair the folder that holds target/ and assistant/")
    config: Config = json.loads(file.read_bytes())
    return config


def _text(config: Config) -> Config:
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config
