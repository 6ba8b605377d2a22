"""What should have come out of a cell, beside what did: costs of its steps, theory, and a prediction from costs
measured alone (METHOD section 2). A part of `results.verdicts`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Widening:
    """A verification pass / a plain target pass, from the instrumented pass."""

    ratio: float
    """Geometric mean over units of the ratio of their medians."""
    low: float | None
    """For other prompts like these, as `high`; None with fewer than two units. Launches are not told apart."""
    high: float | None
    units: int
    experts: float | None
    """Distinct experts of a layer that a verification read / that a plain pass read; None where that is not revealed,
    or there are none."""


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Medians of the instrumented pass, in milliseconds (METHOD section 2)."""

    target_pass_1_ms: float
    """t(1,B): a plain target pass."""
    host_1_ms: float
    """o_1(B): host overhead of a plain step."""
    target_pass_ms: float
    """t(k+1,B): a verification pass."""
    draft_step_ms: float
    """d(B): one draft step."""
    host_ms: float
    """o(B): host overhead of a round."""
    instrumented_over_headline: float | None
    """Round time in the instrumented pass / in the headline pass: what the instruments cost."""
    widening: Widening | None = None
    """t(k+1,B) / t(1,B) of the same prompts."""


@dataclass(frozen=True, slots=True)
class WaterfallStep:
    label: str
    speedup: float
    """What remains after this loss."""


@dataclass(frozen=True, slots=True)
class Theory:
    """What should have come out, beside what did."""

    alpha: float | None
    """Acceptance rate at k = 1 of the same group; None where k = 1 was not measured."""
    leviathan: float | None
    """(1 - alpha^(k+1)) / ((1 - alpha)(k c + 1)), c = d / t(1): alpha from k = 1 only."""
    predicted: float | None
    """AL (t(1) + o_1) / (k d + t(k+1) + o), costs from the instrumented pass."""
    waterfall: tuple[WaterfallStep, ...] = ()
    """ideal AL, draft cost, wider verification, host overhead, unexplained residual (= measured)."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """From costs that the engine measured outside its rounds (`results.costs`), and this cell's acceptance length."""

    speedup: float
    """(t(1) + o_1 + W_1) / ((k d + t(k+1) + o) / AL + W); without W where nobody waits or it is not known."""
    break_even: float
    """The acceptance length at which that is 1 where nobody waits."""
    t_ms: float
    """t(k+1,B): a verification pass."""
    d_ms: float
    """d(B): one draft step."""
    o_ms: float
    """o(B): what the host adds to a round."""
    measured_over_floor: float | None
    """t / the time that its bytes and operations take at the measured bandwidth and peak."""
    wait_ms: float | None = None
    """W: time per token that a row of a closed loop waits for others' prefills."""
    plain_wait_ms: float | None = None
    """W_1: the same of plain decoding."""
    t_1_ms: float | None = None
    """t(1,B): a plain target pass."""
    o_1_ms: float | None = None
    """o_1(B): what the host adds to a plain step."""
    bytes: float | None = None
    """That a verification reads and writes at least, and below the floating-point operations that it does."""
    flops: float | None = None
    bandwidth: float | None = None
    """Bytes per second of a copy on this machine, and below operations per second of a matrix product."""
    peak: float | None = None
    floor_ms: float | None = None
    """The longer of bytes / bandwidth and flops / peak."""
