"""The greedy losslessness certificate in plain sentences: is drafted output, token for token, the target's own?"""

from collections.abc import Iterable, Iterator, Sequence

from reports.groups import Group
from reports.text import NOT_COMPUTED, Line, clean, count, number, small
from results.certificate import Control, Equivalence
from results.verdicts import CellVerdict

CONTROLS = {"again": "again", "batch-shape": "other batch shape"}
CLASSES = {"tie": ("tie", "ties"), "batch-numerics": ("batch numerics", "batch numerics"),
           "unexplained": ("unexplained", "unexplained"), "unclassified": ("unclassified", "unclassified")}  # fmt: skip
SIGNIFICANT = 0.05
"""Level of the frequency test."""
_FIRST = 3
"""Unexplained divergences that are told one by one here; the report and the JSON hold all."""

Found = Sequence[tuple[CellVerdict, Equivalence]]


def lines(group: Group, *, singly: bool) -> Iterator[Line]:
    """The certificates of a group's greedy cells; nothing where there is none."""
    found = [(cell, cell.equivalence) for cell in group.cells if cell.equivalence]
    if not found:
        return
    measures = (tolerance(e for _, e in found), controls(controls_of(e for _, e in found)))
    alike = list(group.alike(found, _same_words))
    for where, same in alike:
        line = _verdict(where, same)
        whole = len(alike) == 1 and same[0].prompts > 0
        yield Line(" · ".join((line.text, *measures)), line.tone) if whole else line
    if len(alike) > 1:
        yield Line(" · ".join(measures).capitalize(), "quiet")
    diverged = [(cell, e) for cell, e in found if e.verdict == "equivalent"]
    if len({_parts(e) for _, e in diverged}) > 1:
        told = [f"{group.arm(cell)}: {_parts(e)}, {regret([e])}" for cell, e in diverged]
        yield Line(" · ".join(told), "quiet")
    if singly:
        yield from _unexplained(group, found)
    yield from _frequency(group, found)
    for cell, e in found:
        if cell.dtype == "float32" and e.beyond_controls:
            yield Line(
                f"{group.arm(cell)}: float32 output should be identical wherever the undrafted controls are, and "
                f"{count(e.beyond_controls, 'prompt')} diverged in which no control did",
                "caution",
            )


def _same_words(found: Equivalence) -> object:
    """What cells must share to be told in one line."""
    return "equivalent" if found.verdict == "equivalent" else (found.verdict, found.reason, _parts(found))


def _parts(found: Equivalence) -> str:
    """`17 of 20 identical, 2 ties, 1 batch numerics`."""
    return ", ".join((f"{found.identical} of {found.prompts} identical", *classes(found)))


def classes(found: Equivalence) -> list[str]:
    """Diverged prompts by class, those that occur: `2 ties`, `1 batch numerics`."""
    counts = zip(
        CLASSES.values(), (found.tie, found.batch_numerics, found.unexplained, found.unclassified), strict=True
    )
    return [count(n, one, many) for (one, many), n in counts if n]


def _verdict(where: str, alike: Sequence[Equivalence]) -> Line:
    """What the certificates of these cells, which say the same, say."""
    found = alike[0]
    same, of, why = f"{found.identical} of {count(found.prompts, 'prompt')}", found.prompts, clean(found.reason)
    parts = _parts(found)
    worst = regret(alike)
    match found.verdict:
        case "identical":
            return Line(f"Output identical to plain decoding in {same} {where} · {worst}", "good")
        case "equivalent":
            told = f"Output equivalent to plain decoding {where}, every divergence explained"
            same_parts = len({_parts(e) for e in alike}) == 1
            return Line(f"{told}: {parts} · {worst}" if same_parts else f"{told} · {worst}", "good")
        case "text-only":
            told = f"Only texts could be compared {where}, no token ids: equal in {same}"
            return Line(f"{told}; {why}" if why else told, "caution")
        case "untested":
            told = f"Losslessness untested {where}: {why or 'nothing was compared'}"
            return Line(f"{told} ({parts})" if of else told, "caution")
        case "unexplained":
            told = f"UNEXPLAINED {where}: the output is not the target's own: {parts} · {worst}"
            told_below = any(d.kind == "unexplained" for d in found.divergences)
            return Line(f"{told} · {why}" if why and not told_below else told, "loud")


def regret(found: Iterable[Equivalence]) -> str:
    """The certificate's number, the worst of several."""
    known = [e.max_regret for e in found if e.max_regret is not None]
    return f"worst regret {small(max(known))}" if known else f"worst regret {NOT_COMPUTED}"


def tolerance(found: Iterable[Equivalence]) -> str:
    """The margin within which two tokens tie, of several certificates."""
    known = sorted(e.tolerance for e in found if e.tolerance is not None)
    if not known:
        return "tolerance not measured"
    return f"tolerance {' to '.join(dict.fromkeys((small(known[0]), small(known[-1]))))}"


def controls(found: Iterable[Control]) -> str:
    """How often undrafted decoding left itself."""
    told = [f"{CONTROLS[c.kind]} {c.diverged} of {c.prompts}" for c in found]
    return f"controls without drafter diverged: {', '.join(told)}" if told else "no control without drafter"


def controls_of(found: Iterable[Equivalence]) -> tuple[Control, ...]:
    """The controls of a group, whose cells share them: of each kind the first."""
    first: dict[str, Control] = {}
    for certificate in found:
        for control in certificate.controls:
            first.setdefault(control.kind, control)
    return tuple(first.values())


def _unexplained(group: Group, found: Found) -> Iterator[Line]:
    every = [(cell, d) for cell, e in found for d in e.divergences if d.kind == "unexplained"]
    for cell, d in every[:_FIRST]:
        after = "" if d.worst_position is None else f" at position {d.worst_position}"
        yield Line(f"{group.arm(cell)}: {clean(d.reason)} · worst regret {small(d.worst_regret)}{after}", "loud")
    if len(every) > _FIRST:
        yield Line(f"and {len(every) - _FIRST} more unexplained: the HTML report and --json hold all", "loud")


def token(value: int | None) -> str:
    """A token id, or the end of the output."""
    return "the end" if value is None else f"token {value}"


def _frequency(group: Group, found: Found) -> Iterator[Line]:
    """Whether divergences are more frequent than without a drafter; where none is, the cell that comes nearest."""
    tests = [(cell, e.frequency) for cell, e in found if e.frequency and e.frequency.diverged]
    more = [(cell, test) for cell, test in tests if test.p < SIGNIFICANT]
    for cell, test in more or sorted(tests, key=lambda pair: pair[1].p)[:1]:
        seen = (
            f"{test.diverged} of {test.prompts} prompts diverged against {test.control_diverged} in the control "
            f"({CONTROLS[test.against]}), p = {small(test.p, 2)}"
        )
        if test.p < SIGNIFICANT:
            yield Line(f"{group.arm(cell)} diverges more often than decoding without a drafter: {seen}", "caution")
        else:
            told = "Divergences are not shown to be more frequent than without a drafter"
            yield Line(f"{told}: {group.arm(cell)}: {seen}; {_detectable(test.detectable)}", "quiet")


def _detectable(share: float | None) -> str:
    if share is None:
        return "with so few prompts no share would have been noticed"
    return f"{number(100 * share, 2)} % of prompts beyond the control would have been noticed 4 times in 5"
