"""How a Gemma 4 checkpoint is made readable for mlx-vlm's drafting classes, and what cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from the_demo_pair import DEMO

from backends.mlxvlm import view
from results.errors import UsageError

TEXT: dict[str, Any] = {
    "model_type": "gemma4_text",
    "head_dim": 32,
    "num_key_value_heads": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "vocab_size": 2048,
}
FLAT = TEXT | {"global_head_dim": 64, "num_global_key_value_heads": 2}
PER_LAYER = {str(i): {"head_dim": 64, "num_key_value_heads": 2} for i in (1, 3)}


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_a_text_only_checkpoint_becomes_a_multimodal_one_without_vision() -> None:
    wanted = view.adapted(FLAT)
    assert wanted == {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "vocab_size": 2048,
        "text_config": FLAT,
        "audio_config": None,
    }


def test_the_unified_family_stays_in_its_family() -> None:
    wanted = view.adapted(FLAT | {"model_type": "gemma4_unified_text"})
    assert wanted is not None
    assert wanted["model_type"] == "gemma4_unified"
    assert wanted["architectures"] == ["Gemma4UnifiedForConditionalGeneration"]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "gemma4", "text_config": FLAT, "vision_config": {"hidden_size": 8}},
        {"model_type": "gemma4_assistant", "text_config": FLAT},
        {"model_type": "llama"},
    ],
)
def test_what_mlx_vlm_reads_as_it_is_needs_no_view(config: dict[str, Any], tmp_path: Path) -> None:
    assert view.adapted(config) is None
    with view.viewed(tmp_path, config) as readable:
        assert readable == tmp_path
    assert tmp_path.is_dir()


def test_a_vision_config_of_null_is_left_out() -> None:
    wanted = view.adapted({"model_type": "gemma4", "text_config": FLAT, "vision_config": None})
    assert wanted == {"model_type": "gemma4", "text_config": FLAT}


def test_shapes_kept_per_layer_are_said_flat() -> None:
    assert view.flat(TEXT | {"per_layer_config": PER_LAYER}) == FLAT
    assert view.flat(TEXT | {"per_layer_config": {}}) == TEXT | {
        "global_head_dim": 32,
        "num_global_key_value_heads": None,
    }


@pytest.mark.parametrize(
    ("per_layer", "phrase"),
    [
        (None, "mlx-vlm would guess 512"),
        ({"0": {"head_dim": 64}}, "cannot express"),
        ({"1": {"head_dim": 64}}, "cannot express"),
    ],
)
def test_shapes_that_cannot_be_said_are_refused(per_layer: object, phrase: str) -> None:
    with pytest.raises(UsageError, match=phrase):
        view.flat(TEXT if per_layer is None else TEXT | {"per_layer_config": per_layer})


def test_a_view_of_the_demo_pair_holds_every_tensor_under_its_new_name_and_vanishes() -> None:
    source = DEMO / "target"
    with view.viewed(source, config_of(source)) as readable:
        assert readable != source
        assert config_of(readable)["text_config"] == config_of(source)
        assert (readable / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
        old, new = ((folder / "model.safetensors").read_bytes() for folder in (source, readable))
    assert not readable.exists()
    headers, data = zip(*(split(raw) for raw in (old, new)), strict=True)
    assert {view.renamed(name): entry for name, entry in headers[0].items()} == headers[1]
    assert all(name.startswith(("model.language_model.", "__metadata__")) for name in headers[1])
    assert data[0] == data[1]


def split(raw: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(raw[:8], "little")
    assert size % 8 == 0
    header: dict[str, Any] = json.loads(raw[8 : 8 + size])
    return header, raw[8 + size :]


def test_shards_and_their_index_are_renamed_alike(tmp_path: Path) -> None:
    names = {"one.safetensors": "model.norm.weight", "two.safetensors": "model.language_model.x"}
    for shard, name in names.items():
        save_file({name: np.arange(3, dtype=np.float32)}, tmp_path / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard, name in names.items()}}
    (tmp_path / view.INDEX).write_text(json.dumps(index))
    (tmp_path / "config.json").write_text(json.dumps(FLAT))
    with view.viewed(tmp_path, FLAT) as readable:
        found = json.loads((readable / view.INDEX).read_text())["weight_map"]
        assert found == {
            "model.language_model.norm.weight": "one.safetensors",
            "model.language_model.x": "two.safetensors",
        }
        for name, shard in found.items():
            assert load_file(readable / shard)[name].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "raw", [b"", b"\x05\0\0\0\0\0\0\0{oops", (1 << 60).to_bytes(8, "little"), b"\x02" + bytes(7) + b"[]"]
)
def test_weights_that_are_no_safetensors_file_are_one_line(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(UsageError, match=r"model\.safetensors is no safetensors file"), view.viewed(tmp_path, FLAT):
        pytest.fail("it was viewed")
