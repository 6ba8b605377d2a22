"""`mtpbench run` and `mtpbench verify`: measure a sweep, then show it and write its report."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mtpbench.commands import options as o
from mtpbench.exits import INTERRUPTED, of_cells, of_certificate
from mtpbench.writing import present, write_report
from results.errors import UsageError

if TYPE_CHECKING:
    from results.verdicts import RunVerdict

# Inside the functions: `mtpbench --help` must not pay for pydantic, numpy and rich's progress display.

_SWEEP_KEYS = {"options": "backend", "draws": "repeats"}
"""Parameter -> key of the sweep, where they differ."""
_PLACES = ("sweep_file", "out", "resume")
_SWITCHES = ("dry_run", "no_report", "as_json")


def run(
    ctx: typer.Context,
    sweep_file: o.SweepFile = None,
    backends: o.Backends = None,
    pairs: o.Pairs = None,
    draft_lengths: o.DraftLengths = None,
    batch_sizes: o.BatchSizes = None,
    prompt_tokens: o.PromptTokens = None,
    output_tokens: o.OutputTokens = None,
    workloads: o.Workloads = None,
    categories: o.Categories = None,
    prompts: o.Prompts = None,
    methods: o.Methods = None,
    ablate: o.Ablate = None,
    temperature: o.Temperature = None,
    top_k: o.TopK = None,
    top_p: o.TopP = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    threads: o.Threads = None,
    options: o.BackendOptions = None,
    raw: o.Raw = None,
    thinking: o.Thinking = None,
    ignore_eos: o.IgnoreEos = None,
    seed: o.Seed = None,
    precision: o.Precision = None,
    time_budget: o.TimeBudget = None,
    repeats: o.Repeats = None,
    launches: o.Launches = None,
    name: o.Name = None,
    out: o.Out = None,
    resume: o.Resume = None,
    dry_run: o.DryRun = False,
    no_report: o.NoReport = False,
    as_json: o.AsJson = False,
    trust_remote_code: o.TrustRemoteCode = False,
) -> int:
    """Measure a sweep, paired and interleaved; without arguments, the embedded demo pair (3 minutes)."""
    return _measure(ctx, _overrides(ctx), lambda verdict: of_cells(verdict.cells))


def verify(
    ctx: typer.Context,
    sweep_file: o.SweepFile = None,
    backends: o.Backends = None,
    pairs: o.Pairs = None,
    draft_lengths: o.DraftLengths = None,
    batch_sizes: o.BatchSizes = None,
    prompt_tokens: o.PromptTokens = None,
    output_tokens: o.OutputTokens = None,
    workloads: o.Workloads = None,
    categories: o.Categories = None,
    prompts: o.Prompts = None,
    methods: o.Methods = None,
    temperature: o.Temperature = None,
    top_k: o.TopK = None,
    top_p: o.TopP = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    threads: o.Threads = None,
    options: o.BackendOptions = None,
    raw: o.Raw = None,
    thinking: o.Thinking = None,
    ignore_eos: o.IgnoreEos = None,
    seed: o.Seed = None,
    draws: o.Draws = None,
    time_budget: o.TimeBudget = None,
    name: o.Name = None,
    out: o.Out = None,
    resume: o.Resume = None,
    dry_run: o.DryRun = False,
    no_report: o.NoReport = False,
    as_json: o.AsJson = False,
    trust_remote_code: o.TrustRemoteCode = False,
) -> int:
    """Verify that the output is the target's own, without timing anything: greedy, or sampled above temperature 0.

    Exit code 1 where it is not (UNEXPLAINED, BIASED), 3 where that could not be told (UNTESTED).
    """
    overrides = _overrides(ctx)
    if ctx.params["resume"] is None:
        overrides["speed"] = False
    return _measure(ctx, overrides, of_certificate)


def _overrides(ctx: typer.Context) -> dict[str, object]:
    """The flags as keys of a sweep; None where one was not given."""
    given = {_SWEEP_KEYS.get(key, key): value for key, value in ctx.params.items() if key not in _PLACES + _SWITCHES}
    return {**given, "trust_remote_code": given["trust_remote_code"] or None}


def _measure(ctx: typer.Context, overrides: dict[str, object], exit_code: "Callable[[RunVerdict], int]") -> int:
    from harness import experiment
    from harness.sweep import load
    from reports.listings import show_plan
    from reports.progress import Progress
    from reports.terminal import console

    sweep_file, out, resume = (Path(given) if (given := ctx.params[key]) else None for key in _PLACES)
    dry_run, no_report, as_json = (ctx.params[key] for key in _SWITCHES)
    if resume is not None and (sweep_file is not None or out is not None):
        raise UsageError(f"--resume {resume} goes on with that file's own sweep: leave out SWEEP.toml and --out")
    if resume is not None and dry_run:
        raise UsageError(f"--dry-run shows the plan of a new run: leave out --resume {resume}")
    if dry_run:
        plan = experiment.dry_run(load(sweep_file, overrides))
        present(experiment.describe(plan), as_json, show_plan)
        return 0
    with Progress(console(stderr=True)) as progress:
        if resume is not None:
            measured = experiment.resume(resume, overrides, progress)
        else:
            measured = experiment.measure(load(sweep_file, overrides), out, progress)
    verdict = _conclude(measured.path, not no_report, as_json)
    if measured.state == "interrupted":
        print(f"interrupted; go on with: mtpbench {ctx.info_name} --resume {measured.path}", file=sys.stderr)
        return INTERRUPTED
    return exit_code(verdict)


def _conclude(path: Path, with_report: bool, as_json: bool) -> "RunVerdict":
    """Show the result, write the report, say where everything is."""
    from reports.table import show
    from results.judge import judge
    from results.store import RunFile

    with RunFile.open(path) as file:
        verdict = judge(file)
    present(verdict, as_json, show)
    says = sys.stderr if as_json else sys.stdout
    print(f"\nrun file  {path}", file=says)
    if with_report:
        report = path.with_suffix(".html")
        write_report([path], report)
        print(f"report    {report}", file=says)
    return verdict


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    app.command(rich_help_panel="Measure")(run)
    app.command(rich_help_panel="Measure")(verify)
