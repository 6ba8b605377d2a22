"""A folder of run files as a history: each cell's figures from run to run, where their level changed, and what else
changed between the runs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from results.compare import CellKey
from results.errors import RunFileError, UsageError
from results.judge import judge
from results.listing import moment, run_files
from results.origin import Origin, changed, origin, twins
from results.runfile import RunFile
from results.trends.shifts import FEWEST, can_be_searched, shifts
from results.verdicts import CellVerdict, Interval, RunVerdict, Status

SCHEMA = 1
LEVEL = 0.05
"""Probability that any series at all shows a change where none of them has one; divided by their number."""

Metric = Literal["speed-up", "speculative TPOT", "acceptance length"]
METRICS: tuple[Metric, ...] = ("speed-up", "speculative TPOT", "acceptance length")


@dataclass(frozen=True, slots=True)
class Changed:
    """One recorded fact that is not as it was in the run before."""

    what: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One run of the history."""

    number: int
    """1 for the oldest."""
    file: str
    name: str
    created: str | None
    """UTC, ISO 8601."""
    changed: tuple[Changed, ...]
    """Against the run before: versions, drivers, model files, hardware, settings, prompts."""


@dataclass(frozen=True, slots=True)
class Point:
    """A cell in one run; figures are None where they may not be counted."""

    run: int
    status: Status
    why: str
    """Why no figure counts; empty where they do."""
    speedup: float | None = None
    interval: Interval | None = None
    """Of the speed-up, for other prompts like these; how far runs differ it does not know."""
    tpot_ms: float | None = None
    plain_tpot_ms: float | None = None
    acceptance: float | None = None
    acceptance_interval: Interval | None = None

    def figure(self, metric: Metric) -> float | None:
        """The figure of that metric."""
        return {"speed-up": self.speedup, "speculative TPOT": self.tpot_ms}.get(metric, self.acceptance)


@dataclass(frozen=True, slots=True)
class Change:
    """The level of one metric changed."""

    metric: Metric
    run: int
    """Number of the first run of the new level."""
    before: float
    """Level since the change before; of ratios and times the geometric mean."""
    after: float
    p: float
    """Probability of so clear a change anywhere in a series of this length that has none."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One cell over the runs that hold it."""

    cell: CellKey
    synthetic: bool
    points: tuple[Point, ...]
    """In the order of the runs."""
    changes: tuple[Change, ...]
    remark: str
    """Why no change could be looked for; empty where it was."""


@dataclass(frozen=True, slots=True)
class History:
    """A folder of run files."""

    folder: str
    runs: tuple[RunPoint, ...]
    trends: tuple[Trend, ...]
    level: float
    searched: int
    """Series that were searched, among which the level is divided."""
    problems: tuple[str, ...]
    """Files that were left out, one line each."""
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a history keeps of a run file."""

    file: str
    run: dict[str, Any]
    """`RunVerdict.run`."""
    origin: Origin
    cells: tuple[CellVerdict, ...]


def read(folder: Path) -> tuple[list[Snapshot], list[str]]:
    """Every run of a folder, and one line for each file that is left out. Raises UsageError for the folder.

    Of copies of one run (a resumed file and its state before are such, too) the one with the most trials counts.
    """
    found: list[Snapshot] = []
    problems: list[str] = []
    for path in run_files(folder):
        try:
            with RunFile.open(path) as file:
                found.append(snapshot(path.name, judge(file), origin(file)))
        except RunFileError as error:
            problems.append(str(error))
    if not found:
        raise UsageError(f"no run files in {folder}: " + (problems[0] if problems else "`mtpbench run` writes one"))
    fullest = sorted(found, key=lambda one: (-one.run["trials"], one.run["state"] != "finished", len(one.file)))
    copies = {copy: kept for kept, copy in twins(one.run for one in fullest)}
    problems += [
        f"{copy} is a copy of {kept}, or an earlier state of it: a run counts once" for copy, kept in copies.items()
    ]
    return [one for one in found if one.run["file"] not in copies], problems


def snapshot(name: str, verdict: RunVerdict, where: Origin) -> Snapshot:
    """One run."""
    return Snapshot(name, verdict.run, where, tuple(verdict.cells))


def history(folder: str, runs: Iterable[Snapshot], problems: Sequence[str] = (), level: float = LEVEL) -> History:
    """The runs in the order of their making, and each cell's trend.

    level: shared by all series that are searched (Bonferroni): of every cell, speed-up, speculative TPOT and
    acceptance length, where at least 2 `FEWEST` runs have the figure.
    """
    ordered = sorted(runs, key=lambda one: (_created(one) or 0, one.file))
    points: dict[CellKey, list[tuple[Point, bool]]] = {}
    for number, one in enumerate(ordered, 1):
        for cell in one.cells:
            found = points.setdefault(CellKey.of(cell), [])
            if not found or found[-1][0].run != number:  # of several alike the first
                found.append((_point(number, cell), cell.synthetic))
    series = {
        (key, metric): figures
        for key, found in points.items()
        for metric in METRICS
        if can_be_searched(len(figures := _figures([point for point, _ in found], metric)))
    }
    each = level / max(1, len(series))
    return History(
        folder=folder,
        runs=tuple(_runs(ordered)),
        trends=tuple(
            Trend(
                cell=key,
                synthetic=any(synthetic for _, synthetic in found),
                points=tuple(point for point, _ in found),
                changes=tuple(c for m in METRICS if (key, m) in series for c in _changes(m, series[key, m], each)),
                remark=_remark(max(len(_figures([point for point, _ in found], metric)) for metric in METRICS)),
            )
            for key, found in points.items()
        ),
        level=level,
        searched=len(series),
        problems=tuple(problems),
    )


def _point(number: int, cell: CellVerdict) -> Point:
    if cell.status not in ("ok", "unverified") or cell.not_lossless:
        why = "the output is not the target's own" if cell.not_lossless else cell.reason or cell.status
        return Point(number, cell.status, why)
    gain, accepted = cell.speedup, cell.acceptance
    return Point(
        number,
        cell.status,
        "",
        speedup=gain.point if gain else None,
        interval=gain.new_prompts if gain else None,
        tpot_ms=cell.speculative.tpot_ms if cell.speculative else None,
        plain_tpot_ms=cell.baseline.tpot_ms if cell.baseline else None,
        acceptance=accepted.length if accepted else None,
        acceptance_interval=Interval.between(accepted.low, accepted.high) if accepted else None,
    )


def _figures(points: Sequence[Point], metric: Metric) -> list[tuple[int, float]]:
    return [(point.run, value) for point in points if (value := point.figure(metric)) is not None and value > 0]


def _changes(metric: Metric, figures: Sequence[tuple[int, float]], level: float) -> list[Change]:
    """In logs: a change is a ratio, also of an acceptance length, which is at least 1."""
    return [
        Change(metric, figures[one.at][0], math.exp(one.before), math.exp(one.after), one.p)
        for one in shifts([math.log(value) for _, value in figures], level)
    ]


def _remark(runs: int) -> str:
    if can_be_searched(runs):
        return ""
    told = {0: "no run has a figure that counts", 1: "one run only"}.get(runs, f"{runs} runs only")
    return told if runs == 0 else f"{told}: a change needs {FEWEST} on either side of it"


def _runs(ordered: Sequence[Snapshot]) -> Iterable[RunPoint]:
    for number, (before, one) in enumerate(pairwise([None, *ordered]), 1):
        assert one is not None
        yield RunPoint(
            number=number,
            file=one.file,
            name=str(one.run.get("name") or ""),
            created=moment(_created(one)),
            changed=() if before is None else tuple(_changed(before, one)),
        )


def _created(one: Snapshot) -> int | None:
    """Nanoseconds since 1970; a stranger's file may say anything."""
    found = one.run.get("created_unix_ns")
    return found if isinstance(found, int) and 0 <= found < 2**62 else None


def _changed(before: Snapshot, now: Snapshot) -> Iterable[Changed]:
    for what, mine, theirs in changed(before.run, now.run, (before.origin, now.origin)):
        yield Changed(what, mine, theirs)
    here, there = ({d for units in one.origin.prompts.values() for d in units.values()} for one in (before, now))
    if here and there and here != there:
        yield Changed("prompts", f"{len(here)} units", f"{len(there)} units, {len(here & there)} of them the same")
