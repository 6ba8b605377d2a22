"""Sentences never say more than the figures allow."""

from dataclasses import replace

import pytest
from support.verdicts import (
    HOSTILE,
    cell,
    demo,
    empty,
    indistinguishable,
    missing_intervals,
    one_cell,
    slower,
    troubled,
    verdict,
)

from reports import machine, text
from reports.groups import groups, labels
from reports.words import certificate, decide, headline, notes, trials
from results.verdicts import Interval, RunVerdict


def decided(run: RunVerdict) -> list[str]:
    return [decide(group).headline for group in groups(run)]


def test_a_clear_gain_says_what_to_do_and_how_sure_it_is() -> None:
    group = groups(demo())[0]
    decision = decide(group)
    assert decision.outcome == "faster"
    assert decision.headline == "Draft 5 tokens a round: 2.04× as fast as plain decoding"
    assert "95 % interval 1.86–2.22 for new prompts like these" in decision.detail
    assert "widened for having chosen the best of 6 (24 units, 1 launch, within this launch)" in decision.detail
    assert "Also inside it: k = 3 (1.93×), k = 4 (2.02×) and k = 6 (2.03×)." in decision.detail


def test_what_chance_could_do_is_called_no_clear_gain() -> None:
    (said,) = decided(indistinguishable())
    assert said.startswith("No clear gain")
    assert "not distinguishable from plain decoding" in said


def test_a_missing_interval_is_not_called_indistinguishable() -> None:
    (said,) = decided(missing_intervals())
    assert "for lack of an interval" in said
    assert "not distinguishable" not in said


def test_a_slow_down_advises_against_drafting() -> None:
    assert decided(slower()) == ["Do not draft: even the best setting, k = 1, is slower than plain decoding at 0.90×"]


def test_only_valid_real_measurements_are_ranked() -> None:
    first, second = groups(troubled())
    assert decide(first).headline.startswith("Draft 1 token a round: 1.36×")
    assert decide(second).outcome == "none"
    assert "2 synthetic" in decide(second).detail


def test_every_status_but_ok_and_every_synthetic_figure_is_labelled() -> None:
    assert [labels(c) for c in troubled().cells] == [
        (),
        ("INVALID",),
        ("UNVERIFIED",),
        ("IMPORTED",),
        ("FAILED",),
        ("SKIPPED",),
        ("SYNTHETIC",),
        ("SYNTHETIC",),
    ]
    assert labels(cell(status="unverified", synthetic=True)) == ("UNVERIFIED", "SYNTHETIC")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (demo(), "Draft 5 tokens a round: 1.90× to 2.04× as fast as plain decoding"),
        (troubled(), "Drafting pays in 1 of 2 settings: 1.36× as fast as plain decoding"),
        (one_cell(), "Draft 4 tokens a round: 2.02× as fast as plain decoding"),
        (empty(), "Nothing was measured"),
    ],
)
def test_the_headline_covers_all_settings(run: RunVerdict, said: str) -> None:
    assert headline([(group, decide(group)) for group in groups(run)]) == said


def test_settings_that_all_lose_are_not_summed_up_as_a_gain() -> None:
    losing = [cell(1, group, scale=0.6, distinguishable=True) for group in (0, 1)]
    found = groups(verdict(losing))
    assert headline([(group, decide(group)) for group in found]) == "Drafting slows decoding down here"


def test_groups_are_named_by_what_sets_them_apart() -> None:
    assert [group.label for group in groups(demo())] == ["64-token prompts", "256-token prompts"]
    batches = verdict([cell(4, 0, 64), cell(4, 1, 64, batch_size=8)])
    assert [group.label for group in groups(batches)] == ["batch 1", "batch 8"]
    assert groups(one_cell(prompt_tokens=None))[0].label == "prompts at their own length"


def test_arms_are_named_by_method_only_where_there_are_several() -> None:
    (group,) = groups(verdict([cell(2), cell(2, method="prompt-lookup", cell_id=9)]))
    assert [group.arm(c) for c in group.cells] == ["k = 2 mtp", "k = 2 prompt-lookup"]


def test_a_wide_certificate_says_what_it_hides() -> None:
    assert certificate(Interval(0.992, 1.011)).endswith("at most 1.1 %")
    assert "4.0 %: smaller effects are noise here" in certificate(Interval(0.96, 1.02))
    assert certificate(None) == "A/A not computed"


def test_the_demo_pair_is_said_to_save_dispatch_overhead_and_others_are_not() -> None:
    assert any("dispatch overhead" in note and "not from memory bandwidth" in note for note in notes(demo()))
    other = replace(demo(), cells=[replace(c, pair="gemma-4-E2B") for c in demo().cells])
    assert not any("dispatch overhead" in note for note in notes(other))


def test_failed_and_flagged_trials_are_counted() -> None:
    assert trials(demo().run) == "1,344 trials, 0 failed, 24 flagged"
    assert trials({"trials": "many"}) == "trials not stored"


def test_clean_text_is_one_line_of_visible_characters() -> None:
    said = text.clean(HOSTILE)
    assert len(said) == 400
    assert said.isprintable()
    assert not set(said) & set("\x1b\x07\x00\x9b\u202e\u2066\ud800")
    assert text.clean("a\n\tb  c") == "a b c"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0712, "0.0712"), (7.089, "7.09"), (141.2, "141"), (1430.4, "1,430"), (0, "0"), (float("nan"), "not computed")],
)
def test_numbers_have_three_significant_digits_and_no_exponent(value: float, said: str) -> None:
    assert text.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.7123e-301, "1.71e-301"), (1.5e308, "1.5e+308"), (float("inf"), "> 1e+308"), (2e-6, "0.00000200")],
)
def test_a_number_is_no_line_of_zeros(value: float, said: str) -> None:
    assert text.number(value) == said


def test_what_is_unknown_is_said_and_never_zero() -> None:
    assert text.revealed(None, "ms") == "not revealed"
    assert text.ratio(None) == text.span(None) == text.bounds(1.0, None) == "not computed"
    assert text.share(None) == text.size(None) == "not revealed"
    assert text.moment("yesterday") == text.moment(10**30) == "time not stored"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.42, "0.4 s"), (12, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_are_short(seconds: float, said: str) -> None:
    assert text.duration(seconds) == said


def test_every_runtime_s_versions_are_told_apart() -> None:
    stack = {"python": "3.11.7", "transformers": "5.22.2", "tokenizers": "1"}
    assert machine.summary({"versions": {"transformers": stack}}) == "python 3.11.7, transformers 5.22.2"
    told = machine.summary({"versions": {"vllm": {**stack, "vllm": "0.32.0"}, "transformers": stack}})
    assert told == "python 3.11.7 · vllm: transformers 5.22.2, vllm 0.32.0 · transformers: transformers 5.22.2"
