"""Pictures of a history: one figure of one cell from run to run."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from reports.history import figure, name, sentence
from reports.plots.axes import legend, ratio_axis, synthetic_mark, whisker
from reports.plots.canvas import COLOUR, Picture, canvas
from reports.text import count, span
from results.trends.history import Metric, Point, RunPoint, Trend
from results.verdicts import Interval

_TITLES: dict[Metric, str] = {
    "speed-up": "Decode speed-up",
    "speculative TPOT": "Time per output token, ms",
    "acceptance length": "Acceptance length, tokens a round",
}


def over_runs(key: str, trend: Trend, metric: Metric, runs: Sequence[RunPoint]) -> Picture | None:
    """One figure over all runs, with its intervals and levels, and where something else changed."""
    known = [(point, value) for point in trend.points if (value := point.figure(metric)) is not None]
    if not known:
        return None
    changes = [one for one in trend.changes if one.metric == metric]
    with canvas(key, 250) as drawn:
        axes = drawn.axes
        for run in runs:
            if run.changed:
                axes.axvline(run.number - 0.5, color=COLOUR["muted"], linewidth=0.8, linestyle=(0, (2, 3)),
                             label="something else changed")  # fmt: skip
        for one in changes:
            axes.axvline(one.run - 0.5, color=COLOUR["loss"], linewidth=1.6, label="level changed")
        if metric == "speculative TPOT":
            plain = [(point.run, point.plain_tpot_ms) for point, _ in known if point.plain_tpot_ms is not None]
            axes.plot([x for x, _ in plain], [y for _, y in plain], color=COLOUR["muted"], marker="s", markersize=4,
                      linewidth=0.8, label="plain")  # fmt: skip
        for point, _ in known:
            whisker(axes, point.run, _interval(point, metric), width=1.4, colour=COLOUR["accent"],
                    label="its interval")  # fmt: skip
        axes.plot([point.run for point, _ in known], [value for _, value in known], color=COLOUR["accent"], marker="o",
                  markersize=5, linewidth=0.8, label="with drafts" if "TPOT" in metric else None)  # fmt: skip
        _levels(drawn.axes, trend, metric, len(runs))
        axes.set_xlim(0.4, len(runs) + 0.6)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("run")
        if metric == "speed-up":
            axes.axhline(1, color=COLOUR["muted"], linewidth=1)
            ends = [end for point, _ in known if point.interval for end in (point.interval.low, point.interval.high)]
            ratio_axis(axes, "y", [*(value for _, value in known), *(end for end in ends if math.isfinite(end))])
        else:
            axes.margins(y=0.12)
        synthetic_mark(drawn, trend.synthetic)
        legend(drawn)
    return Picture(
        key=key,
        title=_TITLES[metric],
        about=f"{name(trend.cell)}; {count(len(known), 'run')}",
        alternative="; ".join(
            [f"run {point.run}: {_told(point, metric, value)}" for point, value in known]
            + [sentence(one) for one in changes]
        )
        + ".",
        svg=drawn.svg,
    )


def _levels(axes: Axes, trend: Trend, metric: Metric, runs: int) -> None:
    changes = [one for one in trend.changes if one.metric == metric]
    if not changes:
        return
    starts = [0.5, *(one.run - 0.5 for one in changes)]
    ends = [*(one.run - 0.5 for one in changes), runs + 0.5]
    levels = [changes[0].before, *(one.after for one in changes)]
    for start, end, level in zip(starts, ends, levels, strict=True):
        axes.plot([start, end], [level, level], color=COLOUR["ink"], linewidth=1, label="level")


def _interval(point: Point, metric: Metric) -> Interval | None:
    return {"speed-up": point.interval, "acceptance length": point.acceptance_interval}.get(metric)


def _told(point: Point, metric: Metric, value: float) -> str:
    interval = _interval(point, metric)
    return figure(metric, value) + (f" ({span(interval)})" if interval else "")
