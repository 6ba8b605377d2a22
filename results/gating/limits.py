"""What a gate tolerates, and the shape of what it says (`mtpbench gate --json`, schema 1)."""

from dataclasses import dataclass
from typing import Literal

from results.compare import CellKey
from results.gating.gate import Decision
from results.gating.settling import Settling
from results.verdicts import Interval

SCHEMA = 1

Criterion = Literal["status", "speed-up", "minimum speed-up", "TPOT", "acceptance", "equivalence"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these a cell fails; None is not gated. Raises ValueError where one makes no sense."""

    speedup_loss: float | None = 0.03
    """Share of the baseline's speed-up that may be lost."""
    min_speedup: float | None = None
    """Speed-up that must be reached whatever the baseline had."""
    slowdown: float | None = 0.03
    """Share by which speculative TPOT may grow."""
    acceptance_drop: float | None = None
    """Accepted share of drafts that may be lost, in absolute terms: 0.02 is from 0.80 to 0.78."""
    equivalence: bool = False
    """Output must be the target's own."""
    tpot_asked: bool = False
    """TPOT is to be gated even if there are too few baselines to tell: inconclusive then. Else it is left out."""

    def __post_init__(self) -> None:
        for name, value in (
            ("--max-speedup-loss", self.speedup_loss),
            ("--max-acceptance-drop", self.acceptance_drop),
        ):
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name}: {value:g} is not a share from 0 to below 1")
        if self.slowdown is not None and not 0 <= self.slowdown < 100:
            raise ValueError(f"--max-slowdown: {self.slowdown:g} is not a share of at least 0")
        if self.min_speedup is not None and not 0 < self.min_speedup < 1000:
            raise ValueError(f"--min-speedup: {self.min_speedup:g} is not a ratio above 0")


@dataclass(frozen=True, slots=True)
class Finding:
    """One criterion at one cell."""

    cell: CellKey
    number: int
    """0, and further where several cells of a run have the same settings."""
    criterion: Criterion
    decision: Decision | None
    """None: not gated, `reason` says why."""
    reason: str
    """One line: what was found, or why nothing could be."""
    baseline: float | None = None
    """Speed-up, TPOT in ms: geometric mean over the units compared, and over baselines. Acceptance rate: pooled over
    all prompts of a run, mean over baselines."""
    now: float | None = None
    estimate: float | None = None
    """What is held against the limit: now / baseline - 1 of speed-up and TPOT, now - baseline of acceptance, the
    minimum speed-up itself."""
    interval: Interval | None = None
    """Of the estimate, with confidence 1 - 2 * level."""
    limit: float | None = None
    """On the scale of the estimate."""
    plain_tpot: float | None = None
    """Median TPOT of the plain arm, now / baseline, beside a speed-up: how far machine or runtime themselves moved.
    Without an interval."""
    level: float | None = None
    """What this look at this finding was allowed to spend, on either side."""
    units: int | None = None
    basis: str = ""
    """Paired by prompt or not, and which variation the interval knows of."""
    settling: Settling | None = None
    """Where inconclusive: what would probably settle it."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """A run against its baselines."""

    file: str
    baselines: tuple[str, ...]
    decision: Decision
    level: float
    """Probability, over all looks and findings together, of failing where every truth is exactly at its limit."""
    looks: int
    look: int
    gated: int
    """Findings among which the level is shared."""
    findings: tuple[Finding, ...]
    new: tuple[CellKey, ...]
    """Cells that no baseline holds: not gated."""
    put_aside: tuple[CellKey, ...]
    """Cells that no baseline holds as ok, or whose output is not the target's own there: not gated."""
    notes: tuple[str, ...]
    """What else differs between the runs: A is a baseline, B the run that is gated."""
    schema: int = SCHEMA

    def count(self, decision: Decision | None) -> int:
        """Findings with this decision."""
        return sum(finding.decision == decision for finding in self.findings)
