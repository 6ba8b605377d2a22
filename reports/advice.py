"""A recommendation in plain sentences, never stronger than its intervals allow."""

from collections.abc import Sequence

from reports.text import (
    NOT_COMPUTED,
    NOT_REVEALED,
    Line,
    Tone,
    clean,
    confidence,
    count,
    listed,
    number,
    ratio,
    share,
    span,
)
from results.choosing.recommendation import AtBatch, BreakEven, Choice, Outcome, Pick, Place, Recommendation, Setting

GAIN = {
    "latency": "as fast as plain decoding",
    "throughput": "the throughput of plain decoding",
    "cost": "the tokens of plain decoding for the same money",
    "energy": "the tokens of plain decoding for the same energy",
}
CAUTIONS = {
    "cost": "Money is for a machine that is always as busy as in the run.",
    "energy": "Energy is what one GPU's driver told of its board; the host's and further boards' is not in it.",
}
_AT: dict[Outcome, str] = {"same": "shows no gain that can be told", "slower": "costs", "untold": "cannot be told"}


def title(place: Place, *, file: bool) -> str:
    """Everything that the cells of a group share. file: name the run file too."""
    prompts = "prompts at their own length" if place.prompt_tokens is None else f"{place.prompt_tokens:,}-token prompts"
    sampling = "greedy" if place.temperature == 0 else f"temperature {number(place.temperature, 2)}"
    told = [
        *(clean(place.backend, 40), clean(place.pair, 60), prompts, count(place.output_tokens, "new token")),
        *(f"batch {place.batch_size:,}", sampling, f"{clean(place.dtype, 20)} on {clean(place.device, 40)}"),
    ]
    return " · ".join([*told, *([clean(place.file, 120)] if file else [])])


def name(choice: Choice, setting: Setting) -> str:
    """A setting inside its group: `plain decoding`, `k = 4`, with its method where there are several."""
    if setting.method is None:
        return "plain decoding"
    methods = {one.method for one in choice.settings if one.method} | {aside.method for aside in choice.aside}
    return f"k = {setting.draft_length}" + (f" {clean(setting.method, 24)}" if len(methods) > 1 else "")


def figure(found: Recommendation, setting: Setting) -> str:
    """What the objective counts, with its unit."""
    return NOT_REVEALED if setting.figure is None else f"{number(setting.figure)} {found.unit}"


def advice(choice: Choice) -> str:
    """What to do, without figures."""
    setting = choice.setting
    if setting is None:
        return "Nothing can be recommended"
    if setting.method is None:
        return "Undecided, so plain decoding" if choice.outcome == "untold" else "Do not draft: plain decoding"
    with_method = name(choice, setting).partition(f"k = {setting.draft_length}")[2]
    method = f" with{with_method}" if with_method else ""
    return f"Draft {count(setting.draft_length, 'token')} a round{method}"


def lines(found: Recommendation, choice: Choice) -> list[Line]:
    """The recommendation for one group: what to do, how sure that is, what else would do, and what was put aside."""
    setting = choice.setting
    if setting is None:
        return [Line(f"{advice(choice)}: {clean(choice.reason)}", "caution"), *_out(choice)]
    tone: Tone = "caution" if choice.outcome == "untold" else "good"
    told = [Line(f"{advice(choice)}: {figure(found, setting)}", tone)]
    drafted = [one for one in choice.settings if one.method is not None and not one.excluded and one.gain is not None]
    if setting.method is not None:
        plain = f"{ratio(setting.gain)} {GAIN[found.objective]}"
        told.append(Line(f"{plain}; {_interval(choice, setting)}. {_sure(choice, setting)}"))
        if choice.outcome == "limits" or any((one.gain or 0.0) > (setting.gain or 0.0) for one in drafted):
            told.append(Line(f"{_sentence(choice.reason)}.", "caution"))
        told += _beside(choice, setting)
        if setting.output == "untested":
            told.append(
                Line("Whether its output is the target's own was not tested: `mtpbench verify` does.", "caution")
            )
    else:
        told.append(Line(f"{_sentence(choice.reason)}."))
        if drafted and choice.outcome != "plain only":
            best = max(drafted, key=lambda one: one.gain or 0.0)
            came = "came out first" if len(drafted) > 1 else "came out"
            first = f"{name(choice, best)} {came} at {ratio(best.gain)} {GAIN[found.objective]}"
            told.append(Line(f"{first}; {_interval(choice, best)}. {_sure(choice, best)}"))
    return [*told, *_out(choice)]


def _sentence(text: str) -> str:
    cleaned = clean(text)
    return cleaned[:1].upper() + cleaned[1:]


def _interval(choice: Choice, setting: Setting) -> str:
    ranked = sum(one.method is not None for one in choice.settings)
    widened = f", widened for having chosen the best of {ranked}" if ranked > 1 else ""
    if setting.adjusted is None:
        return f"no interval for new prompts from {count(choice.units, 'unit')}"
    return f"{confidence(choice.confidence)} interval {span(setting.adjusted)} for new prompts like these{widened}"


def _sure(choice: Choice, setting: Setting) -> str:
    among = sum(not one.excluded for one in choice.settings)
    if setting.probability is None:
        return "How probably it is the best cannot be told: too few prompts." if among > 1 else ""
    return f"It is the best of the {among} with a probability of {probability(setting.probability)}."


def probability(value: float | None) -> str:
    """A probability from a bootstrap, which never gives certainty."""
    if value is None:
        return NOT_COMPUTED
    return "< 1 %" if value < 0.005 else "> 99 %" if value >= 0.995 else share(value)


def _beside(choice: Choice, setting: Setting) -> list[Line]:
    """What the recommended drafted setting beats, and what does as well."""
    beaten = [choice.of(one.cell_id) for one in choice.beside if one.distinguishable and one.gain > 1]
    alike = [choice.of(one.cell_id) for one in choice.beside if not (one.distinguishable and one.gain > 1)]
    drafted = [one for one in alike if one.method is not None]
    told = [Line(f"It beats {listed([name(choice, one) for one in beaten])}.")] if beaten else []
    if len(drafted) < len(alike) and choice.outcome == "limits":
        told.append(Line("It is not distinguishable from plain decoding."))
    noise = {one.cell_id for one in choice.beside if one.interval and not one.interval.low <= 1 <= one.interval.high}
    within = [one for one in drafted if one.cell_id in noise]
    if within:
        differ = "differs" if len(within) == 1 else "differ"
        names = listed([name(choice, one) for one in within])
        told.append(
            Line(f"{names} {differ} from it by less than plain decoding does from itself (A/A {span(choice.aa, 3)}).")
        )
    even = [one for one in drafted if one.cell_id not in noise]
    if even:
        do = "does" if len(even) == 1 else "do"
        text = f"{listed([name(choice, one) for one in even])} {do} as well as far as this tells"
        shortest = min((*drafted, setting), key=lambda one: one.draft_length)
        least = f"; the shortest, {name(choice, shortest)}, wastes least work" if shortest is not setting else ""
        told.append(Line(f"{text}{least}."))
    return told


def _out(choice: Choice) -> list[Line]:
    """Settings that do not keep the limits, and cells that may not be ranked, each with its reason."""
    excluded = [f"{name(choice, one)}: {one.excluded}" for one in choice.settings if one.excluded]
    if len({one.excluded for one in choice.settings}) == 1 < len(excluded):
        excluded = []  # one reason for all, which has been said
    methods = {aside.method for aside in choice.aside} | {one.method for one in choice.settings if one.method}
    aside = [
        f"k = {one.draft_length}{f' {clean(one.method, 24)}' if len(methods) > 1 else ''}: {clean(one.reason)}"
        for one in choice.aside
    ]
    return [
        *(Line(f"outside the limits: {text}", "quiet") for text in excluded),
        *(Line(f"put aside: {text}", "quiet") for text in aside),
    ]


def headlines(found: Recommendation) -> list[str]:
    """The best of all, once for every workload that was measured."""
    if not found.picks:
        return ["Nothing can be recommended"]
    return [_picked(found, pick) for pick in found.picks]


def _picked(found: Recommendation, pick: Pick) -> str:
    choice = next(c for c in found.choices if (c.place.file, c.place.group) == (pick.place.file, pick.place.group))
    setting = choice.of(pick.cell_id)
    place = pick.place
    where = f"{clean(place.backend, 40)} at batch {place.batch_size:,}"
    if len({c.place.file for c in found.choices}) > 1:
        where += f" in {clean(place.file, 120)}"
    if len(found.picks) > 1:
        prompts = "own length" if place.prompt_tokens is None else f"{place.prompt_tokens:,}-token prompts"
        sampling = "" if place.temperature == 0 else f", temperature {number(place.temperature, 2)}"
        where += f" ({clean(place.pair, 60)}, {prompts}, {place.output_tokens:,} new tokens{sampling})"
    text = f"Best for {found.objective}: {where}, {name(choice, setting)}: {figure(found, setting)}"
    if pick.among > 1:
        text += f"; {_compared(pick)}, by their figures and without an interval"
    if pick.left_out:
        them = "it" if len(pick.left_out) == 1 else "them"
        text += f"; {listed([clean(name, 40) for name in pick.left_out])} left out: nobody deploys with {them}"
    return f"{text}. {clean(pick.not_deployed)}" if pick.not_deployed else text


def _compared(pick: Pick) -> str:
    """What the groups differ in that the best was taken from."""
    kinds = ((pick.runtimes, "runtime"), (pick.batch_sizes, "batch size"), (pick.files, "file"))
    told = listed([count(n, kind) for n, kind in kinds if n > 1]) or count(pick.among, "group")
    for names, word in ((pick.dtypes, "in"), (pick.devices, "on")):
        told += f" {word} {listed([clean(name, 40) for name in names])}" if len(names) > 1 else ""
    return f"of {told}" + (f" on {pick.machines} different machines" if pick.machines > 1 else "")


def break_even(even: BreakEven) -> str:
    """Up to which batch size drafting pays."""
    sizes = listed([f"{at.batch_size:,}" for at in even.batches])
    outcomes = {at.outcome for at in even.batches}
    if outcomes == {"faster"}:
        return f"Drafting pays at every batch measured ({sizes})."
    if outcomes == {"untold"}:
        return f"Whether drafting pays cannot be told at any batch measured ({sizes})."
    if outcomes == {"slower"}:
        return f"Drafting costs at every batch measured ({sizes})."
    told = [f"pays up to batch {even.pays_up_to:,}"] if even.pays_up_to is not None else []
    if "faster" not in outcomes:
        told.append(f"is not seen to pay at any batch measured ({sizes})")
    for at in even.batches:
        again = at.outcome == "faster" and even.ends_at is not None and at.batch_size > even.ends_at
        if again or at.outcome != "faster":
            told.append(f"{'pays again' if again else _AT[at.outcome]} at {at.batch_size:,}")
    if even.crossing is not None:
        told.append(f"has a gain of 1 near batch {number(even.crossing, 2)} (interpolated)")
    return f"Drafting {'; '.join(told)}."


def at_batches(batches: Sequence[AtBatch]) -> str:
    """The best drafted setting at each batch size."""
    return " · ".join(
        f"batch {at.batch_size:,}: k = {at.draft_length} {ratio(at.gain)} ({span(at.adjusted)})" for at in batches
    )
