"""Do the intervals cover what they name? Every design of `designs`, judged by the code that judges real runs."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from results import speedup
from results.intervals import t_quantile
from results.verdicts import Interval
from tests.statistics.designs import DESIGNS, RUNS, Design


class Figures(NamedTuple):
    """Shares of runs, and medians over runs."""

    these: float
    """Coverage of the interval on these prompts ..."""
    these_width: float
    """... and its half-width, relative."""
    new: float
    """Coverage of the interval on new prompts ..."""
    new_width: float
    """... and its half-width, relative."""
    called: float
    """How often the A/A interval excludes 1."""


def covers(interval: Interval | None, log_truth: float) -> bool:
    """Is the truth in it?"""
    assert interval is not None
    return interval.low <= np.exp(log_truth) <= interval.high


@lru_cache
def figures(design: Design) -> Figures:
    """Of the last arm; the A/A arm is the first."""
    simulated = design.simulated(seed=DESIGNS.index(design))
    arm = simulated.halves.shape[1] - 1
    covered, widths, called = [], [], 0
    for run in range(RUNS):
        these, new = speedup.intervals(simulated.effects(run, arm), 0.95)
        covered.append((covers(these, simulated.of_units[run, arm].mean()), covers(new, simulated.of_arms[arm])))
        widths.append([np.sqrt(i.high / i.low) - 1 for i in (these, new) if i])
        control = simulated.effects(run, 0)
        parts = speedup.new_prompts(control)
        aa = speedup.interval(control, parts, [t_quantile(part.df, 0.95) for part in parts], 0.95)
        called += not covers(aa, 0.0)
    (these_covered, new_covered), (these_width, new_width) = np.mean(covered, axis=0), np.median(widths, axis=0)
    return Figures(these_covered, these_width, new_covered, new_width, called / RUNS)
