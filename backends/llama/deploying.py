"""A measured setting as the `llama-server` that anybody would start. Pure."""

from backends.base import Deployment
from backends.llama import arguments
from backends.llama.arguments import Launch
from backends.quoting import remark, shell

LEFT_OUT = (
    "Measured without prompt caches (--cache-ram 0) and with a context of the lengths asked for (--ctx-size), which a "
    "deployment need not have."
)


def command(wanted: Deployment) -> str:
    """Raises UsageError for what the adapter refuses."""
    pair, engine, draft = wanted.pair, wanted.engine, wanted.engine.draft
    if draft is not None:
        arguments.check_method(draft.method)
    launch = Launch(
        target=pair.target,
        drafter=pair.assistant if arguments.needs_drafter(draft) else None,
        draft=draft,
        context=None,
        threads=engine.threads,
        devices=_devices(wanted),
        parallel=max(engine.max_batch, arguments.slots(engine.options)),
        flags=arguments.flags(engine.options),
    )
    return f"{shell(['llama-server', *arguments.served(launch)])}\n{remark(LEFT_OUT)}"


def _devices(wanted: Deployment) -> str | None:
    """`CUDA1`, as the build that was measured calls what it was told to use."""
    asked = wanted.engine.device
    if asked in ("auto", "cpu"):
        return None if asked == "auto" else "none"
    return wanted.facts.device.partition(" ")[0] if wanted.facts else None
