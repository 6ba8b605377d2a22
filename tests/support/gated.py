"""Runs as a gate sees them: units whose speed-up, TPOT and drafts are known, a changed version, baselines."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from support.verdicts import cell, verdict

from results.gating.observed import Drafts, Observed, Run
from results.intervals import Part
from results.origin import Origin

UNITS = 24
_CLOCK = count(1_795_447_200_000_000_000)


def observed(
    k: int = 4,
    *,
    slowdown: float = 0.0,
    run: float = 0.0,
    fewer: int = 0,
    seed: int = 0,
    noise: float = 0.01,
    prompts: str = "prompt",
    units: int = UNITS,
    launches: Part | None = None,
    **changes: Any,
) -> Observed:
    """A cell whose speculative arm takes `slowdown` more time than it should, and `run` more (a log) in this run.

    noise: standard deviation of the logs of a unit; fewer: drafts of each prompt's 100 that are accepted no more.
    """
    rng, fixed = random.Random(seed), random.Random(1)
    own = [(fixed.gauss(0, 0.1), fixed.randrange(60, 90)) for _ in range(units)]
    logs = [math.log(2) + mine + rng.gauss(0, noise) - math.log1p(slowdown) - run for mine, _ in own]
    names = [f"{prompts} {unit}" for unit in range(units)]
    made = cell(k, **changes)
    timed = made.speedup is not None
    return Observed(
        verdict=made,
        speedup=dict(zip(names, logs, strict=True)) if timed else {},
        launches=launches,
        tpot={name: math.log(7e6) - log for name, log in zip(names, logs, strict=True)} if timed else {},
        drafts={name: Drafts(yes - fewer, 100) for name, (_, yes) in zip(names, own, strict=True)},
    )


def as_run(cells: Sequence[Observed], file: str = "runs/now.sqlite", **facts: Any) -> Run:
    """A run of these cells, at a time of its own."""
    facts = {"created_unix_ns": next(_CLOCK), "trials_flagged": 0, **facts}
    return Run(verdict([one.verdict for one in cells], file=file, **facts), Origin({}, {}), tuple(cells))


def baselines(n: int = 1, *, spread: float = 0.0, seed: int = 100, **changes: Any) -> list[Run]:
    """n runs of the version before, each of them by a normal log of this spread slower or faster."""
    rng = random.Random(seed)
    return [
        as_run([observed(seed=seed + i, run=rng.gauss(0, spread), **changes)], f"runs/before-{i}.sqlite")
        for i in range(n)
    ]


def without(one: Observed, **changes: Any) -> Observed:
    """The same cell with another verdict."""
    return replace(one, verdict=replace(one.verdict, **changes))
