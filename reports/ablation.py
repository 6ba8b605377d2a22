"""What losing a part of MTP costs, one sentence for each part."""

from itertools import groupby

from reports.groups import Group
from reports.text import NOT_COMPUTED, Line, clean, count, listed, ratio, size, span
from results.verdicts import Ablation


def lines(group: Group) -> list[Line]:
    """Nothing where no part was taken away."""
    return [_part(part, list(found)) for part, found in groupby(group.ablations, key=lambda each: each.part)]


def _part(part: str, found: list[Ablation]) -> Line:
    units = min(each.units for each in found)
    basis = f" ({count(units, 'unit')}, paired)" if units else ""
    return Line(f"MTP without {clean(part, 40)}: {'; '.join(map(_price, found))}{basis}")


def _price(found: Ablation) -> str:
    told = []
    if found.speedup is not None:
        interval = span(found.new_prompts) if found.new_prompts else f"interval {NOT_COMPUTED}"
        told.append(f"{ratio(found.speedup)} ({interval}) the speed-up")
    if found.acceptance is not None:
        told.append(f"{ratio(found.acceptance)} the acceptance length")
    if found.own_bytes is not None:
        told.append(f"{size(found.own_bytes)} of memory more")
    label = "SYNTHETIC " if found.synthetic else ""
    return f"{label}{listed(told)} at k = {found.draft_length}"
