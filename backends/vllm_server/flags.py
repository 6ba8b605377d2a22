"""Pair + engine -> the arguments of `vllm serve`, and its environment. Pure.

What the user passes (`-o vllm.NAME=VALUE`) becomes a flag of vLLM's, and is judged by vLLM's own parser when the server
starts. Refused here is what would contradict the measurement, and what would load code of somebody else's.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

SERVED = "target"
"""What the server calls the model."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
NEED_ASSISTANT = ("mtp", "draft-model", "eagle3")

OWNED: Mapping[str, str] = {
    **dict.fromkeys(("model", "model_tag", "tokenizer"), "name the model with -m"),
    **dict.fromkeys(("host", "port", "uds", "headless", "served_model_name"), "mtpbench chooses it"),
    **dict.fromkeys(("root_path", "api_key", "ssl_keyfile", "ssl_certfile"), "the server is reached from here only"),
    **dict.fromkeys(("spec_model", "spec_method", "spec_tokens"), "use --method and -k, or vllm.speculative_config"),
    "hf_token": "put it into the environment variable HF_TOKEN",
    "config": "pass each option by itself, so that the run file holds it",
    "dtype": "use --dtype",
    "trust_remote_code": "use --trust-remote-code",
    "generation_config": "every request says how it samples",
    "override_generation_config": "every request says how it samples",
    "enable_prefix_caching": "a prefix cache would spoil the time to the first token",
    "stream_interval": "every step must arrive by itself",
    **dict.fromkeys(("logprobs_mode", "max_logprobs"), "scores need what mtpbench sets"),
    **dict.fromkeys(("disable_log_stats", "enable_log_requests"), "mtpbench sets it"),
    **dict.fromkeys(("enable_per_request_metrics", "per_request_spec_decode_metrics"), "mtpbench sets it"),
    **dict.fromkeys(("enable_prompt_tokens_details", "disable_uvicorn_access_log"), "mtpbench sets it"),
}
"""Options that are not the user's, and what to do instead."""

LOADS_CODE = (
    *("logits_processors", "worker_cls", "worker_extension_cls", "scheduler_cls", "middleware"),
    *("tool_parser_plugin", "reasoning_parser_plugin", "io_processor_plugin"),
    *("kv_transfer_config", "ec_transfer_config", "weight_transfer_config"),
)
"""Options that name a module to import."""

DRAFT_OWNED = ("model", "method", "num_speculative_tokens")
"""Keys of vLLM's speculative_config that --method and -k decide."""

MEMORY = ("kv_cache_memory_bytes", "gpu_memory_utilization", "num_gpu_blocks_override")
CPU_CACHE_GIB = 1
"""Of keys and values on a CPU, unless the user says otherwise; vLLM would take 92 % of all memory for each server."""

SEQUENCES = 128
"""Requests that every vLLM keeps in flight at once by itself; the rest would wait."""

VISIBLE = "CUDA_VISIBLE_DEVICES"

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-zA-Z0-9_]+)*")


def arguments(
    pair: Pair, engine: EngineConfig, port: int, *, cpu: bool, revealing: bool, limit: int | None
) -> list[str]:
    """What follows `vllm serve`.

    cpu: a build for CPUs. revealing: see `versions.Installed`. limit: tokens that the target itself takes, where known.
    Raises UsageError, in one line, for what cannot be asked of vLLM.
    """
    model, *serving = served(pair, engine, cpu=cpu)
    found = [model, "--host=127.0.0.1", f"--port={port}", f"--served-model-name={SERVED}", "--generation-config=vllm"]
    found += ["--no-enable-prefix-caching", "--disable-uvicorn-access-log", "--enable-prompt-tokens-details"]
    if revealing:
        found += ["--enable-per-request-metrics", "--logprobs-mode=raw_logits", "--max-logprobs=-1"]
        found += [] if engine.draft is None else ["--per-request-spec-decode-metrics=detailed"]
    if engine.max_context is not None and "max_model_len" not in engine.options:
        # scoring the last token of the longest output takes one token more
        found.append(f"--max-model-len={min(engine.max_context + 1, limit or engine.max_context + 1)}")
    return [*found, *serving]


def served(pair: Pair, engine: EngineConfig, *, cpu: bool) -> list[str]:
    """Of `arguments` the model and what decides its speed: what anybody would serve it with, measured or not.

    Raises UsageError.
    """
    if engine.dtype not in DTYPES:
        raise UsageError(f"dtype {engine.dtype!r} is none that vLLM takes; choose {', '.join(DTYPES)}")
    given = {name: value for name, value in engine.options.items() if name != "speculative_config"}
    found = [pair.target, f"--dtype={engine.dtype}", *drafts(pair, engine)]
    if engine.max_batch > SEQUENCES and "max_num_seqs" not in given:
        found.append(f"--max-num-seqs={engine.max_batch}")
    if engine.trust_remote_code:
        found.append("--trust-remote-code")
    if cpu:  # compiling takes minutes and a C++ compiler
        given.setdefault("enforce_eager", True)
    return [*found, *_options(given, trusted=engine.trust_remote_code)]


def drafts(pair: Pair, engine: EngineConfig, by_batch: Sequence[tuple[int, int]] = ()) -> list[str]:
    """The argument that makes the arm; none for the plain one. by_batch: see `backends.base.Deployment`."""
    draft = speculative(pair, engine.draft, engine.options.get("speculative_config"))
    return [] if draft is None else [f"--speculative-config={json.dumps({**draft, **schedule(by_batch)})}"]


def schedule(by_batch: Sequence[tuple[int, int]]) -> dict[str, Json]:
    """Draft lengths by batch size as keys of vLLM's `speculative_config` (vllm#32374); empty for one length.

    A range ends with a measured batch size, so that one in between drafts as the larger one does; vLLM goes on with the
    last length above the last range.
    """
    if not by_batch:
        return {}
    starts = [1, *(size + 1 for size, _ in by_batch)]
    ranges: list[Json] = [[start, size, k] for start, (size, k) in zip(starts, by_batch, strict=False)]
    return {"num_speculative_tokens": max(k for _, k in by_batch), "num_speculative_tokens_per_batch_size": ranges}


def speculative(pair: Pair, draft: Draft | None, more: Json) -> dict[str, Json] | None:
    """vLLM's `speculative_config` for an arm; None for the plain one.

    more: the user's own keys. Raises UsageError.
    """
    if more is not None and not isinstance(more, dict):
        raise UsageError(f"option vllm.speculative_config takes a table of vLLM's keys, not {more!r}")
    if owned := [key for key in more or () if key in DRAFT_OWNED]:
        raise UsageError(f"option vllm.speculative_config.{owned[0]} is not yours to set: use --method, -k and -m")
    if draft is None:
        return None
    if draft.method in NEED_ASSISTANT and pair.assistant is None:
        raise UsageError(f"{draft.method} needs a drafter; name it as in -m TARGET:DRAFTER")
    known: dict[str, dict[str, Json]] = {
        "mtp": {"model": pair.assistant},  # with a method named, older versions refuse Gemma 4's assistants
        "draft-model": {"method": "draft_model", "model": pair.assistant},
        "prompt-lookup": {"method": "ngram"},
        "eagle3": {"method": "eagle3", "model": pair.assistant},
        "native-mtp": {"method": "mtp"},
    }
    if draft.method not in known:
        raise UsageError(f"vLLM has no draft method {draft.method!r} here; it has {', '.join(known)}")
    return {**known[draft.method], "num_speculative_tokens": draft.length, **(more or {})}


def forced(more: Json) -> bool:
    """The user's own keys of `speculative_config` force acceptance."""
    return isinstance(more, dict) and more.get("rejection_sample_method") == "synthetic"


def environment(engine: EngineConfig, outer: Mapping[str, str], *, cpu: bool) -> dict[str, str]:
    """What the server's environment gets beside the worker's, `outer`, whose own settings go first."""
    found = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"} | computing(engine, cpu=cpu)
    decided = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", VISIBLE)
    found = {name: value for name, value in found.items() if name in decided or name not in outer}
    if (device := cuda_index(engine.device)) is not None:
        visible = [each for each in outer.get(VISIBLE, "").split(",") if each]
        if visible and device >= len(visible):
            raise UsageError(f"device cuda:{device} is not here: {VISIBLE} shows {len(visible)}")
        found[VISIBLE] = visible[device] if visible else str(device)
    return found


def computing(engine: EngineConfig, *, cpu: bool) -> dict[str, str]:
    """Of `environment` what decides the speed."""
    found: dict[str, str] = {}
    if cpu and not any(name in engine.options for name in MEMORY):
        found["VLLM_CPU_KVCACHE_SPACE"] = str(CPU_CACHE_GIB)
    if cpu and engine.threads is not None:
        # left alone, vLLM binds one thread to every core it finds, whatever OMP_NUM_THREADS says
        found["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    if engine.threads is not None:
        found |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(engine.threads))
    if (device := cuda_index(engine.device)) is not None:
        found[VISIBLE] = str(device)
    return found


def cuda_index(device: str) -> int | None:
    """1 for `cuda:1`; None where no index is named."""
    kind, _, index = device.partition(":")
    return int(index) if kind == "cuda" and index.isdecimal() else None


def refuse_device(device: str, *, cpu: bool) -> None:
    """Raises UsageError where this build of vLLM does not compute on `device`."""
    kind, separator, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (separator and (kind != "cuda" or not index.isdecimal())):
        raise UsageError(f"device {device!r} is none that vLLM takes here; choose auto, cpu, cuda or cuda:N")
    if kind != "auto" and cpu != (kind == "cpu"):
        build = "for CPUs only" if cpu else "not for CPUs"
        raise UsageError(f"device {device!r} is not this vLLM's: it is built {build}; choose auto")


def _options(given: Mapping[str, Json], *, trusted: bool) -> Iterator[str]:
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"vllm.{name} is no option's name; write it as in vllm.tensor_parallel_size")
        root = name.partition(".")[0]
        if "speculative_config".startswith(root):
            raise UsageError(f"option vllm.{name}: write it as a table, vllm.speculative_config = {{KEY = VALUE}}")
        # its parser completes abbreviations
        if owned := next((each for each in OWNED if each == root or each.startswith(root)), None):
            raise UsageError(f"option vllm.{name} is not yours to set: {OWNED[owned]}")
        if not trusted and any(each.startswith(root) for each in LOADS_CODE):
            raise UsageError(f"option vllm.{name} makes vLLM load code; pass --trust-remote-code to allow that")
        yield from _flag(name, value)


def _flag(name: str, value: Json) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}" if "." not in name else f"--{name}"
    match value:
        case True:
            yield flag
        case False:
            yield f"--no-{flag[2:]}"
        case dict():
            yield f"{flag}={json.dumps(value)}"
        case list():
            if not value or any(not isinstance(each, str | int | float) or str(each).startswith("-") for each in value):
                raise UsageError(f"option vllm.{name} takes a list of words or numbers, not {value!r}")
            yield flag
            yield from map(str, value)
        case str() | int() | float():
            yield f"{flag}={value}"
        case _:
            raise UsageError(f"option vllm.{name} has no value; leave it out, or give one")
