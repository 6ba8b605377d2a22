"""What a reader must know before trusting a run's figures, one line each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from results import validity
from results.arm import Arm
from results.columns import ABSENT
from results.evidence import Evidence
from results.metrics import occurring
from results.records import HEADLINE, MEASURED
from results.verdicts import CellVerdict

FEW_UNITS = 20
"""Below, stopping early spoils coverage (METHOD section 3), and so few prompts speak for few others."""
LOOPING = 0.5
WIDE_AA = 0.03
MANY_FLAGGED = 0.1
MANY_LEFT_OUT = 0.2
COSTLY_INSTRUMENTS = 0.1
SPINNING = 1.5
"""CPU time over wall time and threads."""
DEMO_NOTE = (
    "The demo pair is a tiny model on a CPU: its speed-up comes from per-call dispatch overhead that drafting saves, "
    "not from memory bandwidth as with the real models on an accelerator. It shows that the measurement works; it "
    "predicts nothing for another pair."
)

Judged = Sequence[tuple[Sequence[Arm], Sequence[CellVerdict]]]
"""Per group: its speculative arms, and the verdict on each."""


def of_run(state: str, evidence: Evidence, groups: Judged) -> list[str]:
    """All remarks on a run, the general ones first."""
    found = list(_of_trials(state, evidence))
    for arms, cells in groups:
        measured = [cell for cell in cells if cell.speedup]
        if measured:
            found += [f"{_group_name(cells[0])}: {remark}" for remark in _of_group(arms, measured)]
    return found


def of_pairs(cells: Iterable[CellVerdict]) -> list[str]:
    """What must be known of the pairs whose speed was measured."""
    return [DEMO_NOTE] if any(cell.pair == "demo" and cell.speedup for cell in cells) else []


def of_recommended(state: str, evidence: Evidence, cells: Iterable[CellVerdict]) -> Iterator[str]:
    """The remarks that stand beside a recommendation: flagged trials however few they are, and too few units."""
    yield from _of_trials(state, evidence, least=0.0)
    groups: dict[int, list[CellVerdict]] = {}
    for cell in cells:
        if cell.speedup and cell.status != "imported":
            groups.setdefault(cell.group, []).append(cell)
    for group in groups.values():
        yield from (f"{_group_name(group[0])}: {remark}" for remark in _few_units(group))


def came_out_higher(arms: Sequence[tuple[str, float]]) -> str:
    """What is said of arms, each with its gain, that came out above the best one (`selection.best`)."""
    names, gains = " and ".join(name for name, _ in arms), " and ".join(f"{gain:.2f}×" for _, gain in arms)
    return f"{names} came out higher ({gains}), but cannot be told from plain decoding"


def name_of(cell: CellVerdict) -> str:
    """One cell in a line."""
    heat = f", temperature {cell.temperature:g}" if cell.temperature else ""
    return f"{_group_name(cell)}{heat}, {cell.method} k = {cell.draft_length}"


def _group_name(cell: CellVerdict) -> str:
    prompt = "" if cell.prompt_tokens is None else f", {cell.prompt_tokens} prompt tokens"
    batch = "" if cell.batch_size == 1 else f", batch {cell.batch_size}"
    return f"{cell.backend} {cell.pair}{prompt}{batch}"


def _of_trials(state: str, evidence: Evidence, *, least: float = MANY_FLAGGED) -> Iterator[str]:
    if state != "finished":
        yield f"the run is {state}: figures are of what was measured until now"
    share, told = _flagged(evidence)
    if told and share >= least:
        yield told + (": free the machine and measure again" if share >= MANY_FLAGGED else "")


def _flagged(evidence: Evidence) -> tuple[float, str]:
    """The share of trials that are flagged, and how many for what; (0, "") where none is."""
    if not (evidence.trials.phase == HEADLINE).any():
        return 0.0, ""  # nothing was timed, so nothing was disturbed
    flags = evidence.trials.flags
    counted = [trial for trial in flags if evidence.trials.phase[trial] in MEASURED]
    total = int(np.isin(evidence.trials.phase, MEASURED).sum())
    if not counted:
        return 0.0, ""
    kinds = Counter(flag for trial in counted for flag in flags[trial]).most_common()
    named = ", ".join(f"{flag} {count}" for flag, count in kinds)
    return len(counted) / total, f"{len(counted)} of {total} trials are flagged ({named})"


def _few_units(cells: Sequence[CellVerdict]) -> Iterator[str]:
    units = min(cell.n_units for cell in cells)
    if units < FEW_UNITS:
        counted = "1 unit" if units == 1 else f"{units} units"
        yield f"{counted} with a ratio: measure {FEW_UNITS} or more before trusting the intervals"


def _of_group(arms: Sequence[Arm], cells: Sequence[CellVerdict]) -> Iterator[str]:
    yield from _few_units(cells)
    aa = cells[0].aa
    if aa is None:
        yield "no A/A arm was timed: no effect can be called distinguishable from noise"
    elif (reach := max(1 - aa.low, aa.high - 1)) > WIDE_AA:
        yield f"plain decoding against itself differs by up to {reach:.1%}: smaller effects are noise here"
    distinct = [cell.distinct_4grams for cell in cells if cell.distinct_4grams is not None]
    if distinct and min(distinct) < LOOPING:
        yield f"the output loops (as little as {min(distinct):.0%} of its 4-grams differ), which flatters acceptance"
    short = [f"k = {c.draft_length}" for c in cells if c.acceptance and _left_out(c) > MANY_LEFT_OUT]
    if short:
        why = "began with room for fewer than k + 1 tokens, or drafted fewer than k"
        yield f"over {MANY_LEFT_OUT:.0%} of rounds {why} ({', '.join(short)}): longer outputs would tell more"
    if cells[0].temperature == 0:
        yield from _unlike_instrumented(arms)
    yield from _other_prompt_length(arms)
    costs = [c.costs.instrumented_over_headline for c in cells if c.costs and c.costs.instrumented_over_headline]
    if costs and max(costs) > 1 + COSTLY_INSTRUMENTS:
        yield f"the instrumented pass takes up to {max(costs) - 1:.0%} longer: step costs are overstated by as much"
    yield from _spinning(arms, cells)


def _left_out(cell: CellVerdict) -> float:
    found = cell.acceptance
    return found.rounds_left_out / (found.rounds + found.rounds_left_out) if found else 0.0


def _unlike_instrumented(arms: Sequence[Arm]) -> Iterator[str]:
    differing = {arm.k: found for arm in arms if (found := validity.units_unlike_instrumented(arm))[0]}
    if differing:
        named = ", ".join(f"{units} of {of} units at k = {k}" for k, (units, of) in sorted(differing.items()))
        yield f"greedy output of headline and instrumented pass differs ({named}): acceptance is of other texts"


def _other_prompt_length(arms: Sequence[Arm]) -> Iterator[str]:
    for arm in arms:
        counted, asked = arm.evidence.rows.prompt_tokens[arm.rows], arm.cell.prompt_tokens
        other = occurring(counted[(counted != ABSENT) & (counted != asked)]) if asked is not None else []
        if other:
            yield f"the runtime counts {other[0]} prompt tokens where {asked} were asked for"
            return


def _spinning(arms: Sequence[Arm], cells: Sequence[CellVerdict]) -> Iterator[str]:
    threads = [launch.facts.threads for launch in arms[0].evidence.launches.values() if launch.facts]
    known = [count for count in threads if count]
    ratios = [c.speculative.cpu_over_wall for c in cells if c.speculative and c.speculative.cpu_over_wall]
    if known and ratios and max(ratios) > SPINNING * max(known):
        yield f"CPU time is {max(ratios):.1f} times wall time with {max(known)} threads: threads spin or contend"
