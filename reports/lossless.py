"""The losslessness certificate of a group and of a run, in plain words: the same in the terminal and in HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports import greedy, sampled
from reports.groups import Group, groups
from reports.text import TONES, Line, Tone, clean, count, small
from results.certificate import Equivalence, SamplingCertificate
from results.verdicts import CellVerdict, RunVerdict

UNTESTED = "Losslessness untested: this run compared no output with plain decoding"
REASONS = 5
"""Reasons of a run that are told one by one."""
_VERDICTS: dict[str, Line] = {
    "identical": Line("Output identical to plain decoding in every prompt compared", "good"),
    "equivalent": Line("Output equivalent to plain decoding, every divergence explained", "good"),
    "text-only": Line("Only texts could be compared, no token ids", "caution"),
    "untested": Line("Losslessness untested", "caution"),
    "unexplained": Line("Output is not the target's own", "loud"),
    "not distinguishable": Line(
        "Sampled output not distinguishable from the target's own distribution, which is no proof of losslessness"
    ),
    "untested sampling": Line("Sampled output untested", "caution"),
    "biased": Line("Sampled output does not follow the target's own distribution", "loud"),
}
_GOOD = ("identical", "equivalent", "not distinguishable")


@dataclass(frozen=True, slots=True)
class Summary:
    """The certificate of a whole run, for the first screen."""

    verdicts: tuple[Line, ...]
    """On greedy and on sampled output, each as bad as the worst of its cells; never empty."""
    facts: tuple[tuple[str, str, Tone], ...]
    """(name, value, tone): prompts compared, divergences by class, worst regret, controls."""
    reasons: tuple[str, ...]
    """What keeps the run from a good verdict."""

    @property
    def tone(self) -> Tone:
        """That of the worst verdict."""
        return max((line.tone for line in self.verdicts), key=TONES.index)

    @property
    def headline(self) -> str:
        """All verdicts in one sentence."""
        return "; ".join((self.verdicts[0].text, *(_lowered(line.text) for line in self.verdicts[1:])))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def output(cell: CellVerdict) -> str:
    """The verdict on the output of a cell in a word or three."""
    found = cell.equivalence or cell.sampling
    return found.verdict if found else "untested"


def block(group: Group, *, singly: bool = True) -> list[Line]:
    """The certificate of a group, the verdicts first.

    singly: tell the first unexplained divergences one by one; the HTML report opens them all instead.
    """
    return [*greedy.lines(group, singly=singly), *sampled.lines(group), *_port(group)] or [Line(UNTESTED, "quiet")]


def _port(group: Group) -> Iterable[Line]:
    """Whether the runtime computes the model that the reference runtime does."""
    found = group.cells[0].cross_runtime
    if found is None:
        return
    text = (
        f"Plain output, teacher-forced by {clean(found.reference)}: {found.chosen:.1%} of "
        f"{count(found.tokens, 'token')} are what its target would have chosen too · regret p99 "
        f"{small(found.regrets.p99)}, worst {small(found.regrets.max)}"
    )
    if found.doubtful:
        yield Line(f"{text}: more than rounding differs, so that this runtime may compute another model", "loud")
    else:
        yield Line(text, "quiet")


def summary(verdict: RunVerdict) -> Summary:
    """The certificate of a run."""
    whole, cells = verdict.certificate, verdict.cells
    greedy_verdicts = [c.equivalence.verdict for c in cells if c.equivalence]
    sampled_verdicts = [c.sampling.verdict for c in cells if c.sampling]
    found = [_worst(whole.equivalence, greedy_verdicts)] if whole.equivalence else []
    found += [_worst(whole.sampling, sampled_verdicts, " sampling")] if whole.sampling else []
    good = all(line.tone in ("good", "plain") for line in found)
    told = [] if good else [clean(reason) for reason in whole.reasons]
    more = [f"and {len(told) - REASONS} more"] if len(told) > REASONS else []
    return Summary(
        verdicts=tuple(sorted(found, key=lambda line: line.tone != "loud")) or (Line(UNTESTED, "quiet"),),
        facts=(*_greedy_facts(verdict), *_sampled_facts([c.sampling for c in verdict.cells if c.sampling])),
        reasons=(*told[:REASONS], *more),
    )


def _worst(verdict: str, of_cells: Sequence[str], kind: str = "") -> Line:
    """The worst verdict of a run, and in how many of its cells it was given where it is not a good one."""
    line = _VERDICTS.get(verdict + kind) or _VERDICTS[verdict]
    n = of_cells.count(verdict)
    partly = verdict not in _GOOD and n < len(of_cells)
    return Line(f"{line.text} in {n} of {count(len(of_cells), 'cell')}", line.tone) if partly else line


def _greedy_facts(verdict: RunVerdict) -> Iterable[tuple[str, str, Tone]]:
    found = [c.equivalence for c in verdict.cells if c.equivalence]
    if not found:
        return
    prompts = sorted({e.prompts for e in found})
    each = f"{prompts[0]:,} in each of" if len(prompts) == 1 else f"{prompts[0]:,} to {prompts[-1]:,} in"
    yield "Prompts compared", f"{each} {count(len(found), 'cell')}" if len(found) > 1 else str(prompts[0]), "plain"
    parts = greedy.classes(_sum(found)) if any(prompts) else ["nothing compared"]
    yield "Divergences", ", ".join(parts) or "none", "loud" if any(e.unexplained for e in found) else "plain"
    worst = greedy.regret(found).removeprefix("worst regret ")
    yield "Worst regret", f"{worst} · {greedy.tolerance(found)}", "plain"
    held: dict[str, list[int]] = {}
    for group in groups(verdict):
        for control in greedy.controls_of(c.equivalence for c in group.cells if c.equivalence):
            totals = held.setdefault(control.kind, [0, 0])
            totals[0] += control.diverged
            totals[1] += control.prompts
    told = [f"{greedy.CONTROLS[kind]} {diverged} of {asked}" for kind, (diverged, asked) in held.items()]
    yield "Diverged without a drafter", ", ".join(told) or "no control", "plain"


def _sum(found: list[Equivalence]) -> Equivalence:
    """All cells as one, as far as their divergences by class go."""
    names = ("tie", "batch_numerics", "unexplained", "unclassified")
    totals = {name: sum(getattr(e, name) for e in found) for name in names}
    return Equivalence("untested", "", 0, 0, **totals, max_regret=None, control_divergences=None)


def _sampled_facts(found: list[SamplingCertificate]) -> Iterable[tuple[str, str, Tone]]:
    known = sampled.judged(found)
    if not known:
        return
    yield "Sampled tokens tested", f"{sum(s.n for s in known):,} in {count(len(known), 'cell')}", "plain"
    biased = any(s.verdict == "biased" for s in known)
    p = sampled.smallest(known).removeprefix("smallest p ")
    yield "Smallest p", f"{p}, {sampled.level(known)}", "loud" if biased else "plain"
    if not biased:
        yield "Would have been caught", sampled.power(known).replace(" would have been caught", ","), "plain"
    both = sampled.controls(known)
    caught = all(control.tone == "quiet" for control in both)
    yield "Controls", "; ".join(control.text for control in both), "plain" if caught else "caution"
