"""From a pair and engine settings to loaded models, and what a session knows about itself."""

import gc
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from backends import fingerprint, fit
from backends.hf import asking, random_weights
from backends.installed import versions as versions_of
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair, SessionFacts

DTYPES: Mapping[str, torch.dtype | str] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

FILES_ONLY = {"device_map", "revision", "assistant_revision"}
"""Options that random weights have no use for."""

Model = Any
"""A `PreTrainedModel` with `GenerationMixin`; Transformers' own types do not say which models have both."""

PACKAGES = ("transformers", "torch", "tokenizers", "safetensors", "huggingface_hub", "accelerate")


@dataclass(frozen=True, slots=True)
class Models:
    """A pair that is up."""

    target: Model
    assistant: Model | None
    tokenizer: PreTrainedTokenizerBase
    methods: tuple[str, ...]
    """Draft methods the pair was loaded for."""
    device: torch.device
    eos: tuple[int, ...]
    """Tokens that end a text, as the checkpoint says."""
    pad: int
    """Fills up shorter rows of a batch, masked; any token would do."""
    facts: SessionFacts


@contextmanager
def loaded(pair: Pair, engine: EngineConfig) -> Iterator[Models]:
    """The models of `pair` on their device. Raises UsageError, in one line, for everything a user can mend."""
    options = asking.checked(engine.options, trusted=engine.trust_remote_code)
    device, dtype = device_of(engine.device), _dtype(engine.dtype)
    threads = torch.get_num_threads()
    try:
        if engine.threads is not None:
            torch.set_num_threads(engine.threads)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # streams, graphs and events take the current one
        yield _load(pair, engine, options, device, dtype)
    finally:
        torch.set_num_threads(threads)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda:0")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_of(text: str) -> torch.device:
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps` as a device that is there. Raises UsageError."""
    if text == "auto":
        return best_device()
    kind, _, index = text.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    number = int(index) if index.isdecimal() else 0
    if kind not in there or (index and not index.isdecimal()) or (index and kind != "cuda"):
        raise UsageError(f"device {text!r} is none that Transformers takes; choose auto, cpu, cuda, cuda:N or mps")
    if number >= there[kind]:
        usable = ", ".join(f"{name} ({count})" if name == "cuda" else name for name, count in there.items() if count)
        raise UsageError(f"device {text!r} is not here; here are: {usable}")
    return torch.device(f"cuda:{number}" if kind == "cuda" else kind)


# ----------------------------------------------------------------------------------------------- loading


def _load(
    pair: Pair, engine: EngineConfig, options: dict[str, Any], device: torch.device, dtype: torch.dtype | str
) -> Models:
    assistant_name = pair.assistant if any(method in asking.NEED_ASSISTANT for method in engine.methods) else None
    common = asking.pretrained(options, trusted=engine.trust_remote_code)
    revisions = {"target": options.get("revision"), "assistant": options.get("assistant_revision")}
    shapes = pair.shapes
    if shapes is not None and (foreign := sorted(options.keys() & FILES_ONLY)):
        raise UsageError(f"option {foreign[0]} is for files, and {pair.name} has none: its weights are made at random")
    with _one_line(pair.target):
        target_config = _config(pair.target, shapes.target if shapes else None, revision=revisions["target"], **common)
        source = pair.target if shapes is None else shapes.tokenizer
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revisions["target"], **common)
    assistant_config = None
    if assistant_name is not None:
        with _one_line(assistant_name):
            assistant_config = _config(
                assistant_name, shapes.assistant if shapes else None, revision=revisions["assistant"], **common
            )
    fit.refuse(pair, engine.methods, target_config.to_dict(), assistant_config and assistant_config.to_dict())

    placed = asking.placement(options)
    beside = {name: value for name, value in placed.items() if name != "experts_implementation"}  # the target's alone
    target = assistant = None
    if shapes is not None:
        target = random_weights.model_of(target_config, device, dtype, **placed)
        assistant = assistant_config and random_weights.model_of(assistant_config, device, dtype, **beside)
    else:
        target = _model(pair.target, device, dtype=dtype, revision=revisions["target"], **placed, **common)
        if assistant_name is not None:
            assistant = _model(assistant_name, device, dtype=dtype, revision=revisions["assistant"], **beside, **common)

    eos = _ids(target.generation_config.eos_token_id) or _ids(target.config.get_text_config().eos_token_id)
    facts = _facts(pair, assistant_name, target, assistant, tokenizer, device, eos)
    pad = next(iter((*_ids(target.generation_config.pad_token_id), *eos, 0)))
    # A checkpoint's own sampling settings and penalties would leak into every call through this attribute.
    target.generation_config = GenerationConfig.from_dict({})
    return Models(target, assistant, tokenizer, engine.methods, device, eos, pad, facts)


def _config(name: str, shape: Mapping[str, Json] | None, **arguments: Any) -> Any:
    return AutoConfig.from_pretrained(name, **arguments) if shape is None else random_weights.config_of(shape)


def _model(name: str, device: torch.device, **arguments: Any) -> Model:
    with _one_line(name):
        model: Model = AutoModelForCausalLM.from_pretrained(name, **arguments)
    return model if "device_map" in arguments else model.to(device)


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What loading says about missing files, no network, wrong options or damaged weights, as a UsageError."""
    try:
        yield
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        said = " ".join(str(error).split())[:400].rstrip(".") or type(error).__name__
        elsewhere = isinstance(error, OSError) and not Path(name).expanduser().is_dir()
        advice = "; give a local folder, or a hub id that is downloaded or reachable" if elsewhere else ""
        raise UsageError(f"cannot load {name}: {said}{advice}") from error


def _dtype(text: str) -> torch.dtype | str:
    if text not in DTYPES:
        raise UsageError(f"dtype {text!r} is none that Transformers takes; choose {', '.join(DTYPES)}")
    return DTYPES[text]


# ------------------------------------------------------------------------------------------------- facts


def _facts(
    pair: Pair,
    assistant_name: str | None,
    target: Model,
    assistant: Model | None,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    eos: tuple[int, ...],
) -> SessionFacts:
    text = target.config.get_text_config()
    random = pair.shapes is not None
    files = {} if random else _files(pair.target, target, "target")
    statement: dict[str, Json] = {
        "attention": target.config._attn_implementation,
        "target_class": type(target).__name__,
        "tokenizer_class": type(tokenizer).__name__,
        "generation_config": json.loads(target.generation_config.to_json_string(use_diff=True)),
        "target_revision": getattr(target.config, "_commit_hash", None),
    }
    if random:
        statement["random_weights"] = random_weights.SEED
    elif assistant is not None and assistant_name is not None:
        files |= _files(assistant_name, assistant, "drafter")
        statement["assistant_revision"] = getattr(assistant.config, "_commit_hash", None)
    if assistant is not None:
        statement["assistant_class"] = type(assistant).__name__
    return SessionFacts(
        versions={"python": platform.python_version(), **versions_of(PACKAGES)},
        device=f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device),
        dtype=str(target.dtype).removeprefix("torch."),
        eos_token_ids=eos,
        context_limit=getattr(text, "max_position_embeddings", None),
        vocab_size=getattr(text, "vocab_size", None),
        threads=torch.get_num_threads(),
        target_bytes=_bytes(target),
        drafter_bytes=None if assistant is None else _bytes(assistant),
        chat_template=getattr(tokenizer, "chat_template", None) is not None,
        files=files,
        statement=statement,
    )


def _ids(value: int | list[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _bytes(model: Model) -> int:
    """Memory of parameters and buffers; tied ones count once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors(model)}
    return sum(storages.values())


def _tensors(model: Model) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def _files(name: str, model: Model, label: str) -> dict[str, str]:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        # A hub id: the snapshot it was loaded from, found through a file that every model has.
        commit = getattr(model.config, "_commit_hash", None)
        config = cached_file(name, "config.json", local_files_only=True, revision=commit)
        if config is None:
            return {}
        folder = Path(config).parent
    return fingerprint.of_model(folder, label)
