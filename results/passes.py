"""What target passes, draft steps and the host take in the instrumented pass, beside the plain arm's.

Costs are medians over the instrumented pass of the cell and of its plain arm (METHOD section 2), for the whole batch:
t(q) is a target pass of q tokens per row, d a draft step, o and o_1 what the host adds to a round and a plain step.
"""

import math
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import numpy as np

from results import acceptance
from results.arm import Arm, median_over_units
from results.columns import ABSENT, Rounds
from results.expected import StepCosts, Widening
from results.intervals import t_quantile
from results.metrics import Ints, medians_by, quantiles
from results.records import INSTRUMENTED

NS_PER_MS = 1e6


def step_costs(arm: Arm, plain: Arm | None, confidence: float) -> StepCosts | None:
    """Costs of a cell; None where nothing was timed, or either arm reveals no times. plain: of its group."""
    if plain is None or not arm.headline:  # nothing was warmed up to be timed
        return None
    evidence = arm.evidence
    rounds = evidence.rounds_in(evidence.rows_in(arm.cell_id, INSTRUMENTED))
    complete = rounds.take(acceptance.complete(rounds, evidence.rows, arm.k))
    rows, known = evidence.rows_in(plain.cell_id, INSTRUMENTED).tolist(), evidence.extras.steps
    steps = {row: known[row] for row in rows if row in known}
    return medians(
        complete, steps.values(), _instrumented_over_headline(arm), _widening(arm, plain, complete, steps, confidence)
    )


def medians(
    complete: Rounds,
    plain_steps: Iterable[Ints],
    instrumented_over_headline: float | None,
    widening: Widening | None = None,
) -> StepCosts | None:
    """Costs of a cell from its complete rounds and its plain arm's steps; None where either reveals no times.

    plain_steps: arrays (steps, 2) of target pass and whole step, nanoseconds.
    """
    timed = complete.take(np.all([t != ABSENT for t in (complete.draft_ns, complete.verify_ns, complete.total_ns)], 0))
    steps = list(plain_steps)
    plain = np.concatenate(steps) if steps else np.empty((0, 2), dtype=np.int64)
    if not len(timed.row) or not len(plain):
        return None

    def median_ms(values: Ints) -> float:
        return quantiles(values, 0.5)[0] / NS_PER_MS

    return StepCosts(
        target_pass_1_ms=median_ms(plain[:, 0]),
        host_1_ms=median_ms(plain[:, 1] - plain[:, 0]),
        target_pass_ms=median_ms(timed.verify_ns),
        draft_step_ms=quantiles(timed.draft_ns / timed.drafted, 0.5)[0] / NS_PER_MS,
        host_ms=median_ms(timed.total_ns - timed.draft_ns - timed.verify_ns),
        instrumented_over_headline=instrumented_over_headline,
        widening=widening,
    )


def widening(
    verifications: Mapping[int, float], passes: Mapping[int, float], confidence: float, experts: float | None
) -> Widening | None:
    """Verification passes beside the plain passes of the same units; None without a unit that has both.

    Unit -> its median in nanoseconds. The interval is Student's over the units' log ratios.
    """
    both = [(wide, passes[unit]) for unit, wide in verifications.items() if unit in passes]
    logs = np.array([math.log(wide / plain) for wide, plain in both if wide > 0 and plain > 0])
    if not len(logs):
        return None
    center, low, high = float(logs.mean()), None, None
    if len(logs) > 1:
        half = t_quantile(len(logs) - 1, confidence) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
        low, high = math.exp(center - half), math.exp(center + half)
    return Widening(math.exp(center), low, high, len(logs), experts)


def distinct_experts(said: Mapping[str, Any]) -> list[float] | None:
    """Distinct experts of each layer that a target pass read, by an engine's statement; None where it does not say."""
    told = said.get("experts")
    layers = told.get("distinct_per_layer") if isinstance(told, Mapping) else None
    if not isinstance(layers, list) or not layers or not all(map(_is_count, layers)):
        return None
    return [float(count) for count in layers]


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _widening(arm: Arm, plain: Arm, complete: Rounds, steps: Mapping[int, Ints], confidence: float) -> Widening | None:
    """complete: rounds of the arm. steps: of the plain arm, by row."""
    unit_of = arm.evidence.trials.unit[arm.evidence.rows.trial]
    timed = complete.take(complete.verify_ns != ABSENT)
    if not len(timed.row) or not steps:
        return None
    plain_rows = np.repeat([*steps], [len(taken) for taken in steps.values()])
    plain_ns = np.concatenate([taken[:, 0] for taken in steps.values()])
    read, read_plain = _mean_experts(arm), _mean_experts(plain)
    return widening(
        medians_by(unit_of[timed.row], timed.verify_ns),
        medians_by(unit_of[plain_rows], plain_ns),
        confidence,
        read / read_plain if read and read_plain else None,
    )


def _mean_experts(arm: Arm) -> float | None:
    """Over layers and generations."""
    said = arm.evidence.extras.said
    found = [count for row in arm.rows.tolist() if row in said for count in distinct_experts(said[row]) or ()]
    return fmean(found) if found else None


def _instrumented_over_headline(arm: Arm) -> float | None:
    """Median over units of TPOT in the instrumented pass / in the headline pass."""
    headline: dict[int, list[float]] = {}
    for visit in arm.headline:
        if visit.timing.tpot_ns:
            headline.setdefault(visit.unit, []).append(visit.timing.tpot_ns)
    return median_over_units(
        [
            (visit.unit, visit.timing.tpot_ns / fmean(headline[visit.unit]))
            for visit in arm.instrumented
            if visit.timing.tpot_ns and visit.unit in headline
        ]
    )
