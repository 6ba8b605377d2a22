"""Tokens drawn, and what the scores of a run file tell of the distribution that each should come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from results.arm import Arm
from results.metrics import Floats

ROUNDING = 1e-3
"""Of stored log probabilities and their moments, which runtimes compute in float32."""
ABSURD = 1e9
"""Nats beyond which a number is none."""

Where = Literal["draft positions", "bonus positions", "all positions"]
ArmName = Literal["speculative", "plain", "biased"]


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Tokens drawn, and the distribution that each should come from."""

    log_p: Floats
    """-inf: truncated away."""
    best: Floats
    """log p of the most probable token."""
    entropy: Floats
    """H, nats."""
    variance: Floats
    """Of log p, nats squared."""
    above: Floats
    """Probability of the tokens before it, the most probable first."""

    def __len__(self) -> int:
        return len(self.log_p)

    def take(self, keep: NDArray[np.bool_]) -> "Draws":
        """Those that `keep` selects."""
        return Draws(*(getattr(self, name)[keep] for name in ("log_p", "best", "entropy", "variance", "above")))

    @property
    def possible(self) -> "Draws":
        """Without the tokens that truncation leaves no probability."""
        return self.take(np.isfinite(self.log_p))


def of_arm(arm: Arm, where: Where | None = None) -> Draws:
    """Tokens that rounds of an arm emitted (of a plain arm: all after the prefill's), where they were scored.

    where: draft or bonus positions, of rows that reveal their rounds; `all positions` of those that do not. None:
    of all rows, without a split. What follows the natural end, and tokens whose numbers no distribution has, are left
    out.
    """
    rows = arm.evidence.rows
    parts: list[Floats] = []
    revealed = set(arm.revealed.tolist())
    bonus = _bonus(arm) if where in ("draft positions", "bonus positions") else {}
    for row in forced_rows(arm):
        if where is not None and (where == "all positions") == (row in revealed):
            continue
        numbers = arm.scores.forced[arm.place(row)].numbers
        position = np.arange(len(numbers))
        keep = (position >= rows.n_prefill[row]) & (position < rows.natural[row])
        if where in ("draft positions", "bonus positions"):
            keep &= np.isin(position, bonus.get(row, ())) == (where == "bonus positions")
        parts.append(numbers[keep][:, 2:])
    return _sound(np.concatenate(parts) if parts else np.empty((0, 5)))


def forced_rows(arm: Arm) -> Iterator[int]:
    """Rows of an arm whose output was scored."""
    return (row for row in arm.rows.tolist() if arm.place(row) in arm.scores.forced)


def _bonus(arm: Arm) -> dict[int, list[int]]:
    """Row -> positions of the tokens that came after a fully accepted draft, or without any."""
    rounds = arm.rounds
    full = rounds.emitted == rounds.drafted + 1
    found: dict[int, list[int]] = {}
    for row, position in zip(rounds.row[full].tolist(), (rounds.start + rounds.drafted)[full].tolist(), strict=True):
        found.setdefault(row, []).append(position)
    return found


def _sound(numbers: Floats) -> Draws:
    """(tokens, 5) as scores hold them; rounded into their ranges, and without what no distribution can give."""
    log_p, best, entropy, variance, above = numbers.T
    with np.errstate(invalid="ignore"):
        keep = (log_p <= best + ROUNDING) & ((log_p >= -ABSURD) | (log_p == -np.inf))
        keep &= (best <= ROUNDING) & (best >= -ABSURD) & (above >= -ROUNDING) & (above <= 1 + ROUNDING)
        keep &= (entropy >= -ROUNDING) & (entropy <= ABSURD) & (variance >= -ROUNDING) & (variance <= ABSURD)
    log_p, best, entropy, variance, above = numbers[keep].T
    best, above = np.minimum(best, 0), np.clip(above, 0, 1)
    return Draws(np.minimum(log_p, best), best, np.maximum(entropy, 0), np.maximum(variance, 0), above)
