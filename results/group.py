"""Cells that share prompts, engine settings and their plain arm, and the verdict on each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from results import acceptance, costs, crossing, equivalence, passes, sampling, selection, speedup, theory, validity
from results.arm import Arm
from results.certificate import CrossRuntime, Equivalence, SamplingCertificate
from results.effects import Takes, tpot
from results.evidence import Evidence
from results.expected import Prediction
from results.metrics import occurring
from results.ranking import why_unranked
from results.records import (
    BATCH_SHAPE,
    BIASED,
    CONTROL,
    HEADLINE,
    INSTRUMENTED,
    PLAIN,
    SPECULATIVE,
    Role,
)
from results.runfile import RunFile
from results.speedup import Effects, Pairs
from results.verdicts import Acceptance, Best, CellVerdict, Interval, Speedup

FORCED = "acceptance was forced, so that the output is not meant to be the target's own"


@dataclass(frozen=True, eq=False)
class Group:
    """Cells that share prompts, engine settings and their plain arm."""

    file: RunFile
    evidence: Evidence
    number: int
    confidence: float

    def arms(self, role: Role) -> list[Arm]:
        """The group's arms in this role, in the order of their cells."""
        cells = self.evidence.cells.items()
        return [self._arms[i] for i, cell in cells if cell.group == self.number and cell.role == role]

    @cached_property
    def _arms(self) -> dict[int, Arm]:
        return {i: Arm(self.evidence, i) for i, cell in self.evidence.cells.items() if cell.group == self.number}

    @cached_property
    def plain(self) -> Arm | None:
        """The arm that every other one is compared with."""
        return next(iter(self.arms(PLAIN)), None)

    @cached_property
    def pairs(self) -> dict[int, Pairs]:
        """Cell -> its visits beside those of the plain arm."""
        plain = self.plain.headline if self.plain else []
        others = self.arms(SPECULATIVE) + self.arms(CONTROL)
        return {arm.cell_id: speedup.pair(plain, arm.headline) for arm in others}

    @cached_property
    def effects(self) -> dict[int, Effects]:
        """Cell -> its paired effects on TPOT; absent where no unit has a ratio."""
        return self.effects_on(tpot)

    def effects_on(self, takes: Takes) -> dict[int, Effects]:
        """The same on whatever else visits took."""
        return {i: found for i, pairs in self.pairs.items() if (found := speedup.effects(pairs, takes))}

    @cached_property
    def aa(self) -> Interval | None:
        """The A/A certificate: the interval of the plain arm against itself."""
        return self.aa_of(self.effects)

    def aa_of(self, effects: Mapping[int, Effects]) -> Interval | None:
        """The same of any effects that the control arm is among."""
        control = next((effects[arm.cell_id] for arm in self.arms(CONTROL) if arm.cell_id in effects), None)
        return _decisive(*speedup.intervals(control, self.confidence)) if control else None

    @cached_property
    def adjusted(self) -> dict[int, Interval | None]:
        """Cell -> the interval that allows for picking the best of the group."""
        speculative = {i: self.effects[i] for arm in self.arms(SPECULATIVE) if (i := arm.cell_id) in self.effects}
        return selection.adjusted(speculative, self.confidence)

    @cached_property
    def crossing(self) -> CrossRuntime | None:
        """The plain arm's greedy output under the reference runtime's target."""
        greedy = self.plain is not None and self.plain.cell.sampling.temperature == 0
        return crossing.crossing(self.plain) if self.plain is not None and greedy else None

    @cached_property
    def acceptances(self) -> dict[int, Acceptance | None]:
        """Cell -> acceptance; from the instrumented pass where that reveals any, else from the headline pass."""
        return {arm.cell_id: self._acceptance(arm) for arm in self.arms(SPECULATIVE)}

    @cached_property
    def categories(self) -> dict[int, str]:
        """Unit -> category of its prompts; `mixed` where a batch holds several."""
        found: dict[int, set[str]] = {}
        for arm in self._arms.values():
            rows = self.evidence.rows_in(arm.cell_id, HEADLINE)
            units = self.evidence.trials.unit[self.evidence.rows.trial[rows]].tolist()
            for unit, prompt in zip(units, self.evidence.rows.prompt[rows].tolist(), strict=True):
                found.setdefault(unit, set()).add(self.evidence.prompts[prompt].category)
        return {unit: names.pop() if len(names) == 1 else "mixed" for unit, names in found.items()}

    def verdicts(self, stopped: str) -> list[CellVerdict]:
        """One verdict per speculative cell. stopped: why measuring the group ended."""
        return [self._verdict(arm, stopped) for arm in self.arms(SPECULATIVE)]

    def best(self, cells: list[CellVerdict]) -> Best | None:
        """The one to name (`selection.best`) of the cells that may be ranked: valid, not synthetic, not found to change
        the output."""
        ranked = [(c, c.speedup) for c in cells if not why_unranked(c) and c.speedup]
        first = selection.best(ranked, lambda each: (each[1].point, each[1].adjusted), self.aa)
        if first is None:
            return None
        cell, gain = first
        return Best(
            group=self.number,
            cell_id=cell.cell_id,
            draft_length=cell.draft_length,
            method=cell.method,
            speedup=gain.point,
            adjusted=gain.adjusted,
            candidates=len(ranked),
            distinguishable=bool(speedup.distinguishable(gain.adjusted, self.aa)),
        )

    def _verdict(self, arm: Arm, stopped: str) -> CellVerdict:
        cell, evidence = arm.cell, self.evidence
        assert cell.draft is not None  # a Cell of this role has one
        contradictions = dict(validity.findings(arm, self.plain)) if self.plain and len(arm.rows) else {}
        status, reason = validity.status(arm, self.plain, contradictions)
        gain = self._speedup(arm.cell_id)
        found = self.acceptances[arm.cell_id]
        measured_costs = passes.step_costs(arm, self.plain, self.confidence)
        decisive = _decisive(gain.these_prompts, gain.new_prompts) if gain else None
        headline = evidence.rows_in(arm.cell_id, arm.main)
        units = evidence.trials.unit[evidence.rows.trial[headline]]
        own = evidence.trials_in(arm.cell_id, arm.main)
        seen = np.unique(units) if arm.main == INSTRUMENTED else np.empty(0, dtype=np.int64)
        measured = self.effects[arm.cell_id].units if gain else seen
        plain = evidence.trials_in(self.plain.cell_id, arm.main) if self.plain and not cell.skipped else own[:0]
        trials = np.concatenate([own, plain])
        flags = Counter(flag for trial in trials.tolist() for flag in evidence.trials.flags.get(trial, ()))
        distinct = evidence.rows.distinct_4grams[headline]
        return CellVerdict(
            backend=cell.backend,
            pair=cell.pair,
            method=cell.draft.method,
            draft_length=cell.draft.length,
            batch_size=cell.batch_size,
            prompt_tokens=cell.prompt_tokens,
            output_tokens=cell.output_tokens,
            temperature=cell.sampling.temperature,
            dtype=cell.dtype,
            device=cell.device,
            status=status,
            reason=reason,
            findings=contradictions,
            synthetic=validity.is_synthetic(arm),
            n_prompts=len(occurring(evidence.rows.prompt[headline[np.isin(units, measured)]])),
            n_units=len(measured),
            baseline=self.plain.timing if self.plain else None,
            speculative=arm.timing,
            speedup=gain,
            aa=self.aa,
            distinguishable=speedup.distinguishable(decisive, self.aa),
            acceptance=found,
            equivalence=self._equivalence(arm),
            sampling=self._sampling(arm),
            drafter_memory_bytes=_drafter_bytes(arm),
            distinct_4grams=float(np.nanmean(distinct)) if np.isfinite(distinct).any() else None,
            group=self.number,
            cell_id=arm.cell_id,
            trials=len(trials),
            trials_failed=sum(trial in evidence.trials.failures for trial in trials.tolist()),
            trials_flagged=sum(trial in evidence.trials.flags for trial in trials.tolist()),
            flags=dict(flags),
            units_dropped=len(occurring(evidence.trials.unit[own])) - len(measured),
            tokens_after_eos=int((evidence.rows.n_tokens - evidence.rows.natural)[headline].sum()),
            costs=measured_costs,
            theory=theory.theory(
                self._alpha(cell.draft.method), cell.draft.length, found.length if found else None, measured_costs,
                gain.point if gain else None,
            ),
            prediction=self._prediction(arm, found),
            cross_runtime=self.crossing,
            own_bytes=_own_bytes(arm),
            stopped=stopped,
        )  # fmt: skip

    def _speedup(self, cell_id: int) -> Speedup | None:
        if cell_id not in self.effects:
            return None
        return speedup.summary(
            self.pairs[cell_id], self.effects[cell_id], self.categories, self.adjusted[cell_id], self.confidence
        )

    def _acceptance(self, arm: Arm) -> Acceptance | None:
        evidence = self.evidence
        categories = {i: prompt.category for i, prompt in evidence.prompts.items()}
        for phase in (INSTRUMENTED, HEADLINE):
            rows = evidence.rows_in(arm.cell_id, phase)
            found = acceptance.from_rounds(
                evidence.rounds_in(rows), evidence.rows, categories, arm.k, self.confidence
            ) or acceptance.from_counts(
                rows, evidence.rows, evidence.extras.per_position, categories, arm.k, self.confidence
            )
            if found:
                return found
        return None

    def _equivalence(self, arm: Arm) -> Equivalence | None:
        """The greedy certificate."""
        if self.plain is None or arm.cell.sampling.temperature > 0:
            return None
        if validity.is_forced(arm):
            return equivalence.untested(FORCED)
        return equivalence.equivalence(arm, self.plain, [*self.arms(CONTROL), *self.arms(BATCH_SHAPE)], self._text)

    def _sampling(self, arm: Arm) -> SamplingCertificate | None:
        """The sampling certificate."""
        if self.plain is None or arm.cell.sampling.temperature == 0:
            return None
        if validity.is_forced(arm):
            return sampling.untested(FORCED)
        control, biased = (next(iter(self.arms(role)), None) for role in (CONTROL, BIASED))
        return sampling.certificate(arm, self.plain, control, biased)

    def _text(self, row: int) -> str:
        """The text of a generation, as the runtime gave it."""
        return self.file.generation(int(self.evidence.rows.ids[row])).text or ""

    def _alpha(self, method: str) -> float | None:
        """Acceptance rate at k = 1 with the same method."""
        for arm in self.arms(SPECULATIVE):
            if arm.k == 1 and arm.cell.draft and arm.cell.draft.method == method:
                found = self.acceptances[arm.cell_id]
                return found.rate if found else None
        return None

    def _prediction(self, arm: Arm, found: Acceptance | None) -> Prediction | None:
        alone = costs.of_cell(self.evidence, arm.cell) if found else None
        if found is None or alone is None:
            return None
        plain = costs.waits(self.evidence, self.plain.cell_id) if self.plain else None
        return costs.prediction(found.length, alone, costs.waits(self.evidence, arm.cell_id), plain)


def _decisive(these: Interval | None, new: Interval | None) -> Interval | None:
    """The interval that decides: on new prompts where there are at least two units, on these otherwise."""
    return new or these


def _own_bytes(arm: Arm) -> int | None:
    """As the engine states it, wherever it does."""
    stated = (arm.evidence.extras.said.get(row, {}).get("own_bytes") for row in arm.rows.tolist())
    return next((size for size in stated if type(size) is int and size > 0), None)


def _drafter_bytes(arm: Arm) -> int | None:
    launches = occurring(arm.evidence.trials.launch[arm.evidence.trials_in(arm.cell_id, HEADLINE)])
    facts = (arm.evidence.launches[launch].facts for launch in launches)
    return next((f.drafter_bytes for f in facts if f and f.drafter_bytes is not None), None)
