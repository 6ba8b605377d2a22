"""A measured setting as the `vllm serve` that anybody would start. Pure."""

from backends.base import Deployment
from backends.quoting import remark, shell, word
from backends.vllm_server import flags, versions

LEFT_OUT = (
    "Measured without a prefix cache and with vLLM's own sampling defaults (--no-enable-prefix-caching "
    "--generation-config=vllm), which a deployment need not have."
)
UNTRIED = (
    "Or, where the number of requests changes, the draft length by how many run. Each length was measured by itself; "
    "one server that goes from one to the other was not, and some report a slow-down there (vllm#49548):"
)


def command(wanted: Deployment) -> str:
    """Raises UsageError for what the adapter refuses."""
    engine, cpu = wanted.engine, wanted.on_cpu
    words = ["vllm", "serve", *flags.served(wanted.pair, engine, cpu=cpu)]
    lines = [shell(words, flags.computing(engine, cpu=cpu)), remark(LEFT_OUT)]
    if engine.draft is not None and wanted.by_batch and _schedules(wanted):
        (config,) = flags.drafts(wanted.pair, engine, wanted.by_batch)
        lines += [remark(UNTRIED), remark(word(config))]
    return "\n".join(lines)


def _schedules(wanted: Deployment) -> bool:
    """The version that was measured takes draft lengths by batch size, as far as that was tried."""
    known = wanted.facts.versions.get("vllm") if wanted.facts else None
    return known is not None and versions.Installed(known, wanted.on_cpu, True).numbers >= versions.SCHEDULES
