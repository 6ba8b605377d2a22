"""The options that `run` and `verify` share, each said once."""

from pathlib import Path
from typing import Annotated

import typer

SWEEP = "Sweep"
HOW_LONG = "How long"

SweepFile = Annotated[Path | None, typer.Argument(metavar="[SWEEP.toml]", help="A sweep file; flags are set over it.")]
Backends = Annotated[
    list[str] | None, typer.Option("-b", "--backend", help="A runtime; repeat for several.", rich_help_panel=SWEEP)
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--pair",
        help="A pair's name, TARGET:ASSISTANT as hub ids or folders, or random:NAME (random weights).",
        rich_help_panel=SWEEP,
    ),
]
DraftLengths = Annotated[
    str | None, typer.Option("-k", "--draft-lengths", help="e.g. 1-6 or 1,2,4.", rich_help_panel=SWEEP)
]
BatchSizes = Annotated[str | None, typer.Option("-B", "--batch-sizes", help="e.g. 1,4.", rich_help_panel=SWEEP)]
PromptTokens = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--prompt-tokens",
        help="Exact prompt lengths, e.g. 64,256; `own` keeps each prompt's.",
        rich_help_panel=SWEEP,
    ),
]
OutputTokens = Annotated[
    str | None, typer.Option("-n", "--output-tokens", help="New tokens per prompt.", rich_help_panel=SWEEP)
]
Workloads = Annotated[
    list[str] | None,
    typer.Option(
        "-w", "--workload", help="A prompt set, data set, or file; repeat for several.", rich_help_panel=SWEEP
    ),
]
Categories = Annotated[
    list[str] | None, typer.Option("--category", help="Only these categories.", rich_help_panel=SWEEP)
]
Prompts = Annotated[
    str | None, typer.Option("--prompts", help="Units (prompt batches) per group.", rich_help_panel=SWEEP)
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", help="mtp, draft-model, prompt-lookup, …; repeat.", rich_help_panel=SWEEP),
]
Ablate = Annotated[
    list[str] | None,
    typer.Option(
        "--ablate",
        metavar="PART",
        help="Also MTP without a part: centroids, activations, shared-kv, embeddings; repeat. Where the backend can.",
        rich_help_panel=SWEEP,
    ),
]
Temperature = Annotated[str | None, typer.Option("--temperature", help="0 is greedy.", rich_help_panel=SWEEP)]
TopK = Annotated[str | None, typer.Option("--top-k", rich_help_panel=SWEEP)]
TopP = Annotated[str | None, typer.Option("--top-p", rich_help_panel=SWEEP)]
Dtype = Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16, float16.", rich_help_panel=SWEEP)]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SWEEP)]
Threads = Annotated[str | None, typer.Option("--threads", help="CPU threads of the runtime.", rich_help_panel=SWEEP)]
BackendOptions = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--option",
        metavar="BACKEND.option=value",
        help="The runtime's own options; repeat.",
        rich_help_panel=SWEEP,
    ),
]
Raw = Annotated[
    bool | None, typer.Option("--raw/--chat", help="Without / with the chat template.", rich_help_panel=SWEEP)
]
Thinking = Annotated[
    bool | None, typer.Option("--thinking/--no-thinking", help="The template's thinking mode.", rich_help_panel=SWEEP)
]
IgnoreEos = Annotated[
    bool | None,
    typer.Option(
        "--ignore-eos/--stop-at-eos", help="Run past the natural end (left out of every figure).", rich_help_panel=SWEEP
    ),
]
Seed = Annotated[str | None, typer.Option("--seed", help="Of order and sampling.", rich_help_panel=SWEEP)]
Precision = Annotated[
    str | None, typer.Option("--precision", help="Stop at this half-width, e.g. 2%.", rich_help_panel=HOW_LONG)
]
TimeBudget = Annotated[
    str | None, typer.Option("--time-budget", help="Stop after this time, e.g. 5m.", rich_help_panel=HOW_LONG)
]
Repeats = Annotated[str | None, typer.Option("--repeats", help="Visits to every unit.", rich_help_panel=HOW_LONG)]
Launches = Annotated[
    str | None, typer.Option("--launches", help="Launch every engine anew so many times.", rich_help_panel=HOW_LONG)
]
Name = Annotated[str | None, typer.Option("--name", help="A word for the run file's name.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder or file; default runs/<UTC time>-<name>.sqlite.")]
Resume = Annotated[Path | None, typer.Option("--resume", help="Go on with this run file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out the HTML report.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let a model's own code run. Only a flag can allow this.")
]
Draws = Annotated[
    str | None,
    typer.Option("--draws", help="Continuations per prompt and arm, above temperature 0.", rich_help_panel=HOW_LONG),
]
