"""`mtpbench gate`: a run against its baselines, for CI."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtpbench import gate_outputs
from mtpbench.commands import options as o
from mtpbench.exits import CHECK_FAILED, INTERRUPTED, OK, UNDECIDED
from results.errors import UsageError

if TYPE_CHECKING:
    from results.gating.limits import GateVerdict, Limits

# Inside the functions: `mtpbench --help` must not pay for numpy and rich.

LIMITS = "Limits"
LEVEL = "Error level"
OUTPUT = "Output"
SHARE = "0.03 or 3%"
RATIO = "1.5"


def gate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The run file that is gated.", show_default=False)],
    baselines: Annotated[
        list[Path],
        typer.Option("--baseline", help="A run file to hold it against; repeat for several.", show_default=False),
    ],
    max_speedup_loss: Annotated[
        str, typer.Option(help="The most of the speed-up that may be lost; `off`.", rich_help_panel=LIMITS)
    ] = "3%",
    min_speedup: Annotated[
        str | None, typer.Option(help="The least speed-up, e.g. 1.5; `off`.", rich_help_panel=LIMITS)
    ] = None,
    max_slowdown: Annotated[
        str | None,
        typer.Option(
            help="The most by which speculative TPOT may grow; `off`. Default 3% from 3 baselines on; where it is "
            "given, fewer are inconclusive.",
            rich_help_panel=LIMITS,
        ),
    ] = None,
    max_acceptance_drop: Annotated[
        str | None,
        typer.Option(help="The most of the accepted share that may be lost, e.g. 0.02; `off`.", rich_help_panel=LIMITS),
    ] = None,
    require_equivalence: Annotated[
        bool, typer.Option("--require-equivalence", help="Output must be the target's own.", rich_help_panel=LIMITS)
    ] = False,
    level: Annotated[
        float,
        typer.Option(
            help="Chance at most to fail a run that is exactly at its limits, all looks and checks together.",
            rich_help_panel=LEVEL,
        ),
    ] = 0.025,
    looks: Annotated[
        int, typer.Option(help="How often this run will be judged at most; say so before.", rich_help_panel=LEVEL)
    ] = 1,
    look: Annotated[int, typer.Option(help="Which of them this is.", rich_help_panel=LEVEL)] = 1,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend",
            help="While inconclusive, measure as much again as the first look saw, and take the next look. Only on the "
            "machine the run was measured on.",
            rich_help_panel=LEVEL,
        ),
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Compare in spite of other `hardware`, `settings` or `prompts`; repeat."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, schema 1.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.", rich_help_panel=OUTPUT)] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Write a Markdown summary here; default: append to $GITHUB_STEP_SUMMARY, where that is set.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    annotations: Annotated[
        bool | None,
        typer.Option(
            "--annotations/--no-annotations",
            help="Print ::error and ::warning lines; default: where $GITHUB_ACTIONS is set.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    trust_remote_code: o.TrustRemoteCode = False,
) -> int:
    """Gate a run against baselines, cell by cell: exit code 0 pass, 1 fail, 3 inconclusive.

    A check fails only if its interval lies wholly beyond the limit and passes only if wholly inside; in between it is
    inconclusive, and says what would settle it.
    """
    from results.gating.comparable import KINDS

    odd = [kind for kind in allow or () if kind not in KINDS]
    if odd:
        raise UsageError(f"--allow {odd[0]}: expected one of {', '.join(KINDS)}")
    limits = _limits(max_speedup_loss, min_speedup, max_slowdown, max_acceptance_drop, require_equivalence)
    if extend and looks <= 1:
        raise UsageError("--extend takes further looks, which are declared before the first, e.g. with --looks 3")
    if extend and look >= looks:
        raise UsageError(f"--extend at look {look} of {looks}: all looks that were declared before the first are spent")
    places = gate_outputs.places(junit, summary)
    verdict = _judge(file, baselines, limits, level, looks, look, allow or [])
    while extend and verdict.decision == "inconclusive" and verdict.look < looks:
        if not _extended(file, verdict, trust_remote_code):
            return INTERRUPTED
        verdict = _judge(file, baselines, limits, level, looks, verdict.look + 1, allow or [])
    annotated = bool(os.environ.get("GITHUB_ACTIONS")) if annotations is None else annotations
    try:
        gate_outputs.write(verdict, places)
    finally:
        gate_outputs.show(verdict, as_json, annotated)
    return {"pass": OK, "fail": CHECK_FAILED, "inconclusive": UNDECIDED}[verdict.decision]


def _limits(loss: str, least: str | None, slowdown: str | None, drop: str | None, equivalence: bool) -> "Limits":
    from results.gating.limits import Limits

    try:
        return Limits(
            speedup_loss=_share("--max-speedup-loss", loss),
            min_speedup=None if least is None else _ratio("--min-speedup", least),
            slowdown=_share("--max-slowdown", "3%" if slowdown is None else slowdown),
            acceptance_drop=None if drop is None else _share("--max-acceptance-drop", drop),
            equivalence=equivalence,
            tpot_asked=slowdown is not None,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _share(flag: str, text: str) -> float | None:
    """`3%`, `0.03`, `off`."""
    if text == "off":
        return None
    return _number(flag, text.removesuffix("%"), SHARE) / (100 if text.endswith("%") else 1)


def _ratio(flag: str, text: str) -> float | None:
    """`1.5`, `1.5x`, `off`."""
    return None if text == "off" else _number(flag, text.removesuffix("x"), RATIO)


def _number(flag: str, text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text or repr(text)}: expected a number, such as {example}, or off") from error


def _judge(
    file: Path, baselines: list[Path], limits: "Limits", level: float, looks: int, look: int, allowed: list[str]
) -> "GateVerdict":
    from results.gating.observed import observe
    from results.gating.regression import gate as gate_runs
    from results.store import RunFile

    with ExitStack() as stack:
        now, *there = (observe(stack.enter_context(RunFile.open(path))) for path in (file, *baselines))
    try:
        return gate_runs(now, there, limits, level=level, looks=looks, look=look, allowed=allowed)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _extended(file: Path, verdict: "GateVerdict", trust_remote_code: bool) -> bool:
    """Measure for the next look; False where that was interrupted."""
    from harness.extending import extend
    from reports.gating.words import headline
    from reports.progress import Progress
    from reports.terminal import console

    print(f"look {verdict.look} of {verdict.looks}: {headline(verdict)}; measuring more", file=sys.stderr)
    with Progress(console(stderr=True)) as progress:
        measured = extend(file, verdict.look, progress, trust_remote_code=trust_remote_code)
    if measured.state == "interrupted":
        print(f"interrupted; go on with: mtpbench gate {file} … --look {verdict.look + 1}", file=sys.stderr)
    return measured.state != "interrupted"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(rich_help_panel="Decide")(gate)
