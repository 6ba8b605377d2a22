"""The certificate in words: never stronger than its evidence, loud where output is wrong."""

from dataclasses import replace

import pytest
from support.certificates import equivalence, run_certificate, sampling, untested
from support.verdicts import (
    HOSTILE,
    NO_SPEED,
    broken,
    cell,
    certified,
    demo,
    diverged,
    empty,
    refuted,
    verdict,
    verified,
)

from reports.groups import groups, labels, measures_speed
from reports.lossless import block, output, summary
from reports.text import Line, Tone, passage, small
from reports.words import decide, notes, run_headline
from results.certificate import SamplingName
from results.verdicts import CellVerdict, RunVerdict


def said(*cells: CellVerdict) -> list[Line]:
    (group,) = groups(verdict(list(cells)))
    return block(group)


def texts(*cells: CellVerdict) -> str:
    return "\n".join(line.text for line in said(*cells))


def test_cells_that_say_the_same_say_it_in_one_line() -> None:
    (line,) = said(*(cell(k, equivalence=equivalence()) for k in (1, 2, 4)))
    assert line.tone == "good"
    assert line.text == (
        "Output identical to plain decoding in 20 of 20 prompts at every k · worst regret 1.9e-06 · tolerance 2.1e-05 "
        "· controls without drafter diverged: again 0 of 20, other batch shape 0 of 20"
    )


def test_the_worst_regret_of_several_cells_is_told() -> None:
    told = texts(cell(1, equivalence=equivalence()), cell(2, equivalence=equivalence(max_regret=0.5)))
    assert "worst regret 0.500" in told
    assert "1.9e-06" not in told


def test_cells_that_differ_get_a_line_each() -> None:
    lines = said(cell(1, equivalence=equivalence()), cell(2, equivalence=equivalence(ties=1)),
                 cell(4, equivalence=equivalence(unexplained=1)))  # fmt: skip
    assert [line.text.split(" · ")[0] for line in lines[:3]] == [
        "Output identical to plain decoding in 20 of 20 prompts at k = 1",
        "Output equivalent to plain decoding at k = 2, every divergence explained: 19 of 20 identical, 1 tie",
        "UNEXPLAINED at k = 4: the output is not the target's own: 19 of 20 identical, 1 unexplained",
    ]
    assert [line.tone for line in lines[:3]] == ["good", "good", "loud"]


def test_equivalent_cells_share_a_line_and_tell_their_divergences_by_class() -> None:
    first, second, *_ = block(groups(diverged())[0])
    assert first.text.startswith("Output equivalent to plain decoding at every k, every divergence explained")
    assert "k = 4: 15 of 20 identical, 3 ties, 2 batch numerics, worst regret 0.250" in second.text


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (untested("no scores"), "Losslessness untested at k = 4: no scores"),
        (equivalence(unclassified=2), "Losslessness untested at k = 4: 2 of 20 prompts diverge and the runtime cannot"),
        (
            equivalence(verdict="text-only", reason="no ids"),
            "Only texts could be compared at k = 4, no token ids: equal",
        ),
    ],
)
def test_what_was_not_compared_by_token_is_never_called_identical_or_good(found: object, told: str) -> None:
    first, *_ = said(cell(4, equivalence=found))
    assert first.text.startswith(told)
    assert first.tone == "caution"
    assert "identical to plain" not in texts(cell(4, equivalence=found))


def test_a_run_without_certificates_says_that_it_compared_nothing() -> None:
    (line,) = block(groups(demo())[0])
    assert line.text == "Losslessness untested: this run compared no output with plain decoding"
    assert summary(demo()).headline == line.text
    assert output(cell(4)) == "untested"


def test_unexplained_divergences_are_told_one_by_one_as_far_as_a_screen_allows() -> None:
    loud = [line.text for line in said(cell(4, equivalence=equivalence(unexplained=5))) if line.tone == "loud"]
    assert len(loud) == 1 + 3 + 1
    assert loud[1].startswith(
        "k = 4: token 17 of code-000 is 311 instead of 42, a margin of 1.8; the target chooses 42 · worst regret 1.75 "
        "at position 17"
    )
    assert loud[-1] == "and 2 more unexplained: the HTML report and --json hold all"


def test_the_frequency_test_tells_what_it_would_have_noticed() -> None:
    told = texts(cell(4, equivalence=equivalence(ties=2)))
    assert "not shown to be more frequent than without a drafter" in told
    assert "2 of 20 prompts diverged against 1 in the control (other batch shape), p = 0.11" in told
    assert "30 % of prompts beyond the control would have been noticed 4 times in 5" in told
    found = equivalence(ties=2)
    assert found.frequency is not None
    blind = replace(found, frequency=replace(found.frequency, detectable=None))
    assert "no share would have been noticed" in texts(cell(4, equivalence=blind))


def test_divergences_beyond_the_control_are_a_caution_though_each_is_explained() -> None:
    (line,) = [line for line in said(cell(4, equivalence=equivalence(ties=6))) if "more often" in line.text]
    assert line.tone == "caution"
    assert "p = 0.0040" in line.text


def test_float32_should_be_identical_wherever_the_controls_are() -> None:
    said_of = {dtype: texts(cell(4, dtype=dtype, equivalence=equivalence(ties=3))) for dtype in ("float32", "bfloat16")}
    assert "2 prompts diverged in which no control did" in said_of["float32"]
    assert "no control did" not in said_of["bfloat16"]


def test_without_controls_and_noise_it_says_so() -> None:
    told = texts(cell(4, equivalence=equivalence(controls=(), tolerance=None, max_regret=None)))
    assert "no control without drafter" in told
    assert "tolerance not measured" in told
    assert "worst regret not computed" in told


def test_not_distinguishable_is_told_with_its_power_and_never_as_lossless() -> None:
    first, second, third = said(cell(4, temperature=1.0, sampling=sampling()))
    assert first.text == (
        "Sampled output not distinguishable from the target's own distribution at k = 4 · smallest p 0.31 after Holm's "
        "correction · level 0.01 · 12,034 tokens tested"
    )
    assert first.tone != "good"
    assert second.text == (
        "No proof of losslessness: a bias of 0.080 in total variation towards the likeliest token would have been "
        "caught 4 times in 5"
    )
    assert third.text == "Controls: the target's own draws passed; plain decoding at temperature 1.3 was caught"
    told = " ".join((*(line.text for line in (first, second, third)), summary(certified()).headline))
    assert (
        "lossless" not in told.replace("no proof of losslessness", "").replace("No proof of losslessness", "").lower()
    )


def test_the_weakest_power_of_several_cells_is_told_and_a_missing_one_is_not_hidden() -> None:
    weak = [cell(k, temperature=1.0, sampling=sampling(power_at=p)) for k, p in ((1, 0.05), (2, 0.2))]
    assert "a bias of 0.20 in total variation" in texts(*weak)
    unknown = cell(4, temperature=1.0, sampling=sampling(power_at=None))
    assert "which bias would have been caught was not computed" in texts(*weak, unknown)


def test_a_biased_sampler_is_loud_and_says_by_which_test() -> None:
    first, *_ = said(cell(4, temperature=1.0, sampling=sampling("biased")))
    assert first.tone == "loud"
    assert first.text.startswith(
        "BIASED at k = 4: sampled output does not follow the target's own distribution: tokens at"
    )
    assert first.text.endswith("(z = +9.1), p = 3e-19 · level 0.01 · 12,034 tokens tested")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"negative_control": False}, "the target's own draws FAILED these tests, as 1 % do by chance"),
        (
            {"positive_control": False},
            "a biased sampler was NOT caught: these tests show nothing here",
        ),
    ],
)
def test_a_control_that_fails_is_a_caution(changes: dict[str, bool], told: str) -> None:
    last = said(cell(4, temperature=1.0, sampling=sampling("untested", **changes)))[-1]
    assert told in last.text
    assert last.tone == "caution"


def test_a_control_that_was_not_drawn_did_not_pass() -> None:
    none = sampling(negative_control=None, positive_control=None, positive_temperature=None)
    told = said(cell(4, temperature=1.0, sampling=none))[-1].text
    assert told == "Controls: the target's own draws: not tested; a biased sampler: not tested"


def test_tokens_that_truncation_excludes_are_loud_only_where_they_decide() -> None:
    expected: tuple[tuple[SamplingName, Tone], ...] = (("biased", "loud"), ("not distinguishable", "quiet"))
    for name, tone in expected:
        lines = said(cell(4, temperature=1.0, sampling=sampling(name, impossible=3)))
        assert Line("3 tokens at k = 4 that truncation leaves no probability", tone) in lines


def test_wrong_output_is_labelled_beside_every_figure() -> None:
    assert [labels(c) for c in broken().cells] == [(), (), ("UNEXPLAINED",), ("BIASED",), ("BIASED",)]
    both = cell(4, status="invalid", synthetic=True, equivalence=equivalence(unexplained=1))
    assert labels(both) == ("INVALID", "UNEXPLAINED", "SYNTHETIC")


def test_a_faster_setting_with_wrong_output_is_named_and_not_ranked() -> None:
    greedy, sampled = (decide(group) for group in groups(broken()))
    assert greedy.headline == "Draft 2 tokens a round: 1.65× as fast as plain decoding"
    assert "k = 4 UNEXPLAINED (2.02×) is not ranked: its output differs from the target's own" in greedy.detail
    assert sampled.headline == "No setting can be ranked: drafted output is not the target's own"
    assert sampled.detail.endswith("the cells here: 2 biased.")


def test_a_wrong_setting_is_not_offered_as_just_as_good() -> None:
    """k = 5 lies inside the interval of k = 4."""
    run = verdict([cell(4, scale=1.1), cell(5, equivalence=equivalence(unexplained=1))])
    assert "Also inside it" not in decide(groups(run)[0]).detail


@pytest.mark.parametrize(
    ("run", "headline", "tone"),
    [
        (verified(), "Output identical to plain decoding in every prompt compared", "good"),
        (verified([cell(4, equivalence=equivalence(ties=1), **NO_SPEED)]),
         "Output equivalent to plain decoding, every divergence explained", "good"),
        (refuted(), "Output is not the target's own in 1 of 3 cells; sampled output does not follow the target's own "
         "distribution", "loud"),
        (verified([cell(4, temperature=1.0, sampling=sampling("untested"), **NO_SPEED)]), "Sampled output untested",
         "caution"),
        (verified([cell(1, equivalence=equivalence(), **NO_SPEED), cell(4, equivalence=untested(), **NO_SPEED)]),
         "Losslessness untested in 1 of 2 cells", "caution"),
    ],
)  # fmt: skip
def test_a_run_that_measures_no_speed_has_its_certificate_as_headline(
    run: RunVerdict, headline: str, tone: str
) -> None:
    assert not measures_speed(run)
    assert run_headline(run, [(group, decide(group)) for group in groups(run)]) == headline
    assert summary(run).tone == tone
    assert not any("dispatch overhead" in note for note in notes(run))


def test_a_strangers_sweep_does_not_pass_for_one_without_speed() -> None:
    assert measures_speed(verdict([], sweep=HOSTILE))
    assert run_headline(empty(), []) == "Nothing was measured"


def test_the_run_sums_up_prompts_divergences_regret_and_controls() -> None:
    facts = {name: (value, tone) for name, value, tone in summary(refuted()).facts}
    assert facts["Prompts compared"] == ("0 to 20 in 3 cells", "plain")
    assert facts["Divergences"] == ("2 ties, 1 batch numerics, 5 unexplained", "loud")
    assert facts["Worst regret"][0] == "1.75 · tolerance 0.125"
    assert facts["Diverged without a drafter"][0] == "again 0 of 20, other batch shape 1 of 20"
    assert facts["Smallest p"] == ("3.2e-19 after Holm's correction, level 0.01", "loud")
    assert {name: value for name, value, _ in summary(verified()).facts}["Divergences"] == "none"


def test_many_reasons_are_counted_rather_than_listed() -> None:
    cells = [cell(4, group, prompt_tokens=64 + group, equivalence=equivalence(unexplained=1)) for group in range(40)]
    assert len(run_certificate(cells).reasons) == 40
    assert summary(verdict(cells)).reasons[-1] == "and 35 more"


@pytest.mark.parametrize(
    ("value", "told"), [(0.0, "0"), (1.9e-6, "1.9e-06"), (0.031, "0.0310"), (1.75, "1.75"), (None, "not computed")]
)
def test_regrets_are_written_as_small_as_they_are(value: float | None, told: str) -> None:
    assert small(value) == told


def test_a_passage_shows_whitespace_hides_controls_and_counts_what_it_cuts() -> None:
    assert passage("a\n\tb\u00a0c\x1b[1m\u202ed", 100, "start") == ("a↵\n⇥b␣c\ufffd[1m\ufffdd", 0)
    assert passage("abcdef", 4, "start") == ("abcd", 2)
    assert passage("abcdef", 4, "end") == ("cdef", 2)
