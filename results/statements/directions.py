"""Statements that need several cells: how the gain goes with the batch, what a wider verification costs, which draft
length is best."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import groupby

from results.compare import CellKey, Ratio, speedup_ratio
from results.statements.published import Statement
from results.statements.ruling import Found, Outcome, against, found, unusable
from results.verdicts import CellVerdict, Interval, Speedup


def over_batches(stated: Statement, cells: Sequence[CellVerdict]) -> Iterator[Found]:
    """Speed-up at the largest batch / at batch 1, everything else the same.

    Two sets of prompts meet, so it is unpaired. Of several draft lengths whose figures count only the best of batch 1
    is looked at, so that nothing is chosen by its outcome.
    """
    alone = [cell for cell in cells if cell.batch_size == 1]
    pairs = [(cell, max(wider, key=lambda one: one.batch_size)) for cell in alone if (wider := _wider(cell, cells))]
    for _, same in groupby(sorted(pairs, key=lambda pair: pair[0].group), lambda pair: pair[0].group):
        group = list(same)
        usable = [pair for pair in group if not any(map(unusable, pair))]
        one, wide = max(usable or group, key=lambda pair: pair[0].speedup.point if pair[0].speedup else 0.0)
        if (why := unusable(one) or unusable(wide)) is not None:
            yield found(wide, ("not comparable", why))
        elif one.speedup and wide.speedup:
            ratio = speedup_ratio(one.speedup, wide.speedup, None)
            yield found(wide, _ruled(ratio, stated), ratio.point, ratio.interval)


def _wider(cell: CellVerdict, cells: Iterable[CellVerdict]) -> list[CellVerdict]:
    names = [f.name for f in fields(CellKey) if f.name != "batch_size"]
    return [
        other
        for other in cells
        if other.batch_size > 1 and all(getattr(other, name) == getattr(cell, name) for name in names)
    ]


def _ruled(ratio: Ratio, stated: Statement) -> tuple[Outcome, str]:
    if ratio.interval is None:
        return "not comparable", "too few units for an interval"
    return against(ratio.point, ratio.interval, stated, gain=False)


def verification(stated: Statement, cells: Sequence[CellVerdict]) -> Iterator[Found]:
    """Time of a verification pass / of a plain pass, and the experts that it read as the reason for it.

    Acceptance, forced or not, changes neither; random weights choose other experts than trained ones.
    """
    for cell in cells:
        wider = cell.costs.widening if cell.costs else None
        if wider is None or cell.status != "ok":
            continue
        interval = Interval.between(wider.low, wider.high)
        yield found(cell, _widened(stated, wider.ratio, interval, wider.experts), wider.ratio, interval)


def _widened(stated: Statement, ratio: float, interval: Interval | None, experts: float | None) -> tuple[Outcome, str]:
    if interval is None:
        return "not comparable", "too few units for an interval"
    outcome, why = against(ratio, interval, stated, gain=False)
    if experts is None:
        return "not comparable", f"{why}, but how many experts the passes read is not revealed"
    read = f"a verification read {experts:.2f} times the experts of a plain pass"
    if experts <= 1 and outcome == "reproduced":
        return "not reproduced", f"{why}, but {read}"
    return outcome, f"{why}; {read}"


def best_length(stated: Statement, cells: Sequence[CellVerdict]) -> Iterator[Found]:
    """The draft length with the largest speed-up of each group and method, beside the recommended ones.

    Another one beats them only where the paired ratio of speed-ups says so for every recommended one, at a level that
    is divided by the pairs that could have been looked at.
    """
    for _, same in groupby(sorted(cells, key=_alike), _alike):
        group = list(same)
        usable = {cell.draft_length: cell.speedup for cell in group if unusable(cell) is None and cell.speedup}
        if usable:
            length = max(usable, key=lambda k: usable[k].point)
            cell = next(cell for cell in group if cell.draft_length == length)
            yield found(cell, _recommended(stated, length, usable), float(length), candidates=len(usable))
        else:
            yield found(group[0], ("not comparable", unusable(group[0]) or "no speed-up was measured"))


def _alike(cell: CellVerdict) -> tuple[int, str]:
    return cell.group, cell.method


def _recommended(stated: Statement, best: int, usable: Mapping[int, Speedup]) -> tuple[Outcome, str]:
    def inside(k: int) -> bool:
        return (stated.low is None or stated.low <= k) and (stated.high is None or k <= stated.high)

    wanted, others = [k for k in usable if inside(k)], [k for k in usable if not inside(k)]
    if not wanted or not others:
        which = "another" if wanted else "the recommended"
        return "not comparable", f"{which} draft length was not measured beside it"
    pairs = len(usable) * (len(usable) - 1) // 2
    rivals = others if inside(best) else wanted
    ratios = [_ratio(usable[rival], usable[best], pairs) for rival in rivals]
    if not all(ratio.interval and ratio.interval.low > 1 for ratio in ratios):
        return "not comparable", f"too imprecise: k = {best} came out first, not distinguishable from k = " + ", ".join(
            str(k) for k, ratio in zip(rivals, ratios, strict=True) if not (ratio.interval and ratio.interval.low > 1)
        )
    return ("reproduced" if inside(best) else "not reproduced"), f"k = {best} is faster than k = " + ", ".join(
        str(k) for k in rivals
    )


def _ratio(a: Speedup, b: Speedup, pairs: int) -> Ratio:
    """b / a over the same units of one group, at a confidence for `pairs` looks (Bonferroni)."""
    units = {unit: str(unit) for one in (a, b) for unit, _, _ in one.per_unit}
    level = 1 - (1 - min(a.confidence, b.confidence)) / pairs
    return speedup_ratio(replace(a, confidence=level), replace(b, confidence=level), (units, units))
