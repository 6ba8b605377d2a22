"""What commands leave behind: a table or JSON on standard output, or a file, and what no file may replace."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

_SQLITE = b"SQLite format 3\x00"
"""How every run file begins, whatever its name."""


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
    Raises UsageError where a run file cannot be read, two of them hold the same run, or the output cannot be written.
    """
    # Here rather than at the top: matplotlib and scipy cost a second that other commands do not need.
    from reports.html import render
    from results.judge import judge
    from results.origin import refuse_twins
    from results.store import RunFile

    writable(output)
    with ExitStack() as stack:
        runs = [stack.enter_context(RunFile.open(file)) for file in files]
        verdicts = [judge(run) for run in runs]
        refuse_twins([verdict.run for verdict in verdicts], "name one of them")
        html = render(list(zip(runs, verdicts, strict=True)), price_per_hour)
    write_file(html, output)


def write_file(text: str, output: Path) -> None:
    """Write a file at once or not at all, through links. Raises UsageError where that cannot be done."""
    place = writable(output)
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    with writing(output):
        try:
            part.write_text(text, "utf-8")
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)


def writable(output: Path) -> Path:
    """`replaceable`, in a folder that is there. Raises UsageError, also where `output` is a folder itself."""
    place = replaceable(output)
    if place.is_dir():
        raise UsageError(f"cannot write {output}: that is a folder; name a file in it")
    if not place.parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {place.parent}")
    return place


def replaceable(output: Path) -> Path:
    """What writing `output` makes or replaces: itself, or what it links to.

    Raises UsageError for a run file, known by its content or its name, and for devices and the like; folders are left
    to the caller.
    """
    with writing(output):
        kind = stat.S_IFMT(output.stat().st_mode) if output.exists() else None
        place = Path(os.path.realpath(output)) if output.is_symlink() else output
        if kind == stat.S_IFREG:
            with place.open("rb") as file:
                if file.read(len(_SQLITE)) == _SQLITE:
                    raise UsageError(f"cannot write {output}: that is a run file, which nothing replaces; name another")
    if kind not in (None, stat.S_IFREG, stat.S_IFDIR):
        raise UsageError(f"cannot write {output}: that is no regular file; name another")
    if kind != stat.S_IFDIR and any(path.suffix.lower().startswith(".sqlite") for path in (output, place)):
        raise UsageError(f"cannot write {output}: that is the name of a run file; name another")
    return place


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turn what the system says about `output` into UsageError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror or error}") from error
