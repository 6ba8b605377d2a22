"""Is there room for this pair and these rows? Judged before anything is loaded, by component.

Modules without storage tell how many parameters a config means and what its layers keep, files how large their tensors
are. What is not counted: what a round computes besides its logits and CUDA graphs keep, compiled code, and rows of
other batch sizes than the largest and its control's.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM

from backends import fit, weights
from backends.hf import random_weights
from backends.hf.loading import Model, device_of
from backends.reference.cache import FULL, SLIDING, layout_of, row_bytes
from backends.reference.decoding import PREFILL_TOKENS
from backends.reference.engine import WIDTH, capacity_of
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair

TARGETS = frozenset(kind for kinds in fit.FAMILIES.values() for kind in kinds)
"""Model types whose modules the engine calls."""
MEMINFO = Path("/proc/meminfo")
CUDA: Any = torch.cuda
"""Untyped."""
HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Part:
    """One component."""

    name: str
    bytes: int


def check(pair: Pair, engine: EngineConfig) -> None:
    """Raises UsageError, in one line, for a target the engine does not know and for a pair that has no room here.

    What cannot be told beforehand passes: a hub id that is not here, a device that does not say what is free.
    """
    config = _config(pair.target, pair.shapes.target if pair.shapes else None)
    if config is None:
        return
    refuse_target(pair.target, config)
    device = device_of(engine.device)
    if "device_map" in engine.options or free_bytes(device) is None:
        return
    parts = [*_parts(pair, engine, config)]
    advice = "Choose a smaller batch, shorter contexts, bfloat16, or another device"
    if engine.max_context is None:
        advice = f"Keys and values are not counted: prompts keep their own lengths. {advice}"
    _refuse(pair, device, parts, advice)
    own = _dtype("auto", config)
    if device.type == "cuda" and pair.shapes is None and _dtype(engine.dtype, config) != own:
        largest = max((part for part in parts if part.name.endswith(" weights")), key=lambda part: part.bytes)
        _refuse(pair, HOST, [largest], f"They are converted there; choose {own}, which goes to {device} as it is")


def _refuse(pair: Pair, device: torch.device, parts: Sequence[Part], advice: str) -> None:
    free, needed = free_bytes(device), sum(part.bytes for part in parts)
    if free is None or needed <= free:
        return
    told = ", ".join(f"{part.name} {_size(part.bytes)}" for part in parts if part.bytes)
    raise UsageError(f"{pair.name} needs {_size(needed)} on {device} and {_size(free)} are free: {told}. {advice}")


def refuse_target(name: str, config: Mapping[str, Any]) -> None:
    """Raises UsageError for another family, and for layers whose keys and values the engine does not keep."""
    kind = config.get("model_type")
    if kind not in TARGETS:
        raise UsageError(f"the reference engine runs {', '.join(sorted(TARGETS))} targets, and {name} is a {kind}")
    types = _text(config).get("layer_types") or ()
    if unknown := sorted({*types} - {FULL, SLIDING}):
        raise UsageError(
            f"the reference engine has no {', '.join(unknown)} layers, which {name} names: it has {FULL} and {SLIDING}"
        )


def refuse_length(k: int, context: int | None) -> None:
    """Raises UsageError for a draft length with which no round fits. context: tokens; None: not known."""
    if context is not None and k >= context:
        raise UsageError(f"k = {k} drafts do not fit a context of {context:,} tokens: choose a smaller k")


def free_bytes(device: torch.device) -> int | None:
    """What may still be allocated there; None where nothing says so."""
    if device.type == "cuda":
        free, _ = CUDA.mem_get_info(device)
        return int(free)
    if device.type != "cpu":
        return None
    with suppress(OSError, ValueError):  # only Linux has it
        for line in MEMINFO.read_text("utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def watch_peak(device: torch.device) -> None:
    """From here on `peak_bytes` counts."""
    if device.type == "cuda":
        CUDA.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device, *, graphs: bool) -> int | None:
    """The most that was taken since `watch_peak`; None where nothing counts it.

    graphs: CUDA graphs ran. What they compute in passing lies in pools of their own, where it counts as free.
    """
    if device.type != "cuda":
        return None
    peak = int(CUDA.max_memory_allocated(device))
    if not graphs:
        return peak
    index = CUDA.current_device() if device.index is None else device.index
    pools = sum(
        segment["total_size"] - segment["allocated_size"]
        for segment in CUDA.memory_snapshot()
        if segment["device"] == index and tuple(segment["segment_pool_id"]) != (0, 0)
    )
    return min(peak + int(pools), int(CUDA.max_memory_reserved(device)))


def _parts(pair: Pair, engine: EngineConfig, config: Mapping[str, Any]) -> Iterator[Part]:
    """Weights of both models, then what `engine.max_batch` rows take, and half as many beside them: the control of a
    batch's shape (`batch-shape`) has rows of its own, and all are kept."""
    dtype = _dtype(engine.dtype, config)
    target = _empty(config)
    yield Part("target weights", _weights(pair, pair.target, dtype, target))
    if engine.methods and pair.assistant is not None:
        drafter = _config(pair.assistant, pair.shapes.assistant if pair.shapes else None)
        if drafter is not None:
            yield Part("drafter weights", _weights(pair, pair.assistant, dtype, _empty(drafter)))
    rows, context = engine.max_batch, engine.max_context
    itemsize = weights.BYTES[dtype]
    text = getattr(target.model, "language_model", target.model)
    if "mtp-own-embeddings" in engine.methods:
        yield Part("a second table of embeddings", text.embed_tokens.weight.numel() * itemsize)
    if context is not None:
        capacity = capacity_of(context, WIDTH, known=True)
        halves = rows // 2
        name = f"keys and values of {f'{rows} + {halves}' if halves else rows} x {context:,} tokens"
        yield Part(name, (rows + halves) * row_bytes(layout_of(text), capacity, WIDTH, itemsize))
        prompts = min(rows, max(1, PREFILL_TOKENS // context))
        yield Part(f"a prefill of {prompts} x {context:,} tokens", prefill_bytes(text, prompts, context, itemsize))
    yield Part(f"logits of {rows} x {WIDTH} tokens", rows * WIDTH * _text(config)["vocab_size"] * itemsize)


def prefill_bytes(text: Model, prompts: int, width: int, itemsize: int) -> int:
    """About what the activations of a prefill take at their most, by what was seen of Gemma 4's layers: normed and
    residual activations, beside them a layer's attention, its MLP or its experts; and masks, of which attention makes
    one of numbers."""
    hidden, config = text.config.hidden_size, text.config
    widest = max(
        max(4 * layer.self_attn.o_proj.in_features, 3 * layer.mlp.gate_proj.out_features) for layer in text.layers
    )
    if config.enable_moe_block:
        widest = max(widest, config.top_k_experts * (5 * hidden + 4 * config.moe_intermediate_size))
    return int(prompts * width * ((8 * hidden + widest) * itemsize + (3 + itemsize) * width))


def _weights(pair: Pair, name: str, dtype: str, empty: Model) -> int:
    """Bytes of the files' tensors; of the config's parameters where weights are random or the files are not here."""
    folder = Path(name).expanduser()
    stored = weights.in_memory(folder, dtype) if pair.shapes is None and folder.is_dir() else None
    if stored is not None:
        return stored
    counts: list[int] = [parameter.numel() for parameter in empty.parameters()]  # tied ones come once
    return sum(counts) * weights.BYTES[dtype]


def _empty(config: Mapping[str, Any]) -> Model:
    """The config's modules without storage."""
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        return auto.from_config(random_weights.config_of(config))


def _config(name: str, shape: Mapping[str, Json] | None) -> Mapping[str, Any] | None:
    return fit.read(name) if shape is None else cast(Mapping[str, Any], shape)


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part: multimodal configs nest it."""
    return cast(Mapping[str, Any], config.get("text_config") or config)


def _dtype(asked: str, config: Mapping[str, Any]) -> str:
    """What floats are held as: `auto` is the config's own, float32 where it names none."""
    own = [part.get(key) for part in (config, _text(config)) for key in ("dtype", "torch_dtype")]
    named = next(filter(None, own), "float32") if asked == "auto" else asked
    return str(named) if named in weights.BYTES else "float32"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
