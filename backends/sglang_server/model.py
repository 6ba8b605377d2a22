"""What the target's own files say: its tokens, where its text ends, how much it takes.

Imports Transformers, which every SGLang brings along; the models themselves are loaded by the server alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from backends import fit
from backends.sglang_server.flags import NEED_ASSISTANT
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair


@dataclass(frozen=True, slots=True)
class Target:
    """A target as its files describe it."""

    tokenizer: PreTrainedTokenizerBase
    eos: tuple[int, ...]
    """Tokens that end a text, as the checkpoint says."""
    limit: int | None
    """Longest prompt plus output, tokens."""
    vocab_size: int | None
    assistant_type: str | None
    """`model_type` of the assistant; None where there is none."""


def read(pair: Pair, engine: EngineConfig) -> Target:
    """Raises UsageError, in one line, where the pair does not fit, or its files cannot be read."""
    trusted = engine.trust_remote_code
    target = _config(pair.target, trusted)
    assistant = _config(pair.assistant, trusted) if pair.assistant and engine.draft else None
    if engine.draft is not None:
        fit.refuse(pair, (engine.draft.method,), target.to_dict(), assistant and assistant.to_dict())
    try:
        tokenizer = AutoTokenizer.from_pretrained(pair.target, trust_remote_code=trusted)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"cannot read the tokenizer of {pair.target}: {_line(error)}") from error
    text = target.get_text_config()
    return Target(
        tokenizer=tokenizer,
        eos=_ids(_generation_eos(pair.target)) or _ids(getattr(text, "eos_token_id", None)),
        limit=getattr(text, "max_position_embeddings", None),
        vocab_size=getattr(text, "vocab_size", None),
        assistant_type=None if assistant is None else assistant.model_type,
    )


def loaded(pair: Pair, draft: Draft | None) -> dict[str, Path]:
    """The folders of the models that an arm loads, as far as they are on this machine: `target` and `drafter`."""
    needed = draft is not None and draft.method in NEED_ASSISTANT
    named = {"target": pair.target, "drafter": pair.assistant if needed else None}
    folders = {label: Path(model).expanduser() for label, model in named.items() if model is not None}
    return {label: folder for label, folder in folders.items() if folder.is_dir()}


def _config(model: str, trusted: bool) -> Any:
    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=trusted)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(f"cannot read {model}: {_line(error)}; give a local folder, or a reachable hub id") from error


def _generation_eos(model: str) -> Any:
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(model).eos_token_id
    except OSError:  # a checkpoint need not have one
        return None


def _ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
