"""Which cells may be ranked, and so recommended: one rule for the table, the report and `mtpbench recommend`."""

from results.verdicts import CellVerdict

SYNTHETIC = "forced acceptance, random weights or random prompts"
"""What makes a cell synthetic."""


def why_unranked(cell: CellVerdict) -> str:
    """Why a cell is never ranked, in one line; empty where it may be.

    Ranked are cells that are ok (measured, valid, verified, our own), whose drafts and weights are real, and whose
    output was not found to differ from the target's own.
    """
    if cell.status != "ok":
        return f"{cell.status}: {cell.reason}" if cell.reason else cell.status
    if cell.synthetic:
        return f"synthetic: {SYNTHETIC}"
    if cell.not_lossless:
        found = cell.equivalence or cell.sampling
        return f"{cell.output}: its output is not the target's own" + (f" ({found.reason})" if found else "")
    return "" if cell.speedup else "no prompt gave a speed-up"
