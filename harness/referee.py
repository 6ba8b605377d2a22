"""Every runtime's plain greedy output, teacher-forced by one reference runtime, so that a broken port shows.

Runtimes round differently, so that equal tokens cannot be asked for; but the reference's target, given another
runtime's tokens, would have chosen nearly all of them itself (`results.crossing`).
"""

import time
from collections.abc import Mapping

from harness.calling import forced
from harness.client import CallFailed
from harness.fleet import Fleet
from harness.journal import Journal, Output
from harness.observe import Observer
from harness.plan import Engine, Group, Plan
from results.errors import UsageError
from results.records import CERTIFICATE, Failure, Scoring, Trial

REFERENCE = "transformers"
"""The models' own implementation, and the one that shows logits."""


class Referee:
    """Scores what other runtimes gave, once they are done."""

    def __init__(self, plan: Plan, journal: Journal, fleet: Fleet, observer: Observer) -> None:
        self._plan, self._journal, self._fleet, self._observer = plan, journal, fleet, observer

    def judge(self, cells: Mapping[int, int], units: Mapping[int, int]) -> None:
        """Score what no earlier session has. cells: group -> its plain cell's id; units: group -> how many it has.

        A failure is stored and told; it takes nothing from what was measured.
        """
        for group in self._plan.groups:
            engine, cell_id, count = self._reference_of(group), cells[group.number], units.get(group.number, 0)
            if engine is None or not any(self._due(cell_id, unit) for unit in range(count)):
                continue
            self._fleet.close(but=engine.number)  # the reference may need the memory that the others hold
            for unit in range(count):
                if not self._unit(group, engine, cell_id, unit):
                    break

    def _reference_of(self, group: Group) -> Engine | None:
        """The reference's engine for this group's pair, where the run has one and the group is another runtime's."""
        if group.cell.backend == REFERENCE or group.cell.sampling.temperature > 0:
            return None
        return next((e for e in self._plan.engines if (e.backend, e.pair.name) == (REFERENCE, group.pair.name)), None)

    def _due(self, cell_id: int, unit: int) -> list[Output]:
        """The first output to each prompt of a unit, where it was not scored yet."""
        first = {output.prompt_id: output for output in reversed(self._journal.outputs([cell_id], unit))}
        return [output for output in first.values() if not output.refereed and output.prompt.token_ids]

    def _unit(self, group: Group, engine: Engine, cell_id: int, unit: int) -> bool:
        """Score a unit; False where there is no use in going on."""
        due = self._due(cell_id, unit)
        running = self._fleet.get(engine.number) if due else None
        if running is None:
            return not due
        started, clock = time.time_ns(), time.perf_counter_ns()
        scorings: list[Scoring] = []
        failure: Failure | None = None
        try:
            for output in due:
                scores = forced(
                    running, output.prompt, output.token_ids, group.cell.sampling, self._plan.sweep.trial_timeout
                )
                scorings.append(Scoring(output.generation_id, "reference", scores))
        except UsageError as error:
            failure = Failure("error", str(error))
        except CallFailed as error:
            failure = error.failure
            if not error.alive:
                self._fleet.died(engine.number, failure)
        if failure is not None:
            self._observer.note(f"{group.cell.backend} could not be set against {REFERENCE}: {failure.message}")
        wall = time.perf_counter_ns() - clock
        launch = self._fleet.launch_of(engine.number)
        self._journal.scorings(Trial(cell_id, launch, unit, 0, 0, CERTIFICATE, started, wall, None, failure), scorings)
        return failure is None
