"""How often does `mtpbench gate` pass, fail, or not know, for slow-downs whose size is known?"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from results.compare import CellKey
from results.gating.criteria import decide, is_gated, questions
from results.gating.gate import Declared, together
from results.gating.limits import Limits
from results.gating.observed import Observed
from results.intervals import Part
from results.verdicts import CellVerdict
from tests.statistics.designs import USUAL
from tests.support.chain import Machine, simulate

RUNS = 1_000
LEVEL = 0.025
SLOWDOWNS = (0.0, 0.02, 0.03, 0.05, 0.10)
"""Of the drafted arm's time; the limit is 3 %."""
LIMIT = 0.03
SPEEDUP = 2.0
NEW_VERSION = 0.02
"""Standard deviation between prompts of what the gated version changes."""
CALM = replace(USUAL, prompts=0.0, prompts_by_arm=0.0)
"""Prompts are the same in every run: what they have in common cancels."""
RESTLESS = replace(CALM, launches=0.005)
"""Each run moves each arm's time by half a percent."""
SPEEDUP_ONLY = Limits(slowdown=None)


@dataclass(frozen=True)
class Gate:
    """A gate on `cells` settings that all slow down alike."""

    name: str
    baselines: int
    machine: Machine
    units: int = 24
    cells: int = 1
    launches: int = 1
    limits: Limits = SPEEDUP_ONLY


GATES = (
    Gate("1 baseline", 1, CALM),
    Gate("1 baseline, 6 cells", 1, CALM, cells=6),
    Gate("1 baseline, runs differ", 1, RESTLESS),
    Gate("1 baseline, 3 launches in each, runs differ", 1, RESTLESS, launches=3),
    Gate("3 baselines, runs differ", 3, RESTLESS),
    Gate("5 baselines, runs differ", 5, RESTLESS),
    Gate("10 baselines, runs differ", 10, RESTLESS),
    Gate("10 baselines, runs differ, TPOT too", 10, RESTLESS, limits=Limits()),
    Gate("3 baselines, 6 cells, runs differ", 3, RESTLESS, cells=6),
)


class Rates(NamedTuple):
    """Shares of runs."""

    passed: float
    failed: float
    inconclusive: float


ERROR = math.sqrt(LEVEL * (1 - LEVEL) / RUNS)
"""Standard error of a simulated false-fail rate."""


def too_many(found: Rates, slowdown: float) -> bool:
    """What is within the limit fails more often than the level says, by more than simulation errs."""
    return slowdown <= LIMIT and found.failed > LEVEL + 2 * ERROR


Logs = NDArray[np.float64]


class File(NamedTuple):
    """One run file of every simulated job."""

    speedups: Logs
    """(runs, cells, units): logs."""
    launches: Logs
    """(runs, cells, launches): the same by launch, over all units."""
    tpot: Logs
    """(runs, cells, units): log time of the drafted arm."""


@lru_cache
def rates(design: Gate, slowdown: float) -> Rates:
    """At a true slow-down of the drafted arm, in every cell."""
    now, *there = (
        _measured(design, number, slowdown if number == 0 else 0.0) for number in range(design.baselines + 1)
    )
    found = Counter(_decision(design, now, there, run) for run in range(RUNS))
    return Rates(*(found[decision] / RUNS for decision in ("pass", "fail", "inconclusive")))


def _measured(design: Gate, number: int, slowdown: float) -> File:
    """number: 0 is the gated one."""
    seed = 1_000 + 100 * GATES.index(design) + number
    simulated = simulate(
        runs=RUNS,
        units=design.units,
        launches=design.launches,
        machine=design.machine,
        speedups=(SPEEDUP,) * design.cells,
        seed=seed,
    )
    ratio = simulated.halves.mean(axis=4)
    if number == 0:
        changed = np.random.default_rng(seed).normal(math.log1p(slowdown), NEW_VERSION, ratio.shape[:3])
        ratio = ratio - changed[..., None]
    speedups = ratio.mean(axis=3)
    return File(speedups, ratio.mean(axis=2), simulated.plain.mean(axis=(2, 3))[:, None] - speedups)


def _cell(number: int) -> CellVerdict:
    """One setting; a gate's intervals ask nothing else of its verdict."""
    unasked = dict.fromkeys((field.name for field in fields(CellVerdict) if field.default is MISSING), None)
    del unasked["flags"], unasked["findings"]
    settings = {"backend": "simulated", "pair": "demo", "method": "mtp", "draft_length": 1 + number, "batch_size": 1}
    return CellVerdict(**{**unasked, **settings})  # type: ignore[arg-type]


_CELLS = tuple(_cell(number) for number in range(max(design.cells for design in GATES)))


def _decision(design: Gate, now: File, there: list[File], run: int) -> str:
    asked = [
        question
        for number in range(design.cells)
        for question in questions(
            (CellKey.of(_CELLS[number]), 0),
            _observed(now, run, number),
            [_observed(one, run, number) for one in there],
            design.limits,
        )
        if is_gated(question, design.limits)
    ]
    declared = Declared(LEVEL, cells=len(asked))
    return together(decide(question, declared, 1).decision for question in asked)


def _observed(file: File, run: int, number: int) -> Observed:
    by_launch = file.launches[run, number]
    n = len(by_launch)
    launches = Part(float(by_launch.var(ddof=1)) / n, n - 1) if n > 1 else None
    speedups, tpot = (_by_prompt(values[run, number]) for values in (file.speedups, file.tpot))
    return Observed(_CELLS[number], speedups, launches, tpot, {})


def _by_prompt(values: Logs) -> Mapping[str, float]:
    return {str(unit): value for unit, value in enumerate(values.tolist())}
