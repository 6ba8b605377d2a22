"""`mtpbench claims`: published statements beside what a run measured."""

from pathlib import Path
from typing import Annotated

import typer

from mtpbench.commands.read import JsonOption, RunFileArgument
from mtpbench.writing import present

# Inside the function: `mtpbench --help` answers at once.


def claims(
    file: RunFileArgument,
    claim: Annotated[
        Path | None,
        typer.Option(
            "--claim", help="Your own statements (JSON) instead of those that are shipped.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Set published statements about MTP beside what a run measured: reproduced, not reproduced, or not comparable.

    Only the same model, runtime, hardware, batch and draft length are compared; what a source leaves open is named.
    """
    import workloads
    from reports.claims import show_claims
    from results.judge import judge
    from results.statements.claims import check
    from results.statements.published import read_claims
    from results.store import RunFile

    published = read_claims(claim or Path(workloads.__path__[0]) / "claims.json")
    with RunFile.open(file) as run:
        found = check(judge(run), published)
    present(found, as_json, show_claims)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(rich_help_panel="Read")(claims)
