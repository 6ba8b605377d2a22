"""Options -> the server that an arm goes to. Pure."""

import re
from dataclasses import dataclass, field

from backends.options import Options
from results.errors import UsageError
from results.records import EngineConfig, Pair

KEY = "OPENAI_API_KEY"
KNOWN = ("url", "plain_url", "model", "plain_model", "draft_length", "key_env", "endpoint")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an arm's requests go."""

    url: str
    """Root of the server, without `/v1`."""
    model: str
    """As the server knows it."""
    chat: bool
    """Prompts go to /v1/chat/completions, as one user turn."""
    draft_length: int | None
    """Drafts a round as the user states them; None: unknown, or the plain arm."""
    key_variable: str | None = field(repr=False)
    """Environment variable that must hold the API key; None: OPENAI_API_KEY, where it is set."""


def place(pair: Pair, engine: EngineConfig) -> Place:
    """The plain arm's (`engine.draft` is None) or a drafted one's. Raises UsageError, which says what to give."""
    options = Options("openai", engine.options, KNOWN)
    url, plain_url = options.address("url"), options.address("plain_url")
    length = _length(options)
    if url is None:
        raise UsageError("openai: no server: give the URL of the one that drafts, -o openai.url=http://HOST:PORT")
    if plain_url is None:
        raise UsageError(
            "openai: no server without drafts to compare with: give its URL, -o openai.plain_url=http://HOST:PORT"
        )
    if root(url) == root(plain_url):
        raise UsageError(f"openai: url and plain_url are both {url}; the plain arm needs a server that does not draft")
    drafted = engine.draft is not None
    if engine.draft is not None and length not in (engine.draft.length, UNKNOWN):
        raise UsageError(_wrong_length(engine.draft.length, length))
    model = options.text("model") or pair.target
    return Place(
        url=root(url if drafted else plain_url),
        model=model if drafted else options.text("plain_model") or model,
        chat=options.choice("endpoint", ("completions", "chat")) == "chat",
        draft_length=length if drafted and isinstance(length, int) else None,
        key_variable=_variable(options),
    )


def root(url: str) -> str:
    """A server's URL as people write it, with or without the API's version, without it."""
    return url.removesuffix("/v1")


def _variable(options: Options) -> str | None:
    name = options.text("key_env")
    if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):  # a key itself is not to be quoted
        raise UsageError("openai.key_env: expected the name of an environment variable, and it holds other characters")
    return name


def _length(options: Options) -> int | str | None:
    try:
        return options.whole("draft_length")
    except UsageError:
        if options.text("draft_length") == UNKNOWN:
            return UNKNOWN
        raise options.wrong("draft_length", f"a whole number of at least 1, or {UNKNOWN}") from None


def _wrong_length(asked: int, stated: int | str | None) -> str:
    if stated is None:
        return (
            f"openai: how many tokens does the server draft a round? -k {asked} cannot set it; state it, "
            f"-o openai.draft_length={asked}, or -o openai.draft_length={UNKNOWN} where nobody knows"
        )
    return f"openai: the server drafts {stated} tokens a round (openai.draft_length), not {asked}: ask for -k {stated}"
