"""`mtpbench run`: measure a sweep, then show it and write its report."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mtpbench.exits import INTERRUPTED, of_cells
from mtpbench.writing import present, write_report
from results.errors import UsageError

# Inside the functions: `mtpbench --help` must not pay for pydantic, numpy and rich's progress display.

SWEEP = "Sweep"
HOW_LONG = "How long"


def run(
    sweep_file: Annotated[
        Path | None, typer.Argument(metavar="[SWEEP.toml]", help="A sweep file; flags are set over it.")
    ] = None,
    backends: Annotated[
        list[str] | None, typer.Option("-b", "--backend", help="A runtime; repeat for several.", rich_help_panel=SWEEP)
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--pair", help="A pair's name, or TARGET:ASSISTANT as hub ids or folders.", rich_help_panel=SWEEP
        ),
    ] = None,
    draft_lengths: Annotated[
        str | None, typer.Option("-k", "--draft-lengths", help="e.g. 1-6 or 1,2,4.", rich_help_panel=SWEEP)
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option("-B", "--batch-sizes", help="e.g. 1,4.", rich_help_panel=SWEEP)
    ] = None,
    prompt_tokens: Annotated[
        str | None,
        typer.Option(
            "-p",
            "--prompt-tokens",
            help="Exact prompt lengths, e.g. 64,256; `own` keeps each prompt's.",
            rich_help_panel=SWEEP,
        ),
    ] = None,
    output_tokens: Annotated[
        str | None, typer.Option("-n", "--output-tokens", help="New tokens per prompt.", rich_help_panel=SWEEP)
    ] = None,
    workloads: Annotated[
        list[str] | None,
        typer.Option(
            "-w", "--workload", help="A prompt set, data set, or file; repeat for several.", rich_help_panel=SWEEP
        ),
    ] = None,
    categories: Annotated[
        list[str] | None, typer.Option("--category", help="Only these categories.", rich_help_panel=SWEEP)
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", help="Units (prompt batches) per group.", rich_help_panel=SWEEP)
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="mtp, draft-model, prompt-lookup, …; repeat.", rich_help_panel=SWEEP),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option("--temperature", help="0 is greedy.", rich_help_panel=SWEEP)
    ] = None,
    top_k: Annotated[str | None, typer.Option("--top-k", rich_help_panel=SWEEP)] = None,
    top_p: Annotated[str | None, typer.Option("--top-p", rich_help_panel=SWEEP)] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="auto, float32, bfloat16, float16.", rich_help_panel=SWEEP)
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SWEEP)
    ] = None,
    threads: Annotated[
        str | None, typer.Option("--threads", help="CPU threads of the runtime.", rich_help_panel=SWEEP)
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "-o",
            "--option",
            metavar="BACKEND.option=value",
            help="The runtime's own options; repeat.",
            rich_help_panel=SWEEP,
        ),
    ] = None,
    raw: Annotated[
        bool | None, typer.Option("--raw/--chat", help="Without / with the chat template.", rich_help_panel=SWEEP)
    ] = None,
    thinking: Annotated[
        bool | None,
        typer.Option("--thinking/--no-thinking", help="The template's thinking mode.", rich_help_panel=SWEEP),
    ] = None,
    ignore_eos: Annotated[
        bool | None,
        typer.Option(
            "--ignore-eos/--stop-at-eos",
            help="Run past the natural end (left out of every figure).",
            rich_help_panel=SWEEP,
        ),
    ] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="Of order and sampling.", rich_help_panel=SWEEP)] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Stop at this half-width, e.g. 2%.", rich_help_panel=HOW_LONG)
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", help="Stop after this time, e.g. 5m.", rich_help_panel=HOW_LONG)
    ] = None,
    repeats: Annotated[
        str | None, typer.Option("--repeats", help="Visits to every unit.", rich_help_panel=HOW_LONG)
    ] = None,
    launches: Annotated[
        str | None,
        typer.Option("--launches", help="Launch every engine anew so many times.", rich_help_panel=HOW_LONG),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="A word for the run file's name.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder or file; default runs/<UTC time>-<name>.sqlite.")
    ] = None,
    resume: Annotated[Path | None, typer.Option("--resume", help="Go on with this run file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Leave out the HTML report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a model's own code run. Only a flag can allow this.")
    ] = False,
) -> int:
    """Measure a sweep, paired and interleaved; without arguments, the embedded demo pair (3 minutes)."""
    overrides: dict[str, object] = {
        "backends": backends, "pairs": pairs, "draft_lengths": draft_lengths, "batch_sizes": batch_sizes,
        "prompt_tokens": prompt_tokens, "output_tokens": output_tokens, "workloads": workloads,
        "categories": categories, "prompts": prompts, "methods": methods, "temperature": temperature,
        "top_k": top_k, "top_p": top_p, "dtype": dtype, "device": device, "threads": threads, "backend": options,
        "raw": raw, "thinking": thinking, "ignore_eos": ignore_eos, "seed": seed, "precision": precision,
        "time_budget": time_budget, "repeats": repeats, "launches": launches, "name": name,
        "trust_remote_code": trust_remote_code or None,
    }  # fmt: skip
    if resume is not None and (sweep_file is not None or out is not None):
        raise UsageError(f"--resume {resume} goes on with that file's own sweep: leave out SWEEP.toml and --out")
    if resume is not None and dry_run:
        raise UsageError(f"--dry-run shows the plan of a new run: leave out --resume {resume}")
    return _measure(sweep_file, overrides, out, resume, dry_run, not no_report, as_json)


def _measure(
    sweep_file: Path | None,
    overrides: dict[str, object],
    out: Path | None,
    resume: Path | None,
    dry_run: bool,
    with_report: bool,
    as_json: bool,
) -> int:
    from harness import experiment
    from harness.sweep import load
    from reports.listings import show_plan
    from reports.progress import Progress
    from reports.terminal import console

    if dry_run:
        plan = experiment.dry_run(load(sweep_file, overrides))
        present(experiment.describe(plan), as_json, show_plan)
        return 0
    with Progress(console(stderr=True)) as progress:
        if resume is not None:
            measured = experiment.resume(resume, overrides, progress)
        else:
            measured = experiment.measure(load(sweep_file, overrides), out, progress)
    return _conclude(measured.path, measured.state, with_report, as_json)


def _conclude(path: Path, state: str, with_report: bool, as_json: bool) -> int:
    """Show the result, write the report, say where everything is, and give the exit code."""
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
    if state == "interrupted":
        print(f"interrupted; go on with: mtpbench run --resume {path}", file=sys.stderr)
        return INTERRUPTED
    return of_cells(verdict.cells)


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    app.command(rich_help_panel="Measure")(run)
