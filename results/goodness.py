"""Tests of whether tokens were drawn from the distributions they should come from (METHOD section 5).

With p the distribution of a token at the temperature and truncation asked for, given the text before it:

    surprisal    z = sum(log p(x_t) + H_t) / sqrt(sum Var_t): each term has mean 0 given the text before it, so the sum
                 is a martingale; its law is close to Pearson's type III with the same skewness (`surprisal`)
    uniformity   u = P(tokens more probable than x_t) + V p(x_t), V uniform: u is uniform (the probability integral
                 transform of Rosenblatt 1952, randomised for a discrete law); chi-square over `BINS` equal bins
    truncation   tokens that truncation leaves no probability at all: numerics at the edge give some to any arm, so
                 their share is set against the plain arm's
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from results.certificate import DistributionTest
from results.draws import ArmName, Draws, Where
from results.metrics import Floats

LEVEL = 0.001
"""Of all tests of an arm together: one healthy engine in a thousand is called biased."""
POWER = 0.8
BINS = 20
PER_BIN = 5
"""Expected tokens of a bin below which chi-square is no chi-square (Cochran 1954)."""
TAIL_SKEWNESS = 1.0
"""Of the surprisal of all tokens but the most probable one, which scores do not tell: exponential tails have 2, even
ones 0. It moves the skewness of the sum little, most of which comes from how far that tail lies from the top."""


def tests(arm: ArmName, parts: Mapping[Where, Draws], plain: Draws) -> list[DistributionTest]:
    """Every test of every part, Holm-corrected together. plain: the target's own draws, for `truncation`."""
    found: list[DistributionTest] = []
    for where, part in parts.items():
        possible, n = part.possible, len(part)
        if tested := surprisal(possible):
            found.append(DistributionTest("surprisal", arm, where, n, *tested, 1.0))
        if tested := uniformity(possible):
            found.append(DistributionTest("uniformity", arm, where, n, *tested, 1.0))
        impossible = n - len(possible)
        if arm != "plain" and impossible:
            p = fisher(impossible, n, len(plain) - len(plain.possible), len(plain))
            found.append(DistributionTest("truncation", arm, where, n, impossible / n, p, 1.0))
    return holm(found)


def surprisal(found: Draws) -> tuple[float, float] | None:
    """(z, two-sided p); None where nothing was left to chance.

    Where the most probable token nearly always comes, z has the skewness of rare events: at 300 such tokens the normal
    law would call a correct sampler biased five times as often as it should. So p is that of Pearson's type III law (a
    shifted gamma), which has the skewness of the sum.
    """
    from scipy import special  # here: `show` of a greedy run must not pay for its import

    total = float(found.variance.sum())
    if total <= 0:
        return None
    z = float((found.log_p + found.entropy).sum()) / total**0.5
    skewness = float(third_moment(found).sum()) / total**1.5
    y = -z if skewness > 0 else z  # so that the longer tail is above
    if abs(skewness) < 1e-4:
        tail = float(special.ndtr(-abs(z)))
    else:
        shape = 4 / skewness**2
        x = max(shape + y * shape**0.5, 0.0)
        tail = float(min(special.gammainc(shape, x), special.gammaincc(shape, x)))
    return z, min(1.0, 2 * tail)


def third_moment(found: Draws) -> Floats:
    """Third central moment of the surprisal -log p at each position, from what scores tell of its distribution.

    The most probable token has probability p_1 and surprisal s_1; all others together r = 1 - p_1 and, because H and
    Var are known, a mean surprisal H + d, d = p_1 (H - s_1) / r, and a variance v = (Var - p_1 (H - s_1)^2) / r - d^2.
    The moment is -p_1 (H - s_1)^3 + r (d^3 + 3 d v + TAIL_SKEWNESS v^1.5).
    """
    p_1, above_top = np.exp(found.best), np.maximum(found.entropy + found.best, 0)
    r = np.maximum(1 - p_1, 1e-12)
    d = np.minimum(p_1 * above_top / r, np.sqrt(found.variance / r))  # the second is a bound; rounding can break it
    v = np.maximum((found.variance - p_1 * above_top**2) / r - d**2, 0)
    third: Floats = -p_1 * above_top**3 + r * (d**3 + 3 * d * v + TAIL_SKEWNESS * v**1.5)
    return third


def uniformity(found: Draws) -> tuple[float, float] | None:
    """(chi-square, p of its upper tail) of the transformed tokens; None below `PER_BIN` expected in every bin."""
    from scipy import special

    n = len(found)
    if n < PER_BIN * BINS:
        return None
    counts = np.bincount((BINS * transformed(found)).astype(int).clip(0, BINS - 1), minlength=BINS)
    statistic = float(((counts - n / BINS) ** 2).sum() / (n / BINS))
    return statistic, float(special.chdtrc(BINS - 1, statistic))


def transformed(found: Draws) -> Floats:
    """The probability integral transform, randomised; the same for the same draws.

    V is stratified, one in each n-th of 0..1: where tokens are nearly certain u is V, which must not fail by itself.
    """
    n = len(found)
    rng = np.random.default_rng(n)
    uniform = (rng.permutation(n) + rng.random(n)) / max(n, 1)
    result: Floats = found.above + uniform * np.exp(found.log_p)
    return result


def fisher(here: int, n: int, there: int, of: int) -> float:
    """One-sided exact test (Fisher 1922): P(X >= here), `here` of n tokens against `there` of `of`, margins fixed."""
    from scipy.special import gammaln

    def log_choose(total: int | NDArray[np.int64], part: int | NDArray[np.int64]) -> Floats:
        found: Floats = gammaln(total + 1.0) - gammaln(part + 1.0) - gammaln(total - part + 1.0)
        return found

    both = here + there
    x = np.arange(here, min(both, n) + 1)
    return min(1.0, float(np.exp(log_choose(n, x) + log_choose(of, both - x) - log_choose(n + of, both)).sum()))


def holm(tests: Sequence[DistributionTest]) -> list[DistributionTest]:
    """Adjusted p values (Holm 1979): the i-th smallest of m times (m - i + 1), never falling, at most 1."""
    ordered = sorted(tests, key=lambda test: test.p)
    adjusted, so_far = [], 0.0
    for index, test in enumerate(ordered):
        so_far = max(so_far, min(1.0, test.p * (len(ordered) - index)))
        adjusted.append(replace(test, adjusted=so_far))
    return adjusted


def detectable(found: Draws, tests: int) -> float | None:
    """The smallest bias towards the most probable token that z would have caught with `POWER`, in total variation.

    A sampler that takes the most probable token with probability e, and draws from p otherwise, shifts every term of z
    by e (log p_max + H) and lies e (1 - p_max) from p. Caught where the shift exceeds the critical value of the first
    Holm step by the normal quantile of the power. None where even e = 1 would not be.
    """
    from scipy.special import ndtri

    shift = float((found.best + found.entropy).sum())
    needed = float(ndtri(POWER) - ndtri(LEVEL / tests / 2)) * float(np.sqrt(found.variance.sum()))
    if shift <= 0 or needed > shift:
        return None
    return needed / shift * float((1 - np.exp(found.best)).mean())
