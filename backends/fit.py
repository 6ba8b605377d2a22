"""Does this drafter fit this target? Judged from the two config.json alone, before anything is loaded.

`check` reads local folders and what was downloaded before; where a hub id is new here, an adapter calls `refuse` with
the configs once it has them.
The keys are those of Transformers' checkpoints (flat, or under `text_config` in multimodal ones).
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from results.errors import UsageError
from results.records import Pair

Config = Mapping[str, Any]

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "gemma4_assistant": ("gemma4", "gemma4_text"),
    "gemma4_unified_assistant": ("gemma4_unified", "gemma4_unified_text"),
}
"""Model type of an MTP assistant -> model types of the targets it is made for (12B is the unified family)."""


def check(pair: Pair, methods: Iterable[str]) -> None:
    """Raises UsageError where models that are here do not fit each other; hub ids that are not here pass unseen."""
    target = read(pair.target)
    assistant = read(pair.assistant) if pair.assistant else None
    if target is None or (assistant is None and pair.assistant):
        return
    refuse(pair, methods, target, assistant)


def refuse(pair: Pair, methods: Iterable[str], target: Config, assistant: Config | None) -> None:
    """Raises UsageError, in one line, where the drafter cannot draft for the target by one of `methods`."""
    for method in methods:
        if found := problems(method, target, assistant):
            models = pair.target if pair.assistant is None else f"{pair.assistant} and {pair.target}"
            raise UsageError(
                f"{models} cannot run {method}: {'; '.join(found)}. Name a target and the drafter made for it, "
                "as in -m TARGET:ASSISTANT"
            )


def problems(method: str, target: Config, assistant: Config | None) -> list[str]:
    """What speaks against drafting by `method`, one phrase each; empty where nothing does.

    mtp: the assistant is an MTP assistant of the target's family, takes the target's hidden size, vocabulary and
    head size (it reads the target's keys and values), and has no layer type that the target lacks.
    draft-model: an ordinary model with the target's vocabulary. eagle3: a head of its own kind. Others need none.
    """
    if target.get("model_type") in FAMILIES:
        return [f"the target is itself an MTP assistant ({target['model_type']})"]
    if method not in ("mtp", "draft-model", "eagle3"):
        return []
    if assistant is None:
        return ["no assistant is named"]
    kind = str(assistant.get("model_type"))
    if method in ("draft-model", "eagle3"):
        own = [f"the drafter is an MTP assistant ({kind}), which needs --method mtp"] if kind in FAMILIES else []
        return own + (_differences(target, assistant, ("vocab_size",)) if method == "draft-model" else [])
    if kind not in FAMILIES:
        return [f"the assistant is no MTP assistant (model type {kind}); a small ordinary model needs draft-model"]
    found = []
    if target.get("model_type") not in FAMILIES[kind]:
        found.append(f"a {kind} drafts for {' or '.join(FAMILIES[kind])}, not {target.get('model_type')}")
    expected, has = assistant.get("backbone_hidden_size"), _text(target).get("hidden_size")
    if expected is not None and has is not None and expected != has:
        found.append(f"the assistant expects hidden size {expected}, the target has {has}")
    found += _differences(target, assistant, ("vocab_size", "head_dim", "global_head_dim"))
    types, known = _text(assistant).get("layer_types"), _text(target).get("layer_types")
    if types and known and (missing := sorted(set(types) - set(known))):
        found.append(f"the target has no {', '.join(missing)} layer whose keys and values the assistant could read")
    return found


def read(model: str) -> Config | None:
    """The config.json of a local folder, or of a hub id that was downloaded; None for others, and for model files.

    Raises UsageError for a folder without one, one that is no JSON object, and a path that leads nowhere.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return _parse(path / "config.json")
    if not path.exists() and (path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1):
        raise UsageError(
            f"no such model folder: {model}; give a folder with a config.json, or a hub id like owner/name"
        )
    return _downloaded(model)


def _downloaded(model: str) -> Config | None:
    """Of a hub id, from the cache that huggingface_hub fills: models--OWNER--NAME/snapshots/COMMIT/config.json."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    folder = cache / f"models--{model.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text("utf-8").strip()
    except OSError:
        return None
    file = folder / "snapshots" / commit / "config.json"
    return _parse(file) if file.is_file() else None


def _parse(file: Path) -> Config:
    if not file.is_file():
        raise UsageError(f"{file.parent} is no model folder: it holds no config.json")
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise UsageError(f"{file} is not JSON ({error}); fetch the model again") from error
    if not isinstance(config, dict):
        raise UsageError(f"{file} holds no JSON object; fetch the model again")
    return config


def _text(config: Config) -> Config:
    """The language model's part of a config: multimodal ones nest it."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def _differences(target: Config, assistant: Config, keys: Iterable[str]) -> list[str]:
    pairs = [(key, _text(assistant).get(key), _text(target).get(key)) for key in keys]
    return [
        f"{key.replace('_', ' ')} differs: {drafter} in the drafter, {aim} in the target"
        for key, drafter, aim in pairs
        if drafter is not None and aim is not None and drafter != aim
    ]
