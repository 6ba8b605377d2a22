"""Whose server it is, and what may be asked of it beyond OpenAI's own API. Pure.

Requests to a server of unknown make hold only what OpenAI documents; others are asked for token counts or ids in the
stream, for their counts of drafts, and for no prefix cache.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Literal

from backends.openai_server.places import Place
from results.records import Json, Prompt, Request

Name = Literal["vllm", "sglang", "llamacpp", "unknown"]

OWNERS: Mapping[str, Name] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "llama.cpp": "llamacpp"}
"""`owned_by` of an entry of /v1/models -> dialect."""
VERSIONS: Mapping[Name, tuple[str, str]] = {
    "vllm": ("/version", "version"),
    "sglang": ("/server_info", "version"),
    "llamacpp": ("/props", "build_info"),
}
"""Where a server tells its version."""

NO_EXTRAS = "this server is not known to take anything beyond OpenAI's own parameters, so it cannot"


def of(models: Mapping[str, Any], model: str) -> Name:
    """models: what /v1/models answers."""
    owner = str(entry(models, model).get("owned_by", ""))
    return OWNERS.get(owner, "unknown")


def entry(models: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The model's entry; llama.cpp serves one model under any name. Empty where there is none."""
    data = [each for each in models.get("data") or [] if isinstance(each, dict)]
    named = [each for each in data if each.get("id") == model]
    return next(iter(named or (data if len(data) == 1 else [])), {})


def context(models: Mapping[str, Any], model: str) -> int | None:
    """Longest prompt plus output, where the server tells it."""
    found = entry(models, model)
    length = found.get("max_model_len", (found.get("meta") or {}).get("n_ctx"))
    return length if isinstance(length, int) else None


def body(name: Name, place: Place, prompt: Prompt, request: Request) -> dict[str, Json]:
    """The request. Raises ValueError for what the server cannot be asked."""
    sampling = request.sampling
    options: dict[str, Json] = {"include_usage": True}
    if name in ("vllm", "sglang"):
        options["continuous_usage_stats"] = True
    asked: dict[str, Json] = {
        "model": place.model,
        "max_tokens": request.max_new_tokens,
        "temperature": sampling.temperature,
        "stream": True,
        "stream_options": options,
        **_prompt(place, prompt),
        **_extras(name, request),
    }
    if sampling.top_p is not None:
        asked["top_p"] = sampling.top_p
    if sampling.seed is not None:
        asked["seed"] = sampling.seed & 0x7FFFFFFF
    return asked


def _prompt(place: Place, prompt: Prompt) -> dict[str, Json]:
    if place.chat:
        if prompt.text is None:
            raise ValueError("a prompt of token ids cannot be sent as a chat turn")
        return {"messages": [{"role": "user", "content": prompt.text}]}
    return {"prompt": prompt.text if prompt.text is not None else [*(prompt.token_ids or ())]}


def _extras(name: Name, request: Request) -> dict[str, Json]:
    """Sampling defaults of server or checkpoint are switched off, and no prompt meets a prefix cache."""
    top_k = request.sampling.top_k
    if name == "unknown":
        if top_k is not None:
            raise ValueError(f"{NO_EXTRAS} sample from the top {top_k}")
        if request.ignore_eos:
            raise ValueError(f"{NO_EXTRAS} run past the end of text")
        return {}
    if name == "llamacpp":
        # Its ignore_eos forbids the end token, so that the model would say something else than its own: not sent.
        return {
            "cache_prompt": False,
            "timings_per_token": True,
            "top_k": 1 if request.sampling.temperature == 0 else top_k or 0,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
        }
    neutral: dict[str, Json] = {
        "ignore_eos": request.ignore_eos,
        "top_k": -1 if top_k is None else top_k,
        "repetition_penalty": 1.0,
        "cache_salt": secrets.token_hex(16),
    }
    told = {"return_token_ids": True} if name == "vllm" else {"return_spec_tokens_details": True}
    return {**neutral, **told}


def says_speculative(name: Name, metrics: str | None, info: Mapping[str, Any] | None) -> bool | None:
    """Whether the server itself says that it drafts; None where it does not say.

    metrics: its /metrics page: vLLM has counters of drafts only where it drafts. info: SGLang's /server_info.
    """
    if name == "vllm" and metrics is not None and "vllm:" in metrics:
        return "vllm:spec_decode_num_drafts" in metrics
    if name == "sglang" and info is not None and "speculative_algorithm" in info:
        return info["speculative_algorithm"] is not None
    return None
