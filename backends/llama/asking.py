"""The body of a /completion request: everything said, so that no default of the server or the model file decides."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from results.records import Sampling

NEUTRAL: Mapping[str, Any] = {
    "min_p": 0.0,
    "typical_p": 1.0,
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
}


def completion(prompt: Sequence[int], tokens: int, sampling: Sampling) -> dict[str, Any]:
    """`tokens` more tokens after `prompt`, no part of it from a cache.

    `ignore_eos` is never sent: it gives end tokens the logit -inf, and the target would say what is not its own.
    """
    return {
        "prompt": list(prompt),
        "n_predict": tokens,
        "cache_prompt": False,
        "return_tokens": True,
        **NEUTRAL,
        **choice(sampling),
    }


def choice(sampling: Sampling) -> dict[str, Any]:
    """Samplers and their settings. The server applies them in the order named here.

    Temperature comes first, as in Transformers and vLLM, so that one top-p means the same in all of them. Greedy
    decoding takes the largest logit and nothing else: a chain over the whole vocabulary would cost time at every token.
    """
    if sampling.temperature == 0:
        return {"samplers": ["top_k", "temperature"], "temperature": 0.0, "top_k": 1, "top_p": 1.0}
    return {
        "samplers": ["temperature", "top_k", "top_p"],
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "seed": secrets.randbits(31) if sampling.seed is None else sampling.seed & 0x7FFFFFFF,
    }
