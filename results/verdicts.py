"""What `results.judge` computes from a run file: the shape of `mtpbench show --json` (schema 1).

Plain dataclasses, turned into JSON by `as_json`; None means unknown or not computed and is never shown as 0.
Ratios are plain over speculative, so above 1 is faster.
"""

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from results.certificate import (
    CrossRuntime,
    Equivalence,
    EquivalenceName,
    RunCertificate,
    SamplingCertificate,
    SamplingName,
)
from results.expected import Prediction, StepCosts, Theory

SCHEMA = 1

Status = Literal["ok", "invalid", "unverified", "imported", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float

    @classmethod
    def between(cls, low: float | None, high: float | None) -> "Interval | None":
        """None where an end is not known."""
        return None if low is None or high is None else cls(low, high)


@dataclass(frozen=True, slots=True)
class ArmTiming:
    """Medians over units of one arm, headline pass."""

    tpot_ms: float | None
    ttft_ms: float | None
    tokens_per_s: float | None
    """All tokens over all wall time, the whole batch together."""
    cpu_over_wall: float | None = None
    """CPU time of the engine's process / wall time; far above its threads means spinning or contention."""
    inter_chunk_ms: float | None = None
    """Mean time between chunks as they arrive. With speculation a chunk holds several tokens: no token latency."""


@dataclass(frozen=True, slots=True)
class Speedup:
    """Geometric mean over units of TPOT_plain / TPOT_speculative (METHOD section 1), with two intervals."""

    point: float
    these_prompts: Interval | None
    """Would repeating these very prompts give it again? None: not computed."""
    new_prompts: Interval | None
    """And other prompts like these?"""
    confidence: float
    launches: int
    basis: Literal["within this launch", "over launches"]
    total_time_ratio: float | None
    """Sum of decode times, plain / speculative: long generations weigh more."""
    e2e: float | None
    """Geometric mean of E2E_plain / E2E_speculative."""
    throughput: float | None
    """Tokens per second of the speculative arm / of the plain arm, at the same batch."""
    per_unit: tuple[tuple[int, str, float], ...] = ()
    """(unit, category, ratio), for plots."""
    adjusted: Interval | None = None
    """New-prompts interval widened for having chosen the best of all draft lengths (max-T)."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    mean: float
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class AcceptanceOf:
    """Acceptance of a part of the rounds: a category, or a stretch of output positions."""

    label: str
    length: float
    low: float | None
    high: float | None
    rounds: int


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Over complete rounds (drafted = k, begun with room for k + 1 tokens); intervals clustered by prompt."""

    length: float
    """Tokens per round, 1 + accepted / rounds."""
    low: float | None
    high: float | None
    rate: float
    """accepted / drafted."""
    per_position: tuple[float, ...]
    """Joint: P(at least i drafts accepted), i = 1..k."""
    rounds: int
    rounds_left_out: int
    per_request: Percentiles | None
    """Acceptance length per request: ranks settings differently from the pooled one at times."""
    by_category: dict[str, AcceptanceOf] = field(default_factory=dict)
    by_output_position: tuple[AcceptanceOf, ...] = ()
    from_counts: bool = False
    """True where the runtime reveals totals only, so that no round could be left out."""


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """One speculative cell. Further keys may be added; none changes its meaning."""

    backend: str
    pair: str
    method: str
    draft_length: int
    batch_size: int
    prompt_tokens: int | None
    output_tokens: int
    temperature: float
    dtype: str
    device: str
    status: Status
    reason: str
    synthetic: bool
    n_prompts: int
    n_units: int
    baseline: ArmTiming | None
    speculative: ArmTiming | None
    speedup: Speedup | None
    aa: Interval | None
    distinguishable: bool | None
    acceptance: Acceptance | None
    equivalence: Equivalence | None
    """Greedy cells; None where nothing was measured."""
    sampling: SamplingCertificate | None
    """Cells at a temperature above 0."""
    drafter_memory_bytes: int | None
    distinct_4grams: float | None
    """Share of distinct 4-grams in the speculative output: low means it loops, which flatters acceptance."""
    group: int = 0
    cell_id: int = 0
    trials: int = 0
    """Headline trials of this cell and of its plain arm that were asked for."""
    trials_failed: int = 0
    trials_flagged: int = 0
    flags: dict[str, int] = field(default_factory=dict)
    units_dropped: int = 0
    """Units without a ratio: too short for a TPOT, or an arm failed."""
    tokens_after_eos: int = 0
    """Tokens left out because they came after the natural end."""
    costs: StepCosts | None = None
    theory: Theory | None = None
    prediction: Prediction | None = None
    """None where the engine states no costs measured alone, or no acceptance is known."""
    findings: dict[str, str] = field(default_factory=dict)
    """Check -> what it found against the cell; empty where nothing contradicts."""
    cross_runtime: CrossRuntime | None = None
    """Plain greedy output under the reference runtime's target; None where there was no reference."""
    own_bytes: int | None = None
    """Memory of what the drafter holds for itself only because an ablation took a shared part away."""
    stopped: str = ""
    """Why measuring this group ended: precision reached, all repeats done, time budget, interrupted."""

    @property
    def output(self) -> EquivalenceName | SamplingName:
        """Whether the output is the target's own, as far as this run tested it."""
        found = self.equivalence or self.sampling
        return found.verdict if found else "untested"

    @property
    def not_lossless(self) -> bool:
        """The output was found not to be the target's own: no speed-up of this cell counts."""
        return self.output in ("unexplained", "biased")


@dataclass(frozen=True, slots=True)
class Best:
    """The draft length to name of a group (`results.selection.best`), judged for having been chosen."""

    group: int
    cell_id: int
    draft_length: int
    method: str
    speedup: float
    adjusted: Interval | None
    candidates: int
    distinguishable: bool


@dataclass(frozen=True, slots=True)
class Ablation:
    """What losing one part of MTP costs, at one draft length (`results.ablations`). Ratios without / with the part, so
    that below 1 the part is worth something."""

    part: str
    group: int
    method: str
    """MTP without the part."""
    draft_length: int
    speedup: float | None
    """Of the two speed-ups over the same units."""
    new_prompts: Interval | None
    """Its interval for other prompts like these; None: too few units."""
    confidence: float | None
    units: int
    acceptance: float | None
    """Of the two acceptance lengths; None where one is not revealed."""
    synthetic: bool
    own_bytes: int | None = None
    """What the drafter holds besides, without the part; None where that is nothing, or not revealed."""


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The whole run."""

    run: dict[str, Any]
    """Provenance and sweep as stored, plus `file`, `state`, `versions` (backend -> package -> version, as its worker
    stated them), `trials`, `trials_failed`, `trials_flagged`, `warm_ups`, `scorings`."""
    cells: list[CellVerdict]
    best: list[Best] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    certificate: RunCertificate = field(default_factory=RunCertificate)
    ablations: list[Ablation] = field(default_factory=list)
    schema: int = SCHEMA


def as_json(value: Any) -> Any:
    """Dataclasses, tuples and numbers as JSON knows them; NaN and infinities become None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
