"""Quantiles behind every interval: Student's t, and its maximum over several correlated arms."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 20_000
"""Monte Carlo draws of the max-T quantile: its standard error is then about half a percent."""


class Part(NamedTuple):
    """One independent component of the variance of a mean, with its degrees of freedom."""

    variance: float
    df: float


@lru_cache(maxsize=4096)
def t_quantile(df: float, confidence: float) -> float:
    """The t with P(|T| <= t) = confidence, for real df from 1 on; right to six digits.

    With t = sqrt(df) tan(x), P = 2 Gamma((df+1)/2) / (sqrt(pi) Gamma(df/2)) * integral of cos^(df-1) over 0..x, taken
    by Simpson's rule and solved for x by Newton (P is concave in x for df >= 1, so a start below the root never
    overshoots). Own code only because importing scipy.special costs a third of the time `mtpbench show` may take;
    a test compares it with scipy.
    """
    scale = 2 * math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    nodes, weights = _simpson()
    angle = 0.0
    for _ in range(100):
        reached = scale * angle * float(weights @ np.cos(angle * nodes) ** (df - 1))
        step = (confidence - reached) / (scale * math.cos(angle) ** (df - 1))
        angle = min(angle + step, (angle + math.pi / 2) / 2)
        if abs(step) <= 1e-13 * angle:
            break
    return math.sqrt(df) * math.tan(angle)


@lru_cache(maxsize=1)
def _simpson() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes in 0..1 and their weights."""
    weights = np.full(513, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.linspace(0, 1, 513), weights / (3 * 512)


@lru_cache(maxsize=1)
def _normals(arms: int) -> NDArray[np.float64]:
    return np.random.default_rng(20_240_229).standard_normal((DRAWS, arms))


def max_t_quantile(df: float, correlation: NDArray[np.float64], confidence: float) -> float:
    """The c with P(max over arms of |T_i| <= c) = confidence, T multivariate t with this correlation, by Monte Carlo.

    correlation: (arms, arms). With one arm it is Student's quantile itself. The seed is fixed, so that a file always
    gives the same verdict. Source: Hothorn, Bretz & Westfall 2008, simultaneous inference in general parametric models.
    """
    arms = len(correlation)
    single = t_quantile(df, confidence)
    if arms == 1:
        return single
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    chi_square = 2 * np.random.default_rng(20_240_301).standard_gamma(df / 2, DRAWS)
    largest = np.abs(_normals(arms) @ root.T).max(axis=1) / np.sqrt(chi_square / df)
    rank = math.ceil(confidence * DRAWS) - 1
    return max(single, float(np.partition(largest, rank)[rank]))


def half_width(parts: Sequence[Part], quantiles: Sequence[float]) -> float:
    """Half-width of the interval of a mean whose variance is the sum of `parts`, each with a quantile of its own df.

    The quantiles are averaged, weighted by variance (Cochran & Cox 1957, section 4.14). With one part this is the
    t-interval. With two or three launches it still covers what it should, where a Satterthwaite df falls to 88 %, and
    is a third narrower than with the smaller df for both.
    """
    total = sum(p.variance for p in parts)
    weighted = sum(p.variance * q for p, q in zip(parts, quantiles, strict=True))
    return weighted / math.sqrt(total) if total > 0 else 0.0
