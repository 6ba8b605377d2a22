"""Intervals against their limits, drawn with characters: step summaries show no pictures of their own."""

from collections.abc import Sequence

from reports.gating import words
from results.gating.limits import Criterion, Finding

WIDTH = 41
_REACH = 4.0
"""Ends are cut off where they lie so many limits away from 0."""


def picture(findings: Sequence[Finding]) -> list[str]:
    """A line for each interval, by criterion; nothing where there is none.

    ├──●──┤ is the interval with its estimate, ┊ the limit, ‹ › an end that lies further out.
    """
    lines: list[str] = []
    for criterion in words.MEASURED:
        same = [one for one in findings if one.criterion == criterion and one.interval and one.limit is not None]
        if same:
            lines += [*([""] if lines else []), *_panel(criterion, same)]
    return lines


def _panel(criterion: Criterion | str, findings: Sequence[Finding]) -> list[str]:
    names = [words.short_name(one.cell, [f.cell for f in findings], one.number) for one in findings]
    room = max(map(len, names))
    limit = findings[0].limit or 0.0
    ends = [end for one in findings if one.interval for end in (one.interval.low, one.interval.high)]
    span = (limit / 2, 2 * limit) if criterion == "minimum speed-up" else (-_REACH * abs(limit), _REACH * abs(limit))
    low = max(min(*ends, limit), min(span)) if span[0] != span[1] else min(*ends, limit)
    high = min(max(*ends, limit), max(span)) if span[0] != span[1] else max(*ends, limit)
    margin = (high - low) * 0.05 or 0.01
    low, high = low - margin, high + margin
    head = f"{criterion}, limit {words.limit(findings[0])} at ┊"
    return [
        head,
        *(
            f"{name:<{room}}  {_bar(one, low, high)}  {words.DECISIONS[one.decision]}"
            for name, one in zip(names, findings, strict=True)
        ),
    ]


def _bar(finding: Finding, low: float, high: float) -> str:
    assert finding.interval is not None and finding.limit is not None and finding.estimate is not None

    def column(value: float) -> int:
        return min(WIDTH - 1, max(0, round((value - low) / (high - low) * (WIDTH - 1))))

    line = [" "] * WIDTH
    line[column(finding.limit)] = "┊"
    first, last = column(finding.interval.low), column(finding.interval.high)
    for at in range(first, last + 1):
        line[at] = "┼" if line[at] == "┊" else "─"
    line[first] = "‹" if finding.interval.low < low else "├"
    line[last] = "›" if finding.interval.high > high else "┤"
    if low <= finding.estimate <= high:
        line[column(finding.estimate)] = "●"
    return "".join(line)
