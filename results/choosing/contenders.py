"""The settings of one group that a recommendation chooses from, with everything that is known of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from results import selection, speedup
from results.arm import Arm
from results.choosing import standing
from results.choosing.objective import Objective, Watts, cost, joules_per_token, rate
from results.choosing.recommendation import Against, Aside, Setting
from results.choosing.wishes import Wishes, outside
from results.effects import Effects, effects, pair, point
from results.group import Group
from results.ranking import why_unranked
from results.records import PLAIN, SPECULATIVE
from results.validity import unfit
from results.verdicts import CellVerdict, Interval


@dataclass(frozen=True, eq=False)
class Contenders:
    """Plain decoding and the drafted settings of a group, measured by one objective."""

    group: Group
    cells: Sequence[CellVerdict]
    """Its verdicts."""
    objective: Objective
    wishes: Wishes
    watts: Watts
    memory: Mapping[int, float]
    """Cell id -> the most memory that a call took, in bytes."""

    @cached_property
    def aside(self) -> tuple[Aside, ...]:
        """Cells that may not be ranked, or of which the objective has no figure."""
        reasons = [
            (cell, why_unranked(cell) or ("" if cell.cell_id in self._all else f"no {self._lacks} to compare"))
            for cell in self.cells
        ]
        return tuple(Aside(cell.cell_id, cell.method, cell.draft_length, why) for cell, why in reasons if why)

    @cached_property
    def effects(self) -> dict[int, Effects]:
        """Cell -> effects of every drafted setting that may be ranked, limits or not."""
        out = {aside.cell_id for aside in self.aside}
        return {cell.cell_id: self._all[cell.cell_id] for cell in self.cells if cell.cell_id not in out}

    @cached_property
    def aa(self) -> Interval | None:
        """Plain decoding against itself, by this objective."""
        return self.group.aa_of(self._all)

    @cached_property
    def no_plain(self) -> str:
        """Why plain decoding may not be chosen, its limits apart; empty where it may."""
        return unfit(self.group.plain) if self.group.plain else "there is no plain arm"

    @property
    def plain(self) -> Setting | None:
        """Plain decoding; None where it is no candidate."""
        return next((setting for setting in self.settings if setting.method is None), None)

    def of(self, cell_id: int) -> Setting:
        """The setting of a candidate."""
        return next(setting for setting in self.settings if setting.cell_id == cell_id)

    def named(self, drafted: Setting) -> str:
        """A drafted setting inside its group: `k = 4`, with its method where there are several."""
        several = len({cell.method for cell in self.cells}) > 1
        return f"k = {drafted.draft_length}" + (f" {drafted.method}" if several else "")

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Plain decoding first, where it may be chosen, then the drafted ones by method and length."""
        adjusted = selection.adjusted(self.effects, self.group.confidence)
        verdicts = {cell.cell_id: cell for cell in self.cells}
        drafted = sorted(self.effects, key=lambda i: (verdicts[i].method, verdicts[i].draft_length, i))
        arms = {arm.cell_id: arm for arm in self.group.arms(SPECULATIVE)}
        left = {i: self.effects[i] for i in drafted if not self._outside(arms[i])}
        plain = [] if self.no_plain else self.group.arms(PLAIN)[:1]
        reference = next((arm.cell_id for arm in plain if not self._outside(arm)), None)
        chances = (standing.chances(left, reference) if left else None) or {}
        return (
            *(self._setting(arm, None, 1.0, None, chances.get(arm.cell_id), "") for arm in plain),
            *(
                self._setting(arms[i], verdicts[i].method, math.exp(point(self.effects[i])), adjusted[i],
                              chances.get(i), verdicts[i].output)
                for i in drafted
            ),
        )  # fmt: skip

    def beside(self, chosen: int) -> tuple[Against, ...]:
        """A drafted setting beside every other candidate that keeps the limits; its effects widened for all of them."""
        arms = {arm.cell_id: arm for arm in (*self.group.arms(PLAIN)[:1], *self.group.arms(SPECULATIVE))}
        others = [s.cell_id for s in self.settings if not s.excluded and s.cell_id != chosen]
        paired = {
            i: found
            for i in others
            if (found := effects(pair(arms[i].headline, arms[chosen].headline), self.objective.takes))
        }
        intervals = selection.adjusted(paired, self.group.confidence)
        return tuple(
            Against(i, math.exp(point(e)), intervals[i], speedup.distinguishable(intervals[i], self.aa))
            for i, e in paired.items()
        )

    @cached_property
    def _all(self) -> dict[int, Effects]:
        return self.group.effects_on(self.objective.takes)

    @property
    def _lacks(self) -> str:
        return {"latency": "time per token", "energy": "power"}.get(self.objective.name, "throughput")

    def _outside(self, arm: Arm) -> str:
        timing = arm.timing
        tpot, ttft = (timing.tpot_ms, timing.ttft_ms) if timing else (None, None)
        return outside(self.wishes, arm.cell.batch_size, tpot, ttft, self.memory.get(arm.cell_id))

    def _setting(
        self,
        arm: Arm,
        method: str | None,
        gain: float,
        adjusted: Interval | None,
        probability: float | None,
        output: str,
    ) -> Setting:
        timing = arm.timing
        return Setting(
            cell_id=arm.cell_id,
            method=method,
            draft_length=arm.k,
            figure=self.objective.figure(arm),
            gain=gain,
            adjusted=adjusted,
            probability=probability,
            tpot_ms=timing.tpot_ms if timing else None,
            ttft_ms=timing.ttft_ms if timing else None,
            tokens_per_s=rate(arm),
            memory_bytes=self.memory.get(arm.cell_id),
            cost_per_million=cost(rate(arm), self.wishes.price_per_hour),
            joules_per_token=joules_per_token(arm, self.watts),
            output=output,
            excluded=self._outside(arm),
        )
