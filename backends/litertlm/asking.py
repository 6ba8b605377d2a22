"""What LiteRT-LM is asked for: arguments of its engine and its sessions. Pure; the standard library only."""

from collections.abc import Mapping
from typing import Any

from backends.options import Options
from results.errors import UsageError
from results.records import EngineConfig

BACKENDS: Mapping[str, str] = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
"""What `-o litert.backend` may name -> the class in `litert_lm.Backend`."""
OPTIONS = ("backend", "max_num_tokens")
"""What `-o litert.NAME=VALUE` may set."""
GREEDY: Mapping[str, Any] = {"top_k": 1, "top_p": 1.0, "temperature": 1.0, "seed": 0}
"""Of a `SamplerConfig`."""

UNCACHED: Mapping[str, Any] = {"cache_dir": ":nocache"}
"""Of an engine: no compiled weights are left beside the bundle."""


def backend_of(engine: EngineConfig, options: Options) -> str:
    """The option, else the device. Raises UsageError for a device that the option contradicts."""
    asked = options.text("backend")
    if asked is not None and asked not in BACKENDS:
        raise UsageError(f"litert.backend: {asked!r} is none of {', '.join(BACKENDS)}")
    if engine.device not in ("auto", asked or "cpu"):
        raise UsageError(
            f"--device {engine.device}: LiteRT-LM computes on cpu, or on what -o litert.backend={'|'.join(BACKENDS)} "
            "names, with --device auto"
        )
    return asked or "cpu"


def computing(backend: str, threads: int | None) -> dict[str, Any]:
    """Of the class in `litert_lm.Backend`."""
    return {"thread_count": threads} if backend == "cpu" else {}


def drafting(speculative: bool) -> dict[str, Any]:
    """Of an engine, and of a session, which may draft less than its engine could."""
    return {"enable_speculative_decoding": speculative}
