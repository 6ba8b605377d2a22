"""Quantiles behind every interval: Student's t, where outliers add to the noise, and over several correlated arms."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Monte Carlo draws of the max-T quantile: its confidence is then right to a quarter of a percent."""
MANY = 1e5
"""Degrees of freedom from which Student's t is as good as normal."""
EXACT = 8
"""Degrees of freedom up to which a variance is drawn as the sum of that many squares, and not approximated."""
DOMINANCE = 1.45
"""How much more than by its share the largest part of a variance determines the quantile of the sum."""
NORMAL = 0.1
"""Least share of a variance that counts as normal, however much of it is outliers."""


class Part(NamedTuple):
    """One independent component of the variance of a mean, with its degrees of freedom."""

    variance: float
    df: float
    outliers: tuple[float, ...] = ()
    """Sizes of what this variance holds as outliers: each is a part of the mean's error, as large as it was seen, in
    one direction or the other. The rest is normal."""


@lru_cache(maxsize=4096)
def t_quantile(df: float, confidence: float) -> float:
    """The t with P(|T| <= t) = confidence, for df from 1 on; right to six digits (whole df, or at least 3).

    With t = sqrt(df) tan(x), P = 2 Gamma((df+1)/2) / (sqrt(pi) Gamma(df/2)) * integral of cos^(df-1) over 0..x, taken
    by Simpson's rule and solved for x by Newton (P is concave in x for df >= 1, so a start below the root, here the
    quantile of a larger df, never overshoots). Own code only because importing scipy.special costs a third of the time
    `mtpbench show` may take; a test compares it with scipy.
    """
    scale = 2 * math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    nodes, weights = _simpson()
    angle = math.atan(t_quantile(MANY, confidence) / math.sqrt(df)) if df < MANY else 0.0
    for _ in range(100):
        reached = scale * angle * float(weights @ np.cos(angle * nodes) ** (df - 1))
        step = (confidence - reached) / (scale * math.cos(angle) ** (df - 1))
        angle = min(angle + step, (angle + math.pi / 2) / 2)
        if abs(step) <= 1e-13 * angle:
            break
    return math.sqrt(df) * math.tan(angle)


def quantile(part: Part, confidence: float) -> float:
    """The quantile of a part, in its standard deviations: Student's, or with outliers that of noise and outliers.

    Student's t allows for not knowing how large the noise is: with outliers, noise is taken to be normal and larger
    by (t / z)^2. How large outliers are is seen, and needs no such allowance.
    """
    student = t_quantile(part.df, confidence)
    if not part.outliers:
        return student
    sizes = np.array(part.outliers) / math.sqrt(part.variance)
    sizes *= math.sqrt(min(1.0, (1 - NORMAL) / float((sizes**2).sum())))
    noise = (1 - float((sizes**2).sum())) * (student / t_quantile(MANY, confidence)) ** 2
    return signed_quantile(sizes, noise, confidence)


def signed_quantile(sizes: NDArray[np.float64], noise: float, confidence: float) -> float:
    """The q with P(|sum of s_i sizes_i + N(0, noise)| <= q) = confidence, s_i = +1 or -1, either as likely.

    The sum never goes far beyond the few that dominate it: of a single one, 95 % lie within 1 standard deviation, not
    within 1.96. With everything in standard deviations of the sum, its characteristic function phi, a product of
    cosines and a Gaussian, gives P(|sum| <= q) = 2 / pi * sum over j of phi(t_j) sin(t_j q) / (j + 1/2), with
    t_j = (j + 1/2) D, but for about P(|sum| > 2 pi / D) (Davies 1973, Biometrika 60:415); 168 terms reach to where phi
    has died away, if noise has `NORMAL` of the variance. q is found by bisection below Hoeffding's bound,
    sqrt(2 log(2 / (1 - confidence))).
    """
    deviation = math.sqrt(float((sizes**2).sum()) + noise)
    at = (np.arange(168) + 0.5) * 0.1 / deviation
    weights = (
        np.exp(-noise * at**2 / 2) * np.cos(at[:, None] * sizes).prod(axis=1) / (np.arange(168) + 0.5) * 2 / math.pi
    )
    low, high = 0.0, math.sqrt(2 * math.log(2 / (1 - confidence))) * deviation
    while high - low > 1e-7 * deviation:
        middle = (low + high) / 2
        if float(weights @ np.sin(at * middle)) < confidence:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=1)
def _simpson() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes in 0..1 and their weights."""
    weights = np.full(513, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.linspace(0, 1, 513), weights / (3 * 512)


@lru_cache(maxsize=64)
def _normals(arms: int, stream: int) -> NDArray[np.float64]:
    return np.random.default_rng((20_240_229, stream)).standard_normal((DRAWS, arms))


def max_t_quantile(df: int, correlation: NDArray[np.float64], confidence: float) -> float:
    """The c with P(max over arms of |T_i| <= c) = confidence, by Monte Carlo, for means of normal data.

    correlation: (arms, arms), of the arms' data. Each T has the variance of its own arm below it, on df degrees of
    freedom, and those variances are as correlated as the arms are: the multivariate t, which has a single one below
    all, is too narrow where arms differ and df is small. With one arm it is Student's quantile itself. The seed is
    fixed, so that a file always gives the same verdict. Max-T: Westfall & Young 1993, Resampling-based multiple
    testing.
    """
    arms = len(correlation)
    single = t_quantile(df, confidence)
    if arms == 1:
        return single
    means = _normals(arms, 0) @ _root(correlation).T
    largest = np.abs(means / np.sqrt(_variances(df, correlation))).max(axis=1)
    rank = math.ceil(confidence * DRAWS) - 1
    return max(single, float(np.partition(largest, rank)[rank]))


def _variances(df: int, correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, arms): chi-square / df, as sample variances of arms with this correlation are.

    Those correlate with the square of it. Above `EXACT` by Wilson & Hilferty (1931): the cube root is nearly normal.
    """
    arms = len(correlation)
    if df > EXACT:
        spread = 2 / (9 * df)
        cube_roots = 1 - spread + math.sqrt(spread) * (_normals(arms, 1) @ _root(correlation**2).T)
        return np.power(cube_roots, 3)
    root = _root(correlation)
    squares = np.zeros((DRAWS, arms))
    for degree in range(df):
        squares += (_normals(arms, 1 + degree) @ root.T) ** 2
    return squares / df


def _root(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix whose product with its transpose is the correlation, or the nearest to it that has one.

    By Cholesky where it can be, because that root is the same on every machine; eigenvectors of equal eigenvalues
    are not, and another root is another draw.
    """
    try:
        return np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    except np.linalg.LinAlgError:  # arms that move as one, or estimates that contradict each other
        values, vectors = np.linalg.eigh(correlation)
    root: NDArray[np.float64] = vectors * np.sqrt(np.clip(values, 0, None))
    root /= np.sqrt((root**2).sum(axis=1, keepdims=True))
    return root


def half_width(parts: Sequence[Part], quantiles: Sequence[float], confidence: float) -> float:
    """Half-width of the interval of a mean whose variance is the sum of `parts`, each with a quantile of its own df.

    quantiles: Student's of that confidence, or larger ones by as much as the choice among several arms asks for.

    No exact interval exists. Where launches are few (1 or 2 degrees of freedom, against 19 of the prompts), a mean of
    the quantiles, weighted by variance (Cochran & Cox 1957, section 4.14), covers up to 98 % for a nominal 95 %, and
    Satterthwaite's single df as little as 88 %. Taken here is something between the two, the nearer to Satterthwaite
    the more degrees of freedom every part has (his error is of the order of 1 / df), with weights to the power of
    `DOMINANCE`. Whatever each contributes, that covers 93 to 97 % with 1 degree of freedom against 19 or more, and 94.2
    to 97.2 % with 2 against 4 or more.
    """
    total = sum(p.variance for p in parts)
    if total <= 0:
        return 0.0
    shares = [p.variance / total for p in parts]
    weights = [math.pow(share, DOMINANCE) for share in shares]
    mean = sum(w * q for w, q in zip(weights, quantiles, strict=True)) / sum(weights)
    fewest = min(p.df for p in parts)
    if len(parts) == 1 or fewest <= 1:
        return mean * math.sqrt(total)
    df = 1 / sum(share**2 / p.df for share, p in zip(shares, parts, strict=True))
    wider = sum(s * q / t_quantile(p.df, confidence) for s, q, p in zip(shares, quantiles, parts, strict=True))
    satterthwaite = wider * t_quantile(df, confidence)
    return (satterthwaite + (mean - satterthwaite) / fewest) * math.sqrt(total)


def sure_half_width(parts: Sequence[Part], confidence: float) -> float:
    """Half-width that is never too narrow, whatever each part contributes: the root of the sum of (t_i s_i)^2.

    `half_width` covers about what it says at 95 %. Far out, where a test that is one of many is judged, it does not:
    of 20 prompts and 3 runs, an interval that should miss once in 1,000 misses four times. This one misses at most as
    often as it says, at any confidence. With shares w_i of the true variance and X_i = s_i^2 / its expectation, it
    misses with probability E g(sum of w_i t_i^2 X_i), g(x) = P(|N(0, 1)| > sqrt(x)), which is at most the sum of
    w_i E g(t_i^2 X_i) = 1 - confidence, since g is convex (the argument of Mickey & Brown 1966, Annals of Mathematical
    Statistics 37:639).
    """
    return math.sqrt(sum(part.variance * t_quantile(part.df, confidence) ** 2 for part in parts))
