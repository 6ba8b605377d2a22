"""What weights take in memory, by the headers of their files."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from the_demo_pair import PAIR

from backends.base import Session
from backends.weights import in_memory


def test_the_demo_pair_takes_what_transformers_holds(demo: Session) -> None:
    held = demo.facts.target_bytes
    assert held is not None
    assert in_memory(Path(PAIR.target), "float32") == pytest.approx(held, rel=1e-4)  # which has a few buffers more


def test_floats_are_counted_as_they_will_be_held_and_quantised_tensors_as_they_are(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5), "q": torch.zeros(7, dtype=torch.int8)}, tmp_path / "model.safetensors")
    assert in_memory(tmp_path, "float32") == 3 * 5 * 4 + 7
    assert in_memory(tmp_path, "bfloat16") == 3 * 5 * 2 + 7


def test_weights_that_lie_there_twice_are_counted_once(tmp_path: Path) -> None:
    for name in ("model-1", "model-2", "consolidated"):
        save_file({name: torch.zeros(4)}, tmp_path / f"{name}.safetensors")
    index = {"weight_map": {"x": "model-1.safetensors", "y": "model-1.safetensors", "z": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert in_memory(tmp_path, "float32") == 32


def test_what_cannot_be_told_is_unknown(tmp_path: Path) -> None:
    assert in_memory(tmp_path, "float32") is None
    assert in_memory(Path("owner/name"), "float32") is None
    assert in_memory(Path(PAIR.target), "auto") is None
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    assert in_memory(tmp_path, "float32") is None
    shutil.copy(Path(PAIR.target) / "config.json", tmp_path / "model.safetensors")
    assert in_memory(tmp_path, "float32") is None
