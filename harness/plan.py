"""A plan: the cells of a run in groups, the engines that serve them, and how many calls it takes (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from harness.sweep import Sweep
from results.records import (
    SPECULATIVE,
    Capture,
    Cell,
    EngineConfig,
    Pair,
)

Number = TypeVar("Number", int, float)

DEFAULT_UNITS = 24
"""Units of a group where the sweep names no number: the stop rule wants at least 20."""
VISITS_FOR_PRECISION = 10
"""The most visits to a unit where a precision is asked for and nothing else bounds the run."""
WAVES = 4
"""Requests of a closed loop for each in flight. The first and last of each are not timed (`results.metrics.steady`)."""
DRAWS = 3
"""Continuations per prompt and arm where sampling is verified and the sweep names no number."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine to launch: one worker each."""

    number: int
    backend: str
    pair: Pair
    config: EngineConfig


@dataclass(frozen=True, slots=True)
class Arm:
    """A cell that can run, and the engine that serves it."""

    cell: Cell
    engine: int
    timed: bool
    """Runs twice in every block, for a headline speed."""
    instrumented: bool
    """Runs once untimed, after the first block of every unit; where no arm is timed, in every block."""
    capture: Capture
    """What its untimed pass reveals."""

    @property
    def label(self) -> str:
        """`plain`, `control`, or `mtp k=4`."""
        return self.cell.role if self.cell.draft is None else f"{self.cell.draft.method} k={self.cell.draft.length}"


@dataclass(frozen=True, slots=True)
class Group:
    """Arms that share prompts and settings: plain, control, at least one speculative arm, controls of losslessness."""

    number: int
    pair: Pair
    arms: tuple[Arm, ...]
    token_ids: bool
    """The runtime takes token ids; otherwise prompts travel as text."""
    scores: bool
    """The runtime scores outputs by teacher forcing."""
    closed_loop: bool = False
    """A batch size is a number of requests kept in flight, not of rows in one call."""

    @property
    def plain(self) -> Arm:
        """The arm that all others are set against."""
        return self.arms[0]

    @property
    def cell(self) -> Cell:
        """The plain arm's cell: it holds the settings that all arms share."""
        return self.arms[0].cell

    @property
    def rows(self) -> int:
        """Prompts of a unit."""
        size = self.cell.batch_size
        return WAVES * size if self.closed_loop and size > 1 else size

    def rows_of(self, arm: Arm) -> int:
        """Prompts of a call of this arm."""
        return self.rows if self.closed_loop else arm.cell.batch_size

    @property
    def timed(self) -> tuple[Arm, ...]:
        """The arms that are timed; none where only losslessness is verified."""
        return tuple(arm for arm in self.arms if arm.timed)

    @property
    def speculative(self) -> tuple[Arm, ...]:
        """The arms that draft."""
        return tuple(arm for arm in self.arms if arm.cell.role == SPECULATIVE)

    @property
    def once(self) -> bool:
        """One visit to a unit tells everything: greedy output without timing."""
        return not self.timed and self.cell.sampling.temperature == 0

    def untimed(self, *, first_visit: bool) -> tuple[Arm, ...]:
        """The arms of a block's untimed pass."""
        return tuple(arm for arm in self.arms if arm.instrumented) if first_visit or not self.timed else ()

    def calls(self, *, first_visit: bool) -> int:
        """Calls of one block: every timed arm twice, and the untimed pass."""
        return 2 * len(self.timed) + len(self.untimed(first_visit=first_visit))


@dataclass(frozen=True, slots=True)
class Stage:
    """Groups whose engines are up at the same time, so that their blocks can alternate; one launch of them."""

    groups: tuple[Group, ...]
    repeats: range | None
    """The visits to every unit that fall into this launch; None: endless."""
    final: bool
    """The last launch of these engines."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be measured, in the order in which it will be."""

    sweep: Sweep
    engines: tuple[Engine, ...]
    groups: tuple[Group, ...]
    skipped: tuple[Cell, ...]
    texts: int | None = None
    """Prompts that the workload holds; None where nobody has looked."""

    @property
    def units(self) -> int:
        """Units of each group; of the group with most where batches share a small workload."""
        return max(units_of(self.sweep, group, self.texts) for group in self.groups)

    @property
    def visits(self) -> int | None:
        """How often every unit is visited, all launches together; None: until the time budget says stop."""
        sweep = self.sweep
        if sweep.repeats is not None or sweep.launches > 1:
            return sweep.launches * (sweep.repeats or 1)
        if not sweep.speed:
            return DRAWS if any(sweep.temperature) else 1
        if sweep.time_budget is not None:
            return None
        return 1 if sweep.precision is None else VISITS_FOR_PRECISION

    def visits_of(self, group: Group) -> int | None:
        """How often every unit of this group is visited."""
        return 1 if group.once else self.visits

    @property
    def together(self) -> tuple[tuple[Group, ...], ...]:
        """Groups whose engines are up at the same time: those of one backend and pair.

        Models of several pairs, or of several runtimes that each claim the whole device, need not fit into
        memory together.
        """
        neighbours = groupby(self.groups, key=lambda group: (group.cell.backend, group.pair))
        return tuple(tuple(groups) for _, groups in neighbours)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The run in order: every launch of all engines, and in it one stage for each set of groups."""
        if self.visits is None:
            return tuple(Stage(groups, None, final=True) for groups in self.together)
        per_launch = self.visits // self.sweep.launches
        launches = [range(start, start + per_launch) for start in range(0, self.visits, per_launch)]
        return tuple(
            Stage(groups, repeats, final=repeats is launches[-1]) for repeats in launches for groups in self.together
        )

    @property
    def calls(self) -> int | None:
        """Calls to be measured, warm-up apart; None where only precision or time budget bound them."""
        return self._sum(1 for _ in self.groups)

    @property
    def tokens(self) -> int | None:
        """Tokens that those calls generate at most, all rows of a batch together."""
        return self._sum(group.rows * group.cell.output_tokens for group in self.groups)

    def seconds(self, tpot_ms: Mapping[str, float | None]) -> float | None:
        """An upper estimate of the measuring time: all calls at the plain arm's speed, or the time budget.

        tpot_ms: pair name -> known time per output token of the plain arm at batch 1. None where the speed of
        a pair is unknown and there is no time budget. Loading, prefill and warm-up come on top.
        """
        budget = self.sweep.time_budget
        known = [(tpot_ms.get(group.pair.name), group.cell.output_tokens) for group in self.groups]
        per_call = [tpot * tokens / 1000 for tpot, tokens in known if tpot is not None]
        total = self._sum(per_call) if len(per_call) == len(known) else None
        return min((estimate for estimate in (total, budget) if estimate is not None), default=None)

    def _sum(self, per_call: Iterable[Number]) -> Number | None:
        """What all calls add up to; `per_call` is what one call of each group adds."""
        total: Number | None = None
        for group, each in zip(self.groups, per_call, strict=True):
            visits = self.visits_of(group)
            if visits is None:
                return None
            calls = group.calls(first_visit=True) + (visits - 1) * group.calls(first_visit=False)
            units = units_of(self.sweep, group, self.texts)
            total = units * calls * each + (total or 0)
        return total


def units_of(sweep: Sweep, group: Group, texts: int | None) -> int:
    """Units of a group: as many as asked for, else the usual number, or what a smaller workload gives.

    texts: prompts that the workload holds, None if unknown; a unit takes `group.rows` of them.
    """
    asked = sweep.prompts
    if asked is None:
        asked = DEFAULT_UNITS if texts is None else max(1, min(DEFAULT_UNITS, texts // group.rows))
    only = sweep.only.get(group.cell.backend)
    return asked if only is None or only.prompts is None else min(asked, only.prompts)
