"""Up to which batch size drafting pays, from groups that differ in nothing but their batch."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from results.choosing.recommendation import AtBatch, BreakEven, Place


def break_evens(found: Iterable[tuple[Place, AtBatch]]) -> tuple[BreakEven, ...]:
    """One for every runtime, pair, lengths, temperature, dtype and device of a file with several batch sizes."""
    alike: dict[tuple[object, ...], list[tuple[Place, AtBatch]]] = {}
    for place, best in found:
        key = (place.file, place.backend, place.pair, place.prompt_tokens, place.output_tokens, place.temperature,
               place.dtype, place.device)  # fmt: skip
        alike.setdefault(key, []).append((place, best))
    series = [sorted(each, key=lambda one: one[0].batch_size) for each in alike.values()]
    return tuple(
        break_even(each[0][0], [best for _, best in each])
        for each in series
        if each[0][0].batch_size < each[-1][0].batch_size
    )


def break_even(place: Place, batches: Sequence[AtBatch]) -> BreakEven:
    """batches: ascending, at least two. Where one cannot be told, the first after it that can decides."""
    told = [at for at in batches if at.outcome != "untold"]
    ends = next((i for i, at in enumerate(told) if at.outcome != "faster"), None)
    below = told if ends is None else told[:ends]
    return BreakEven(
        place=place,
        batches=tuple(batches),
        pays_up_to=below[-1].batch_size if below else None,
        ends_at=None if ends is None else told[ends].batch_size,
        crossing=crossing(batches),
    )


def crossing(batches: Sequence[AtBatch]) -> float | None:
    """The smallest batch size, interpolated in log(batch) and log(gain), where the gain falls to 1; None where it never
    does between two neighbours."""
    for here, there in pairwise(batches):
        above, under = math.log(here.gain), math.log(there.gain)
        if above > 0 >= under:
            step = math.log(there.batch_size / here.batch_size)
            return here.batch_size * math.exp(step * above / (above - under))
    return None
