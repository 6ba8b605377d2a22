"""Exit codes, strongest first where several apply (docs/cli.md)."""

from collections.abc import Iterable

from results.verdicts import CellVerdict

OK = 0
USAGE = 2
CELLS_FAILED = 4
INTERNAL = 70
"""A bug of ours (EX_SOFTWARE)."""
INTERRUPTED = 130


def of_cells(cells: Iterable[CellVerdict]) -> int:
    """4 when a measured cell failed or is invalid, else 0; cells put aside beforehand do not count."""
    return CELLS_FAILED if any(cell.status in ("failed", "invalid") for cell in cells) else OK
