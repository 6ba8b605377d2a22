"""Run files -> which setting to deploy, by an objective and within limits; pure.

A drafted setting is recommended where it is distinguishably better than plain decoding: its interval, widened for
having chosen it among all that were measured, excludes 1, and the gain exceeds the A/A interval (METHOD section 3). Of
several such it is that with the largest gain, whatever else came out higher and cannot be told from plain decoding.
Everything else is plain decoding, which needs no drafter; chance never decides against it. Cells that may not be ranked
(`results.ranking`) are never candidates.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from results import remarks, selection, speedup
from results.choosing.breakeven import break_evens
from results.choosing.contenders import Contenders
from results.choosing.objective import objective, peak_memory, watts
from results.choosing.picks import picks
from results.choosing.recommendation import Aside, AtBatch, Choice, Outcome, Place, Recommendation, Setting
from results.choosing.wishes import Wishes
from results.errors import UsageError
from results.judge import Judged
from results.origin import refuse_twins
from results.verdicts import CellVerdict, Interval, RunVerdict


def recommend(runs: Sequence[Judged], wishes: Wishes, measure_only: Mapping[str, str] | None = None) -> Recommendation:
    """The best setting of every group, up to which batch size drafting pays, and the best of all.

    measure_only: runtime -> why nobody deploys with it; it is the best of all only where there is no other.
    Raises UsageError where energy is asked for and no run has any power, and where two files hold the same run.
    """
    refuse_twins([run.verdict.run for run in runs], "it would count twice")
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
        wishes=wishes,
        objective=wishes.objective,
        unit=unit.unit,
        choices=tuple(choices),
        picks=picks(choices, unit, measure_only or {}),
        break_even=break_evens(at_batch),
        notes=tuple(_notes(runs)),
    )


def _notes(runs: Sequence[Judged]) -> Iterator[str]:
    """The remarks on every run, with its file where there are several, and then on the pairs."""
    for run in runs:
        if run.groups:  # else everything is imported
            name = f"{run.verdict.run.get('file', '')}: " if len(runs) > 1 else ""
            state, evidence = str(run.verdict.run.get("state")), run.groups[0].evidence
            yield from (name + text for text in remarks.of_recommended(state, evidence, run.verdict.cells))
    yield from remarks.of_pairs([cell for run in runs for cell in run.verdict.cells])


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
    best = _best(within, found.aa)
    told = _told(best, found.aa)
    if told == "faster":
        higher = [(found.named(one), one.gain) for one in within if one.gain and one.gain > (best.gain or 0.0)]
        but = f"; {remarks.came_out_higher(higher)}" if higher else ""
        return _Ruling(told, f"distinguishably better than plain decoding{but}", best.cell_id)
    if stays is None:
        why = found.plain.excluded if found.plain else found.no_plain
        return _Ruling("limits", f"plain decoding may not be chosen: {why}", best.cell_id)
    if told == "untold":
        lacks = "there is no A/A arm to tell chance by" if found.aa is None else "too few prompts for an interval"
        return _Ruling(told, lacks, stays)
    if told == "slower":
        return _Ruling(told, "even the best drafted setting is worse than plain decoding", stays)
    return _Ruling(told, f"drafting brings no gain that this file can tell{_noise(best, found.aa)}", stays)


def _noise(best: Setting, aa: Interval | None) -> str:
    """That the A/A interval alone is why a difference cannot be told; empty where it is not."""
    if aa is None or best.adjusted is None or best.adjusted.low <= 1 <= best.adjusted.high:
        return ""
    return f": not beyond what plain decoding differs from itself by, A/A {aa.low:.3f}–{aa.high:.3f}"


def _nearest(settings: Sequence[Setting]) -> str:
    """For each limit that is not kept, by how much the nearest setting misses it."""
    missed: dict[str, list[tuple[float, str]]] = {}
    for setting in settings:
        kind, *_ = setting.excluded.split(" ")
        value = {"TPOT": setting.tpot_ms, "TTFT": setting.ttft_ms, "memory": setting.memory_bytes}.get(kind)
        if setting.excluded and setting.method is not None:
            missed.setdefault(kind, []).append((math.inf if value is None else value, setting.excluded))
    return "; ".join(min(reasons)[1] for reasons in missed.values())


def _best(drafted: Sequence[Setting], aa: Interval | None) -> Setting:
    """At least one is given."""
    best = selection.best(drafted, lambda one: (one.gain or 0.0, one.adjusted), aa)
    assert best is not None
    return best


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
    drafted = [setting for setting in found.settings if setting.method is not None]
    if not drafted:
        return None
    best = _best(drafted, found.aa)
    assert best.gain is not None
    return AtBatch(place.file, place.group, place.batch_size, best.draft_length, best.gain, best.adjusted,
                   _told(best, found.aa))  # fmt: skip


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
