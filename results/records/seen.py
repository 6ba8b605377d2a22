"""What was seen of a runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from results.records.common import Json, check

FinishReason = Literal["length", "stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk reached the caller.

    A runtime that gives no token ids, and does not say how many tokens a chunk brings, may begin with the end of the
    prefill, at 0 tokens: every token was decoded after it, those of the first chunk too. The counts that follow are the
    fewest that can have come, one a chunk, and only the last is exact.
    """

    ns: int
    """Nanoseconds since the request was sent."""
    tokens: int
    """Tokens of this row so far, this chunk included."""

    def __post_init__(self) -> None:
        check(self.ns >= 0 and self.tokens >= 0, f"arrival out of range: {self}")


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
        check(self.drafted >= 0, f"drafted must not be negative: {self}")
        check(0 <= self.accepted <= self.drafted, f"accepted must lie in 0..drafted: {self}")
        check(0 <= self.emitted <= self.accepted + 1, f"emitted must lie in 0..accepted+1: {self}")


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
class TokenScore:
    """The target's own view of one emitted token (None where a runtime gives only part of it).

    Logits are raw. Probabilities are natural logarithms under the sampling that was asked about: temperature and
    truncation applied, the plain softmax for greedy decoding. -inf: truncation leaves the token no probability.
    """

    position: int
    """0 for the first token of the continuation."""
    token_id: int
    best_id: int
    logit: float | None
    best_logit: float | None
    logprob: float | None = None
    best_logprob: float | None = None
    entropy: float | None = None
    """H of the distribution at this position, nats."""
    variance: float | None = None
    """Of log p of a token drawn from it, nats squared."""
    mass_above: float | None = None
    """Probability of all tokens that come before this one, the most probable first, ties by id."""

    def __post_init__(self) -> None:
        check(self.position >= 0, f"a position counts from 0, not {self.position}")
        check(
            self.logit is None or self.best_logit is None or self.logit <= self.best_logit,
            f"the best logit is none: {self}",
        )


ScoreKind = Literal["incremental", "prefill", "replay", "reference"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Scores of one generation's tokens, in the order of their positions."""

    generation_id: int
    kind: ScoreKind
    """incremental: as the engine decoded them. prefill: the whole output teacher-forced in one pass by the undrafted
    target; it holds for every equal output to the same prompt. replay: one token, with everything before it given
    as one prefill. reference: as prefill, but by the target in the reference runtime, of which the launch tells."""
    scores: tuple[TokenScore, ...]

    def __post_init__(self) -> None:
        positions = [score.position for score in self.scores]
        check(bool(positions), "a scoring needs at least one score")
        check(positions == list(range(positions[0], positions[0] + len(positions))), "positions must be consecutive")


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
    scores: tuple[TokenScore, ...] | None = None
    """The logits by which the plain arm of an instrumented pass chose its first tokens; all of them where memory
    allows."""
    finish_reason: FinishReason | None = None
    cached_tokens: int | None = None
    """Prompt tokens served from a prefix cache; anything but 0 spoils TTFT."""
    peak_memory_bytes: int | None = None
    """The most that tensors took; with CUDA graphs, in instrumented passes, what their pools keep too."""
    statement: Mapping[str, Json] = field(default_factory=dict)
    """The engine's own words about this generation, stored as they came."""

    def __post_init__(self) -> None:
        if self.token_ids is not None:
            check(len(self.token_ids) == self.n_tokens, f"n_tokens is {self.n_tokens}, ids {len(self.token_ids)}")
        check(self.token_ids is not None or self.text is not None, "a generation needs ids or text")
        times = [a.ns for a in self.arrivals]
        check(times == sorted(times), "arrivals must be in order of time")
        counts = [a.tokens for a in self.arrivals]
        check(counts == sorted(counts), "token counts of arrivals must not fall")


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
