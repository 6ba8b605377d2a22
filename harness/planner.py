"""Sweep x candidates -> Plan: every cell, which engine serves it, and why some cells cannot run (pure)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import product

from backends.base import Capabilities
from harness.candidates import Candidate
from harness.plan import Arm, Engine, Group, Plan, units_of
from harness.sweep import Sweep
from results.errors import UsageError
from results.records import (
    BATCH_SHAPE,
    BIASED,
    CONTROL,
    PLAIN,
    SPECULATIVE,
    Cell,
    Draft,
    EngineConfig,
    Role,
    Sampling,
)
from results.sampling import MIN_TOKENS

NEEDS_ASSISTANT = ("mtp", "draft-model", "eagle3")
BIASED_AT = 0.75
"""The positive control samples at this share of the asked temperature."""


def make_plan(sweep: Sweep, candidates: Sequence[Candidate]) -> Plan:
    """Lay out every cell of the sweep.

    candidates: every pair in every backend of the sweep, in the order in which they are to be measured.
    Raises UsageError where a method is unknown to all backends, or nothing at all can be measured.
    """
    _check_methods(sweep, candidates)
    engines: dict[tuple[str, str, Draft | None], Engine] = {}
    groups: list[Group] = []
    skipped: list[Cell] = []
    for number, (candidate, every) in enumerate(_settings(sweep, candidates)):
        able, pair = candidate.able, candidate.pair
        greedy = every[0].sampling.temperature == 0
        scores = able.scores and able.token_ids_in and able.token_ids_out and (greedy or able.scores_sampling)
        # Where sampling is verified by scores, those of the plain arm are the negative control.
        own_control = not sweep.speed and scores and not greedy
        cells = [cell for cell in every if not (own_control and cell.role == CONTROL)]
        reasons = [_impossible(cell, candidate) for cell in cells]
        alone = None not in [why for why, cell in zip(reasons, cells, strict=True) if cell.role == SPECULATIVE]
        whole_group = reasons[0] or ("no speculative arm of this group can run" if alone else None)
        arms = []
        controls = [*_controls(cells[0], able, sweep)] if whole_group is None else []
        for cell, reason in zip([*cells, *controls], [*reasons, *(None for _ in controls)], strict=True):
            why = reason or whole_group
            placed = replace(cell, group=number, skipped=why)
            if why is not None:
                skipped.append(placed)
                continue
            fixed = cell.draft if able.draft_change == "per-launch" else None
            key = (candidate.backend, pair.name, fixed)
            if key not in engines:
                config = _engine_config(sweep.of(candidate.backend), candidate, fixed)
                engines[key] = Engine(len(engines), candidate.backend, pair, config)
            arms.append(_arm(placed, engines[key].number, able, sweep))
        if arms:
            looping = able.concurrency == "closed-loop"
            groups.append(Group(number, pair, tuple(arms), able.token_ids_in, scores, looping))
    if not groups:
        why = next(cell.skipped for cell in skipped if cell.draft is not None)
        raise UsageError(f"nothing can be measured: {why}")
    return Plan(sweep, tuple(engines.values()), tuple(groups), tuple(skipped))


def check_size(plan: Plan) -> None:
    """Raise UsageError, naming the number needed, where what is to be verified is too little for any conclusion.

    The prefill gives the first token, which never meets the drafter; the others count.
    """
    sweep = plan.sweep
    if sweep.speed:
        return
    of_rounds = sweep.output_tokens - 1
    if not of_rounds:
        raise UsageError("-n 1: the only token comes from the prefill and never meets the drafter; ask for at least 2")
    for group in plan.groups:
        rows = units_of(sweep, group, plan.texts) * group.rows
        visits, temperature = plan.visits_of(group), group.cell.sampling.temperature
        if temperature > 0 and visits is not None and rows * visits * of_rounds < MIN_TOKENS:
            raise UsageError(
                f"--draws {visits}: {visits} x {of_rounds} tokens from rounds after each of {rows} prompts are "
                f"{rows * visits * of_rounds}, and {MIN_TOKENS} are needed for any conclusion at temperature "
                f"{temperature:g}: --draws {math.ceil(MIN_TOKENS / rows / of_rounds)} or more"
            )


def _settings(sweep: Sweep, candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, list[Cell]]]:
    """Every group as (candidate, its cells): plain, control, then the speculative arms."""
    for candidate in candidates:
        for cells in _cells(sweep.of(candidate.backend), candidate):
            yield candidate, cells


def _cells(sweep: Sweep, candidate: Candidate) -> Iterator[list[Cell]]:
    """The cells of every group of this candidate."""
    arms: list[tuple[Role, Draft | None]] = [(PLAIN, None), (CONTROL, None)]  # the controls that any runtime can run
    arms += [(SPECULATIVE, Draft(method, k)) for method, k in product(sweep.methods, sweep.draft_lengths)]
    for batch, prompt, temperature in product(sweep.batch_sizes, sweep.prompt_tokens, sweep.temperature):
        greedy = temperature == 0
        sampling = Sampling() if greedy else Sampling(temperature, sweep.top_k, sweep.top_p, seed=sweep.seed)
        yield [
            Cell(
                group=0,
                role=role,
                backend=candidate.backend,
                pair=candidate.pair.name,
                draft=draft,
                batch_size=batch,
                prompt_tokens=prompt,
                output_tokens=sweep.output_tokens,
                sampling=sampling,
                dtype=sweep.dtype,
                device=sweep.device,
                synthetic=candidate.pair.random_weights,
            )
            for role, draft in arms
        ]


def _controls(plain: Cell, able: Capabilities, sweep: Sweep) -> Iterator[Cell]:
    """The undrafted controls of losslessness that this runtime can run beside a plain cell."""
    if plain.sampling.temperature == 0:
        largest, size = able.max_batch_plain, plain.batch_size
        other = 2 * size if largest is None or 2 * size <= largest else 1
        if able.concurrency == "closed-loop":  # a server has as many slots as are asked for, and no more
            other = max(1, size // 2)
        if other != size:
            yield replace(plain, role=BATCH_SHAPE, batch_size=other)
    elif not sweep.speed:
        sampling = replace(plain.sampling, temperature=round(BIASED_AT * plain.sampling.temperature, 6))
        yield replace(plain, role=BIASED, sampling=sampling)


def _arm(cell: Cell, engine: int, able: Capabilities, sweep: Sweep) -> Arm:
    timed = sweep.speed and cell.role in (PLAIN, CONTROL, SPECULATIVE)
    revealing = "rounds" in able.captures and cell.role in (PLAIN, SPECULATIVE)
    return Arm(
        cell,
        engine,
        timed=timed,
        instrumented=not timed or revealing,
        capture="rounds" if revealing else "timing",
    )


def _impossible(cell: Cell, candidate: Candidate) -> str | None:
    """Why this runtime cannot run this cell, or None."""
    able = candidate.able
    if candidate.misfit is not None:
        return candidate.misfit
    if cell.sampling.temperature > 0 and not able.sampling:
        return f"{cell.backend} does not sample (temperature {cell.sampling.temperature:g})"
    if cell.prompt_tokens is not None and not (able.token_ids_in or able.encodes):
        return f"{cell.backend} takes no token ids and shows none, so that prompts keep their own length"
    if cell.draft is not None and cell.draft.method not in able.methods:
        return f"{cell.backend} does not draft by {cell.draft.method}: it offers {', '.join(able.methods)}"
    largest = able.max_batch_plain if cell.draft is None else able.max_batch_speculative
    if largest is not None and cell.batch_size > largest:
        kind = "decodes" if cell.draft is None else "drafts"
        return f"{cell.backend} {kind} at batch sizes up to {largest}, not {cell.batch_size}"
    return None if cell.draft is None else _no_drafter(cell.draft, candidate)


def _no_drafter(draft: Draft, candidate: Candidate) -> str | None:
    """Why the pair's files, or the server, hold nothing that drafts so in this runtime, or None."""
    name, fixed = candidate.pair.name, candidate.draft_lengths
    if draft.method in candidate.unfit:
        return candidate.unfit[draft.method]
    if draft.length in candidate.refused:
        return candidate.refused[draft.length]
    if fixed == ():
        return f"{name} holds no drafter for {candidate.backend}"
    if fixed and draft.length not in fixed:
        only = " or ".join(map(str, fixed))
        return f"{candidate.backend} drafts {only} tokens a round with {name}, never {draft.length}"
    inside = bool(fixed) or "served" in candidate.able.formats  # a part of the target's file, or of the server
    if draft.method in NEEDS_ASSISTANT and candidate.pair.assistant is None and not inside:
        return f"{name} names no assistant to draft by {draft.method}: write TARGET:ASSISTANT"
    return None


def _engine_config(sweep: Sweep, candidate: Candidate, draft: Draft | None) -> EngineConfig:
    longest = max((length for length in sweep.prompt_tokens if length is not None), default=None)
    own = None in sweep.prompt_tokens or longest is None
    return EngineConfig(
        dtype=sweep.dtype,
        device=sweep.device,
        threads=sweep.threads,
        max_context=None if own or longest is None else longest + sweep.output_tokens,
        max_batch=max(sweep.batch_sizes),
        methods=tuple(method for method in sweep.methods if method in candidate.able.methods),
        draft=draft,
        options=sweep.backend.get(candidate.backend, {}),
        trust_remote_code=sweep.trust_remote_code,
    )


def _check_methods(sweep: Sweep, candidates: Sequence[Candidate]) -> None:
    known = sorted({method for candidate in candidates for method in candidate.able.methods})
    for method in sweep.methods:
        if method not in known:
            near = get_close_matches(method, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"{', '.join(sweep.backends)} offer {', '.join(known)}"
            raise UsageError(f"unknown draft method {method!r}: {hint}")
