"""A request's own counters -> rounds. Pure.

vLLM counts what a step's verification accepted, before the end of text or the length limit cuts the step's tokens, and
it counts only steps that had drafts: prompt lookup often has none.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from results.records import Arrival, DraftCounts, Json, Round


def rounds(
    counters: Mapping[str, Any], decoded: int, chunks: Sequence[int], *, always: bool
) -> tuple[Round, ...] | None:
    """All rounds, in their order; None where the counters leave them open.

    counters: `metrics.speculative_decoding`, detailed. decoded: tokens after the prefill's one. chunks: see
    `chunks_of`; one step each unless events were merged on their way; only they tell where steps without a draft lie.
    Such a step is a round that drafted nothing. always: the method drafts in every step. accepted: as verified; what
    the last round's cut took away lessens `emitted` alone.
    """
    accepted, drafted = counters.get("per_step_accepted") or [], counters.get("per_step_drafted") or []
    if len(accepted) != counters.get("num_spec_steps") or len(accepted) != len(drafted):
        return None
    whole = [Round(d, a, a + 1) for d, a in zip(drafted, accepted, strict=True)]
    cut = sum(each.emitted for each in whole) - decoded
    if always and whole and 0 <= cut < whole[-1].emitted:
        return (*whole[:-1], _cut(whole[-1], whole[-1].emitted - cut))
    return _placed(whole, [*accumulate(chunks)]) if sum(chunks) == decoded else None


def chunks_of(arrivals: Sequence[Arrival]) -> list[int]:
    """Tokens that each event brought, without the prefill's one.

    A busy server merges events, the first with what follows it too.
    """
    ends = (1, *(each.tokens for each in arrivals))
    return [now - then for then, now in pairwise(ends) if now > then]


def _placed(counted: Sequence[Round], ends: Sequence[int]) -> tuple[Round, ...] | None:
    """Counted rounds where they fit, rounds without a draft in between; None where they do not fit at all.

    ends: tokens by the end of each event; no round goes across one. Depth-first, counted rounds before others: where
    several orders fit, the first is taken, and all have the same totals.
    """
    total = ends[-1] if ends else 0
    end_of = [end for start, end in pairwise((0, *ends)) for _ in range(start, end)]  # of the event of each token
    path: list[Round] = []
    ahead = [_choices(counted, 0, 0, end_of)]
    dead: set[tuple[int, int]] = set()
    at, used = [0], [0]
    while at[-1] < total or used[-1] < len(counted):
        option = ahead[-1].pop(0) if ahead[-1] else None
        if option is None:
            dead.add((at.pop(), used.pop()))
            ahead.pop()
            if not path:
                return None
            path.pop()
            continue
        place, taken = at[-1] + option.emitted, used[-1] + (option.drafted > 0)
        if (place, taken) not in dead:
            path.append(option)
            at.append(place)
            used.append(taken)
            ahead.append(_choices(counted, place, taken, end_of))
    return tuple(path)


def _choices(counted: Sequence[Round], place: int, taken: int, end_of: Sequence[int]) -> list[Round]:
    """Rounds that may come at token `place`, with so many of the counted ones taken; only the very last may be cut."""
    if place == len(end_of):
        return []
    room = end_of[place] - place
    found = []
    if taken < len(counted):
        following = counted[taken]
        if following.emitted <= room:
            found.append(following)
        elif taken + 1 == len(counted) and end_of[place] == len(end_of):
            found.append(_cut(following, room))
    return [*found, Round(0, 0, 1)]


def _cut(whole: Round, emitted: int) -> Round:
    return Round(whole.drafted, whole.accepted, emitted)


def counts(counters: Mapping[str, Any], known: Sequence[Round] | None, *, always: bool) -> DraftCounts:
    """Totals of a request. always: see `rounds`; else there are more rounds than vLLM counts."""
    histogram = counters["acceptance_histogram"]
    of_steps = counters["num_spec_steps"] if always else None
    return DraftCounts(
        rounds=len(known) if known is not None else of_steps,
        drafted=counters["num_draft_tokens"],
        accepted=counters["num_accepted_draft_tokens"],
        per_position=tuple(sum(histogram[place:]) for place in range(1, len(histogram))),
    )


def told(counters: Mapping[str, Any]) -> dict[str, Json]:
    """The engine's own words without what the rounds already say."""
    return {key: value for key, value in counters.items() if not key.startswith("per_step_")}
