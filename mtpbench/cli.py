"""`mtpbench`, the command line: the app, its one error boundary, and the exit codes.

Commands live in `mtpbench.commands`, one module per group. They import what they need inside, so that
`mtpbench --help` answers at once without torch, pandas or matplotlib.
"""

import os
import sys
import traceback
from typing import Annotated

import typer

from mtpbench.commands import catalogue, claims, environments, gate, history, measure, profile, read, recommend
from mtpbench.exits import INTERNAL, INTERRUPTED, OK, UNREAD, USAGE
from mtpbench.version import __version__
from results.errors import UsageError

app = typer.Typer(
    name="mtpbench",
    help="What a multi-token-prediction drafter really brings: speed-up, acceptance, validity, from stored evidence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"mtpbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks instead of one-line errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["MTPBENCH_DEBUG"] = "1"


measure.register(app)
profile.register(app)
read.register(app)
recommend.register(app)
gate.register(app)
history.register(app)
claims.register(app)
catalogue.register(app)
environments.register(app)


def _one_line(message: str) -> None:
    print(f"mtpbench: {' '.join(message.split())}", file=sys.stderr)


def _misused(error: typer.TyperException) -> int:
    """A command line that Typer does not understand. Where nothing was asked, Typer has already shown the help."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "mtpbench"
    if message := error.format_message().strip():
        _one_line(f"{message.rstrip('.')}; see `{command} --help`")
    return USAGE


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and give its exit code; every error is one line unless --debug asks for more."""
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else OK
    except typer.TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        _one_line("interrupted")
        return INTERRUPTED
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return UNREAD  # the reader (`| head`) had enough; Typer has already silenced the stream
    except UsageError as error:
        if os.environ.get("MTPBENCH_DEBUG"):
            traceback.print_exc()
        _one_line(str(error))
        return USAGE
    except Exception as error:  # noqa: BLE001  the outermost boundary: a bug of ours still gets one clear line
        if os.environ.get("MTPBENCH_DEBUG"):
            traceback.print_exc()
        _one_line(
            f"internal error: {type(error).__name__}: {error} (`mtpbench --debug …` shows where; please report it)"
        )
        return INTERNAL


def main() -> None:
    """Console script."""
    sys.exit(run())
