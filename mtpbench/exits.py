"""Exit codes, strongest first where several apply (docs/cli.md)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.verdicts import CellVerdict, RunVerdict

OK = 0
CHECK_FAILED = 1
USAGE = 2
UNDECIDED = 3
CELLS_FAILED = 4
INTERNAL = 70
"""A bug of ours (EX_SOFTWARE)."""
INTERRUPTED = 130
UNREAD = 141
"""Nobody read the output to its end, as SIGPIPE ends other programs: never to be taken for a pass."""


def of_cells(cells: "Iterable[CellVerdict]") -> int:
    """1 when a cell's output is not the target's own, 4 when a measured cell failed or is invalid, else 0.

    Cells put aside beforehand do not count.
    """
    cells = list(cells)
    if any(cell.not_lossless for cell in cells):
        return CHECK_FAILED
    return CELLS_FAILED if any(cell.status in ("failed", "invalid") for cell in cells) else OK


def of_certificate(verdict: "RunVerdict") -> int:
    """The same, and 3 when nothing is wrong but something could not be told."""
    found = verdict.certificate
    undecided = "untested" in (found.equivalence, found.sampling) or (found.equivalence, found.sampling) == (None, None)
    if found.equivalence == "text-only":
        undecided = any(cell.equivalence and cell.equivalence.unclassified for cell in verdict.cells)
    return of_cells(verdict.cells) or (UNDECIDED if undecided else OK)
