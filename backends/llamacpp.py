"""llama.cpp: llama-server, embedded by xllamacpp in a process of its own, or the user's own binary.

docs/backends.md says what this runtime does to a measurement. The parts are in `backends.llama`: arguments, model
files, launch, session. The arm is fixed at launch, so the plain and each speculative arm have a server each.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from backends.base import Availability, Backend, Capabilities, Deployment, Environment, Session
from backends.installed import installed
from backends.llama import deploying
from results.errors import UsageError
from results.records import EngineConfig, Pair

TRIED = "2026.10.11549"
CREATE = "mtpbench env create llamacpp"

NOTES = (
    "every arm is a launch: llama-server ignores a draft length given with a request",
    "-B N sends N requests at once, each with its own clock; the server needs N slots (-o llamacpp.parallel=N)",
    "flash attention is on by default and computes one query and several differently: -o llamacpp.flash-attn=off",
)


class Adapter(Backend):
    name = "llamacpp"
    title = "llama.cpp"
    capabilities = Capabilities(
        methods=("mtp", "draft-model", "prompt-lookup", "eagle3", "native-mtp"),
        max_batch_plain=None,
        max_batch_speculative=None,
        draft_change="per-launch",
        reveals="counts",
        token_ids_in=True,
        token_ids_out=True,
        sampling=True,
        scores=True,
        scores_sampling=False,
        captures=("timing",),
        formats=("gguf",),
        concurrency="closed-loop",
        notes=NOTES,
    )
    environment = Environment(
        packages=(f"xllamacpp=={TRIED}", "httpx==0.28.1"),
        notes=("about 120 MB: llama.cpp b11549 for the CPU; for a GPU name your own llama-server instead",),
    )

    def probe(self) -> Availability:
        found = installed("xllamacpp")
        if installed("httpx") is None:
            return Availability(False, found, None, "httpx is not installed", CREATE)
        if found is not None and found != TRIED:
            return Availability(False, found, None, f"its server's flags are parsed as in {TRIED}", CREATE)
        if found is not None:
            return Availability(True, found, "cpu")
        if (server := shutil.which("llama-server")) is not None:
            return Availability(True, None, None, f"found {server}, whose version shows once it runs")
        own = "-o llamacpp.server=/path/to/llama-server"
        return Availability(
            False, None, None, "xllamacpp is not installed and no llama-server is on PATH", f"{CREATE}, or {own}"
        )

    def deployment(self, wanted: Deployment) -> str:
        """The arm's `llama-server`."""
        return deploying.command(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Starts a server for `engine.draft`; None is the plain one."""
        if installed("httpx") is None:
            raise UsageError(f"httpx is not installed where llama.cpp runs; run: {CREATE}")
        from backends.llama.launching import opened

        with opened(pair, engine) as session:
            yield session
