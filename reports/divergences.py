"""Every divergence of a run as the HTML report opens it: the text before and after, both tokens, the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.greedy import token
from reports.groups import Group
from reports.text import clean, passage, small
from results.certificate import Divergence, Equivalence
from results.verdicts import CellVerdict

LISTED = 60
"""Divergences of a run that the report opens, the worst first; the JSON holds all."""
_BEFORE, _AFTER = 400, 600
"""Characters of text that are shown."""
_WORST = {"unexplained": 0, "unclassified": 1, "batch-numerics": 2, "tie": 3}


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of text with its whitespace made visible."""

    title: str
    text: str
    left_out: int
    """Characters that were cut off."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One divergence."""

    kind: str
    title: str
    summary: str
    reason: str
    before: Passage
    after: tuple[Passage, Passage]
    """The plain output, then the drafted one."""
    facts: tuple[tuple[str, str], ...]


def shown(groups: Sequence[Group]) -> tuple[tuple[Shown, ...], int]:
    """The divergences of a run, the worst first, as far as they are listed; and how many there are."""
    every = [
        (group, cell, cell.equivalence, divergence)
        for group in groups
        for cell in group.cells
        if cell.equivalence
        for divergence in cell.equivalence.divergences
    ]
    every.sort(key=lambda item: (_WORST[item[3].kind], -(item[3].worst_regret or 0.0)))
    many = len(groups) > 1
    return tuple(_shown(*item, many=many) for item in every[:LISTED]), len(every)


def _shown(group: Group, cell: CellVerdict, found: Equivalence, d: Divergence, *, many: bool) -> Shown:
    place = f"{group.label}, {group.arm(cell)}" if many else group.arm(cell)
    return Shown(
        kind=d.kind.replace("-", " "),
        title=f"{place}: prompt {clean(d.prompt, 60)}, position {d.position}",
        summary=f"{token(d.plain_token)} → {token(d.speculative_token)}, margin {small(d.margin)}",
        reason=clean(d.reason),
        before=_passage("Both outputs, up to here", d.before, _BEFORE, end=True),
        after=(
            _passage("Plain decoding goes on", d.plain_text, _AFTER),
            _passage("Drafted decoding goes on", d.speculative_text, _AFTER),
        ),
        facts=_facts(cell, found, d),
    )


def _passage(title: str, text: str, limit: int, *, end: bool = False) -> Passage:
    kept, left_out = passage(text, limit, "end" if end else "start")
    return Passage(title, kept, left_out)


def _facts(cell: CellVerdict, found: Equivalence, d: Divergence) -> tuple[tuple[str, str], ...]:
    after = "" if d.worst_position is None else f" at position {d.worst_position}"
    return (
        ("Category", clean(d.category, 60)),
        ("Plain token", _scored(d.plain_token, d.plain_logit)),
        ("Drafted token", _scored(d.speculative_token, d.speculative_logit)),
        ("Margin between them", small(d.margin)),
        ("Tolerance of a tie", "not measured" if found.tolerance is None else small(found.tolerance)),
        (f"One rounding unit of {clean(cell.dtype, 20)}", small(d.rounding)),
        ("The undrafted target chooses here", _replayed(d)),
        ("Worst regret from here on", f"{small(d.worst_regret)}{after}"),
    )


def _scored(value: int | None, logit: float | None) -> str:
    if value is None:
        return "the output ends here"
    return f"{token(value)}, logit {'not known' if logit is None else f'{logit:.4f}'}"


def _replayed(d: Divergence) -> str:
    if d.replayed_token is None:
        return "not replayed"
    whose = {d.plain_token: ", the plain one", d.speculative_token: ", the drafted one"}
    return token(d.replayed_token) + whose.get(d.replayed_token, ", neither of the two")
