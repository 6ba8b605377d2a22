"""The shape of the losslessness certificate: `equivalence` (greedy) and `sampling` of a cell in `show --json`.

Plain dataclasses; None means unknown or not computed and is never shown as 0. Logits and regrets are in logit units
of the undrafted target, teacher-forced; positions count output tokens from 0.
"""

from dataclasses import dataclass
from typing import Literal

EquivalenceName = Literal["identical", "equivalent", "unexplained", "untested", "text-only"]
SamplingName = Literal["not distinguishable", "biased", "untested"]
DivergenceKind = Literal["tie", "batch-numerics", "unexplained", "unclassified"]
ControlKind = Literal["again", "batch-shape"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a speculative output first leaves the plain one, and what explains it (METHOD section 5)."""

    prompt: str
    """Key of the prompt."""
    category: str
    position: int
    """Of the first token that differs, or that only one of the two outputs has."""
    kind: DivergenceKind
    """unclassified: the runtime cannot score, so that nothing can be told."""
    reason: str
    """The evidence in one line."""
    plain_token: int | None
    """None: the plain output ended here."""
    speculative_token: int | None
    """None: the speculative output ended here."""
    plain_logit: float | None = None
    """Of the plain token, teacher-forced."""
    speculative_logit: float | None = None
    margin: float | None = None
    """Logit of the plain token less that of the speculative one, teacher-forced."""
    replayed_token: int | None = None
    """What the undrafted target chooses after the same prefix, given as one prefill."""
    rounding: float | None = None
    """One rounding unit of the dtype at that logit."""
    worst_regret: float | None = None
    """Largest (best logit - chosen logit) from here to the end of the speculative output; infinite, and null in JSON,
    for a token whose logit is -inf."""
    worst_position: int | None = None
    before: str = ""
    """End of the text that both share."""
    plain_text: str = ""
    """How the plain output goes on."""
    speculative_text: str = ""


@dataclass(frozen=True, slots=True)
class Control:
    """Undrafted decoding against undrafted decoding: how often outputs differ without any drafter."""

    kind: ControlKind
    """again: the plain arm once more; batch-shape: the same prompts in a batch of another size."""
    prompts: int
    diverged: int


@dataclass(frozen=True, slots=True)
class Frequency:
    """Are divergences more frequent than in an undrafted control? One-sided exact test on the prompts both have.

    Never reclassifies a single divergence.
    """

    against: ControlKind
    prompts: int
    diverged: int
    control_diverged: int
    p: float
    """McNemar's exact test: P(so many of the prompts in which only one of the two diverged | no difference)."""
    detectable: float | None
    """The smallest share of prompts diverging beyond the control that would be called (at .05) in 4 of 5 such runs,
    with the control as it was; None: no share would, with so few prompts."""


@dataclass(frozen=True, slots=True)
class Regrets:
    """Best logit - chosen logit over all scored tokens of the speculative arm."""

    tokens: int
    p50: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The greedy certificate of a cell."""

    verdict: EquivalenceName
    reason: str
    """Why the verdict is no better; empty where it is `identical`."""
    prompts: int
    """Compared with the plain arm."""
    identical: int
    tie: int
    batch_numerics: int
    unexplained: int
    unclassified: int
    """Diverged, and nothing could be scored."""
    max_regret: float | None
    """The certificate's number: the worst of all scored tokens of the speculative arm."""
    control_divergences: int | None
    """Prompts in which any undrafted control diverged; None without a control."""
    tolerance: float | None = None
    """Ties are within this margin: 2 x the 99.9th percentile of the noise. None: not measured, or not noise: most
    logits differ by more than numerics explain."""
    noise_tokens: int = 0
    """Tokens of the plain arm with a logit both as it decoded them and in one prefill."""
    regrets: Regrets | None = None
    controls: tuple[Control, ...] = ()
    frequency: Frequency | None = None
    beyond_controls: int = 0
    """Diverged prompts in which no undrafted control diverged. In float32 there should be none."""
    divergences: tuple[Divergence, ...] = ()
    """One per diverged prompt, the worst first."""
    sequences: int = 0
    """Generated sequences that the certificate speaks for."""
    scored: int = 0
    """Teacher-forcing passes it took: one per distinct output, and the replays of those that diverged."""


@dataclass(frozen=True, slots=True)
class CrossRuntime:
    """Plain greedy output of one runtime under the target in another, the reference, teacher-forced.

    Runtimes round differently, so tokens need not be equal; a port that computes another model shows in the regrets.
    """

    reference: str
    """The reference runtime's backend."""
    prompts: int
    tokens: int
    chosen: float
    """Share of tokens that the reference's target would have chosen too, given the same tokens before."""
    regrets: Regrets
    doubtful: bool
    """Too few are chosen for a difference of rounding."""


@dataclass(frozen=True, slots=True)
class DistributionTest:
    """One test of drawn tokens against the distribution they should come from."""

    name: Literal["surprisal", "uniformity", "truncation", "permutation"]
    """surprisal: z = sum(log p + H) / sqrt(sum Var); uniformity: chi-square of the probability integral transform;
    truncation: tokens that truncation leaves no probability, against the plain arm's (Fisher's exact test);
    permutation: token counts after equal prefixes against the plain arm's, where no scores exist."""
    arm: Literal["speculative", "plain", "biased"]
    where: Literal["draft positions", "bonus positions", "all positions"]
    """draft positions: tokens in the place of a draft, whether accepted or corrected; bonus positions: the token
    after a fully accepted draft."""
    tokens: int
    statistic: float
    p: float
    """Two-sided (surprisal), of the upper tail (the others)."""
    adjusted: float
    """Holm-corrected over the tests of the same arm."""


@dataclass(frozen=True, slots=True)
class SamplingCertificate:
    """Does the sampled output of a cell follow the target's own distribution?"""

    verdict: SamplingName
    reason: str
    level: float
    """Of the family of tests: the share of healthy engines that would be called biased."""
    p: float | None
    """The smallest Holm-corrected p of the speculative arm."""
    power_at: float | None
    """Total-variation bias towards the most probable token that so many tokens would have caught in 4 of 5 runs."""
    n: int
    """Tokens tested, of the speculative arm."""
    draws: int = 0
    """Continuations they come from."""
    impossible: int = 0
    """Tokens of the speculative arm that the asked distribution cannot give (truncated away)."""
    tests: tuple[DistributionTest, ...] = ()
    negative_control: bool | None = None
    """The target's own draws pass the same tests (they fail at `level` by design); None: not tested."""
    positive_control: bool | None = None
    """A known-biased sampler is caught; None: none was drawn."""
    positive_temperature: float | None = None
    """Of the known-biased sampler: plain decoding at this temperature, judged as if it were the asked one."""


EQUIVALENCE_ORDER: tuple[EquivalenceName, ...] = ("unexplained", "untested", "text-only", "equivalent", "identical")
"""The worst first: a run is as good as its worst cell."""
SAMPLING_ORDER: tuple[SamplingName, ...] = ("biased", "untested", "not distinguishable")


@dataclass(frozen=True, slots=True)
class RunCertificate:
    """The worst verdict of all measured cells of a run; None where no cell is of that kind."""

    equivalence: EquivalenceName | None = None
    sampling: SamplingName | None = None
    reasons: tuple[str, ...] = ()
    """One line per cell that keeps the run from a better verdict, the worst first."""
