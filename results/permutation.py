"""Do two arms draw the same tokens after the same text? A permutation test, for runtimes that give no scores."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.arm import Arm
from results.metrics import Floats, Ints

DEPTH = 4
"""Tokens after the prefill's that are compared; later ones hardly ever follow equal texts."""
PERMUTATIONS = 4999

_Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the test found."""

    statistic: float
    p: float
    tokens: int
    """Of the arm, after texts that the plain arm drew too."""


def test(arm: Arm, plain: Arm) -> Outcome | None:
    """Two-sample chi-square of next-token counts, summed over equal texts; labels permuted within equal beginnings.

    Sequences to the same prompt that begin with the same prefill tokens are exchangeable if both arms follow one
    distribution, so their labels are. None where no beginning was drawn by both arms.
    """
    sequences, label = _sequences(arm, plain)
    stratum = _numbered([text[:1] for text in sequences])
    both = np.isin(stratum, stratum[label]) & np.isin(stratum, stratum[~label])
    sequences = [text for text, kept in zip(sequences, both.tolist(), strict=True) if kept]
    stratum, label = stratum[both], label[both]
    if not sequences:
        return None
    levels = [*_levels(sequences)]
    seen = _statistic(levels, label)
    rng = np.random.default_rng(0)
    order = np.argsort(stratum, kind="stable")
    at_least = 0
    for _ in range(PERMUTATIONS):
        shuffled = np.empty_like(label)
        shuffled[order] = label[np.lexsort((rng.random(len(label)), stratum))]
        at_least += _statistic(levels, shuffled) >= seen - 1e-9
    tokens = sum(int(label[members].sum()) for members, _, _ in levels)
    return Outcome(seen, (1 + at_least) / (1 + PERMUTATIONS), tokens)


def _sequences(arm: Arm, plain: Arm) -> tuple[list[tuple[tuple[int, ...], ...]], _Labels]:
    """Per row ((prompt, the prefill's tokens), then one token each), and whether it is the arm's."""
    found, label = [], []
    for each in (arm, plain):
        rows = each.evidence.rows
        for row in each.rows.tolist():
            if not each.is_ids(row):
                continue
            ids, n_prefill = each.tokens(row).tolist(), int(rows.n_prefill[row])
            beginning = (int(rows.prompt[row]), *ids[:n_prefill])
            found.append((beginning, *((token,) for token in ids[n_prefill : n_prefill + DEPTH])))
            label.append(each is arm)
    return found, np.array(label, dtype=bool)


def _levels(sequences: list[tuple[tuple[int, ...], ...]]) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Per depth (members, text so far, text with the next token), numbered; of sequences that are long enough."""
    for depth in range(1, DEPTH + 1):
        members = [i for i, text in enumerate(sequences) if len(text) > depth]
        if members:
            texts = [sequences[i] for i in members]
            yield (
                np.array(members),
                _numbered([text[:depth] for text in texts]),
                _numbered([text[: depth + 1] for text in texts]),
            )


def _numbered(values: list[tuple[tuple[int, ...], ...]]) -> Ints:
    known: dict[tuple[tuple[int, ...], ...], int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _statistic(levels: list[tuple[Ints, Ints, Ints]], label: _Labels) -> float:
    """Sum over texts and next tokens of (a N_b - b N_a)^2 / (N_a N_b (a + b)): the two-sample chi-square."""
    total = 0.0
    for members, text, longer in levels:
        here: Floats = label[members].astype(float)
        n_a, n = (np.bincount(text, weights=weights) for weights in (here, np.ones(len(here))))
        a, both = (np.bincount(longer, weights=weights) for weights in (here, np.ones(len(here))))
        of_text = np.zeros(len(a), dtype=np.int64)
        of_text[longer] = text
        ours, theirs = n_a[of_text], (n - n_a)[of_text]
        known = (ours > 0) & (theirs > 0)
        part = (a * theirs - (both - a) * ours) ** 2
        total += float((part[known] / (ours * theirs * both)[known]).sum())
    return total
