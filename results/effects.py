"""Paired effects (METHOD section 3): log(plain / arm) of the same unit, repeat and half of a mirrored block."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.metrics import Floats, Ints, Timing

COVERS = 0.8
"""A launch, or a pass, counts as one if it saw this share of the units."""


class Visit(NamedTuple):
    """One headline trial that gave a timing."""

    unit: int
    repeat: int
    half: int
    launch: int
    timing: Timing
    trial: int | None = None
    """Its id in the run file; None where nobody asked."""


Pairs = list[tuple[Visit, Visit]]
Takes = Callable[[Visit], float | None]
"""What a visit took, of whatever is compared (less is better); None where it is not known."""


def tpot(visit: Visit) -> float | None:
    """Time per output token in nanoseconds."""
    return visit.timing.tpot_ns


def pair(plain: Iterable[Visit], arm: Iterable[Visit]) -> Pairs:
    """(plain, arm) visits of the same unit, repeat and half.

    Where a launch served both arms, both visits must be of the same launch (a run that was resumed in the middle of a
    block leaves visits that are not). Where each arm has launches of its own, any two will do.
    """
    plain, arm = list(plain), list(arm)
    shared = bool({v.launch for v in plain} & {v.launch for v in arm})

    def place(visit: Visit) -> tuple[int, int, int, int | None]:
        return visit.unit, visit.repeat, visit.half, visit.launch if shared else None

    baseline = {place(v): v for v in plain}
    return [(baseline[place(v)], v) for v in arm if place(v) in baseline]


@dataclass(frozen=True, eq=False)
class Effects:
    """Log ratios plain / arm of every visit, arranged as the design is; NaN where a visit is missing."""

    units: Ints
    """(units,), ascending: those with at least one ratio."""
    halves: NDArray[np.float64]
    """(units, blocks, 2). A block of this array is one (launch, repeat): one pass over the units."""
    launch: Ints
    """(blocks,): which launch each belongs to, numbered from 0."""
    plain: Floats
    """As `halves`: log of what the plain arm's visit took. Only how its two halves differ is ever asked."""

    @cached_property
    def blocks(self) -> Floats:
        """(units, blocks): means over halves."""
        return mean_of(self.halves, axis=2)

    @cached_property
    def launches(self) -> Floats:
        """(units, launches): means over blocks."""
        parts = [mean_of(self.blocks[:, self.launch == i], axis=1) for i in range(self.launch.max() + 1)]
        return np.stack(parts, axis=1)

    @cached_property
    def crossed_launches(self) -> Floats:
        """(units seen by all of them, launches that cover the units)."""
        return crossed(self.launches)

    @property
    def over_launches(self) -> bool:
        """At least two launches cover the units, so that what a launch adds can be told from what a prompt adds."""
        return int(self.crossed_launches.shape[1]) >= 2

    @cached_property
    def per_unit(self) -> Floats:
        """(units,): the effect of each."""
        return mean_of(self.launches if self.over_launches else self.blocks, axis=1)


def effects(pairs: Pairs, takes: Takes = tpot) -> Effects | None:
    """Arrange the log ratios of what visits took; None if no pair has a ratio."""
    ratios = [
        (p.unit, (p.launch, v.launch, v.repeat), v.half, math.log(a / b), math.log(a))
        for p, v in pairs
        if (a := takes(p)) and (b := takes(v))
    ]
    if not ratios:
        return None
    units = {unit: i for i, unit in enumerate(sorted({unit for unit, *_ in ratios}))}
    blocks = {block: i for i, block in enumerate(sorted({block for _, block, *_ in ratios}))}
    launches = {launch: i for i, launch in enumerate(sorted({block[:2] for block in blocks}))}
    halves = np.full((len(units), len(blocks), 2), np.nan)
    plain = halves.copy()
    for unit, block, half, ratio, log_plain in ratios:
        halves[units[unit], blocks[block], half] = ratio
        plain[units[unit], blocks[block], half] = log_plain
    launch = np.array([launches[block[:2]] for block in blocks])
    return Effects(np.array(list(units)), halves, launch, plain)


def point(e: Effects) -> float:
    """The log speed-up."""
    return float(e.per_unit.mean())


def crossed(values: Floats) -> Floats:
    """The columns that cover the rows, in the rows that all those columns have."""
    seen = np.isfinite(values)
    covering = seen.mean(axis=0) >= COVERS
    rows = seen[:, covering].all(axis=1)
    return values[rows][:, covering] if rows.any() else values[:, :0]


def mean_of(values: Floats, axis: int) -> Floats:
    """Mean of what is there; NaN where nothing is."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axis)
    mean: Floats = np.full(count.shape, np.nan)
    np.divide(np.where(seen, values, 0).sum(axis=axis), count, out=mean, where=count > 0)
    return mean
