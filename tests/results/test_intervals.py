"""Quantiles and half-widths."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_t, norm
from scipy.stats import t as student

from results.intervals import (
    NORMAL,
    Part,
    half_width,
    max_t_quantile,
    quantile,
    signed_quantile,
    sure_half_width,
    t_quantile,
)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("df", [1, 2, 3, 4.7, 19, 120.4, 10_000])
def test_the_t_quantile_is_scipys(df: float, confidence: float) -> None:
    assert t_quantile(df, confidence) == pytest.approx(student.ppf((1 + confidence) / 2, df), rel=1e-6)


def test_the_maximum_over_one_arm_is_the_t_quantile_itself() -> None:
    assert max_t_quantile(7, np.eye(1), 0.95) == t_quantile(7, 0.95)


def test_the_t_quantile_reaches_levels_that_a_gate_spends_at_early_looks() -> None:
    assert t_quantile(9, 1 - 2e-6) == pytest.approx(student.isf(1e-6, 9), rel=1e-6)


def test_arms_that_always_agree_need_no_adjustment() -> None:
    assert max_t_quantile(19, np.ones((6, 6)), 0.95) == pytest.approx(t_quantile(19, 0.95), rel=0.01)


@pytest.mark.parametrize("df", [2, 4, 12])
@pytest.mark.parametrize("common", [0.0, 0.5, 0.9])
def test_the_maximum_over_arms_is_exceeded_as_often_as_it_should(common: float, df: int) -> None:
    correlation = np.full((4, 4), common) + (1 - common) * np.eye(4)
    quantile = max_t_quantile(df, correlation, 0.95)
    normals = np.random.default_rng(5).standard_normal((100_000, df + 1, 4))
    units = normals @ np.linalg.cholesky(correlation).T  # the same on every machine, unlike multivariate_normal's
    t = units.mean(axis=1) / (units.std(axis=1, ddof=1) / math.sqrt(df + 1))
    assert np.mean(np.abs(t).max(axis=1) <= quantile) == pytest.approx(0.95, abs=0.005)


def test_a_single_variance_below_all_arms_would_be_too_narrow() -> None:
    shared = multivariate_t(shape=np.eye(4), df=2, seed=5).rvs(40_000)
    assert np.quantile(np.abs(shared).max(axis=1), 0.95) < 0.9 * max_t_quantile(2, np.eye(4), 0.95)


def test_a_single_part_gives_the_t_interval() -> None:
    assert half_width([Part(0.04, 9)], [2.5], 0.95) == pytest.approx(2.5 * 0.2)


def test_with_one_degree_of_freedom_the_quantiles_are_averaged_and_the_largest_part_dominates() -> None:
    parts = [Part(0.03, 20), Part(0.01, 1)]
    large, small = 0.75**1.45, 0.25**1.45
    mean = (large * 4.0 + small * 16.0) / (large + small)
    assert half_width(parts, [4.0, 16.0], 0.95) == pytest.approx(mean * 0.2)


def test_with_more_degrees_of_freedom_it_goes_towards_satterthwaites() -> None:
    for df in (2, 3, 8, 1000):
        parts = [Part(0.02, df), Part(0.02, 2 * df)]
        quantiles = [float(student.ppf(0.975, part.df)) for part in parts]
        satterthwaite = float(student.ppf(0.975, 0.04**2 / (0.02**2 / df + 0.02**2 / (2 * df))))
        expected = satterthwaite + (np.mean(quantiles) - satterthwaite) / df
        assert half_width(parts, quantiles, 0.95) == pytest.approx(expected * 0.2, rel=1e-4)


def test_quantiles_larger_than_students_widen_every_mixture_alike() -> None:
    parts = [Part(0.03, 4), Part(0.01, 2)]
    quantiles = [float(student.ppf(0.975, part.df)) for part in parts]
    wider = half_width(parts, [1.3 * q for q in quantiles], 0.95)
    assert wider == pytest.approx(1.3 * half_width(parts, quantiles, 0.95), rel=1e-5)


def test_no_variance_gives_no_width() -> None:
    assert half_width([Part(0.0, 3), Part(0.0, 1)], [3.0, math.pi], 0.95) == 0.0


@pytest.mark.parametrize("launches", [2, 3, 4])
@pytest.mark.parametrize("prompts", [8, 20, 60])
def test_two_parts_cover_whatever_each_contributes(launches: int, prompts: int) -> None:
    """By the definition of coverage, over the two variances as they come out; in tests/statistics with a machine."""
    rng = np.random.default_rng(7)
    df = launches - 1, prompts - 1
    quantiles = [float(student.ppf(0.975, each)) for each in df]
    chi = np.stack([rng.chisquare(each, 3_000) / each for each in df])
    for ratio in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
        truth = np.array([ratio, 1.0]) / (1 + ratio)
        found = (chi.T * truth).tolist()
        reach = np.array(
            [half_width([Part(v, d) for v, d in zip(row, df, strict=True)], quantiles, 0.95) for row in found]
        )
        assert 0.92 <= float(np.mean(2 * norm.cdf(reach) - 1)) <= 0.98


@pytest.mark.parametrize("confidence", [0.95, 0.99, 1 - 0.05 / 24, 1 - 0.05 / 24 / 27])
@pytest.mark.parametrize("df", [(2, 19), (1, 39), (4, 4), (9, 99)])
def test_a_sure_interval_never_misses_more_often_than_it_says(df: tuple[int, int], confidence: float) -> None:
    """By integrating over the two variances as they come out; the usual one misses several times as often there."""
    nodes = (np.arange(400) + 0.5) / 400
    # Where variances come out small the most is missed: quantiles of a power of their probability lie there.
    a, b = (chi2.ppf(nodes**4, each) / each for each in df)
    weight = 4 * nodes**3 / 400
    missed = []
    for share in (1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 1e-4):
        squares = [part * t_quantile(each, confidence) ** 2 for part, each in zip((share, 1 - share), df, strict=True)]
        reach = np.sqrt(squares[0] * a[:, None] + squares[1] * b[None, :])
        missed.append(float(weight @ (2 * norm.sf(reach)) @ weight))
    assert max(missed) <= (1 - confidence) * 1.005
    assert max(missed) >= (1 - confidence) * 0.9, "and hardly less often where one part is nearly everything"
    parts = [Part(0.3, df[0]), Part(0.7, df[1])]
    wanted = math.sqrt(sum(p.variance * t_quantile(p.df, confidence) ** 2 for p in parts))
    assert sure_half_width(parts, confidence) == pytest.approx(wanted)


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99, 1 - 1e-5])
@pytest.mark.parametrize(
    ("sizes", "noise"),
    [([1.0], 0.12), ([3.0], 1.0), ([0.5, 0.2, 0.1], 0.3), ([0.1] * 6, 1.0), ([2.0, 1.9, 0.3, 0.1, 0.0], 1.5)],
)
def test_outliers_of_either_sign_and_noise_reach_as_far_as_all_their_signs_say(
    sizes: list[float], noise: float, confidence: float
) -> None:
    q = signed_quantile(np.array(sizes), noise, confidence)
    sums = np.array([np.dot(signs, sizes) for signs in product((1, -1), repeat=len(sizes))])
    reached = norm.cdf((q - sums) / math.sqrt(noise)) - norm.cdf((-q - sums) / math.sqrt(noise))
    assert reached.mean() == pytest.approx(confidence, abs=2e-6)


def test_a_part_without_outliers_has_students_quantile() -> None:
    assert quantile(Part(0.04, 9), 0.95) == t_quantile(9, 0.95)


def test_many_small_outliers_are_as_good_as_noise() -> None:
    part = Part(4.0, 1e5, tuple([math.sqrt(2 / 400)] * 400))
    assert quantile(part, 0.95) == pytest.approx(t_quantile(1e5, 0.95), rel=1e-3)


def test_a_single_outlier_reaches_hardly_further_than_itself() -> None:
    # +1 or -1 with nine tenths of the variance, and noise: 95 % of it on the outer side.
    expected = math.sqrt(1 - NORMAL) + norm.ppf(0.95) * math.sqrt(NORMAL)
    assert quantile(Part(9.0, 1e5, (3.0,)), 0.95) == pytest.approx(expected, rel=1e-3)


def test_only_noise_is_widened_for_not_knowing_its_size() -> None:
    # Half of the variance is an outlier; noise is widened by (t / z)^2.
    widened = 0.5 * (t_quantile(4, 0.95) / norm.ppf(0.975)) ** 2
    expected = signed_quantile(np.array([math.sqrt(0.5)]), widened, 0.95)
    assert quantile(Part(2.0, 4, (1.0,)), 0.95) == pytest.approx(expected, rel=1e-4)
    assert expected < t_quantile(4, 0.95)
