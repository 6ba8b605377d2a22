"""When drafting pays, over draft length and batch size: groups that differ in nothing but their batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.groups import SETTINGS, Group, batch, differing, measured, sound
from reports.text import clean, listed
from results.expected import Prediction
from results.verdicts import CellVerdict


@dataclass(frozen=True, slots=True)
class Predicted:
    """A cell that has a prediction."""

    group: Group
    cell: CellVerdict
    told: Prediction

    @property
    def pays(self) -> bool | None:
        """Whether drafting is predicted to pay; None where the cell's acceptance is in doubt."""
        return self.told.speedup > 1 if sound(self.cell) else None

    @property
    def below_floor(self) -> str:
        """What it means that a verification takes less than its bytes and operations should; empty where it does not.

        A copy measures the memory, so that a model held by the caches is faster than that.
        """
        told = self.told
        if told.measured_over_floor is None or told.measured_over_floor >= 1:
            return ""
        memory, arithmetic = _seconds(told.bytes, told.bandwidth), _seconds(told.flops, told.peak)
        if memory is not None and arithmetic is not None and arithmetic > memory:
            return "below the floor of arithmetic: the product that gave the peak was slower"
        return "below the floor of memory: the model fits the caches"


@dataclass(frozen=True, slots=True)
class Square:
    """One place of the grid of draft lengths and batch sizes."""

    found: Predicted | None
    stops_right: bool
    """Drafting pays on one side of the line to the right and not on the other; the same below."""
    stops_below: bool

    @property
    def css(self) -> str:
        return " ".join(
            name for name, wanted in (("stops-right", self.stops_right), ("stops-below", self.stops_below)) if wanted
        )


@dataclass(frozen=True, slots=True)
class Economy:
    """Predicted cells of one draft method, batch size by batch size."""

    label: str
    """In what it differs from the run's others."""
    title: str
    """All its settings."""
    rows: tuple[tuple[Predicted, ...], ...]
    """By batch size, then draft length; no row is empty."""

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(sorted({each.cell.draft_length for row in self.rows for each in row}))

    @property
    def largest(self) -> float:
        """Of the predicted speed-ups."""
        return max(each.told.speedup for row in self.rows for each in row)

    @property
    def waits(self) -> bool:
        """Some prediction counts the time that rows wait for others to join, which no break-even length does."""
        return any(each.told.wait_ms is not None for row in self.rows for each in row)

    @property
    def grid(self) -> list[list[Square]]:
        """A place for every batch size and draft length, with the line where drafting stops paying."""
        found = [[_at(row, length) for length in self.lengths] for row in self.rows]
        nothing: list[Predicted | None] = [None] * len(self.lengths)
        return [
            [Square(row[at], _part(row[at], [*row, None][at + 1]), _part(row[at], below[at])) for at in range(len(row))]
            for row, below in zip(found, [*found[1:], nothing], strict=True)
        ]

    @property
    def sentences(self) -> list[str]:
        """The line in words, batch size by batch size."""
        return [f"{batch(row[0].cell).capitalize()}: {_paying(row)}." for row in self.rows]

    @property
    def notes(self) -> list[str]:
        """Passes that are faster than their floor."""
        told: dict[str, list[str]] = {}
        for row in self.rows:
            for why in dict.fromkeys(each.below_floor for each in row if each.below_floor):
                at = _lengths(row, [each for each in row if each.below_floor == why])
                told.setdefault(why, []).append(f"{batch(row[0].cell)} at {at}")
        return [f"{'; '.join(where).capitalize()}: {why}." for why, where in told.items()]


def economies(groups: Sequence[Group]) -> list[Economy]:
    """Nothing where no engine measured its costs alone, and in a run that measures no speed."""
    settings = [name for name in SETTINGS if name is not batch]
    families: dict[tuple[str, ...], list[tuple[Predicted, ...]]] = {}
    for group in groups:
        for method in group.methods if group.speed else ():
            row = tuple(_predicted(group, method))
            if row:
                key = (*(name(row[0].cell) for name in settings), *_named(group, method))
                families.setdefault(key, []).append(row)
    varying = differing([rows[0][0].cell for rows in families.values()], settings)
    return [
        Economy(
            label=", ".join((*(name(rows[0][0].cell) for name in varying), *key[len(settings) :])),
            title=" · ".join(key),
            rows=tuple(sorted(rows, key=lambda row: row[0].cell.batch_size)),
        )
        for key, rows in families.items()
    ]


def _predicted(group: Group, method: str) -> Iterator[Predicted]:
    for cell in group.cells:
        if cell.method == method and measured(cell) and cell.prediction is not None:
            yield Predicted(group, cell, cell.prediction)


def _named(group: Group, method: str) -> tuple[str, ...]:
    return (clean(method, 24),) if len(group.methods) > 1 else ()


def _at(row: Sequence[Predicted], length: int) -> Predicted | None:
    return next((each for each in row if each.cell.draft_length == length), None)


def _seconds(work: float | None, rate: float | None) -> float | None:
    return None if work is None or not rate else work / rate


def _part(here: Predicted | None, there: Predicted | None) -> bool:
    """Whether drafting pays in one of two neighbours and not in the other."""
    pays = [each.pays for each in (here, there) if each]
    return True in pays and False in pays


def _paying(row: Sequence[Predicted]) -> str:
    yes, no = (_lengths(row, [each for each in row if each.pays is pays]) for pays in (True, False))
    if not yes:
        return f"drafting is not predicted to pay at {no}" if no else "nothing can be said"
    return f"drafting is predicted to pay at {yes}" + (f", not at {no}" if no else "")


def _lengths(row: Sequence[Predicted], those: Sequence[Predicted]) -> str:
    if 1 < len(those) == len(row):
        return "every k"
    return listed([f"k = {each.cell.draft_length}" for each in those])
