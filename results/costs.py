"""The speed-up that costs measured alone predict, and the acceptance length from which drafting pays.

METHOD section 2, generalised: speedup(k, B) = AL_k (t(1,B) + o_1(B)) / (k d(B) + t(k+1,B) + o(B)). An engine that
measures these costs outside its rounds states them as `costs`; nothing of the rounds' own times goes in.

Rows of a closed loop wait while others are prefilled, which is time per output token too. How often is a count of the
run, which the engine states as `waits`; what a prompt that joins takes is one of its costs. With W the time waited per
token, and W_1 in plain decoding,

    speedup(k, B) = (t(1,B) + o_1(B) + W_1) / ((k d(B) + t(k+1,B) + o(B)) / AL_k + W).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from results.evidence import Evidence
from results.expected import Prediction
from results.metrics import steady
from results.records import INSTRUMENTED, Cell

TIMES = ("t_ms", "d_ms", "o_ms", "t_1_ms", "o_1_ms")
"""What an engine states, by the names of `Alone`; all of them, or nothing is predicted."""
WORK = ("bytes", "flops", "bandwidth", "peak", "floor_ms", "measured_over_floor")
"""What it states of a pass's least work; each may be missing."""
_PICOSECOND = 1e-9
_BEYOND = 1e24
"""No time in ms, work or rate that is more is believed, so that formulas stay finite."""


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
    join: tuple[float, float] | None = None
    """A prompt that joins while others wait, and each further one with it; None where that is not known."""
    bytes: float | None = None
    flops: float | None = None
    bandwidth: float | None = None
    """Per second, as `peak`."""
    peak: float | None = None
    floor_ms: float | None = None

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
    times = {key: time for key in TIMES if (time := _number(stated.get(key))) and time > _PICOSECOND}
    if len(times) < len(TIMES):
        return None
    work = {key: _number(stated.get(key)) or None for key in WORK}  # 0: no pass, and no machine, does nothing
    one, further = (_number(stated.get(key)) for key in ("join_ms", "join_further_ms"))
    join = None if one is None or further is None else (one, further)
    known: dict[str, Any] = {**times, **work}
    return Alone(rows, k, join=join, **known)


def of_cell(evidence: Evidence, cell: Cell) -> Alone | None:
    """What was stated in a cell, or in another that asked for the same steps: an engine measures them once.

    Steps are the same whatever the prompts, so that another group's costs are this cell's too, but for joins.
    """
    alike = [number for number, other in evidence.cells.items() if _steps(other) == _steps(cell)]
    cells = evidence.trials.cell[evidence.rows.trial]
    stated = [row for row, said in evidence.extras.said.items() if "costs" in said and cells[row] in alike]
    stated.sort(key=lambda row: evidence.cells[int(cells[row])].group != cell.group)
    length = cell.draft.length if cell.draft else 0
    for row in stated:
        found = read(evidence.extras.said[row]["costs"])
        if found and (found.rows, found.draft_length) == (cell.batch_size, length):
            own = evidence.cells[int(cells[row])].group == cell.group
            return found if own else replace(found, join=None)
    return None


@dataclass(frozen=True, slots=True)
class Waits:
    """For others to join, per token that a row's decode time counts."""

    times: float
    further: float
    """Prompts beyond the first of a time."""

    def ms(self, join: tuple[float, float]) -> float:
        """W: how long."""
        return self.times * join[0] + self.further * join[1]


def waits(evidence: Evidence, cell_id: int) -> Waits | None:
    """Of timed rows (`results.metrics.steady`) in the instrumented pass, up to their natural ends; None if unknown."""
    rows = evidence.rows_in(cell_id, INSTRUMENTED)
    _, trial = np.unique(evidence.rows.trial[rows], return_inverse=True)
    place, size = evidence.rows.row[rows], evidence.cells[cell_id].batch_size
    asked = np.bincount(trial)
    stated = {int(trial[at]): evidence.extras.said.get(int(rows[at])) for at in np.flatnonzero(place == 0)}
    prompts: list[int] = []
    tokens = 0
    for at in np.flatnonzero(steady(place, trial, np.where(asked > size, size, 0))):
        told = _waited(stated.get(int(trial[at])), int(place[at]))
        if told is None:
            return None
        prompts += [number for had, number in told if had < evidence.rows.natural[rows[at]]]
        tokens += int(evidence.rows.timings.decode_tokens[rows[at]])
    return Waits(len(prompts) / tokens, (sum(prompts) - len(prompts)) / tokens) if tokens else None


def _waited(stated: Mapping[str, object] | None, place: int) -> list[tuple[int, int]] | None:
    """(tokens that this row had, prompts that joined) whenever it waited; None where that is not understood."""
    rows = stated.get("waits") if stated else None
    told = rows[place] if isinstance(rows, list) and place < len(rows) else None
    if not isinstance(told, list):
        return None
    pairs = [(each[0], each[1]) for each in told if isinstance(each, list) and [*map(type, each)] == [int, int]]
    return pairs if len(pairs) == len(told) else None


def prediction(length: float, costs: Alone, waited: Waits | None = None, plain: Waits | None = None) -> Prediction:
    """By the generalised formula. length: the acceptance length of this draft length. plain: of plain decoding."""
    join = costs.join
    known = None if join is None or waited is None or plain is None else (waited.ms(join), plain.ms(join))
    wait, plain_wait = known or (0.0, 0.0)
    step, round_ = costs.t_1_ms + costs.o_1_ms, costs.draft_length * costs.d_ms + costs.t_ms + costs.o_ms
    return Prediction(
        speedup=(step + plain_wait) / (round_ / length + wait),
        break_even=costs.break_even,
        t_ms=costs.t_ms,
        d_ms=costs.d_ms,
        o_ms=costs.o_ms,
        wait_ms=known[0] if known else None,
        plain_wait_ms=known[1] if known else None,
        t_1_ms=costs.t_1_ms,
        o_1_ms=costs.o_1_ms,
        **{key: getattr(costs, key) for key in WORK},
    )


def _steps(cell: Cell) -> tuple[object, ...]:
    """What decides which steps a batch runs; the role and a seed do not."""
    s = cell.sampling
    drawn = (s.temperature, s.top_k, s.top_p) if s.temperature else ()
    return (cell.backend, cell.pair, cell.draft, cell.batch_size, cell.dtype, cell.device, *drawn)


def _number(value: object) -> float | None:
    """A number that is neither negative nor beyond belief; NaN is neither less nor more than anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _BEYOND:
        return None
    return float(value)
