"""What `mtpbench gate` leaves behind: a table or JSON, JUnit XML, a step summary, annotations."""

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtpbench.writing import present, writable, write_file, writing
from results.errors import UsageError

if TYPE_CHECKING:
    from results.gating.limits import GateVerdict

# Inside the functions: `mtpbench --help` must not pay for rich.


@dataclass(frozen=True, slots=True)
class Places:
    """Where files go."""

    junit: Path | None
    summary: Path | None
    appends: bool
    """The summary is a step's, which only grows."""


def places(junit: Path | None, summary: Path | None) -> Places:
    """Where the files go that were asked for. Raises UsageError for a place that cannot be written."""
    junit, summary = (path and writable(path) for path in (junit, summary))
    step = os.environ.get("GITHUB_STEP_SUMMARY", "")
    appends = step != "" and (summary is None or _same(summary, Path(step)))
    if appends:
        summary = writable(Path(step))
    if junit is not None and summary is not None and _same(junit, summary):
        raise UsageError(f"cannot write {junit}: JUnit XML and the summary cannot be one file; name two")
    return Places(junit, summary, appends)


def _same(a: Path, b: Path) -> bool:
    return os.path.realpath(a) == os.path.realpath(b)


def write(verdict: "GateVerdict", to: Places) -> None:
    """The files that were asked for."""
    from reports.gating.junit import junit as as_junit
    from reports.gating.markdown import markdown

    if to.junit is not None:
        write_file(as_junit(verdict), to.junit)
    if to.summary is not None and to.appends:
        with writing(to.summary), to.summary.open("a", encoding="utf-8") as file:
            file.write(markdown(verdict))
    elif to.summary is not None:
        write_file(markdown(verdict), to.summary)


def show(verdict: "GateVerdict", as_json: bool, annotated: bool) -> None:
    """Table or JSON, then the annotations: nothing that a run file says may pass for a workflow command."""
    from reports.gating.annotations import annotations as lines
    from reports.gating.annotations import paused
    from reports.gating.table import show as show_table

    before, after = paused(secrets.token_hex(16))
    if annotated and not as_json:
        print(before, flush=True)
    present(verdict, as_json, show_table)
    if annotated:
        told = lines(verdict) if as_json else [after, *lines(verdict)]
        print("\n".join(told), file=sys.stderr if as_json else sys.stdout)
