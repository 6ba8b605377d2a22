"""In place of `mtpbench` in a shell script: accepts what the command line accepts, and leaves the files it would.

Nothing is measured or read. Run as `python dry_run.py LOG ARGUMENT…`; each accepted line is appended to LOG. The exit
code is 2 where the command line would refuse, else what $DRY_RUN_<COMMAND> says.
"""

import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import typer

from mtpbench.cli import app

WRITTEN = ("--out", "--output", "-o", "--junit")
"""Options that name a file to write."""


def parse(arguments: list[str]) -> str:
    """The full name of the command that `arguments` ask for. Raises what Typer raises for those it refuses."""
    command, name, parent = typer.main.get_command(app), "mtpbench", None
    names = []
    while True:
        context = command.make_context(name, list(arguments), parent=parent)
        if not hasattr(command, "resolve_command"):
            return " ".join(names)
        found, inner, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None and inner is not None
        names.append(found)
        command, name, parent = inner, found, context


def main(log: str, *arguments: str) -> int:
    """One command line."""
    try:
        name = parse([*arguments])
    except typer.TyperException as error:
        print(f"mtpbench {shlex.join(arguments)}: {error.format_message()}", file=sys.stderr)
        return 2
    with Path(log).open("a") as file:
        file.write(shlex.join(arguments) + "\n")
    for option, value in pairwise(arguments):
        if option in WRITTEN and not value.startswith("-"):
            Path(value).write_text("written\n")
    return int(os.environ.get(f"DRY_RUN_{name.upper()}", "0"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
