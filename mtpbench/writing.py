"""What commands leave behind: a table or JSON on standard output, or a report file."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


def present(found: Any, as_json: bool, show: "Callable[[Any, Console], None]") -> None:
    """Print `found` as JSON, or let `show` draw it."""
    # Here rather than at the top: `mtpbench --help` must not pay for rich's console.
    from reports.terminal import console
    from results.verdicts import as_json as to_json

    if as_json:
        print(json.dumps(to_json(found), indent=2))
    else:
        show(found, console())


def write_report(files: list[Path], output: Path, price_per_hour: float | None = None) -> None:
    """Render `files` into the HTML file `output`; all are read and judged first, so that a bad one spoils nothing.

    price_per_hour: of the machine, in whatever currency.
    Raises UsageError where a run file cannot be read or the output cannot be written.
    """
    # Here rather than at the top: matplotlib and scipy cost a second that other commands do not need.
    from reports.html import render
    from results.judge import judge
    from results.store import RunFile

    _writable(output)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFile.open(file)) for file in files]
        if output.exists() and any(output.samefile(file) for file in files):
            raise UsageError(f"cannot write {output}: that is the run file itself; name another with -o")
        html = render([(run, judge(run)) for run in runs], price_per_hour)
    write_page(html, output)


def write_page(html: str, output: Path) -> None:
    """Write a page at once or not at all. Raises UsageError where that cannot be done."""
    _writable(output)
    part = output.with_name(output.name + ".part")
    try:
        part.write_text(html, "utf-8")
        part.replace(output)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _writable(output: Path) -> None:
    if not output.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {output.parent}")
    if output.is_dir():
        raise UsageError(f"cannot write {output}: that is a folder; name a file in it, e.g. {output / 'report.html'}")
