"""The criteria of a gate that have intervals: what is asked of a cell, and what its interval answers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from results.compare import CellKey
from results.gating import changes
from results.gating.changes import FEWEST_RUNS, Change
from results.gating.gate import Decision, Declared, Ruling, rule
from results.gating.limits import Criterion, Finding, Limits
from results.gating.observed import Observed
from results.gating.settling import Settling, settling
from results.verdicts import Interval

Place = tuple[CellKey, int]
"""Where a cell stands: its settings, and which of those with the same settings."""

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Question:
    """One criterion at one cell, before the level is shared out."""

    place: Place
    criterion: Criterion
    change: Change | None
    """Larger is better."""
    limit: float
    """Of exp(change.effect)."""
    baseline: float | None
    now: float | None
    baselines: int
    plain_tpot: float | None = None
    """Of the plain arm, now / baseline."""
    answer: str = ""
    """Why nothing can be told, whatever the interval: inconclusive."""
    answer_runs: int | None = None
    """Baseline runs that are missing."""


def questions(place: Place, cell: Observed, there: Sequence[Observed], limits: Limits) -> Iterator[Question]:
    """What is asked of a cell. there: of the baselines, as many as hold it."""
    timed = any(one.speedup for one in there) or bool(cell.speedup)
    if limits.speedup_loss is not None and timed:
        launches = [cell.launches, *(one.launches for one in there)]
        change = changes.change(cell.speedup, [one.speedup for one in there], launches)
        before, now = _ends(change, cell.speedup, [one.speedup for one in there])
        plain = _plain(cell, there)
        yield Question(place, "speed-up", change, 1 - limits.speedup_loss, before, now, len(there), plain)
    if limits.min_speedup is not None:
        change = changes.alone(cell.speedup, cell.launches)
        now = math.exp(change.now) if change else None
        yield Question(place, "minimum speed-up", change, limits.min_speedup, None, now, len(there))
    if limits.slowdown is not None and (timed or limits.tpot_asked):
        yield _tpot(place, cell, there, limits.slowdown)
    if limits.acceptance_drop is not None:
        yield _acceptance(place, cell, there, limits.acceptance_drop)


def _plain(cell: Observed, there: Sequence[Observed]) -> float | None:
    """now / geometric mean over baselines."""
    now, *before = (one.verdict.baseline.tpot_ms if one.verdict.baseline else None for one in (cell, *there))
    known = [math.log(tpot) for tpot in before if tpot]
    return now / math.exp(fmean(known)) if now and known else None


def _tpot(place: Place, cell: Observed, there: Sequence[Observed], slowdown: float) -> Question:
    change = changes.change(cell.tpot, [one.tpot for one in there])
    missing = FEWEST_RUNS - len(there)
    why = f"give {FEWEST_RUNS} baseline runs or more, {missing} {'is' if missing == 1 else 'are'} missing: "
    why += "how much a run differs from the next cannot be had within one"
    before, now = _ends(change, cell.tpot, [one.tpot for one in there])
    return Question(
        place,
        "TPOT",
        change.opposite() if change else None,
        1 / (1 + slowdown),
        before / _NS_PER_MS if before else None,
        now / _NS_PER_MS if now else None,
        len(there),
        answer=why if missing > 0 else "",
        answer_runs=missing if missing > 0 else None,
    )


def _acceptance(place: Place, cell: Observed, there: Sequence[Observed], drop: float) -> Question:
    change = changes.acceptance_change(cell.drafts, [one.drafts for one in there])
    rates = [changes.rate(one.drafts) for one in there if one.drafts]
    now = changes.rate(cell.drafts) if cell.drafts else None
    hidden = "" if change else "the runtime does not reveal how many drafts it accepts"
    mean = fmean(rates) if rates else None
    return Question(place, "acceptance", change, math.exp(-drop), mean, now, len(there), answer=hidden)


def is_gated(question: Question, limits: Limits) -> bool:
    """Whether it spends of the level: all do, but TPOT that nobody asked for with too few baselines."""
    return question.criterion != "TPOT" or limits.tpot_asked or question.baselines >= FEWEST_RUNS


def left_out(question: Question) -> Finding:
    """The figures of what is not gated."""
    return _finding(question, None, question.answer)


def decide(question: Question, declared: Declared, look: int) -> Ruling:
    """What this look at it says."""
    if question.answer or question.change is None:
        return Ruling("inconclusive", None, declared.spent(look))
    return rule(question.change.effect, question.change.parts, question.limit, declared, look)


def answer(question: Question, declared: Declared, look: int) -> Finding:
    """The same with its figures, its reason, and what would settle it."""
    change, ruling = question.change, decide(question, declared, look)
    settles, reason = None, question.answer
    if change is None:
        reason = reason or "nothing could be compared: no prompt has a figure in every run"
    elif not reason and not change.prompts:
        reason = f"{change.units} unit can be compared, at least 2 are needed for an interval"
    if question.answer_runs is not None:
        settles = Settling(None, question.answer_runs)
    elif change is not None and ruling.decision == "inconclusive":
        further = declared.spent(min(look + 1, declared.looks))
        settles = settling(change, math.log(question.limit), further)
    return _finding(question, ruling.decision, reason, ruling.interval, ruling.level, settles)


def _finding(
    question: Question,
    decision: Decision | None,
    reason: str,
    interval: Interval | None = None,
    level: float | None = None,
    settles: Settling | None = None,
) -> Finding:
    """On the scale that people read (`Finding.estimate`)."""
    change = question.change
    estimate = None if change is None else math.exp(change.effect)
    ends: tuple[float, ...] = () if estimate is None else (estimate,)
    ends += (question.limit,) + ((interval.low, interval.high) if interval else ())
    match question.criterion:
        case "TPOT":
            ends = tuple(1 / end - 1 for end in ends)
        case "acceptance":
            ends = tuple(math.log(end) for end in ends)
        case "speed-up":
            ends = tuple(end - 1 for end in ends)
        case _:
            pass
    first = 0 if estimate is None else 1
    return Finding(
        cell=question.place[0],
        number=question.place[1],
        criterion=question.criterion,
        decision=decision,
        reason=reason,
        baseline=question.baseline,
        now=question.now,
        estimate=ends[0] if first else None,
        interval=Interval(min(ends[first + 1 :]), max(ends[first + 1 :])) if interval else None,
        plain_tpot=question.plain_tpot,
        limit=round(ends[first], 12),  # as it was asked for, not as exp and log leave it
        level=level,
        units=change.units if change else None,
        basis=_basis(question) if change else "",
        settling=settles,
    )


def _basis(question: Question) -> str:
    change = question.change
    assert change is not None
    told = [] if question.criterion == "minimum speed-up" else ["paired by prompt" if change.paired else "unpaired"]
    if question.criterion in ("speed-up", "TPOT"):
        if change.runs:
            told.append(f"knows how {question.baselines} baseline runs differ")
        elif change.launches:
            told.append("knows how launches differ")
        else:
            told.append("knows nothing of how runs differ")
    return ", ".join(told)


def _ends(
    change: Change | None, now: Mapping[str, float], baselines: Sequence[Mapping[str, float]]
) -> tuple[float | None, float | None]:
    """(before, now), of logs by unit: over the units compared; over all that there are where nothing could be."""
    if change is not None:
        return math.exp(change.now - change.effect), math.exp(change.now)
    before = [fmean(one.values()) for one in baselines if one]
    return math.exp(fmean(before)) if before else None, math.exp(fmean(now.values())) if now else None
