"""From a bundle and engine settings to an engine that is up, and what a session knows about itself."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import litert_lm

from backends import fingerprint
from backends.litertlm import asking, bundle
from backends.litertlm.bundle import Bundle
from backends.options import Options
from results.errors import UsageError
from results.records import EngineConfig, Pair, SessionFacts

Engine = Any
"""A `litert_lm.Engine`."""

PACKAGE = "litert-lm-api"
AS_EXPORTED = "as exported"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an engine is launched with."""

    path: Path
    bundle: Bundle
    backend: str
    threads: int | None
    """None leaves the runtime's own choice."""
    context: int
    """Prompt and output together, in tokens."""
    mtp: bool
    """Drafting will be asked for."""


def settings(pair: Pair, engine: EngineConfig) -> Settings:
    """What is asked for, checked against the bundle. Raises UsageError, in one line, for what a user can mend."""
    path = Path(pair.target).expanduser()
    try:
        found = bundle.read(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    if pair.assistant not in (None, pair.target):
        raise UsageError(f"{pair.assistant}: a LiteRT-LM drafter is a section of the target's bundle, not a file")
    mtp = "mtp" in engine.methods
    if mtp and found.drafter is None:
        raise UsageError(f"{path} holds no MTP drafter: export it with one, or leave --method mtp out")
    if mtp and engine.draft is not None and found.draft_length not in (None, engine.draft.length):
        raise UsageError(f"{path} drafts {found.draft_length} tokens a round, fixed at export: -k {found.draft_length}")
    if engine.dtype not in ("auto", found.weights):
        raise UsageError(f"{path} holds {found.weights or 'unknown'} weights, fixed at export: leave --dtype out")
    options = Options("litert", engine.options, asking.OPTIONS)
    return Settings(path, found, asking.backend_of(engine, options), engine.threads, _context(path, options), mtp)


def launch(wanted: Settings) -> Engine:
    """An engine that is up; `close` destroys it, which is when it says how well it drafted."""
    backend = getattr(litert_lm.Backend, asking.BACKENDS[wanted.backend])
    try:
        return litert_lm.Engine(
            str(wanted.path),
            backend=backend(**asking.computing(wanted.backend, wanted.threads)),
            max_num_tokens=wanted.context,
            **asking.UNCACHED,
            enable_benchmark=True,
            **asking.drafting(wanted.mtp),
        )
    except RuntimeError as error:  # the engine's own reason is in its log
        raise UsageError(f"{wanted.path} cannot be loaded on {wanted.backend}: {error}; its log says why") from error


def facts(engine: Engine, wanted: Settings) -> SessionFacts:
    """What this engine says, and what its bundle says."""
    ends = [ids for ids in engine.eos_token_ids if len(ids) == 1]
    drafter = wanted.bundle.drafter if wanted.mtp else None
    return SessionFacts(
        versions={PACKAGE: version(PACKAGE), "python": platform.python_version()},
        device=wanted.backend,
        dtype=wanted.bundle.weights or AS_EXPORTED,
        eos_token_ids=tuple(ids[0] for ids in ends),
        context_limit=wanted.context,
        vocab_size=None,
        threads=wanted.threads if wanted.backend == "cpu" else None,
        target_bytes=wanted.bundle.target_bytes,
        drafter_bytes=drafter.size if drafter else None,
        chat_template=False,
        files=fingerprint.of_model(wanted.path, "target"),
        statement={
            "draft_length": wanted.bundle.draft_length,
            "sections": {section.kind: section.size for section in wanted.bundle.sections if section.kind},
            "stop_sequences": [engine.detokenize(ids) for ids in engine.eos_token_ids],
        },
    )


def _context(path: Path, options: Options) -> int:
    """What the bundle holds, or the option where that is less. A bundle of fixed size ignores a larger one."""
    with litert_lm.ModelInfo(str(path)) as info:
        largest = int(info.max_context_tokens)
    asked = options.whole("max_num_tokens") or largest
    if asked > largest:
        raise UsageError(f"litert.max_num_tokens: {asked} is not in 1 to {largest}, the bundle's context")
    return asked
