"""How many further prompts or baseline runs would settle an undecided gate, if its estimate stayed where it is."""

from collections.abc import Callable
from dataclasses import dataclass

from results.gating.changes import Change
from results.intervals import Part, sure_half_width

MOST_UNITS = 100_000
"""More units than this nobody measures: the truth is then as good as at the limit."""
MOST_RUNS = 100


@dataclass(frozen=True, slots=True)
class Settling:
    """What would probably decide. None of both: no number would."""

    prompts: int | None
    """Further units that FILE and the baselines need."""
    runs: int | None
    """Further baseline runs."""


def settling(change: Change, limit: float, level: float) -> Settling:
    """The fewest further units alone; else the fewest runs alone; else both; else nothing.

    limit: on the scale of `change.effect`; level: as spent on either side. Solves reach < |effect - limit|, where the
    variance of units falls as 1 / units, that of runs as (1 + 1 / runs), and degrees of freedom grow with both.
    """
    distance = abs(change.effect - limit)
    if not change.prompts:
        return Settling(max(1, 2 - change.units), None)

    def settles(units: int, runs: int) -> bool:
        return _reach(change, change.units + units, runs, level) < distance

    at = 0 if change.runs is None else round(change.runs.df) + 1
    if units := _fewest(lambda more: settles(more, at), MOST_UNITS):
        return Settling(units, None)
    if change.runs is None:
        return Settling(None, None)
    if runs := _fewest(lambda more: settles(0, at + more), MOST_RUNS):
        return Settling(None, runs)
    if runs := _fewest(lambda more: settles(MOST_UNITS, at + more), MOST_RUNS):
        return Settling(_fewest(lambda more: settles(more, at + runs), MOST_UNITS), runs)
    return Settling(None, None)


def _fewest(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest number from 1 to `most` that is enough, where all larger ones are too; None where none is."""
    if not enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _reach(change: Change, units: int, runs: int, level: float) -> float:
    """Half-width of the interval with so many units and baseline runs."""
    more = units - change.units
    parts = [Part(p.variance * change.units / units, p.df + more) for p in change.prompts]
    if change.runs is None:
        parts += change.launches
    else:
        had = change.runs.df + 1
        parts.append(Part(change.runs.variance * (1 + 1 / runs) / (1 + 1 / had), runs - 1))
    return sure_half_width(parts, 1 - 2 * level)
