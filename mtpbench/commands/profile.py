"""`mtpbench profile`: the acceptance of every draft length from one pass over a known text."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mtpbench.commands import options as o
from mtpbench.exits import CELLS_FAILED, OK
from mtpbench.writing import present, replaceable
from results.errors import UsageError

# Inside the functions: `mtpbench --help` must not pay for pydantic, numpy and rich's progress display.

K_MAX = 12
_SWEEP_KEYS = {"options": "backend"}
"""Parameter -> key of the sweep, where they differ."""


def profile(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Show this stored profile instead.")] = None,
    pairs: o.Pairs = None,
    k_max: Annotated[
        int | None, typer.Option("--k-max", help=f"The longest draft; default {K_MAX}.", rich_help_panel=o.SWEEP)
    ] = None,
    prompt_tokens: o.PromptTokens = None,
    output_tokens: o.OutputTokens = None,
    workloads: o.Workloads = None,
    categories: o.Categories = None,
    prompts: o.Prompts = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    threads: o.Threads = None,
    options: o.BackendOptions = None,
    raw: o.Raw = None,
    thinking: o.Thinking = None,
    name: o.Name = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; default runs/<UTC time>-<name>.profile.json.")
    ] = None,
    as_json: o.AsJson = False,
    trust_remote_code: o.TrustRemoteCode = False,
) -> int:
    """Profile a pair's acceptance: drafts from every position of its greedy texts, and what every k would accept.

    Decodes each prompt once, plainly, in the reference engine; acceptance at every draft length up to --k-max follows
    exactly. Without arguments, the embedded demo pair.
    """
    from harness import profiling
    from reports.profile import show
    from results.curve import curve

    asked = _asked(ctx)
    if file is None:
        return _measure(asked, as_json)
    if asked:
        flags = {option.name: option.opts[0] for option in ctx.command.params}
        raise UsageError(f"{file} is shown as it was stored: leave out {', '.join(flags[key] for key in asked)}")
    present(curve(profiling.read(file)), as_json, show)
    return OK


def _asked(ctx: typer.Context) -> dict[str, Any]:
    """The options that were given: fields of a sweep, `k_max` and `out`."""
    given = {key: value for key, value in ctx.params.items() if value is not None and value not in ([], ())}
    others = {"file", "as_json"} if given["trust_remote_code"] else {"file", "as_json", "trust_remote_code"}
    return {key: value for key, value in given.items() if key not in others}


def _measure(asked: dict[str, Any], as_json: bool) -> int:
    from harness import profiling
    from harness.client import CallFailed
    from reports.profile import show
    from reports.terminal import console
    from results.curve import curve

    k_max, out = asked.pop("k_max", K_MAX), asked.pop("out", None)
    plan = profiling.plan_of(k_max, {_SWEEP_KEYS.get(key, key): value for key, value in asked.items()})
    path = profiling.place(out and replaceable(Path(out)), plan.sweep)
    try:
        with console(stderr=True).status("") as status:
            found = profiling.measure(plan, status.update)
    except CallFailed as error:
        detail = f"\n{error.failure.detail}" if os.environ.get("MTPBENCH_DEBUG") else ""
        print(f"mtpbench: no profile: {error.failure.message}{detail}", file=sys.stderr)
        return CELLS_FAILED
    try:
        profiling.write(found, path)
    finally:
        present(curve(found), as_json, show)
    print(f"\nprofile  {path}", file=sys.stderr if as_json else sys.stdout)
    return OK


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(rich_help_panel="Measure")(profile)
