"""What mlx-vlm is asked for: arguments of `stream_generate`. Pure; the standard library only."""

from typing import Any

from backends.mlxvlm.options import Options
from results.records import Draft, Sampling

DTYPES = ("float32", "bfloat16", "float16")
"""Beside `auto`; each is an attribute of `mlx.core`."""


def decoding(max_new_tokens: int, sampling: Sampling, draft: Draft | None, options: Options) -> dict[str, Any]:
    """All said explicitly, the drafter's model apart: what is left out comes from the checkpoint."""
    found: dict[str, Any] = {"max_tokens": max_new_tokens, "temperature": float(sampling.temperature)}
    found |= {"top_p": float(sampling.top_p or 1.0), "top_k": sampling.top_k or 0}
    if options.prefill_step_size is not None:
        found["prefill_step_size"] = options.prefill_step_size
    if draft is not None:
        found |= {"draft_kind": "mtp", "draft_block_size": draft.length + 1}  # the target's own token included
    return found
