"""Where the level of a series of runs changed: binary segmentation with a scanned t-test.

How far runs differ without any cause is not known from within a run, so it is taken from the runs themselves: a stretch
is split where the two-sample t of its halves is largest (pooled variance, at least `FEWEST` runs on each side), and the
split counts if a t as large is rarer than the level among series of the same length that do not change. That is
simulated with independent normal noise; the statistic knows neither its mean nor its size. What is too rare to be
simulated is bounded by Bonferroni's inequality over the splits, each of whose t is Student's with n - 2 degrees of
freedom: p is at most 2 x splits x P(T > t) (Worsley 1979, JASA 74, 365). Both sides of a change are then searched in
the same way. Runs that drift together (a machine that warms up over days) are not independent, and are called more
often than the level says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FEWEST = 2
"""Runs on either side of a change; one run may be an accident."""
DRAWS = 20_000
"""Simulated series."""
_RESOLVED = 10
"""Simulated series of so large a t from which on their number tells p; what is rarer is counted as this."""
_TINY = 1e-12
"""Variance below which a level counts as exactly constant: figures of runs are never more precise."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of the level."""

    at: int
    """Index of the first value of the new level."""
    before: float
    """Mean since the change before this one."""
    after: float
    """Mean up to the next change."""
    p: float
    """Probability of a t as large anywhere in a series of this length that does not change."""


def shifts(values: Sequence[float], level: float) -> list[Shift]:
    """All changes of `values`, in order. level: of each search, e.g. 0.05 / number of series."""
    found = sorted(_search(np.asarray(values, float), 0, level))
    ends = [0, *(at for at, _ in found), len(values)]
    means = [float(np.mean(values[start:end])) for start, end in pairwise(ends) if end > start]
    return [Shift(at, means[i], means[i + 1], p) for i, (at, p) in enumerate(found)]


def can_be_searched(length: int) -> bool:
    """Whether a series of so many runs is long enough for any change to be told."""
    return length >= 2 * FEWEST


def _search(values: NDArray[np.float64], start: int, level: float) -> Iterator[tuple[int, float]]:
    if not can_be_searched(len(values)):
        return
    statistics = _scan(values[None, :])[0]
    split = int(np.argmax(statistics))
    largest = float(statistics[split])
    p = _p(largest, len(values))
    if p > level:
        return
    at = split + FEWEST
    yield start + at, p
    yield from _search(values[:at], start, level)
    yield from _search(values[at:], start + at, level)


def _p(largest: float, length: int) -> float:
    """Probability of so large a t at any split of a series that does not change, or a bound of it."""
    from scipy.special import stdtr  # here: only a history needs it

    simulated = (1 + max(_RESOLVED, int((_null(length) >= largest).sum()))) / (DRAWS + 1)
    splits = length - 2 * FEWEST + 1
    return min(simulated, 2 * splits * float(stdtr(length - 2, -largest)))


def _scan(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """|t| of every split with `FEWEST` on each side; one row per series."""
    length = series.shape[1]
    series = series - series.mean(axis=1, keepdims=True)  # or sums of squares lose their digits
    counts = np.arange(FEWEST, length - FEWEST + 1)
    sums, squares = np.cumsum(series, axis=1), np.cumsum(series**2, axis=1)
    left, right = sums[:, counts - 1], sums[:, -1:] - sums[:, counts - 1]
    others = length - counts
    within = squares[:, -1:] - left**2 / counts - right**2 / others
    variance = np.maximum(within, _TINY) / (length - 2)
    found: NDArray[np.float64] = np.abs(left / counts - right / others) / np.sqrt(variance * (1 / counts + 1 / others))
    return found


@lru_cache(maxsize=64)
def _null(length: int) -> NDArray[np.float64]:
    """The largest |t| of series that do not change."""
    rng = np.random.default_rng(length)
    rows = max(1, 2_000_000 // length)
    parts = [
        _scan(rng.standard_normal((min(rows, DRAWS - done), length))).max(axis=1) for done in range(0, DRAWS, rows)
    ]
    return np.concatenate(parts)
