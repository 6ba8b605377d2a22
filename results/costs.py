"""The speed-up that costs measured alone predict, and the acceptance length from which drafting pays.

METHOD section 2, generalised: speedup(k, B) = AL_k (t(1,B) + o_1(B)) / (k d(B) + t(k+1,B) + o(B)). An engine that
measures these costs outside its rounds states them as `costs`; nothing of the rounds' own times goes in.

Rows that take turns wait while another prompt is prefilled, which is time per output token too. With w prefills waited
for per token (w_1 in plain decoding), which the engine states as `waits`, and J what one takes,

    speedup(k, B) = (t(1,B) + o_1(B) + w_1 J) / ((k d(B) + t(k+1,B) + o(B)) / AL_k + w J).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from results.evidence import Evidence
from results.metrics import steady
from results.records import INSTRUMENTED, Cell
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
    join_ms: float | None = None
    """J: the prefill of prompts that join while others wait."""

    @property
    def break_even(self) -> float:
        """The acceptance length at which a round gives tokens as fast as plain steps do; nobody waits."""
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
    floor, join = (_number(stated.get(key)) for key in ("measured_over_floor", "join_ms"))
    return Alone(rows, k, measured_over_floor=floor, join_ms=join, **times)


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


@dataclass(frozen=True, slots=True)
class Waits:
    """Prefills of other prompts that a row waited for, per token that its decode time counts."""

    drafted: float
    plain: float


def waits(evidence: Evidence, drafted: int, plain: int) -> Waits | None:
    """Of two cells, in their instrumented passes; None where the engine does not state them of both."""
    found = [_waits_per_token(evidence, cell_id) for cell_id in (drafted, plain)]
    return None if found[0] is None or found[1] is None else Waits(found[0], found[1])


def prediction(length: float, costs: Alone, waited: Waits | None = None) -> Prediction:
    """By the generalised formula. length: the acceptance length of this draft length."""
    plain, drafted = costs.t_1_ms + costs.o_1_ms, costs.draft_length * costs.d_ms + costs.t_ms + costs.o_ms
    join, waited = (None, None) if costs.join_ms is None or waited is None else (costs.join_ms, waited)
    speedup = length / costs.break_even
    if join is not None and waited is not None:
        speedup = (plain + waited.plain * join) / (drafted / length + waited.drafted * join)
    return Prediction(
        speedup=speedup,
        break_even=costs.break_even,
        t_ms=costs.t_ms,
        d_ms=costs.d_ms,
        o_ms=costs.o_ms,
        measured_over_floor=costs.measured_over_floor,
        join_ms=join,
        waits_per_token=waited.drafted if waited else None,
        plain_waits_per_token=waited.plain if waited else None,
    )


def _waits_per_token(evidence: Evidence, cell_id: int) -> float | None:
    """Over timed rows (`results.metrics.steady`) up to their natural ends."""
    rows = evidence.rows_in(cell_id, INSTRUMENTED)
    _, trial = np.unique(evidence.rows.trial[rows], return_inverse=True)
    place, size = evidence.rows.row[rows], evidence.cells[cell_id].batch_size
    asked = np.bincount(trial)
    stated = {int(trial[at]): evidence.extras.said.get(int(rows[at])) for at in np.flatnonzero(place == 0)}
    number = tokens = 0
    for at in np.flatnonzero(steady(place, trial, np.where(asked > size, size, 0))):
        had = _tokens_had(stated.get(int(trial[at])), int(place[at]))
        if had is None:
            return None
        number += sum(count < evidence.rows.natural[rows[at]] for count in had)
        tokens += int(evidence.rows.timings.decode_tokens[rows[at]])
    return number / tokens if tokens else None


def _tokens_had(stated: Mapping[str, object] | None, place: int) -> list[int] | None:
    """Whenever this row waited; None where that is not stated or not understood."""
    rows = stated.get("waits") if stated else None
    had = rows[place] if isinstance(rows, list) and place < len(rows) else None
    return had if isinstance(had, list) and all(type(count) is int for count in had) else None


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
