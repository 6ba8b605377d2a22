"""Run files whose outputs were scored by a target that says what a test tells it to.

`write` plays a run of `support.fake_run` and then adds what a certifier would: every distinct output to a prompt,
teacher-forced in one prefill, and the replays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from support import fake_run
from support.fake_run import Call, World

from results.codec import unpack_ids
from results.judge import judge
from results.records import (
    CERTIFICATE,
    INSTRUMENTED,
    MEASURED,
    PLAIN,
    Failure,
    Generation,
    Prompt,
    ScoreKind,
    Scoring,
    TokenScore,
    Trial,
)
from results.runfile import RunFile
from results.store import RunWriter
from results.verdicts import CellVerdict

LOGIT = 10.0
"""Of every token that a test says nothing about, which is the target's choice."""

Spoil = Callable[[Call, Generation], Generation | Failure]
Logits = Mapping[tuple[str, int], Mapping[int, float]]
"""(key of the prompt, position) -> the logit of each token there; of others there is none."""
Scorer = Callable[[Prompt, int, int], TokenScore]
"""(prompt, position, token) -> what the target says of it."""
Replays = Mapping[tuple[str, int], int]
"""(key of the prompt, position) -> the token that the target chooses in a prefill of everything before."""
NOTHING: Replays = MappingProxyType({})


def write(path: Path, world: World, scorer: Scorer, replays: Replays = NOTHING, kind: ScoreKind = "prefill") -> Path:
    """Play a run of `world` and score its outputs. replays: of the outputs that differ from plain ones there."""
    fake_run.write(path, world)
    with RunWriter.resume(path) as writer:
        prompts = writer.file.prompts()
        found = writer.file.query(
            "SELECT generation.id, role, prompt_id, token_ids FROM generation JOIN trial ON trial.id = trial_id "
            "JOIN cell ON cell.id = cell_id WHERE phase IN (?, ?) AND token_ids IS NOT NULL ORDER BY generation.id",
            MEASURED,
        )
        known: dict[tuple[int, bytes], int] = {}
        plain: dict[int, tuple[int, ...]] = {}
        for generation, role, prompt, ids in found:
            known.setdefault((prompt, ids), generation)
            if role == PLAIN:
                plain.setdefault(prompt, unpack_ids(ids))
        scorings = []
        for (prompt, ids), generation in known.items():
            tokens = unpack_ids(ids)
            scores = tuple(scorer(prompts[prompt], position, token) for position, token in enumerate(tokens))
            scorings += [Scoring(generation, kind, scores)] if scores else []
            for (key, position), choice in replays.items():
                if key == prompts[prompt].key and tokens != plain.get(prompt) and position < len(tokens):
                    replayed = replace(scores[position], best_id=choice)
                    scorings.append(Scoring(generation, "replay", (replayed,)))
        writer.add_scorings(Trial(1, 1, 0, 0, 0, CERTIFICATE, 0, 1, None), scorings)
        writer.finish("finished")
    return path


def by_logits(logits: Logits) -> Scorer:
    """The target has these logits; everywhere else the output's own token is its choice."""

    def score(prompt: Prompt, position: int, token: int) -> TokenScore:
        there = logits.get((prompt.key, position), {token: LOGIT})
        best = max(there, key=lambda each: there[each])
        return TokenScore(position, token, best, there.get(token), there[best])

    return score


def judged(path: Path, k: int = 2) -> CellVerdict:
    """The verdict on the cell of draft length `k`."""
    with RunFile.open(path) as file:
        return next(cell for cell in judge(file).cells if cell.draft_length == k)


def diverging(tails: Mapping[int, tuple[int, Sequence[int]]], role: str = "speculative") -> Spoil:
    """Outputs of an arm go on otherwise. tails: unit -> (position, the tokens from there on)."""

    def spoil(call: Call, seen: Generation) -> Generation:
        if call.cell.role != role or call.unit not in tails:
            return seen
        position, tail = tails[call.unit]
        assert seen.token_ids is not None
        return with_tokens(seen, (*seen.token_ids[:position], *tail))

    return spoil


def with_tokens(seen: Generation, tokens: tuple[int, ...]) -> Generation:
    """The same generation with other tokens, perhaps fewer or more."""
    arrivals = tuple(replace(a, tokens=min(a.tokens, len(tokens))) for a in seen.arrivals)
    return replace(seen, n_tokens=len(tokens), token_ids=tokens, arrivals=arrivals)


def with_noise(noise: Callable[[int, int], float], spoil: Spoil = lambda call, seen: seen) -> Spoil:
    """The plain arm's own logits are off by noise(unit, position). spoil: what else is changed."""

    def both(call: Call, seen: Generation) -> Generation | Failure:
        found = spoil(call, seen)
        if isinstance(found, Failure) or call.cell.role != PLAIN or call.phase != INSTRUMENTED:
            return found
        logits = [LOGIT + noise(call.unit, position) for position in range(found.n_tokens)]
        scores = (TokenScore(i, token, token, logits[i], logits[i]) for i, token in enumerate(found.token_ids or ()))
        return replace(found, scores=tuple(scores))

    return both
