"""How a run is laid out."""

from dataclasses import dataclass
from typing import Literal

from results.records.asked import Draft, EngineConfig, Sampling
from results.records.common import check
from results.records.seen import Failure, SessionFacts

PLAIN: Literal["plain"] = "plain"
CONTROL: Literal["control"] = "control"
SPECULATIVE: Literal["speculative"] = "speculative"
BATCH_SHAPE: Literal["batch-shape"] = "batch-shape"
BIASED: Literal["biased"] = "biased"
Role = Literal["plain", "control", "speculative", "batch-shape", "biased"]
"""plain: what all others are set against. control: plain once more. batch-shape: plain in a batch of another size.
biased: plain at another temperature, to be told from the asked one."""

WARMUP: Literal["warmup"] = "warmup"
HEADLINE: Literal["headline"] = "headline"
INSTRUMENTED: Literal["instrumented"] = "instrumented"
CERTIFICATE: Literal["certificate"] = "certificate"
Phase = Literal["warmup", "headline", "instrumented", "certificate"]
"""headline: timed, one streamer and no hooks. instrumented: everything revealed, never a headline speed.
certificate: outputs scored by teacher forcing; generates nothing."""
MEASURED: tuple[Phase, ...] = (HEADLINE, INSTRUMENTED)
"""The phases whose outputs are judged."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm at one setting. Cells of one `group` share prompts, engine settings and their plain arm."""

    group: int
    role: Role
    backend: str
    pair: str
    draft: Draft | None
    batch_size: int
    prompt_tokens: int | None
    """Exact prompt length in tokens; None keeps every prompt's own length."""
    output_tokens: int
    sampling: Sampling
    dtype: str
    device: str
    synthetic: bool = False
    """Forced acceptance or random weights."""
    skipped: str | None = None
    """Why this cell cannot run here; None when it is to be measured."""

    def __post_init__(self) -> None:
        check((self.role == SPECULATIVE) == (self.draft is not None), f"role {self.role} with draft {self.draft}")
        check(self.batch_size >= 1, f"batch size must be at least 1, not {self.batch_size}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as it was sent."""

    key: str
    """Stable name inside its workload, e.g. `coding/03`."""
    workload: str
    category: str
    token_ids: tuple[int, ...] | None
    text: str | None
    synthetic: bool = False
    """Made of random ids rather than real text."""

    def __post_init__(self) -> None:
        check(self.token_ids is not None or self.text is not None, f"prompt {self.key} has neither ids nor text")
        check(self.token_ids is None or len(self.token_ids) > 0, f"prompt {self.key} is empty")


@dataclass(frozen=True, slots=True)
class Trial:
    """One call of one arm on one unit (a prompt, or a batch of prompts)."""

    cell_id: int
    launch_id: int
    unit: int
    """Index of the prompt batch within its group."""
    repeat: int
    """How often this unit had been visited before."""
    half: int
    """0 for the first order of the block, 1 for its mirror image."""
    phase: Phase
    started_unix_ns: int
    wall_ns: int
    cpu_ns: int | None
    """CPU time of the worker's process during the call."""
    failure: Failure | None = None
    flags: tuple[str, ...] = ()
    """What telemetry found wrong, e.g. `foreign-load`, `throttled`, `clock-change`."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One engine brought up by one worker."""

    backend: str
    pair: str
    engine: EngineConfig
    started_unix_ns: int
    facts: SessionFacts | None
    """None where it never came up."""
    log: str = ""
    """The worker's log file, relative to the run file."""
    failure: Failure | None = None
