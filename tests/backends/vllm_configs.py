"""Tiny model folders without weights, of the kinds that vLLM's draft methods want, and what vLLM makes of arguments.

Run in vLLM's environment (`python vllm_configs.py`, argument lists as JSON on stdin), it answers with what vLLM's own
parser and configuration understood, without starting an engine.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

DEMO = Path(__file__).parents[2] / "workloads" / "data" / "demo"
MARK = "UNDERSTOOD "

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 2048,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "dtype": "float32",
    "bos_token_id": 2,
    "eos_token_id": 1,
}
EAGLE3 = {**LLAMA, "architectures": ["LlamaForCausalLMEagle3"], "num_hidden_layers": 1, "draft_vocab_size": 2048}
DEEPSEEK = {
    **LLAMA,
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_nextn_predict_layers": 1,
    "moe_intermediate_size": 32,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": None,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
}


def folder(where: Path, config: dict[str, Any]) -> str:
    """A model's folder: its config and the demo pair's tokenizer."""
    where.mkdir(parents=True)
    (where / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / "target" / name, where / name)
    return str(where)


def understood(arguments: list[str]) -> dict[str, Any]:
    """What `vllm serve` would be configured to, by vLLM's own code."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parsed = make_arg_parser(FlexibleArgumentParser()).parse_args(arguments)
    validate_parsed_serve_args(parsed)
    parsed.model = parsed.model_tag
    config = AsyncEngineArgs.from_cli_args(parsed).create_engine_config()
    draft = config.speculative_config
    return {
        "max_model_len": config.model_config.max_model_len,
        "logprobs_mode": config.model_config.logprobs_mode,
        "prefix_caching": config.cache_config.enable_prefix_caching,
        "eager": config.model_config.enforce_eager,
        "dtype": str(config.model_config.dtype),
        "method": draft and draft.method,
        "k": draft and draft.num_speculative_tokens,
        "by_batch": draft and by_batch(draft),
        "drafter": draft and draft.draft_model_config.architecture,
    }


def by_batch(draft: Any) -> list[int] | None:
    """Draft length at 1, 2, … 20 requests, as vLLM's scheduler would look it up; None where it is the same for all."""
    from vllm.v1.spec_decode.dynamic.utils import build_dynamic_sd_schedule_lookup

    if not draft.uses_dynamic_speculative_decoding():
        return None
    given, most = draft.num_speculative_tokens_per_batch_size, draft.num_speculative_tokens
    lengths: list[int] = build_dynamic_sd_schedule_lookup(given, 20, most)[1:]
    return lengths


if __name__ == "__main__":
    for given in json.load(sys.stdin):
        print(MARK + json.dumps(understood(given)), flush=True)
