"""What a gate reads of a run file: its verdict, and the figures of every cell by prompt."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from results import acceptance
from results.arm import Arm
from results.columns import ABSENT
from results.group import Group
from results.intervals import Part
from results.judge import judged
from results.metrics import Ints
from results.origin import Origin, contents_of, origin
from results.records import HEADLINE, INSTRUMENTED, SPECULATIVE
from results.runfile import RunFile
from results.speedup import Effects, new_prompts
from results.verdicts import CellVerdict, RunVerdict

CONFIDENCE = 0.95
"""Of the verdict's own intervals; a gate's follow from its level."""


class Drafts(NamedTuple):
    """Drafts of one prompt, over all its complete rounds."""

    accepted: float
    drafted: float


@dataclass(frozen=True, eq=False)
class Observed:
    """One speculative cell."""

    verdict: CellVerdict
    speedup: Mapping[str, float]
    """Prompts of a unit -> its log speed-up, as in `Speedup.per_unit`."""
    launches: Part | None
    """What launches add to the variance of the log speed-up; None with a single one."""
    tpot: Mapping[str, float]
    """Prompts of a unit -> log of its mean TPOT, speculative arm, headline pass."""
    drafts: Mapping[str, Drafts]
    """Prompt -> its drafts, from the pass that the verdict's acceptance is from."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run file."""

    verdict: RunVerdict
    origin: Origin
    cells: tuple[Observed, ...]
    """In the order of `verdict.cells`, those imported from elsewhere left out."""


def observe(file: RunFile) -> Run:
    """Judge a run file and read what a gate compares."""
    found, where = judged(file, confidence=CONFIDENCE), origin(file)
    arms = {arm.cell_id: (group, arm) for group in found.groups for arm in group.arms(SPECULATIVE)}
    contents = {prompt: digest.hex() for prompt, digest in contents_of(file).items()}
    return Run(
        found.verdict,
        where,
        tuple(
            _observed(cell, *arms[cell.cell_id], where.prompts.get(cell.group, {}), contents)
            for cell in found.verdict.cells
            if cell.status != "imported"
        ),
    )


def _observed(
    cell: CellVerdict, group: Group, arm: Arm, prompts: Mapping[int, str], contents: Mapping[int, str]
) -> Observed:
    names = _names(prompts)
    effects = group.effects.get(arm.cell_id)
    return Observed(
        verdict=cell,
        speedup=_per_unit(effects, names) if effects else {},
        launches=new_prompts(effects)[-1] if effects and effects.over_launches and len(effects.units) > 1 else None,
        tpot=_tpot(arm, names),
        drafts=_drafts(arm, contents),
    )


def _names(prompts: Mapping[int, str]) -> dict[int, str]:
    """Unit -> its prompts; where several units hold the same, the first keeps the name and each other is told apart."""
    seen: Counter[str] = Counter()
    names = {}
    for unit in sorted(prompts):
        digest = prompts[unit]
        names[unit] = f"{digest} {seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
    return names


def _name(unit: int, names: Mapping[int, str]) -> str:
    """A unit whose generations all failed has prompts that nobody knows, and is nobody's match."""
    return names.get(unit, f"unit {unit}")


def _per_unit(effects: Effects, names: Mapping[int, str]) -> dict[str, float]:
    units = zip(effects.units.tolist(), effects.per_unit.tolist(), strict=True)
    return {_name(unit, names): effect for unit, effect in units}


def _tpot(arm: Arm, names: Mapping[int, str]) -> dict[str, float]:
    visits: dict[int, list[float]] = defaultdict(list)
    for visit in arm.headline:
        if visit.timing.tpot_ns:
            visits[visit.unit].append(visit.timing.tpot_ns)
    return {_name(unit, names): math.log(fmean(times)) for unit, times in visits.items()}


def _drafts(arm: Arm, contents: Mapping[int, str]) -> dict[str, Drafts]:
    """Complete rounds where the runtime reveals rounds, else its own totals of each prompt's first generation."""
    evidence = arm.evidence
    rows = evidence.rows
    for phase in (INSTRUMENTED, HEADLINE):
        index = evidence.rows_in(arm.cell_id, phase)
        rounds = evidence.rounds_in(index)
        rounds = rounds.take(acceptance.complete(rounds, rows, arm.k))
        if len(rounds.row):
            return _sums(rows.prompt[rounds.row], rounds.accepted, rounds.drafted, contents)
        index = index[(rows.count_drafted[index] != ABSENT) & (rows.count_accepted[index] != ABSENT)]
        index = index[np.unique(rows.prompt[index], return_index=True)[1]]
        if rows.count_drafted[index].sum():
            return _sums(rows.prompt[index], rows.count_accepted[index], rows.count_drafted[index], contents)
    return {}


def _sums(prompt: Ints, accepted: Ints, drafted: Ints, contents: Mapping[int, str]) -> dict[str, Drafts]:
    """By content: a prompt that stands twice in the workload is one prompt."""
    ids, where = np.unique(prompt, return_inverse=True)
    sums = [np.bincount(where, weights=weights).tolist() for weights in (accepted, drafted)]
    found: dict[str, Drafts] = {}
    for one, yes, all_ in zip(ids.tolist(), *sums, strict=True):
        before = found.get(contents[one], Drafts(0.0, 0.0))
        found[contents[one]] = Drafts(before.accepted + yes, before.drafted + all_)
    return found
