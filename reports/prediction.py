"""What costs measured alone predict, beside what was measured: one sentence for a group."""

from reports.groups import Group, measured
from reports.text import NOT_COMPUTED, Line, ratio
from results.verdicts import CellVerdict, Prediction


def lines(group: Group) -> list[Line]:
    """Nothing where no engine measured its costs alone, and in a run that measures no speed."""
    told = [
        _beside(group, cell, cell.prediction)
        for cell in group.cells
        if group.speed and measured(cell) and cell.prediction is not None
    ]
    return [Line(f"Predicted from costs measured alone: {', '.join(told)}")] if told else []


def _beside(group: Group, cell: CellVerdict, predicted: Prediction) -> str:
    seen = f"measured {ratio(cell.speedup.point)}" if cell.speedup else f"measured {NOT_COMPUTED}"
    return f"{group.marked(cell)} {ratio(predicted.speedup)} ({seen})"
