"""Greedy outputs that leave the plain ones in every way, and what explains them; every figure worked out by hand.

Two prompts of 12 tokens each: `code/0.0` is 100 to 111, `prose/1.0` is 131 to 142. In most tests the drafted output to
the first one leaves the plain one at token 5, with 7 where the plain one has 105, and goes on with other tokens.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import scored
from support.fake_run import Call, World
from support.fake_run import write as write_unscored
from support.scored import Logits, Replays, Spoil, by_logits, diverging, with_noise

from results.certificate import Control, Equivalence, Frequency, Regrets
from results.records import BATCH_SHAPE, CERTIFICATE, CONTROL, PLAIN, Failure, Generation, Scoring, TokenScore, Trial
from results.scores import Scored
from results.store import RunWriter

CODE, PROSE = "code/0.0", "prose/1.0"
TAIL = (7, 206, 207, 208, 209, 210, 211)
OTHER = diverging({0: (5, TAIL)})
NOISE = 0.25
"""The plain arm's logits, as it decoded them, are as much above the 10.0 of the prefill: ties are within 0.5."""
QUIET = World(lengths=(2,), units=2, output_tokens=12)


def noisy(spoil: Spoil) -> World:
    return replace(QUIET, spoil=with_noise(lambda unit, position: NOISE, spoil))


def found(folder: Path, logits: Logits, replays: Replays = scored.NOTHING, world: World | None = None) -> Equivalence:
    path = scored.write(folder / "run.sqlite", world or noisy(OTHER), by_logits(logits), replays)
    equivalence = scored.judged(path).equivalence
    assert equivalence is not None
    return equivalence


def unscored(folder: Path, world: World) -> Equivalence:
    equivalence = scored.judged(write_unscored(folder / "run.sqlite", world)).equivalence
    assert equivalence is not None
    return equivalence


def counts(certificate: Equivalence) -> tuple[int, int, int, int, int]:
    c = certificate
    return c.identical, c.tie, c.batch_numerics, c.unexplained, c.unclassified


# ------------------------------------------------------------------------------------------------ every class


def test_equal_outputs_are_identical_with_their_worst_regret(tmp_path: Path) -> None:
    logits = {(CODE, 3): {103: 9.5, 400: 9.75}}
    told = found(tmp_path, logits, world=noisy(lambda call, seen: seen))
    assert (told.verdict, told.reason, told.prompts, counts(told)) == ("identical", "", 2, (2, 0, 0, 0, 0))
    assert (told.max_regret, told.divergences) == (0.25, ())
    assert told.regrets == Regrets(24, 0.0, 0.25, 0.25, 0.25)
    # Three rows of each prompt, headline twice and instrumented once; their one output took one pass.
    assert (told.sequences, told.scored) == (6, 2)


def test_equal_outputs_need_no_scores(tmp_path: Path) -> None:
    told = unscored(tmp_path, QUIET)
    assert (told.verdict, told.max_regret, told.tolerance, told.scored) == ("identical", None, None, 0)


def test_a_margin_within_the_noise_is_a_tie(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.5}})
    assert (told.verdict, counts(told), told.tolerance) == ("equivalent", (1, 1, 0, 0, 0), 0.5)
    assert told.reason == "1 of 2 prompts diverge, all explained by the target's own numerics"
    (divergence,) = told.divergences
    assert (divergence.prompt, divergence.category, divergence.position, divergence.kind) == (CODE, "code", 5, "tie")
    assert divergence.reason == "token 5 of code/0.0 is 7 instead of 105, a margin of 0.5: within the noise of 0.5"
    assert (divergence.plain_token, divergence.speculative_token) == (105, 7)
    assert (divergence.plain_logit, divergence.speculative_logit, divergence.margin) == (10.0, 9.5, 0.5)
    assert divergence.rounding == 2.0 ** (3 - 23)  # of float32 between 8 and 16
    assert (divergence.worst_regret, divergence.worst_position, told.max_regret) == (0.5, 5, 0.5)


def test_a_margin_within_the_noise_is_a_tie_the_other_way_round_too(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 10.5}})
    assert (told.divergences[0].kind, told.divergences[0].margin) == ("tie", -0.5)


def test_a_token_that_one_prefill_prefers_by_more_than_the_noise_is_no_tie(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 11.0}}, {(CODE, 5): 105})
    assert (told.divergences[0].kind, told.divergences[0].margin) == ("unexplained", -1.0)


def test_a_token_that_the_target_chooses_in_one_prefill_is_batch_numerics(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.0}}, {(CODE, 5): 7})
    assert (told.verdict, counts(told)) == ("equivalent", (1, 0, 1, 0, 0))
    (divergence,) = told.divergences
    assert (divergence.kind, divergence.replayed_token) == ("batch-numerics", 7)
    assert divergence.reason == (
        "token 5 of code/0.0 is 7 instead of 105, a margin of 1; given as one prefill, the target chooses it too"
    )
    assert told.scored == 2 + 1  # the drafted outputs to both prompts, and a replay


def test_a_token_that_the_target_never_chooses_is_unexplained(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.0}}, {(CODE, 5): 105})
    reason = "token 5 of code/0.0 is 7 instead of 105, a margin of 1; the target chooses 105"
    assert (told.verdict, counts(told)) == ("unexplained", (1, 0, 0, 1, 0))
    assert (told.reason, told.divergences[0].reason) == (f"1 of 2 prompts: {reason}", reason)


def test_without_a_replay_a_margin_beyond_the_noise_is_unclassified(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.0}})
    reason = "token 5 of code/0.0 is 7 instead of 105, a margin of 1; the target was not asked again"
    assert (told.verdict, counts(told)) == ("untested", (1, 0, 0, 0, 1))
    assert told.reason == f"1 of 2 prompts: {reason}"


def test_without_scores_a_divergence_leaves_the_cell_untested(tmp_path: Path) -> None:
    told = unscored(tmp_path, replace(QUIET, spoil=OTHER))
    assert (told.verdict, counts(told), told.max_regret) == ("untested", (1, 0, 0, 0, 1), None)
    assert told.reason == (
        "1 of 2 prompts diverge, and the runtime cannot score, so a tie, batch numerics and a bug cannot be told apart"
    )
    assert told.divergences[0].reason == "token 5 of code/0.0 is 7 instead of 105, and nothing was scored"


def test_scoring_that_failed_is_told_with_its_failure(tmp_path: Path) -> None:
    path = write_unscored(tmp_path / "run.sqlite", replace(QUIET, spoil=OTHER))
    with RunWriter.resume(path) as writer:
        writer.add_scorings(Trial(1, 1, 0, 0, 0, CERTIFICATE, 0, 1, None, Failure("oom", "no room")), [])
    told = scored.judged(path).equivalence
    assert told is not None
    assert told.verdict == "untested"
    assert "they could not be scored (oom: no room)" in told.reason


def test_the_unexplained_outweighs_all_others_and_the_worst_comes_first(tmp_path: Path) -> None:
    world = noisy(diverging({0: (5, TAIL), 1: (5, TAIL)}))
    logits = {(CODE, 5): {105: 10.0, 7: 9.5}, (PROSE, 5): {136: 10.0, 7: 9.0}}
    told = found(tmp_path, logits, {(PROSE, 5): 136}, world)
    assert (told.verdict, counts(told)) == ("unexplained", (0, 1, 0, 1, 0))
    assert [each.prompt for each in told.divergences] == [PROSE, CODE]
    assert told.reason.startswith("1 of 2 prompts: token 5 of prose/1.0 is 7")


def test_several_outputs_to_a_prompt_are_judged_by_the_worst(tmp_path: Path) -> None:
    def twice(call: Call, seen: Generation) -> Generation | Failure:
        return diverging({0: (5, TAIL) if call.half else (6, (8, 9))})(call, seen)

    logits = {(CODE, 5): {105: 10.0, 7: 9.5}, (CODE, 6): {106: 10.0, 8: 9.0, 206: 10.0}}
    told = found(tmp_path, logits, {(CODE, 6): 106}, noisy(twice))
    assert (counts(told), told.divergences[0].position, told.divergences[0].kind) == ((1, 0, 0, 1, 0), 6, "unexplained")


# ---------------------------------------------------------------------------------------------- length and place


@pytest.mark.parametrize(
    ("tokens", "position", "reason"),
    [
        (range(100, 109), 9, "token 9 of code/0.0: the output ends where the plain one goes on"),
        ((), 0, "token 0 of code/0.0: the output ends where the plain one goes on"),
    ],
)
def test_an_output_that_ends_early_is_unexplained(tmp_path: Path, tokens: range, position: int, reason: str) -> None:
    told = found(tmp_path, {}, world=noisy(diverging({0: (0, tokens)})))
    assert (told.verdict, told.divergences[0].position, told.divergences[0].reason) == ("unexplained", position, reason)
    assert (told.divergences[0].plain_token, told.divergences[0].speculative_token) == (100 + position, None)


def test_an_output_that_goes_on_after_the_plain_one_has_ended_is_unexplained(tmp_path: Path) -> None:
    def short(call: Call, seen: Generation) -> Generation | Failure:
        return seen if call.k or call.unit else scored.with_tokens(seen, tuple(range(100, 109)))

    told = found(tmp_path, {}, world=noisy(short))
    assert (told.verdict, told.divergences[0].position) == ("unexplained", 9)
    assert (told.divergences[0].plain_token, told.divergences[0].speculative_token) == (None, 109)
    assert told.divergences[0].reason == "token 9 of code/0.0: the output goes on where the plain one has ended"


def test_tokens_beyond_the_asked_length_are_not_compared(tmp_path: Path) -> None:
    too_long = diverging({0: (12, (5, 6, 7))})
    assert found(tmp_path, {(CODE, 13): {6: 1.0, 400: 9.0}}, world=noisy(too_long)).verdict == "identical"


def test_regrets_beyond_the_asked_length_explain_and_spoil_nothing(tmp_path: Path) -> None:
    world = noisy(diverging({0: (5, (*TAIL, 5, 6))}))
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.5}, (CODE, 13): {6: 1.0, 400: 9.0}}, world=world)
    assert (told.verdict, told.divergences[0].worst_regret) == ("equivalent", 0.5)


def test_any_of_several_plain_outputs_will_do(tmp_path: Path) -> None:
    def two_plain(call: Call, seen: Generation) -> Generation | Failure:
        return diverging({0: (5, TAIL)}, PLAIN if call.half else "speculative")(call, seen)

    # Plain gives its own tokens in half 0 and the others in half 1; drafting the others in half 0, its own in half 1.
    told = found(tmp_path, {}, world=noisy(two_plain))
    assert told.verdict == "identical"


def test_a_plain_output_that_goes_on_does_not_hide_an_equal_one(tmp_path: Path) -> None:
    def shorter(call: Call, seen: Generation) -> Generation | Failure:
        plain_whole = call.cell.role == PLAIN and not call.half  # seen first, and begins like the other one
        return seen if plain_whole or call.unit else scored.with_tokens(seen, tuple(range(100, 109)))

    assert found(tmp_path, {}, world=noisy(shorter)).verdict == "identical"


def test_the_nearest_of_several_plain_outputs_is_the_one_that_was_left(tmp_path: Path) -> None:
    def two_plain(call: Call, seen: Generation) -> Generation | Failure:
        if call.cell.role == PLAIN:
            return diverging({0: (2, TAIL)}, PLAIN)(call, seen) if not call.half else seen
        return OTHER(call, seen)

    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.5}}, world=noisy(two_plain))
    assert (told.divergences[0].position, told.divergences[0].plain_token) == (5, 105)


# ------------------------------------------------------------------------------------- after the first divergence


TIE = {(CODE, 5): {105: 10.0, 7: 9.5}}


def test_a_later_regret_within_the_noise_needs_no_replay(tmp_path: Path) -> None:
    told = found(tmp_path, {**TIE, (CODE, 8): {208: 8.0, 400: 8.5}})
    assert (told.verdict, told.divergences[0].worst_position) == ("equivalent", 5)


def test_a_later_regret_beyond_the_noise_that_the_target_chooses_too_is_explained(tmp_path: Path) -> None:
    told = found(tmp_path, {**TIE, (CODE, 8): {208: 8.0, 400: 9.5}}, {(CODE, 8): 208})
    assert (told.verdict, counts(told), told.max_regret) == ("equivalent", (1, 1, 0, 0, 0), 1.5)
    assert (told.divergences[0].worst_regret, told.divergences[0].worst_position) == (1.5, 8)


def test_a_later_regret_beyond_the_noise_that_the_target_does_not_choose_is_unexplained(tmp_path: Path) -> None:
    rest = {(CODE, 8): {208: 8.0, 400: 9.5}, (CODE, 10): {210: 8.0, 400: 10.0}}
    told = found(tmp_path, {**TIE, **rest}, {(CODE, 8): 400, (CODE, 10): 400})
    assert (told.verdict, counts(told), told.max_regret) == ("unexplained", (1, 0, 0, 1, 0), 2.0)
    assert told.divergences[0].reason == (  # the worst one
        "token 10 of code/0.0 is 210, 2 below 400, which the target chooses after the same text"
    )


def test_later_regrets_beyond_the_noise_that_were_not_replayed_are_unclassified(tmp_path: Path) -> None:
    rest = {(CODE, 8): {208: 8.0, 400: 9.5}, (CODE, 10): {210: 8.0, 400: 10.0}}
    told = found(tmp_path, {**TIE, **rest})
    assert (told.verdict, counts(told)) == ("untested", (1, 0, 0, 0, 1))
    assert told.divergences[0].reason.endswith("0.5; the target was not asked again about token 10 and 1 more")


def test_without_a_tolerance_every_later_choice_of_another_token_needs_a_replay(tmp_path: Path) -> None:
    logits = {(CODE, 5): {105: 10.0, 7: 9.0}, (CODE, 8): {208: 8.0, 400: 8.0625}}
    world = replace(QUIET, spoil=OTHER)
    told = found(tmp_path, logits, {(CODE, 5): 7}, world)
    assert (told.verdict, told.tolerance, told.noise_tokens) == ("untested", None, 0)
    (tmp_path / "run.sqlite").unlink()
    assert found(tmp_path, logits, {(CODE, 5): 7, (CODE, 8): 208}, world).verdict == "equivalent"


def test_a_regret_before_the_divergence_is_the_plain_arm_s_own(tmp_path: Path) -> None:
    told = found(tmp_path, {**TIE, (CODE, 2): {102: 1.0, 400: 9.0}})
    assert (told.verdict, told.max_regret, told.divergences[0].worst_regret) == ("equivalent", 8.0, 0.5)


# ------------------------------------------------------------------------------------------------- the tolerance


def test_the_tolerance_is_twice_the_99_9th_percentile_of_the_noise(tmp_path: Path) -> None:
    def noise(unit: int, position: int) -> float:  # of 1,230 logits, the largest but one is the 99.9th percentile
        return {(3, 7): -0.875, (9, 2): 0.25}.get((unit, position), 0.125 if position else 0.0)

    world = World(lengths=(2,), units=30, spoil=with_noise(noise))
    told = found(tmp_path, {}, world=world)
    assert (told.tolerance, told.noise_tokens) == (0.5, 1230)


def test_differences_that_no_numerics_explain_are_no_noise(tmp_path: Path) -> None:
    # Say the engine's own logits are scaled: nothing may pass as a tie for it.
    world = replace(QUIET, spoil=with_noise(lambda unit, position: 3.0, OTHER))
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: 9.0}}, {(CODE, 5): 105}, world)
    assert (told.verdict, told.tolerance, told.noise_tokens) == ("unexplained", None, 24)


def test_logits_from_the_middle_of_an_output_measure_no_noise(tmp_path: Path) -> None:
    def middle(call: Call, seen: Generation) -> Generation | Failure:
        given = with_noise(lambda unit, position: NOISE)(call, seen)
        assert isinstance(given, Generation)
        return replace(given, scores=given.scores[3:]) if given.scores else given

    assert found(tmp_path, {}, world=replace(QUIET, spoil=middle)).noise_tokens == 0


# ------------------------------------------------------------------------------------------------------ controls


def test_controls_are_counted_and_the_frequency_is_tested_against_the_other_batch_shape(tmp_path: Path) -> None:
    # 8 prompts. Drafted outputs leave the plain ones in 0 to 5, those in another batch shape in 5, and plain decoding
    # once more in none: 5 diverge here only, none there only, and 2^-5 = 0.03125.
    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        if call.cell.role == BATCH_SHAPE:
            return diverging({5: (5, TAIL)}, BATCH_SHAPE)(call, seen)
        return diverging(dict.fromkeys(range(6), (5, TAIL)))(call, seen)

    told = unscored(tmp_path, replace(QUIET, units=8, more=(BATCH_SHAPE,), spoil=spoil))
    assert told.controls == (Control("again", 8, 0), Control("batch-shape", 8, 1))
    assert (told.control_divergences, told.beyond_controls) == (1, 5)
    assert told.frequency is not None
    assert replace(told.frequency, detectable=None) == Frequency("batch-shape", 8, 6, 1, 0.03125, None)


def test_plain_decoding_that_differs_from_itself_counts_as_diverged_in_its_control(tmp_path: Path) -> None:
    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        return diverging({0: (5, TAIL)}, PLAIN)(call, seen) if call.half else OTHER(call, seen)

    told = unscored(tmp_path, replace(QUIET, spoil=spoil))
    assert (told.identical, told.controls, told.beyond_controls) == (2, (Control("again", 2, 1),), 0)


def test_without_a_control_nothing_is_said_of_frequency(tmp_path: Path) -> None:
    told = unscored(tmp_path, replace(QUIET, control=False, spoil=OTHER))
    assert (told.controls, told.control_divergences, told.frequency, told.beyond_controls) == ((), None, None, 0)


def test_a_control_that_never_came_to_the_same_prompts_gives_way_to_the_other(tmp_path: Path) -> None:
    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        return Failure("oom", "no room") if call.cell.role == BATCH_SHAPE else OTHER(call, seen)

    told = unscored(tmp_path, replace(QUIET, more=(BATCH_SHAPE,), spoil=spoil))
    assert told.controls == (Control("again", 2, 0),)
    assert told.frequency is not None
    assert (told.frequency.against, told.frequency.p) == ("again", 0.5)


# ------------------------------------------------------------------------------------------- text, or nothing at all


def as_text(spoil: Callable[[Call], str]) -> Spoil:
    return lambda call, seen: replace(seen, token_ids=None, text=spoil(call))


def test_texts_that_are_equal_are_text_only_and_never_identical(tmp_path: Path) -> None:
    told = unscored(tmp_path, replace(QUIET, spoil=as_text(lambda call: "the same")))
    assert (told.verdict, told.reason, counts(told)) == (
        "text-only", "the runtime gives no token ids", (2, 0, 0, 0, 0)
    )  # fmt: skip


def test_text_beyond_the_asked_length_is_not_compared(tmp_path: Path) -> None:
    def longer(call: Call, seen: Generation) -> Generation:
        return replace(seen, token_ids=None, text="a red fox" if call.k else "a red")

    told = unscored(tmp_path, replace(QUIET, spoil=longer))
    assert (told.verdict, told.identical, told.divergences) == ("text-only", 2, ())


def test_text_that_goes_on_where_the_plain_one_has_ended_differs(tmp_path: Path) -> None:
    def ended(call: Call, seen: Generation) -> Generation:
        text = replace(seen, token_ids=None, text="a red fox" if call.k else "a red")
        if call.k:
            return text
        last = replace(seen.arrivals[-1], tokens=seen.n_tokens - 1)
        return replace(text, n_tokens=seen.n_tokens - 1, arrivals=(*seen.arrivals[:-1], last))

    told = unscored(tmp_path, replace(QUIET, spoil=ended))
    assert told.identical == 0
    assert {each.position for each in told.divergences} == {5}


def test_texts_that_differ_are_counted_and_shown(tmp_path: Path) -> None:
    told = unscored(
        tmp_path, replace(QUIET, spoil=as_text(lambda call: "a red fox" if call.k and not call.unit else "a rod"))
    )
    assert (told.verdict, told.reason) == ("text-only", "the runtime gives no token ids; 1 of 2 texts differ")
    (divergence,) = told.divergences
    assert (divergence.position, divergence.kind) == (3, "unclassified")
    assert (divergence.before, divergence.plain_text, divergence.speculative_text) == ("a r", "od", "ed fox")


def test_a_cell_whose_prompts_plain_decoding_never_answered_is_untested(tmp_path: Path) -> None:
    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        plain = call.cell.role in (PLAIN, CONTROL)
        return Failure("crash", "gone") if (plain and call.unit == 0) or (call.k and call.unit == 1) else seen

    told = unscored(tmp_path, replace(QUIET, spoil=spoil))
    assert (told.verdict, told.reason, told.prompts) == ("untested", "no prompt was answered by both arms", 0)


def test_a_cell_that_gave_nothing_has_no_certificate(tmp_path: Path) -> None:
    world = replace(QUIET, spoil=lambda call, seen: Failure("crash", "gone") if call.k else seen)
    assert scored.judged(write_unscored(tmp_path / "run.sqlite", world)).equivalence is None


# --------------------------------------------------------------------------------------------- scores from strangers


def test_a_replay_tells_even_where_no_logits_are_given(tmp_path: Path) -> None:
    def ids_only(prompt: object, position: int, token: int) -> TokenScore:
        return TokenScore(position, token, 105 if (position, token) == (5, 7) else token, None, None)

    told = [
        scored.judged(scored.write(tmp_path / name, noisy(OTHER), ids_only, {(CODE, 5): choice})).equivalence
        for name, choice in (("own", 7), ("other", 105))
    ]
    assert [(each.verdict, each.max_regret) for each in told if each] == [("equivalent", None), ("unexplained", None)]


def test_a_token_that_could_never_be_chosen_has_an_infinite_regret(tmp_path: Path) -> None:
    told = found(tmp_path, {(CODE, 5): {105: 10.0, 7: float("-inf")}}, {(CODE, 5): 105})
    assert (told.verdict, told.max_regret) == ("unexplained", float("inf"))
    assert (told.divergences[0].speculative_logit, told.divergences[0].margin) == (None, None)


def scoring_of(folder: Path, change: Callable[[Scoring], Scoring]) -> Equivalence:
    """Of a tie, after every prefill and replay has been changed."""
    path = write_unscored(folder / "run.sqlite", noisy(OTHER))
    other = folder / "other.sqlite"
    scored.write(other, noisy(OTHER), by_logits(TIE), {(CODE, 5): 7})
    with RunWriter.resume(other) as known, RunWriter.resume(path) as writer:
        generations = [row[0] for row in known.file.query("SELECT DISTINCT generation_id FROM score ORDER BY 1")]
        scorings = [each for g in generations for each in known.file.scorings(g) if each.kind != "incremental"]
        writer.add_scorings(Trial(1, 1, 0, 0, 0, CERTIFICATE, 0, 1, None), [change(each) for each in scorings])
        assert len(scorings) == 3 + 1
    told = scored.judged(path).equivalence
    assert told is not None
    return told


def test_scores_of_the_output_s_own_tokens_count(tmp_path: Path) -> None:
    assert scoring_of(tmp_path, lambda scoring: scoring).tie == 1


def moved(scoring: Scoring) -> Scoring:
    return replace(scoring, scores=tuple(replace(s, position=s.position + 1) for s in scoring.scores))


def of_other_tokens(scoring: Scoring) -> Scoring:
    return replace(scoring, scores=tuple(replace(s, token_id=s.token_id + 1) for s in scoring.scores))


def too_few(scoring: Scoring) -> Scoring:
    return replace(scoring, scores=scoring.scores[:11]) if scoring.kind == "prefill" else moved(scoring)


def too_many(scoring: Scoring) -> Scoring:
    end = replace(scoring.scores[-1], position=scoring.scores[-1].position + 1)
    return replace(scoring, scores=(*scoring.scores, end))


def far_beyond(scoring: Scoring) -> Scoring:
    first = scoring.scores[0].position
    far = tuple(replace(s, position=s.position - first + 2**31 - 100) for s in scoring.scores)
    return replace(scoring, scores=far)


@pytest.mark.parametrize("change", [moved, of_other_tokens, too_few, too_many, far_beyond])
def test_scores_of_anything_but_the_output_s_own_tokens_say_nothing(
    tmp_path: Path, change: Callable[[Scoring], Scoring]
) -> None:
    told = scoring_of(tmp_path, change)
    assert (told.verdict, counts(told)) == ("untested", (1, 0, 0, 0, 1))
    assert (told.max_regret, told.tolerance, told.scored) == (None, None, 0)


def test_a_regret_of_log_probabilities_is_that_of_logits() -> None:
    numbers = np.full((3, 7), np.nan)
    numbers[0, :4] = (8.0, 10.0, -3.0, -0.5)  # logits go before
    numbers[1, 2:4] = (-3.0, -0.5)
    scored = Scored(0, np.array([5, 5, 5], np.int32), np.array([6, 6, 6], np.int32), numbers)
    assert scored.regret[:2].tolist() == [2.0, 2.5]
    assert np.isnan(scored.regret[2])
