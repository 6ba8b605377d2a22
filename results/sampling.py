"""Does sampled output follow the target's own distribution? (METHOD section 5.)

Seeds tell nothing: a speculative sampler draws other random numbers. What must agree is the distribution of every
token that a round emitted, given the text before it. With p that distribution at temperature and truncation asked for,
teacher-forced by the undrafted target:

    surprisal    z = sum(log p(x_t) + H_t) / sqrt(sum Var_t): each term has mean 0 given the text before it, so the sum
                 is a martingale, and z is normal in the limit
    uniformity   u = P(tokens more probable than x_t) + V p(x_t), V uniform: u is uniform (the probability integral
                 transform of Rosenblatt 1952, randomised for a discrete law); chi-square over `BINS` equal bins
    truncation   tokens that truncation leaves no probability at all: numerics at the edge give some to any arm, so
                 their share is set against the plain arm's

The tokens of a round are not split by whether they were accepted or corrected: given that a draft was accepted, its
law is not p even in a correct sampler (it is min(p, q), normalised). They are split by their place, which is known
beforehand: in the place of a draft, or after the last one (bonus). The prefill's token never meets the drafter and is
left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from results import permutation
from results.arm import Arm
from results.certificate import DistributionTest, SamplingCertificate, SamplingName
from results.metrics import Floats

LEVEL = 0.001
"""Of all tests of an arm together: one healthy engine in a thousand is called biased."""
POWER = 0.8
MIN_TOKENS = 300
"""Tokens of rounds below which nothing is concluded: the normal limit of z wants some, and so does any power."""
MIN_CLASS = 100
"""Tokens of a place (draft, bonus) below which it is not tested by itself."""
BINS = 20

Where = Literal["draft positions", "bonus positions", "all positions"]
WHERE: tuple[Where, ...] = ("draft positions", "bonus positions", "all positions")
ArmName = Literal["speculative", "plain", "biased"]


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Tokens drawn, and the distribution that each should come from."""

    log_p: Floats
    """-inf: truncated away."""
    best: Floats
    """log p of the most probable token."""
    entropy: Floats
    variance: Floats
    above: Floats
    """Probability of the tokens before it, the most probable first."""

    def take(self, keep: NDArray[np.bool_]) -> "Draws":
        """Those that `keep` selects."""
        return Draws(*(getattr(self, name)[keep] for name in ("log_p", "best", "entropy", "variance", "above")))

    @property
    def possible(self) -> "Draws":
        """Without the tokens that truncation leaves no probability."""
        return self.take(np.isfinite(self.log_p))


def certificate(arm: Arm, plain: Arm, control: Arm | None, biased: Arm | None) -> SamplingCertificate | None:
    """The sampling certificate of a speculative arm; None where nothing of it was measured.

    control: plain once more, used where the runtime gives no scores. biased: the known-biased sampler, if one was run.
    """
    if not len(arm.rows):
        return None
    own = draws(plain)
    found = {where: draws(arm, where) for where in WHERE}
    n = sum(len(each.log_p) for each in found.values())
    if not n or not len(own.log_p):
        return _without_scores(arm, plain, control, biased)
    tests = _holm([*_tests("speculative", {w: d for w, d in found.items() if len(d.log_p) >= MIN_CLASS}, own)])
    negative = _holm([*_tests("plain", {"all positions": own}, own)])
    positive: list[DistributionTest] = []
    if biased is not None and len((other := draws(biased)).log_p) >= MIN_CLASS:
        positive = _holm([*_tests("biased", {"all positions": other}, own)])
    largest = max(found.values(), key=lambda each: len(each.log_p))
    result = SamplingCertificate(
        verdict="untested",
        reason="",
        level=LEVEL,
        p=min((test.adjusted for test in tests), default=None),
        power_at=detectable(largest.possible, max(len(tests), 1)),
        n=n,
        draws=int(np.isin(arm.rows, [*_forced_rows(arm)]).sum()),
        impossible=sum(int((~np.isfinite(each.log_p)).sum()) for each in found.values()),
        tests=(*tests, *negative, *positive),
        negative_control=_passes(negative) if len(own.log_p) >= MIN_CLASS else None,
        positive_control=not _passes(positive) if positive else None,
        positive_temperature=biased.cell.sampling.temperature if positive and biased else None,
    )
    return _concluded(result, tests)


def draws(arm: Arm, where: Where | None = None) -> Draws:
    """Tokens that rounds of an arm emitted (of a plain arm: all after the prefill's), where they were scored.

    where: draft or bonus positions, of rows that reveal their rounds; `all positions` of those that do not. None:
    of all rows, without a split.
    """
    rows = arm.evidence.rows
    parts: list[Floats] = []
    revealed = set(arm.revealed.tolist())
    bonus = _bonus(arm) if where in ("draft positions", "bonus positions") else {}
    for row in _forced_rows(arm):
        if where is not None and (where == "all positions") == (row in revealed):
            continue
        scored = arm.scores.forced[arm.place(row)]
        keep = np.arange(len(scored.tokens)) >= rows.n_prefill[row]
        keep &= np.arange(len(scored.tokens)) < rows.natural[row]
        if where in ("draft positions", "bonus positions"):
            last = np.zeros(len(scored.tokens), dtype=bool)
            last[[place for place in bonus.get(row, ()) if place < len(last)]] = True
            keep &= last if where == "bonus positions" else ~last
        keep &= np.isfinite(scored.numbers[:, 4:]).all(axis=1)
        parts.append(scored.numbers[keep][:, 2:])
    log_p, best, entropy, variance, above = (np.concatenate(parts) if parts else np.empty((0, 5))).T
    return Draws(log_p, best, entropy, variance, above)


def _forced_rows(arm: Arm) -> Iterator[int]:
    return (row for row in arm.rows.tolist() if arm.place(row) in arm.scores.forced)


def _bonus(arm: Arm) -> dict[int, list[int]]:
    """Row -> positions of the tokens that came after a fully accepted draft."""
    rounds = arm.rounds
    full = (rounds.emitted == rounds.drafted + 1) & (rounds.drafted > 0)
    found: dict[int, list[int]] = {}
    for row, position in zip(rounds.row[full].tolist(), (rounds.start + rounds.drafted)[full].tolist(), strict=True):
        found.setdefault(row, []).append(position)
    return found


# ------------------------------------------------------------------------------------------------------ tests


def _tests(arm: ArmName, parts: dict[Where, Draws], plain: Draws) -> Iterator[DistributionTest]:
    from scipy import stats  # here: it takes a second to import, which `show` of a greedy run must not pay

    for where, found in parts.items():
        possible, n = found.possible, len(found.log_p)
        spread = float(np.sqrt(possible.variance.sum()))
        if spread > 0:
            z = float((possible.log_p + possible.entropy).sum()) / spread
            yield DistributionTest("surprisal", arm, where, n, z, float(2 * stats.norm.sf(abs(z))), 1.0)
        counts = np.bincount((BINS * _transformed(possible)).astype(int).clip(0, BINS - 1), minlength=BINS)
        if counts.sum() >= 5 * BINS:
            tested = stats.chisquare(counts)
            yield DistributionTest("uniformity", arm, where, n, float(tested.statistic), float(tested.pvalue), 1.0)
        impossible, usual = n - len(possible.log_p), int((~np.isfinite(plain.log_p)).sum())
        if arm != "plain" and impossible:
            table = [[impossible, n - impossible], [usual, len(plain.log_p) - usual]]
            p = float(stats.fisher_exact(table, alternative="greater").pvalue)
            yield DistributionTest("truncation", arm, where, n, impossible / n, p, 1.0)


def _transformed(found: Draws) -> Floats:
    """The probability integral transform, randomised; the same for the same draws."""
    uniform = np.random.default_rng(len(found.log_p)).random(len(found.log_p))
    transformed: Floats = found.above + uniform * np.exp(found.log_p)
    return transformed


def _holm(tests: Sequence[DistributionTest]) -> list[DistributionTest]:
    """Adjusted p values (Holm 1979): the i-th smallest of m times (m - i + 1), never falling, at most 1."""
    ordered = sorted(tests, key=lambda test: test.p)
    adjusted, so_far = [], 0.0
    for index, test in enumerate(ordered):
        so_far = max(so_far, min(1.0, test.p * (len(ordered) - index)))
        adjusted.append(replace(test, adjusted=so_far))
    return adjusted


def _passes(tests: Sequence[DistributionTest]) -> bool:
    return all(test.adjusted > LEVEL for test in tests)


def detectable(found: Draws, tests: int) -> float | None:
    """The smallest bias towards the most probable token that z would have caught with `POWER`, in total variation.

    A sampler that takes the most probable token with probability e, and draws from p otherwise, shifts every term of z
    by e (log p_max + H) and lies e (1 - p_max) from p. Caught where the shift exceeds the critical value of the first
    Holm step by the normal quantile of the power. None where even e = 1 would not be.
    """
    from scipy import stats

    shift = float((found.best + found.entropy).sum())
    needed = (stats.norm.isf(LEVEL / tests / 2) + stats.norm.ppf(POWER)) * float(np.sqrt(found.variance.sum()))
    if shift <= 0 or needed > shift:
        return None
    return float(needed / shift * (1 - np.exp(found.best)).mean())


# --------------------------------------------------------------------------------------------------- conclusions


def _concluded(found: SamplingCertificate, tests: Sequence[DistributionTest]) -> SamplingCertificate:
    verdict: SamplingName = "untested"
    if found.n < MIN_TOKENS:
        reason = f"{found.n} tokens of rounds were drawn: at least {MIN_TOKENS} are needed for any conclusion"
    elif found.negative_control is False:
        reason = "the target's own draws fail the same test: runtime and scores do not agree on the distribution"
    elif tests and min(test.adjusted for test in tests) <= LEVEL:
        worst = min(tests, key=lambda test: test.adjusted)
        verdict, reason = "biased", _bias(worst)
    elif found.positive_control is False:
        reason = "the known-biased sampler was not caught: too few tokens to tell"
    else:
        verdict, reason = "not distinguishable", ""
    return replace(found, verdict=verdict, reason=reason)


def _bias(worst: DistributionTest) -> str:
    """What the strongest test says, in words."""
    if worst.name == "surprisal":
        direction = "too probable" if worst.statistic > 0 else "too improbable"
        told = f"tokens at {worst.where} are {direction} under the target (z = {worst.statistic:+.1f})"
    elif worst.name == "uniformity":
        told = f"tokens at {worst.where} do not follow the target's distribution (chi-square {worst.statistic:.0f})"
    elif worst.name == "truncation":
        told = f"{worst.statistic:.1%} of the tokens at {worst.where} are ones that truncation excludes"
    else:
        told = "tokens after equal prefixes are not those of the plain arm"
    return f"{told}, p = {worst.adjusted:.1g}"


def _without_scores(arm: Arm, plain: Arm, control: Arm | None, biased: Arm | None) -> SamplingCertificate:
    """Against the plain arm's draws, where the runtime gives no scores."""
    rows = arm.evidence.rows
    n = int((rows.n_tokens - rows.n_prefill)[arm.rows].sum())
    found = {"speculative": arm, "plain": control, "biased": biased}
    tests: dict[str, list[DistributionTest]] = {}
    for name, each in found.items():
        outcome = permutation.test(each, plain) if each is not None else None
        tests[name] = [] if outcome is None else [_permuted(name, outcome)]
    result = SamplingCertificate(
        verdict="untested",
        reason="",
        level=LEVEL,
        p=min((test.adjusted for test in tests["speculative"]), default=None),
        power_at=None,
        n=n,
        draws=len(arm.rows),
        tests=(*tests["speculative"], *tests["plain"], *tests["biased"]),
        negative_control=_passes(tests["plain"]) if tests["plain"] else None,
        positive_control=not _passes(tests["biased"]) if tests["biased"] else None,
        positive_temperature=biased.cell.sampling.temperature if biased and tests["biased"] else None,
    )
    if not tests["speculative"]:
        return replace(result, reason="no scores, and no two draws begin alike: draw more continuations per prompt")
    if result.positive_control is None:
        return replace(result, reason="no scores and no positive control: what so few draws could tell is not known")
    return _concluded(result, tests["speculative"])


def _permuted(name: str, outcome: permutation.Outcome) -> DistributionTest:
    arm: ArmName = "speculative" if name == "speculative" else "plain" if name == "plain" else "biased"
    return DistributionTest(
        "permutation", arm, "all positions", outcome.tokens, outcome.statistic, outcome.p, outcome.p
    )
