"""`mtpbench history`: a folder of run files, run after run."""

from pathlib import Path
from typing import Annotated

import typer

from mtpbench.commands.read import JsonOption
from mtpbench.writing import present, writable, write_file
from results.errors import UsageError

# Inside the function: `mtpbench --help` answers at once.


def history(
    folder: Annotated[Path, typer.Argument(help="Folder of run files.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also draw it into this HTML file.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how each cell's figures went from run to run, where their level changed, and what else changed there.

    Runs that follow each other are compared in versions, drivers, model files, hardware, settings and prompts.
    """
    from reports.history import show_history
    from results.trends.history import history as history_of
    from results.trends.history import read

    if not folder.is_dir():
        raise UsageError(f"no folder {folder}: name the folder that holds the run files, e.g. `mtpbench history runs`")
    if output is not None:
        writable(output)
    found = history_of(str(folder), *read(folder))
    if output is not None:
        from reports.history_page import render

        write_file(render(found), output)
    present(found, as_json, show_history)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(rich_help_panel="Read")(history)
