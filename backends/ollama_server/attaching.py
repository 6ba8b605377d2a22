"""A session over a server that runs, or over one of our own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from backends.ollama_server import log
from backends.ollama_server.places import Place
from backends.ollama_server.session import OllamaSession
from backends.server import http, process
from results.errors import UsageError


@contextmanager
def opened(place: Place, threads: int | None) -> Iterator[OllamaSession]:
    """Raises UsageError where there is no server, or no program to start one."""
    if not place.start:
        source = None if place.log is None else log.LogFile(place.log)
        with http.client(place.url) as client:
            yield OllamaSession(client, place, source, threads)
        return
    program = shutil.which("ollama")
    if program is None:
        raise UsageError("ollama.start: there is no program ollama on PATH; install it, or name a server: ollama.url")

    def command(port: int) -> list[str]:
        return ["env", f"OLLAMA_HOST=127.0.0.1:{port}", program, "serve"]

    quiet = {"OLLAMA_NOPRUNE": "1"} if "OLLAMA_NOPRUNE" not in os.environ else {}  # leave the user's models alone
    with process.started("ollama serve", command, environment=quiet, health="/api/version") as server:
        own = replace(place, url=server.url)
        with http.client(server.url) as client:
            yield OllamaSession(client, own, server.output, threads)
