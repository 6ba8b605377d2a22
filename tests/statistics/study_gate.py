"""How often does the gate's rule fail what is exactly at its limit, looked at again and again, cell by cell?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from results import speedup
from results.gating import gate
from results.gating.gate import Declared
from results.intervals import Part
from tests.statistics.designs import USUAL
from tests.support.chain import Machine, simulate

RUNS = 3_000
LEVEL = 0.025
LIMIT = 0.95
WORSE = 0.02
"""How far beyond the limit, as a log ratio, a regression is whose finding is counted."""


@dataclass(frozen=True)
class Gate:
    """One row: a run that grows, looked at after equal shares of its prompts."""

    name: str
    units: int
    looks: int
    cells: int = 1
    machine: Machine = USUAL


VARIED = replace(USUAL, prompts=0.03, prompts_by_arm=0.03)
"""What prompts still add once two versions are paired by prompt."""
GATES = (
    Gate("20 prompts, 1 look", 20, 1, machine=VARIED),
    Gate("60 prompts, 3 looks", 60, 3, machine=VARIED),
    Gate("100 prompts, 10 looks", 100, 10, machine=VARIED),
    Gate("100 prompts, 10 looks, 3 % of trials delayed", 100, 10, machine=replace(VARIED, outliers=0.03)),
    Gate("100 prompts, 10 looks, nothing but noise", 100, 10, machine=replace(USUAL, prompts=0.0, prompts_by_arm=0.0)),
    Gate("60 prompts, 3 looks, 6 cells", 60, 3, cells=6, machine=VARIED),
)


class Rates(NamedTuple):
    """Shares of runs in which any cell fails at any look."""

    free: float
    """Truth at the limit; every look at every cell tests at the full level."""
    even: float
    """Truth at the limit; the level in equal shares (Bonferroni)."""
    spent: float
    """Truth at the limit; as the rule spends it."""
    found_even: float
    """Truth `WORSE` beyond the limit in every cell; equal shares."""
    found: float
    """Truth `WORSE` beyond the limit in every cell; as the rule spends it."""


Look = tuple[float, Sequence[Part]]


@lru_cache
def rates(design: Gate) -> Rates:
    """By the intervals on new prompts, whose true speed-up is exactly the limit."""
    simulated = simulate(
        runs=RUNS,
        units=design.units,
        machine=design.machine,
        speedups=(LIMIT,) * design.cells,
        seed=400 + GATES.index(design),
    )
    ends = [design.units * look // design.looks for look in range(1, design.looks + 1)]

    def seen(run: int, cell: int, end: int) -> Look:
        effects = simulated.effects(run, cell, end)
        return speedup.point(effects), speedup.new_prompts(effects)

    runs = [[[seen(run, cell, end) for end in ends] for cell in range(design.cells)] for run in range(RUNS)]
    shares = design.looks * design.cells
    as_declared = Declared(LEVEL, design.looks, design.cells)

    def failing(share: Callable[[int], tuple[Declared, int]], worse: float = 0.0) -> float:
        def fails(number: int, look: Look) -> bool:
            return gate.rule(look[0] - worse, look[1], LIMIT, *share(number)).decision == "fail"

        return float(np.mean([any(fails(n, at) for c in cells for n, at in enumerate(c, 1)) for cells in runs]))

    even = (Declared(LEVEL / shares), 1)
    return Rates(
        free=failing(lambda _: (Declared(LEVEL), 1)),
        even=failing(lambda _: even),
        spent=failing(lambda look: (as_declared, look)),
        found_even=failing(lambda _: even, WORSE),
        found=failing(lambda look: (as_declared, look), WORSE),
    )
