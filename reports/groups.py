"""The cells of a verdict as readers look at them: one group per shared plain arm, named by what sets it apart."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reports.machine import dig
from reports.text import clean, count, listed, number
from results.verdicts import Ablation, Best, CellVerdict, RunVerdict

_T = TypeVar("_T")
Setting = Callable[[CellVerdict], str]

NOT_MEASURED = ("failed", "skipped")
"""Statuses without figures."""


def _prompts(cell: CellVerdict) -> str:
    return "prompts at their own length" if cell.prompt_tokens is None else f"{cell.prompt_tokens:,}-token prompts"


def batch(cell: CellVerdict) -> str:
    return f"batch {cell.batch_size:,}"


def _sampling(cell: CellVerdict) -> str:
    return "greedy" if cell.temperature == 0 else f"temperature {number(cell.temperature, 2)}"


SETTINGS: tuple[Setting, ...] = (
    lambda c: clean(c.backend, 40),
    lambda c: clean(c.pair, 60),
    _prompts,
    lambda c: count(c.output_tokens, "new token"),
    batch,
    _sampling,
    lambda c: f"{clean(c.dtype, 20)} on {clean(c.device, 40)}",
)
"""What the cells of a group share, most telling first."""
REQUESTS = (SETTINGS[1], SETTINGS[2], SETTINGS[3], SETTINGS[5])
"""Of these what a request is: pair, lengths and sampling. Runtime, batch size and number format may be chosen."""


@dataclass(frozen=True, slots=True)
class Group:
    """Cells that share prompts, engine settings and one plain arm."""

    number: int
    cells: tuple[CellVerdict, ...]
    """By method, then draft length; never empty."""
    best: Best | None
    label: str
    """The settings in which this group differs from the run's others."""
    title: str
    """All its settings."""
    speed: bool = True
    """Speed was to be measured; False in a run of `mtpbench verify`."""
    ablations: tuple[Ablation, ...] = ()
    """What MTP loses with one of its parts, by part, then draft length."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Draft methods, in order of appearance."""
        return tuple(dict.fromkeys(cell.method for cell in self.cells))

    @property
    def synthetic(self) -> bool:
        """Some figure here comes from forced acceptance or random weights."""
        return any(cell.synthetic for cell in self.cells)

    @property
    def focus(self) -> CellVerdict | None:
        """The cell whose details are shown: the best one, else the last one with a speed-up or acceptance."""
        if self.best is not None:
            return next((c for c in self.cells if c.cell_id == self.best.cell_id), None)
        seen = [c for c in self.cells if c.speedup is not None or c.acceptance is not None]
        return seen[-1] if seen else None

    @property
    def main_method(self) -> str:
        """The method whose curves are drawn where a picture has room for one: that of `focus`."""
        return self.focus.method if self.focus else self.methods[0]

    def arm(self, cell: CellVerdict) -> str:
        """A cell's name inside its group: `k = 4`, with its method where there are several."""
        return f"k = {cell.draft_length}" + (f" {clean(cell.method, 24)}" if len(self.methods) > 1 else "")

    def alike(
        self, found: Sequence[tuple[CellVerdict, _T]], key: Callable[[_T], object]
    ) -> Iterator[tuple[str, list[_T]]]:
        """What is known of some cells, that with equal keys together, and where: `at every k`, `at k = 1 and k = 2`."""
        by_key: dict[object, list[tuple[CellVerdict, _T]]] = {}
        for cell, known in found:
            by_key.setdefault(key(known), []).append((cell, known))
        for alike in by_key.values():
            every = 1 < len(alike) == len(found) and len(self.methods) == 1
            yield (
                "at every k" if every else f"at {listed([self.arm(cell) for cell, _ in alike])}",
                [k for _, k in alike],
            )

    def marked(self, cell: CellVerdict) -> str:
        """The same with its labels, for places where a figure follows."""
        return " ".join((self.arm(cell), *labels(cell)))


def groups(verdict: RunVerdict) -> list[Group]:
    """The groups of a run, in their order."""
    by_number: dict[int, list[CellVerdict]] = {}
    for cell in verdict.cells:
        by_number.setdefault(cell.group, []).append(cell)
    best = {b.group: b for b in verdict.best}
    firsts = [cells[0] for cells in by_number.values()]
    varying = differing(firsts)
    return [
        Group(
            number=group,
            cells=tuple(sorted(cells, key=lambda c: (c.method, c.draft_length, c.cell_id))),
            best=best.get(group),
            label=", ".join(name(cells[0]) for name in varying),
            title=" · ".join(name(cells[0]) for name in SETTINGS),
            speed=measures_speed(verdict),
            ablations=tuple(found for found in verdict.ablations if found.group == group),
        )
        for group, cells in sorted(by_number.items())
    ]


def differing(cells: Sequence[CellVerdict], names: Sequence[Setting] = SETTINGS) -> Sequence[Setting]:
    """Those of `names` that tell these cells apart; the prompts where none does."""
    return [name for name in names if len({name(cell) for cell in cells}) > 1] or [_prompts]


def measures_speed(verdict: RunVerdict) -> bool:
    """Whether the run was to measure speed; a run of `mtpbench verify` compares outputs only."""
    return dig(verdict.run, "sweep", "speed") is not False


def wrong(cell: CellVerdict) -> tuple[str, ...]:
    """What its certificate holds against the output of a cell: UNEXPLAINED, BIASED."""
    unexplained = cell.equivalence is not None and cell.equivalence.verdict == "unexplained"
    biased = cell.sampling is not None and cell.sampling.verdict == "biased"
    return (*(("UNEXPLAINED",) if unexplained else ()), *(("BIASED",) if biased else ()))


def labels(cell: CellVerdict) -> tuple[str, ...]:
    """What must stand beside every figure of a cell: its status unless it is ok, what is wrong with its output,
    and SYNTHETIC."""
    status = () if cell.status == "ok" else (cell.status.upper(),)
    return (*status, *wrong(cell), *(("SYNTHETIC",) if cell.synthetic else ()))


def sound(cell: CellVerdict) -> bool:
    """Whether a speed-up of this cell counts: valid, and nothing is held against its output."""
    return cell.status == "ok" and not cell.not_lossless


def measured(cell: CellVerdict) -> bool:
    """Whether the cell has figures at all."""
    return cell.status not in NOT_MEASURED
