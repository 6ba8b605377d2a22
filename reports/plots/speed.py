"""Pictures of speed: the decision, the speed-up by draft length, its scatter over units, the A/A certificate."""

from collections.abc import Sequence

from reports.groups import Group, labels, measured, sound
from reports.plots.axes import MARKERS, SERIES, band, beside, legend, ratio_axis, rows, synthetic_mark, whisker
from reports.plots.canvas import COLOUR, Picture, canvas
from reports.text import NOT_COMPUTED, clean, confidence, count, ratio, share, span
from results.remarks import WIDE_AA
from results.verdicts import CellVerdict, Interval, Speedup

_ROW = 26
"""Units of height per named row."""
_DOTS = 120
"""Up to this many units are drawn as dots, more as their deciles."""


def _timed(group: Group) -> list[tuple[CellVerdict, Speedup]]:
    return [(cell, cell.speedup) for cell in group.cells if measured(cell) and cell.speedup is not None]


def extent(groups: Sequence[Group]) -> list[float]:
    """Every speed-up figure of these groups, so that their pictures can share an axis."""
    values: list[float] = []
    for group in groups:
        for cell, speedup in _timed(group):
            values.append(speedup.point)
            for interval in (speedup.these_prompts, speedup.new_prompts, cell.aa):
                values += [interval.low, interval.high] if interval else []
    return values


def decision(key: str, groups: Sequence[Group]) -> Picture | None:
    """The best setting of every group with its selection-adjusted interval, beside the group's A/A interval."""
    shown = [(group, group.best, group.focus) for group in groups if group.best and group.focus]
    if not shown:
        return None
    told: list[str] = []
    with canvas(key, 74 + _ROW * len(shown), width=320) as drawn:
        axes = drawn.axes
        values: list[float] = []
        axes.axvline(1, color=COLOUR["muted"], linewidth=1)
        for row, (group, best, cell) in enumerate(shown):
            for interval, role, width, name in (
                (cell.aa, "band", 12, "A/A: plain against itself"),
                (best.adjusted, "accent", 2.5, "selection-adjusted interval"),
            ):
                if interval is not None:
                    values += [interval.low, interval.high]
                    axes.plot([interval.low, interval.high], [row, row], color=COLOUR[role], linewidth=width,
                              solid_capstyle="butt", label=name, zorder=2 if role == "band" else 3)  # fmt: skip
            sure = best.distinguishable
            axes.plot([best.speedup], [row], marker="o", markersize=7, linestyle="none", markeredgewidth=1.6, zorder=4,
                      color=COLOUR["accent"], markerfacecolor=COLOUR["accent" if sure else "paper"])  # fmt: skip
            values.append(best.speedup)
            told.append(
                f"{group.label}: {group.marked(cell)}, {ratio(best.speedup)}, interval "
                f"{span(best.adjusted)}, A/A {span(cell.aa, 3)}"
            )
        names = [group.label.replace("-token prompts", " tokens") or group.arm(cell) for group, _, cell in shown]
        rows(axes, [clean(name, 34) for name in names])
        ratio_axis(axes, "x", values)
        axes.set_xlabel("speed-up")
        synthetic_mark(drawn, any(cell.synthetic for _, _, cell in shown))
        legend(drawn)
    return Picture(
        key=key,
        title="Best setting and what chance alone does",
        about=f"{count(len(shown), 'setting')}; log scale",
        alternative="; ".join(told) + ".",
        svg=drawn.svg,
    )


def by_length(key: str, group: Group, shared: Sequence[float]) -> Picture | None:
    """Speed-up by draft length with both intervals and the A/A band; `shared` are the figures to scale by."""
    timed = _timed(group)
    if not timed:
        return None
    ks = sorted({cell.draft_length for cell, _ in timed})
    aa = next((cell.aa for cell, _ in timed if cell.aa), None)
    with canvas(key, 270) as drawn:
        axes = drawn.axes
        for number, method in enumerate(group.methods):
            colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
            shift = 0.16 * (number - (len(group.methods) - 1) / 2)
            mine = [(ks.index(c.draft_length) + shift, c, s) for c, s in timed if c.method == method]
            ranked = [(x, s.point) for x, c, s in mine if sound(c)]
            axes.plot([x for x, _ in ranked], [y for _, y in ranked], color=colour, linewidth=0.8, alpha=0.5)
            name = clean(method, 24) if len(group.methods) > 1 else "speed-up"
            axes.plot([], [], color=colour, marker=marker, markersize=6, linestyle="none", label=name)
            for x, cell, speedup in mine:
                good = sound(cell)
                ink = colour if good else COLOUR["muted"]
                axes.plot([x], [speedup.point], marker=marker if good else "X", markersize=6, linestyle="none",
                          markeredgewidth=1.6, color=ink, zorder=4,
                          markerfacecolor=ink if good and cell.distinguishable is not False else COLOUR["paper"],
                          label=None if good else "not ranked")  # fmt: skip
                if not good:
                    beside(axes, x, speedup.point, labels(cell)[0].lower(), ink)
                whisker(axes, x, speedup.these_prompts, width=5, colour=ink, label="these prompts")
                whisker(axes, x, speedup.new_prompts, width=1.4, colour=ink, label="new prompts like these")
        band(axes, aa)
        axes.set_xticks(range(len(ks)), labels=[str(k) for k in ks])
        axes.set_xlim(-0.5, len(ks) - 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("draft length k, tokens a round")
        axes.set_ylabel("decode speed-up")
        ratio_axis(axes, "y", shared)
        synthetic_mark(drawn, group.synthetic)
        legend(drawn)
    told = [
        f"{group.marked(c)} {ratio(s.point)} (new prompts {span(s.new_prompts)}"
        + (", not distinguishable from plain)" if c.distinguishable is False else ")")
        for c, s in timed
    ]
    return Picture(
        key=key,
        title=f"Speed-up by draft length: {group.label}",
        about=f"{_units([c for c, _ in timed])}, {confidence(timed[0][1].confidence)} intervals; log scale; "
        "hollow: not distinguishable from plain",
        alternative=f"{'; '.join(told)}. A/A {span(aa, 3)}.",
        svg=drawn.svg,
    )


def _units(cells: Sequence[CellVerdict]) -> str:
    low, high = min(c.n_units for c in cells), max(c.n_units for c in cells)
    return count(high, "unit") if low == high else f"{low} to {high} units"


def scatter(key: str, group: Group) -> Picture | None:
    """The speed-up of every unit: what a user's own prompt may get."""
    shown = [(cell, sorted(r for _, _, r in s.per_unit if r > 0)) for cell, s in _timed(group) if s.per_unit]
    shown = [(cell, ratios) for cell, ratios in shown if ratios]
    if not shown:
        return None
    with canvas(key, 70 + _ROW * len(shown)) as drawn:
        axes = drawn.axes
        band(axes, shown[0][0].aa, "x")
        for row, (_, ratios) in enumerate(shown):
            middle = _quantile(ratios, 0.5)
            if len(ratios) <= _DOTS:
                heights = [row + 0.5 * ((i * 0.618034) % 1 - 0.5) for i in range(len(ratios))]
                axes.plot(ratios, heights, marker="o", markersize=3, linestyle="none", color=COLOUR["accent"],
                          alpha=0.6, markeredgewidth=0)  # fmt: skip
            else:
                for low, high, width in ((0.0, 1.0, 1.2), (0.1, 0.9, 4), (0.25, 0.75, 9)):
                    ends = [_quantile(ratios, low), _quantile(ratios, high)]
                    axes.plot(
                        ends, [row, row], color=COLOUR["accent"], alpha=0.6, linewidth=width, solid_capstyle="butt"
                    )
            axes.plot([middle, middle], [row - 0.32, row + 0.32], color=COLOUR["ink"], linewidth=1.8, label="median")
        rows(axes, [group.marked(cell) for cell, _ in shown])
        ratio_axis(axes, "x", [r for _, ratios in shown for r in (ratios[0], ratios[-1])])
        axes.set_xlabel("decode speed-up of one unit")
        synthetic_mark(drawn, group.synthetic)
    told = [f"{group.marked(c)} {ratio(r[0])} to {ratio(r[-1])}, median {ratio(_quantile(r, 0.5))}" for c, r in shown]
    kind = "dots: units" if all(len(r) <= _DOTS for _, r in shown) else "bars: all, 10–90 %, 25–75 % of the units"
    return Picture(
        key=key,
        title=f"Speed-up of single units: {group.label}",
        about=f"{_units([c for c, _ in shown])} a row; {kind}; line: median; band: A/A",
        alternative="; ".join(told) + ".",
        svg=drawn.svg,
    )


def _quantile(ordered: Sequence[float], q: float) -> float:
    """Linear between order statistics (Hyndman & Fan type 7)."""
    at = q * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def certificate(key: str, groups: Sequence[Group]) -> Picture | None:
    """The A/A interval of every group, on an axis of its own."""
    found: list[tuple[Group, Interval]] = []
    for group in groups:
        aa = next((cell.aa for cell in group.cells if cell.aa), None)
        if aa is not None:
            found.append((group, aa))
    if not found:
        return None
    with canvas(key, 70 + _ROW * len(found)) as drawn:
        axes = drawn.axes
        axes.axvspan(
            1 / (1 + WIDE_AA), 1 + WIDE_AA, color=COLOUR["band"], linewidth=0, label=f"within {share(WIDE_AA)}"
        )
        axes.axvline(1, color=COLOUR["muted"], linewidth=1)
        for row, (_, aa) in enumerate(found):
            axes.plot([aa.low, aa.high], [row, row], color=COLOUR["accent"], linewidth=5, solid_capstyle="butt",
                      label="A/A interval")  # fmt: skip
        rows(axes, [clean(group.label, 30) for group, _ in found])
        ratio_axis(axes, "x", [1 - 1.3 * WIDE_AA, 1 + 1.3 * WIDE_AA, *(v for _, a in found for v in (a.low, a.high))])
        axes.set_xlabel("plain over plain")
        legend(drawn)
    missing = len(groups) - len(found)
    return Picture(
        key=key,
        title="A/A certificate: plain decoding against itself",
        about=count(len(found), "setting") + (f"; {NOT_COMPUTED} for {missing}" if missing else ""),
        alternative="; ".join(f"{group.label}: {span(aa, 3)}" for group, aa in found) + ".",
        svg=drawn.svg,
    )
