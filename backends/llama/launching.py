"""From a pair and engine settings to a llama-server that is up, and what it is known to be."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from backends import fingerprint
from backends.installed import installed as installed_version
from backends.llama import arguments, asking, fit, gguf
from backends.llama.arguments import Launch
from backends.llama.session import ServerSession
from backends.server import http, process
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair, Sampling, SessionFacts

EMBEDDED = (sys.executable, "-P", "-m", "backends.llama.serve")
EXTRA = ("LLAMA_ARG_", "LLAMA_API_KEY", "HF_TOKEN", "MTMD_")
"""Environment variables by which llama-server would take settings that nobody recorded."""
MARKS = (" E ", "error:", "error while", "GGML_ASSERT", "terminate called")
"""What lines carry that say why a server ended: llama.cpp's error level, its parser's and ggml's last words."""
HARMLESS = "this warning is normal"
ITS_PARSER = ("invalid argument", "error while handling argument", "expected value for argument")
UNREADABLE = "error loading model"
LIST_DEVICES_S = 60.0
DEVICE_IDS: Mapping[str, tuple[str, ...]] = {"cuda": ("CUDA", "ROCm"), "mps": ("MTL", "Metal")}
"""A device's name in mtpbench -> how llama.cpp's builds call it, before its number."""


def installed() -> str | None:
    """The version of xllamacpp; None where it is not installed."""
    return installed_version("xllamacpp")


def program_of(options: Mapping[str, Json]) -> tuple[str, ...]:
    """The server's command without its flags: the user's own, the embedded one, or one found on PATH.

    Raises UsageError where there is none.
    """
    named = options.get("server")
    if named is not None:
        found = shutil.which(str(Path(str(named)).expanduser()))
        if found is None:
            raise UsageError(f"option llamacpp.server: {named} is no program that can be run; give llama-server's path")
        return (found,)
    if installed() is not None:
        return EMBEDDED
    found = shutil.which("llama-server")
    if found is None:
        raise UsageError(
            "llama.cpp is not here: run mtpbench env create llamacpp, or name a llama-server with "
            "-o llamacpp.server=/path/to/llama-server"
        )
    return (found,)


@contextmanager
def opened(pair: Pair, engine: EngineConfig) -> Iterator[ServerSession]:
    """A session over a server of its own for `engine.draft`. Raises UsageError for what a user can mend."""
    draft, options = engine.draft, engine.options
    program, flags = program_of(options), arguments.flags(options)
    slots = max(engine.max_batch, arguments.slots(options))
    if draft is not None:
        arguments.check_method(draft.method)
    target = gguf.read(pair.target)
    drafter = gguf.read(pair.assistant) if arguments.needs_drafter(draft) and pair.assistant else None
    fit.refuse(pair, draft, target, drafter)
    _check_dtype(engine.dtype, target)
    devices = [] if engine.device == "cpu" else list_devices(program)
    launch = Launch(
        target=str(target.path),
        drafter=None if drafter is None else str(drafter.path),
        draft=draft,
        context=_context(engine, target),
        threads=engine.threads,
        devices=device_argument(engine.device, devices),
        parallel=slots,
        flags=flags,
    )
    with _started(program, launch) as server, http.client(server.url) as client:
        facts = _facts(client, launch, engine, target, drafter, devices, program)
        forced = any(flag.startswith("--spec-synth") for flag in flags)
        yield ServerSession(client, facts, draft, slots, server.check, forced)


@contextmanager
def _started(program: tuple[str, ...], launch: Launch) -> Iterator[process.Server]:
    """Raises UsageError for a flag or a file that llama.cpp refuses."""
    environment = {name: None for name in os.environ if name.startswith(EXTRA)}
    with ExitStack() as stack:
        try:
            server = stack.enter_context(
                process.started(
                    "llama-server",
                    lambda port: [*program, *arguments.arguments(launch, port)],
                    environment=environment,
                    reason=reason,
                )
            )
        except process.NotStarted as error:
            if any(words in error.said for words in ITS_PARSER):
                raise UsageError(f"llama-server refuses its options (-o llamacpp.…): {error.said}") from error
            if UNREADABLE in error.said and "alloc" not in error.said:
                models = launch.target if launch.drafter is None else f"{launch.target} and {launch.drafter}"
                raise UsageError(f"llama.cpp cannot load {models}: {error.said}; fetch the file again") from error
            raise
        yield server


def list_devices(program: tuple[str, ...]) -> list[tuple[str, str]]:
    """(id, description) of the accelerators that this build can use, e.g. (`CUDA0`, `NVIDIA H200 (…)`)."""
    try:
        listed = subprocess.run(
            [*program, "--list-devices"], capture_output=True, text=True, timeout=LIST_DEVICES_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{program[0]} --list-devices gives no answer: {type(error).__name__}") from error
    return parse_devices(listed.stdout)


def parse_devices(listing: str) -> list[tuple[str, str]]:
    """What `--list-devices` prints: a heading, then `  ID: description` each."""
    _, _, below = listing.partition("Available devices:")
    rows = [line.strip().partition(": ") for line in below.splitlines() if line.startswith(" ")]
    return [(name, described) for name, colon, described in rows if colon]


def device_argument(asked: str, devices: list[tuple[str, str]]) -> str | None:
    """llama-server's `--device`; None leaves its own choice. Raises UsageError for a device that is not here."""
    if asked == "auto":
        return None
    if asked == "cpu":
        return "none"
    kind, _, index = asked.partition(":")
    wanted = {f"{prefix}{index or 0}" for prefix in DEVICE_IDS.get(kind, ())}
    for name, _ in devices:
        if name in wanted:
            return name
    here = ", ".join(["cpu", *(name for name, _ in devices)])
    raise UsageError(f"device {asked!r} is none that this llama.cpp can use; here are: {here}")


def reason(lines: list[str]) -> str | None:
    """The first error among the server's lines: those after it are its consequences."""
    found = next((line for line in lines if any(mark in line for mark in MARKS) and HARMLESS not in line), None)
    return None if found is None else found.rpartition(" E ")[2]


def _check_dtype(asked: str, target: gguf.Model) -> None:
    if asked not in ("auto", target.dtype):
        raise UsageError(
            f"dtype {asked} is asked for, but {target.path} holds {target.dtype}; llama.cpp computes in what the file "
            "holds: name another file, or leave the dtype out"
        )


def _context(engine: EngineConfig, target: gguf.Model) -> int | None:
    limit = target.number("context_length")
    if engine.max_context is None or limit is None:
        return engine.max_context
    return min(engine.max_context, limit)


def _facts(
    client: httpx.Client,
    launch: Launch,
    engine: EngineConfig,
    target: gguf.Model,
    drafter: gguf.Model | None,
    devices: list[tuple[str, str]],
    program: tuple[str, ...],
) -> SessionFacts:
    props = http.get_json(client, "/props")
    (model,) = http.get_json(client, "/v1/models")["data"]
    meta: dict[str, Any] = model["meta"]
    slot = int(props["default_generation_settings"]["n_ctx"])
    versions = {"python": platform.python_version(), "llama.cpp": str(props["build_info"])}
    if program == EMBEDDED:
        versions["xllamacpp"] = str(installed())
    files = fingerprint.of_model(target.path, "target")
    if drafter is not None:
        files |= fingerprint.of_model(drafter.path, "drafter")
    return SessionFacts(
        versions=versions,
        device=_device(launch.devices, devices),
        dtype=target.dtype,
        eos_token_ids=_ends(client),
        context_limit=min(slot, int(meta["n_ctx_train"])),
        vocab_size=int(meta["n_vocab"]),
        threads=engine.threads,
        target_bytes=int(meta["size"]),
        drafter_bytes=None if drafter is None else drafter.size,
        chat_template="tokenizer.chat_template" in target.keys,
        files=files,
        statement={
            "server": "xllamacpp" if program == EMBEDDED else program[0],
            "arguments": [*arguments.arguments(launch, 0)],
            "n_ctx": slot,
            "slots": int(props["total_slots"]),
            "model_ftype": props["model_ftype"],
            "drafter_dtype": None if drafter is None else drafter.dtype,
        },
    )


def _device(argument: str | None, devices: list[tuple[str, str]]) -> str:
    if argument == "none" or not devices:
        return "cpu"
    chosen = [f"{name} {described}" for name, described in devices if argument in (None, name)]
    return ", ".join(chosen)


def _ends(client: httpx.Client) -> tuple[int, ...]:
    """Tokens that end a text, as the server knows them: those that `ignore_eos` would forbid."""
    body = asking.completion([0], 1, Sampling()) | {"ignore_eos": True}
    answer = http.post(client, "/completion", body)
    return tuple(sorted(int(entry["token"]) for entry in answer["generation_settings"]["logit_bias"]))
