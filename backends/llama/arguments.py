"""llama-server's command line for an arm: one pure function, the same for the embedded server and a user's own.

Nothing that changes tokens or times is left to a default that another version may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from results.errors import UsageError
from results.records import Draft, Json

HOST = "127.0.0.1"

SPEC_TYPES: Mapping[str, str] = {
    "mtp": "draft-mtp",
    "draft-model": "draft-simple",
    "eagle3": "draft-eagle3",
    "prompt-lookup": "ngram-simple",
    "native-mtp": "draft-mtp",
}
"""Draft method -> `--spec-type`. Without it a drafter is loaded and never asked."""
NEED_DRAFTER = ("draft-model", "eagle3")
"""`mtp` takes one too, unless the target carries its own MTP layers; `native-mtp` never does."""

OWN = ("server", "parallel")
"""Options of this adapter: the path of a llama-server, and its number of slots. All others are llama-server's."""

REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("host", "port", "reuse-port", "api-prefix", "ssl-key-file", "ssl-cert-file"), "the harness sets it"
    ),
    **dict.fromkeys(("model", "spec-draft-model", "model-draft"), "the pair names the model files (-m)"),
    **dict.fromkeys(
        ("hf-repo", "hf-file", "hf-token", "model-url", "docker-repo", "spec-draft-hf", "hf-repo-draft", "offline"),
        "nothing is downloaded; name local files",
    ),
    **dict.fromkeys(("spec-type", "spec-draft-n-max", "spec-ngram-simple-size-m"), "--method and -k set it"),
    **dict.fromkeys(("threads", "threads-batch"), "use --threads"),
    **dict.fromkeys(("ctx-size", "kv-unified-per-slot", "kv-unified"), "the lengths asked for set it"),
    "device": "use --device",
    **dict.fromkeys(("api-key", "api-key-file"), "the server listens on this machine only; keys are never recorded"),
    **dict.fromkeys(
        (
            *("tools", "tools-runtime", "agent", "mcp-servers-config", "mcp-servers-json", "path", "media-path"),
            *("slot-save-path", "ui-mcp-proxy", "webui-mcp-proxy", "rpc"),
        ),
        "a benchmark opens no such door",
    ),
    **dict.fromkeys(
        ("cache-prompt", "cache-ram", "cache-reuse", "lookup-cache-dynamic"),
        "caches across requests would spoil the times",
    ),
}
"""llama-server's flags that an option may not set -> why."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One server: which files, which arm."""

    target: str
    drafter: str | None
    draft: Draft | None
    context: int | None
    """Tokens a slot must hold; None: as many as the model was trained for."""
    threads: int | None = None
    devices: str | None = None
    """`--device`: `none` is the CPU; None leaves llama.cpp's own choice."""
    parallel: int = 1
    """Slots: requests that decode side by side."""
    flags: tuple[str, ...] = ()
    """The user's own, at the end."""


def arguments(launch: Launch, port: int) -> list[str]:
    """Everything after the program's name."""
    flag, model, *serving = served(launch)
    given = [flag, model, "--host", HOST, "--port", str(port), "--ctx-size", str(context_size(launch))]
    given += ["--metrics", "--no-ui", "--offline", "--no-context-shift", "--cache-ram", "0", "--no-kv-unified"]
    return [*given, *serving]


def served(launch: Launch) -> list[str]:
    """Of `arguments` the model and what decides its speed: what anybody would serve it with, measured or not."""
    given = ["--model", launch.target, "--parallel", str(launch.parallel)]
    if launch.threads is not None:
        given += ["--threads", str(launch.threads), "--threads-batch", str(launch.threads)]
    if launch.devices is not None:
        given += ["--device", launch.devices]
        given += ["--gpu-layers", "0"] if launch.devices == "none" else []
    return [*given, *speculation(launch.draft, launch.drafter), *launch.flags]


def needs_drafter(draft: Draft | None) -> bool:
    """A file named as the pair's drafter is this arm's."""
    return draft is not None and (draft.method == "mtp" or draft.method in NEED_DRAFTER)


def speculation(draft: Draft | None, drafter: str | None) -> list[str]:
    """The arguments that make the arm; none for the plain one."""
    if draft is None:
        return []
    given = ["--spec-type", SPEC_TYPES[draft.method]]
    if draft.method == "prompt-lookup":
        return [*given, "--spec-ngram-simple-size-m", str(draft.length)]
    if drafter is not None:
        given += ["--spec-draft-model", drafter]
    # n-min 0 and p-min 0: always k drafts, however unsure the drafter is
    return [*given, "--spec-draft-n-max", str(draft.length), "--spec-draft-n-min", "0", "--spec-draft-p-min", "0.0"]


def context_size(launch: Launch) -> int:
    """`--ctx-size` is shared out evenly among the slots; 0 is the model's own length.

    The same for every arm: a few tokens more than asked for, so that the last drafts have room.
    """
    margin, step = 64, 256
    if launch.context is None:
        return 0
    return launch.parallel * -(-(launch.context + margin) // step) * step


def flags(options: Mapping[str, Json]) -> tuple[str, ...]:
    """Options other than this adapter's own, as llama-server's long flags: `flash-attn = "off"` -> `--flash-attn off`.

    true gives the bare flag, false its `--no-` form, a list a comma-separated value. Underscores read as hyphens.
    Raises UsageError for flags that would undo the measurement; llama.cpp's own parser judges the rest at launch.
    """
    found: list[str] = []
    for name, value in options.items():
        if name in OWN:
            continue
        flag = name.strip("-").replace("_", "-")
        if reason := REFUSED.get(flag.removeprefix("no-")):
            raise UsageError(f"option llamacpp.{name} cannot be set: {reason}")
        found += _flag(name, flag, value)
    return tuple(found)


def _flag(name: str, flag: str, value: Json) -> list[str]:
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):
        raise UsageError(
            f"option llamacpp.{name} takes a text, a number, true, false or a list of those, not {value!r}"
        )
    text = ",".join(map(str, parts))
    if text.startswith("-") and not isinstance(parts[0], int | float):
        raise UsageError(f"option llamacpp.{name} = {value!r}: a value cannot begin with a hyphen")
    return [f"--{flag}", text]


def slots(options: Mapping[str, Json]) -> int:
    """The option `parallel`: the least number of slots, for requests side by side; 1 by default. Raises UsageError."""
    value = options.get("parallel", 1)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"option llamacpp.parallel takes a number of slots, 1 or more, not {value!r}")
    return value


def check_method(method: str) -> None:
    """Raises UsageError for a draft method that this server has not."""
    if method not in SPEC_TYPES:
        near = get_close_matches(method, SPEC_TYPES, n=1)
        advice = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(SPEC_TYPES)}"
        raise UsageError(f"llama.cpp has no draft method {method!r}{advice}")
