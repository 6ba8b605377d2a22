"""The shipped GGUF files compute what the demo pair computes, by the real llama.cpp; others are found out."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hosted import needs
from safetensors.torch import load_file
from the_demo_pair import DEMO
from the_gguf_pair import FILES
from torch import Tensor

from harness.interpreters import interpreter_of
from results.errors import UsageError
from workloads.conversion import parity
from workloads.conversion.gguf import Gguf, files_in
from workloads.conversion.pair import read
from workloads.conversion.parity import Parity
from workloads.conversion.widen import widened

pytestmark = [pytest.mark.model, needs("llamacpp")]

SHIPPED = files_in(FILES)
PROMPTS = parity.read_prompts(DEMO / "prompts.jsonl")
NARROW, WIDE = 128, 160


def check(files: Gguf, tmp_path: Path, prompts: int = 4) -> Parity:
    torch.set_num_threads(1)
    python = Path(interpreter_of("llamacpp"))
    return parity.check(read(DEMO), files, python, PROMPTS[:prompts], tmp_path / "log", new=64, compared=16)


def spoilt(file: Path, part: str, tensor: str, spoil: Callable[[Tensor], Tensor], out: Path) -> Path:
    """A copy of a GGUF file with one tensor changed, found by its bytes."""
    weight = load_file(DEMO / part / "model.safetensors")[tensor]
    weight = widened(tensor, weight, NARROW, WIDE) if part == "assistant" else weight.float()
    data, old = file.read_bytes(), weight.numpy().tobytes()
    assert data.count(old) == 1
    out.write_bytes(data.replace(old, spoil(weight.clone()).contiguous().numpy().tobytes()))
    return out


def without_a_row(weight: Tensor) -> Tensor:
    weight[0] = 0
    return weight


def with_one_other_weight(weight: Tensor) -> Tensor:
    weight.view(-1)[100] += 0.5
    return weight


def shifted(weight: Tensor) -> Tensor:
    return weight.roll(1, 0)


def test_the_shipped_files_compute_what_the_pair_computes(tmp_path: Path) -> None:
    seen = check(SHIPPED, tmp_path, prompts=12)
    assert seen.faults() == []
    assert seen.same_text == seen.same_drafted == seen.prompts == 12
    assert seen.largest > 0
    assert seen.accepted == pytest.approx(seen.accepted_replayed, rel=0.02)
    assert seen.accepted > 100


@pytest.mark.parametrize(
    ("tensor", "spoil"),
    [
        ("model.layers.10.mlp.down_proj.weight", without_a_row),
        ("model.layers.7.mlp.gate_proj.weight", with_one_other_weight),
    ],
)
def test_a_target_with_a_wrong_weight_is_found_out(
    tmp_path: Path, tensor: str, spoil: Callable[[Tensor], Tensor]
) -> None:
    target = spoilt(SHIPPED.target, "target", tensor, spoil, tmp_path / "spoilt.gguf")
    seen = check(Gguf(target, SHIPPED.drafter), tmp_path)
    assert any("log-probabilities differ" in fault for fault in seen.faults())


@pytest.mark.parametrize(
    ("tensor", "spoil"),
    [("post_projection.weight", shifted), ("model.layers.0.self_attn.q_proj.weight", torch.zeros_like)],
)
def test_a_drafter_that_drafts_otherwise_is_found_out_though_no_text_changes(
    tmp_path: Path, tensor: str, spoil: Callable[[Tensor], Tensor]
) -> None:
    drafter = spoilt(SHIPPED.drafter, "assistant", tensor, spoil, tmp_path / "spoilt.gguf")
    seen = check(Gguf(SHIPPED.target, drafter), tmp_path)
    assert seen.same_drafted == seen.prompts
    (fault,) = seen.faults()
    assert "prompts accept as many drafts as the assistant's own folder" in fault


def test_a_file_that_llama_cpp_does_not_load_is_told_with_the_log(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(SHIPPED.target.read_bytes()[:1_000_000])
    with pytest.raises(UsageError, match=r"llama\.cpp failed: .*; all that it printed is in .*log"):
        check(Gguf(cut, SHIPPED.drafter), tmp_path)
    assert "model is corrupted or incomplete" in (tmp_path / "log").read_text()
