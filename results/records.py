"""The records that travel from a runtime to the run file: what was asked, and what was seen.

Standard library only, because every worker imports this inside its runtime's own environment. Frozen and
checked at construction. Times are integer nanoseconds, sizes are bytes, counts are tokens; what a runtime
does not reveal is ``None``, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

PLAIN: Literal["plain"] = "plain"
CONTROL: Literal["control"] = "control"
SPECULATIVE: Literal["speculative"] = "speculative"
Role = Literal["plain", "control", "speculative"]

WARMUP: Literal["warmup"] = "warmup"
HEADLINE: Literal["headline"] = "headline"
INSTRUMENTED: Literal["instrumented"] = "instrumented"
Phase = Literal["warmup", "headline", "instrumented"]

Capture = Literal["timing", "rounds"]
FinishReason = Literal["length", "stop", "cancelled"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


# ------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Pair:
    """A target and what drafts for it, as the user named them."""

    name: str
    """The registry's name, or the two paths joined by a colon."""
    target: str
    """Hub id or local folder (or file, where the runtime loads files)."""
    assistant: str | None
    """Hub id, folder or file of the drafter; None where no method needs one."""
    random_weights: bool = False
    """Weights are random: every figure is labelled synthetic."""

    def __post_init__(self) -> None:
        _check(bool(self.name) and bool(self.target), "a pair needs a name and a target")


@dataclass(frozen=True, slots=True)
class Draft:
    """A speculative arm: how drafts are made, and how many a round."""

    method: str
    """`mtp`, `draft-model`, `prompt-lookup`, or another name the backend lists in its capabilities."""
    length: int
    """Draft length k: tokens proposed per round, at least 1."""

    def __post_init__(self) -> None:
        _check(self.length >= 1, f"draft length must be at least 1, not {self.length}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _check(self.temperature >= 0, f"temperature must be at least 0, not {self.temperature}")
        _check(self.top_k is None or self.top_k >= 1, f"top_k must be at least 1, not {self.top_k}")
        _check(self.top_p is None or 0 < self.top_p <= 1, f"top_p must be in (0, 1], not {self.top_p}")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that is fixed when an engine is launched."""

    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto` (the checkpoint's own)."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto` (the best one present)."""
    threads: int | None = None
    """CPU threads of the runtime; None leaves the runtime's own choice."""
    max_context: int | None = None
    """The longest prompt plus output that will be asked for, in tokens."""
    methods: tuple[str, ...] = ()
    """Draft methods that will be asked for, so that a session knows what to load."""
    draft: Draft | None = None
    """The arm, for runtimes where it is fixed at launch; None elsewhere and for the plain engine."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """The runtime's own options, passed through and recorded."""
    trust_remote_code: bool = False
    """Only the command line can set this."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `Session.generate`, the same for every prompt of the batch."""

    max_new_tokens: int
    draft: Draft | None = None
    """None is the plain arm."""
    sampling: Sampling = Sampling()
    ignore_eos: bool = False
    """Run past the natural end; what follows it is left out of every figure."""
    capture: Capture = "timing"
    """`timing`: one timestamping streamer and no hooks. `rounds`: instrumented, with step times."""

    def __post_init__(self) -> None:
        _check(self.max_new_tokens >= 1, f"max_new_tokens must be at least 1, not {self.max_new_tokens}")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in the target's tokens, split where its content may be cut to length."""

    head: tuple[int, ...]
    """What the tokenizer or chat template puts before the content (BOS, turn marks)."""
    content: tuple[int, ...]
    tail: tuple[int, ...]
    """What the chat template puts after it (end of turn, start of the answer)."""


# --------------------------------------------------------------------------------------------- what was seen


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk reached the caller."""

    ns: int
    """Nanoseconds since the request was sent."""
    tokens: int
    """Tokens of this row so far, this chunk included."""

    def __post_init__(self) -> None:
        _check(self.ns >= 0 and self.tokens >= 0, f"arrival out of range: {self}")


@dataclass(frozen=True, slots=True)
class Round:
    """One verify step of one row: k drafts proposed, one target pass, some accepted (METHOD: what is counted)."""

    drafted: int
    accepted: int
    emitted: int
    """Tokens that reached the output: accepted + 1, or fewer in a row's last round (EOS, length limit)."""
    draft_ns: int | None = None
    """From the first drafter pass to the end of the last one."""
    verify_ns: int | None = None
    """The target pass."""
    total_ns: int | None = None
    """The whole round; what drafting and verification leave of it is host overhead."""

    def __post_init__(self) -> None:
        _check(self.drafted >= 0, f"drafted must not be negative: {self}")
        _check(0 <= self.accepted <= self.drafted, f"accepted must lie in 0..drafted: {self}")
        _check(0 <= self.emitted <= self.accepted + 1, f"emitted must lie in 0..accepted+1: {self}")


@dataclass(frozen=True, slots=True)
class DraftCounts:
    """Totals over a generation, for runtimes that reveal no single rounds."""

    rounds: int | None
    drafted: int | None
    accepted: int | None
    per_position: tuple[int, ...] | None = None
    """How many rounds accepted at least i drafts, i = 1..k."""


@dataclass(frozen=True, slots=True)
class PlainStep:
    """One plain decoding step of an instrumented pass: where its time went."""

    pass_ns: int
    """The target pass of one token per row."""
    total_ns: int
    """The whole step; the rest is host overhead."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What one row of one call gave."""

    n_tokens: int
    """Tokens emitted, counted from ids where the runtime gives ids."""
    token_ids: tuple[int, ...] | None
    """None only where the runtime reveals no ids; comparisons are then labelled text-only."""
    text: str | None
    arrivals: tuple[Arrival, ...]
    n_prefill: int = 1
    """Tokens emitted by the prefill, which is no round."""
    prompt_tokens: int | None = None
    """Prompt length as the runtime counts it."""
    rounds: tuple[Round, ...] | None = None
    """None: single rounds not revealed (always so in a headline pass)."""
    counts: DraftCounts | None = None
    steps: tuple[PlainStep, ...] | None = None
    """Only in an instrumented pass of the plain arm."""
    finish_reason: FinishReason | None = None
    cached_tokens: int | None = None
    """Prompt tokens served from a prefix cache; anything but 0 spoils TTFT."""
    peak_memory_bytes: int | None = None
    statement: Mapping[str, Json] = field(default_factory=dict)
    """The engine's own words about this generation, stored as they came."""

    def __post_init__(self) -> None:
        if self.token_ids is not None:
            _check(len(self.token_ids) == self.n_tokens, f"n_tokens is {self.n_tokens}, ids {len(self.token_ids)}")
        _check(self.token_ids is not None or self.text is not None, "a generation needs ids or text")
        times = [a.ns for a in self.arrivals]
        _check(times == sorted(times), "arrivals must be in order of time")
        counts = [a.tokens for a in self.arrivals]
        _check(counts == sorted(counts), "token counts of arrivals must not fall")


@dataclass(frozen=True, slots=True)
class TokenScore:
    """The target's own view of one emitted token, teacher-forced (None where a runtime gives only one scale)."""

    position: int
    """0 for the first token of the continuation."""
    token_id: int
    best_id: int
    logit: float | None
    best_logit: float | None
    logprob: float | None = None
    best_logprob: float | None = None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a session knows about itself once it is open; stored with its launch."""

    versions: Mapping[str, str]
    """Package -> version inside the worker."""
    device: str
    """What really computes, e.g. `cpu` or `cuda:0 NVIDIA H200`."""
    dtype: str
    eos_token_ids: tuple[int, ...]
    context_limit: int | None
    """Longest prompt plus output the target takes, in tokens."""
    vocab_size: int | None
    threads: int | None = None
    target_bytes: int | None = None
    drafter_bytes: int | None = None
    """Memory that the drafter adds (weights; KV where known)."""
    chat_template: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """Model file -> sha256 (of config and index, or of sampled weights: the key says which)."""
    statement: Mapping[str, Json] = field(default_factory=dict)
    """Anything else the engine says about itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial or launch gave nothing."""

    kind: Literal["crash", "timeout", "oom", "refused", "error"]
    message: str
    """One line."""
    detail: str = ""
    """Traceback or the end of the engine's log."""


# ------------------------------------------------------------------------------- how a run is laid out


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
        _check((self.role == SPECULATIVE) == (self.draft is not None), f"role {self.role} with draft {self.draft}")
        _check(self.batch_size >= 1, f"batch size must be at least 1, not {self.batch_size}")


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
        _check(self.token_ids is not None or self.text is not None, f"prompt {self.key} has neither ids nor text")
        _check(self.token_ids is None or len(self.token_ids) > 0, f"prompt {self.key} is empty")


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
