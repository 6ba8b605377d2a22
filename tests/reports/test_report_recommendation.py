"""What a recommendation says in words, and how it looks in a terminal."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.verdicts import HOSTILE

from reports import advice
from reports.recommendation import show_recommendation
from results.choosing.objective import Name
from results.choosing.recommendation import (
    Against,
    Aside,
    AtBatch,
    BreakEven,
    Choice,
    Outcome,
    Pick,
    Place,
    Recommendation,
    Setting,
)
from results.choosing.wishes import Wishes
from results.verdicts import Interval

RECORDED = Path(__file__).parents[1] / "data" / "recorded-a.sqlite"
PLACE = Place("runs/a.sqlite", 0, "transformers", "demo", 1, 64, 96, 0.0, "float32", "cpu", "here")


def setting(k: int, gain: float = 1.0, **changes: Any) -> Setting:
    made = Setting(
        cell_id=k,
        method="mtp" if k else None,
        draft_length=k,
        figure=7.0 / gain,
        gain=gain,
        adjusted=Interval(gain * 0.95, gain * 1.05) if k else None,
        probability=0.5,
        tpot_ms=7.0 / gain,
        ttft_ms=9.4,
        tokens_per_s=140 * gain,
        memory_bytes=None,
        cost_per_million=None,
        joules_per_token=None,
        output="identical" if k else "",
    )
    return replace(made, **changes)


def choice(outcome: Outcome = "faster", chosen: int | None = 4, **changes: Any) -> Choice:
    made = Choice(
        place=PLACE,
        outcome=outcome,
        reason="why that is so",
        chosen=chosen,
        settings=(setting(0), setting(2, 1.9), setting(4, 2.0)),
        beside=(Against(0, 2.0, Interval(1.9, 2.1), True), Against(2, 1.05, Interval(0.98, 1.1), False)),
        aside=(),
        units=24,
        aa=Interval(0.99, 1.01),
        confidence=0.95,
    )
    return replace(made, **changes)


def recommendation(
    *choices: Choice, objective: Name = "latency", unit: str = "ms per token", even: Sequence[BreakEven] = ()
) -> Recommendation:
    batches, files = (len({getattr(one.place, name) for one in choices}) for name in ("batch_size", "file"))
    picks = [
        Pick(one.place, one.chosen, len(choices), 1, (one.place.dtype,), batch_sizes=batches, files=files)
        for one in choices
        if one.chosen is not None
    ][:1]
    return Recommendation(Wishes(objective, price_per_hour=4.0), objective, unit, choices, tuple(picks), tuple(even))


def printed(found: Recommendation, width: int = 120) -> str:
    stream = io.StringIO()
    show_recommendation(found, Console(file=stream, width=width, markup=False, highlight=False))
    return stream.getvalue()


def said(one: Choice, **changes: Any) -> str:
    return "\n".join(line.text for line in advice.lines(recommendation(one, **changes), one))


# --------------------------------------------------------------------------------------------------------------- words


def test_a_gain_is_told_with_how_sure_it_is_and_what_would_do_as_well() -> None:
    assert said(choice()) == (
        "Draft 4 tokens a round: 3.50 ms per token\n"
        "2.00× as fast as plain decoding; 95 % interval 1.90–2.10 for new prompts like these, widened for having "
        "chosen the best of 2. It is the best of the 3 with a probability of 50 %.\n"
        "It beats plain decoding.\n"
        "k = 2 does as well as far as this tells; the shortest, k = 2, wastes least work."
    )


def test_a_difference_within_what_plain_decoding_differs_from_itself_is_said_to_be_so() -> None:
    text = said(
        choice(beside=(Against(0, 2.0, Interval(1.9, 2.1), True), Against(2, 1.005, Interval(1.001, 1.01), False)))
    )
    assert "k = 2 differs from it by less than plain decoding does from itself (A/A 0.990–1.010)." in text
    assert "as well" not in text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "not computed"), (0.0, "< 1 %"), (0.0049, "< 1 %"), (0.5, "50 %"), (1.0, "> 99 %")]
)
def test_a_probability_is_never_certainty(value: float | None, text: str) -> None:
    assert advice.probability(value) == text
    assert text in printed(recommendation(choice(settings=(setting(0), setting(4, 2.0, probability=value)), beside=())))


def test_plain_decoding_is_recommended_with_what_came_out_first() -> None:
    text = said(choice("same", 0, reason="drafting brings no gain that this file can tell", beside=()))
    assert text.startswith("Do not draft: plain decoding: 7.00 ms per token\nDrafting brings no gain")
    assert "k = 4 came out first at 2.00×" in text


def test_plain_decoding_that_does_not_keep_the_limits_is_said() -> None:
    beside = (Against(2, 1.05, Interval(0.98, 1.1), False),)
    settings = (setting(0, excluded="TPOT 7 ms is above 4 ms"), setting(2, 1.9), setting(4, 2.0))
    text = said(choice("limits", beside=beside, settings=settings, reason="plain decoding may not be chosen: TPOT"))
    assert "Plain decoding may not be chosen: TPOT." in text
    assert "outside the limits: plain decoding: TPOT 7 ms is above 4 ms" in text
    assert "It is the best of the 2" in text


def test_what_cannot_be_told_is_not_told() -> None:
    settings = tuple(replace(one, adjusted=None, probability=None) for one in choice().settings)
    text = said(choice("untold", 0, settings=settings, beside=(), units=1, reason="too few prompts for an interval"))
    assert text.startswith("Undecided, so plain decoding: ")
    assert "no interval for new prompts from 1 unit" in text
    assert "cannot be told: too few prompts" in text
    assert "probability of" not in text


def test_cells_that_are_put_aside_are_named_with_their_reason() -> None:
    text = said(choice(aside=(Aside(8, "mtp", 8, "invalid: drafted is 0"), Aside(9, "lookup", 2, "synthetic: random"))))
    assert "put aside: k = 8 mtp: invalid: drafted is 0" in text
    assert "put aside: k = 2 lookup: synthetic: random" in text
    assert "Draft 4 tokens a round with mtp" in text


def test_nothing_is_nothing() -> None:
    found = recommendation(choice("none", None, settings=(), beside=()))
    assert advice.headlines(found) == ["Nothing can be recommended"]
    assert "Nothing can be recommended: why that is so" in printed(found)


def test_untested_output_is_pointed_out() -> None:
    settings = (setting(0), setting(4, 2.0, output="untested"))
    assert "mtpbench verify" in said(choice(settings=settings, beside=choice().beside[:1]))
    assert "mtpbench verify" not in said(choice())


def test_the_headline_names_the_best_of_all_and_that_it_has_no_interval() -> None:
    other = choice("same", 0, place=replace(PLACE, group=1, batch_size=8))
    (line,) = advice.headlines(recommendation(choice(), other))
    assert line.startswith("Best for latency: transformers at batch 1, k = 4: 3.50 ms per token")
    assert line.endswith("; of 2 batch sizes, by their figures and without an interval")


def test_the_headline_names_the_file_where_there_are_several() -> None:
    assert "runs/a.sqlite" not in advice.headlines(recommendation(choice()))[0]
    other = choice("same", 0, place=replace(PLACE, file="runs/b.sqlite"))
    (line,) = advice.headlines(recommendation(choice(), other))
    assert line.startswith("Best for latency: transformers at batch 1 in runs/a.sqlite, k = 4: 3.50 ms per token")
    assert line.endswith("; of 2 files, by their figures and without an interval")


def test_a_runtime_that_only_measures_is_said_to() -> None:
    found = recommendation(choice())
    (pick,) = found.picks
    aside, alone = replace(pick, left_out=("reference",)), replace(pick, not_deployed="A measuring engine.")
    assert advice.headlines(replace(found, picks=(aside,)))[0].endswith("; reference left out: nobody deploys with it")
    assert advice.headlines(replace(found, picks=(alone,)))[0].endswith(": 3.50 ms per token. A measuring engine.")


def test_what_came_out_higher_is_told_beside_the_recommended_setting() -> None:
    higher = (setting(0), setting(2, 2.4, adjusted=Interval(0.5, 9.0)), setting(4, 2.0))
    assert "Why that is so." in said(choice(settings=higher))
    assert "Why that is so." not in said(choice())


def test_notes_stand_before_the_first_setting() -> None:
    text = printed(replace(recommendation(choice()), notes=("70 of 70 trials are flagged", HOSTILE)), width=1000)
    assert text.index("! 70 of 70 trials are flagged") < text.index("k = 2")
    assert not set("\x1b\x9b\u202e\u2066\ud800") & set(text)


def test_different_machines_and_number_formats_are_pointed_out() -> None:
    found = recommendation(choice())
    picks = (
        replace(found.picks[0], among=3, machines=2, dtypes=("bfloat16", "q4_0"), runtimes=2, devices=("cpu", "cuda")),
    )
    told = advice.headlines(replace(found, picks=picks))[0]
    assert "; of 2 runtimes in bfloat16 and q4_0 on cpu and cuda on 2 different machines, by" in told


# ---------------------------------------------------------------------------------------------------------- break-even


def even(*batches: tuple[int, Outcome], crossing: float | None = None) -> BreakEven:
    at = tuple(AtBatch("f", size, size, 4, 1.5, Interval(1.4, 1.6), outcome) for size, outcome in batches)
    told = [one for one in at if one.outcome != "untold"]
    ends = next((one.batch_size for one in told if one.outcome != "faster"), None)
    below = [one.batch_size for one in told if ends is None or one.batch_size < ends]
    return BreakEven(PLACE, at, below[-1] if below else None, ends, crossing)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (even((1, "faster"), (8, "faster")), "Drafting pays at every batch measured (1 and 8)."),
        (even((1, "slower"), (8, "slower")), "Drafting costs at every batch measured (1 and 8)."),
        (even((1, "untold"), (8, "untold")), "Whether drafting pays cannot be told at any batch measured (1 and 8)."),
        (
            even((1, "faster"), (4, "faster"), (16, "slower"), crossing=9.13),
            "Drafting pays up to batch 4; costs at 16; has a gain of 1 near batch 9.1 (interpolated).",
        ),
        (even((1, "faster"), (4, "same")), "Drafting pays up to batch 1; shows no gain that can be told at 4."),
        (
            even((1, "same"), (4, "untold")),
            "Drafting is not seen to pay at any batch measured (1 and 4); shows no gain that can be told at 1; "
            "cannot be told at 4.",
        ),
        (
            even((1, "faster"), (2, "same"), (4, "faster")),
            "Drafting pays up to batch 1; shows no gain that can be told at 2; pays again at 4.",
        ),
        (even((1, "untold"), (4, "faster")), "Drafting pays up to batch 4; cannot be told at 1."),
    ],
)
def test_when_not_to_draft(found: BreakEven, text: str) -> None:
    assert advice.break_even(found) == text
    shown = printed(recommendation(choice(), even=[found]))
    assert "When not to draft" in shown
    assert "batch 1: k = 4 1.50× (1.40–1.60)" in shown


# ------------------------------------------------------------------------------------------------------------ terminal


def test_a_table_has_every_setting_and_stays_within_the_terminal() -> None:
    text = printed(recommendation(choice()), width=100)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert [line[:5] for line in text.splitlines() if line.startswith("k = ")][:2] == ["k = 2", "k = 4"]
    assert "1.90–2.10" in text
    assert "50 %" in text


@pytest.mark.parametrize(("objective", "caution"), [("cost", "Money is for"), ("energy", "Energy is what one GPU")])
def test_money_and_energy_say_what_they_rest_on(objective: Name, caution: str) -> None:
    text = printed(recommendation(choice(), objective=objective, unit="J per token"))
    assert caution in text
    assert "J per token" in text
    assert caution not in printed(recommendation(choice()))


def test_memory_is_shown_where_it_is_revealed() -> None:
    assert "memory" not in printed(recommendation(choice()))
    text = printed(recommendation(choice(settings=(setting(0), setting(2, 1.9), setting(4, memory_bytes=5e9)))))
    assert "5.00 GB" in text
    assert "not revealed" in text


def test_how_to_deploy_the_chosen_setting_is_printed_as_it_is() -> None:
    told = {("runs/a.sqlite", 4): "vllm serve 'a b' " + "x" * 200 + " \\\n  --flag\x1b[31m"}
    text = printed(recommendation(choice()).deployed(told))
    assert "vllm serve 'a b' " + "x" * 200 + " \\\n  --flag\N{REPLACEMENT CHARACTER}[31m\n" in text
    others = {("runs/a.sqlite", 2): "vllm", ("runs/b.sqlite", 4): "vllm"}
    assert "To deploy it" not in printed(recommendation(choice()).deployed(others))


def test_hostile_names_and_reasons_are_harmless() -> None:
    place = replace(PLACE, backend=HOSTILE, pair=HOSTILE, dtype=HOSTILE, device=HOSTILE, file=HOSTILE)
    settings = (setting(0), setting(4, 2.0, method=HOSTILE))
    one = choice(place=place, settings=settings, beside=(), aside=(Aside(1, HOSTILE, 1, HOSTILE),), reason=HOSTILE)
    two = replace(one, place=replace(place, group=1, file="b"), outcome="none", chosen=None, settings=())
    text = printed(recommendation(one, two, even=[even((1, "faster"), (2, "same"))]))
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert not set("\x1b\x9b\u202e\u2066\ud800") & set(text)
