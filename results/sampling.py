"""Does sampled output follow the target's own distribution? (METHOD section 5.)

Seeds tell nothing: a speculative sampler draws other random numbers. What must agree is the distribution of every
token that a round emitted, given the text before it, with that of the undrafted target (`results.goodness`); where the
runtime gives no scores, with the plain arm's draws (`results.permutation`).

The tokens of a round are not split by whether they were accepted or corrected: given that a draft was accepted, its
law is not p even in a correct sampler (it is min(p, q), normalised). They are split by their place, which is known
beforehand: in the place of a draft, or after the last one (bonus). The prefill's token never meets the drafter and is
left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from results import draws, goodness, permutation
from results.arm import Arm
from results.certificate import DistributionTest, SamplingCertificate, SamplingName
from results.draws import ArmName, Draws, Where
from results.goodness import LEVEL

MIN_TOKENS = 300
"""Tokens of rounds below which nothing is concluded."""
MIN_CLASS = 100
"""Tokens of a place (draft, bonus) below which it is not tested by itself."""
PLACES: tuple[Where, ...] = ("draft positions", "bonus positions", "all positions")


def certificate(arm: Arm, plain: Arm, control: Arm | None, biased: Arm | None) -> SamplingCertificate | None:
    """The sampling certificate of a speculative arm; None where nothing of it was measured.

    control: plain once more, used where the runtime gives no scores. biased: the known-biased sampler, if one was run.
    """
    if not len(arm.rows):
        return None
    own = draws.of_arm(plain)
    found = {where: draws.of_arm(arm, where) for where in PLACES}
    if not len(own) or not any(map(len, found.values())):
        return _without_scores(arm, plain, control, biased)
    result = judged(found, own, draws.of_arm(biased) if biased is not None else None)
    return replace(
        result,
        draws=sum(1 for _ in draws.forced_rows(arm)),
        positive_temperature=biased.cell.sampling.temperature
        if biased and result.positive_control is not None
        else None,
    )


def untested(reason: str) -> SamplingCertificate:
    """The certificate of an arm whose output is not tested at all."""
    return SamplingCertificate("untested", reason, level=LEVEL, p=None, power_at=None, n=0)


def judged(found: Mapping[Where, Draws], own: Draws, biased: Draws | None) -> SamplingCertificate:
    """The certificate of draws: `found` of the speculative arm, `own` of the target, and of a known-biased sampler."""
    tests = goodness.tests("speculative", {where: part for where, part in found.items() if len(part) >= MIN_CLASS}, own)
    negative = goodness.tests("plain", {"all positions": own}, own) if len(own) >= MIN_CLASS else []
    positive: list[DistributionTest] = []
    if biased is not None and len(biased) >= MIN_CLASS:
        positive = goodness.tests("biased", {"all positions": biased}, own)
    largest = max(found.values(), key=len)
    n = sum(map(len, found.values()))
    result = SamplingCertificate(
        verdict="untested",
        reason="",
        level=LEVEL,
        p=_smallest(tests),
        power_at=goodness.detectable(largest.possible, len(tests)) if tests else None,
        n=n,
        impossible=n - sum(len(part.possible) for part in found.values()),
        tests=(*tests, *negative, *positive),
        negative_control=_passes(negative) if negative else None,
        positive_control=not _passes(positive) if positive else None,
    )
    if n < MIN_TOKENS:
        return replace(result, reason=f"{n} tokens of rounds were drawn: at least {MIN_TOKENS} are needed to conclude")
    result = _concluded(result, tests)
    if result.verdict == "not distinguishable" and result.power_at is None:
        return replace(result, verdict="untested", reason="the draws left too little to chance for a bias to show")
    return result


def _smallest(tests: Sequence[DistributionTest]) -> float | None:
    return min((test.adjusted for test in tests), default=None)


def _passes(tests: Sequence[DistributionTest]) -> bool:
    return all(test.adjusted > LEVEL for test in tests)


# --------------------------------------------------------------------------------------------------- conclusions


def _concluded(found: SamplingCertificate, tests: Sequence[DistributionTest]) -> SamplingCertificate:
    verdict: SamplingName = "untested"
    if found.negative_control is False:
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
    tests: dict[ArmName, list[DistributionTest]] = {"speculative": [], "plain": [], "biased": []}
    sampled: tuple[tuple[ArmName, Arm | None], ...] = (("speculative", arm), ("plain", control), ("biased", biased))
    for name, each in sampled:
        outcome = permutation.test(each, plain) if each is not None else None
        if outcome is not None:
            p = outcome.p
            tests[name] = [
                DistributionTest("permutation", name, "all positions", outcome.tokens, outcome.statistic, p, p)
            ]
    result = SamplingCertificate(
        verdict="untested",
        reason="",
        level=LEVEL,
        p=_smallest(tests["speculative"]),
        power_at=None,
        n=sum(test.tokens for test in tests["speculative"]),
        draws=len(arm.rows),
        tests=(*tests["speculative"], *tests["plain"], *tests["biased"]),
        negative_control=_passes(tests["plain"]) if tests["plain"] else None,
        positive_control=not _passes(tests["biased"]) if tests["biased"] else None,
        positive_temperature=biased.cell.sampling.temperature if biased and tests["biased"] else None,
    )
    if not tests["speculative"]:
        return replace(result, reason="no scores, and no two draws of both arms begin alike: draw more per prompt")
    if result.positive_control is None:
        return replace(result, reason="no scores and no positive control: what so few draws could tell is not known")
    if result.negative_control is None:
        return replace(result, reason="no scores and no negative control: plain decoding was not drawn twice")
    return _concluded(result, tests["speculative"])
