"""One cell's evidence, outside the warm-up."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from results.columns import ABSENT, Rounds
from results.evidence import Evidence
from results.metrics import Ints, tokens_per_s
from results.records import HEADLINE, INSTRUMENTED, Cell, Phase
from results.scores import OfOutput, Scores
from results.speedup import Visit
from results.verdicts import ArmTiming

NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class Arm:
    """What was seen of one arm of a group."""

    evidence: Evidence
    cell_id: int

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.evidence.cells[self.cell_id]

    @property
    def k(self) -> int:
        """Draft length, 0 for an arm that does not draft."""
        return self.cell.draft.length if self.cell.draft else 0

    @cached_property
    def main(self) -> Phase:
        """The headline phase; the instrumented one where nothing was timed."""
        return HEADLINE if len(self.evidence.trials_in(self.cell_id, HEADLINE)) else INSTRUMENTED

    @cached_property
    def rows(self) -> Ints:
        """Rows of headline and instrumented trials."""
        return np.sort(np.concatenate([self.evidence.rows_in(self.cell_id, p) for p in (HEADLINE, INSTRUMENTED)]))

    @cached_property
    def rounds(self) -> Rounds:
        """Rounds of those rows."""
        return self.evidence.rounds_in(self.rows)

    @property
    def scores(self) -> Scores:
        """The run's scores, by row or by `place`."""
        return self.evidence.scores

    def place(self, row: int) -> OfOutput:
        """Where the scores of a row's output are."""
        return self.cell.group, int(self.evidence.rows.prompt[row]), int(self.evidence.rows.output[row])

    def outputs(self) -> dict[int, list[int]]:
        """Prompt id -> a row for each distinct output, in the order they came."""
        return self._outputs

    @cached_property
    def _outputs(self) -> dict[int, list[int]]:
        prompts, outputs = (
            column[self.rows].tolist() for column in (self.evidence.rows.prompt, self.evidence.rows.output)
        )
        found: dict[int, dict[int, int]] = {}
        for row, prompt, output in zip(self.rows.tolist(), prompts, outputs, strict=True):
            found.setdefault(prompt, {}).setdefault(output, row)
        return {prompt: [*rows.values()] for prompt, rows in found.items()}

    def is_ids(self, row: int) -> bool:
        """The runtime gave token ids."""
        return isinstance(self.evidence.extras.outputs[int(self.evidence.rows.output[row])], bytes)

    def tokens(self, row: int) -> NDArray[np.int32]:
        """Token ids of a row that has them."""
        return self.evidence.extras.tokens(int(self.evidence.rows.output[row]))

    @cached_property
    def revealed(self) -> Ints:
        """Rows that reveal single rounds."""
        found: Ints = self.rows[self.evidence.rows.rounds_revealed[self.rows] == 1]
        return found

    @cached_property
    def counted(self) -> Ints:
        """Rows that reveal totals and no single rounds."""
        rows = self.evidence.rows
        found: Ints = self.rows[(rows.count_drafted[self.rows] != ABSENT) & (rows.rounds_revealed[self.rows] == 0)]
        return found

    @cached_property
    def both_passes(self) -> tuple[Ints, Ints]:
        """Pairs (headline row, instrumented row) of the same place in the same unit."""
        headline, instrumented = (self.evidence.rows_in(self.cell_id, p) for p in (HEADLINE, INSTRUMENTED))
        unit, row = self.evidence.trials.unit[self.evidence.rows.trial], self.evidence.rows.row
        there = {(u, r): i for u, r, i in zip(unit[instrumented], row[instrumented], instrumented, strict=True)}
        pairs = [(i, there.get((u, r))) for u, r, i in zip(unit[headline], row[headline], headline, strict=True)]
        found = np.array([pair for pair in pairs if pair[1] is not None], dtype=np.int64).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    @cached_property
    def headline(self) -> list[Visit]:
        """The headline trials that gave a timing."""
        return self._visits(HEADLINE)

    @cached_property
    def instrumented(self) -> list[Visit]:
        """The instrumented trials that gave a timing."""
        return self._visits(INSTRUMENTED)

    def _visits(self, phase: Phase) -> list[Visit]:
        t, index = self.evidence.trials, self.evidence.trials_in(self.cell_id, phase)
        places = np.stack([t.unit, t.repeat, t.half, t.launch, t.ids])[:, index].T.tolist()
        timings = [self.evidence.timings[i] for i in index.tolist()]
        return [
            Visit(unit, repeat, half, launch, timing, trial)
            for (unit, repeat, half, launch, trial), timing in zip(places, timings, strict=True)
            if timing is not None
        ]

    @cached_property
    def timing(self) -> ArmTiming | None:
        """Medians over units (each the mean of its visits), headline pass; None where nothing was timed."""
        visits = self.headline
        if not visits:
            return None
        index = self.evidence.trials_in(self.cell_id, HEADLINE)
        cpu, wall = self.evidence.trials.cpu_ns[index], self.evidence.trials.wall_ns[index]
        known = cpu != ABSENT
        tpot = median_over_units([(v.unit, v.timing.tpot_ns) for v in visits])
        ttft = median_over_units([(v.unit, v.timing.ttft_ns) for v in visits])
        gap = median_over_units([(v.unit, v.timing.inter_chunk_ns) for v in visits])
        return ArmTiming(
            tpot_ms=None if tpot is None else tpot / NS_PER_MS,
            ttft_ms=None if ttft is None else ttft / NS_PER_MS,
            inter_chunk_ms=None if gap is None else gap / NS_PER_MS,
            tokens_per_s=tokens_per_s(v.timing for v in visits),
            cpu_over_wall=float(cpu[known].sum() / wall[known].sum()) if wall[known].sum() else None,
        )

    def trial_name(self, row: int) -> str:
        """The trial of a row, as reasons name it."""
        return f"trial {self.evidence.trials.ids[self.evidence.rows.trial[row]]}"


def median_over_units(values: list[tuple[int, float | None]]) -> float | None:
    """Median over units of the mean of each unit's (unit, value); None where no value is known."""
    by_unit: dict[int, list[float]] = {}
    for unit, value in values:
        if value is not None:
            by_unit.setdefault(unit, []).append(value)
    return median(map(fmean, by_unit.values())) if by_unit else None
