"""A server for one arm: started, and checked to be what was asked for."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends import fingerprint
from backends.base import Session
from backends.installed import installed
from backends.installed import versions as versions_of
from backends.server import http, process
from backends.sglang_server import flags, model, versions
from backends.sglang_server.session import ServedSession, running
from backends.weights import in_memory
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair, SessionFacts

SIMULATED = "SGLANG_SIMULATE_ACC_LEN"
PACKAGES = ("sglang", "torch", "transformers", "flashinfer-python", "sgl-kernel")


def program(engine: EngineConfig) -> str:
    """The `sglang` to run. Raises UsageError where there is none."""
    named = engine.options.get("server")
    if named is not None:
        path = Path(str(named)).expanduser()
        if not (isinstance(named, str) and path.is_file() and os.access(path, os.X_OK)):
            raise UsageError(f"option sglang.server: no program at {named}")
        return str(path)
    beside = Path(sys.executable).with_name("sglang")
    if found := (str(beside) if beside.is_file() else shutil.which("sglang")):
        return found
    raise UsageError("there is no program sglang here; name yours, -o sglang.server=/path/to/sglang")


def simulated(environment: Mapping[str, str]) -> bool:
    """Acceptance is forced by the environment: what comes is synthetic."""
    value = environment.get(SIMULATED, "")
    try:
        return float(value or 0) > 0
    except ValueError:
        return True


@contextmanager
def opened(pair: Pair, engine: EngineConfig) -> Iterator[Session]:
    """Raises UsageError for a wrong input, RuntimeError where the server does not come up or is another than asked."""
    command = [program(engine)]
    flags.arguments(pair, engine, 0)  # wrong ones: at once
    target = model.read(pair, engine)
    here = installed("sglang")
    if here and "server" not in engine.options:
        _refuse(here, engine.draft, target)
    with (
        process.started("sglang", lambda port: [*command, *flags.arguments(pair, engine, port)]) as server,
        http.client(server.url) as to,
    ):
        info = http.get_json(to, "/server_info")
        found = str(info.get("version") or here or "unknown")
        if "server" in engine.options:
            _refuse(found, engine.draft, target)
        said = running(info)
        check(said, engine.draft)
        statement: dict[str, Json] = {"speculative": said["speculative_algorithm"] is not None}
        if simulated(os.environ):
            statement["synthetic"] = True
        held = str(_state(info, "dtype") or engine.dtype)
        weighed = None if "quantization" in engine.options else held
        folders = model.loaded(pair, engine.draft)
        facts = SessionFacts(
            versions={"sglang": found, **versions_of(PACKAGES[1:])},
            device=str(_state(info, "device") or engine.device),
            dtype=held,
            eos_token_ids=target.eos,
            context_limit=_state(info, "context_length") or target.limit,
            vocab_size=target.vocab_size,
            threads=engine.threads,
            target_bytes=in_memory(folders.get("target"), weighed),
            drafter_bytes=in_memory(folders.get("drafter"), weighed),
            chat_template=bool(target.tokenizer.chat_template),
            files=fingerprint.of_models(folders),
            statement={
                **said,
                **statement,
                "arguments": [*flags.arguments(pair, engine, server.port)],
                "simulated_acceptance": os.environ.get(SIMULATED),
            },
        )
        seeded = flags.deterministic(engine)
        yield ServedSession(facts, target, server, to, engine.draft, statement, seeded=seeded)


def check(said: Mapping[str, Any], draft: Draft | None) -> None:
    """Raises RuntimeError where the server runs with other drafts than asked for."""
    algorithm, steps, width = said.values()
    if draft is None:
        if algorithm is not None:
            raise RuntimeError(f"SGLang drafts by {algorithm} although nothing was asked for")
        return
    asked = flags.RUNNING[draft.method]
    if algorithm not in asked:
        raise RuntimeError(f"SGLang drafts by {algorithm}, and {draft.method} is {' or '.join(asked)}")
    if width != draft.length + 1 or (draft.method != "prompt-lookup" and steps != draft.length):
        raise RuntimeError(f"SGLang took k = {draft.length} for {steps} steps and {width} tokens verified together")


def _refuse(found: str, draft: Draft | None, target: model.Target) -> None:
    reason = versions.refusal(found)
    if reason is None and draft is not None:
        reason = versions.method_refusal(found, draft.method, target.assistant_type)
    if reason is not None:
        raise UsageError(reason)


def _state(info: Mapping[str, Any], key: str) -> Any:
    states = info.get("internal_states") or [{}]
    return info.get(key, states[0].get(key))
