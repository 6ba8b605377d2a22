"""The picture of how many experts of each layer a target pass reads, plain beside drafted."""

from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from reports.groups import Group
from reports.plots.axes import MARKERS, SERIES, legend, synthetic_mark
from reports.plots.canvas import COLOUR, Picture, canvas
from reports.resources import Used
from reports.text import bounds, count, number, ratio
from reports.tradeoff import Spent, layers
from results.expected import Widening


def by_layer(key: str, group: Group, spent: Sequence[Spent]) -> Picture | None:
    """Distinct experts by layer, mean over passes; None where no engine stated any."""
    plain = next((each.before for each in spent if each.before.experts), None)
    shown: list[tuple[str, Used, str, str | None]] = [("plain", plain, COLOUR["muted"], None)] if plain else []
    for number_of, each in enumerate(each for each in spent if each.used.experts):
        colour, marker = SERIES[number_of % len(SERIES)], MARKERS[number_of % len(MARKERS)]
        shown.append((group.marked(each.cell), each.used, colour, marker))
    if not shown:
        return None
    with canvas(key, 260) as drawn:
        axes = drawn.axes
        for name, used, ink, shape in shown:
            axes.plot(range(1, len(used.experts) + 1), used.experts, color=ink, linewidth=1.3, marker=shape,
                      markersize=4, linestyle="-" if shape else (0, (4, 2)), label=name)  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.set_xlabel("layer that is a mixture of experts")
        axes.set_ylabel("distinct experts in a pass")
        synthetic_mark(drawn, group.synthetic)
        legend(drawn)
    wider = {group.marked(each.cell): each.cell.costs.widening for each in spent if each.cell.costs}
    told = [
        f"{name} {layers(used.experts)}"
        + (f" for {number(used.tokens_per_pass)} tokens a pass" if used.tokens_per_pass else "")
        + _times(wider.get(name))
        for name, used, _, _ in shown
    ]
    return Picture(
        key=key,
        title=f"Experts that a target pass reads: {group.label}",
        about=f"{count(max(len(used.experts) for _, used, _, _ in shown), 'layer')}; means over the instrumented pass, "
        "without intervals of the counts",
        alternative="; ".join(told) + ".",
        svg=drawn.svg,
    )


def _times(wider: Widening | None) -> str:
    """What the pass takes; of other prompts like these."""
    if wider is None:
        return ""
    return f", {ratio(wider.ratio)} the time of a plain pass (interval {bounds(wider.low, wider.high)})"
