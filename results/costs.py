"""The speed-up that costs measured alone predict, and the acceptance length from which drafting pays.

METHOD section 2, generalised: speedup(k, B) = AL_k (t(1,B) + o_1(B)) / (k d(B) + t(k+1,B) + o(B)). An engine that
measures these costs outside its rounds states them as `costs`; nothing of the rounds' own times goes in.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from results.evidence import Evidence
from results.records import Cell
from results.verdicts import Prediction

TIMES = ("t_ms", "d_ms", "o_ms", "t_1_ms", "o_1_ms")
"""What an engine states, by the names of `Alone`."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Costs of one draft length and batch, milliseconds."""

    rows: int
    draft_length: int
    t_ms: float
    """t(k+1,B)."""
    d_ms: float
    o_ms: float
    t_1_ms: float
    """t(1,B), and below o_1(B): measured in turn with the others."""
    o_1_ms: float
    measured_over_floor: float | None

    @property
    def break_even(self) -> float:
        """The acceptance length at which a round gives tokens as fast as plain steps do."""
        return (self.draft_length * self.d_ms + self.t_ms + self.o_ms) / (self.t_1_ms + self.o_1_ms)


def read(stated: object) -> Alone | None:
    """What an engine stated of drafted steps; None where that is not understood."""
    if not isinstance(stated, Mapping):
        return None
    rows, k = stated.get("rows"), stated.get("draft_length")
    if type(rows) is not int or type(k) is not int or k < 1 or rows < 1:
        return None
    times = {key: time for key in TIMES if (time := _number(stated.get(key)))}
    if len(times) < len(TIMES):
        return None
    return Alone(rows, k, measured_over_floor=_number(stated.get("measured_over_floor")), **times)


def of_cell(evidence: Evidence, cell: Cell) -> Alone | None:
    """What was stated in a cell, or in another that asked for the same steps: an engine measures them once.

    Steps are the same whatever the prompts, so that another group's costs are this cell's too.
    """
    alike = [number for number, other in evidence.cells.items() if _steps(other) == _steps(cell)]
    cells = evidence.trials.cell[evidence.rows.trial]
    stated = [row for row, said in evidence.extras.said.items() if "costs" in said and cells[row] in alike]
    stated.sort(key=lambda row: evidence.cells[int(cells[row])].group != cell.group)
    known = (read(evidence.extras.said[row]["costs"]) for row in stated)
    length = cell.draft.length if cell.draft else 0
    return next((c for c in known if c and (c.rows, c.draft_length) == (cell.batch_size, length)), None)


def prediction(length: float, costs: Alone) -> Prediction:
    """By the generalised formula. length: the acceptance length of this draft length."""
    return Prediction(
        speedup=length / costs.break_even,
        break_even=costs.break_even,
        t_ms=costs.t_ms,
        d_ms=costs.d_ms,
        o_ms=costs.o_ms,
        measured_over_floor=costs.measured_over_floor,
    )


def _steps(cell: Cell) -> tuple[object, ...]:
    """What decides which steps a batch runs; the role and a seed do not."""
    s = cell.sampling
    drawn = (s.temperature, s.top_k, s.top_p) if s.temperature else ()
    return (cell.backend, cell.pair, cell.draft, cell.batch_size, cell.dtype, cell.device, *drawn)


def _number(value: object) -> float | None:
    """A finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
