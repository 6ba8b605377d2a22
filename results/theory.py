"""What the speed-up should have been: Leviathan's formula, the generalised one, and where the speed went.

Costs are medians over the instrumented pass of the cell and of its plain arm (METHOD section 2), for the whole batch:
t(q) is a target pass of q tokens per row, d a draft step, o and o_1 what the host adds to a round and a plain step.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from results.columns import ABSENT, Rounds
from results.expected import StepCosts, Theory, WaterfallStep, Widening
from results.intervals import t_quantile
from results.metrics import Ints, quantiles

NS_PER_MS = 1e6


def step_costs(
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
    verifications: Mapping[int, Ints], passes: Mapping[int, Ints], confidence: float, experts: float | None
) -> Widening | None:
    """Verification passes beside the plain passes of the same units; None without a unit that has both.

    Unit -> nanoseconds. The interval is Student's over the units' log ratios.
    """
    medians = [
        (quantiles(ns, 0.5)[0], quantiles(passes[unit], 0.5)[0]) for unit, ns in verifications.items() if unit in passes
    ]
    logs = np.array([math.log(wide / plain) for wide, plain in medians if wide > 0 and plain > 0])
    if not len(logs):
        return None
    center, low, high = float(logs.mean()), None, None
    if len(logs) > 1:
        half = t_quantile(len(logs) - 1, confidence) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
        low, high = math.exp(center - half), math.exp(center + half)
    return Widening(math.exp(center), low, high, len(logs), experts)


def leviathan(alpha: float, k: int, cost: float) -> float:
    """Expected speed-up (1 - alpha^(k+1)) / ((1 - alpha) (k c + 1)) [Leviathan et al. 2023, theorem 3.8].

    alpha: chance that a draft is accepted, taken as independent of its position; cost: c, a draft step / a target pass.
    """
    tokens = k + 1.0 if alpha == 1 else (1 - alpha ** (k + 1)) / (1 - alpha)
    return tokens / (k * cost + 1)


def waterfall(length: float, k: int, costs: StepCosts, measured: float | None) -> tuple[WaterfallStep, ...]:
    """From the acceptance length down to the measured speed-up, one loss after the other.

    The ideal round costs a plain step and brings `length` tokens. Then it pays for its drafts, for the wider
    verification, and for its own host overhead: this is the generalised formula AL (t(1) + o_1) / (k d + t(k+1) + o).
    What then remains to the measurement is unexplained, and may be a gain.
    """
    plain = costs.target_pass_1_ms + costs.host_1_ms
    if plain <= 0:
        return ()
    drafts = k * costs.draft_step_ms
    rounds = (
        ("ideal: acceptance length", plain),
        ("draft cost", drafts + plain),
        ("wider verification", drafts + costs.target_pass_ms + costs.host_1_ms),
        ("host overhead", drafts + costs.target_pass_ms + costs.host_ms),
    )
    if any(cost <= 0 for _, cost in rounds):
        return ()
    steps = tuple(WaterfallStep(label, length * plain / cost) for label, cost in rounds)
    return steps if measured is None else (*steps, WaterfallStep("unexplained residual", measured))


def theory(
    alpha: float | None, k: int, length: float | None, costs: StepCosts | None, measured: float | None
) -> Theory | None:
    """What should have come out of draft length k; None where there is neither alpha nor a cost.

    alpha: acceptance rate at k = 1 of the same group and method; at k = 1 itself Leviathan's formula would be fitted
    to what it predicts, and is left out. length: acceptance length of this cell. measured: its speed-up.
    """
    steps = waterfall(length, k, costs, measured) if costs and length is not None else ()
    if alpha is None and not steps:
        return None
    expected = None
    if alpha is not None and k > 1 and costs and costs.target_pass_1_ms > 0:
        expected = leviathan(alpha, k, costs.draft_step_ms / costs.target_pass_1_ms)
    return Theory(alpha, expected, predicted=steps[3].speedup if steps else None, waterfall=steps)
