"""SGLang, as `sglang serve` in a process of its own: one launch per arm, because SGLang fixes drafts at launch.

docs/backends.md says what this runtime does to a measurement. The parts are in `backends.sglang_server`; those that
need more than the standard library are imported by `open`, so that `probe` works without them.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from backends import fit
from backends.base import Availability, Backend, Capabilities, Deployment, Environment, Session
from backends.installed import installed, nvidia_gpus
from backends.quoting import remark, shell
from backends.sglang_server import flags, versions
from results.errors import UsageError
from results.records import EngineConfig, Pair

INSTALL = "mtpbench env create sglang"
OWN = "-o sglang.server=/path/to/sglang"

NOT_TRIED = "The arguments of the launch that was measured; no SGLang could be started where this was written."

NOTES = (
    "one server per arm and draft length: each takes most of a GPU's memory unless told otherwise, e.g. "
    "-o sglang.mem_fraction_static=0.3",
    "Gemma 4 26B-A4B needs -o sglang.tp=2 with MTP",
    "a batch is so many requests in flight at once",
    "no scores: a greedy divergence is reported and not explained",
    "this adapter was tried against a stub of SGLang's protocol only",
)


class Adapter(Backend):
    name = "sglang"
    title = "SGLang"
    environment = Environment(
        packages=(f"sglang=={versions.TRIED}",),
        notes=("CUDA only: about 10 GB, an NVIDIA GPU and its driver; there is no kernel package for CPUs",),
    )

    def __init__(self) -> None:
        self.capabilities = Capabilities(
            methods=versions.methods(installed("sglang")),
            max_batch_plain=None,
            max_batch_speculative=None,
            draft_change="per-launch",
            reveals="per-position",
            token_ids_in=True,
            token_ids_out=True,
            sampling=True,
            scores=False,
            captures=("timing",),
            formats=("hf",),
            concurrency="closed-loop",
            notes=NOTES,
        )

    def probe(self) -> Availability:
        found = installed("sglang")
        if found is None:
            if shutil.which("sglang"):
                return Availability(True, None, None, "found a program sglang, whose version shows once it runs")
            return Availability(False, None, None, "sglang is not installed", f"{INSTALL}, or {OWN}")
        if reason := versions.refusal(found):
            return Availability(False, found, None, reason, INSTALL)
        if not (gpus := nvidia_gpus()):
            reason = "SGLang computes on a GPU here, and nvidia-smi shows none"
            return Availability(False, found, None, reason, OWN)
        return Availability(True, found, f"cuda:0 {gpus[0]}", versions.caveat(found))

    def deployment(self, wanted: Deployment) -> str:
        """The arm's `sglang serve`. Raises UsageError."""
        command = shell(["sglang", *flags.served(wanted.pair, wanted.engine)])
        return f"{command}\n{remark(NOT_TRIED)}"

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Starts a server for the arm `engine.draft`, or for plain decoding."""
        if engine.draft is not None and engine.draft.method not in versions.METHODS:
            raise UsageError(versions.method_refusal(versions.TRIED, engine.draft.method, None))
        fit.check(pair, () if engine.draft is None else (engine.draft.method,))
        try:
            from backends.sglang_server.launching import opened
        except ImportError as error:  # Transformers and httpx come with SGLang
            raise UsageError(f"{error.name or error} is not installed where SGLang runs; run: {INSTALL}") from error

        with opened(pair, engine) as session:
            yield session
