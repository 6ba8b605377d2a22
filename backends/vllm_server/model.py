"""What the target's own files say: its tokens, where its text ends, how much it takes, whether vLLM can serve it here.

Imports Transformers, which every vLLM brings along; the models themselves are loaded by the server alone.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from backends import fit
from backends.vllm_server import flags
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

Config = Any
"""A `PreTrainedConfig`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target as its files describe it."""

    tokenizer: PreTrainedTokenizerBase
    eos: tuple[int, ...]
    """Tokens that end a text, as the checkpoint says."""
    limit: int | None
    """Longest prompt plus output, tokens."""
    vocab_size: int | None
    generation_config: Mapping[str, Json]
    """The checkpoint's own; only its end tokens are used."""


def read(pair: Pair, engine: EngineConfig, *, cpu: bool) -> Target:
    """Raises UsageError, in one line, where the pair cannot be served or its files cannot be read.

    cpu: vLLM is built for CPUs.
    """
    trusted, revision = engine.trust_remote_code, engine.options.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise UsageError(f"option vllm.revision takes a name, not {revision!r}")
    with _one_line(pair.target):
        config: Config = AutoConfig.from_pretrained(pair.target, revision=revision, trust_remote_code=trusted)
        tokenizer = AutoTokenizer.from_pretrained(pair.target, revision=revision, trust_remote_code=trusted)
        generation = _generation_config(pair.target, revision)
    method = engine.draft.method if engine.draft else None
    drafter: Config = None
    if method in flags.NEED_ASSISTANT and pair.assistant is not None:
        with _one_line(pair.assistant):
            drafter = AutoConfig.from_pretrained(pair.assistant, trust_remote_code=trusted)
    if method is not None:
        fit.refuse(pair, (method,), config.to_dict(), drafter and drafter.to_dict())
    if cpu:
        refuse_on_cpu(pair, config.to_dict(), drafter and drafter.to_dict())
    text = config.get_text_config()
    return Target(
        tokenizer=tokenizer,
        eos=_ids(generation.get("eos_token_id")) or _ids(text.eos_token_id),
        limit=getattr(text, "max_position_embeddings", None),
        vocab_size=getattr(text, "vocab_size", None),
        generation_config=generation,
    )


def refuse_on_cpu(pair: Pair, target: Mapping[str, Any], drafter: Mapping[str, Any] | None) -> None:
    """Raises UsageError for what a CPU build of vLLM cannot load, and says so late and in many lines."""
    if "text_config" in target and not target.get("vision_config"):
        raise UsageError(
            f"{pair.target} is a multimodal checkpoint without a vision_config, which vLLM cannot load on a CPU: "
            "export its language model by itself, or use a checkpoint with all its parts"
        )
    if drafter is not None and drafter.get("use_ordered_embeddings"):
        raise UsageError(
            f"{pair.assistant} drafts by centroids (as those of E2B and E4B do), for which vLLM needs CUDA graphs: "
            "it crashes on a CPU; use another backend, or a GPU"
        )


def loaded(pair: Pair, draft: Draft | None) -> dict[str, Path]:
    """The folders of the models that an arm loads, as far as they are on this machine: `target` and `drafter`."""
    needed = draft is not None and draft.method in flags.NEED_ASSISTANT
    named = {"target": pair.target, "drafter": pair.assistant if needed else None}
    found = {label: _folder(model) for label, model in named.items() if model is not None}
    return {label: folder for label, folder in found.items() if folder is not None}


def _folder(model: str) -> Path | None:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    # a hub id: the folder that its files were downloaded to
    config = cached_file(model, "config.json", local_files_only=True, _raise_exceptions_for_missing_entries=False)
    return None if config is None else Path(config).parent


def _generation_config(model: str, revision: str | None) -> Mapping[str, Json]:
    """Empty where the checkpoint has none."""
    if cached_file(model, "generation_config.json", revision=revision, _raise_exceptions_for_missing_entries=False):
        loaded = GenerationConfig.from_pretrained(model, revision=revision or "main")
        found: dict[str, Json] = json.loads(loaded.to_json_string(use_diff=True))
        return found
    return {}


def _ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What reading says about missing files, no network or a wrong revision, as a UsageError."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        said = " ".join(str(error).split())[:400].rstrip(".") or type(error).__name__
        elsewhere = isinstance(error, OSError) and not Path(name).expanduser().is_dir()
        advice = "; give a local folder, or a hub id that is downloaded or reachable" if elsewhere else ""
        raise UsageError(f"cannot read {name}: {said}{advice}") from error
