"""Pair + engine -> the arguments of `sglang serve`. Pure.

What the user passes (`-o sglang.NAME=VALUE`) becomes a flag of SGLang's, and is judged by SGLang's own parser when the
server starts. Refused here is what would contradict the measurement, and what would load code of somebody else's.
"""

import json
import re
from collections.abc import Iterator, Mapping

from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

SERVED = "target"
"""What the server calls the model."""

ALGORITHMS: Mapping[str, str] = {
    "mtp": "NEXTN",
    "eagle3": "EAGLE3",
    "draft-model": "STANDALONE",
    "prompt-lookup": "NGRAM",
    "native-mtp": "NEXTN",
}
"""Draft method -> `--speculative-algorithm`. NEXTN becomes FROZEN_KV_MTP for a Gemma 4 assistant; without a draft model
it uses the layers that the target's own checkpoint brings."""
RUNNING: Mapping[str, tuple[str, ...]] = {
    "mtp": ("FROZEN_KV_MTP",),
    "eagle3": ("EAGLE3",),
    "draft-model": ("STANDALONE",),
    "prompt-lookup": ("NGRAM",),
    "native-mtp": ("NEXTN", "EAGLE"),
}
"""What a server that really drafts so calls it in /server_info."""
NEED_ASSISTANT = ("mtp", "draft-model", "eagle3")

OWN = ("server", "deterministic")
"""Options of this adapter: the path of a `sglang` program, and deterministic inference. All others are SGLang's."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("model", "model_path", "tokenizer_path", "tokenizer_mode"), "name the model with -m"),
    **dict.fromkeys(("host", "port", "nccl_port", "served_model_name", "fastapi_root_path"), "mtpbench chooses it"),
    **dict.fromkeys(("api_key", "admin_api_key"), "the server is reached from here only; keys are never recorded"),
    **dict.fromkeys(("ssl_keyfile", "ssl_certfile"), "the server is reached from here only"),
    **dict.fromkeys(
        (
            *("speculative_algorithm", "speculative_algo", "speculative_draft_model_path", "speculative_draft_model"),
            *("speculative_num_steps", "speculative_eagle_topk", "speculative_num_draft_tokens"),
            *("speculative_ngram_min_bfs_breadth", "speculative_ngram_max_bfs_breadth", "speculative_adaptive"),
            "speculative_adaptive_config",
        ),
        "--method and -k set it",
    ),
    "disable_overlap_schedule": "with MTP it ends the server (sgl-project/sglang#40155)",
    "stream_interval": "every step must arrive by itself",
    "skip_tokenizer_init": "text is part of what is compared",
    "config": "pass each option by itself, so that the run file holds it",
    "dtype": "use --dtype",
    **dict.fromkeys(("device", "base_gpu_id"), "use --device"),
    "trust_remote_code": "use --trust-remote-code",
    **dict.fromkeys(("enable_deterministic_inference",), "use sglang.deterministic=true"),
    **dict.fromkeys(("enable_metrics", "random_seed"), "mtpbench sets it"),
}
"""Options that are not the user's, and what to do instead."""

LOADS_CODE = (
    *("enable_custom_logit_processor", "custom_weight_loader", "forward_hooks", "tokenizer_worker"),
    *("mm_process_config", "hooks", "plugins", "model_loader_extra_config", "load_format", "remote_instance"),
)
"""Beginnings of options that may name a module to import, or a place to load from."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def arguments(pair: Pair, engine: EngineConfig, port: int) -> list[str]:
    """What follows `sglang`. Raises UsageError, in one line, for what cannot be asked of SGLang.

    All three numbers of a draft are set: SGLang chooses none for MTP. A draft of k tokens is k steps of one candidate
    each, verified together with the token before them.
    """
    program, *serving = served(pair, engine)
    found = [program, "--host", "127.0.0.1", "--port", str(port), "--served-model-name", SERVED]
    return [*found, "--stream-interval", "1", "--enable-metrics", "--random-seed", "0", *serving]


def served(pair: Pair, engine: EngineConfig) -> list[str]:
    """Of `arguments` the model and what decides its speed: what anybody would serve it with, measured or not.

    Raises UsageError.
    """
    found = ["serve", "--model-path", pair.target, "--dtype", engine.dtype, *_device(engine.device)]
    if engine.trust_remote_code:
        found.append("--trust-remote-code")
    if engine.draft is not None:
        found += speculation(pair, engine.draft)
    if deterministic(engine):
        found.append("--enable-deterministic-inference")
        if "attention_backend" not in engine.options:
            found += ["--attention-backend", "triton"]
    return [*found, *_options(engine.options, trusted=engine.trust_remote_code)]


def speculation(pair: Pair, draft: Draft) -> list[str]:
    """The arguments that make an arm speculative. Raises UsageError."""
    if draft.method not in ALGORITHMS:
        raise UsageError(f"SGLang has no draft method {draft.method!r}; it has {', '.join(ALGORITHMS)}")
    found = ["--speculative-algorithm", ALGORITHMS[draft.method]]
    if draft.method in NEED_ASSISTANT:
        if pair.assistant is None:
            raise UsageError(f"{draft.method} needs a drafter; name it as in -m TARGET:DRAFTER")
        found += ["--speculative-draft-model-path", pair.assistant]
    found += ["--speculative-num-steps", str(draft.length), "--speculative-eagle-topk", "1"]
    found += ["--speculative-num-draft-tokens", str(draft.length + 1)]
    if draft.method == "prompt-lookup":  # a chain, not a tree; its width overrides eagle-topk
        found += ["--speculative-ngram-min-bfs-breadth", "1", "--speculative-ngram-max-bfs-breadth", "1"]
    return found


def deterministic(engine: EngineConfig) -> bool:
    value = engine.options.get("deterministic", False)
    if not isinstance(value, bool):
        raise UsageError(f"option sglang.deterministic takes true or false, not {value!r}")
    return value


def _device(device: str) -> list[str]:
    kind, _, index = device.partition(":")
    if device == "auto":
        return []
    if kind not in ("cpu", "cuda") or (index and (kind != "cuda" or not index.isdecimal())):
        raise UsageError(f"device {device!r} is none that SGLang takes here; choose auto, cpu, cuda or cuda:N")
    return ["--device", kind, *(["--base-gpu-id", index] if index else [])]


def _options(given: Mapping[str, Json], *, trusted: bool) -> Iterator[str]:
    for name, value in given.items():
        if name in OWN:
            continue
        if not _NAME.fullmatch(name):
            raise UsageError(f"sglang.{name} is no option's name; write it as in sglang.mem_fraction_static")
        # its parser completes abbreviations
        if owned := next((each for each in REFUSED if each == name or each.startswith(name)), None):
            raise UsageError(f"option sglang.{name} is not yours to set: {REFUSED[owned]}")
        if not trusted and any(name.startswith(each) or each.startswith(name) for each in LOADS_CODE):
            raise UsageError(f"option sglang.{name} may make SGLang load code; pass --trust-remote-code to allow that")
        yield from _flag(name, value)


def _flag(name: str, value: Json) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    match value:
        case True:
            yield flag
        case False:
            raise UsageError(f"option sglang.{name} is a switch: leave it out, or set it to true")
        case dict():
            yield from (flag, json.dumps(value))
        case list() if value and not any(isinstance(each, list | dict) or str(each).startswith("-") for each in value):
            yield flag
            yield from map(str, value)
        case str() if value.startswith("-"):
            raise UsageError(f"option sglang.{name} = {value!r}: a value cannot begin with a hyphen")
        case str() | int() | float():
            yield from (flag, str(value))
        case _:
            raise UsageError(f"option sglang.{name} takes a text, a number, true, a table or a list, not {value!r}")
