"""The picture of what costs measured alone predict beside what was measured, one panel for each batch size."""

from collections.abc import Sequence

from reports.economy import Economy, Predicted
from reports.groups import batch, sound
from reports.plots.axes import band, legend, ratio_axis, whisker
from reports.plots.canvas import COLOUR, FONT, Picture, canvas
from reports.text import count, ratio, span
from results.verdicts import Speedup

_PANEL = 135
"""Units of height."""
_ALONE = 200
"""The same of a single panel."""
_REACH = 2.5
"""So far beyond the outermost points intervals are drawn: a wide one would leave no room to compare points."""

Timed = tuple[Predicted, Speedup]


def beside_measured(key: str, economy: Economy) -> Picture | None:
    """Speed-ups with their intervals and the prediction at the same draft length, on one scale for all batch sizes."""
    rows = [
        [(each, each.cell.speedup) for each in row if sound(each.cell) and each.cell.speedup is not None]
        for row in economy.rows
    ]
    shown = [row for row in rows if row]
    if not shown:
        return None
    lengths = sorted({each.cell.draft_length for row in shown for each, _ in row})
    height = 72 + (_ALONE if len(shown) == 1 else _PANEL * -(-len(shown) // 2))
    with canvas(key, height, panels=len(shown)) as drawn:
        points = [value for row in shown for each, speedup in row for value in (speedup.point, each.told.speedup)]
        ends = [
            end
            for row in shown
            for each, speedup in row
            for interval in (speedup.these_prompts, speedup.new_prompts, each.cell.aa)
            for end in ((interval.low, interval.high) if interval else ())
        ]
        low, high = min(points) / _REACH, max(points) * _REACH
        for axes, row in zip(drawn.panels, shown, strict=True):
            band(axes, next((each.cell.aa for each, _ in row if each.cell.aa), None))
            for each, speedup in row:
                at = lengths.index(each.cell.draft_length)
                hollow = each.cell.distinguishable is False
                axes.plot([at], [speedup.point], color=COLOUR["accent"], marker="o", markersize=6, linestyle="none",
                          markeredgewidth=1.6, markerfacecolor=COLOUR["paper" if hollow else "accent"],
                          zorder=4)  # fmt: skip
                axes.plot([], [], color=COLOUR["accent"], marker="o", markersize=6, linestyle="none", label="measured")
                whisker(axes, at, speedup.these_prompts, width=5, colour=COLOUR["accent"], label="these prompts")
                whisker(
                    axes, at, speedup.new_prompts, width=1.4, colour=COLOUR["accent"], label="new prompts like these"
                )
            axes.plot([lengths.index(each.cell.draft_length) + 0.2 for each, _ in row],
                      [each.told.speedup for each, _ in row], color=COLOUR["third"], linewidth=1.3,
                      linestyle=(0, (1, 1.5)), marker="D", markersize=5, markerfacecolor=COLOUR["paper"], zorder=5,
                      label="predicted")  # fmt: skip
            axes.set_title(batch(row[0][0].cell), loc="left", fontsize=FONT, color=COLOUR["ink"])
            if any(each.cell.synthetic for each, _ in row):
                axes.set_title("SYNTHETIC", loc="right", fontsize=FONT, color=COLOUR["loss"], fontweight="bold")
            axes.grid(axis="x", visible=False)
        for number, axes in enumerate(drawn.panels):
            ratio_axis(axes, "y", [*points, *(min(max(end, low), high) for end in ends)])
            axes.set_xticks(range(len(lengths)), labels=[str(length) for length in lengths])
            axes.set_xlim(-0.5, len(lengths) - 0.3)
            if number >= len(shown) - 2:
                axes.set_xlabel("draft length k")
            if number % 2 == 0:
                axes.set_ylabel("decode speed-up")
        legend(drawn)
    return Picture(
        key=key,
        title=f"Predicted beside measured: {economy.label}",
        about=f"{count(len(shown), 'batch size')}, {count(sum(map(len, shown)), 'cell')}; log scale; "
        "hollow circle: not distinguishable from plain"
        + ("; intervals are cut at the edge" if any(not low <= end <= high for end in ends) else ""),
        alternative="; ".join(map(_told, shown)) + ".",
        svg=drawn.svg,
    )


def _told(row: Sequence[Timed]) -> str:
    parts = [
        f"{each.group.marked(each.cell)} measured {ratio(speedup.point)} (new prompts {span(speedup.new_prompts)}), "
        f"predicted {ratio(each.told.speedup)}"
        for each, speedup in row
    ]
    return f"{batch(row[0][0].cell)}: {', '.join(parts)}"
