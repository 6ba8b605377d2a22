"""Pictures of acceptance: by draft position, by category of prompt, by position in the output."""

from collections.abc import Sequence
from typing import Literal

from reports.groups import Group
from reports.plots.axes import legend, rows, synthetic_mark
from reports.plots.canvas import COLOUR, Picture, canvas
from reports.text import bounds, clean, count
from results.verdicts import Acceptance, AcceptanceOf, CellVerdict

_CATEGORIES = 40
"""At most so many are drawn, those with the longest acceptance first."""
_RAMP = tuple(COLOUR[f"r{i}"] for i in range(1, 9))


def conditional(joint: Sequence[float]) -> list[float | None]:
    """P(draft i accepted | draft i-1 accepted) from the joint P(at least i accepted): p_i / p_(i-1)."""
    return [p / before if before else None for p, before in zip(joint, (1.0, *joint), strict=False)]


def _accepted(group: Group) -> list[tuple[CellVerdict, Acceptance]]:
    """Cells with positions, of the group's main method."""
    return [
        (c, c.acceptance)
        for c in group.cells
        if c.method == group.main_method and c.acceptance is not None and c.acceptance.per_position
    ]


def by_position(key: str, group: Group, kind: Literal["joint", "conditional"]) -> Picture | None:
    """Acceptance at every draft position, one line per draft length."""
    shown = _accepted(group)
    if not shown:
        return None
    told: list[str] = []
    with canvas(key, 250) as drawn:
        axes = drawn.axes
        longest = 1
        for index, (cell, acceptance) in enumerate(shown):
            joint = acceptance.per_position
            values = list(joint) if kind == "joint" else conditional(joint)
            points = [(i, v) for i, v in enumerate(values, start=1) if v is not None]
            longest = max(longest, len(values))
            step = round(index * (len(_RAMP) - 1) / max(1, len(shown) - 1))
            colour = _RAMP[step] if len(shown) > 1 else COLOUR["accent"]
            axes.plot([i for i, _ in points], [v for _, v in points], color=colour, linewidth=1.4, marker="o",
                      markersize=4, label=group.marked(cell))  # fmt: skip
            told.append(f"{group.marked(cell)}: " + " ".join(f"{v:.2f}" for _, v in points))
        axes.set_xlim(0.7, longest + 0.3)
        axes.set_xticks(range(1, longest + 1) if longest <= 16 else range(1, longest + 1, longest // 8))
        axes.set_ylim(0, 1.02)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("draft position i")
        axes.set_ylabel("P(at least i accepted)" if kind == "joint" else "P(i accepted | i − 1 accepted)")
        synthetic_mark(drawn, group.synthetic)
        legend(drawn)
    fewest, most = (ends(a.rounds for _, a in shown) for ends in (min, max))
    return Picture(
        key=key,
        title=f"{'Joint' if kind == 'joint' else 'Conditional'} acceptance by draft position: {group.label}",
        about=f"{'' if fewest == most else f'{fewest:,} to '}{count(most, 'complete round')} a line",
        alternative="; ".join(told) + ".",
        svg=drawn.svg,
    )


def by_category(key: str, group: Group) -> Picture | None:
    """Acceptance length per category of prompt, for the group's best setting."""
    cell = group.focus
    every = sorted(cell.acceptance.by_category.values(), key=lambda p: -p.length) if cell and cell.acceptance else []
    parts = every[:_CATEGORIES]
    if cell is None or cell.acceptance is None or not parts:
        return None
    with canvas(key, 66 + 24 * len(parts)) as drawn:
        axes = drawn.axes
        axes.axvline(
            cell.acceptance.length, color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)), label="all prompts"
        )
        for row, part in enumerate(parts):
            if part.low is not None and part.high is not None:
                axes.plot(
                    [part.low, part.high], [row, row], color=COLOUR["accent"], linewidth=2.5, solid_capstyle="butt"
                )
            axes.plot([part.length], [row], marker="o", markersize=6, linestyle="none", color=COLOUR["accent"])
        rows(axes, [clean(part.label, 26) for part in parts])
        axes.margins(x=0.08)
        axes.set_xlabel("acceptance length, tokens a round")
        synthetic_mark(drawn, cell.synthetic)
        legend(drawn)
    return Picture(
        key=key,
        title=f"Acceptance by category: {group.label}, {group.marked(cell)}",
        about=f"{sum(p.rounds for p in parts):,} complete rounds, intervals clustered by prompt"
        + (f"; the first {len(parts)} of {len(every)} categories" if len(parts) < len(every) else ""),
        alternative=f"{group.marked(cell)}: {_parts(parts)}",
        svg=drawn.svg,
    )


def by_output(key: str, group: Group) -> Picture | None:
    """Acceptance length along the output, for the group's best setting: it drifts with length."""
    cell = group.focus
    parts = cell.acceptance.by_output_position if cell and cell.acceptance else ()
    if cell is None or len(parts) < 2:
        return None
    with canvas(key, 230) as drawn:
        axes = drawn.axes
        at = range(len(parts))
        for x, part in zip(at, parts, strict=True):
            if part.low is not None and part.high is not None:
                axes.plot([x, x], [part.low, part.high], color=COLOUR["accent"], linewidth=2.5, solid_capstyle="butt")
        axes.plot(at, [p.length for p in parts], color=COLOUR["accent"], linewidth=1, marker="o", markersize=6)
        axes.set_xticks(at, labels=[clean(part.label, 14) for part in parts])
        axes.grid(axis="x", visible=False)
        axes.margins(x=0.06, y=0.12)
        axes.set_xlabel("position in the output, tokens")
        axes.set_ylabel("acceptance length")
        synthetic_mark(drawn, cell.synthetic)
    return Picture(
        key=key,
        title=f"Acceptance along the output: {group.label}, {group.marked(cell)}",
        about=f"{sum(p.rounds for p in parts):,} complete rounds, intervals clustered by prompt",
        alternative=f"{group.marked(cell)}: {_parts(parts)}",
        svg=drawn.svg,
    )


def _parts(parts: Sequence[AcceptanceOf]) -> str:
    told = [f"{clean(p.label, 40)} {p.length:.2f} ({bounds(p.low, p.high)}, {count(p.rounds, 'round')})" for p in parts]
    return "; ".join(told) + "."
