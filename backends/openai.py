"""Any OpenAI-compatible server, by its URL: two of them, one that drafts and one that does not.

    -b openai -m MODEL -o openai.url=http://HOST:PORT -o openai.plain_url=http://HOST:PORT -o openai.draft_length=4

docs/backends.md says what such a server does to a measurement. The parts are in `backends.openai_server`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from backends.base import Availability, Backend, Capabilities, Session
from backends.installed import installed
from backends.openai_server import places
from results.records import EngineConfig, Json, Pair

METHODS = ("mtp", "draft-model", "eagle3", "prompt-lookup", "native-mtp")

NOTES = (
    "two running servers of the same model, one with drafts and one without: -o openai.url=…, -o openai.plain_url=…",
    "how the server drafts, and how many tokens a round (-o openai.draft_length=…), is what its owner states",
    "a server that reveals no counts of drafts makes a cell unverified; vLLM, SGLang and llama.cpp reveal them",
    "prompts travel as text at their own length; the API key comes from OPENAI_API_KEY or the variable that "
    "-o openai.key_env=… names",
)


class Adapter(Backend):
    name = "openai"
    title = "OpenAI-compatible server"
    capabilities = Capabilities(
        methods=METHODS,
        max_batch_plain=None,
        max_batch_speculative=None,
        draft_change="per-launch",
        reveals="nothing",
        token_ids_in=False,
        token_ids_out=False,
        sampling=True,
        scores=False,
        formats=("served",),
        concurrency="closed-loop",
        notes=NOTES,
    )

    def probe(self) -> Availability:
        found = installed("httpx")
        if found is None:
            return Availability(False, None, None, "httpx is not installed", "pip install httpx")
        return Availability(
            True, None, "remote", "needs the URLs of two servers", "-o openai.url=… -o openai.plain_url=…"
        )

    def secrets(self, options: Mapping[str, Json]) -> tuple[str, ...]:
        """The API key's variable."""
        return (str(options.get("key_env", places.KEY)),)

    def draft_lengths(self, pair: Pair, options: Mapping[str, Json]) -> tuple[int, ...] | None:
        """That of the running server, as the user states it."""
        stated = options.get("draft_length")
        return (stated,) if isinstance(stated, int) and not isinstance(stated, bool) and stated > 0 else None

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Attaches to the arm's server: nothing is started."""
        place = places.place(pair, engine)
        from backends.openai_server.session import attached

        with attached(place, os.environ) as session:
            yield session
