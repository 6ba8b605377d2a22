"""Commands that read run files, and the one that imports others' figures. None needs a runtime or hardware."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mtpbench.writing import present, replaceable, write_report
from results.errors import UsageError

# Inside the functions: these commands start in a fraction of a second only because each imports what it uses.

RunFileArgument = Annotated[Path, typer.Argument(help="A run file (runs/….sqlite).", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable, schema 1.")]


class Format(StrEnum):
    """What `export` writes."""

    csv = "csv"
    parquet = "parquet"
    json = "json"


def show(file: RunFileArgument, as_json: JsonOption = False) -> None:
    """Show what a run found: speed-up with intervals, acceptance, validity."""
    from reports.table import show as show_table
    from results.judge import judge
    from results.store import RunFile

    with RunFile.open(file) as run:
        verdict = judge(run)
    present(verdict, as_json, show_table)


def import_(
    plain: Annotated[Path, typer.Argument(help="CSV of AI Edge Gallery's benchmark without MTP.", show_default=False)],
    mtp: Annotated[Path, typer.Argument(help="The same with MTP.", show_default=False)],
    draft_length: Annotated[int, typer.Option("-k", help="Tokens drafted a round: fixed in the model's bundle.")],
    device: Annotated[str, typer.Option("--device", help="The phone, in your words.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run file to write.")] = Path("phone.sqlite"),
) -> None:
    """Make a run file of a phone's benchmarks: AI Edge Gallery's CSV, without and with MTP as you state it.

    Imported figures stand in the same tables and reports, marked as imported; they are never ranked.
    """
    from harness.edge_gallery import import_csv

    print(import_csv(plain, mtp, output, draft_length=draft_length, device=device))


def report(
    files: Annotated[list[Path], typer.Argument(help="Run files.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-hour", help="What an hour of the machine costs, for money per token.", show_default=False
        ),
    ] = None,
) -> None:
    """Write one self-contained HTML report of one or several run files."""
    from results.choosing.wishes import positive

    positive("--price-per-hour", price_per_hour)
    write_report(files, output, price_per_hour)
    print(output)


def compare(
    a: Annotated[Path, typer.Argument(help="The run file to compare with.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The run file that is compared.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Set two run files side by side, cell by cell; ratios are B over A."""
    from reports.table import show_comparison
    from results.compare import compare as compare_runs
    from results.judge import judge
    from results.origin import origin
    from results.store import RunFile

    with RunFile.open(a) as run_a, RunFile.open(b) as run_b:
        comparison = compare_runs(judge(run_a), judge(run_b), (origin(run_a), origin(run_b)))
    present(comparison, as_json, show_comparison)


def export(
    file: RunFileArgument,
    fmt: Annotated[Format, typer.Option("--format", "-f", help="csv and parquet write one file per table.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to; default: beside the run file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write the raw tables of a run file as CSV, Parquet or JSON."""
    from results.export import TABLES
    from results.export import export as export_tables
    from results.judge import judge
    from results.store import RunFile

    target = replaceable(output or file.with_suffix(".json" if fmt is Format.json else f".{fmt.value}.d"))
    if fmt is not Format.json:
        for name in TABLES:
            replaceable(target / f"{name}.{fmt.value}")
    with RunFile.open(file) as run:
        verdict = judge(run) if fmt is Format.json else None
        for written in export_tables(run, fmt.value, target, overwrite=overwrite, verdict=verdict):
            print(written)


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of run files.")] = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """List the run files of a folder."""
    from reports.table import show_runs
    from results.listing import list_runs

    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: name the folder that holds the run files, e.g. `mtpbench runs runs`")
    found = list_runs(folder)
    present(found, as_json, show_runs)


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    for command in (show, report, compare, export, runs):
        app.command(rich_help_panel="Read")(command)
    app.command("import", rich_help_panel="Read")(import_)
