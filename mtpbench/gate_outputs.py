"""What `mtpbench gate` leaves behind: a table or JSON, JUnit XML, a step summary, annotations."""

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mtpbench.writing import present
from results.errors import UsageError

if TYPE_CHECKING:
    from results.gating.limits import GateVerdict

# Inside the functions: `mtpbench --help` must not pay for rich.


def write(verdict: "GateVerdict", junit: Path | None, summary: Path | None) -> None:
    """The files that were asked for."""
    from reports.gating.junit import junit as as_junit
    from reports.gating.markdown import markdown

    if junit is not None:
        _to(junit, as_junit(verdict), "w")
    step = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary is not None and str(summary) != step:
        _to(summary, markdown(verdict), "w")
    elif step:
        _to(Path(step), markdown(verdict), "a")


def _to(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


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
