"""Write the pair as every runtime reads it."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import Gemma4AssistantForCausalLM, Gemma4ForCausalLM, PreTrainedModel

from results.records import Json
from workloads.training.evaluate import Prompt
from workloads.training.tokenizer import BOS, CHAT_TEMPLATE, END_OF_TURN, EOS, SPECIAL

NO_LIMIT = int(1e30)
"""`model_max_length` of a tokenizer that sets none, as Transformers writes it."""


def write_pair(out: Path, target: Path, assistant: Path, tokenizer: Tokenizer, draft_tokens: int) -> None:
    """Read both float32 models from their folders and write them, rounded to bfloat16, as OUT/target and OUT/assistant.

    No sampling default is written: several runtimes would apply it behind the caller's back.
    """
    common: dict[str, Json] = {"bos_token_id": SPECIAL.index(BOS), "pad_token_id": 0, "do_sample": False}
    eos = SPECIAL.index(EOS)
    _model(Gemma4ForCausalLM, target, out / "target", common | {"eos_token_id": [eos, SPECIAL.index(END_OF_TURN)]})
    drafting: dict[str, Json] = {
        "eos_token_id": eos,
        "num_assistant_tokens": draft_tokens,
        "num_assistant_tokens_schedule": "constant",
    }
    _model(Gemma4AssistantForCausalLM, assistant, out / "assistant", common | drafting)
    for name in ("target", "assistant"):
        _tokenizer(tokenizer, out / name)


def _model(kind: type[PreTrainedModel], source: Path, out: Path, generation: dict[str, Json]) -> None:
    # Loaded as bf16, not cast: a cast would round the rotary tables too, which are no weights.
    kind.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    flatten(config.get("text_config", config))
    _json(out / "config.json", config)
    _json(out / "generation_config.json", generation)


def flatten(config: dict[str, Json]) -> None:
    """Say the full layers' head size in the published checkpoints' keys, in place.

    Transformers 5.22 writes `per_layer_config`, which other runtimes do not know: mlx-vlm would take 512 silently.
    """
    layers = config.pop("per_layer_config", None) or {}
    overrides = list(layers.values()) if isinstance(layers, dict) else []
    if any(other != overrides[0] for other in overrides[1:]):
        raise ValueError(f"full layers differ from each other, which the flat keys cannot say: {overrides}")
    full = overrides[0] if overrides and isinstance(overrides[0], dict) else {}
    config["global_head_dim"] = full.get("head_dim", config["head_dim"])
    config["num_global_key_value_heads"] = full.get("num_key_value_heads")
    config["dtype"] = "bfloat16"


def _tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    _json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "pad_token": SPECIAL[0],
            "unk_token": "<unk>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": NO_LIMIT,
            "chat_template": CHAT_TEMPLATE,  # not every runtime reads the file beside it
        },
    )


def write_prompts(out: Path, prompts: list[Prompt], greedy: list[list[int]]) -> None:
    """OUT/prompts.jsonl: text, its token ids without <bos>, and the greedy tokens the target continues them with."""
    lines = [
        json.dumps({"text": prompt.text, "prompt_ids": prompt.ids, "greedy_ids": ids})
        for prompt, ids in zip(prompts, greedy, strict=True)
    ]
    (out / "prompts.jsonl").write_text("\n".join(lines) + "\n")


def write_figures(out: Path, figures: dict[str, Json]) -> None:
    """OUT/figures.json, for machines, and OUT/README.md, the same for people."""
    _json(out / "figures.json", figures)
    lines = [
        "# A demo pair, rebuilt by `python -m workloads.training`",
        "",
        "`target/` and `assistant/` are bfloat16 checkpoints for Transformers; load them with dtype float32.",
        "`prompts.jsonl` holds held-out prompts and the target's greedy continuations.",
        "`stages/corpus/files.json` lists the files that were learnt from and those held out.",
        "",
        *(f"- {name.replace('_', ' ')}: {_said(value)}" for name, value in figures.items()),
    ]
    (out / "README.md").write_text("\n".join(lines) + "\n")


def _said(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_said(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{name.replace('_', ' ')} {_said(item)}" for name, item in value.items())
    return str(value)


def _json(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
