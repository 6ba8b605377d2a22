"""A run against its baselines, cell by cell and limit by limit (METHOD section 6, `results.gating.gate`).

Paired speed-up and acceptance are held against limits from a single baseline on. What a further run of the same thing
would add to a speed-up is in its interval from three baselines on, and said to be missing before. Speculative TPOT,
which no plain arm beside it corrects, is not gated before at all. What is synthetic is held against its like only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from results.compare import CellKey
from results.errors import UsageError
from results.gating.comparable import Difference, compared, refuse, same_prompts
from results.gating.criteria import Place, answer, is_gated, left_out, questions
from results.gating.gate import Decision, Declared, together
from results.gating.limits import Finding, GateVerdict, Limits
from results.gating.observed import Observed, Run
from results.origin import refuse_twins
from results.ranking import SYNTHETIC
from results.verdicts import CellVerdict

_COUNTS = ("ok", "unverified")
"""Statuses of a baseline whose figures are held against a run."""


def gate(
    now: Run,
    baselines: Sequence[Run],
    limits: Limits,
    *,
    level: float = 0.025,
    looks: int = 1,
    look: int = 1,
    allowed: Sequence[str] = (),
) -> GateVerdict:
    """Judge a run, at one of the declared looks.

    level: over all looks and findings together; allowed: kinds of difference (`comparable.KINDS`) that are accepted.
    Raises UsageError where the runs may not be compared or have nothing to compare, ValueError for an odd level.
    """
    refuse_twins([run.verdict.run for run in (now, *baselines)], "a run is no baseline of itself, and counts once")
    told: dict[str, list[str]] = {}
    here = _places(now)
    there = [_places(run) for run in baselines]
    for run, places in zip(baselines, there, strict=True):
        name = str(run.verdict.run.get("file", "the baseline"))
        found = [*compared(run, now), *_prompts(here, places)]
        refuse(found, allowed, name)
        for text in dict.fromkeys(one.text for one in found):
            told.setdefault(text, []).append(name)
    expected = _expected(there)
    if not expected:
        raise UsageError("no baseline holds a cell that is ok: there is nothing to hold this run against")
    findings = _facts(here, expected, limits)
    every = [
        question
        for place, cells in expected.items()
        if (cell := here.get(place)) and _counts(cell) and cell.verdict.synthetic == cells[0].verdict.synthetic
        for question in questions(place, cell, cells, limits)
    ]
    asked = [question for question in every if is_gated(question, limits)]
    declared = Declared(level, looks, max(1, len(asked)))
    declared.spent(look)
    findings += [answer(q, declared, look) if is_gated(q, limits) else left_out(q) for q in every]
    order = {place: i for i, place in enumerate([*expected, *here])}
    findings.sort(key=lambda finding: order[finding.cell, finding.number])
    fresh = [place for place, cell in here.items() if place not in expected and cell.verdict.status != "skipped"]
    return GateVerdict(
        file=str(now.verdict.run.get("file", "")),
        baselines=tuple(str(run.verdict.run.get("file", "")) for run in baselines),
        decision=together(finding.decision for finding in findings if finding.decision),
        level=level,
        looks=looks,
        look=look,
        gated=len(asked),
        findings=tuple(findings),
        new=tuple(place[0] for place in fresh if not any(place in places for places in there)),
        put_aside=tuple(place[0] for place in fresh if any(place in places for places in there)),
        notes=(
            *_remarks(now, *baselines),
            *_synthetic(here, expected),
            *(text if len(of) == len(baselines) else f"{', '.join(of)}: {text}" for text, of in told.items()),
        ),
    )


def _remarks(*runs: Run) -> Iterator[str]:
    for run in runs:
        facts = run.verdict.run
        name = facts.get("file", "a run")
        if (state := facts.get("state")) not in (None, "finished"):
            yield f"{name}: its run is {state}, not finished"
        if flagged := facts.get("trials_flagged"):
            yield f"{name}: flagged trials: {flagged} of {facts.get('trials')}"


def _synthetic(here: dict[Place, Observed], expected: dict[Place, list[Observed]]) -> Iterator[str]:
    alike = sum(place in here and here[place].verdict.synthetic and cells[0].verdict.synthetic
                for place, cells in expected.items())  # fmt: skip
    if alike:
        yield (
            f"{alike} of {len(expected)} cells are SYNTHETIC in all runs ({SYNTHETIC}): what they cost is gated, no "
            "speed-up that counts"
        )


def _counts(cell: Observed) -> bool:
    return cell.verdict.status in _COUNTS and not cell.verdict.not_lossless


def _places(run: Run) -> dict[Place, Observed]:
    seen: Counter[CellKey] = Counter()
    found = {}
    for cell in run.cells:
        key = CellKey.of(cell.verdict)
        found[key, seen[key]] = cell
        seen[key] += 1
    return found


def _prompts(here: dict[Place, Observed], there: dict[Place, Observed]) -> Iterator[Difference]:
    both = [place for place in there if place in here]
    other = sum(not same_prompts(here[place], there[place]) for place in both)
    if other:
        yield Difference("prompts", f"{other} of {len(both)} cells have less than half of their prompts in common")


def _expected(there: Sequence[dict[Place, Observed]]) -> dict[Place, list[Observed]]:
    """What the baselines hold and may be relied on: of each cell those of the best status that any of them has."""
    found: dict[Place, list[Observed]] = defaultdict(list)
    for places in there:
        for place, cell in places.items():
            if _counts(cell):
                found[place].append(cell)
    best = {place: min(map(_rank, cells)) for place, cells in found.items()}
    return {place: [c for c in cells if _rank(c) == best[place]] for place, cells in found.items()}


def _rank(cell: Observed) -> tuple[bool, int]:
    """What is real before what is synthetic, and by status."""
    return cell.verdict.synthetic, _COUNTS.index(cell.verdict.status)


def _facts(here: dict[Place, Observed], expected: dict[Place, list[Observed]], limits: Limits) -> list[Finding]:
    """What needs no interval: is the cell there and sound, and is its output the target's own?"""
    found = []
    for (key, number), baselines in expected.items():
        cell = here.get((key, number))
        decision, reason = _status(cell.verdict if cell else None, baselines[0].verdict)
        found.append(Finding(key, number, "status", decision, reason))
    for (key, number), cell in here.items() if limits.equivalence else ():
        if cell.verdict.status != "skipped":
            found.append(Finding(key, number, "equivalence", *_equivalence(cell.verdict)))
    return found


def _status(now: CellVerdict | None, baseline: CellVerdict) -> tuple[Decision, str]:
    if now is None:
        return "fail", f"{baseline.status} in the baseline, missing now"
    if now.not_lossless:
        return "fail", f"its output is {now.output.upper()}, not the target's own: no speed-up of it counts"
    if now.synthetic and not baseline.synthetic:
        return "fail", f"SYNTHETIC now ({SYNTHETIC}), real in the baseline"
    if baseline.synthetic and not now.synthetic:
        return "inconclusive", "SYNTHETIC in the baseline, real now: the two are not held against each other"
    why = f": {now.reason}" if now.reason else ""
    if now.status in (baseline.status, "ok"):
        return "pass", now.status + why
    return ("inconclusive" if now.status == "unverified" else "fail"), (
        f"{baseline.status} in the baseline, {now.status} now{why}"
    )


def _equivalence(cell: CellVerdict) -> tuple[Decision, str]:
    found = cell.equivalence or cell.sampling
    if found is None:
        return "inconclusive", "untested: nothing was compared"
    alike = found.verdict == "text-only" and cell.equivalence is not None and not cell.equivalence.unclassified
    reason = f"{found.verdict}: {found.reason}" if found.reason else found.verdict
    if cell.not_lossless:
        return "fail", reason
    return ("pass" if alike or found.verdict not in ("untested", "text-only") else "inconclusive"), reason
