"""What the speed-up should have been: Leviathan's formula, the generalised one, and where the speed went.

Costs are those of `results.passes`.
"""

from results.expected import StepCosts, Theory, WaterfallStep


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
