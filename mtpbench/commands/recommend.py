"""`mtpbench recommend`: which setting to deploy, from run files."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtpbench.commands.read import JsonOption
from mtpbench.exits import CHECK_FAILED, OK
from mtpbench.writing import present
from results.errors import UsageError

if TYPE_CHECKING:
    from results.choosing.recommendation import Recommendation
    from results.runfile import RunFile

# Inside the function: `mtpbench --help` answers at once.

LIMITS = "Limits"


class Objective(StrEnum):
    """What a setting is to be good at."""

    latency = "latency"
    throughput = "throughput"
    cost = "cost"
    energy = "energy"


def recommend(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Run files.", show_default=False)],
    objective: Annotated[
        Objective,
        typer.Option(
            "--for",
            help="latency: time per token; throughput: tokens per second, the whole batch together; cost; energy.",
        ),
    ] = Objective.latency,
    max_tpot_ms: Annotated[
        float | None, typer.Option(help="The longest time per token, median over prompts.", rich_help_panel=LIMITS)
    ] = None,
    max_ttft_ms: Annotated[
        float | None, typer.Option(help="The longest time to first token, median.", rich_help_panel=LIMITS)
    ] = None,
    min_batch: Annotated[int, typer.Option(help="The smallest batch size.", rich_help_panel=LIMITS)] = 1,
    memory: Annotated[
        str | None, typer.Option(help="The most memory that a call may take, e.g. 24GB.", rich_help_panel=LIMITS)
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(help="What an hour of the machine costs; needed for cost.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Recommend a setting for each runtime and batch size, with how to deploy it, and say when not to draft.

    A drafted setting is recommended only where it is distinguishably better than plain decoding, and never where its
    cell is invalid, unverified, synthetic, imported, or its output is not the target's own. Exit code 1 where nothing
    keeps the limits.
    """
    from harness.deployments import measure_only
    from reports.recommendation import show_recommendation
    from results.choosing.recommend import recommend as recommend_from
    from results.choosing.wishes import Wishes
    from results.judge import judged
    from results.store import RunFile

    wishes = Wishes(objective.value, max_tpot_ms, max_ttft_ms, min_batch, _bytes(memory), price_per_hour)
    with ExitStack() as stack:
        opened = [stack.enter_context(RunFile.open(file)) for file in files]
        runs = [judged(file) for file in opened]
        found = recommend_from(runs, wishes, measure_only({cell.backend for run in runs for cell in run.verdict.cells}))
        found = found.deployed({place: text for file in opened for place, text in _deployments(file, found).items()})
    present(found, as_json, show_recommendation)
    if any(choice.chosen is not None for choice in found.choices):
        return OK
    reasons = list(dict.fromkeys(choice.reason for choice in found.choices)) or ["nothing was measured"]
    print(f"mtpbench: nothing can be recommended: {' · '.join(reasons[:3])}", file=sys.stderr)
    return CHECK_FAILED


def _deployments(file: "RunFile", found: "Recommendation") -> dict[tuple[str, int], str]:
    """(file, cell id) -> how to deploy it, for what is recommended of a file."""
    from harness.deployments import deployments

    name = str(file.path)
    chosen = [c.chosen for c in found.choices if c.place.file == name and c.chosen is not None]
    return {(name, cell): text for cell, text in deployments(file, chosen).items()}


def _bytes(text: str | None) -> float | None:
    from harness.values import size

    try:
        return None if text is None else size(text)
    except ValueError as error:
        raise UsageError(f"--memory {text}: expected a size, e.g. 24GB or 16GiB") from error


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(rich_help_panel="Read")(recommend)
