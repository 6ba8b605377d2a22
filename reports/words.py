"""What the verdicts say, in plain sentences: the same in the terminal and in the HTML report."""

from dataclasses import dataclass
from typing import Any, Literal

from reports.groups import Group, labels, measures_speed, sound, wrong
from reports.lossless import summary
from reports.text import NOT_COMPUTED, clean, confidence, count, listed, ratio, span
from results.ranking import why_unranked
from results.remarks import WIDE_AA, came_out_higher, of_pairs
from results.verdicts import CellVerdict, Interval, RunVerdict

Outcome = Literal["faster", "slower", "same", "none"]

_WRONG = {
    "UNEXPLAINED": "its output differs from the target's own and nothing explains it",
    "BIASED": "its sampled output does not follow the target's distribution",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What one group of cells says to do."""

    outcome: Outcome
    advice: str
    """What to do, without figures."""
    headline: str
    """The same with its figure."""
    detail: str
    """How sure that is."""


def decide(group: Group) -> Decision:
    """The group's best setting in words, never stronger than its intervals allow."""
    best, cell = group.best, group.focus
    if best is None or cell is None or cell.speedup is None:
        text = "No setting can be ranked"
        timed = [c for c in group.cells if c.speedup]
        if timed and all(wrong(c) for c in timed):
            text += ": drafted output is not the target's own"
        return Decision("none", text, text, _why_unranked(group))
    arm = group.arm(cell)
    figure = " ".join((*labels(cell), ratio(best.speedup)))
    detail = _certainty(group, cell)
    if not best.distinguishable:
        known = best.adjusted is not None and cell.aa is not None
        why = (
            "not distinguishable from plain decoding" if known else "not compared with chance, for lack of an interval"
        )
        return Decision("same", "No clear gain", f"No clear gain: {arm} came out first at {figure}, {why}", detail)
    if best.speedup < 1:
        text = f"Do not draft: even the best setting, {arm}, is slower than plain decoding at {figure}"
        return Decision("slower", "Do not draft", text, detail)
    method = f" with {clean(cell.method, 24)}" if len(group.methods) > 1 else ""
    advice = f"Draft {count(best.draft_length, 'token')} a round{method}"
    return Decision("faster", advice, f"{advice}: {figure} as fast as plain decoding", detail)


def _certainty(group: Group, cell: CellVerdict) -> str:
    """The interval of the chosen setting, what it covers, and what else lies inside it."""
    best, speedup = group.best, cell.speedup
    assert best is not None and speedup is not None
    basis = f"{count(cell.n_units, 'unit')}, {count(speedup.launches, 'launch', 'launches')}, {speedup.basis}"
    if best.adjusted is None:
        return f"Selection-adjusted interval {NOT_COMPUTED} ({basis})."
    chosen = f", widened for having chosen the best of {best.candidates}" if best.candidates > 1 else ""
    text = (
        f"{confidence(speedup.confidence)} interval {span(best.adjusted)} for new prompts like these{chosen} ({basis})."
    )
    inside = [
        f"{group.arm(c)} ({ratio(c.speedup.point)})"
        for c in group.cells
        if sound(c)
        and c.cell_id != cell.cell_id
        and c.speedup
        and best.adjusted.low <= c.speedup.point <= best.adjusted.high
    ]
    higher = [
        (group.arm(c), c.speedup.point)
        for c in group.cells
        if not why_unranked(c) and c.speedup and c.speedup.point > best.speedup
    ]
    also = f" Also inside it: {listed(inside)}." if inside else ""
    return text + also + (f" {came_out_higher(higher)}." if higher else "") + _put_aside(group)


def _put_aside(group: Group) -> str:
    """The settings that are not ranked for what they put out."""
    told = [
        f" {group.marked(c)} ({ratio(c.speedup.point)}) is not ranked: {' and '.join(_WRONG[w] for w in wrong(c))}."
        for c in group.cells
        if wrong(c) and c.speedup
    ]
    return "".join(told)


def _why_unranked(group: Group) -> str:
    counts: dict[str, int] = {}
    for cell in group.cells:
        why = (labels(cell) or ("without a speed-up",))[0].lower()
        counts[why] = counts.get(why, 0) + 1
    told = listed([f"{n} {why}" for why, n in counts.items()])
    own = " whose output is the target's own" if any(wrong(c) for c in group.cells) else ""
    return f"Only valid, verified and real measurements{own} are ranked; the cells here: {told}."


def run_headline(verdict: RunVerdict, found: list[tuple[Group, Decision]]) -> str:
    """What a run says in one sentence: what to draft, or, where no speed was measured, what its certificate says."""
    return headline(found) if measures_speed(verdict) or not found else summary(verdict).headline


def headline(found: list[tuple[Group, Decision]]) -> str:
    """One sentence over all groups of a run."""
    if not found:
        return "Nothing was measured"
    if len(found) == 1:
        return found[0][1].headline
    faster = [group for group, decision in found if decision.outcome == "faster"]
    slower = sum(decision.outcome == "slower" for _, decision in found)
    if not faster:
        if all(decision.outcome == "none" for _, decision in found):
            sayings = {decision.headline for _, decision in found}
            return sayings.pop() if len(sayings) == 1 else "No setting can be ranked"
        return "Drafting slows decoding down here" if slower == len(found) else "Drafting brings no clear gain here"
    gains = sorted(group.best.speedup for group in faster if group.best)
    lengths = sorted({group.best.draft_length for group in faster if group.best})
    gain = _range([ratio(g) for g in (gains[0], gains[-1])])
    drafts = _range([f"{k}" for k in (lengths[0], lengths[-1])])
    marks = dict.fromkeys(label for group in faster if group.focus for label in labels(group.focus))
    told = f"{' '.join((*marks, gain))} as fast as plain decoding"
    if len(faster) < len(found):
        return f"Drafting pays in {len(faster)} of {len(found)} settings: {told}"
    return f"Draft {drafts} {'token' if drafts == '1' else 'tokens'} a round: {told}"


def _range(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} to {ends[-1]}"


def certificate(aa: Interval | None) -> str:
    """The A/A interval of a group: how far the plain arm differs from itself."""
    if aa is None:
        return f"A/A {NOT_COMPUTED}"
    reach = max(abs(aa.low - 1), abs(aa.high - 1))
    noise = ": smaller effects are noise here" if reach > WIDE_AA else ""
    return f"A/A {span(aa, 3)}: plain decoding differs from itself by at most {100 * reach:.1f} %{noise}"


def trials(run: dict[str, Any]) -> str:
    """Trials asked for, failed and flagged."""
    asked, failed, flagged = (run.get(key) for key in ("trials", "trials_failed", "trials_flagged"))
    if not isinstance(asked, int):
        return "trials not stored"
    return f"{count(asked, 'trial')}, {failed or 0} failed, {flagged or 0} flagged"


def notes(verdict: RunVerdict) -> list[str]:
    """Warnings of the run, and what a reader must know about its figures."""
    told = [clean(text) for text in (*verdict.warnings, *of_pairs(verdict.cells))]
    if any(cell.synthetic for cell in verdict.cells):
        told.append(
            "SYNTHETIC figures come from forced acceptance or random weights: costs, not a real drafter's gain."
        )
    return told
