"""Commands that tell what there is: backends, pairs, workloads, doctor."""

from typing import Annotated

import typer

from mtpbench.writing import present

# Inside the functions: each command imports only what it uses, so that `--help` answers at once.

JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def backends(as_json: JsonOption = False) -> None:
    """List the runtimes that have an adapter, and what each can do and reveals."""
    from backends.discover import load, names
    from reports.listings import show_backends
    from results.verdicts import as_json as to_json

    adapters = [load(name) for name in names()]
    rows = [{"name": a.name, "title": a.title, **to_json(a.capabilities)} for a in adapters]
    present(rows, as_json, show_backends)


def pairs(as_json: JsonOption = False) -> None:
    """List the named pairs of target and drafter."""
    from reports.listings import show_pairs
    from results.verdicts import as_json as to_json
    from workloads.pairs import PAIRS

    present(to_json([*PAIRS.values()]), as_json, show_pairs)


def workloads(as_json: JsonOption = False) -> None:
    """List the prompt sets and the data sets that can be loaded by name, with their licences."""
    from reports.listings import show_workloads
    from results.verdicts import as_json as to_json
    from workloads.prompts import catalogue

    present(to_json(catalogue()), as_json, show_workloads)


def doctor(as_json: JsonOption = False) -> None:
    """Say what can be measured on this machine, and for each runtime that cannot, why and what to do."""
    from harness.doctor import examine
    from reports.listings import show_doctor
    from results.verdicts import as_json as to_json

    present(to_json(examine()), as_json, show_doctor)


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    for command in (backends, pairs, workloads, doctor):
        app.command(rich_help_panel="What there is")(command)
