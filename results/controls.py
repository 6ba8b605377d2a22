"""Undrafted decoding against itself: how often greedy outputs differ although nothing was drafted (METHOD section 5).

Neither the counts nor the frequency test ever reclassifies a single divergence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from results.arm import Arm
from results.certificate import Control, ControlKind, Frequency
from results.records import BATCH_SHAPE

LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Compared:
    """A control arm beside the plain arm, by prompt id."""

    kind: ControlKind
    prompts: set[int]
    diverged: set[int]

    def counted(self) -> Control:
        """As the certificate shows it."""
        return Control(self.kind, len(self.prompts), len(self.diverged))


def control(arm: Arm, plain: Arm) -> Compared | None:
    """A control arm against the plain one; None where no prompt was answered by both."""
    own, found = plain.outputs(), arm.outputs()
    prompts = own.keys() & found.keys()
    if not prompts:
        return None
    output = arm.evidence.rows.output
    differing = {p for p in prompts if {int(output[row]) for row in (*own[p], *found[p])} != {int(output[own[p][0]])}}
    return Compared("batch-shape" if arm.cell.role == BATCH_SHAPE else "again", set(prompts), differing)


def frequency(between: Sequence[Compared], prompts: set[int], diverged: set[int]) -> Frequency | None:
    """Do more prompts diverge with drafts than in the control that disturbs numerics most? None without a control.

    prompts, diverged: of the speculative arm.
    """
    sharing = [each for each in between if prompts & each.prompts]
    against = max(sharing, key=lambda each: each.kind == "batch-shape", default=None)
    if against is None:
        return None
    shared = prompts & against.prompts
    only_here = len((diverged - against.diverged) & shared)
    only_there = len((against.diverged - diverged) & shared)
    return Frequency(
        against=against.kind,
        prompts=len(shared),
        diverged=len(diverged & shared),
        control_diverged=len(against.diverged & shared),
        p=mcnemar(only_here, only_there),
        detectable=detectable(len(shared), len(against.diverged & shared), only_there),
    )


def mcnemar(here: int, there: int) -> float:
    """One-sided exact McNemar test (McNemar 1947): P(X >= here), X ~ Binomial(here + there, 1/2)."""
    return upper_tail(here, here + there, 0.5)


def detectable(prompts: int, control_diverged: int, there: int) -> float | None:
    """The smallest share of prompts that diverge here and not in the control that is called at `LEVEL` with `POWER`.

    Only prompts in which the control did not diverge can do so. there: those that diverge in the control only.
    None: even all that can would not be called.
    """
    free = prompts - control_diverged
    needed = next((here for here in range(free + 1) if mcnemar(here, there) <= LEVEL), None)
    if needed is None:
        return None
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        share = (low + high) / 2
        low, high = (low, share) if upper_tail(needed, free, share) >= POWER else (share, high)
    return high * free / prompts


def upper_tail(least: int, n: int, p: float) -> float:
    """P(X >= least), X ~ Binomial(n, p). Our own, because importing scipy costs more than `show` may take."""
    if least <= 0:
        return 1.0
    if p <= 0 or least > n:
        return 0.0
    if p >= 1:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q
        for i in range(least, n + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))
