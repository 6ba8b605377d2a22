"""Pictures of theory: what two formulas expect beside what was measured, and where the ideal speed-up went."""

from itertools import pairwise

from reports.groups import Group, sound
from reports.plots.axes import band, beside, legend, ratio_axis, rows, synthetic_mark, whisker
from reports.plots.canvas import COLOUR, Picture, canvas
from reports.text import clean, count, ratio
from results.expected import WaterfallStep


def expectation(key: str, group: Group) -> Picture | None:
    """Measured speed-up beside Leviathan's formula (alpha fitted at k = 1) and the generalised one (measured costs)."""
    shown = [
        (cell, cell.theory, cell.speedup)
        for cell in group.cells
        if sound(cell) and cell.method == group.main_method and cell.theory is not None and cell.speedup is not None
    ]
    if not any(theory.leviathan or theory.predicted for _, theory, _ in shown):
        return None
    told: list[str] = []
    with canvas(key, 270) as drawn:
        axes = drawn.axes
        band(axes, None)
        ks = [cell.draft_length for cell, _, _ in shown]
        points = [s.point for _, _, s in shown]
        axes.plot(ks, points, color=COLOUR["accent"], linewidth=1.6, marker="o", markersize=7, zorder=3,
                  label="measured")  # fmt: skip
        values = list(points)
        for name, role, marker, style, expected in (
            ("Leviathan et al., α from k = 1", "second", "s", (0, (4, 2)), [t.leviathan for _, t, _ in shown]),
            ("formula with measured costs", "third", "D", (0, (1, 1.5)), [t.predicted for _, t, _ in shown]),
        ):
            known = [(k, p) for k, p in zip(ks, expected, strict=True) if p is not None]
            values += [p for _, p in known]
            axes.plot([k for k, _ in known], [p for _, p in known], color=COLOUR[role], linewidth=1.3, linestyle=style,
                      marker=marker, markersize=5, markerfacecolor=COLOUR["paper"], label=name)  # fmt: skip
        for cell, _, speedup in shown:
            whisker(axes, cell.draft_length, speedup.new_prompts, width=2, colour=COLOUR["accent"])
            values += [speedup.new_prompts.low, speedup.new_prompts.high] if speedup.new_prompts else []
        for cell, theory, speedup in shown:
            told.append(
                f"{group.marked(cell)} measured {ratio(speedup.point)}, Leviathan "
                f"{ratio(theory.leviathan)}, with measured costs {ratio(theory.predicted)}"
            )
        ratio_axis(axes, "y", values)
        axes.set_xticks(ks)
        axes.set_xlim(min(ks) - 0.5, max(ks) + 0.5)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("draft length k, tokens a round")
        axes.set_ylabel("decode speed-up")
        synthetic_mark(drawn, group.synthetic)
        legend(drawn)
    return Picture(
        key=key,
        title=f"Theory beside measurement: {group.label}",
        about=f"{count(len(shown), 'draft length')}, {count(max(c.n_units for c, _, _ in shown), 'unit')}; log scale; "
        "bars: new prompts",
        alternative="; ".join(told) + ".",
        svg=drawn.svg,
    )


def _effect(step: WaterfallStep, before: float) -> str:
    change = step.speedup / before - 1 if before else 0.0
    return f"{clean(step.label, 40)} {change:+.0%} to {ratio(step.speedup)}"


def waterfall(key: str, group: Group) -> Picture | None:
    """From the ideal (acceptance length) to the measured speed-up, loss by loss; the residual is drawn as it is."""
    cell = group.focus
    steps = cell.theory.waterfall if cell and cell.theory else ()
    if cell is None or len(steps) < 2:
        return None
    with canvas(key, 62 + 28 * (len(steps) + 1)) as drawn:
        axes = drawn.axes
        ends = [step.speedup for step in steps]
        explained = cell.speedup is not None  # else the last step is the formula's own, and there is no residual
        axes.barh(0, ends[0], height=0.62, color=COLOUR["band"])
        for row, (before, after) in enumerate(pairwise(ends), start=1):
            residual = explained and row == len(steps) - 1
            role = "loss" if after <= before else "third"
            axes.barh(row, after - before, left=before, height=0.62, linewidth=1.2, edgecolor=COLOUR[role],
                      facecolor=COLOUR["paper" if residual else role],
                      linestyle=(0, (3, 2)) if residual else "solid")  # fmt: skip
            axes.plot([before, before], [row - 1, row], color=COLOUR["muted"], linewidth=0.8)
            beside(axes, max(before, after), row, f"{after - before:+.2f}".replace("-", "−"), COLOUR["muted"])
        axes.barh(len(steps), ends[-1], height=0.62, color=COLOUR["accent"])
        for row, value in ((0, ends[0]), (len(steps), ends[-1])):
            beside(axes, value, row, ratio(value), COLOUR["ink"])
        axes.axvline(1, color=COLOUR["muted"], linewidth=1)
        rows(axes, [*(clean(step.label, 26) for step in steps), "measured" if explained else "predicted"])
        axes.set_xlim(0, max(ends) * 1.2)
        axes.set_xlabel("speed-up that remains, ×")
        synthetic_mark(drawn, cell.synthetic)
    told = [_effect(step, before) for step, before in zip(steps[1:], ends, strict=False)]
    return Picture(
        key=key,
        title=f"Where the ideal speed-up went: {group.label}, {group.marked(cell)}",
        about=f"{count(cell.n_units, 'unit')}; step costs from the instrumented pass; dashed: unexplained residual",
        alternative=f"{group.marked(cell)}: ideal {ratio(ends[0])}; {'; '.join(told)}.",
        svg=drawn.svg,
    )
