"""The loop of a run, to be read first: `Runner.run` tells it in one screen.

The only place that turns a worker's replies into `Trial` records. What a call gave is on disk before the next one
begins; a call that fails is stored as failed, and the run goes on.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from harness import order, prompting
from harness.calling import call, refused, request
from harness.certify import Certifier
from harness.client import CallFailed
from harness.fleet import Fleet
from harness.journal import Journal
from harness.observe import Observer
from harness.order import Call
from harness.plan import Arm, Group, Plan, Stage
from harness.referee import Referee
from harness.stopping import StopRule
from results.metrics import timing
from results.records import HEADLINE, WARMUP, Cell, Failure, Trial
from results.speedup import Visit
from workloads.prompts import Source

STEADY = 0.10
"""An arm is warm when two calls in a row on the same prompts differ by no more than this share."""
PATIENCE = 2
"""An arm that has cost its engine the worker this often is given up: its further calls are stored as refused."""


class Runner:
    """One session of measuring a plan."""

    def __init__(self, plan: Plan, journal: Journal, fleet: Fleet, stop: StopRule, observer: Observer) -> None:
        """Nothing happens before `run`."""
        self.plan, self.journal, self.fleet, self.stop, self.observer = plan, journal, fleet, stop, observer
        self.units: dict[int, list[prompting.Unit]] = {}
        """Group number -> units; groups whose plain engine did not come up are absent."""
        self.cells: dict[Cell, tuple[int, Cell]] = {}
        """Cell of the plan -> its id and the cell as stored."""
        self.warm: set[tuple[int, int]] = set()
        """(cell id, launch id)."""
        self.deaths: Counter[int] = Counter()
        """Workers lost, by cell id."""
        self.fatal: dict[int, Failure] = {}
        """The last loss, by cell id."""
        self.certifier = Certifier(journal, fleet, observer, plan.sweep.trial_timeout)

    def run(self, sources: Sequence[Source]) -> None:
        """Measure what is not yet in the journal.

        Raises UsageError, before the first block, where prompts, context and models do not go together.
        """
        for groups in reversed(self.plan.together):  # the first engines last: they stay up for the first stage
            self.fleet.close()
            for group in groups:
                self.prepare(group, sources)
        for cell_id, visit in self.journal.visits():
            self.stop.seen(cell_id, visit)
        for number, stage in enumerate(self.plan.stages):
            if number > 0:
                self.fleet.close()
            self.stop.begin(stage, stages_left=len(self.plan.stages) - number)
            for group, unit, repeat in self.due(stage):
                for arm in group.arms:
                    self.warm_up(group, arm)
                began = time.monotonic()
                for step in order.block(self.plan.sweep.seed, group, unit, repeat):
                    self.warm_up(group, step.arm)  # again, only where its engine had to be relaunched in between
                    self.measure(group, step, unit, repeat)
                self.certify(group, unit, repeat)
                self.block_done(group, repeat, time.monotonic() - began)
        self.referee()

    def prepare(self, group: Group, sources: Sequence[Source]) -> None:
        """Bring up the group's engines, settle its cells, and cut its prompts."""
        for arm in group.arms:
            running = self.fleet.get(arm.engine)
            self.cells[arm.cell] = self.journal.cell(arm.cell, running.facts if running else None)
        running = self.fleet.get(group.plain.engine)
        if running is None:
            return
        try:
            found = prompting.units(group, running, sources, self.plan.sweep)
        except CallFailed as error:
            self.fleet.give_up(group.plain.engine, error.failure)
            return
        for unit in found:
            for prompt in unit:
                self.journal.prompt(prompt)
        self.units[group.number] = found
        self.stop.expect(group, [self.cells[arm.cell][0] for arm in group.timed or group.arms], len(found))

    def due(self, stage: Stage) -> Iterator[tuple[Group, int, int]]:
        """The stage's blocks that are still to be measured, until every group of it has stopped."""
        going_on = {group.number: group for group in stage.groups}
        for group, unit, repeat in order.visits(stage, self.units):
            if group.number not in going_on:
                continue
            if self.journal.has_block(self.plan.sweep.seed, group, unit, repeat):
                self.certify(group, unit, repeat)
                self.stop.block_done(group, first_visit=repeat == 0)
            elif why := self.broken(group) or self.stop.why(group, first_visit=repeat == 0):
                self.end(going_on.pop(group.number), stage, why)
            else:
                yield group, unit, repeat
            if not going_on:
                return
        for group in going_on.values():
            self.end(group, stage, self.broken(group) or "all repeats done")

    def measure(self, group: Group, step: Call, unit: int, repeat: int) -> Trial:
        """One call of one arm, stored whatever becomes of it."""
        sweep, number = self.plan.sweep, step.arm.engine
        cell_id, cell = self.cells[step.arm.cell]
        prompts = prompting.rows_of(self.units[group.number], unit, group.rows_of(step.arm))
        asked = request(sweep, group, step, unit, repeat)
        running = self.fleet.get(number)
        if running is None:
            answer = refused(f"not run: the engine is lost: {self.fleet.lost[number].message}")
        elif self.given_up(step.arm):
            last = self.fatal[cell_id].message
            answer = refused(f"not run: {step.arm.label} has cost its engine the worker {PATIENCE} times: {last}")
        else:
            answer = call(running, prompts, asked, sweep.trial_timeout)
        trial = Trial(
            cell_id=cell_id,
            launch_id=self.fleet.launch_of(number),
            unit=unit,
            repeat=repeat,
            half=step.half,
            phase=step.phase,
            started_unix_ns=answer.started_unix_ns,
            wall_ns=answer.wall_ns,
            cpu_ns=answer.cpu_ns,
            failure=answer.failure,
            flags=answer.reading.flags,
        )
        rows = [(self.journal.prompt(prompt), seen) for prompt, seen in zip(prompts, answer.generations, strict=False)]
        self.journal.trial(trial, rows, answer.reading.values)
        if answer.worker_lost and answer.failure:
            self.deaths[cell_id] += 1
            self.fatal[cell_id] = answer.failure
            self.fleet.died(number, answer.failure)
        elif (
            running
            and step.phase == HEADLINE
            and (seen := timing(answer.generations, running.facts.eos_token_ids, asked.in_flight))
        ):
            self.stop.seen(cell_id, Visit(unit, repeat, step.half, trial.launch_id, seen))
        if step.phase != WARMUP:
            self.observer.trial_done(cell, trial)
        return trial

    def certify(self, group: Group, unit: int, repeat: int) -> None:
        """Score what this block's outputs need for the losslessness certificate."""
        cells = {self.cells[arm.cell][0]: arm.cell.role for arm in group.arms}
        self.certifier.certify(group, cells, unit, repeat)

    def referee(self) -> None:
        """Set every other runtime's plain output against the reference runtime's target."""
        plain = {group.number: self.cells[group.cell][0] for group in self.plan.groups}
        units = {number: len(found) for number, found in self.units.items()}
        Referee(self.plan, self.journal, self.fleet, self.observer).judge(plain, units)

    def warm_up(self, group: Group, arm: Arm) -> None:
        """Call a timed arm that is cold since its engine's launch until it is steady; stored, and never averaged in."""
        if not arm.timed:
            return
        cell_id, cell = self.cells[arm.cell]
        last: int | None = None
        most = self.plan.sweep.of(cell.backend).warmup
        for repeat in range(most):
            launch = (cell_id, self.fleet.launch_of(arm.engine)) if self.fleet.get(arm.engine) else None
            if launch is None or launch in self.warm or self.given_up(arm):
                return
            self.observer.warming(cell)
            trial = self.measure(group, Call(arm, 0, WARMUP), 0, repeat)
            steady = last is not None and abs(trial.wall_ns / last - 1) <= STEADY
            if trial.failure or steady or repeat == most - 1:
                self.warm.add(launch)
            last = trial.wall_ns

    def block_done(self, group: Group, repeat: int, seconds: float) -> None:
        """Tell how far the group is."""
        self.stop.block_done(group, first_visit=repeat == 0, seconds=seconds)
        known = self.stop.precision(group)
        cell = self.cells[group.cell][1]
        units = known.units if group.timed else self.stop.blocks(group)
        self.observer.block_done(cell, units, known.half_width, self.stop.seconds_left())

    def given_up(self, arm: Arm) -> bool:
        """The arm has cost its engine too many workers."""
        return self.deaths[self.cells[arm.cell][0]] >= PATIENCE

    def broken(self, group: Group) -> str | None:
        """Why nothing can come of further blocks, or None: the plain arm, or every speculative one, is gone."""
        gone = {arm: arm.engine in self.fleet.lost or self.given_up(arm) for arm in group.arms}
        if not gone[group.plain] and not all(gone[arm] for arm in group.speculative):
            return None
        lost = [self.fleet.lost[arm.engine].message for arm in group.arms if arm.engine in self.fleet.lost]
        return f"engine lost: {lost[0]}" if lost else f"given up: workers lost {PATIENCE} times"

    def end(self, group: Group, stage: Stage, why: str) -> None:
        """No more blocks of this group, unless it goes on in a later launch."""
        if stage.final:
            self.journal.stopped(group, why)
            self.stop.stopped(group)
            self.observer.group_stopped(self.cells[group.cell][1], why)
