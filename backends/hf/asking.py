"""What Transformers is asked for: arguments of `from_pretrained` and `generate`. Pure; the standard library only."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from results.errors import UsageError
from results.records import Draft, Json, Sampling

NEED_ASSISTANT = ("mtp", "draft-model")

OPTIONS: Mapping[str, tuple[type, ...]] = {
    "attn_implementation": (str,),
    "experts_implementation": (str,),
    "device_map": (str, dict),
    "revision": (str,),
    "assistant_revision": (str,),
    "local_files_only": (bool,),
}
"""What `-o transformers.NAME=VALUE` may set: `from_pretrained`'s arguments (`assistant_revision`: the assistant's)."""


def checked(given: Mapping[str, Json], *, trusted: bool) -> dict[str, Any]:
    """The options, if they are all this backend's. trusted: code from a hub may run. Raises UsageError."""
    for name, value in given.items():
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, n=1) or list(OPTIONS)
            raise UsageError(f"transformers has no option {name!r}; did you mean {', '.join(near)}?")
        if not isinstance(value, OPTIONS[name]):
            kinds = " or ".join(kind.__name__ for kind in OPTIONS[name])
            raise UsageError(f"option transformers.{name} takes {kinds}, not {value!r}")
        if name.endswith("_implementation") and "/" in str(value) and not trusted:
            raise UsageError(
                f"option transformers.{name} = {value!r} loads code from a hub; pass --trust-remote-code to allow that"
            )
    return dict(given)


def pretrained(options: Mapping[str, Json], *, trusted: bool) -> dict[str, Any]:
    """Of `from_pretrained`, for configs, tokenizers and models alike; revision and placement apart."""
    return {"trust_remote_code": trusted, "local_files_only": options.get("local_files_only", False)}


def placement(options: Mapping[str, Json]) -> dict[str, Any]:
    """Of `from_pretrained`, for models."""
    return {key: value for key, value in options.items() if key.endswith("_implementation") or key == "device_map"}


def assistant_config(draft: Draft) -> dict[str, Any]:
    """The assistant's generation config: `generate` ignores these settings as arguments."""
    return {
        "num_assistant_tokens": draft.length,
        "num_assistant_tokens_schedule": "constant",
        "assistant_confidence_threshold": 0.0,  # 0.4 by default, which would end a small draft model's drafts early
    }


def decoding(max_new_tokens: int, sampling: Sampling, draft: Draft | None) -> dict[str, Any]:
    """The target's generation config, apart from tokens. `generate` fills what is left out from the checkpoint's own,
    or from defaults that sample with top-k 50."""
    found: dict[str, Any] = {"max_new_tokens": max_new_tokens, "do_sample": sampling.temperature > 0}
    if sampling.temperature > 0:
        found |= {
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or 0,
            "top_p": sampling.top_p or 1.0,
        }
    if draft is not None and draft.method == "prompt-lookup":
        found["prompt_lookup_num_tokens"] = draft.length
    return found
