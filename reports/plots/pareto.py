"""The picture of speed for each user against speed in all, with the settings that nothing beats in both."""

from reports.operating import Choice
from reports.plots.axes import MARKERS, SERIES, legend, synthetic_mark
from reports.plots.canvas import COLOUR, FONT, Picture, canvas
from reports.text import count, number


def pareto(key: str, choice: Choice) -> Picture:
    """Every measured setting of one kind of request; hollow: plain; crossed out: not ranked; numbers: the frontier."""
    points, best = choice.points, [choice.points[index] for index in choice.frontier]
    backends = list(dict.fromkeys(point.backend for point in points))
    with canvas(key, 290) as drawn:
        axes = drawn.axes
        axes.plot([p.per_user for p in best], [p.throughput for p in best], color=COLOUR["muted"], linewidth=1,
                  drawstyle="steps-post", label="nothing beats it in both")  # fmt: skip
        for point in points:
            number_of = backends.index(point.backend)
            colour, marker = SERIES[number_of % len(SERIES)], MARKERS[number_of % len(MARKERS)]
            ink = colour if point.ranked else COLOUR["muted"]
            name = " ".join((*([point.backend] if len(backends) > 1 else []), "drafted" if point.cell else "plain"))
            axes.plot([point.per_user], [point.throughput], marker=marker if point.ranked else "X", linestyle="none",
                      markersize=6, markeredgewidth=1.6, color=ink,
                      markerfacecolor=ink if point.cell else COLOUR["paper"],
                      label=name if point.ranked else "not ranked")  # fmt: skip
        for place, point in enumerate(best, start=1):
            axes.annotate(str(place), (point.per_user, point.throughput), xytext=(0, 5), textcoords="offset points",
                          ha="center", va="bottom", color=COLOUR["ink"], fontsize=FONT)  # fmt: skip
        axes.margins(0.08, 0.12)
        axes.set_xlabel("tokens/s for each user (1 / TPOT)")
        axes.set_ylabel("tokens/s of the whole batch")
        synthetic_mark(drawn, any("SYNTHETIC" in point.labels for point in points))
        legend(drawn)
    told = [
        f"{place}: {' '.join((point.backend, point.arm, *point.labels))}, {point.batch}, {number(point.per_user)} "
        f"tokens/s for each user, {number(point.throughput)} in all"
        for place, point in enumerate(best, start=1)
    ]
    return Picture(
        key=key,
        title=f"Each user’s speed against the machine’s: {choice.label}",
        about=f"{count(len(points), 'setting')}, medians over units without intervals; up and to the right is better",
        alternative="; ".join(told or ["no setting can be ranked"]) + ".",
        svg=drawn.svg,
    )
