"""Exact tests of how often outputs diverge, against scipy and brute force."""

from itertools import product

import pytest
from scipy import stats

from results import controls
from results.controls import Compared, detectable, frequency, mcnemar, upper_tail


@pytest.mark.parametrize(("here", "there"), [*product(range(6), range(4)), (30, 12), (400, 370)])
def test_mcnemar_is_scipy_s_binomial_test(here: int, there: int) -> None:
    expected = stats.binomtest(here, here + there, 0.5, alternative="greater").pvalue if here + there else 1.0
    assert mcnemar(here, there) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(4, 0) == pytest.approx(1 / 16)
    assert mcnemar(4, 1) == pytest.approx(6 / 32)  # 4 or 5 of 5


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.3, 0.999, 1.0])
def test_the_upper_tail_is_scipy_s_and_keeps_to_its_ends(p: float) -> None:
    for n, least in [(1, 1), (7, 0), (7, 3), (7, 7), (7, 8), (900, 280)]:
        assert upper_tail(least, n, p) == pytest.approx(stats.binom.sf(least - 1, n, p), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("prompts", "control_diverged", "there"), [(5, 0, 0), (20, 0, 0), (20, 3, 1), (40, 10, 4)])
def test_the_detectable_share_is_the_one_found_by_brute_force(prompts: int, control_diverged: int, there: int) -> None:
    # Of the prompts that the control left alone, each diverges with probability q: all outcomes, weighed.
    free = prompts - control_diverged

    def power(q: float) -> float:
        called = [x for x in range(1, free + 1) if stats.binomtest(x, x + there, alternative="greater").pvalue <= 0.05]
        return float(sum(stats.binom.pmf(x, free, q) for x in called))

    grid = [i / 10_000 for i in range(1, 10_001)]
    low, high = 0, len(grid) - 1
    while low < high:  # power rises with q
        middle = (low + high) // 2
        low, high = (low, middle) if power(grid[middle]) >= 0.8 else (middle + 1, high)
    assert detectable(prompts, control_diverged, there) == pytest.approx(grid[low] * free / prompts, abs=2e-4)


@pytest.mark.parametrize(("prompts", "control_diverged", "there"), [(4, 0, 0), (20, 20, 0), (20, 16, 0), (20, 12, 6)])
def test_with_too_few_prompts_no_share_is_detectable(prompts: int, control_diverged: int, there: int) -> None:
    # Five that diverge here only are the fewest that are ever called: 1/32 <= .05 < 1/16.
    assert detectable(prompts, control_diverged, there) is None


def test_the_frequency_test_is_paired_by_prompt() -> None:
    against = Compared("again", prompts=set(range(20)), diverged={0, 1, 2})
    # 30 is not among the control's prompts. Here only: 3 to 9; there only: 0.
    told = frequency([against], {*range(20), 30}, {1, 2, *range(3, 10), 30})
    assert told is not None
    assert (told.against, told.prompts, told.diverged, told.control_diverged) == ("again", 20, 9, 3)
    assert told.p == pytest.approx(9 / 2**8)  # at least 7 of 8
    assert told.detectable == detectable(20, 3, 1)


def test_the_control_in_another_batch_shape_is_preferred() -> None:
    both = [Compared("again", {1, 2}, set()), Compared("batch-shape", {1, 2}, {1}), Compared("again", {1}, set())]
    told = frequency(both, {1, 2}, {1, 2})
    assert told is not None
    assert (told.against, told.p) == ("batch-shape", 0.5)


def test_without_shared_prompts_there_is_no_test() -> None:
    assert frequency([], {1}, {1}) is None
    assert frequency([Compared("again", {2}, set())], {1}, {1}) is None


def test_the_test_has_its_stated_level() -> None:
    # Of n prompts in which one alone diverged, Binomial(n, 1/2) are ours where drafting changes nothing.
    for n in range(60):
        called = [x for x in range(n + 1) if mcnemar(x, n - x) <= controls.LEVEL]
        assert sum(stats.binom.pmf(x, n, 0.5) for x in called) <= controls.LEVEL + 1e-12
