"""A run that is measured further for the next declared look of a gate."""

from pathlib import Path

from harness.experiment import Measured, resume
from harness.observe import Observer
from results.records import HEADLINE
from results.store import RunFile

_UNREACHABLE = 1e-9
"""A precision that no run reaches: what ends an extension is the number of visits (and a time budget)."""


def extend(path: Path, look: int, observer: Observer | None = None, *, trust_remote_code: bool = False) -> Measured:
    """Measure as many visits to every unit again as each look so far has had on average.

    look: how many looks the run has had, at equal shares of its visits as far as that goes. Raises UsageError on
    another machine than the run was measured on, and RunFileError.
    """
    with RunFile.open(path) as file:
        sweep = file.manifest.get("sweep")
        known = sweep if isinstance(sweep, dict) else {}
        ((last,),) = file.query("SELECT MAX(repeat) FROM trial WHERE phase = ?", (HEADLINE,))
    launches = known.get("launches")
    per_launch = -(-(1 + (last or 0)) // (launches if isinstance(launches, int) and launches > 0 else 1))
    overrides = {
        "repeats": per_launch + -(-per_launch // look),
        "precision": None if known.get("precision") is None else _UNREACHABLE,
        "trust_remote_code": trust_remote_code or None,
    }
    return resume(path, overrides, observer)
