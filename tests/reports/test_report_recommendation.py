"""What a recommendation says in words, and how it looks in a terminal."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.fake_run import write
from support.paced import paced, watts
from support.verdicts import HOSTILE

from mtpbench.cli import run as mtpbench
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
from results.runfile import RunFile
from results.verdicts import Interval

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
    picks = [
        Pick(one.place, one.chosen, len(choices), 1, (one.place.dtype,)) for one in choices if one.chosen is not None
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
    assert "k = 2 differs from it by less than plain decoding does from itself." in text
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
    assert line.endswith("of 2 batch sizes and runtimes, by their figures and without an interval")


def test_different_machines_and_number_formats_are_pointed_out() -> None:
    found = recommendation(choice())
    picks = (replace(found.picks[0], among=3, machines=2, dtypes=("bfloat16", "q4_0")),)
    told = advice.headlines(replace(found, picks=picks))[0]
    assert "of 3 batch sizes and runtimes in bfloat16 and q4_0 on 2 different machines, by" in told


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


@pytest.mark.parametrize(("objective", "caution"), [("cost", "Money is for"), ("energy", "Energy is from power")])
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


# ------------------------------------------------------------------------------------------------------------- command


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("run") / "run.sqlite", paced(telemetry=watts(100, 100))))


def test_the_command_recommends(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Best for latency: fake at batch 1, k = 4: 5.0")
    assert "Draft 4 tokens a round" in text


@pytest.mark.parametrize("objective", ["latency", "throughput", "cost", "energy"])
def test_the_command_gives_json(file: str, objective: Name, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--for", objective, "--price-per-hour", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["objective"], found["choices"][0]["outcome"]) == (1, objective, "faster")


def test_the_command_says_how_to_deploy_what_it_recommends(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def known(run: RunFile, chosen: list[int]) -> dict[int, str]:
        asked.append(chosen)
        return {cell_id: f"start cell {cell_id}" for cell_id in run.cells()}

    monkeypatch.setattr("harness.deployments.deployments", known)
    assert mtpbench(["recommend", file, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["choices"]
    assert asked == [[found["chosen"]]]
    assert found["deployment"] == f"start cell {found['chosen']}"
    assert mtpbench(["recommend", file]) == 0
    text = capsys.readouterr().out
    assert f"To deploy it:\nstart cell {found['chosen']}\n" in text
    assert text.count("start cell") == 1


def test_nothing_left_is_exit_code_1_and_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--max-tpot-ms", "1"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("mtpbench: nothing can be recommended: no setting keeps the limits: TPOT 5.0")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "cost"], "--price-per-hour"),
        (["--for", "beauty"], "beauty"),
        (["--memory", "much"], "--memory much: expected a size, e.g. 24GB"),
        (["--max-tpot-ms", "-1"], "--max-tpot-ms -1"),
    ],
)
def test_mistakes_are_one_line(
    file: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mtpbench(["recommend", file, *arguments]) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "limit"), [("24GB", 24e9), ("1.5 GiB", 1.5 * 2**30), ("800000000", 8e8), ("7mb", 7e6)]
)
def test_sizes_are_read(file: str, text: str, limit: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--memory", text, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wishes"]["memory_bytes"] == limit


def test_a_file_that_is_no_run_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("x")
    assert mtpbench(["recommend", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
