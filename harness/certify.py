"""The losslessness certificate's evidence: outputs of a unit, teacher-forced through the undrafted target.

Each distinct output to a prompt is scored once, in one pass. Greedy: the plain output, and every speculative output
that is another one; at the first token that differs, and wherever the target would have chosen otherwise, the target
is asked again with everything before that token as one prefill. Sampled: every output of plain, speculative and
biased arms, under the asked distribution. Judging is done in `results.equivalence` and `results.sampling`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.calling import forced
from harness.client import CallFailed
from harness.fleet import Fleet, Running
from harness.journal import Journal, Output
from harness.observe import Observer
from harness.plan import Group
from results.errors import UsageError
from results.records import (
    BIASED,
    CERTIFICATE,
    PLAIN,
    SPECULATIVE,
    Failure,
    Role,
    Sampling,
    Scoring,
    TokenScore,
    Trial,
)

MAX_REPLAYS = 16
"""Of one output, the largest regrets first; a regret that was not replayed explains nothing."""
PATIENCE = 2
"""After so many failures a group's outputs are no longer scored."""


class Certifier:
    """Scores outputs as they come, block by block."""

    def __init__(self, journal: Journal, fleet: Fleet, observer: Observer, timeout_s: float) -> None:
        """timeout_s: of one scoring call."""
        self._journal, self._fleet, self._observer, self._timeout_s = journal, fleet, observer, timeout_s
        self._failures: dict[int, int] = {}

    def certify(self, group: Group, cells: Mapping[int, Role], unit: int, repeat: int) -> None:
        """Score what the group's outputs to this unit still need. cells: cell id -> role, of all arms, plain first."""
        if not group.scores or self._failures.get(group.number, 0) >= PATIENCE:
            return
        greedy = group.cell.sampling.temperature == 0
        judged = (PLAIN, SPECULATIVE) if greedy else (PLAIN, SPECULATIVE, BIASED)
        plain_id, *_ = cells
        outputs = self._journal.outputs([cell for cell, role in cells.items() if role in judged], unit)
        due = [*(_greedy(outputs, plain_id) if greedy else _sampled(outputs))]
        running = self._fleet.get(group.plain.engine) if due else None
        if running is None:
            return
        started, clock = time.time_ns(), time.perf_counter_ns()
        scorings: list[Scoring] = []
        failure: Failure | None = None
        try:
            for output, reference in due:
                scorings += [*self._scored(running, output, reference, group.cell.sampling)]  # whole, or again later
        except UsageError as error:  # what was measured stands, so that wrong input is no reason to end the run
            failure = Failure("error", str(error))
        except CallFailed as error:
            failure = error.failure
            if not error.alive:
                self._fleet.died(group.plain.engine, failure)
        if failure is not None:
            self._failures[group.number] = self._failures.get(group.number, 0) + 1
            self._observer.note(f"outputs could not be scored: {failure.message}")
        wall = time.perf_counter_ns() - clock
        launch = self._fleet.launch_of(group.plain.engine)
        trial = Trial(plain_id, launch, unit, repeat, 0, CERTIFICATE, started, wall, None, failure)
        self._journal.scorings(trial, scorings)

    def _scored(
        self, running: Running, output: Output, reference: tuple[int, ...] | None, sampling: Sampling
    ) -> Iterator[Scoring]:
        if output.scored:
            positions = [_common(output.token_ids, reference or ())]
        else:
            scores = forced(running, output.prompt, output.token_ids, sampling, self._timeout_s)
            yield Scoring(output.generation_id, "prefill", scores)
            positions = _to_replay(scores, output.token_ids, reference)
        for position in positions:
            so_far = (output.prompt.token_ids or ()) + output.token_ids[:position]
            prefix = replace(output.prompt, token_ids=so_far, text=None)
            (score,) = forced(running, prefix, output.token_ids[position : position + 1], sampling, self._timeout_s)
            yield Scoring(output.generation_id, "replay", (replace(score, position=position),))


def _greedy(outputs: Sequence[Output], plain_id: int) -> Iterator[tuple[Output, tuple[int, ...] | None]]:
    """Outputs to score, each with the plain output it has left; the plain ones come without.

    One that was scored comes again where a later plain output follows it further than those there were then.
    """
    by_prompt: dict[int, list[Output]] = {}
    for output in outputs:
        by_prompt.setdefault(output.prompt_id, []).append(output)
    for found in by_prompt.values():
        scored = {output.token_ids for output in found if output.scored}
        plain = [output for output in found if output.cell_id == plain_id]
        own = {output.token_ids for output in plain}
        for output in sorted(found, key=lambda output: output.cell_id != plain_id):
            if not plain or (output.token_ids in scored and not output.scored):
                continue
            reference = None if output.token_ids in own else _nearest(output.token_ids, own)
            if output.scored and (reference is None or _asked_again(output, reference)):
                continue
            scored.add(output.token_ids)
            yield output, reference


def _sampled(outputs: Sequence[Output]) -> Iterator[tuple[Output, None]]:
    """Outputs to score: each distinct one once."""
    scored = {(output.prompt_id, output.token_ids) for output in outputs if output.scored}
    for output in outputs:
        if (output.prompt_id, output.token_ids) not in scored:
            scored.add((output.prompt_id, output.token_ids))
            yield output, None


def _nearest(tokens: tuple[int, ...], plain: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The plain output that these tokens follow longest."""
    return max(plain, key=lambda other: _common(tokens, other))


def _asked_again(output: Output, reference: tuple[int, ...]) -> bool:
    """Whether the target was asked about the first token that differs, or there is none to ask about."""
    first = _common(output.token_ids, reference)
    return first == len(output.token_ids) or first in output.replayed


def _common(tokens: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens the two begin with in common."""
    differs = (i for i, (a, b) in enumerate(zip(tokens, other, strict=False)) if a != b)
    return next(differs, min(len(tokens), len(other)))


def _to_replay(scores: Sequence[TokenScore], tokens: Sequence[int], reference: Sequence[int] | None) -> list[int]:
    """Positions: the first that differs from the reference, then where the target chose otherwise, the worst first."""
    if reference is None:
        return []
    first = _common(tokens, reference)
    regrets = [
        ((score.best_logit or 0.0) - (score.logit or 0.0), score.position)
        for score in scores[first + 1 :]
        if score.best_id != score.token_id
    ]
    worst = [position for _, position in sorted(regrets, reverse=True)]
    return [*([first] if first < len(tokens) else []), *worst][:MAX_REPLAYS]
