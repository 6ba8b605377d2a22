"""Options -> the server and the tags that a session talks to. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from backends.options import Options, address
from results.errors import UsageError
from results.records import EngineConfig, Pair

PORT = 11434
KNOWN = ("url", "log", "plain_model", "num_ctx", "keep_alive", "start")
CONTEXT = 4096
"""Tokens, where neither the options nor the lengths asked for say: Ollama's own choice depends on the machine."""
MARGIN = 64
"""Tokens beyond prompt and output, for the last drafts."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and how it is asked."""

    url: str
    model: str
    plain_model: str | None
    """The tag without a drafter; None: the same tag, with drafts switched off."""
    log: Path | None
    """The server's log; None: its own output where it is ours, else unknown."""
    context: int
    """`num_ctx`."""
    keep_alive: str
    start: bool
    """Start `ollama serve`."""


def place(pair: Pair, engine: EngineConfig, environment: Mapping[str, str]) -> Place:
    """Raises UsageError, which says what to give."""
    options = Options("ollama", engine.options, KNOWN)
    log, start = options.text("log"), options.flag("start")
    if start and "url" in options:
        raise UsageError("ollama.url names a server that runs, and ollama.start starts another: give one of them")
    if log is not None and not Path(log).expanduser().is_file():
        raise UsageError(f"ollama.log: no such file: {log}; name the log of the Ollama server")
    if options.text("plain_model") == pair.target:
        raise UsageError("ollama.plain_model is the tag that drafts: name one without a drafter, or leave it out")
    asked = None if engine.max_context is None else engine.max_context + MARGIN
    return Place(
        url=options.address("url") or host(environment.get("OLLAMA_HOST", "")),
        model=pair.target,
        plain_model=options.text("plain_model"),
        log=None if log is None else Path(log).expanduser(),
        context=options.whole("num_ctx") or asked or CONTEXT,
        keep_alive=options.text("keep_alive") or "10m",
        start=start,
    )


def host(value: str) -> str:
    """OLLAMA_HOST as Ollama reads it (`host`, `:port`, `host:port`, a URL) -> a URL to connect to."""
    value = value.strip().strip("\"'")
    parts = urlsplit(value if "://" in value else f"//{value}", scheme="http")
    try:
        port = parts.port or {"http": PORT, "https": 443}.get(parts.scheme, PORT)
    except ValueError:
        raise UsageError("OLLAMA_HOST: its port is no number") from None
    name = parts.hostname or "127.0.0.1"
    if name in ("0.0.0.0", "::"):  # where a server listens, not where it is reached
        name = "127.0.0.1"
    return address("OLLAMA_HOST", f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}{parts.path}")
