"""A Gemma 4 checkpoint as mlx-vlm's drafting classes want it: a temporary folder where its own files do not fit.

mlx-vlm drafts for `gemma4` and `gemma4_unified` only, which are multimodal. A text-only checkpoint loads as
`gemma4_text`, whose class hands no hidden states to a drafter. A view of it
- nests the config under `text_config` and names no vision part, which mlx-vlm then leaves out for want of weights;
- names the tensors `model.language_model.*`: with other names a lax load leaves the language model random. Only the
  header of a safetensors file is rewritten; its data are copied byte for byte.

Transformers 5.22 and later save `per_layer_config` in place of `global_head_dim` and `num_global_key_value_heads`,
for which mlx-vlm would silently take its own defaults: a view says them. Standard library only.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from results.errors import UsageError

Config = dict[str, Any]

DRAFTING = {"gemma4_text": "gemma4", "gemma4_unified_text": "gemma4_unified"}
"""Model type of a text-only checkpoint -> the class that can draft for it."""
TOP: tuple[str, ...] = ("bos_token_id", "eos_token_id", "pad_token_id", "dtype", "tie_word_embeddings", "vocab_size")
TOP += ("quantization", "quantization_config")
"""Settings that mlx-vlm reads beside `text_config` too."""
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library itself."""


@contextmanager
def viewed(folder: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """`folder` itself where mlx-vlm can read it, else a view of it that is gone afterwards.

    config: of its config.json. Raises UsageError where it cannot be adapted.
    """
    wanted = adapted(config)
    if wanted is None:
        yield folder
        return
    with TemporaryDirectory(prefix="mtpbench-mlx-") as made:
        write(folder, Path(made), wanted, rename=config.get("model_type") in DRAFTING)
        yield Path(made)


def adapted(config: Mapping[str, Any]) -> Config | None:
    """The config that mlx-vlm shall read instead; None where it can read this one."""
    kind = str(config.get("model_type"))
    if kind in DRAFTING:
        text = flat(config)
        return {
            "architectures": [
                "Gemma4UnifiedForConditionalGeneration" if "unified" in kind else "Gemma4ForConditionalGeneration"
            ],
            "model_type": DRAFTING[kind],
            **{key: text[key] for key in TOP if key in text},
            "text_config": text,
            "audio_config": None,
        }
    nested = config.get("text_config")
    if not kind.startswith("gemma4") or not isinstance(nested, Mapping):
        return None
    wanted = {**config, "text_config": flat(nested)}
    if config.get("vision_config", ...) is None:  # said to be none: mlx-vlm takes only a missing one for that
        del wanted["vision_config"]
    return None if wanted == dict(config) else wanted


def flat(text: Mapping[str, Any]) -> Config:
    """A text config with `global_head_dim` and `num_global_key_value_heads` said.

    Raises UsageError where the layers differ by more than these two can say.
    """
    if "global_head_dim" in text:
        return dict(text)
    layers, special = text.get("layer_types"), text.get("per_layer_config")
    if not isinstance(layers, list) or not isinstance(special, Mapping) or "head_dim" not in text:
        raise UsageError("config.json has neither global_head_dim nor per_layer_config; mlx-vlm would guess 512")
    shapes: dict[str, set[tuple[object, object]]] = {}
    for index, kind in enumerate(layers):
        own = special.get(str(index), {})
        heads = own.get("num_key_value_heads", text.get("num_key_value_heads"))
        shapes.setdefault(kind, set()).add((own.get("head_dim", text["head_dim"]), heads))
    usual = (text["head_dim"], text.get("num_key_value_heads"))
    full = shapes.pop("full_attention", {usual})
    if len(full) > 1 or any(shape != {usual} for shape in shapes.values()):
        raise UsageError("per_layer_config differs within one kind of layer, which mlx-vlm cannot express")
    ((head_dim, heads),) = full
    said = {**text, "global_head_dim": head_dim, "num_global_key_value_heads": heads if heads != usual[1] else None}
    del said["per_layer_config"]
    return said


def write(folder: Path, view: Path, config: Config, *, rename: bool) -> None:
    """The files of a view. rename: its tensors get the names of a multimodal checkpoint; else weights are linked."""
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        copy = view / file.name
        if file.name == "config.json":
            copy.write_text(json.dumps(config, indent=2) + "\n")
        elif file.name == INDEX and rename:
            index = json.loads(file.read_bytes())
            index["weight_map"] = {renamed(name): shard for name, shard in index["weight_map"].items()}
            copy.write_text(json.dumps(index))
        elif file.suffix == ".safetensors" and rename:
            _rename_tensors(file, copy)
        else:
            copy.symlink_to(file.resolve())


def renamed(tensor: str) -> str:
    """`model.layers.0…` -> `model.language_model.layers.0…`; any other name as it is."""
    if tensor.startswith("model.") and not tensor.startswith("model.language_model."):
        return "model.language_model." + tensor.removeprefix("model.")
    return tensor


def _rename_tensors(source: Path, copy: Path) -> None:
    """A safetensors file is the header's length (8 bytes, little-endian), the header (JSON), the data."""
    with source.open("rb") as read, copy.open("wb") as write_to:
        size = int.from_bytes(read.read(8), "little")
        try:
            header = json.loads(read.read(size)) if size <= LONGEST_HEADER else None
        except ValueError:
            header = None
        if not isinstance(header, dict):
            raise UsageError(f"{source} is no safetensors file; fetch the model again")
        text = json.dumps({renamed(name): entry for name, entry in header.items()}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the format wants the data aligned to 8 bytes
        write_to.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(read, write_to, 1 << 22)
