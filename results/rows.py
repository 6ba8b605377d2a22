"""Records as rows of the run file and back, exactly; rows are in the column order of `results.schema`, without `id`.

Every `to_*` raises one of `codec.MALFORMED` where a row is not what its `of_*` writes.
"""

from collections.abc import Sequence
from typing import Any

from results.codec import (
    SCORE_NUMBERS,
    json_list,
    json_object,
    json_record,
    pack_ids,
    pack_numbers,
    pack_pairs,
    to_json,
    unpack_ids,
    unpack_numbers,
    unpack_pairs,
)
from results.records import (
    Arrival,
    Cell,
    Draft,
    DraftCounts,
    EngineConfig,
    Failure,
    Generation,
    Launch,
    PlainStep,
    Prompt,
    Round,
    Sampling,
    Scoring,
    SessionFacts,
    TokenScore,
    Trial,
)

Row = tuple[Any, ...]

# -------------------------------------------------------------------------------------------- what was asked


def of_cell(cell: Cell) -> Row:
    """Row of table cell."""
    method, length = (cell.draft.method, cell.draft.length) if cell.draft else (None, None)
    s = cell.sampling
    return (
        *(cell.group, cell.role, cell.backend, cell.pair, method, length),
        *(cell.batch_size, cell.prompt_tokens, cell.output_tokens),
        *(s.temperature, s.top_k, s.top_p, s.seed, cell.dtype, cell.device, int(cell.synthetic), cell.skipped),
    )


def to_cell(row: Row) -> Cell:
    """Inverse of `of_cell`."""
    group, role, backend, pair, method, length, batch, prompt, output, *rest = row
    temperature, top_k, top_p, seed, dtype, device, synthetic, skipped = rest
    return Cell(
        group=group,
        role=role,
        backend=backend,
        pair=pair,
        draft=None if method is None else Draft(method, length),
        batch_size=batch,
        prompt_tokens=prompt,
        output_tokens=output,
        sampling=Sampling(temperature, top_k, top_p, seed),
        dtype=dtype,
        device=device,
        synthetic=bool(synthetic),
        skipped=skipped,
    )


def of_prompt(prompt: Prompt) -> Row:
    """Row of table prompt."""
    ids = None if prompt.token_ids is None else pack_ids(prompt.token_ids)
    return (prompt.key, prompt.workload, prompt.category, ids, prompt.text, int(prompt.synthetic))


def to_prompt(row: Row) -> Prompt:
    """Inverse of `of_prompt`."""
    key, workload, category, ids, text, synthetic = row
    return Prompt(key, workload, category, None if ids is None else unpack_ids(ids), text, bool(synthetic))


# ------------------------------------------------------------------------------------------------- what ran


_COUNT = (int, type(None))
_ENGINE: dict[str, tuple[type, ...]] = {
    "dtype": (str,),
    "device": (str,),
    "threads": _COUNT,
    "max_context": _COUNT,
    "max_batch": (int,),
    "methods": (list,),
    "draft": (dict, type(None)),
    "options": (dict,),
    "trust_remote_code": (bool,),
}
_FACTS: dict[str, tuple[type, ...]] = {
    "versions": (dict,),
    "device": (str,),
    "dtype": (str,),
    "eos_token_ids": (list,),
    "context_limit": _COUNT,
    "vocab_size": _COUNT,
    "threads": _COUNT,
    "target_bytes": _COUNT,
    "drafter_bytes": _COUNT,
    "chat_template": (bool,),
    "files": (dict,),
    "statement": (dict,),
}


def of_launch(launch: Launch) -> Row:
    """Row of table launch."""
    facts = None if launch.facts is None else to_json(launch.facts)
    return (
        *(launch.backend, launch.pair, to_json(launch.engine), facts, launch.started_unix_ns, launch.log),
        *of_failure(launch.failure),
    )


def to_launch(row: Row) -> Launch:
    """Inverse of `of_launch`."""
    backend, pair, engine, facts, started, log, *failure = row
    known = None if facts is None else to_facts(facts)
    return Launch(backend, pair, to_engine(engine), started, known, log, to_failure(*failure))


def to_engine(text: str) -> EngineConfig:
    """Inverse of `to_json` for an EngineConfig."""
    value = json_record(text, _ENGINE, {"max_batch": 1})
    value["methods"] = tuple(map(str, value["methods"]))
    value["draft"] = None if value["draft"] is None else Draft(**value["draft"])
    return EngineConfig(**value)


def to_facts(text: str) -> SessionFacts:
    """Inverse of `to_json` for SessionFacts."""
    value = json_record(text, _FACTS)
    value["eos_token_ids"] = tuple(map(int, value["eos_token_ids"]))
    for key in ("versions", "files"):
        value[key] = {name: str(item) for name, item in value[key].items()}
    return SessionFacts(**value)


def of_failure(failure: Failure | None) -> Row:
    """The three failure columns."""
    return (None, None, None) if failure is None else (failure.kind, failure.message, failure.detail)


def to_failure(kind: Any, message: str, detail: str) -> Failure | None:
    """Inverse of `of_failure`."""
    return None if kind is None else Failure(kind, message, detail)


def of_trial(trial: Trial) -> Row:
    """Row of table trial."""
    return (
        *(trial.cell_id, trial.launch_id, trial.unit, trial.repeat, trial.half, trial.phase),
        *(trial.started_unix_ns, trial.wall_ns, trial.cpu_ns, *of_failure(trial.failure), to_json(trial.flags)),
    )


def to_trial(row: Row) -> Trial:
    """Inverse of `of_trial`."""
    cell_id, launch_id, unit, repeat, half, phase, started, wall, cpu, kind, message, detail, flags = row
    failure = to_failure(kind, message, detail)
    return Trial(
        cell_id, launch_id, unit, repeat, half, phase, started, wall, cpu, failure, flags=json_list(flags, str)
    )


# ----------------------------------------------------------------------------------------------- what was seen


def of_generation(trial_id: int, row: int, prompt_id: int, seen: Generation) -> Row:
    """Row of table generation; its rounds and scores are rows of their own (`of_round`, `of_scoring`).

    Counts in which everything is None reveal nothing and come back as no counts.
    """
    counts = seen.counts or DraftCounts(None, None, None)
    return (
        *(trial_id, row, prompt_id, seen.n_tokens, seen.n_prefill, seen.prompt_tokens),
        None if seen.token_ids is None else pack_ids(seen.token_ids),
        seen.text,
        pack_pairs([(a.ns, a.tokens) for a in seen.arrivals]),
        None if seen.steps is None else pack_pairs([(s.pass_ns, s.total_ns) for s in seen.steps]),
        int(seen.rounds is not None),
        *(counts.rounds, counts.drafted, counts.accepted),
        None if counts.per_position is None else to_json(counts.per_position),
        *(seen.finish_reason, seen.cached_tokens, seen.peak_memory_bytes, to_json(seen.statement)),
    )


def to_generation(row: Row, rounds: Sequence[Row], scores: tuple[TokenScore, ...] | None) -> tuple[int, Generation]:
    """Inverse of `of_generation`: (prompt_id, generation)."""
    _trial, _row, prompt_id, n_tokens, n_prefill, prompt_tokens, ids, text, arrivals, steps, revealed, *rest = row
    rounded, drafted, accepted, per_position, finish_reason, cached, peak, statement = rest
    positions = None if per_position is None else json_list(per_position, int)
    known = DraftCounts(rounded, drafted, accepted, positions)
    return prompt_id, Generation(
        n_tokens=n_tokens,
        token_ids=None if ids is None else unpack_ids(ids),
        text=text,
        arrivals=tuple(Arrival(*pair) for pair in unpack_pairs(arrivals)),
        n_prefill=n_prefill,
        prompt_tokens=prompt_tokens,
        rounds=tuple(Round(*each) for each in rounds) if revealed else None,
        counts=None if known == DraftCounts(None, None, None) else known,
        steps=None if steps is None else tuple(PlainStep(*pair) for pair in unpack_pairs(steps)),
        scores=scores,
        finish_reason=finish_reason,
        cached_tokens=cached,
        peak_memory_bytes=peak,
        statement=json_object(statement),
    )


def of_round(generation_id: int, index: int, each: Round) -> Row:
    """Row of table round."""
    return (
        *(generation_id, index, each.drafted, each.accepted, each.emitted),
        *(each.draft_ns, each.verify_ns, each.total_ns),
    )


ROUNDS_OF = (
    "SELECT drafted, accepted, emitted, draft_ns, verify_ns, total_ns FROM round WHERE generation_id = ? ORDER BY idx"
)
"""The rounds that `to_generation` takes."""


def of_scoring(trial_id: int, scoring: Scoring) -> Row:
    """Row of table score."""
    numbers = [
        (s.logit, s.best_logit, s.logprob, s.best_logprob, s.entropy, s.variance, s.mass_above) for s in scoring.scores
    ]
    return (
        *(trial_id, scoring.generation_id, scoring.kind, scoring.scores[0].position),
        pack_ids([score.token_id for score in scoring.scores]),
        pack_ids([score.best_id for score in scoring.scores]),
        pack_numbers(numbers),
    )


def to_scoring(row: Row) -> Scoring:
    """Inverse of `of_scoring`."""
    _trial, generation_id, kind, start, ids, best, numbers = row
    columns = zip(unpack_ids(ids), unpack_ids(best), unpack_numbers(numbers, SCORE_NUMBERS), strict=True)
    scores = tuple(
        TokenScore(position, token, best_id, *values)
        for position, (token, best_id, values) in enumerate(columns, start)
    )
    return Scoring(generation_id, kind, scores)
