"""When to stop: precision reached, or the time budget spent; and how long it will still take."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.plan import Group, Plan, Stage
from results.speedup import Precision, Visit, precision

MIN_UNITS = 20
"""An interval that stops when it happens to be narrow is a little too narrow: by 1 to 2 points of coverage
(docs/method.md). Fewer units would leave the interval on new prompts too wide to be of use."""


class StopRule:
    """Follows what has been measured. Deadlines are on `time.monotonic`'s clock, in seconds."""

    def __init__(self, plan: Plan, deadline: float | None) -> None:
        """deadline: when the whole run must end; None without a time budget."""
        self._plan = plan
        self._deadline = self._stage_deadline = deadline
        self._final = True
        self._cells: dict[int, tuple[int, ...]] = {}
        self._visits: dict[int, list[Visit]] = defaultdict(list)
        self._precision: dict[int, tuple[int, Precision]] = {}
        self._done: Counter[int] = Counter()
        self._left: Counter[tuple[int, bool]] = Counter()
        self._calls: Counter[int] = Counter()
        self._seconds: dict[int, float] = defaultdict(float)

    def expect(self, group: Group, cell_ids: Sequence[int], units: int) -> None:
        """The group will be measured. cell_ids: of its arms, plain first."""
        self._cells[group.number] = tuple(cell_ids)
        visits = self._plan.visits_of(group)
        if visits is not None:
            self._left[group.number, True] = units
            self._left[group.number, False] = units * (visits - 1)

    def begin(self, stage: Stage, *, stages_left: int) -> None:
        """The stages that are left, this one included, share the time that is left equally."""
        self._final = stage.final
        if self._deadline is not None:
            now = time.monotonic()
            self._stage_deadline = now + (self._deadline - now) / stages_left

    def seen(self, cell_id: int, visit: Visit) -> None:
        """A headline call of this cell gave a timing."""
        self._visits[cell_id].append(visit)

    def block_done(self, group: Group, *, first_visit: bool, seconds: float | None = None) -> None:
        """A block is complete. seconds: how long it took; None if an earlier session measured it."""
        self._done[group.number] += 1
        if seconds is not None:
            self._calls[group.number] += group.calls(first_visit=first_visit)
            self._seconds[group.number] += seconds
        self._left[group.number, first_visit] -= 1

    def stopped(self, group: Group) -> None:
        """No more blocks of this group will come."""
        self._left[group.number, True] = self._left[group.number, False] = 0

    def precision(self, group: Group) -> Precision:
        """How well the group is known by now."""
        plain, *arms = (self._visits[cell_id] for cell_id in self._cells[group.number])
        seen = len(plain) + sum(map(len, arms))
        if self._precision.get(group.number, (None,))[0] != seen:
            self._precision[group.number] = (seen, precision(plain, arms))
        return self._precision[group.number][1]

    def blocks(self, group: Group) -> int:
        """Blocks of the group that are complete."""
        return self._done[group.number]

    def why(self, group: Group, *, first_visit: bool) -> str | None:
        """Why the group's next block should not begin, or None.

        Precision is no reason before the last launch covers the units: an interval over launches needs all of them,
        and until then it would be one within the earlier launches.
        A block that would probably end after the deadline is not begun, unless it is the group's first: a run
        that shows nothing at all helps nobody.
        """
        wanted = self._plan.sweep.precision
        if wanted is not None and self._final:
            known = self.precision(group)
            enough = known.units >= MIN_UNITS and known.launches >= self._plan.sweep.launches
            if enough and known.half_width is not None and known.half_width <= wanted:
                return f"precision reached: ±{known.half_width:.1%}"
        if self._stage_deadline is not None and self._done[group.number]:
            ends = time.monotonic() + self._block_s(group, first_visit=first_visit)
            return "time budget" if ends > self._stage_deadline else None
        return None

    def seconds_left(self) -> float | None:
        """An estimate for the rest of the run: all repeats, or the time budget if that is less; None if unknown."""
        budget = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        going_on = [g for g in self._plan.groups if self._left[g.number, True] + self._left[g.number, False] > 0]
        if self._plan.visits is None or not all(self._calls[group.number] for group in going_on):
            return budget
        total = sum(
            self._left[group.number, first] * self._block_s(group, first_visit=first)
            for group in going_on
            for first in (True, False)
        )
        return total if budget is None else min(total, budget)

    def _block_s(self, group: Group, *, first_visit: bool) -> float:
        """How long a block takes, from the mean time of a call in the group's blocks so far; 0 before the first."""
        per_call = self._seconds[group.number] / max(1, self._calls[group.number])
        return group.calls(first_visit=first_visit) * per_call
