"""Two runs side by side, cell by cell. Every ratio is B over A; what else differs is said beside it."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np

from results.certificate import EquivalenceName, SamplingName
from results.intervals import Part, half_width, t_quantile
from results.origin import Origin, Prompts, differences
from results.verdicts import Acceptance, ArmTiming, CellVerdict, Interval, RunVerdict, Speedup, Status

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class CellKey:
    """What makes two cells of two runs the same cell."""

    backend: str
    pair: str
    method: str
    draft_length: int
    batch_size: int
    prompt_tokens: int | None
    output_tokens: int
    temperature: float
    dtype: str
    device: str

    @classmethod
    def of(cls, cell: CellVerdict) -> Self:
        """That of a cell."""
        return cls(*(getattr(cell, field.name) for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Speed-up in B / speed-up in A, geometric mean over units."""

    point: float
    interval: Interval | None
    """For other prompts like these, at `confidence`. Of how much a further launch would move either run it knows
    nothing. None: too few units."""
    confidence: float
    units: int
    """Units that entered: prompts in common where paired, else those of the smaller run."""
    basis: Literal["paired by prompt", "unpaired"]


@dataclass(frozen=True, slots=True)
class AcceptanceChange:
    """Acceptance length in B minus that in A."""

    point: float
    interval: Interval | None
    """From both runs' own intervals, as if their prompts had nothing in common: on the wide side where they do."""


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One cell that both runs hold."""

    cell: CellKey
    status_a: Status
    status_b: Status
    reason_a: str
    reason_b: str
    output_a: EquivalenceName | SamplingName
    """Whether the output is the target's own; no speed-up counts where it is `unexplained` or `biased`."""
    output_b: EquivalenceName | SamplingName
    synthetic: bool
    speedup_a: float | None
    speedup_b: float | None
    speedup: Ratio | None
    speculative_tpot: float | None
    """Median TPOT of the speculative arm, B / A: below 1 is faster. Two runs alone give it no interval."""
    plain_tpot: float | None
    """The same for the plain arm: how far machine or runtime themselves moved."""
    acceptance_a: float | None
    acceptance_b: float | None
    acceptance: AcceptanceChange | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs."""

    a: str
    """File of the run that is compared with."""
    b: str
    cells: tuple[CellComparison, ...]
    only_a: tuple[CellKey, ...]
    only_b: tuple[CellKey, ...]
    warnings: tuple[str, ...]
    """What else differs: hardware, versions, settings, prompts."""
    schema: int = SCHEMA


def compare(a: RunVerdict, b: RunVerdict, origins: tuple[Origin, Origin] | None = None) -> Comparison:
    """Match the cells of two runs and compare each.

    origins: of both files. Without them no speed-up is paired by prompt, and versions of runtimes are not compared.
    """
    warnings = list(differences(a.run, b.run, origins))
    prompts = None if origins is None else (origins[0].prompts, origins[1].prompts)
    in_a, in_b = _by_key(a.cells), _by_key(b.cells)
    cells: list[CellComparison] = []
    for key, found in in_a.items():
        others = in_b.get(key, [])
        if others and max(len(found), len(others)) > 1:
            warnings.append(f"several cells are {_name(key)}: they are compared in the order of their measuring")
        cells += [_cell(key, one, other, prompts) for one, other in zip(found, others, strict=False)]
    unpaired = sum(1 for cell in cells if cell.speedup and cell.speedup.basis == "unpaired")
    if prompts is not None and unpaired:
        warnings.append(f"{unpaired} of {len(cells)} cells have too few prompts in common to pair their speed-ups")
    return Comparison(
        a=str(a.run.get("file", "A")),
        b=str(b.run.get("file", "B")),
        cells=tuple(cells),
        only_a=tuple(_without(in_a, in_b)),
        only_b=tuple(_without(in_b, in_a)),
        warnings=tuple(warnings),
    )


def _by_key(cells: Sequence[CellVerdict]) -> dict[CellKey, list[CellVerdict]]:
    found: dict[CellKey, list[CellVerdict]] = defaultdict(list)
    for cell in cells:
        found[CellKey.of(cell)].append(cell)
    return dict(found)


def _without(
    mine: Mapping[CellKey, Sequence[CellVerdict]], theirs: Mapping[CellKey, Sequence[CellVerdict]]
) -> Iterator[CellKey]:
    for key, cells in mine.items():
        yield from [key] * (len(cells) - len(theirs.get(key, ())))


def _name(key: CellKey) -> str:
    prompt = "any" if key.prompt_tokens is None else key.prompt_tokens
    return f"{key.backend} {key.pair} {key.method} k={key.draft_length} batch {key.batch_size} prompt {prompt}"


def _cell(key: CellKey, a: CellVerdict, b: CellVerdict, prompts: tuple[Prompts, Prompts] | None) -> CellComparison:
    units = None if prompts is None else (prompts[0].get(a.group, {}), prompts[1].get(b.group, {}))
    return CellComparison(
        cell=key,
        status_a=a.status,
        status_b=b.status,
        reason_a=a.reason,
        reason_b=b.reason,
        output_a=a.output,
        output_b=b.output,
        synthetic=a.synthetic or b.synthetic,
        speedup_a=a.speedup.point if a.speedup else None,
        speedup_b=b.speedup.point if b.speedup else None,
        speedup=speedup_ratio(a.speedup, b.speedup, units) if a.speedup and b.speedup else None,
        speculative_tpot=_tpot_ratio(a.speculative, b.speculative),
        plain_tpot=_tpot_ratio(a.baseline, b.baseline),
        acceptance_a=a.acceptance.length if a.acceptance else None,
        acceptance_b=b.acceptance.length if b.acceptance else None,
        acceptance=_acceptance(a.acceptance, b.acceptance) if a.acceptance and b.acceptance else None,
    )


def speedup_ratio(a: Speedup, b: Speedup, units: tuple[Mapping[int, str], Mapping[int, str]] | None) -> Ratio:
    """exp(mean difference of log ratios), with a t-interval.

    units: (unit -> digest of its prompts) of both. Where at least half of the smaller run's units hold the same
    prompts, over those, paired: t with units - 1 degrees of freedom. Otherwise from both standard errors, each with
    its own t quantile (`results.intervals.half_width`).
    """
    mine = {unit: math.log(ratio) for unit, _, ratio in a.per_unit}
    theirs = {unit: math.log(ratio) for unit, _, ratio in b.per_unit}
    smaller = min(len(mine), len(theirs))
    confidence = min(a.confidence, b.confidence)
    shared = _shared(mine, theirs, units) if units else []
    if len(shared) >= 2 and 2 * len(shared) >= smaller:
        center, parts = float(np.mean(shared)), [_part(shared)]
    else:
        shared = []
        center = math.log(b.point) - math.log(a.point)
        parts = [_part(list(logs.values())) for logs in (mine, theirs) if len(logs) >= 2]
        parts = parts if len(parts) == 2 else []
    interval = None
    if parts:
        half = half_width(parts, [t_quantile(part.df, confidence) for part in parts], confidence)
        interval = Interval(math.exp(center - half), math.exp(center + half))
    return Ratio(
        point=math.exp(center),
        interval=interval,
        confidence=confidence,
        units=len(shared) or smaller,
        basis="paired by prompt" if shared else "unpaired",
    )


def _shared(
    a: Mapping[int, float], b: Mapping[int, float], units: tuple[Mapping[int, str], Mapping[int, str]]
) -> list[float]:
    """Differences b - a of the log ratios of units that hold the same prompts."""
    mine = {units[0][unit]: log for unit, log in a.items() if unit in units[0]}
    theirs = {units[1][unit]: log for unit, log in b.items() if unit in units[1]}
    return [theirs[digest] - log for digest, log in mine.items() if digest in theirs]


def _part(logs: Sequence[float]) -> Part:
    return Part(float(np.var(logs, ddof=1)) / len(logs), len(logs) - 1)


def _tpot_ratio(a: ArmTiming | None, b: ArmTiming | None) -> float | None:
    if a is None or b is None or not a.tpot_ms or b.tpot_ms is None:
        return None
    return b.tpot_ms / a.tpot_ms


def _acceptance(a: Acceptance, b: Acceptance) -> AcceptanceChange:
    point = b.length - a.length
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return AcceptanceChange(point, None)
    half = math.hypot((a.high - a.low) / 2, (b.high - b.low) / 2)
    return AcceptanceChange(point, Interval(point - half, point + half))
