"""Operating points: what each user gets beside what the machine gives, plain and drafted, at every batch size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.groups import REQUESTS, Group, batch, differing, labels, sound
from reports.text import clean
from results.verdicts import ArmTiming, CellVerdict


@dataclass(frozen=True, slots=True)
class Point:
    """One arm of one group, headline pass."""

    group: Group
    cell: CellVerdict | None
    """None: the plain arm."""
    timing: ArmTiming
    per_user: float
    """Tokens per second that one user sees once the first token is there: 1000 / TPOT in ms, median over units."""
    throughput: float
    """Tokens per second of the whole batch, prefills included."""
    ranked: bool
    """Real, valid, and its output is the target's own."""

    @property
    def arm(self) -> str:
        return self.group.arm(self.cell) if self.cell else "plain"

    @property
    def labels(self) -> tuple[str, ...]:
        """What must stand beside its figures."""
        if self.cell:
            return labels(self.cell)
        return ("SYNTHETIC",) if self.group.synthetic else ()

    @property
    def backend(self) -> str:
        return clean(self.group.cells[0].backend, 40)

    @property
    def batch(self) -> str:
        return batch(self.group.cells[0])


@dataclass(frozen=True, slots=True)
class Choice:
    """Points that answer the same requests: equal in pair, lengths and sampling; runtime and batch may be chosen."""

    label: str
    """In what its requests differ from the run's others."""
    points: tuple[Point, ...]
    """By runtime, batch size and draft length, plain first; never empty."""
    frontier: tuple[int, ...]
    """Indices of the ranked points that none beats both for each user and in all, the fastest for users first."""

    def place(self, index: int) -> int | None:
        """Number on the frontier from 1; None beside it."""
        return self.frontier.index(index) + 1 if index in self.frontier else None


def choices(found: Sequence[Group]) -> list[Choice]:
    """The points of a run's groups, those together that answer the same requests."""
    alike: dict[tuple[str, ...], list[Group]] = {}
    for group in found:
        alike.setdefault(tuple(name(group.cells[0]) for name in REQUESTS), []).append(group)
    varying = differing([group.cells[0] for group in found], REQUESTS) if found else []
    made = []
    for groups in alike.values():
        points = sorted(
            (point for group in groups for point in _points(group)),
            key=lambda p: (p.backend, p.group.cells[0].batch_size, p.group.number),
        )
        if points:
            label = ", ".join(name(groups[0].cells[0]) for name in varying)
            made.append(Choice(label, tuple(points), tuple(frontier(points))))
    return made


def frontier(points: Sequence[Point]) -> Iterator[int]:
    """Indices of the ranked points that no other ranked one beats in both, or in one while equal in the other."""
    ranked = sorted(
        (index for index, point in enumerate(points) if point.ranked),
        key=lambda i: (-points[i].per_user, -points[i].throughput),
    )
    most = 0.0
    for index in ranked:
        if points[index].throughput > most:
            most = points[index].throughput
            yield index


def _points(group: Group) -> Iterator[Point]:
    plain = next((cell.baseline for cell in group.cells if cell.baseline), None)
    own = any(cell.status != "imported" and not cell.synthetic for cell in group.cells)
    for cell, timing in ((None, plain), *((cell, cell.speculative) for cell in group.cells)):
        if timing and timing.tpot_ms and timing.tokens_per_s:
            ranked = own if cell is None else sound(cell) and not cell.synthetic
            yield Point(group, cell, timing, 1000 / timing.tpot_ms, timing.tokens_per_s, ranked)


@dataclass(frozen=True, slots=True)
class Winner:
    """What one runtime does best at one batch size: drafted where that is distinguishably faster, plain otherwise."""

    run: str
    group: Group
    requests: str
    """Pair, lengths and sampling."""
    point: Point


def winners(run: str, found: Sequence[Group]) -> list[Winner]:
    """One for each group that was timed. run: what to call the run."""
    made = []
    for group in found:
        points = {point.cell.cell_id if point.cell else None: point for point in _points(group)}
        best = group.best
        drafted = best is not None and best.distinguishable and best.speedup > 1
        point = points.get(best.cell_id if best is not None and drafted else None)
        if point is not None:
            made.append(Winner(run, group, " · ".join(name(group.cells[0]) for name in REQUESTS), point))
    return made
