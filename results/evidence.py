"""A run file in memory: the records by id, the columns, and which trials and rows belong to which cell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from results.columns import Extras, Rounds, Rows, Trials, read_rounds, read_rows, read_trials
from results.metrics import Ints, Timing, trial_timings
from results.records import Cell, Launch, Phase, Prompt
from results.runfile import RunFile
from results.scores import Scores, read_scores

Grouped = Mapping[tuple[int, str], Ints]
"""(cell id, phase) -> indices; absent where there are none."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Cells, prompts and launches go by their ids; trials, rows and rounds by their index in the columns."""

    cells: dict[int, Cell]
    prompts: dict[int, Prompt]
    launches: dict[int, Launch]
    trials: Trials
    rows: Rows
    extras: Extras
    rounds: Rounds
    scores: Scores
    timings: list[Timing | None]
    """Per trial; None where it failed or nothing arrived."""
    trials_of: Grouped
    rows_of: Grouped
    """Rows of trials that did not fail."""

    @classmethod
    def of(cls, file: RunFile) -> Self:
        """Read everything that judgements need."""
        cells, launches = file.cells(), file.launches()
        trials = read_trials(file)
        rows, extras = read_rows(file, trials, launches)
        failed = np.zeros(len(trials.ids), dtype=bool)
        failed[list(trials.failures)] = True
        timings = trial_timings(rows.timings, rows.row, rows.trial, _slots(cells, trials, rows))
        return cls(
            cells=cells,
            prompts=file.prompts(),
            launches=launches,
            trials=trials,
            rows=rows,
            extras=extras,
            rounds=read_rounds(file, rows),
            scores=read_scores(file, cells, trials, rows),
            timings=[None if bad else timing for timing, bad in zip(timings, failed.tolist(), strict=True)],
            trials_of=_grouped(trials, np.arange(len(trials.ids)), np.arange(len(trials.ids))),
            rows_of=_grouped(trials, rows.trial[~failed[rows.trial]], np.flatnonzero(~failed[rows.trial])),
        )

    def trials_in(self, cell_id: int, phase: Phase) -> Ints:
        """Trials of a cell in a phase."""
        return self.trials_of.get((cell_id, phase), np.empty(0, dtype=np.int64))

    def rows_in(self, cell_id: int, phase: Phase) -> Ints:
        """Rows of a cell's trials in a phase; failed trials have none."""
        return self.rows_of.get((cell_id, phase), np.empty(0, dtype=np.int64))

    def rounds_in(self, rows: Ints) -> Rounds:
        """Rounds of these rows."""
        wanted = np.zeros(len(self.rows.ids), dtype=bool)
        wanted[rows] = True
        return self.rounds.take(wanted[self.rounds.row])


def _slots(cells: Mapping[int, Cell], trials: Trials, rows: Rows) -> Ints:
    """(trials,): requests in flight of a closed loop, which has more rows than its cell's batch; 0 elsewhere."""
    size = np.array([cells[cell].batch_size for cell in trials.cell.tolist()], dtype=np.int64)
    return np.where(np.bincount(rows.trial, minlength=len(size)) > size, size, 0)


def _grouped(trials: Trials, trial: Ints, items: Ints) -> dict[tuple[int, str], Ints]:
    """(cell, phase) -> those of `items` whose `trial` belongs to it, in their order."""
    phases, phase = np.unique(trials.phase, return_inverse=True)
    key = (trials.cell * len(phases) + phase)[trial]
    order = np.argsort(key, kind="stable")
    kinds, first = np.unique(key[order], return_index=True)
    parts = np.split(items[order], first[1:])
    return {
        (kind // len(phases), str(phases[kind % len(phases)])): part
        for kind, part in zip(kinds.tolist(), parts, strict=False)
    }
