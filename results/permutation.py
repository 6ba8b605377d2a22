"""Do two arms draw the same tokens after the same text? A permutation test, for runtimes that give no scores."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.arm import Arm
from results.metrics import Floats, Ints

DEPTH = 4
"""Tokens after the prefill's that are compared; later ones hardly ever follow equal texts."""
PERMUTATIONS = 4999
AT_ONCE = 500
"""Permutations held in memory together."""

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
    (seen,) = _statistics(levels, label[np.newaxis])
    rng = np.random.default_rng(0)
    strata = [np.flatnonzero(stratum == each) for each in range(int(stratum.max()) + 1)]
    at_least = 0
    for start in range(0, PERMUTATIONS, AT_ONCE):
        shuffled = np.tile(label, (min(AT_ONCE, PERMUTATIONS - start), 1))
        for members in strata:
            shuffled[:, members] = rng.permuted(shuffled[:, members], axis=1)
        at_least += int((_statistics(levels, shuffled) >= seen - 1e-9).sum())
    tokens = sum(int(label[members].sum()) for members, _, _ in levels)
    return Outcome(float(seen), (1 + at_least) / (1 + PERMUTATIONS), tokens)


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
    """Per depth (members, text so far, text with the next token), numbered; of texts that several sequences share."""
    for depth in range(1, DEPTH + 1):
        long = [i for i, text in enumerate(sequences) if len(text) > depth]
        shared = Counter(sequences[i][:depth] for i in long)
        members = [i for i in long if shared[sequences[i][:depth]] > 1]
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


def _statistics(levels: list[tuple[Ints, Ints, Ints]], labels: _Labels) -> Floats:
    """Per row of labels, summed over texts and next tokens, (a N_b - b N_a)^2 / (N_a N_b (a + b)).

    a and b: how often the two arms went on from the text with the token; N_a and N_b: how often each had the text. This
    is the two-sample chi-square of every text.
    """
    total = np.zeros(len(labels))
    for members, text, longer in levels:
        here = labels[:, members].astype(float)
        of_text = np.zeros(int(longer.max()) + 1, dtype=np.int64)
        of_text[longer] = text
        a, n_a = _summed(here, longer), _summed(here, text)[:, of_text]
        both, n = np.bincount(longer), np.bincount(text)[of_text]
        compared = np.maximum(n_a * (n - n_a), 1)  # 0 where one arm never had the text: then a n = both n_a
        total += ((a * n - both * n_a) ** 2 / (compared * both)).sum(axis=1)
    return total


def _summed(values: Floats, groups: Ints) -> Floats:
    """(rows, groups): sums of the columns of each group, of which none is empty."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    found: Floats = np.add.reduceat(values[:, order], starts, axis=1)
    return found
