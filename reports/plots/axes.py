"""What several pictures share: ratio axes, intervals as bars, rows with names, the mark on synthetic figures."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reports.plots.canvas import COLOUR, FONT, Canvas
from results.verdicts import Interval

MARKERS = ("o", "s", "^", "D")
"""One per series, beside its colour in SERIES: nothing is told by colour alone."""
SERIES = tuple(COLOUR[role] for role in ("accent", "second", "third", "fourth"))

_WIDE = 5.0
"""From this ratio between its ends on, an axis is ticked in powers of two."""
_TICKS = {"x": 4, "y": 7}
"""No more of them than that: an interval without bounds would write them over each other."""


def ratio_axis(axes: Axes, which: Literal["x", "y"], values: Iterable[float]) -> None:
    """A logarithmic axis, as ratios ask for, with round ticks around `values` and 1."""
    seen = [v for v in (*values, 1.0) if v > 0]
    low, high = min(seen) / 1.04, max(seen) * 1.04
    if high / low > _WIDE:
        every = math.ceil(math.log2(high / low) / _TICKS[which])  # of the powers of two
        ticks = [2.0**i for i in range(-20 * every, 20 * every + 1, every) if low <= 2.0**i <= high]
    else:
        fine = (
            MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10])
            if which == "y"
            else MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
        )
        steps = fine.tick_values(low, high)
        ticks = [round(float(t), 6) for t in steps if low <= t <= high]
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{4 if value > 0.1 else 2}g}×"))


def band(axes: Axes, aa: Interval | None, which: Literal["x", "y"] = "y") -> None:
    """The A/A interval behind everything, and the line where speculation changes nothing."""
    span, line = (axes.axhspan, axes.axhline) if which == "y" else (axes.axvspan, axes.axvline)
    if aa is not None:
        span(aa.low, aa.high, color=COLOUR["band"], linewidth=0, label="A/A: plain against itself")
    line(1, color=COLOUR["muted"], linewidth=1)


def whisker(
    axes: Axes, x: float, interval: Interval | None, *, width: float, colour: str, label: str | None = None
) -> None:
    """A vertical interval at `x`."""
    if interval is not None:
        axes.plot(
            [x, x], [interval.low, interval.high], color=colour, linewidth=width, solid_capstyle="butt", label=label
        )


def beside(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """A word to the right of a point."""
    axes.annotate(text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", ha="left", color=colour)


def rows(axes: Axes, names: Sequence[str]) -> None:
    """Named rows, the first one on top, with no lines between them."""
    axes.set_yticks(range(len(names)), labels=list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for text in axes.get_yticklabels():
        text.set_color(COLOUR["ink"])


def legend(drawn: Canvas) -> None:
    """One entry per label, in reading order, below the axes, in as many columns as fit."""
    found = [pair for axes in drawn.panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    first = {name: handle for handle, name in reversed(found)}
    kept = list(dict.fromkeys(name for _, name in found))
    room = drawn.figure.get_figwidth() * 72 / FONT
    columns: list[list[str]] = []
    for depth in range(1, len(kept) + 1):
        number = math.ceil(len(kept) / depth)
        columns = [kept[column::number] for column in range(number)]
        if sum(0.62 * max(map(len, column)) + 2.7 for column in columns) <= room:  # ems: a letter, a handle and gaps
            break
    if not columns:
        return
    ordered = [name for column in columns for name in column]  # matplotlib fills columns first
    drawn.figure.legend(
        [first[name] for name in ordered], ordered, loc="outside lower center", ncols=len(columns),
        handlelength=1.4, handletextpad=0.5, columnspacing=0.8,
    )  # fmt: skip


def synthetic_mark(drawn: Canvas, synthetic: bool) -> None:
    """The word SYNTHETIC inside the picture, so that it stays with it wherever it is copied."""
    if synthetic:
        drawn.axes.text(
            0.985, 0.97, "SYNTHETIC", transform=drawn.axes.transAxes, ha="right", va="top",
            color=COLOUR["loss"], fontsize=FONT, fontweight="bold",
        )  # fmt: skip
