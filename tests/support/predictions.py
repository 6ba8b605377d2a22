"""Verdicts whose cells were predicted from costs measured alone, at several batch sizes."""

from dataclasses import replace
from typing import Any

from support.verdicts import acceptance, cell, verdict

from results.expected import Prediction
from results.verdicts import CellVerdict, RunVerdict

TOLD = Prediction(
    speedup=1.52, break_even=1.9, t_ms=10.0, d_ms=1.0, o_ms=0.5, measured_over_floor=1.25, t_1_ms=9.0, o_1_ms=0.4,
    bytes=2e9, flops=5e9, bandwidth=2.5e11, peak=1e12, floor_ms=8.0,
)  # fmt: skip
"""Eight milliseconds for its bytes, five for its operations."""


def predicted(k: int, batch_size: int, gain: float, **changes: Any) -> CellVerdict:
    """A cell of a group for each batch size that is predicted to gain so much; `changes` replace any field."""
    told = replace(TOLD, speedup=gain, break_even=acceptance(k).length / gain)
    return cell(k, group=batch_size, batch_size=batch_size, **{"prediction": told, **changes})


def economy(**facts: Any) -> RunVerdict:
    """Batch 1 pays everywhere, batch 4 no longer at k = 6, batch 16 only at k = 1, and k = 2 was not measured there."""
    gains = {1: {1: 1.4, 2: 1.7, 6: 2.0}, 4: {1: 1.3, 2: 1.2, 6: 0.9}, 16: {1: 1.05, 6: 0.5}}
    cells = [predicted(k, batch, gain) for batch, row in gains.items() for k, gain in row.items()]
    return verdict(cells, **facts)
