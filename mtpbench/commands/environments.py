"""Commands that make the environments of runtimes: `env create` and `env list`."""

from collections.abc import Callable
from typing import Annotated

import typer

from mtpbench.writing import present

# Inside the functions: each command imports only what it uses, so that `--help` answers at once.

JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]

app = typer.Typer(no_args_is_help=True, help="Make and list the virtual environments that runtimes run in.")


@app.command()
def create(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Backends, such as vllm; or all.")],
    anew: Annotated[bool, typer.Option("--anew", help="Remove what is there and make it again.")] = False,
) -> None:
    """Make the pinned environment of a runtime, in your cache folder.

    A Python of your own is used instead where the settings file names it: in mtpbench/settings.toml of your
    configuration folder, [interpreters] with a line such as vllm = "/path/to/python".
    """
    from harness import envs
    from results.errors import UsageError

    wanted = [env.name for env in envs.envs()] if names == ["all"] else names
    failed = []
    for name in wanted:
        try:
            print(envs.create(name, anew=anew, say=_saying(name)).python)
        except UsageError as error:
            if len(wanted) == 1:
                raise
            failed.append(name)
            typer.echo(f"mtpbench: {error}", err=True)
    if failed:
        raise UsageError(f"{', '.join(failed)}: could not be made; the others of {len(wanted)} are ready")


def _saying(name: str) -> Callable[[str], None]:
    return lambda text: typer.echo(f"{name}: {text}", err=True)


@app.command(name="list")
def list_(as_json: JsonOption = False) -> None:
    """List the environments: made or not, where, how large, and what they hold."""
    from harness import envs
    from harness.interpreters import interpreter_of
    from reports.listings import show_environments
    from results.verdicts import as_json as to_json

    rows = [
        {**to_json(env), "path": str(env.path), "interpreter": interpreter_of(env.name), "python": str(env.python)}
        for env in envs.envs()
    ]
    present(rows, as_json, show_environments)


def register(parent: typer.Typer) -> None:
    """Add the group to the app."""
    parent.add_typer(app, name="env", rich_help_panel="What there is")
