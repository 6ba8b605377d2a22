"""The best over everything that can be chosen, runtime, batch size and file, from the choices of single groups."""

from collections.abc import Mapping, Sequence

from results.choosing.objective import Objective
from results.choosing.recommendation import Choice, Pick


def picks(choices: Sequence[Choice], wanted: Objective, measure_only: Mapping[str, str]) -> tuple[Pick, ...]:
    """One for each of what cannot be chosen (pair, lengths, temperature).

    measure_only: runtime -> why nobody deploys with it; such a one is the best only where there is no other.
    """
    alike: dict[tuple[object, ...], list[Choice]] = {}
    for choice in choices:
        if choice.setting is not None and choice.setting.figure is not None:
            place = choice.place
            key = (place.pair, place.prompt_tokens, place.output_tokens, place.temperature)
            alike.setdefault(key, []).append(choice)
    return tuple(_pick(each, wanted, measure_only) for each in alike.values())


def _pick(alike: Sequence[Choice], wanted: Objective, measure_only: Mapping[str, str]) -> Pick:
    among = [choice for choice in alike if choice.place.backend not in measure_only] or alike
    figures = [choice.setting.figure or 0.0 for choice in among if choice.setting]
    best = among[figures.index((max if wanted.larger else min)(figures))]
    assert best.chosen is not None
    places = [choice.place for choice in among]
    runtimes = {place.backend for place in places}
    return Pick(
        place=best.place,
        cell_id=best.chosen,
        among=len(among),
        machines=len({place.machine for place in places}),
        dtypes=tuple(sorted({place.dtype for place in places})),
        runtimes=len(runtimes),
        batch_sizes=len({place.batch_size for place in places}),
        files=len({place.file for place in places}),
        devices=tuple(sorted({place.device for place in places})),
        not_deployed=measure_only.get(best.place.backend, ""),
        left_out=tuple(sorted({choice.place.backend for choice in alike} - runtimes)),
    )
