"""What costs measured alone predict, beside what was measured: sentences for a group."""

from collections.abc import Sequence

from reports.economy import Predicted, economies
from reports.groups import Group
from reports.text import NOT_COMPUTED, NOT_REVEALED, Line, number, ratio


def lines(group: Group) -> list[Line]:
    """Nothing where no engine measured its costs alone, and in a run that measures no speed."""
    told = [_beside(each) for each in _found(group)]
    return [Line(f"Predicted from costs measured alone: {', '.join(told)}")] if told else []


def costs(group: Group) -> list[Line]:
    """From which acceptance length drafting pays, and how far a verification is from its floor."""
    found = _found(group)
    told = [f"{_name(each)} {each.told.break_even:.2f}{_accepted(each)}" for each in found]
    pays = [Line(f"Drafting pays from an acceptance length of: {', '.join(told)}")] if told else []
    if all(each.told.measured_over_floor is None for each in found):
        return pays
    floors = [f"{_name(each)} {_times(each.told.measured_over_floor)}" for each in found]
    rates = [
        f"{_range(known)} {unit}"
        for unit, rate in (
            ("GB/s", [each.told.bandwidth for each in found]),
            ("GFLOP/s", [each.told.peak for each in found]),
        )
        if (known := sorted(one / 1e9 for one in rate if one is not None))
    ]
    machine = f" (machine: {' and '.join(rates)})" if rates else ""
    return [
        *pays,
        Line(f"A verification over its floor: {', '.join(floors)}{machine}"),
        *(Line(note, "quiet") for economy in economies([group]) for note in economy.notes),
    ]


def _found(group: Group) -> list[Predicted]:
    """By method, then draft length."""
    return [each for economy in economies([group]) for row in economy.rows for each in row]


def _name(each: Predicted) -> str:
    return each.group.marked(each.cell)


def _beside(each: Predicted) -> str:
    speedup = each.cell.speedup
    seen = f"measured {ratio(speedup.point)}" if speedup else f"measured {NOT_COMPUTED}"
    return f"{_name(each)} {ratio(each.told.speedup)} ({seen})"


def _accepted(each: Predicted) -> str:
    return f" (measured {each.cell.acceptance.length:.2f})" if each.cell.acceptance else ""


def _times(over: float | None) -> str:
    return NOT_REVEALED if over is None else f"{number(over)}×"


def _range(ordered: Sequence[float]) -> str:
    ends = [number(ordered[0]), number(ordered[-1])]
    return ends[0] if ends[0] == ends[1] else "–".join(ends)
