"""The scores of a run file, where judgements look for them: by the output they are of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from results.codec import SCORE_NUMBERS
from results.columns import Rows, Trials
from results.metrics import Floats
from results.records import Cell
from results.runfile import RunFile


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Tokens that follow each other, and what the target says of each; NaN where the runtime does not reveal it."""

    start: int
    """Position of the first one in the output."""
    tokens: NDArray[np.int32]
    best: NDArray[np.int32]
    numbers: Floats
    """(tokens, 7), in the order of `results.codec.SCORE_NUMBERS`."""

    @property
    def logit(self) -> Floats:
        """Of each token."""
        return self.numbers[:, 0]

    @property
    def regret(self) -> Floats:
        """Best logit - chosen logit, at least 0; 0 too where the target chooses the token without showing a logit.

        Where a runtime shows log-probabilities and no logits, their difference is the same one. NaN: not known.
        Infinite: the token's logit is -inf, it could never be chosen.
        """
        logit, best, log_p, best_log_p = self.numbers[:, :4].T
        with np.errstate(all="ignore"):  # a stranger's file may hold any number
            regret = np.maximum(np.where(np.isnan(logit), best_log_p - log_p, best - logit), 0.0)
        return np.where(np.isnan(regret) & (self.tokens == self.best), 0.0, regret)


OfOutput = tuple[int, int, int]
"""(group, prompt id, index of the output)."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Everything that was scored."""

    own: dict[int, Scored] = field(default_factory=dict)
    """Row -> as the engine decoded it."""
    forced: dict[OfOutput, Scored] = field(default_factory=dict)
    """Output -> teacher-forced in one pass."""
    reference: dict[OfOutput, Scored] = field(default_factory=dict)
    """Output -> teacher-forced in one pass by the reference runtime ..."""
    referee: str | None = None
    """... which is this backend."""
    replayed: dict[tuple[OfOutput, int], int] = field(default_factory=dict)
    """(output, position) -> what the target chooses there, with everything before given as one prefill."""
    passes: dict[OfOutput, int] = field(default_factory=dict)
    """Output -> target passes that scoring it took."""


LARGEST = float(np.finfo(np.float32).max)
"""No runtime computes scores in a wider type. A larger number says nothing, and its square would overflow."""

OF_THEIR_OUTPUT = """
SELECT generation_id, kind, start, score.token_ids, best_ids, numbers
FROM score JOIN generation ON generation.id = generation_id
WHERE substr(generation.token_ids, 4 * start + 1, length(score.token_ids)) = score.token_ids
  AND (kind = 'replay' OR start = 0)
  AND (kind IN ('replay', 'incremental') OR length(score.token_ids) = length(generation.token_ids))
ORDER BY score.id"""
"""Scores of the tokens that stand there in the output, from its first one on, and of all of them in one prefill."""


def read_scores(file: RunFile, cells: Mapping[int, Cell], trials: Trials, rows: Rows) -> Scores:
    """All scores; of an output that was scored twice, the first.

    Scores of other tokens than the output's, which only a stranger's file holds, say nothing of it and are left out:
    the output counts as not scored.
    """
    referees = file.query(
        "SELECT DISTINCT launch.backend FROM score JOIN trial ON trial.id = score.trial_id "
        "JOIN launch ON launch.id = launch_id WHERE kind = 'reference' ORDER BY 1"
    )
    found = Scores(referee=" and ".join(backend for (backend,) in referees) or None)
    for generation, kind, start, ids, best, numbers in file.query(OF_THEIR_OUTPUT):
        row = int(np.searchsorted(rows.ids, generation))
        cell = cells[int(trials.cell[rows.trial[row]])]
        place = (cell.group, int(rows.prompt[row]), int(rows.output[row]))
        scored = Scored(start, np.frombuffer(ids, "<i4"), np.frombuffer(best, "<i4"), _numbers(numbers))
        if kind == "incremental":
            found.own.setdefault(row, scored)
            continue
        if kind == "reference":
            found.reference.setdefault(place, scored)
            continue
        found.passes[place] = found.passes.get(place, 0) + 1
        if kind == "prefill":
            found.forced.setdefault(place, scored)
        else:
            found.replayed.setdefault((place, start), int(scored.best[0]))
    return found


def _numbers(packed: bytes) -> Floats:
    """(tokens, 7); NaN where a number is finite, and larger than any score."""
    numbers = np.frombuffer(packed, "<f8").reshape(-1, SCORE_NUMBERS)
    return np.where(np.isfinite(numbers) & (np.abs(numbers) > LARGEST), np.nan, numbers)
