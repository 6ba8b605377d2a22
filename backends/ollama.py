"""Ollama: a running server, attached to; drafts are a request's option, and every change of it reloads the model.

    -b ollama -m TAG -o ollama.log=~/.ollama/logs/server.log

docs/backends.md says what this runtime does to a measurement. The parts are in `backends.ollama_server`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from backends.base import Availability, Backend, Capabilities, Deployment, Session
from backends.ollama_server import deploying, places
from results.errors import UsageError
from results.records import EngineConfig, Pair

NOTES = (
    "acceptance stands in the server's log alone (-o ollama.log=/path/to/server.log, or -o ollama.start=true): without "
    "it every cell is unverified",
    "a change of arm reloads the model: a request is thrown away before each measured one that follows a change",
    "models of the MLX engine ignore the draft length and adapt it; without drafts they are another tag "
    "(-o ollama.plain_model=TAG)",
    "text in, text out; prompts keep their own length",
    "-B N sends N requests at once; the server decodes as many side by side as its OLLAMA_NUM_PARALLEL says",
)


class Adapter(Backend):
    name = "ollama"
    title = "Ollama"
    capabilities = Capabilities(
        methods=("mtp",),
        max_batch_plain=None,
        max_batch_speculative=None,
        draft_change="per-request",
        reveals="counts",
        token_ids_in=False,
        token_ids_out=False,
        sampling=True,
        scores=False,
        formats=("served",),
        concurrency="closed-loop",
        notes=NOTES,
    )

    def probe(self) -> Availability:
        if find_spec("httpx") is None:
            return Availability(False, None, None, "httpx is not installed", "pip install httpx")
        try:
            url = places.host(os.environ.get("OLLAMA_HOST", ""))
        except UsageError as error:
            return Availability(False, None, None, str(error), "")
        from backends.server import http

        try:
            with http.client(url, silence=5.0) as client:
                found = str(http.get_json(client, "/api/version").get("version"))
            return Availability(True, found, "the server's own")
        except RuntimeError:
            start = "-o ollama.start=true" if shutil.which("ollama") else "install and start Ollama, or -o ollama.url=…"
            return Availability(True, None, None, f"no server answers at {url}", start)

    def deployment(self, wanted: Deployment) -> str:
        """A Modelfile."""
        return deploying.modelfile(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Attaches to the server, or starts one where the options say so."""
        for method in engine.methods:
            if method not in self.capabilities.methods:
                raise UsageError(
                    f"Ollama has no draft method {method!r} to choose; it drafts by what the tag brings: mtp"
                )
        place = places.place(pair, engine, os.environ)
        from backends.ollama_server.attaching import opened

        with opened(place, engine.threads) as session:
            yield session
