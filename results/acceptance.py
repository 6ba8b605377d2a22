"""Acceptance of drafts, over complete rounds and clustered by prompt (METHOD sections 1 and 3).

A round is complete if it drafted k tokens, began at least k + 1 tokens before the natural end or the length limit, and
emitted all that it accepted, plus one. Where there is less room a round is left out whatever came of it: were those
counted that accepted too little to be cut, acceptance would come out too low, the more so the longer the drafts (a true
4.33 at k = 8 as 4.06 in texts of 32 tokens). With A accepted drafts in N complete rounds the acceptance length is
1 + A / N.

Interval: with A_p and N_p of prompt p (all its rounds together, however often it was visited), r = A / N and P prompts,

    variance of r = P / (P - 1) * sum over p of (A_p - r N_p)^2 / N^2,

the ratio estimator linearised over clusters (Cochran 1977, section 6.3), with Student's t at P - 1 degrees of freedom.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from results.columns import ABSENT, Bools, Rounds, Rows
from results.intervals import t_quantile
from results.metrics import Floats, Ints, occurring, quantiles
from results.verdicts import Acceptance, AcceptanceOf, Percentiles

FEWEST_PER_STRETCH = 16
STRETCHES = 8
"""Output positions are shown in at most this many stretches, each a power of two and at least 16 tokens long."""


class Pooled(NamedTuple):
    """Acceptance length of some rounds, with its interval."""

    length: float
    low: float | None
    high: float | None


def pooled(accepted: Floats, rounds: Floats, prompt: Ints, k: int, confidence: float) -> Pooled:
    """Acceptance length over entries that each stand for `rounds` rounds with `accepted` drafts; see the module.

    accepted, rounds, prompt: (entries,). The interval is cut to 1..k+1; None with one prompt.
    """
    ratio = accepted.sum() / rounds.sum()
    _, cluster = np.unique(prompt, return_inverse=True)
    prompts = int(cluster.max()) + 1
    if prompts < 2:
        return Pooled(1 + float(ratio), None, None)
    residual = np.bincount(cluster, weights=accepted - ratio * rounds)
    variance = prompts / (prompts - 1) * (residual**2).sum() / rounds.sum() ** 2
    reach = t_quantile(prompts - 1, confidence) * float(np.sqrt(variance))
    length = 1 + float(ratio)
    return Pooled(length, max(1.0, length - reach), min(k + 1.0, length + reach))


def complete(rounds: Rounds, rows: Rows, k: int) -> Bools:
    """Which rounds are complete."""
    whole = (rounds.drafted == k) & (rounds.emitted == rounds.accepted + 1)
    found: Bools = whole & (rounds.start + k + 1 <= rows.natural[rounds.row])
    return found


def from_rounds(
    rounds: Rounds, rows: Rows, categories: Mapping[int, str], k: int, confidence: float
) -> Acceptance | None:
    """Acceptance of a cell from its single rounds; None if none is complete.

    categories: of each prompt id.
    """
    kept = rounds.take(complete(rounds, rows, k))
    if not len(kept.row):
        return None
    accepted, one = kept.accepted.astype(np.float64), np.ones(len(kept.row))
    prompt = rows.prompt[kept.row]

    def part(label: str, keep: Bools) -> AcceptanceOf:
        found = pooled(accepted[keep], one[keep], prompt[keep], k, confidence)
        return AcceptanceOf(label, *found, rounds=int(keep.sum()))

    stretch = _stretch(int(rows.natural[kept.row].max()))
    stretches = kept.start // stretch
    _, request = np.unique(kept.row, return_inverse=True)
    whole = pooled(accepted, one, prompt, k, confidence)
    return Acceptance(
        length=whole.length,
        low=whole.low,
        high=whole.high,
        rate=float(accepted.mean()) / k,
        per_position=tuple(float((kept.accepted >= i).mean()) for i in range(1, k + 1)),
        rounds=len(kept.row),
        rounds_left_out=len(rounds.row) - len(kept.row),
        per_request=_percentiles(1 + np.bincount(request, weights=accepted) / np.bincount(request)),
        by_category={name: part(name, here) for name, here in _by_category(prompt, categories).items()},
        by_output_position=tuple(
            part(f"{i * stretch}–{(i + 1) * stretch - 1}", stretches == i) for i in occurring(stretches)
        ),
    )


def from_counts(
    index: Ints, rows: Rows, per_position: Mapping[int, tuple[int, ...]], categories: Mapping[int, str], k: int,
    confidence: float,
) -> Acceptance | None:  # fmt: skip
    """Acceptance of a cell from totals of its generations; None if they reveal no rounds.

    index: the rows. The first generation of each prompt counts, since greedy repeats add nothing. Where a runtime
    does not count rounds, they are tokens after the prefill - accepted drafts (the identity of METHOD section 1, in
    which the last round's bonus token may be missing). Rounds that were cut cannot be told apart and stay in.
    """
    index = index[(rows.count_drafted[index] != ABSENT) & (rows.count_accepted[index] != ABSENT)]
    index = index[np.unique(rows.prompt[index], return_index=True)[1]]
    accepted = rows.count_accepted[index].astype(np.float64)
    rounds = rounds_of_counts(rows, index).astype(np.float64)
    drafted = rows.count_drafted[index].sum()
    if not rounds.sum() or not drafted:
        return None
    prompt = rows.prompt[index]
    parts = {
        name: AcceptanceOf(
            name, *pooled(accepted[here], rounds[here], prompt[here], k, confidence), rounds=int(rounds[here].sum())
        )
        for name, here in _by_category(prompt, categories).items()
        if rounds[here].sum()
    }
    seen = [per_position[i] for i in index.tolist() if len(per_position.get(i, ())) == k]
    whole = pooled(accepted, rounds, prompt, k, confidence)
    return Acceptance(
        length=whole.length,
        low=whole.low,
        high=whole.high,
        rate=float(accepted.sum() / drafted),
        per_position=tuple((np.sum(seen, axis=0) / rounds.sum()).tolist()) if len(seen) == len(index) else (),
        rounds=int(rounds.sum()),
        rounds_left_out=0,
        per_request=_percentiles(1 + accepted[rounds > 0] / rounds[rounds > 0]),
        by_category=parts,
        from_counts=True,
    )


def rounds_of_counts(rows: Rows, index: Ints) -> Ints:
    """Rounds of each of these rows, as counted or, where the runtime does not count them, by the identity."""
    counted = rows.count_rounds[index]
    derived = np.maximum(rows.n_tokens[index] - rows.n_prefill[index] - rows.count_accepted[index], 0)
    return np.where(counted == ABSENT, derived, counted)


def _stretch(longest: int) -> int:
    length = FEWEST_PER_STRETCH
    while length * STRETCHES < longest:
        length *= 2
    return length


def _by_category(prompt: Ints, categories: Mapping[int, str]) -> dict[str, Bools]:
    """Category -> which entries belong to it."""
    ids, where = np.unique(prompt, return_inverse=True)
    of_id = [categories[i] for i in ids.tolist()]
    return {name: np.array([other == name for other in of_id])[where] for name in sorted(set(of_id))}


def _percentiles(values: Floats) -> Percentiles:
    return Percentiles(float(values.mean()), *quantiles(values, 0.1, 0.5, 0.9))
