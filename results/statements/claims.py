"""Published statements beside what a run measured: reproduced, not reproduced, or not comparable and why.

A statement is compared only with cells of the model, runtime, hardware, batch and draft length that it states. Where it
leaves the draft length open, the best that was measured stands for it, with the interval that is widened for having
chosen it. The ruling is that of an interval for other prompts like the run's (METHOD section 3):

- one figure: reproduced where the interval holds it and no end strays from it by more than half its distance from 1 (in
  logs), not where they are disjoint;
- a range or a direction: reproduced where the interval lies inside, not where they are disjoint;
- "up to": reproduced where the best that was measured reaches it, not where its interval ends below;
- anything else is too imprecise: an interval that lies partly inside, that is wide beside the figure or reaches "up to"
  by its upper end alone, or that holds "no gain" as well as the figure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from results.statements import directions
from results.statements.published import Claim, Metric, Statement
from results.statements.ruling import Found, Outcome, against, found, together, unusable
from results.statements.scope import left_open, mismatches
from results.verdicts import CellVerdict, RunVerdict

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """One published statement and what the run says to it."""

    id: str
    source: str
    about: str
    """Model, runtime and hardware as published."""
    words: str
    """As published."""
    metric: Metric
    """What is compared; below, the published figure: equal for one, one of them alone for a direction."""
    low: float | None
    high: float | None
    at_most: float | None
    """Of "up to"."""
    outcome: Outcome
    why: str
    """The reason, in one line."""
    found: tuple[Found, ...]
    """What was measured at each setting that the statement is about."""
    notes: tuple[str, ...]
    """What the statement leaves open, and what the machine-readable part does not say."""


@dataclass(frozen=True, slots=True)
class ClaimsVerdict:
    """All statements beside one run."""

    file: str
    checked: tuple[Checked, ...]
    schema: int = SCHEMA


def check(run: RunVerdict, claims: Iterable[Claim]) -> ClaimsVerdict:
    """Set every statement of the claims beside what the run measured."""
    checked = [_check(claim, statement, run) for claim in claims for statement in claim.stated()]
    return ClaimsVerdict(str(run.run.get("file", "")), tuple(checked))


def _check(claim: Claim, statement: Statement, run: RunVerdict) -> Checked:
    differing = [(cell, mismatches(statement, cell, run.run)) for cell in run.cells]
    cells = [cell for cell, lines in differing if not lines]
    notes = [statement.remark] if statement.remark else []
    findings: tuple[Found, ...] = ()
    outcome: Outcome = "not comparable"
    if cells:
        findings = tuple(_METRICS[statement.metric](statement, cells))
        outcome, why = together(findings, everywhere=statement.metric not in ("speed-up", "best draft length"))
        if unstated := left_open(statement):
            notes.append(f"not stated by the source, and as measured here: {', '.join(unstated)}")
    else:
        nearest: list[str] = min((lines for _, lines in differing), key=len, default=["nothing was measured"])
        why = "; ".join(nearest)
    return Checked(claim.id, claim.source, claim.about, claim.words, statement.metric,
                   statement.low, statement.high, statement.at_most, outcome, why, findings, tuple(notes))  # fmt: skip


def _speedups(stated: Statement, cells: Sequence[CellVerdict]) -> Iterator[Found]:
    """The best draft length of every group, or for "up to" of all groups."""
    groups: dict[int, list[CellVerdict]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    findings = [_best(stated, group) for group in groups.values()]
    timed = [one for one in findings if one.point is not None]
    if stated.at_most is not None and timed:
        yield max(timed, key=lambda one: one.point or 0.0)
    else:
        yield from findings


def _best(stated: Statement, group: Sequence[CellVerdict]) -> Found:
    usable = [(cell.speedup.point, cell) for cell in group if unusable(cell) is None and cell.speedup]
    if not usable:
        return found(group[0], ("not comparable", unusable(group[0]) or "no speed-up was measured"))
    point, cell = max(usable, key=lambda pair: pair[0])
    assert cell.speedup is not None and cell.speedup.new_prompts is not None
    chosen = len(usable) > 1
    interval = cell.speedup.adjusted if chosen else cell.speedup.new_prompts
    if interval is None:
        ruling: tuple[Outcome, str] = "not comparable", "too few units for an interval of the best of several"
    else:
        ruling = against(point, interval, stated, noise=cell.distinguishable is False)
    return found(cell, ruling, point, interval, len(usable))


def _identical(stated: Statement, cells: Sequence[CellVerdict]) -> Iterator[Found]:
    """Greedy cells whose output was compared with the plain arm's, token by token."""
    for cell in cells:
        if cell.temperature != 0 or cell.status not in ("ok", "unverified"):
            continue
        equal = cell.equivalence
        if equal is None or equal.verdict in ("untested", "text-only"):
            yield found(cell, ("not comparable", equal.reason if equal else "the output was not compared"))
        elif equal.verdict == "identical":
            yield found(cell, ("reproduced", f"{equal.identical} of {equal.prompts} outputs identical"))
        else:
            why = f"{equal.prompts - equal.identical} of {equal.prompts} outputs differ"
            why += ", and nothing explains it" if equal.unexplained else ", each explained by numerics"
            if equal.control_divergences:
                why += f"; plain decoding differed from itself in {equal.control_divergences}"
            yield found(cell, ("not reproduced", why))


_METRICS: Mapping[Metric, Callable[[Statement, Sequence[CellVerdict]], Iterable[Found]]] = {
    "speed-up": _speedups,
    "identical output": _identical,
    "gain at the largest batch over batch 1": directions.over_batches,
    "cost of a wider verification": directions.verification,
    "best draft length": directions.best_length,
}
