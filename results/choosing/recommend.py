"""Run files -> which setting to deploy, by an objective and within limits; pure.

A drafted setting is recommended where it is distinguishably better than plain decoding: its interval, widened for
having chosen it among all that were measured, excludes 1, and the gain exceeds the A/A interval (METHOD section 3).
Everything else is plain decoding, which needs no drafter; chance never decides against it. Cells that may not be ranked
(`results.ranking`) are never candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from results import speedup
from results.choosing.breakeven import break_evens
from results.choosing.contenders import Contenders
from results.choosing.objective import Objective, objective, peak_memory, watts
from results.choosing.recommendation import Aside, AtBatch, Choice, Outcome, Pick, Place, Recommendation, Setting
from results.choosing.wishes import Wishes
from results.effects import point
from results.errors import UsageError
from results.judge import Judged
from results.verdicts import CellVerdict, Interval, RunVerdict


def recommend(runs: Sequence[Judged], wishes: Wishes) -> Recommendation:
    """The best setting of every group, up to which batch size drafting pays, and the best of all.

    Raises UsageError where energy is asked for and no run has any power.
    """
    choices: list[Choice] = []
    at_batch: list[tuple[Place, AtBatch]] = []
    power = [watts(run.groups[0].file) if run.groups else {} for run in runs]
    if wishes.objective == "energy" and not any(power):
        raise UsageError("--for energy: no power was read in these runs; that needs a GPU whose driver tells its power")
    for run, read in zip(runs, power, strict=True):
        wanted = objective(wishes.objective, wishes.price_per_hour, read)
        memory = peak_memory(run.groups[0].file) if run.groups else {}
        by_group: dict[int, list[CellVerdict]] = {}
        for cell in run.verdict.cells:
            by_group.setdefault(cell.group, []).append(cell)
        groups = {group.number: group for group in run.groups}
        for number, cells in by_group.items():
            place = _place(cells[0], run.verdict)
            if number not in groups:
                choices.append(_imported(place, cells))
                continue
            found = Contenders(groups[number], cells, wanted, wishes, read, memory)
            choices.append(_choice(place, found))
            if best := _at_batch(place, found):
                at_batch.append((place, best))
    unit = objective(wishes.objective, wishes.price_per_hour, {})
    return Recommendation(
        wishes, wishes.objective, unit.unit, tuple(choices), _picks(choices, unit), break_evens(at_batch)
    )


@dataclass(frozen=True, slots=True)
class _Ruling:
    outcome: Outcome
    reason: str
    chosen: int | None


def _choice(place: Place, found: Contenders) -> Choice:
    ruling = _ruling(found)
    beside = found.beside(ruling.chosen) if ruling.outcome in ("faster", "limits") and ruling.chosen else ()
    return Choice(
        place=place,
        outcome=ruling.outcome,
        reason=ruling.reason,
        chosen=ruling.chosen,
        settings=found.settings,
        beside=beside,
        aside=found.aside,
        units=min((len(e.units) for e in found.effects.values()), default=0),
        aa=found.aa,
        confidence=found.group.confidence,
    )


def _ruling(found: Contenders) -> _Ruling:
    """What to do in one group, and why."""
    plain = found.plain
    stays = plain.cell_id if plain and not plain.excluded else None
    drafted = [setting for setting in found.settings if setting.method is not None]
    within = [setting for setting in drafted if not setting.excluded and setting.gain is not None]
    if not within:
        why = _nothing(found, drafted != [], stays is None)
        return _Ruling("none" if stays is None else "plain only", why, stays)
    best = max(within, key=lambda setting: setting.gain or 0.0)
    told = _told(best, found.aa)
    if told == "faster":
        return _Ruling(told, "distinguishably better than plain decoding", best.cell_id)
    if stays is None:
        why = found.plain.excluded if found.plain else found.no_plain
        return _Ruling("limits", f"plain decoding may not be chosen: {why}", best.cell_id)
    if told == "untold":
        lacks = "there is no A/A arm to tell chance by" if found.aa is None else "too few prompts for an interval"
        return _Ruling(told, lacks, stays)
    if told == "slower":
        return _Ruling(told, "even the best drafted setting is worse than plain decoding", stays)
    return _Ruling(told, "drafting brings no gain that this file can tell", stays)


def _nearest(settings: Sequence[Setting]) -> str:
    """For each limit that is not kept, by how much the nearest setting misses it."""
    missed: dict[str, list[tuple[float, str]]] = {}
    for setting in settings:
        kind, *_ = setting.excluded.split(" ")
        value = {"TPOT": setting.tpot_ms, "TTFT": setting.ttft_ms, "memory": setting.memory_bytes}.get(kind)
        if setting.excluded and setting.method is not None:
            missed.setdefault(kind, []).append((math.inf if value is None else value, setting.excluded))
    return "; ".join(min(reasons)[1] for reasons in missed.values())


def _told(best: Setting, aa: Interval | None) -> Outcome:
    """The best drafted setting beside plain decoding."""
    sure = speedup.distinguishable(best.adjusted, aa)
    if sure is None:
        return "untold"
    return "same" if not sure else "faster" if best.gain and best.gain > 1 else "slower"


def _nothing(found: Contenders, ranked: bool, plain_too: bool) -> str:
    """Why no drafted setting may be chosen."""
    if ranked:
        return (
            f"{'no setting keeps' if plain_too else 'no drafted setting keeps'} the limits: {_nearest(found.settings)}"
        )
    kinds = dict.fromkeys(aside.reason.split(":")[0] for aside in found.aside)
    return f"no drafted setting may be ranked: {', '.join(kinds)}" if kinds else "nothing was drafted"


def _at_batch(place: Place, found: Contenders) -> AtBatch | None:
    if not found.effects:
        return None
    cell, effect = max(found.effects.items(), key=lambda pair: point(pair[1]))
    best = found.of(cell)
    return AtBatch(place.file, place.group, place.batch_size, best.draft_length, math.exp(point(effect)), best.adjusted,
                   _told(best, found.aa))  # fmt: skip


def _picks(choices: Sequence[Choice], wanted: Objective) -> tuple[Pick, ...]:
    """Over what can be chosen (runtime, batch size), for each of what cannot (pair, lengths, temperature)."""
    alike: dict[tuple[object, ...], list[Choice]] = {}
    for choice in choices:
        if choice.setting is not None and choice.setting.figure is not None:
            place = choice.place
            key = (place.pair, place.prompt_tokens, place.output_tokens, place.temperature)
            alike.setdefault(key, []).append(choice)
    found = []
    for each in alike.values():
        figures = [choice.setting.figure or 0.0 for choice in each if choice.setting]
        best = each[figures.index((max if wanted.larger else min)(figures))]
        assert best.chosen is not None
        machines = len({choice.place.machine for choice in each})
        dtypes = tuple(sorted({choice.place.dtype for choice in each}))
        found.append(Pick(best.place, best.chosen, len(each), machines, dtypes))
    return tuple(found)


def _imported(place: Place, cells: Sequence[CellVerdict]) -> Choice:
    aside = tuple(Aside(cell.cell_id, cell.method, cell.draft_length, f"imported: {cell.reason}") for cell in cells)
    confidence = next((cell.speedup.confidence for cell in cells if cell.speedup), 0.95)
    why = "figures that somebody else measured are never ranked"
    return Choice(place, "none", why, None, (), (), aside, 0, None, confidence)


def _place(cell: CellVerdict, verdict: RunVerdict) -> Place:
    provenance = verdict.run.get("provenance")
    machine = provenance.get("machine") if isinstance(provenance, dict) else None
    return Place(
        file=str(verdict.run.get("file", "")),
        group=cell.group,
        backend=cell.backend,
        pair=cell.pair,
        batch_size=cell.batch_size,
        prompt_tokens=cell.prompt_tokens,
        output_tokens=cell.output_tokens,
        temperature=cell.temperature,
        dtype=cell.dtype,
        device=cell.device,
        machine=str(machine or ""),
    )
