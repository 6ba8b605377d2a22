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


@dataclass(frozen=True, slots=True)
class Alone:
    """Costs of one draft length and batch, milliseconds."""

    rows: int
    draft_length: int
    t_ms: float
    """A target pass of draft_length + 1 tokens a row."""
    d_ms: float
    """A draft step; 0 at draft length 0."""
    o_ms: float
    """What the host adds to a round or plain step."""
    measured_over_floor: float | None

    @property
    def round_ms(self) -> float:
        return self.draft_length * self.d_ms + self.t_ms + self.o_ms


def read(stated: object) -> Alone | None:
    """What an engine stated; None where that is not understood."""
    if not isinstance(stated, Mapping):
        return None
    rows, k = stated.get("rows"), stated.get("draft_length")
    t, o, over = (_number(stated.get(key)) for key in ("t_ms", "o_ms", "measured_over_floor"))
    d = 0.0 if k == 0 else _number(stated.get("d_ms"))
    if (
        type(rows) is not int
        or type(k) is not int
        or k < 0
        or rows < 1
        or t is None
        or d is None
        or o is None
        or t <= 0
    ):
        return None
    return Alone(rows, k, t, d, o, over)


def of_cell(evidence: Evidence, cell: Cell) -> Alone | None:
    """What was stated in a cell, or in another that asked for the same steps: an engine measures them once.

    Steps are the same whatever the prompts, so that another group's, or the A/A control's, are this cell's too.
    """
    alike = [number for number, other in evidence.cells.items() if _steps(other) == _steps(cell)]
    cells = evidence.trials.cell[evidence.rows.trial]
    stated = [row for row, said in evidence.extras.said.items() if "costs" in said and cells[row] in alike]
    own = sorted(stated, key=lambda row: evidence.cells[int(cells[row])].group != cell.group)
    known = (read(evidence.extras.said[row]["costs"]) for row in own)
    length = cell.draft.length if cell.draft else 0
    return next((c for c in known if c and (c.rows, c.draft_length) == (cell.batch_size, length)), None)


def _steps(cell: Cell) -> tuple[object, ...]:
    """What decides which steps a batch runs; the role and a seed do not."""
    s = cell.sampling
    drawn = (s.temperature, s.top_k, s.top_p) if s.temperature else ()
    return (cell.backend, cell.pair, cell.draft, cell.batch_size, cell.dtype, cell.device, *drawn)


def break_even(plain: Alone, drafted: Alone) -> float:
    """The acceptance length at which a round gives tokens as fast as plain steps do."""
    return drafted.round_ms / plain.round_ms


def prediction(length: float, plain: Alone, drafted: Alone) -> Prediction:
    """By the generalised formula. length: the acceptance length of this draft length."""
    least = break_even(plain, drafted)
    return Prediction(
        speedup=length / least,
        break_even=least,
        t_ms=drafted.t_ms,
        d_ms=drafted.d_ms,
        o_ms=drafted.o_ms,
        measured_over_floor=drafted.measured_over_floor,
    )


def _number(value: object) -> float | None:
    """A finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
