"""A Gemma 4 assistant with more channels that computes the same: llama.cpp refuses one as wide as its target.

Its loader takes an `embedding_length_out` equal to `embedding_length` for a missing one. The published assistants are
narrower than their targets; of ours only the shipped demo pair needs this.

The new channels are zero everywhere, and rows and columns of zeros leave every matrix product as it was. RMSNorm
divides by the mean over the hidden size, so each norm over it gets its weight times sqrt(old/new) and epsilon times
old/new; together they reproduce the narrow norm exactly in real numbers. Epsilon is shared with the query norm, which
is over the head size and stays: there it is off by a factor old/new, some 1e-7 of the result. Written as float32,
because sqrt(old/new) is no bfloat16 number.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from results.errors import UsageError

WEIGHTS = "model.safetensors"
STEP = 32
"""llama.cpp wants widths that are multiples of it."""

_NORMS = tuple(
    f"{norm}.weight"
    for norm in (
        *("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"),
        "model.norm",
    )
)
_ROWS = ("o_proj.weight", "down_proj.weight", "pre_projection.weight")
"""[hidden, …]"""
_COLUMNS = (
    *("q_proj.weight", "gate_proj.weight", "up_proj.weight"),
    *("post_projection.weight", "embed_tokens.weight", "lm_head.weight"),
)
"""[…, hidden]"""
_KEPT = ("q_norm.weight", "layer_scalar")


def next_width(hidden: int) -> int:
    """The next multiple of 32."""
    return (hidden // STEP + 1) * STEP


def widen(assistant: Path, out: Path, hidden: int) -> None:
    """Write the assistant in folder `assistant` with hidden size `hidden` to `out`.

    Raises UsageError where it is not wider, or a tensor is of a kind that we do not know.
    """
    config = json.loads((assistant / "config.json").read_bytes())
    text = config["text_config"]
    old = int(text["hidden_size"])
    if hidden <= old or hidden == config["backbone_hidden_size"]:
        raise UsageError(
            f"a width of {hidden} is not above the assistant's {old} and different from its target's "
            f"{config['backbone_hidden_size']}"
        )
    if not (assistant / WEIGHTS).is_file():
        raise UsageError(f"{assistant / WEIGHTS} does not exist; only an assistant in one file can be widened")
    wide = {name: widened(name, weight, old, hidden) for name, weight in load_file(assistant / WEIGHTS).items()}
    out.mkdir(parents=True)
    for file in assistant.iterdir():
        if file.is_file() and file.name not in ("config.json", WEIGHTS):
            shutil.copyfile(file, out / file.name)
    save_file({name: weight.contiguous() for name, weight in wide.items()}, out / WEIGHTS, {"format": "pt"})
    text["hidden_size"] = hidden
    text["rms_norm_eps"] *= old / hidden
    text["dtype"] = config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def widened(name: str, weight: Tensor, old: int, new: int) -> Tensor:
    """One tensor in float32, its side of `old` channels padded to `new`; by its name, for sides may be equally long."""
    weight = weight.float()
    if name.endswith(_NORMS):
        return torch.cat([weight * (old / new) ** 0.5, torch.zeros(new - old)])
    if name.endswith(_ROWS):
        return torch.cat([weight, torch.zeros(new - old, weight.shape[1])])
    if name.endswith(_COLUMNS):
        return torch.cat([weight, torch.zeros(weight.shape[0], new - old)], dim=1)
    if name.endswith(_KEPT):
        return weight
    raise UsageError(f"the assistant's tensor {name} {tuple(weight.shape)} is of no kind that can be widened")
